"""Perceptrons in NumPy: the outputs of a chain of common layers, without torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy.special import erf, expit
from torch import Tensor, nn

from sksparse._typing import Array
from sksparse.layers._base import CompressedLinear
from sksparse.layers._hashed_linear import HashedLinear
from sksparse.layers._low_rank_linear import LowRankLinear

#: A layer as a function; but for linear maps it may change its argument, and returns it.
Step = Callable[[Array], Array]


def numpy_layers(module: nn.Module, dtype: np.dtype[Any]) -> Step | None:
    """What a module computes for rows of features, where NumPy can compute it.

    Parameters
    ----------
    module : torch.nn.Module
        Any module.
    dtype : numpy.dtype
        Precision of the computation.

    Returns
    -------
    run : callable or None
        Takes an array of shape (n_rows, n_features) and leaves it as it is. None where the module
        is not a chain of linear maps, batch normalisations in evaluation and activations without
        hooks.
    """
    steps = []
    for layer in _chain(module):
        maker = _MAKERS.get(type(layer))
        step = None if maker is None or not _is_plain(layer) else maker(layer, dtype)
        if step is None:
            return None
        steps.append(step)
    if not steps or type(next(_chain(module))) not in _LINEAR:
        return None

    def run(rows: Array) -> Array:
        with np.errstate(all="ignore"):
            for step in steps:
                rows = step(rows)
        return rows

    return run


def _chain(module: nn.Module) -> Iterator[nn.Module]:
    """Layers in the order in which they are called; what does nothing in evaluation is left out."""
    if type(module) is nn.Sequential and _is_plain(module):
        for part in module:
            yield from _chain(part)
    elif not (type(module) in (nn.Dropout, nn.Identity) and _is_plain(module)):
        yield module


def _is_plain(layer: nn.Module) -> bool:
    """Whether a layer does just what its type says."""
    changed = layer._forward_hooks or layer._forward_pre_hooks or "forward" in vars(layer)
    return not (changed or layer.training)


def _array(tensor: Tensor, dtype: np.dtype[Any]) -> Array:
    """The memory of a tensor itself, where it has this precision."""
    return np.asarray(tensor.detach().numpy().astype(dtype, copy=False))


def _linear(layer: nn.Linear, dtype: np.dtype[Any]) -> Step:
    weight = _array(layer.weight, dtype).T
    if layer.bias is None:
        return lambda x: x @ weight
    return _affine(weight, _array(layer.bias, dtype))


def _compressed(layer: CompressedLinear, dtype: np.dtype[Any]) -> Step:
    weight, bias = layer.dense()
    return _affine(_array(weight, dtype).T, _array(bias, dtype))


def _affine(weight: Array, bias: Array) -> Step:
    def step(x: Array) -> Array:
        x = x @ weight
        x += bias
        return x

    return step


def _batch_norm(layer: nn.BatchNorm1d, dtype: np.dtype[Any]) -> Step | None:
    if layer.running_mean is None or layer.running_var is None:
        return None
    scale = 1 / np.sqrt(_array(layer.running_var, dtype) + layer.eps)
    shift = -_array(layer.running_mean, dtype) * scale
    if layer.affine:
        weight = _array(layer.weight, dtype)
        scale, shift = scale * weight, shift * weight + _array(layer.bias, dtype)

    def step(x: Array) -> Array:
        x *= scale
        x += shift
        return x

    return step


def _elu(layer: nn.ELU, dtype: np.dtype[Any]) -> Step:
    def step(x: Array) -> Array:
        return np.where(x > 0, x, layer.alpha * np.expm1(np.minimum(x, 0)))

    return step


def _gelu(layer: nn.GELU, dtype: np.dtype[Any]) -> Step | None:
    if layer.approximate != "none":
        return None

    def step(x: Array) -> Array:
        x *= 0.5 * (1.0 + erf(x * math.sqrt(0.5)))
        return x

    return step


def _silu(x: Array) -> Array:
    x *= expit(x)
    return x


#: Linear maps, which leave their argument as it is.
_LINEAR: dict[type[nn.Module], Callable[[Any, np.dtype[Any]], Step | None]] = {
    nn.Linear: _linear,
    HashedLinear: _compressed,
    LowRankLinear: _compressed,
}

_MAKERS: dict[type[nn.Module], Callable[[Any, np.dtype[Any]], Step | None]] = {
    **_LINEAR,
    nn.BatchNorm1d: _batch_norm,
    nn.ELU: _elu,
    nn.GELU: _gelu,
    nn.ReLU: lambda layer, dtype: lambda x: np.maximum(x, 0, out=x),
    nn.Sigmoid: lambda layer, dtype: lambda x: expit(x, out=x),
    nn.SiLU: lambda layer, dtype: _silu,
    nn.Tanh: lambda layer, dtype: lambda x: np.tanh(x, out=x),
}
