"""A network as one file of C99, with its weights and without anything else."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from sksparse.serving._expansion import expanded
from sksparse.serving._lowering import lower
from sksparse.serving._network import Network, parts_of
from sksparse.serving._steps import Step
from sksparse.serving.export._c_data import Constants, as_float

#: Weights are stored by their places where at most this share of them is not zero.
_SPARSE = 0.5

#: What is made of ``x``.
_FUNCTIONS = {
    "clip": "x < {low} ? {low} : x > {high} ? {high} : x",
    "leaky_relu": "x > 0.0f ? x : {low} * x",
    "elu": "x > 0.0f ? x : {low} * expm1f(x)",
    "gelu": "0.5f * x * (1.0f + erff(x * 0.707106781f))",
    "gelu_tanh": "0.5f * x * (1.0f + tanhf(0.797884561f * (x + 0.044715f * x * x * x)))",
    "silu": "x / (1.0f + expf(-x))",
    "sigmoid": "1.0f / (1.0f + expf(-x))",
    "tanh": "tanhf(x)",
    "softplus": "x > 0.0f ? x + log1pf(expf(-x)) : log1pf(expf(x))",
}


def to_c(network: Network, path: str | os.PathLike[str], *, name: str = "network") -> None:
    """Write a network as a file of C99 that needs no library, for microcontrollers for example.

    The file holds the weights as constants, in sparse layers only those that are not zero, and by
    a codebook where a layer has at most 256 distinct ones. Its function allocates nothing and
    keeps no state::

        void network(const float *input, float *output, float *work);

    ``input`` has ``NETWORK_INPUTS`` numbers, ``output`` ``NETWORK_OUTPUTS``, and ``work`` is room
    for ``NETWORK_WORK`` numbers, whose contents do not matter. Functions of ``math.h`` are called
    only by activations that need them.

    Parameters
    ----------
    network : object
        A ``Predictor`` or a compressed network.
    path : str or path-like
        The file, which is written over.
    name : str, default="network"
        The name of the function, and in capitals the beginning of the names of the sizes.

    Raises
    ------
    ValueError
        Where the name is no identifier of C, or `network` is something else.

    Notes
    -----
    Outputs are those of the network: scores before softmax for classes.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from sksparse.serving import Operation, Predictor, Program, to_c
    >>> program = Program((2,), (Operation("linear", (0,), 1, {"weight": "w"}),), 1)
    >>> predictor = Predictor(program, {"w": np.array([[1.0, 0.0], [0.0, -1.0], [0.0, 0.0]])})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     to_c(predictor, Path(folder) / "network.c")
    ...     text = (Path(folder) / "network.c").read_text()
    >>> print(*[line for line in text.splitlines() if line.startswith("#define")], sep="\\n")
    #define NETWORK_INPUTS 2
    #define NETWORK_OUTPUTS 3
    #define NETWORK_WORK 5
    """
    Path(path).write_text(c_code(network, name), encoding="ascii")


def c_code(network: Network, name: str) -> str:
    """The text of the file of ``to_c``."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,60}", name):
        raise ValueError(f"name={name!r} must be letters, digits and underscores, as in C.")
    steps = lower(*expanded(*parts_of(network)))
    constants = Constants(name)
    body = [_WRITERS[step.kind](step, constants) for step in steps.steps]
    n_inputs, n_outputs = len(steps.read), int(np.prod(steps.output_shape))
    copy_in = _loop("i", n_inputs, ["work[i] = input[i];"])
    copy_out = _loop("i", n_outputs, [f"output[i] = work[{steps.output} + i];"])
    code = "\n".join([copy_in, *body, copy_out])
    includes = ["#include <stdint.h>"]
    if re.search(r"\b(expf|expm1f|erff|tanhf|log1pf)\(|INFINITY", code):
        includes.append("#include <math.h>")
    sizes = {"INPUTS": n_inputs, "OUTPUTS": n_outputs, "WORK": steps.n_slots}
    return "\n".join(
        [
            "/* Written by sksparse. C99; nothing is allocated. */",
            *includes,
            "",
            *(f"#define {name.upper()}_{key} {value}" for key, value in sizes.items()),
            "",
            *constants.lines,
            "",
            f"void {name}(const float *input, float *output, float *work);",
            "",
            f"void {name}(const float *input, float *output, float *work)",
            "{",
            _indented(code),
            "}",
            "",
        ]
    )


def _indented(code: str) -> str:
    return "\n".join(f"  {line}" if line else line for line in code.splitlines())


def _loop(variable: str, n: int | str, body: list[str], first: int | str = 0) -> str:
    head = f"for (int32_t {variable} = {first}; {variable} < {n}; {variable}++) {{"
    return "\n".join([head, *map(_indented, body), "}"])


def _positions(step: Step, body: list[str]) -> str:
    """What is done at each position of a map; ``at`` is its number, ``from`` what it reads."""
    if step.map.height * step.map.width == 1:
        return "\n".join(["{", _indented(f"const float *from = work + {step.source};"),
                          *map(_indented, body), "}"])  # fmt: skip
    there = f"y * {step.map.down} + x * {step.map.right}"
    lines = [
        f"const float *from = work + {step.source} + {there};",
        f"const int32_t at = y * {step.map.width} + x;",
        *body,
    ]
    return _loop("y", step.map.height, [_loop("x", step.map.width, lines)])


def _product(step: Step, constants: Constants) -> str:
    what = f"{step.units} units that read {len(step.picks)} values each"
    bias = constants.floats(step.bias, f"biases of {what}")
    n_positions = step.map.height * step.map.width
    at = "u" if n_positions == 1 else f"u * {n_positions} + at"
    if np.count_nonzero(step.weight) <= _SPARSE * step.weight.size:
        rows, columns = np.nonzero(step.weight)
        counts = np.bincount(rows, minlength=step.units)
        starts = constants.indices(np.concatenate([[0], np.cumsum(counts)]), f"starts of {what}")
        picks = f"{constants.indices(step.picks[columns], f'places of {what}')}[k]"
        weight = constants.weights(step.weight[rows, columns], f"weights of {what}")
        first, last = f"{starts}[u]", f"{starts}[u + 1]"
    else:
        weight = constants.weights(step.weight, f"weights of {what}")
        size = len(step.picks)
        first, last = f"u * {size}", f"(u + 1) * {size}"
        place = f"k - u * {size}"
        is_run = bool((np.diff(step.picks) == 1).all()) and step.picks[0] == 0
        picks = (
            place if is_run else f"{constants.indices(step.picks, f'places of {what}')}[{place}]"
        )
    total = f"sum < {as_float(step.low)} ? {as_float(step.low)} : sum"
    lines = [
        f"float sum = {bias}[u];",
        _loop("k", last, [f"sum += {weight} * from[{picks}];"], first),
        f"work[{step.target} + {at}] = {total if np.isfinite(step.low) else 'sum'};",
    ]
    return _positions(step, [_loop("u", step.units, lines)])


def _gather(step: Step, constants: Constants) -> str:
    places = constants.indices(step.picks, "places of values that are moved")
    value = f"work[{step.source} + {places}[i]]"
    if (step.picks < 0).any():
        fill = as_float(step.low) if np.isfinite(step.low) else "-INFINITY"
        value = f"{places}[i] < 0 ? {fill} : {value}"
    return _loop("i", step.units, [f"work[{step.target} + i] = {value};"])


def _pool(step: Step, constants: Constants) -> str:
    places = constants.indices(step.picks, "places of a window")
    n_positions = step.map.height * step.map.width
    value = f"from[c * {step.map.channel} + {places}[k]]"
    at = "0" if n_positions == 1 else "at"
    if step.kind == "mean":
        shares = constants.floats(step.weight, "shares of the positions of windows")
        lines = [
            "float sum = 0.0f;",
            _loop("k", len(step.picks), [f"sum += {value};"]),
            f"work[{step.target} + c * {n_positions} + {at}] = sum * {shares}[{at}];",
        ]
    else:
        lines = [
            f"float most = {value.replace('[k]', '[0]')};",
            _loop("k", len(step.picks), [f"if ({value} > most) most = {value};"], 1),
            f"work[{step.target} + c * {n_positions} + {at}] = most;",
        ]
    return _positions(step, [_loop("c", step.units, lines)])


def _scale(step: Step, constants: Constants) -> str:
    factors = constants.floats(step.weight, "factors of channels")
    shifts = constants.floats(step.bias, "shifts of channels")
    place = f"c * {step.size} + i"
    value = f"work[{step.source} + {place}] * {factors}[c] + {shifts}[c]"
    line = f"work[{step.target} + {place}] = {value};"
    return _loop("c", step.units, [_loop("i", step.size, [line])])


def _sum(step: Step, constants: Constants) -> str:
    line = f"work[{step.target} + i] = work[{step.source} + i] + work[{step.other} + i];"
    return _loop("i", step.units, [line])


def _apply(step: Step, constants: Constants) -> str:
    expression = _FUNCTIONS[step.function].format(low=_bound(step.low), high=_bound(step.high))
    lines = [
        f"const float x = work[{step.source} + i];",
        f"work[{step.target} + i] = {expression};",
    ]
    return _loop("i", step.units, lines)


def _bound(value: float) -> str:
    if np.isfinite(value):
        return as_float(value)
    return "INFINITY" if value > 0 else "-INFINITY"


_WRITERS: dict[str, Callable[[Step, Constants], str]] = {
    "product": _product,
    "gather": _gather,
    "largest": _pool,
    "mean": _pool,
    "scale": _scale,
    "sum": _sum,
    "apply": _apply,
}
