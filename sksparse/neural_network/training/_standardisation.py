"""Standardisation for training: targets of unit deviation, features that fit float32.

Learning rates, strengths and tolerances are made for values of about unit magnitude, and float32
holds seven digits. Targets are therefore always standardised. Features are left as they are, to
the bit, but for columns that would be lost: those whose spread is small relative to their distance
from zero, and those of extreme spread. Nothing here depends on the order of the rows or on how
often they are repeated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import nn

from sksparse._typing import Array

#: A spread below this share of the largest magnitude is small relative to the distance from zero:
#: the first layer would see a constant.
_FAR = 0.1
#: Below this share float32 keeps hardly three digits.
_LOST = 1e-4
#: Spreads with which a network trains at its usual rates.
_SMALLEST_SPREAD, _LARGEST_SPREAD = 1e-2, 1e6
#: The same where zeros have to stay zeros, as in sparse features.
_SMALLEST_SPARSE = 1e-6
#: A constant of more than this dominates the other columns.
_LARGEST_CONSTANT = 1e3
#: Deviations of targets whose scale the last layer can take in float32, small weights included.
_SMALLEST_TARGET, _LARGEST_TARGET = 1e-30, 1e34
#: Fewer rows than this may not show how far columns spread.
FEW_ROWS = 16
#: Shifts of more standard deviations than this lose digits in float32.
_WIDE = 1e3


@dataclass(frozen=True)
class Standardisation:
    """A shift and a scale: standardised values are ``(values - shift) / scale``.

    Parameters
    ----------
    shift, scale : ndarray
        One for each column, or one for all.
    is_wide : bool, default=False
        Whether values in float32 would lose differences that the network needs.
    """

    shift: Array
    scale: Array
    is_wide: bool = False

    def standardise(self, values: Array) -> Array:
        """Standardised values, in float64."""
        return (values - self.shift) / self.scale

    def restore(self, standardised: Array) -> Array:
        """The values of standardised ones, in float64."""
        return standardised * self.scale + self.shift


def target_standardisation(y: Array, weight: Array) -> tuple[Standardisation, bool]:
    """Weighted mean and deviation of each target.

    Parameters
    ----------
    y : ndarray of shape (n_samples, n_targets)
        Targets, float64.
    weight : ndarray of shape (n_samples,)
        Weights of the samples.

    Returns
    -------
    scaling : Standardisation
        A constant target has the rounding of float32 for its deviation.
    known : bool
        Whether no target was constant, so that the deviations mean something.
    """
    used = weight > 0
    y, weight = y[used], weight[used]
    size = np.abs(y).max(axis=0)
    largest = np.where(size > 0, size, 1.0)
    mean, deviation = np.transpose([_moments(column, weight) for column in (y / largest).T])
    constant = np.ptp(y / largest, axis=0) <= 16 * np.finfo(float).eps
    scale = largest * np.where(constant, np.finfo(np.float32).eps, deviation)
    bad = (size > 0) & ((scale > _LARGEST_TARGET) | (size > _LARGEST_TARGET))
    bad |= ~constant & (scale < _SMALLEST_TARGET)
    if bad.any():
        j = int(bad.argmax())
        raise ValueError(
            "y has values beyond the range of float32, in which the network is trained: target "
            f"{j} has magnitudes up to {size[j]:.2g} and a deviation of {scale[j]:.2g}; scale "
            "it, for example with TransformedTargetRegressor and StandardScaler."
        )
    shift = np.where(constant, y.min(axis=0), mean * largest)
    scale = np.maximum(scale, _SMALLEST_TARGET)
    is_wide = bool((~constant & (np.abs(shift) > _WIDE * scale)).any())
    return Standardisation(shift, scale, is_wide), not constant.any()


def _moments(values: Array, weight: Array) -> tuple[float, float]:
    """Mean and deviation; the same bits whatever the order of the rows and their repetitions."""
    values, number = np.unique(values, return_inverse=True)
    total = np.asarray(np.bincount(number, weights=weight), dtype=np.float64)
    share = total / total.sum()
    mean = float(share @ values)
    return mean, float(np.sqrt(share @ (values - mean) ** 2))


def feature_standardisation(X: Any, weight: Array, *, few: bool = False) -> Standardisation | None:
    """Shifts and scales of columns that float32 or the usual rates would lose; None without any.

    Parameters
    ----------
    X : {ndarray, csr_array} of shape (n_samples, n_features, ...)
        Features; those of more than two dimensions are one column.
    weight : ndarray of shape (n_samples,)
        Weights of the samples; those of weight 0 do not count.
    few : bool, default=False
        Whether more rows may follow that spread wider: only large shifts are subtracted.

    Returns
    -------
    scaling : Standardisation or None
        The middle of each such column and about a quarter of its spread, a power of two.
    """
    low, high = _range(X, weight)
    # halves do not overflow
    size, spread = np.maximum(np.abs(low), np.abs(high)) / 2, high / 2 - low / 2
    constant = spread <= 8 * np.finfo(X.dtype).eps * size
    far = spread < _FAR * size
    moved = 2 * size > _LARGEST_CONSTANT if few else ~constant
    moved = np.where(constant, 2 * size > _LARGEST_CONSTANT, moved & far)
    smallest = _SMALLEST_SPARSE if sparse.issparse(X) else _SMALLEST_SPREAD
    scaled = ~constant & (far | (2 * spread < smallest) | (2 * spread > _LARGEST_SPREAD))
    scaled &= not few
    if not (moved | scaled).any():
        return None
    shift = np.where(moved | scaled, low / 2 + high / 2, 0.0)
    return Standardisation(shift, np.exp2(np.rint(np.log2(np.where(scaled, spread, 2.0) / 2))))


def loses_columns(X: Any, weight: Array) -> bool:
    """Whether float32 would keep hardly three digits of the differences in some column."""
    low, high = _range(X, weight)
    size, spread = np.maximum(np.abs(low), np.abs(high)) / 2, high / 2 - low / 2
    constant = spread <= 8 * np.finfo(X.dtype).eps * size
    return bool((~constant & (spread < _LOST * size)).any())


def _range(X: Any, weight: Array) -> tuple[Array, ...]:
    """Least and largest value of each column in float64, of rows with weight."""
    if not weight.all():
        X = X[weight > 0]
    if sparse.issparse(X):
        ends = (end(axis=0).toarray().ravel() for end in (X.min, X.max))
        return tuple(end.astype(np.float64) for end in ends)
    axes = 0 if X.ndim == 2 else None
    return tuple(np.asarray(end(axis=axes), dtype=np.float64) for end in (X.min, X.max))


def standardise_outputs(
    layer: nn.Linear, scaling: Standardisation, left: Array | float = 0.0
) -> None:
    """Change a last layer that returns values so that it returns standardised ones.

    Parameters
    ----------
    layer : torch.nn.Linear
        Changed in place.
    scaling : Standardisation
        That of the values.
    left : ndarray of shape (n_outputs,) or float, default=0.0
        What has to be added to its biases.
    """
    weight, bias = _in_float64(layer)
    _write(layer, weight / scaling.scale[:, None], scaling.standardise(bias + left))


def restore_outputs(layer: nn.Linear, scaling: Standardisation) -> Array:
    """The reverse; what float32 cannot hold of the biases is returned."""
    weight, bias = _in_float64(layer)
    values = scaling.restore(bias)
    _write(layer, weight * scaling.scale[:, None], values)
    return np.asarray(values - _in_float64(layer)[1])


def _in_float64(layer: nn.Linear) -> tuple[Array, Array]:
    return layer.weight.detach().cpu().double().numpy(), layer.bias.detach().cpu().double().numpy()


def _write(layer: nn.Linear, weight: Array, bias: Array) -> None:
    """Give a layer weights and biases; what is not zero stays so in float32."""
    single = weight.astype(np.float32)
    lost = (single == 0) & (weight != 0)
    single[lost] = np.copysign(np.finfo(np.float32).tiny, weight[lost])
    layer.weight.data.copy_(torch.from_numpy(single))
    layer.bias.data.copy_(torch.from_numpy(bias.astype(np.float32)))
