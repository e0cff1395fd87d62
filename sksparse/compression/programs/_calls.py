"""The operations that functions and methods of tensors stand for."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import fx

from sksparse._typing import Array
from sksparse.compression.programs import _layers as layers
from sksparse.compression.programs._writer import CannotRunError, ProgramWriter

Rule = Callable[[ProgramWriter, fx.Node], int]


def _sum(sign: float) -> Rule:
    """Two values, or a value and numbers, of which the second has the sign."""

    def rule(writer: ProgramWriter, node: fx.Node) -> int:
        if dict(node.kwargs).get("alpha", 1) != 1 or len(node.args) != 2:
            raise CannotRunError("it has the argument alpha")
        first, second = node.args
        if writer.is_value(first) and writer.is_value(second):
            other = writer.number(second)
            if sign < 0:
                other = writer.affine(other, np.array(sign), None, node.name)
            return writer.add("add", (writer.number(first), other))
        if writer.is_value(first):
            shift = sign * _of_row(writer, second)
            return writer.affine(writer.number(first), None, shift, node.name)
        scale = None if sign > 0 else np.array(sign)
        return writer.affine(writer.number(second), scale, _of_row(writer, first), node.name)

    return rule


def _product(writer: ProgramWriter, node: fx.Node) -> int:
    first, second = node.args
    if writer.is_value(second):
        first, second = second, first
    if writer.is_value(second):
        raise CannotRunError("it multiplies two values")
    return writer.affine(writer.number(first), _of_row(writer, second), None, node.name)


def _quotient(writer: ProgramWriter, node: fx.Node) -> int:
    first, second = node.args
    if writer.is_value(second) or dict(node.kwargs).get("rounding_mode") is not None:
        raise CannotRunError("it divides by a value")
    scale = 1.0 / _of_row(writer, second)
    return writer.affine(writer.number(first), scale, None, node.name)


def _of_row(writer: ProgramWriter, argument: Any) -> Array:
    """Numbers that stand beside a row, without an axis of rows."""
    array = writer.constant(argument)
    if array.ndim and array.shape[0] == 1 and array.ndim > 1:
        return np.asarray(array[0])
    return array


def _arguments(node: fx.Node, names: str, **defaults: Any) -> dict[str, Any]:
    """The arguments of a call by name."""
    given: dict[str, Any] = dict(zip(names.split(), node.args, strict=False))
    given.update(node.kwargs)
    if len(node.args) > len(names.split()) or set(given) - {*names.split(), "inplace", "training"}:
        raise CannotRunError("it has other arguments than those that are run")
    return {**defaults, **{name: value for name, value in given.items() if value is not None}}


def _function(name: str, names: str = "input", **defaults: float) -> Rule:
    def rule(writer: ProgramWriter, node: fx.Node) -> int:
        found = _arguments(node, names, **defaults)
        parameters = {key: found[key] for key in defaults}
        return layers.activation(writer, writer.number(found["input"]), name, **parameters)

    return rule


def _clip(writer: ProgramWriter, node: fx.Node) -> int:
    found = _arguments(node, "input min max", min=-1e30, max=1e30)
    return layers.activation(
        writer, writer.number(found["input"]), "clip", low=found["min"], high=found["max"]
    )


def _leaky_relu(writer: ProgramWriter, node: fx.Node) -> int:
    found = _arguments(node, "input negative_slope", negative_slope=0.01)
    slope = found["negative_slope"]
    return layers.activation(writer, writer.number(found["input"]), "leaky_relu", slope=slope)


def _softplus(writer: ProgramWriter, node: fx.Node) -> int:
    found = _arguments(node, "input beta threshold")
    return layers.softplus(writer, writer.number(found.pop("input")), **found)


def _gelu(writer: ProgramWriter, node: fx.Node) -> int:
    found = _arguments(node, "input approximate")
    return layers.gelu(writer, writer.number(found.pop("input")), **found)


def _same(writer: ProgramWriter, node: fx.Node) -> int:
    """What does nothing in evaluation, or changes nothing but the type or the memory."""
    return writer.number(node.args[0] if node.args else node.kwargs["input"])


def _reshape(writer: ProgramWriter, node: fx.Node) -> int:
    number, shape = _same(writer, node), node.meta["shape"]
    source: Any = node.args[0] if node.args else node.kwargs["input"]
    if not shape or shape[0] != source.meta["shape"][0]:
        raise CannotRunError("it does not keep the axis of rows")
    return writer.reshape(number, shape[1:])


def _concatenate(writer: ProgramWriter, node: fx.Node) -> int:
    found = _arguments(node, "tensors dim", dim=0)
    numbers = [writer.number(each) for each in found["tensors"]]
    if found["dim"] % (len(writer.shape(numbers[0])) + 1) != 1:
        raise CannotRunError("it joins along another axis than the first of a row")
    return writer.add("concatenate", numbers)


def _pool(kind: str, n_axes: int) -> Rule:
    def rule(writer: ProgramWriter, node: fx.Node) -> int:
        if kind == "avg_pool2d":
            names = "input kernel_size stride padding ceil_mode count_include_pad divisor_override"
        else:
            names = "input kernel_size stride padding dilation ceil_mode return_indices"
        found = _arguments(node, names, stride=None, padding=0, count_include_pad=True)
        if found.get("ceil_mode") or found.get("divisor_override"):
            raise CannotRunError("it has ceil_mode or divisor_override")
        if layers.pair(found.get("dilation", 1)) != (1, 1):
            raise CannotRunError("it has dilation")
        options = {}
        if kind == "avg_pool2d":
            options["counts_padding"] = bool(found["count_include_pad"])
        sizes = found["kernel_size"], found["stride"], found["padding"]
        return layers.pool(writer, writer.number(found["input"]), kind, n_axes, *sizes, **options)

    return rule


def _adaptive(kind: str, n_axes: int) -> Rule:
    def rule(writer: ProgramWriter, node: fx.Node) -> int:
        found = _arguments(node, "input output_size return_indices", output_size=None)
        number = writer.number(found["input"])
        return layers.adaptive_pool(writer, number, kind, n_axes, found["output_size"])

    return rule


def _mean(writer: ProgramWriter, node: fx.Node) -> int:
    """The mean of whole maps."""
    found = _arguments(node, "input dim keepdim", keepdim=False)
    number = writer.number(found["input"])
    shape, axes = writer.shape(number), found.get("dim", ())
    n = len(shape) + 1
    if len(shape) != 3 or sorted(k % n for k in np.atleast_1d(axes).tolist()) != [2, 3]:
        raise CannotRunError("it takes a mean of something else than whole maps")
    made = writer.add("avg_pool2d", (number,), kernel=shape[1:], stride=shape[1:])
    return made if found["keepdim"] else writer.reshape(made, shape[:1])


def _linear(writer: ProgramWriter, node: fx.Node) -> int:
    found = _arguments(node, "input weight bias", bias=None)
    bias = None if found["bias"] is None else writer.constant(found["bias"])
    weight = writer.constant(found["weight"])
    return layers.linear(writer, writer.number(found["input"]), node.name, weight, bias)


def _convolution(writer: ProgramWriter, node: fx.Node) -> int:
    names = "input weight bias stride padding dilation groups"
    found = _arguments(node, names, bias=None, stride=1, padding=0, dilation=1, groups=1)
    bias = None if found["bias"] is None else writer.constant(found["bias"])
    weight = writer.constant(found["weight"])
    options = (found[name] for name in ("stride", "padding", "dilation", "groups"))
    number = writer.number(found["input"])
    return layers.convolution(writer, number, node.name, weight, bias, *options)


_ADD, _SUBTRACT = _sum(1.0), _sum(-1.0)

#: Rules for functions and, by their names, for methods of tensors.
CALLS: dict[Any, Rule] = {
    **dict.fromkeys((operator.add, operator.iadd, torch.add, "add", "add_"), _ADD),
    **dict.fromkeys((operator.sub, operator.isub, torch.sub, "sub", "sub_"), _SUBTRACT),
    **dict.fromkeys((operator.mul, operator.imul, torch.mul, "mul", "mul_"), _product),
    **dict.fromkeys((operator.truediv, operator.itruediv, torch.div, "div", "div_"), _quotient),
    **dict.fromkeys((torch.relu, torch.relu_, F.relu, "relu", "relu_"), _function("relu")),
    **dict.fromkeys((torch.sigmoid, F.sigmoid, "sigmoid", "sigmoid_"), _function("sigmoid")),
    **dict.fromkeys((torch.tanh, F.tanh, "tanh", "tanh_"), _function("tanh")),
    **dict.fromkeys((torch.clamp, torch.clip, "clamp", "clip"), _clip),
    **dict.fromkeys((torch.flatten, torch.reshape, torch.squeeze, torch.unsqueeze), _reshape),
    **dict.fromkeys(("flatten", "reshape", "view", "squeeze", "unsqueeze", "unflatten"), _reshape),
    **dict.fromkeys((torch.cat, torch.concat, torch.concatenate), _concatenate),
    **dict.fromkeys((F.dropout, F.dropout1d, F.dropout2d, F.alpha_dropout), _same),
    **dict.fromkeys(("contiguous", "float", "clone", "detach"), _same),
    **dict.fromkeys((F.max_pool1d, torch.max_pool1d), _pool("max_pool2d", 1)),
    **dict.fromkeys((F.max_pool2d, torch.max_pool2d), _pool("max_pool2d", 2)),
    **dict.fromkeys((torch.mean, "mean"), _mean),
    F.silu: _function("silu"),
    F.gelu: _gelu,
    F.softplus: _softplus,
    F.leaky_relu: _leaky_relu,
    F.elu: _function("elu", "input alpha", alpha=1.0),
    F.avg_pool1d: _pool("avg_pool2d", 1),
    F.avg_pool2d: _pool("avg_pool2d", 2),
    F.adaptive_avg_pool1d: _adaptive("avg_pool2d", 1),
    F.adaptive_avg_pool2d: _adaptive("avg_pool2d", 2),
    F.linear: _linear,
    F.conv1d: _convolution,
    F.conv2d: _convolution,
}
