"""What layers and functions do with units: one rule for each, found by type or name.

A rule takes the walk, the call, its name, its layer (None for functions) and the arguments of the
call with values in the place of tensors, and returns the value of the result.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from sksparse.module_graph import _function_rules as functions
from sksparse.module_graph import _functional_rules as functionals
from sksparse.module_graph import _shape_rules as shapes
from sksparse.module_graph._layer_rules import WEIGHT_LAYERS

Rule = Callable[..., Any]

#: Rules of layers, by their exact types: a subclass may compute anything.
LAYER_RULES: dict[type[nn.Module], Rule] = {
    **WEIGHT_LAYERS,
    **dict.fromkeys(functions.ELEMENTWISE_LAYERS, functions.at_positions),
    **dict.fromkeys((nn.Softmax, nn.LogSoftmax, nn.Softmin), functions.over_axis),
    **dict.fromkeys((nn.LocalResponseNorm, nn.PixelShuffle, nn.PixelUnshuffle), functions.keep),
    **dict.fromkeys((nn.Bilinear, nn.CosineSimilarity, nn.Softmax2d), functions.keep),
    **dict.fromkeys((nn.Upsample, nn.UpsamplingNearest2d), functions.resized),
    **dict.fromkeys((nn.UpsamplingBilinear2d,), functions.resized),
    nn.GLU: functions.gate,
    nn.Flatten: shapes.move,
    nn.Unflatten: shapes.resize,
}
_POOLING_LAYERS = ("MaxPool", "AvgPool", "AdaptiveMaxPool", "AdaptiveAvgPool", "LPPool")
_PADDING_LAYERS = ("ZeroPad", "ConstantPad", "ReflectionPad", "ReplicationPad", "CircularPad")
for _n in (1, 2, 3):
    for _kind in _POOLING_LAYERS:
        LAYER_RULES[vars(nn)[f"{_kind}{_n}d"]] = functions.over_positions(_n)
    for _kind in _PADDING_LAYERS:
        LAYER_RULES[vars(nn)[f"{_kind}{_n}d"]] = functions.resized


def _by_name(names: Iterable[str], rule: Rule) -> dict[Any, Rule]:
    """A rule for methods of tensors, functions of torch and operators of the same name."""
    homes = (vars(torch), vars(functional), vars(operator))
    found = {home[name]: rule for home in homes for name in names if name in home}
    return {**dict.fromkeys(names, rule), **found}


#: Rules of functions, and of methods of tensors by their names.
FUNCTION_RULES: dict[Any, Rule] = {
    **_by_name(functions.ELEMENTWISE, functions.at_positions),
    **_by_name(functions.REDUCTIONS, functions.reduce),
    **_by_name(functions.OVER_AXIS, functions.over_axis),
    **_by_name(functions.CONSTANTS, functions.constant),
    **_by_name(functions.MIXED, functions.keep),
    **_by_name(shapes.MOVES, shapes.move),
    **_by_name(("squeeze", "squeeze_"), shapes.squeeze),
    **_by_name(shapes.PICKS, shapes.pick),
    **_by_name(shapes.RESIZES, shapes.resize),
    **_by_name(("cat", "concat", "concatenate"), functions.concatenate),
    **_by_name(("stack",), functions.stack),
    **_by_name(("matmul", "mm", "bmm"), functionals.product),
    **_by_name(("linear",), functionals.linear),
    **_by_name(("conv1d", "conv2d", "conv3d"), functionals.convolution),
    **_by_name(("prelu", "batch_norm", "instance_norm"), functionals.normalise_each),
    **_by_name(("layer_norm", "rms_norm"), functionals.normalise_axes),
    **_by_name(("group_norm",), functionals.normalise_groups),
    **_by_name(("embedding",), functionals.embedding),
    **_by_name(("scaled_dot_product_attention",), functionals.attend),
    **_by_name(("glu",), functions.gate),
    **_by_name(("interpolate", "upsample", "pad"), functions.resized),
    getattr: shapes.move,
}
for _n in (1, 2, 3):
    _names = [f"{kind}{_n}d" for kind in functions.POOLING]
    FUNCTION_RULES |= _by_name(_names, functions.over_positions(_n))


def own_code(layer: nn.Module) -> str:
    """What makes a layer of torch compute something else than its type says; empty if nothing."""
    if layer._forward_hooks or layer._forward_pre_hooks:
        return "has hooks, which may change its values"
    if nn.utils.parametrize.is_parametrized(layer):
        return "has parametrised weights"
    if "forward" in vars(layer):
        return "has a forward method of its own"
    return ""
