"""Certificates of convex fits, from the documented objectives alone.

Plain NumPy in float64, with means and objectives in extended precision; nothing here comes from the
library. A lower bound on the minimum proves that a fit is good; :mod:`fuzz_descent` looks for a
better point, and any better point proves that it is not. A verdict does not depend on how they are
found.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logsumexp, xlogy
from sklearn.isotonic import isotonic_regression

EXTENDED = np.longdouble


class Data:
    """Samples with a weight, and the loss of a linear model on them.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Features in float64.
    y : ndarray of shape (n_samples,)
        Numbers; 0 and 1 for the log loss; numbers that are not negative for the Poisson loss.
    weights : ndarray of shape (n_samples,) or None
        Sample weights of any sum.
    loss : {"squared", "logistic", "poisson"}
        The loss.
    intercept : bool
        Whether the model has one.
    eps : float
        Rounding of the features as they were given.
    """

    def __init__(self, X, y, weights, loss: str, intercept: bool, eps: float = 2.3e-16) -> None:
        self.eps = eps
        s = np.ones(len(y)) if weights is None else np.asarray(weights, dtype=np.float64)
        used = s > 0
        self.X, self.y = X[used], np.asarray(y, dtype=np.float64)[used]
        self.s = s[used] / s[used].sum()
        self.loss, self.intercept = loss, intercept
        p = X.shape[1]
        wide = self.s.astype(EXTENDED)
        self.means = wide @ self.X.astype(EXTENDED) if intercept else np.zeros(p, EXTENDED)
        self.Z = (self.X - self.means).astype(np.float64)
        # what is left of a constant column is the rounding of its mean
        self.Z[:, (self.X[0] == self.X).all(axis=0)] *= 0.0 if intercept else 1.0
        self.spread = np.sqrt(self.s @ (self.Z * self.Z))
        # A column that varies by a few roundings of its mean may be treated as constant, or not.
        means = np.abs(self.means).astype(np.float64)
        centres = np.abs(self.s @ self.X)
        spreads = np.sqrt(self.s @ (self.X - self.s @ self.X) ** 2)
        self.far = (spreads > 0) & (centres > 300.0 * spreads)
        self.blurred = (self.spread > 0) & (self.spread <= 100.0 * eps * means)

    def without(self, columns) -> Data:
        """The same with some columns, a mask, taken for constants."""
        if not np.any(columns):
            return self
        other = copy(self)
        other.Z, other.spread = self.Z * ~columns, self.spread * ~columns
        return other

    def per_sample(self, z):
        if self.loss == "squared":
            return 0.5 * (self.y - z) ** 2
        if self.loss == "poisson":
            z, y = np.asarray(z, dtype=EXTENDED), self.y.astype(EXTENDED)
            logs = np.log(np.where(y > 0, y, 1))
            with np.errstate(over="ignore"):
                return np.where(y > 0, y * (np.expm1(z - logs) - (z - logs)), np.exp(z))
        return np.maximum(z, 0.0) + np.log1p(np.exp(-np.abs(z))) - self.y * z

    def value(self, coef, intercept: float) -> float:
        """Loss of stored coefficients, in extended precision."""
        z = self.X.astype(EXTENDED) @ coef.astype(EXTENDED) + EXTENDED(intercept)
        return float(self.s.astype(EXTENDED) @ self.per_sample(z))

    def shift(self, z) -> float:
        """The best intercept for centred predictors ``z``."""
        if not self.intercept:
            return 0.0
        if self.loss == "squared":
            return float(self.s @ (self.y - z))
        if self.loss == "poisson":
            return float(np.log(self.s @ self.y) - logsumexp(z, b=self.s))

        def slope(c):
            return float(self.s @ (expit(z + c) - self.y))

        edge = np.abs(z).max(initial=0.0) + 50.0
        if slope(-edge) >= 0 or slope(edge) <= 0:
            return float(np.copysign(edge, self.s @ self.y - 0.5))
        return brentq(slope, -edge, edge, xtol=1e-13, rtol=1e-14)

    def predictor(self, w):
        """Predictors with the best intercept."""
        z = self.Z @ w
        return z + self.shift(z)

    def slopes(self, z):
        """Derivatives of the loss by the predictors, and second ones."""
        if self.loss == "squared":
            return self.s * (z - self.y), self.s
        if self.loss == "poisson":
            return self.s * (np.exp(z) - self.y), self.s * np.exp(z)
        p = expit(z)
        return self.s * (p - self.y), self.s * p * (1.0 - p)

    def loss_at(self, w) -> float:
        return float(self.s @ self.per_sample(self.predictor(w)))

    def best_intercept(self, coef) -> float:
        """In the coordinates of X."""
        return float(EXTENDED(self.shift(self.Z @ coef)) - self.means @ coef.astype(EXTENDED))

    def curvature(self, z):
        """Second derivatives by the coefficients, the intercept minimised out."""
        h = self.slopes(z)[1]
        Z = self.Z
        if self.intercept and h.sum() > 0:
            Z = Z - (h @ Z) / h.sum()
        return Z.T @ (h[:, None] * Z)

    def conjugate(self, u) -> float:
        if self.loss == "squared":
            return float(np.sum(0.5 * u * u / self.s + u * self.y))
        v = self.y + u / self.s
        if self.loss == "poisson":
            terms = xlogy(v, v) - v - xlogy(self.y, self.y) + self.y
            return float(self.s @ terms) if v.min() >= 0.0 else np.inf
        if v.min() < 0.0 or v.max() > 1.0:
            return np.inf
        return float(self.s @ (xlogy(v, v) + xlogy(1.0 - v, 1.0 - v)))


@dataclass
class BlockNorm:
    """``sum_j l1_j |w_j| + sum_g l2_g ||w_g||`` with ``labels`` naming the groups."""

    labels: np.ndarray
    l1: np.ndarray
    l2: np.ndarray

    @classmethod
    def documented(cls, labels, weights, l1_ratio: float) -> BlockNorm:
        """Of GroupLassoSelector: groups of weight zero are never penalised."""
        return cls(labels, l1_ratio * (weights > 0)[labels], (1.0 - l1_ratio) * weights)

    def norms(self, w):
        return np.sqrt(np.bincount(self.labels, w * w, minlength=len(self.l2)))

    def value(self, w) -> float:
        return float(self.l1 @ np.abs(w) + self.l2 @ self.norms(w))

    @property
    def free(self):
        return (self.l1 == 0) & (self.l2[self.labels] == 0)

    def dual_norm(self, g) -> float:
        """Smallest t with ``||(|g| - t l1)_+||_G <= t l2_G`` for all groups G, by bisection."""
        g = np.where(self.free, 0.0, np.abs(g))
        if not g.any():
            return 0.0
        low, high = 0.0, 1.0

        def fits(t):
            norms = self.norms(np.maximum(g - t * self.l1, 0.0))
            return np.all(norms <= t * self.l2 * (1 + 1e-15))

        while not fits(high):
            low, high = high, 2.0 * high
            if high > 1e300:
                return np.inf
        for _ in range(200):
            middle = 0.5 * (low + high)
            if middle in (low, high):
                break
            low, high = (low, middle) if fits(middle) else (middle, high)
        return high


@dataclass
class SortedNorm:
    """``sum_i weights_i |w|_(i)``, the largest magnitude first."""

    weights: np.ndarray

    @classmethod
    def documented(cls, p: int, pairwise: float) -> SortedNorm:
        """Of OSCAR: in ``sum_{j<k} max(|w_j|, |w_k|)`` the i-th largest of p counts p - i times."""
        counts = np.arange(p - 1, -1, -1)
        return cls((1.0 - pairwise) + (pairwise / (p - 1) * counts if p > 1 else 0.0 * counts))

    def value(self, w) -> float:
        return float(self.weights @ np.sort(np.abs(w))[::-1])

    @property
    def free(self):
        return np.full(len(self.weights), not self.weights.any())

    def dual_norm(self, g) -> float:
        if not self.weights.any():
            return 0.0
        return float(np.max(np.cumsum(np.sort(np.abs(g))[::-1]) / np.cumsum(self.weights)))

    def prox(self, v, step: float):
        order = np.argsort(-np.abs(v), kind="stable")
        fitted = isotonic_regression(np.abs(v)[order] - step * self.weights, increasing=False)
        result = np.empty_like(v)
        result[order] = np.maximum(fitted, 0.0)
        return np.copysign(result, v)


def objective(data: Data, norm, alpha: float, w) -> float:
    """The documented objective at coefficients ``w`` and their best intercept."""
    return data.loss_at(w) + alpha * norm.value(w)


def lower_bound(data: Data, norm, alpha: float, w) -> float:
    """A bound on the minimum from Fenchel's inequality at ``w``; nan where none was found."""
    z = data.predictor(w)
    u, h = data.slopes(z)
    free = norm.free | (alpha == 0.0)
    fixed = data.Z[:, free & (data.spread > 0)]
    fixed = fixed / np.sqrt(data.s @ (fixed * fixed))
    if data.intercept:
        fixed = np.c_[np.ones(len(z)), fixed]
    if fixed.shape[1]:
        if h.min() <= 0.0:
            return np.nan
        roots = np.sqrt(h)
        left, sizes, _ = np.linalg.svd(roots[:, None] * fixed, full_matrices=False)
        left = left[:, sizes > 1e-12 * sizes[0]]
        v = u / roots
        for _ in range(2):
            v = v - left @ (left.T @ v)
        u = roots * v
        if np.any(np.abs(fixed.T @ u) > 1e-13 * (np.abs(fixed).T @ data.slopes(z)[1] + 1e-300)):
            # What is not orthogonal is no dual point, unless the rest is rounding.
            left_over = np.abs(fixed.T @ u).max()
            if left_over > 1e-10 * np.linalg.norm(u / np.sqrt(data.s)):
                return np.nan
    size = 0.0 if alpha == 0.0 else norm.dual_norm(data.Z.T @ u)
    most = alpha / size if size > alpha else 1.0
    if data.loss == "squared":
        square, cross = float(np.sum(u * u / data.s)), float(u @ data.y)
        if square == 0.0:
            return 0.0
        limit = np.inf if size == 0.0 else alpha / size
        most = min(max(-cross / square, 0.0), limit)
    return -data.conjugate(most * u)
