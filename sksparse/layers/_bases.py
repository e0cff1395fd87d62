"""Fixed bases in which the weights of a low rank layer are expanded (Denil et al., 2013).

A basis U of shape (n, r) makes n weights of r learned ones. That of a kernel predicts the weights
of all inputs from those of a few, as ridge regression with this kernel would.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.linalg import pinvh

from sksparse._typing import Array, Indices, Mask


def identity_basis(n: int, chosen: Indices) -> Array:
    """Columns of the identity: the weights of all but the chosen inputs are zero."""
    return np.eye(n)[:, chosen]


def orthonormal_basis(n: int, rank: int, rng: np.random.Generator) -> Array:
    """Random orthonormal columns, uniformly distributed."""
    basis, triangle = np.linalg.qr(rng.standard_normal((n, rank)))
    return basis * np.where(np.diag(triangle) < 0, -1.0, 1.0)


def kernel_basis(kernel: Array, chosen: Indices, ridge: float) -> Array:
    r"""Predictions of the weights of all inputs from those of the chosen ones.

    :math:`U = K_{\cdot a} (K_{aa} + \lambda I)^{-1}` with :math:`\lambda` the ridge times the mean
    of the diagonal of :math:`K_{aa}`.

    Parameters
    ----------
    kernel : ndarray of shape (n, n)
        How alike two inputs are.
    chosen : ndarray of shape (rank,)
        Numbers of the chosen inputs.
    ridge : float
        Zero reproduces the weights of the chosen inputs.

    Returns
    -------
    basis : ndarray of shape (n, rank)
    """
    among = kernel[np.ix_(chosen, chosen)]
    strength = ridge * np.trace(among) / len(chosen)
    # equal or constant inputs leave it singular where there is no ridge
    return np.asarray(kernel[:, chosen] @ pinvh(among + strength * np.eye(len(chosen))))


def squared_exponential(shape: Sequence[int], length_scale: float) -> Array:
    """The kernel ``exp(-d^2 / (2 l^2))`` of the distances d between the pixels of an image.

    Parameters
    ----------
    shape : sequence of int
        The shape of the image, whose last axis runs fastest.
    length_scale : float
        The length l, in pixels.

    Returns
    -------
    kernel : ndarray of shape (n_pixels, n_pixels)
    """
    kernel: Array = np.ones((1, 1))
    for n in shape:
        places = np.arange(n, dtype=np.float64)
        distances = places[:, None] - places
        # squares of distances are sums over the axes
        kernel = np.kron(kernel, np.exp(-(distances**2) / (2 * length_scale**2)))
    return kernel


def choose(n: int, rank: int, rng: np.random.Generator, varies: Mask | None = None) -> Indices:
    """Random distinct inputs in rising order; those that vary come first."""
    order = rng.permutation(n)
    if varies is not None:
        order = order[np.argsort(~varies[order], kind="stable")]
    return np.sort(order[:rank])
