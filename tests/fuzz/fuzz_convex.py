"""Certificates of convex fits, from the documented objectives alone.

Plain NumPy in float64, with means and objectives in extended precision; nothing here comes from the
library. A lower bound on the minimum proves that a fit is good; :func:`polish` looks for a better
point, and any better point proves that it is not. A verdict does not depend on how they are found.
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


def polish(data: Data, norm, alpha: float, w, rounds: int = 30):
    """Coefficients at least as good as ``w``, usually the best, and their objective."""
    best, value = np.array(w, dtype=np.float64), objective(data, norm, alpha, w)
    for number in range(rounds):
        before = value
        steps = (_sorted_steps if isinstance(norm, SortedNorm) else _block_sweeps, _smooth_step)
        for step in steps:
            # a loss without a minimum leads far away
            with np.errstate(over="ignore", invalid="ignore"):
                trial = step(data, norm, alpha, best)
                trial, reached = _towards(data, norm, alpha, best, value, trial)
            if reached < value:
                best, value = trial, reached
        if number > 3 and before - value <= 1e-12 * abs(before):
            break
    return best, value


def _towards(data, norm, alpha, start, value, end):
    """The best of a few points on the way to ``end``."""
    if not np.all(np.isfinite(end)):
        return start, value
    for share in (1.0, 0.5, 0.25, 0.06, 0.01, 1e-3):
        point = end if share == 1.0 else start + share * (end - start)
        reached = objective(data, norm, alpha, point)
        if reached < value:
            return point, reached
    return start, value


def _block_sweeps(data, norm: BlockNorm, alpha, w, sweeps: int = 15):
    """Exact minimisation group by group of the quadratic model at ``w``."""
    z = data.predictor(w)
    G = data.curvature(z)
    w = w.copy()
    g = data.Z.T @ data.slopes(z)[0]
    blocks = [np.flatnonzero(norm.labels == k) for k in range(len(norm.l2))]
    blocks = [b[data.spread[b] > 0] for b in blocks]
    for _ in range(sweeps):
        moved = 0.0
        for k, b in enumerate(blocks):
            if not b.size:
                continue
            H = G[np.ix_(b, b)]
            new = _block_minimum(
                H, H @ w[b] - g[b], alpha * norm.l1[b[0]], alpha * norm.l2[k], w[b]
            )
            change = new - w[b]
            if change.any():
                g += G[:, b] @ change
                w[b] = new
                moved = max(moved, np.abs(change * data.spread[b]).max())
        if moved <= 1e-14 * np.abs(w * data.spread).max(initial=0.0):
            break
    return w


def _block_minimum(H, b, l1: float, l2: float, start):
    """Minimiser of ``x H x / 2 - b x + l1 |x|_1 + l2 ||x||``."""
    if len(b) == 1:
        if H[0, 0] <= 0.0:
            return start
        return np.sign(b) * np.maximum(np.abs(b) - l1 - l2, 0.0) / H[0, 0]
    if l1 == 0.0 and l2 == 0.0:
        scale = np.sqrt(np.maximum(np.diag(H), 1e-300))
        return np.linalg.lstsq(H / np.outer(scale, scale), b / scale, rcond=1e-13)[0] / scale
    if np.linalg.norm(np.maximum(np.abs(b) - l1, 0.0)) <= l2:
        return np.zeros_like(b)
    if l1 == 0.0:
        return _group_minimum(H, b, l2)
    x, step = start, 1.0 / np.linalg.eigvalsh(H)[-1]
    for _ in range(30):
        v = x - step * (H @ x - b)
        v = np.sign(v) * np.maximum(np.abs(v) - step * l1, 0.0)
        length = np.linalg.norm(v)
        x = v * max(1.0 - step * l2 / length, 0.0) if length > 0 else v
    return x


def _group_minimum(H, b, l2: float):
    """``x = (H + l2 / r)^-1 b`` where r is its length; ||b|| > l2."""
    values, vectors = np.linalg.eigh(H)
    values, c = np.maximum(values, 0.0), vectors.T @ b

    def excess(log_r):
        r = np.exp(log_r)
        return np.sqrt(np.sum((c / (values * r + l2)) ** 2)) - 1.0

    low, high = -700.0, 650.0
    if excess(low) <= 0 or excess(high) >= 0:
        return np.zeros_like(b)
    r = np.exp(brentq(excess, low, high, xtol=1e-14, rtol=1e-14))
    return vectors @ (c * r / (values * r + l2))


def _sorted_steps(data, norm: SortedNorm, alpha, w, steps: int = 300):
    """Accelerated proximal gradient with restarts; squared loss only."""
    z = data.predictor(w)
    G, g = data.curvature(z), data.Z.T @ data.slopes(z)[0]
    b = G @ w - g
    size = np.linalg.eigvalsh(G)[-1]
    if size <= 0.0:
        return np.zeros_like(w)
    old, point, t = w, w, 1.0
    for _ in range(steps):
        new = norm.prox(point - (G @ point - b) / size, alpha / size)
        if (point - new) @ (new - old) > 0:
            t = 1.0
        following = 0.5 * (1.0 + np.sqrt(1.0 + 4.0 * t * t))
        point = new + (t - 1.0) / following * (new - old)
        old, t = new, following
    return old


def _smooth_step(data, norm, alpha, w):
    """Newton step over what is not zero, its signs (and its ties) kept."""
    w = np.where(data.spread > 0, w, 0.0)
    used = np.flatnonzero(w)
    if not used.size:
        return w
    z = data.predictor(w)
    G, g = data.curvature(z), data.Z.T @ data.slopes(z)[0]
    if isinstance(norm, SortedNorm):
        return _tied_step(norm, alpha, w, G, g)
    G, g = G[np.ix_(used, used)].copy(), g[used] + alpha * norm.l1[used] * np.sign(w[used])
    norms = norm.norms(w)
    for k in np.unique(norm.labels[used]):
        at = np.flatnonzero(norm.labels[used] == k)
        x, length = w[used][at], norms[k]
        g[at] += alpha * norm.l2[k] * x / length
        inside = np.eye(len(at)) / length - np.outer(x, x) / length**3
        G[np.ix_(at, at)] += alpha * norm.l2[k] * inside
    scale = np.sqrt(np.maximum(np.diag(G), 1e-300))
    step = -np.linalg.lstsq(G / np.outer(scale, scale), g / scale, rcond=1e-14)[0] / scale
    new = w.copy()
    new[used] += step
    crossed = (np.sign(new) != np.sign(w)) & (norm.l1 > 0)
    new[crossed] = 0.0
    return new


def _tied_step(norm: SortedNorm, alpha, w, G, g):
    magnitudes, which = np.unique(np.abs(w), return_inverse=True)
    order = np.argsort(-np.abs(w), kind="stable")
    costs = np.zeros(len(magnitudes))
    np.add.at(costs, which[order], alpha * norm.weights)
    E = np.zeros((len(w), len(magnitudes)))
    E[np.arange(len(w)), which] = np.sign(w)
    E, costs, magnitudes = E[:, magnitudes > 0], costs[magnitudes > 0], magnitudes[magnitudes > 0]
    H, slope = E.T @ G @ E, E.T @ g + costs
    scale = np.sqrt(np.maximum(np.diag(H), 1e-300))
    step = np.linalg.lstsq(H / np.outer(scale, scale), slope / scale, rcond=1e-14)[0] / scale
    return w - E @ step
