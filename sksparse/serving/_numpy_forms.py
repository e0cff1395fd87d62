"""A program run by NumPy: what every other form must agree with, and what needs no compilation."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from sksparse._hashing import hashed_matrix
from sksparse._typing import Array
from sksparse.serving._kinds import Shape
from sksparse.serving._program import Operation, Program

#: Numbers that the windows of a convolution take at most, where rows can be taken apart: 64 MB.
_WINDOW_NUMBERS = 2**24

Tensors = Mapping[str, Array]


def run_numpy(program: Program, tensors: Tensors, X: Array) -> Array:
    """Outputs for rows of X, all in the precision of the tensors.

    Parameters
    ----------
    program : Program
        A program that fits the tensors.
    tensors : mapping of str to ndarray
        Tensors by name.
    X : ndarray of shape (n_rows, ...)
        The rows.

    Returns
    -------
    outputs : ndarray of shape (n_rows, ...)
        The value that is the output.
    """
    values: dict[int, Array] = {0: X}
    last = {number: op.output for op in program.operations for number in op.inputs}
    last[program.output] = len(program.operations) + 1
    with np.errstate(all="ignore"):
        for operation in program.operations:
            inputs = [values[number] for number in operation.inputs]
            by_role = {role: tensors[name] for role, name in operation.tensors.items()}
            values[operation.output] = _RUNNERS[operation.kind](operation, inputs, by_role)
            for number in [k for k in values if last.get(k, 0) <= operation.output]:
                del values[number]
    return values[program.output]


def window_shares(shape: Shape, settings: Mapping[str, Any]) -> Array:
    """One over the number of positions that each window of a mean counts.

    Parameters
    ----------
    shape : tuple of int
        Of the maps, without their padding.
    settings : mapping of str to object
        Of the operation.

    Returns
    -------
    shares : ndarray of shape (height, width)
        As float32, for each window.
    """
    (above, left), (height, width) = settings["padding"], shape[1:]
    counted = np.full((height + 2 * above, width + 2 * left), float(settings["counts_padding"]))
    counted[above : above + height, left : left + width] = 1.0
    return np.asarray(1.0 / _windows(counted, settings).sum(axis=(-2, -1)), dtype=np.float32)


def _windows(maps: Array, settings: Mapping[str, Any], kernel: Sequence[int] = ()) -> Array:
    """A view on the windows of maps, on two more axes."""
    (down, right), (y, x) = settings["stride"], settings.get("dilation", (1, 1))
    height, width = kernel or settings["kernel"]
    covered = (y * (height - 1) + 1, x * (width - 1) + 1)
    windows = sliding_window_view(maps, covered, (-2, -1))
    return windows[..., ::down, ::right, ::y, ::x]


def _padded(maps: Array, settings: Mapping[str, Any], fill: float) -> Array:
    (y, x) = settings["padding"]
    frame = ((0, 0), (0, 0), (y, y), (x, x))
    return np.pad(maps, frame, constant_values=fill) if y or x else maps


def _linear(operation: Operation, inputs: Sequence[Array], tensors: Tensors) -> Array:
    out = inputs[0] @ tensors["weight"].T
    if "bias" in tensors:
        out += tensors["bias"]
    return out


def _hashed_linear(operation: Operation, inputs: Sequence[Array], tensors: Tensors) -> Array:
    shape = operation.options["size"], inputs[0].shape[1] + 1
    matrix = hashed_matrix(tensors["values"][0], *shape, operation.options["seed"])
    return inputs[0] @ matrix[:, :-1].T + matrix[:, -1]


def _conv2d(operation: Operation, inputs: Sequence[Array], tensors: Tensors) -> Array:
    settings, weight = operation.settings, tensors["weight"]
    windows = _windows(_padded(inputs[0], settings, 0.0), settings, weight.shape[2:])
    n, _, height, width = windows.shape[:4]
    out = np.empty((n, len(weight), height, width), dtype=inputs[0].dtype)
    rows = max(1, _WINDOW_NUMBERS // math.prod(windows.shape[1:]))
    n_out, n_in = len(weight) // settings["groups"], weight.shape[1]
    for group in range(settings["groups"]):
        units = slice(group * n_out, (group + 1) * n_out)
        kernels = weight[units].reshape(n_out, -1).T
        for first in range(0, n, rows):
            part = windows[first : first + rows, group * n_in : (group + 1) * n_in]
            table = part.transpose(0, 2, 3, 1, 4, 5).reshape(-1, len(kernels))
            made = (table @ kernels).reshape(len(part), height, width, n_out)
            out[first : first + rows, units] = made.transpose(0, 3, 1, 2)
    if "bias" in tensors:
        out += tensors["bias"][:, None, None]
    return out


def _max_pool2d(operation: Operation, inputs: Sequence[Array], tensors: Tensors) -> Array:
    settings = operation.settings
    windows = _windows(_padded(inputs[0], settings, -np.inf), settings)
    return np.asarray(windows.max(axis=(-2, -1)))


def _avg_pool2d(operation: Operation, inputs: Sequence[Array], tensors: Tensors) -> Array:
    settings, maps = operation.settings, inputs[0]
    sums = _windows(_padded(maps, settings, 0.0), settings).sum(axis=(-2, -1))
    return np.asarray(sums * window_shares(maps.shape[1:], settings).astype(maps.dtype))


def _gelu(x: Array) -> Array:
    from scipy.special import erf

    return np.asarray(0.5 * x * (1.0 + erf(x * math.sqrt(0.5))))


def _gelu_tanh(x: Array) -> Array:
    inner = math.sqrt(2.0 / math.pi) * (x + 0.044715 * x * x * x)
    return np.asarray(0.5 * x * (1.0 + np.tanh(inner)))


def _sigmoid(x: Array) -> Array:
    return np.asarray(1.0 / (1.0 + np.exp(-x)))


_FUNCTIONS: dict[str, Callable[..., Array]] = {
    "relu": lambda x: np.maximum(x, 0.0),
    "leaky_relu": lambda x, slope: np.where(x > 0.0, x, slope * x),
    "elu": lambda x, alpha: np.where(x > 0.0, x, alpha * np.expm1(np.minimum(x, 0.0))),
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "silu": lambda x: x * _sigmoid(x),
    "sigmoid": _sigmoid,
    "tanh": np.tanh,
    "softplus": lambda x: np.logaddexp(x, 0.0),
    "clip": lambda x, low, high: np.clip(x, low, high),
}


def _activation(operation: Operation, inputs: Sequence[Array], tensors: Tensors) -> Array:
    parameters = dict(operation.settings)
    made = _FUNCTIONS[parameters.pop("name")](inputs[0], **parameters)
    return np.asarray(made, dtype=inputs[0].dtype)


def _affine(operation: Operation, inputs: Sequence[Array], tensors: Tensors) -> Array:
    x = inputs[0]
    by_channel = (-1, *[1] * (x.ndim - 2))
    if "scale" in tensors:
        x = x * tensors["scale"].reshape(by_channel)
    return x + tensors["shift"].reshape(by_channel) if "shift" in tensors else x


def _reshape(operation: Operation, inputs: Sequence[Array], tensors: Tensors) -> Array:
    return inputs[0].reshape(len(inputs[0]), *operation.settings["shape"])


def _select(operation: Operation, inputs: Sequence[Array], tensors: Tensors) -> Array:
    return np.ascontiguousarray(inputs[0][:, tensors["mask"] != 0])


def _add(operation: Operation, inputs: Sequence[Array], tensors: Tensors) -> Array:
    return np.asarray(sum(inputs[1:], inputs[0]))


def _concatenate(operation: Operation, inputs: Sequence[Array], tensors: Tensors) -> Array:
    return np.concatenate(inputs, axis=1)


_RUNNERS: dict[str, Callable[[Operation, Sequence[Array], Tensors], Array]] = {
    "linear": _linear,
    "hashed_linear": _hashed_linear,
    "conv2d": _conv2d,
    "max_pool2d": _max_pool2d,
    "avg_pool2d": _avg_pool2d,
    "activation": _activation,
    "affine": _affine,
    "reshape": _reshape,
    "select": _select,
    "add": _add,
    "concatenate": _concatenate,
}
