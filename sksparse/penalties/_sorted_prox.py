"""The proximal operator of the sorted L1 norm, for arrays and for tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from sksparse._typing import Array
from sksparse.penalties._operators import sorted_magnitudes
from sksparse.penalties._sorted_weights import check_sorted
from sksparse.penalties._tensors import apply_to, to_array


def prox_sorted_l1(v: Any, weights: Any) -> Any:
    r"""Proximal operator of the sorted L1 norm of SLOPE, OSCAR and OWL.

    Minimises over x of the shape of v, all entries counted alike,

    .. math::

        \frac{1}{2} \|x - v\|^2 + \sum_i \lambda_i |x|_{(i)},
        \qquad |x|_{(1)} \ge |x|_{(2)} \ge \dots

    Entries keep their signs and their order by magnitude; those whose shrunken magnitudes would
    cross get one and the same, and small ones are exactly zero. The answer is exact and takes
    :math:`O(p \log p)` for p entries: magnitudes are sorted, shrunk by the weights, pooled where
    they increase, and cut off at zero.

    Parameters
    ----------
    v : array-like or torch.Tensor
        Real and finite numbers, in any shape; a tensor may be on any device.
    weights : array-like or torch.Tensor of shape (n_entries,)
        Non-negative and non-increasing, one for each entry of `v`; the largest magnitude is shrunk
        by the first. They hold the strength and the step: pass ``step * alpha * lambdas``.

    Returns
    -------
    x : ndarray or torch.Tensor
        In the shape and the floating-point type of `v` (float64 for integers), and on its
        device. It is computed in float64 on the CPU; no gradient is recorded.

    Raises
    ------
    ValueError
        For entries or weights that are not finite and real, and for weights that are negative, rise
        or are not as many as entries.

    See Also
    --------
    SortedL1 : The penalty, with a dual norm and conditions of optimality.
    oscar_weights, slope_weights : Sequences of weights.

    References
    ----------
    M. Bogdan, E. van den Berg, C. Sabatti, W. Su and E. J. Candes (2015). "SLOPE: adaptive
    variable selection via convex optimization". Annals of Applied Statistics 9, 1103-1140.

    Examples
    --------
    Three and 2.95 would cross and are pooled:

    >>> from sksparse.penalties import prox_sorted_l1
    >>> prox_sorted_l1([3, -2.95, 1, 0.2, -0.1], [0.7, 0.6, 0.5, 0.4, 0.3])
    array([ 2.325, -2.325,  0.5  ,  0.   ,  0.   ])

    A proximal step on the weights of a layer:

    >>> import torch
    >>> from sksparse.penalties import oscar_weights
    >>> layer = torch.nn.Linear(20, 10)
    >>> with torch.no_grad():
    ...     _ = layer.weight.copy_(prox_sorted_l1(layer.weight, 0.2 * oscar_weights(200, 0.9)))
    """
    lambdas = to_array(weights)

    def shrink(array: Array) -> Array:
        check_sorted(lambdas)
        if lambdas.size != array.size:
            raise ValueError(
                f"weights must have one entry for each of the {array.size} of v; got "
                f"{lambdas.size}."
            )
        if not np.all(np.isfinite(array)):
            raise ValueError("v must be finite; got nan or infinite entries.")
        return shrink_sorted(array, lambdas)

    return apply_to(v, shrink)


def shrink_sorted(v: Array, thresholds: Array) -> Array:
    """As :func:`prox_sorted_l1`, of a float64 array and without checks."""
    magnitudes = sorted_magnitudes(np.abs(v).ravel(), thresholds).reshape(v.shape)
    # adding zero leaves no negative zeros
    return np.copysign(magnitudes, v) + 0.0
