"""A check of products with all features that costs as much as one of them (Freivalds, 1977)."""

from __future__ import annotations

import numpy as np

from sksparse._typing import Array
from sksparse.solvers._problem import Problem

# Error per feature, in units of correlations, that is rounding of products.
_ROUNDING = 1e-12


class Probe:
    """A random combination of the features, whose product with a vector is known in two ways.

    Errors of the products of the single features would have to cancel in it.

    Parameters
    ----------
    problem : Problem
        Features and weights.
    """

    def __init__(self, problem: Problem) -> None:
        centred = problem.centred
        signs = np.random.default_rng(0).choice([-1.0, 1.0], problem.design.n_features)
        self._weights, self._scales = problem.loss.weights, centred.scales
        self._coef = np.divide(signs, self._scales, out=0.0 * signs, where=centred.usable)
        self._column = centred.matvec(self._coef)

    def confirms(self, u: Array, products: Array) -> bool:
        """Whether the products of the features with a gradient agree with that of the combination.

        Parameters
        ----------
        u : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            The gradient of a loss over its predictor.
        products : ndarray of shape (n_features,) or (n_outputs, n_features)
            What is to be checked.
        """
        used = self._weights > 0.0
        residual = np.sqrt(np.sum((u[used] ** 2).T / self._weights[used]))
        off = np.abs(self._column @ u - products @ self._coef).max()
        return bool(off <= _ROUNDING * np.sqrt(len(self._coef)) * residual)
