"""How each kind of operation becomes steps on the buffer."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import replace

import numpy as np

from sksparse._typing import Array, Indices
from sksparse.serving._kinds import ACTIVATIONS, Shape
from sksparse.serving._numpy_forms import window_shares
from sksparse.serving._program import Operation, Program
from sksparse.serving._steps import Map, Placed, Steps


def lower(program: Program, tensors: Mapping[str, Array]) -> Steps:
    """The steps of a program.

    Parameters
    ----------
    program : Program
        A program that fits the tensors.
    tensors : mapping of str to ndarray
        Tensors by name.

    Returns
    -------
    steps : Steps
        In order, with the places of all values.
    """
    steps, fused = Steps(program, tensors), _fused_bounds(program)
    last_reads = _last_reads(program, fused)
    for place, operation in enumerate(program.operations):
        if place in fused:
            made = steps.values[operation.inputs[0]]
        else:
            # ReLU behind a product is its bound from below
            low = 0.0 if operation.output in fused else -np.inf
            made = _MAKERS[operation.kind](steps, operation, low)
        steps.values[operation.output] = made
        steps.release(lambda number: last_reads.get(number, -1) <= place)  # noqa: B023
    output = steps.whole(steps.values[program.output])
    steps.output, steps.output_shape = output.start, output.shape
    return steps


def without_selection(program: Program, tensors: Mapping[str, Array]) -> tuple[Program, Indices]:
    """The program for the columns that it selects first, and these columns.

    Parameters
    ----------
    program : Program
        A program that fits the tensors.
    tensors : mapping of str to ndarray
        Tensors by name.

    Returns
    -------
    program : Program
        Without its first operation where that selects from the input and nothing else reads it.
    columns : ndarray of int
        The columns of the input that it takes.
    """
    first, n = program.operations[:1], math.prod(program.input_shape)
    reads = [number for operation in program.operations for number in operation.inputs]
    is_selected = bool(first) and first[0].kind == "select" and program.output > 0
    if not is_selected or len(program.input_shape) > 1 or reads.count(0) > 1:
        return program, np.arange(n)
    later = [
        replace(op, inputs=tuple(number - 1 for number in op.inputs), output=op.output - 1)
        for op in program.operations[1:]
    ]
    columns = np.flatnonzero(tensors[first[0].tensors["mask"]])
    return Program((len(columns),), tuple(later), program.output - 1), columns


def _fused_bounds(program: Program) -> set[int]:
    """The places of ReLUs that are all that reads the product just before them.

    They are also the numbers of the values that the products make.
    """
    reads = Counter(number for operation in program.operations for number in operation.inputs)
    return {
        place
        for place, operation in enumerate(program.operations)
        if operation.options.get("name") == "relu"
        and place > 0
        and operation.inputs == (place,)
        and program.operations[place - 1].kind in ("linear", "conv2d")
        and reads[place] == 1
        and program.output != place
    }


def _last_reads(program: Program, fused: Container[int]) -> dict[int, int]:
    """For each value that has slots of its own the place of the last operation that reads it."""
    owner = {0: 0}
    last: dict[int, int] = {}
    for place, operation in enumerate(program.operations):
        number = operation.output
        moves_nothing = place in fused or operation.kind in ("reshape", "select")
        owner[number] = owner[operation.inputs[0]] if moves_nothing else number
        last.update((owner[k], place) for k in operation.inputs)
    last[owner[program.output]] = len(program.operations)
    return last


def _linear(steps: Steps, operation: Operation, low: float) -> Placed:
    source = steps.values[operation.inputs[0]]
    picks, made = steps.slots(source), steps.place(operation.output)
    n = made.shape[0]
    steps.add(
        *("product", source, made.start, n),
        picks=picks,
        weight=steps.tensor(operation, "weight", 0.0, 0),
        bias=steps.tensor(operation, "bias", 0.0, n),
        low=low,
    )
    return made


def _framed(steps: Steps, value: Placed, padding: Sequence[int], fill: float) -> Placed:
    """Maps with a frame of constants."""
    if not any(padding):
        return value
    (above, left), slots = padding, np.arange(math.prod(value.shape)).reshape(value.shape)
    frame = ((0, 0), (above, above), (left, left))
    picks = np.pad(slots, frame, constant_values=-1)
    target = steps.borrow(picks.size)
    steps.add("gather", value, target, picks.size, picks=picks.ravel(), low=fill)
    return Placed(picks.shape, value.run, target)


def _window(shape: Shape, kernel: Sequence[int], dilation: Sequence[int]) -> Indices:
    """The slots of a window in each channel, from its corner on."""
    channels, down, right = (np.arange(n) for n in (shape[0], *kernel))
    inside = down[:, None] * dilation[0] * shape[2] + right * dilation[1]
    return channels[:, None, None] * (shape[1] * shape[2]) + inside


def _map(shape: Shape, made: Shape, stride: Sequence[int]) -> Map:
    return Map(made[1], made[2], stride[0] * shape[2], stride[1], shape[1] * shape[2])


def _conv2d(steps: Steps, operation: Operation, low: float) -> Placed:
    settings, made = operation.settings, steps.place(operation.output)
    value = steps.whole(steps.values[operation.inputs[0]])
    framed = _framed(steps, value, settings["padding"], 0.0)
    weight = steps.tensor(operation, "weight", 0.0, 0)
    bias = steps.tensor(operation, "bias", 0.0, len(weight))
    groups = settings["groups"]
    window = _window(framed.shape, weight.shape[2:], settings["dilation"])
    n, n_read = len(weight) // groups, framed.shape[0] // groups
    for k in range(groups):
        units = slice(k * n, (k + 1) * n)
        steps.add(
            *("product", framed, made.start + k * n * made.shape[1] * made.shape[2], n),
            picks=window[k * n_read : (k + 1) * n_read].ravel(),
            weight=weight[units].reshape(n, -1),
            bias=bias[units],
            low=low,
            map=_map(framed.shape, made.shape, settings["stride"]),
        )
    return made


def _pool(steps: Steps, operation: Operation, low: float) -> Placed:
    settings, made = operation.settings, steps.place(operation.output)
    value = steps.whole(steps.values[operation.inputs[0]])
    is_mean = operation.kind == "avg_pool2d"
    framed = _framed(steps, value, settings["padding"], 0.0 if is_mean else -np.inf)
    shares = window_shares(value.shape, settings) if is_mean else np.zeros(0, dtype=np.float32)
    steps.add(
        *("mean" if is_mean else "largest", framed, made.start, made.shape[0]),
        picks=_window((1, *framed.shape[1:]), settings["kernel"], (1, 1)).ravel(),
        weight=shares,
        map=_map(framed.shape, made.shape, settings["stride"]),
    )
    return made


def _activation(steps: Steps, operation: Operation, low: float) -> Placed:
    value, made = steps.whole(steps.values[operation.inputs[0]]), steps.place(operation.output)
    settings = dict(operation.settings)
    name = settings.pop("name")
    if name == "relu":
        name, settings = "clip", {"low": 0.0, "high": np.inf}
    first, second = [*map(settings.__getitem__, ACTIVATIONS[name]), 0.0, 0.0][:2]
    steps.add(
        *("apply", value, made.start, math.prod(made.shape)),
        function=name,
        low=first,
        high=second,
    )
    return made


def _affine(steps: Steps, operation: Operation, low: float) -> Placed:
    value, made = steps.whole(steps.values[operation.inputs[0]]), steps.place(operation.output)
    n = made.shape[0]
    steps.add(
        *("scale", value, made.start, n),
        weight=steps.tensor(operation, "scale", 1.0, n),
        bias=steps.tensor(operation, "shift", 0.0, n),
        size=math.prod(made.shape[1:]),
    )
    return made


def _reshape(steps: Steps, operation: Operation, low: float) -> Placed:
    value = steps.values[operation.inputs[0]]
    return replace(value, shape=steps.shapes[operation.output])


def _select(steps: Steps, operation: Operation, low: float) -> Placed:
    value = steps.values[operation.inputs[0]]
    every = np.arange(math.prod(value.shape)) if value.picks is None else value.picks
    kept = steps.tensor(operation, "mask", 0.0, 0) != 0
    picks = every.reshape(value.shape)[kept].ravel()
    return replace(value, shape=steps.shapes[operation.output], picks=picks)


def _add(steps: Steps, operation: Operation, low: float) -> Placed:
    values = [steps.whole(steps.values[number]) for number in operation.inputs]
    made = steps.place(operation.output)
    first = values[0].start
    for value in values[1:]:
        steps.add("sum", first, made.start, math.prod(made.shape), other=value.start)
        first = made.start
    return made


def _concatenate(steps: Steps, operation: Operation, low: float) -> Placed:
    values = [steps.values[number] for number in operation.inputs]
    made = steps.place(operation.output)
    target = made.start
    for value in values:
        slots = steps.slots(value)
        steps.add("gather", value, target, len(slots), picks=slots)
        target += len(slots)
    return made


_MAKERS: dict[str, Callable[[Steps, Operation, float], Placed]] = {
    "linear": _linear,
    "conv2d": _conv2d,
    "max_pool2d": _pool,
    "avg_pool2d": _pool,
    "activation": _activation,
    "affine": _affine,
    "reshape": _reshape,
    "select": _select,
    "add": _add,
    "concatenate": _concatenate,
}
