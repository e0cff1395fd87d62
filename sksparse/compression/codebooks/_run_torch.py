"""A program run by torch, for gradients by its tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from sksparse._hashing import signed_buckets
from sksparse.serving import Operation, Program

Tensors = Mapping[str, Tensor]


def run_torch(program: Program, tensors: Tensors, X: Tensor) -> Tensor:
    """Outputs for rows of X, which can be differentiated by the tensors.

    Parameters
    ----------
    program : Program
        A program that fits the tensors.
    tensors : mapping of str to torch.Tensor
        Tensors by name.
    X : torch.Tensor of shape (n_rows, ...)
        The rows.

    Returns
    -------
    outputs : torch.Tensor of shape (n_rows, ...)
        The value that is the output.
    """
    values = [X]
    for operation in program.operations:
        inputs = [values[number] for number in operation.inputs]
        by_role = {role: tensors[name] for role, name in operation.tensors.items()}
        values.append(_RUNNERS[operation.kind](operation, inputs, by_role))
    return values[program.output]


def _linear(operation: Operation, inputs: Sequence[Tensor], tensors: Tensors) -> Tensor:
    return functional.linear(inputs[0], tensors["weight"], tensors.get("bias"))


def _hashed_linear(operation: Operation, inputs: Sequence[Tensor], tensors: Tensors) -> Tensor:
    n, size = inputs[0].shape[1], operation.options["size"]
    values = tensors["values"][0]
    seed = operation.options["seed"]
    buckets = torch.from_numpy(signed_buckets(size, n + 1, len(values), seed))
    both = torch.cat([values, -values])
    matrix = both.index_select(0, buckets.reshape(-1)).view(size, n + 1)
    return functional.linear(inputs[0], matrix[:, :-1], matrix[:, -1])


def _conv2d(operation: Operation, inputs: Sequence[Tensor], tensors: Tensors) -> Tensor:
    return functional.conv2d(
        inputs[0], tensors["weight"], tensors.get("bias"), **operation.settings
    )


def _max_pool2d(operation: Operation, inputs: Sequence[Tensor], tensors: Tensors) -> Tensor:
    kernel, stride, padding = _windows(operation)
    return functional.max_pool2d(inputs[0], kernel, stride, padding)


def _avg_pool2d(operation: Operation, inputs: Sequence[Tensor], tensors: Tensors) -> Tensor:
    kernel, stride, padding = _windows(operation)
    counts = operation.settings["counts_padding"]
    return functional.avg_pool2d(inputs[0], kernel, stride, padding, count_include_pad=counts)


def _windows(operation: Operation) -> list[tuple[int, int]]:
    return [operation.settings[name] for name in ("kernel", "stride", "padding")]


_FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "relu": functional.relu,
    "leaky_relu": lambda x, slope: functional.leaky_relu(x, slope),
    "elu": lambda x, alpha: functional.elu(x, alpha),
    "gelu": functional.gelu,
    "gelu_tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "silu": functional.silu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "softplus": functional.softplus,
    "clip": lambda x, low, high: torch.clamp(x, low, high),
}


def _activation(operation: Operation, inputs: Sequence[Tensor], tensors: Tensors) -> Tensor:
    parameters = dict(operation.settings)
    return _FUNCTIONS[parameters.pop("name")](inputs[0], **parameters)


def _affine(operation: Operation, inputs: Sequence[Tensor], tensors: Tensors) -> Tensor:
    x = inputs[0]
    by_channel = (-1, *[1] * (x.ndim - 2))
    if "scale" in tensors:
        x = x * tensors["scale"].reshape(by_channel)
    return x + tensors["shift"].reshape(by_channel) if "shift" in tensors else x


def _reshape(operation: Operation, inputs: Sequence[Tensor], tensors: Tensors) -> Tensor:
    return inputs[0].reshape(len(inputs[0]), *operation.settings["shape"])


def _select(operation: Operation, inputs: Sequence[Tensor], tensors: Tensors) -> Tensor:
    return inputs[0][:, tensors["mask"] != 0]


def _add(operation: Operation, inputs: Sequence[Tensor], tensors: Tensors) -> Tensor:
    return sum(inputs[1:], inputs[0])


def _concatenate(operation: Operation, inputs: Sequence[Tensor], tensors: Tensors) -> Tensor:
    return torch.cat(list(inputs), dim=1)


_RUNNERS: dict[str, Callable[[Operation, Sequence[Tensor], Tensors], Tensor]] = {
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
