"""The kinds of operations of a program: what each takes, and the shape of what it makes.

Shapes are those of one row. Images have channels first: (n_channels, height, width).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Shape = tuple[int, ...]
Options = Mapping[str, Any]
Shapes = Mapping[str, Shape]

#: No value of one row has more numbers than this: 256 MB of them.
MOST_NUMBERS = 2**26

#: Axes of a value at most.
MOST_AXES = 8

#: The functions that an operation ``activation`` may name, each with its parameters.
ACTIVATIONS: dict[str, tuple[str, ...]] = {
    "relu": (),
    "leaky_relu": ("slope",),
    "elu": ("alpha",),
    "gelu": (),
    "gelu_tanh": (),
    "silu": (),
    "sigmoid": (),
    "tanh": (),
    "softplus": (),
    "clip": ("low", "high"),
}


@dataclass(frozen=True)
class Option:
    """What an option of an operation may be.

    Parameters
    ----------
    is_valid : callable
        Says so of a value.
    wanted : str
        What it must be, for messages.
    default : object, default=None
        What holds where it is left out.
    is_required : bool, default=True
        Whether it must be given.
    """

    is_valid: Callable[[Any], bool]
    wanted: str
    default: Any = None
    is_required: bool = True


@dataclass(frozen=True)
class Kind:
    """A kind of operation.

    Parameters
    ----------
    shape : callable
        Takes options, shapes of the inputs and shapes of the tensors by role, and returns the
        shape of what the operation makes. Raises ValueError with what does not fit.
    required, optional : tuple of str, default=()
        The roles of its tensors.
    options : dict of str to Option, default={}
        Its options.
    n_inputs : range, default=range(1, 2)
        How many values it reads.
    """

    shape: Callable[[Options, Sequence[Shape], Shapes], Shape]
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    options: dict[str, Option] = field(default_factory=dict)
    n_inputs: range = range(1, 2)


def is_whole(value: Any, least: int, most: int) -> bool:
    """Whether a value is a whole number between two."""
    return type(value) is int and least <= value <= most


def is_shape(value: Any) -> bool:
    """Whether a value is the shape of something that is not too large."""
    if type(value) not in (list, tuple) or not 1 <= len(value) <= MOST_AXES:
        return False
    sizes_fit = all(is_whole(item, 1, MOST_NUMBERS) for item in value)
    return sizes_fit and math.prod(value) <= MOST_NUMBERS


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= 1e30


def _pairs(least: int, default: tuple[int, int] | None = None) -> Option:
    """Two whole numbers, for height and width."""

    def is_valid(value: Any) -> bool:
        if type(value) not in (list, tuple) or len(value) != 2:
            return False
        return all(is_whole(item, least, 2**15) for item in value)

    wanted = f"two whole numbers from {least} to {2**15}"
    return Option(is_valid, wanted, default, is_required=default is None)


def _need(is_met: bool, what: str) -> None:
    if not is_met:
        raise ValueError(what)


def _need_shape(tensors: Shapes, role: str, shape: Shape) -> None:
    if role in tensors:
        _need(tensors[role] == shape, f"its {role} has shape {tensors[role]} and not {shape}")


def _linear(options: Options, inputs: Sequence[Shape], tensors: Shapes) -> Shape:
    weight = tensors["weight"]
    _need(len(weight) == 2, f"its weight has shape {weight} and not two axes")
    _need(inputs[0] == weight[1:], f"it reads shape {inputs[0]}, its weight has shape {weight}")
    _need_shape(tensors, "bias", weight[:1])
    return weight[:1]


def _hashed_linear(options: Options, inputs: Sequence[Shape], tensors: Shapes) -> Shape:
    values, size = tensors["values"], options["size"]
    _need(len(values) == 2 and values[0] == 1, f"its values have shape {values} and not one row")
    _need(len(inputs[0]) == 1, f"it reads shape {inputs[0]}, not a row of numbers")
    n_virtual = size * (inputs[0][0] + 1)
    _need(n_virtual <= MOST_NUMBERS, f"it stands for a matrix of {n_virtual} numbers")
    return (size,)


def _affine(options: Options, inputs: Sequence[Shape], tensors: Shapes) -> Shape:
    for role in ("scale", "shift"):
        _need_shape(tensors, role, inputs[0][:1])
    return inputs[0]


def _windows(options: Options, shape: Shape, kernel: Sequence[int]) -> Shape:
    """Height and width of a map of windows."""
    sizes = []
    for k in range(2):
        padded = shape[1 + k] + 2 * options["padding"][k]
        covered = options["dilation"][k] * (kernel[k] - 1) + 1
        _need(covered <= padded, f"its windows of {covered} do not fit in {padded} positions")
        sizes.append((padded - covered) // options["stride"][k] + 1)
    return tuple(sizes)


def _need_maps(shape: Shape) -> None:
    _need(len(shape) == 3, f"it reads shape {shape} and not (n_channels, height, width)")


def _conv2d(options: Options, inputs: Sequence[Shape], tensors: Shapes) -> Shape:
    weight, groups = tensors["weight"], options["groups"]
    _need(len(weight) == 4, f"its weight has shape {weight} and not four axes")
    _need_maps(inputs[0])
    _need(weight[0] % groups == 0, f"{weight[0]} channels do not fall into {groups} groups")
    _need(
        inputs[0][0] == weight[1] * groups,
        f"it reads shape {inputs[0]}, its weight has shape {weight} in {groups} groups",
    )
    _need_shape(tensors, "bias", weight[:1])
    return (weight[0], *_windows(options, inputs[0], weight[2:]))


def _pool2d(options: Options, inputs: Sequence[Shape], tensors: Shapes) -> Shape:
    _need_maps(inputs[0])
    kernel = options["kernel"]
    # a window then meets the map, so that it has a maximum and a mean
    for k in range(2):
        _need(2 * options["padding"][k] <= kernel[k], "it pads by more than half its windows")
    return (inputs[0][0], *_windows({"dilation": (1, 1), **options}, inputs[0], kernel))


def _activation(options: Options, inputs: Sequence[Shape], tensors: Shapes) -> Shape:
    name, wanted = options["name"], ACTIVATIONS[options["name"]]
    found = tuple(sorted(set(options) - {"name"}))
    _need(found == tuple(sorted(wanted)), f"{name!r} has parameters {wanted}, not {found}")
    return inputs[0]


def _reshape(options: Options, inputs: Sequence[Shape], tensors: Shapes) -> Shape:
    shape = tuple(options["shape"])
    _need(
        math.prod(shape) == math.prod(inputs[0]), f"shape {inputs[0]} does not become shape {shape}"
    )
    return shape


def _select(options: Options, inputs: Sequence[Shape], tensors: Shapes) -> Shape:
    _need_shape(tensors, "mask", inputs[0][:1])
    _need(options["size"] <= inputs[0][0], f"{options['size']} of {inputs[0][0]} cannot be kept")
    return (options["size"], *inputs[0][1:])


def _add(options: Options, inputs: Sequence[Shape], tensors: Shapes) -> Shape:
    _need(len(set(inputs)) == 1, f"it adds values of shapes {tuple(inputs)}")
    return inputs[0]


def _concatenate(options: Options, inputs: Sequence[Shape], tensors: Shapes) -> Shape:
    rest = {shape[1:] for shape in inputs}
    _need(len(rest) == 1, f"it joins values of shapes {tuple(inputs)}")
    return (sum(shape[0] for shape in inputs), *rest.pop())


_NUMBER = Option(_is_number, "a number from -1e30 to 1e30", is_required=False)
_PARAMETERS = {name: _NUMBER for names in ACTIVATIONS.values() for name in names}
_POOLING = {"kernel": _pairs(1), "stride": _pairs(1), "padding": _pairs(0, (0, 0))}
_NAME = Option(
    lambda value: type(value) is str and value in ACTIVATIONS, f"one of {', '.join(ACTIVATIONS)}"
)
_SIZE = Option(lambda value: is_whole(value, 1, MOST_NUMBERS), "a whole number from 1 on")
_FLAG = Option(lambda value: type(value) is bool, "true or false", True, is_required=False)
_SHAPE = Option(is_shape, f"up to {MOST_AXES} whole numbers with a product up to {MOST_NUMBERS}")
_SEED = Option(lambda value: is_whole(value, 0, 2**32 - 1), "a whole number below 2**32")
_CONVOLUTION = {
    "stride": _pairs(1, (1, 1)),
    "padding": _pairs(0, (0, 0)),
    "dilation": _pairs(1, (1, 1)),
    "groups": Option(_SIZE.is_valid, _SIZE.wanted, 1, is_required=False),
}

#: The kinds by name.
KINDS: dict[str, Kind] = {
    "linear": Kind(_linear, ("weight",), ("bias",)),
    "hashed_linear": Kind(_hashed_linear, ("values",), options={"size": _SIZE, "seed": _SEED}),
    "conv2d": Kind(_conv2d, ("weight",), ("bias",), _CONVOLUTION),
    "max_pool2d": Kind(_pool2d, options=_POOLING),
    "avg_pool2d": Kind(_pool2d, options={**_POOLING, "counts_padding": _FLAG}),
    "activation": Kind(_activation, options={"name": _NAME, **_PARAMETERS}),
    "affine": Kind(_affine, optional=("scale", "shift")),
    "reshape": Kind(_reshape, options={"shape": _SHAPE}),
    "select": Kind(_select, ("mask",), options={"size": _SIZE}),
    "add": Kind(_add, n_inputs=range(2, 65)),
    "concatenate": Kind(_concatenate, n_inputs=range(2, 65)),
}
