"""Functions of each unit by itself, of several tensors at the same positions, and over units."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import fx, nn

from sksparse.module_graph._value import OpenPart, Value
from sksparse.module_graph._walk import Walk

#: Functions that keep zeros where one of several parameters is zero.
_PLAIN = (operator.mul, torch.mul, "mul", "multiply", "contiguous", "clone", "to", "detach")


def values_in(argument: Any) -> Iterator[Value]:
    """All values in the arguments of a call."""
    if isinstance(argument, Value):
        yield argument
    elif isinstance(argument, dict):
        yield from values_in(list(argument.values()))
    elif isinstance(argument, tuple | list):
        for item in argument:
            yield from values_in(item)


def at_positions(walk: Walk, node: fx.Node, name: str, layer: Any, *args: Any, **kw: Any) -> Value:
    """A function of one or several tensors at the same positions: units there are one."""
    values = list(values_in((args, kw)))
    result = walk.combine(values, tuple(node.meta["shape"]), name)
    if result.parts:
        is_fixed = any(not v.parts and math.prod(v.shape) > 1 for v in values)
        if is_fixed or node.target not in _PLAIN:
            result.parts = [replace(part, is_computed=True) for part in result.parts]
        if is_fixed:
            walk.keep_values_whole([result], "a tensor of fixed width meets them")
    return result


def over_positions(n_axes: int) -> Any:
    """A rule for functions over the last axes, such as pooling, which must not be of units."""

    def result(walk: Walk, name: str, x: Value, shape: Any) -> Any:
        if not isinstance(shape, torch.Size):
            return tuple(result(walk, name, x, one) for one in shape)
        first = len(shape) - n_axes
        if x.stacked is not None or (x.axis is not None and x.axis >= first):
            walk.keep_values_whole([x], f"{name!r} runs over them")
            return Value(tuple(shape))
        parts = [_resized(part, x.shape, shape) for part in x.parts]
        return Value(tuple(shape), x.axis, x.units, parts=parts)

    def rule(walk: Walk, node: fx.Node, name: str, layer: Any, x: Value, *_: Any, **__: Any) -> Any:
        return result(walk, name, x, node.meta["shape"])

    return rule


def resized(walk: Walk, node: fx.Node, name: str, layer: Any, x: Value, *_: Any, **__: Any) -> Any:
    """A function that changes the size of some axes, such as padding and interpolation."""
    shape = node.meta["shape"]
    changed = [k for k, n in enumerate(shape) if n != x.shape[k]]
    if x.stacked is not None or x.axis in changed:
        walk.keep_values_whole([x], f"{name!r} runs over them")
        return Value(tuple(shape))
    parts = [_resized(part, x.shape, shape) for part in x.parts]
    return Value(tuple(shape), x.axis, x.units, parts=parts)


def _resized(part: OpenPart, before: tuple[int, ...], after: tuple[int, ...]) -> OpenPart:
    """Axes of another size no longer run through the source."""
    positions = part.positions
    for axis, (old, new) in enumerate(zip(before, after, strict=True)):
        if old != new:
            positions = positions.narrow(axis, 0, 1)
    return replace(part, moved=positions.expand(tuple(after)))


def over_axis(
    walk: Walk, node: fx.Node, name: str, layer: Any, x: Value, *a: Any, **kw: Any
) -> Any:
    """A function along one axis that keeps all shapes, such as a softmax."""
    dim = layer.dim if layer is not None else kw.get("dim", a[0] if a else None)
    along = None if dim is None else dim % len(x.shape)
    if x.stacked is not None or x.axis == along or along is None:
        walk.keep_values_whole([x], f"{name!r} runs over them")
    elif x.parts:
        walk.keep_values_whole([x], f"{name!r} runs over them")
        return Value(x.shape)
    return replace(x, parts=[])


def gate(walk: Walk, node: fx.Node, name: str, layer: Any, x: Value, dim: int = -1) -> Value:
    """One half of an axis multiplied by a function of the other half."""
    along = (dim if layer is None else layer.dim) % len(x.shape)
    if x.stacked is not None or x.axis in (along, None):
        walk.obstruct(node, f"{name!r} picks units by their position", x.all_units)
        return Value(tuple(node.meta["shape"]))
    return x.like(node.meta["shape"])


def reduce(walk: Walk, node: fx.Node, name: str, layer: Any, x: Value, *a: Any, **kw: Any) -> Any:
    """A sum, mean or maximum over some axes."""
    shape = node.meta["shape"]
    if not isinstance(shape, torch.Size):
        return tuple(_reduced(walk, name, x, tuple(one), a, kw) for one in shape)
    return _reduced(walk, name, x, tuple(shape), a, kw)


def _reduced(walk: Walk, name: str, x: Value, shape: tuple[int, ...], args: Any, kw: Any) -> Value:
    given = kw.get("dim", kw.get("axis", args[0] if args else None))
    if isinstance(given, Value):
        return walk.combine([x, given], shape, name)  # a maximum of two tensors
    n = len(x.shape)
    dims = range(n) if given is None else given if isinstance(given, tuple | list) else (given,)
    gone = sorted(dim % n for dim in dims) if n else []
    if x.stacked is not None:
        left = [k for k in x.axes if k not in gone]
        x = walk.collapse(x, left[-1]) if left else x
    if x.axis is None or x.axis in gone:
        walk.keep_values_whole([x], f"{name!r} runs over them")
        return Value(shape)
    if len(shape) == n:
        return x.like(shape)
    return x.like(shape, x.axis - sum(k < x.axis for k in gone))


def concatenate(
    walk: Walk, node: fx.Node, name: str, layer: Any, values: Any, dim: int = 0, **kw: Any
) -> Value:
    """Values side by side: along the axis of units, or along another one where units are one."""
    shape = tuple(node.meta["shape"])
    axis = kw.get("axis", dim) % len(shape)
    values = [v for v in values if math.prod(v.shape)]
    if all(v.is_input and v.axis is None for v in values):
        return Value(shape, axis, np.concatenate([walk.read(v, axis) for v in values]))
    if any(v.stacked is not None for v in values):
        if all(v.stacked is not None or v.axis is not None for v in values):
            return _joined(walk, torch.cat, values, axis)
        values = [v if v.stacked is None else walk.collapse(v, len(shape) - 1) for v in values]
    axes = {v.axis for v in values if v.axis is not None}
    if len(axes) != 1:
        walk.keep_values_whole(values, f"{name!r} joins them along another axis")
        return Value(shape)
    (of_units,) = axes
    if of_units == axis:
        return Value(shape, axis, np.concatenate([walk.read(v, axis) for v in values]))
    main = next(v for v in values if v.axis is not None)
    for other in values:
        if other is not main:
            walk.meet(other, of_units, main.units, name, "scales")
    return main.like(shape)


def stack(walk: Walk, node: fx.Node, name: str, layer: Any, values: Any, dim: int = 0) -> Value:
    """Values one above the other on a new axis."""
    shape = tuple(node.meta["shape"])
    if len({v.axis for v in values}) != 1 or values[0].axis is None:
        walk.keep_values_whole(values, f"{name!r} joins them")
        return Value(shape)
    return _joined(walk, torch.stack, values, dim)


def _joined(walk: Walk, join: Any, values: list[Value], dim: int) -> Value:
    """Values with units of their own in one tensor."""
    longer = [[m != n for m, n in zip(v.doubled_shape, v.shape, strict=True)] for v in values]
    doubled = [labels for v in values if (labels := v.doubled_labels()) is not None]
    is_known = len(doubled) == len(values) and all(one == longer[0] for one in longer)
    labels = join([v.labels() for v in values], dim)
    return walk.value_of(labels, join(doubled, dim) if is_known else None)


def constant(walk: Walk, node: fx.Node, name: str, layer: Any, *_: Any, **__: Any) -> Value:
    """A new tensor that has no units."""
    return Value(tuple(node.meta["shape"]))


def keep(walk: Walk, node: fx.Node, name: str, layer: Any, *args: Any, **kw: Any) -> Any:
    """A known function that mixes units: they are kept, and its results have none."""
    values = list(values_in((args, kw)))
    walk.keep_values_whole(values, f"{name!r} mixes them")
    shape = node.meta["shape"]
    if isinstance(shape, torch.Size):
        return Value(tuple(shape))
    return tuple(Value(tuple(one)) for one in shape)


ELEMENTWISE_LAYERS = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.RReLU),
    *(nn.Mish, nn.Tanh, nn.Sigmoid, nn.Softplus, nn.Hardtanh, nn.Hardsigmoid, nn.Hardswish),
    *(nn.LogSigmoid, nn.Softsign, nn.Softshrink, nn.Hardshrink, nn.Tanhshrink, nn.Threshold),
    *(nn.Identity, nn.Dropout, nn.AlphaDropout, nn.FeatureAlphaDropout),
    *(nn.Dropout1d, nn.Dropout2d, nn.Dropout3d),
)
ELEMENTWISE = (
    *("relu", "relu_", "relu6", "leaky_relu", "leaky_relu_", "elu", "elu_", "selu", "celu", "gelu"),
    *("silu", "mish", "tanh", "tanh_", "sigmoid", "sigmoid_", "softplus", "hardtanh", "logsigmoid"),
    *("hardsigmoid", "hardswish", "softsign", "softshrink", "hardshrink", "tanhshrink"),
    *("threshold", "dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "rrelu"),
    *("feature_dropout", "feature_alpha_dropout", "dropout_"),
    *("add", "iadd", "add_", "sub", "isub", "sub_", "mul", "imul", "mul_", "truediv", "itruediv"),
    *("div", "div_", "true_divide", "rsub", "neg", "neg_", "negative", "pos", "positive", "pow"),
    *("ipow", "pow_", "multiply", "subtract", "divide", "floordiv", "remainder", "mod", "fmod"),
    *(
        "exp",
        "expm1",
        "log",
        "log1p",
        "log2",
        "log10",
        "sqrt",
        "rsqrt",
        "square",
        "abs",
        "absolute",
    ),
    *("exp_", "log_", "sqrt_", "abs_", "square_", "reciprocal", "sign", "sgn", "sin", "cos", "tan"),
    *("asin", "acos", "atan", "sinh", "cosh", "erf", "erfc", "floor", "ceil", "round", "trunc"),
    *("clamp", "clamp_", "clip", "clip_", "clamp_min", "clamp_max", "clamp_min_", "clamp_max_"),
    *("where", "masked_fill", "masked_fill_", "lerp", "addcmul", "addcdiv", "maximum", "minimum"),
    *("eq", "ne", "lt", "le", "gt", "ge", "logical_and", "logical_or", "logical_not", "isnan"),
    *("and_", "or_", "xor", "invert", "atan2", "hypot", "nan_to_num", "logit", "xlogy", "fmax"),
    *("fmin", "contiguous", "clone", "detach", "float", "double", "half", "bfloat16"),
    *("long", "int", "bool", "to", "type_as", "cpu", "cuda", "requires_grad_", "zeros_like"),
    *("ones_like", "full_like", "rand_like", "randn_like", "empty_like", "bernoulli"),
    *("deg2rad", "float_power", "isfinite", "isinf", "zero_", "fill_", "copy_"),
)
REDUCTIONS = (
    *("sum", "mean", "amax", "amin", "max", "min", "prod", "std", "var", "norm", "logsumexp"),
    *("any", "all", "median", "nansum", "nanmean", "std_mean", "var_mean", "argmax", "argmin"),
)
OVER_AXIS = ("softmax", "log_softmax", "softmin", "cumsum", "cumprod")
POOLING = ("max_pool", "avg_pool", "adaptive_max_pool", "adaptive_avg_pool", "lp_pool")
CONSTANTS = (
    *("zeros", "ones", "full", "empty", "arange", "linspace", "eye", "tensor", "rand", "randn"),
    *("new_zeros", "new_ones", "new_full", "new_empty", "new_tensor"),
)
MIXED = (
    *("einsum", "cdist", "pixel_shuffle", "pixel_unshuffle", "outer", "normalize", "sort"),
    *("gumbel_softmax", "cosine_similarity", "baddbmm", "addmm", "addbmm", "local_response_norm"),
    *("bilinear", "dot", "topk"),
)
