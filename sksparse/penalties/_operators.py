"""Proximal operators as pure functions, for coefficient vectors and for the weights of networks.

What is elementwise arithmetic is written with operators and methods that numpy arrays and torch
tensors share, so that both halves of the package shrink by the same formulas, on any device.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sksparse._typing import Array

#: Magnitudes up to which pooling needs no other unit.
LARGEST = 2.0**960


def soft_threshold(v: Any, threshold: Any) -> Any:
    """Shrink each entry of ``v`` towards zero by ``threshold``.

    Parameters
    ----------
    v : ndarray or torch.Tensor
        Any shape.
    threshold : float, ndarray or torch.Tensor
        Non-negative; broadcasts against `v`.

    Returns
    -------
    shrunk : ndarray or torch.Tensor
        Exactly zero where ``|v| <= threshold``.
    """
    return v - v.clip(-threshold, threshold)


def block_factors(norms: Any, threshold: Any) -> Any:
    """Factors ``(1 - threshold / norms)_+`` by which blocks shrink in block soft thresholding.

    Parameters
    ----------
    norms : ndarray or torch.Tensor
        Euclidean norms of the blocks, in any shape.
    threshold : float, ndarray or torch.Tensor
        By how much each norm shrinks, non-negative.

    Returns
    -------
    factors : ndarray or torch.Tensor
        Exactly zero for a block that is dropped, and for one whose norm is zero.
    """
    return (norms - threshold).clip(0.0) / (norms + (norms == 0))


def sorted_magnitudes(magnitudes: Array, thresholds: Array) -> Array:
    """Shrink magnitudes by non-increasing thresholds, the largest by the first one.

    The prox of the sorted L1 norm but for the signs: the least-squares fit to the differences that
    keeps the order, cut off at zero.

    Parameters
    ----------
    magnitudes : ndarray of shape (n,)
        Non-negative.
    thresholds : ndarray of shape (n,)
        Non-negative and non-increasing.

    Returns
    -------
    shrunk : ndarray of shape (n,)
        In the order and the type of `magnitudes`.
    """
    from sksparse._kernels.sorted_l1 import pool_adjacent

    shrunk = np.zeros_like(magnitudes)
    if not len(magnitudes):
        return shrunk
    # What does not exceed the smallest threshold becomes zero and is pooled with nothing above.
    above = np.flatnonzero(magnitudes > thresholds[-1])
    order = above[np.argsort(-magnitudes[above])]
    values = magnitudes[order] - thresholds[: len(order)]
    # Sums of many, times their number, stay below the largest float.
    unit = 2.0**64 if len(order) and float(magnitudes[order[0]]) > LARGEST else 1.0
    shrunk[order] = unit * pool_adjacent(values / unit)
    return shrunk


def divide(values: Array, by: Array) -> Array:
    """Quotients of non-negative divisors, zero where the divisor is."""
    return np.asarray(np.divide(values, by, out=np.zeros_like(values), where=by > 0.0))
