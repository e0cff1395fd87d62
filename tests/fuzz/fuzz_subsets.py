"""References for best subsets: least-squares and logistic refits, single moves, brute force.

Plain NumPy and SciPy from the documented objectives; nothing here comes from the library.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from fuzz_convex import Data
from scipy.optimize import linprog, lsq_linear
from scipy.special import log_softmax, softmax


@dataclass
class Rules:
    """Penalty and constraints of a subset.

    Parameters
    ----------
    alpha : float
        Penalty of a feature; zero where a number of features is asked for.
    size : int or None
        Largest number of features with a positive factor.
    factors : ndarray of shape (n_features,)
        Factors on alpha.
    l1, l2 : float
        Norms.
    positive : bool
        Whether coefficients must not be negative.
    """

    alpha: float
    size: int | None
    factors: np.ndarray
    l1: float = 0.0
    l2: float = 0.0
    positive: bool = False

    def cost(self, support) -> float:
        """Penalty of a subset, infinite where it is too large."""
        support = np.asarray(support, dtype=int)
        if self.size is not None:
            return np.inf if np.count_nonzero(self.factors[support]) > self.size else 0.0
        return self.alpha * float(self.factors[support].sum())

    def added(self, coef) -> float:
        """All that is added to the loss."""
        norms = self.l1 * np.abs(coef).sum() + 0.5 * self.l2 * float(np.sum(coef * coef))
        return self.cost(np.flatnonzero(coef)) + norms


class LeastSquares:
    """Refits of the squared loss on any subset, by orthogonal factors of scaled columns.

    Parameters
    ----------
    data : Data
        Samples; columns are centred there.
    rules : Rules
        Its norms are part of the fit.
    """

    def __init__(self, data: Data, rules: Rules) -> None:
        p = data.Z.shape[1]
        roots = np.sqrt(data.s)
        mean = float(data.s @ data.y) if data.intercept else 0.0
        self.rules = rules
        self.A = np.r_[roots[:, None] * data.Z, np.sqrt(rules.l2) * np.eye(p)]
        self.b = np.r_[roots * (data.y - mean), np.zeros(p)]
        self.rows = len(roots)
        self.scale = np.linalg.norm(self.A, axis=0)
        self.scale[data.spread == 0.0] = 0.0
        self.usable = np.flatnonzero(self.scale > 0)
        self.clear = np.flatnonzero((self.scale > 0) & ~data.blurred)
        self.null = 0.5 * float(self.b @ self.b)

    def columns(self, support):
        return self.A[:, support] / self.scale[support]

    def loss(self, support) -> float:
        """Smallest loss plus norms on a subset (half squared length of the residual)."""
        support = np.asarray(support, dtype=int)
        support = support[self.scale[support] > 0]
        if not support.size:
            return self.null
        if self.rules.l1 > 0.0 or self.rules.positive:
            return self._bounded(support)
        r = self.b - self._basis(support) @ (self._basis(support).T @ self.b)
        return 0.5 * float(r @ r)

    def _bounded(self, support) -> float:
        """Signs or an L1 norm: ``w = u - v`` with both non-negative."""
        A, l1 = self.columns(support), self.rules.l1 / self.scale[support]
        if not self.rules.positive:
            A, l1 = np.c_[A, -A], np.r_[l1, l1]
        # |b - A x|^2 / 2 + l1 x over x >= 0, by completing the square in the row space
        G = A.T @ A
        values, vectors = np.linalg.eigh(G)
        kept = values > 1e-12 * values[-1]
        root = np.sqrt(values[kept])[:, None] * vectors[:, kept].T
        target = (vectors[:, kept] / np.sqrt(values[kept])).T @ (A.T @ self.b - l1)
        x = lsq_linear(root, target, (0.0, np.inf), method="bvls", tol=1e-14).x
        r = self.b - A @ x
        return 0.5 * float(r @ r) + float(l1 @ x)

    def _basis(self, support):
        U, sizes, _ = np.linalg.svd(self.columns(support), full_matrices=False)
        return U[:, sizes > 1e-10 * sizes[0]]

    def objective(self, support) -> float:
        return self.loss(support) + self.rules.cost(support)

    def best_move(self, support, least_new: float = 1e-6):
        """Smallest objective that one add, drop or swap reaches, and the move.

        Columns of which less than ``least_new`` is new are not added: it is rounding.
        """
        support = [j for j in support if self.scale[j] > 0]
        best, move = np.inf, ""
        fixed = [j for j in support if self.rules.factors[j] == 0]
        for j in [None, *[j for j in support if j not in fixed]]:
            base = [i for i in support if i != j]
            Q = self._basis(base) if base else np.zeros((len(self.b), 0))
            r = self.b - Q @ (Q.T @ self.b)
            left = 0.5 * float(r @ r)
            if j is not None and left + self.rules.cost(base) < best:
                best, move = left + self.rules.cost(base), f"drop {j}"
            others = np.setdiff1d(self.clear, support)
            if not others.size:
                continue
            C = self.columns(others)
            for _ in range(2):
                C = C - Q @ (Q.T @ C)
            size = np.sum(C * C, axis=0)
            new = size > least_new
            gains = np.where(new, 0.5 * (C.T @ r) ** 2 / np.where(new, size, 1.0), 0.0)
            costs = np.array([self.rules.cost([*base, c]) for c in others])
            values = np.where(gains > 0, left - gains + costs, np.inf)
            k = int(np.argmin(values))
            if values[k] < best:
                best, move = values[k], f"add {others[k]}" + ("" if j is None else f", drop {j}")
        return best, move


def all_subsets(rules: Rules, usable) -> Iterator[list[int]]:
    """Every subset that the rules allow, free features always in."""
    free = [int(j) for j in usable if rules.factors[j] == 0]
    penalised = [int(j) for j in usable if rules.factors[j] > 0]
    most = len(penalised) if rules.size is None else min(rules.size, len(penalised))
    for k in range(most + 1):
        for subset in combinations(penalised, k):
            yield [*free, *subset]


def newton_refit(data: Data, support, ridges, coef=None, steps: int = 60):
    """Smallest loss plus ridge on a subset, by Newton steps; ``ridges`` holds one a feature.

    Returns the value and whether the coefficients stayed bounded.
    """
    support = np.asarray(support, dtype=int)
    support = support[data.spread[support] > 0]
    if not support.size:
        return data.loss_at(np.zeros(data.Z.shape[1])), True
    scale = data.spread[support]
    Z = data.Z[:, support] / scale
    ridge = ridges[support] / scale**2

    def parts(x):
        z = Z @ x
        z = z + data.shift(z)
        return z, float(data.s @ data.per_sample(z)) + 0.5 * float(ridge @ (x * x))

    x = np.zeros(len(support)) if coef is None else coef[support] * scale
    z, value = parts(x)
    for _ in range(steps):
        u, h = data.slopes(z)
        centred = Z - (h @ Z) / h.sum() if data.intercept and h.sum() > 0 else Z
        H = centred.T @ (h[:, None] * centred) + np.diag(ridge)
        g = Z.T @ u + ridge * x
        size = np.sqrt(np.maximum(np.diag(H), 1e-300))
        step = np.linalg.lstsq(H / np.outer(size, size), g / size, rcond=1e-13)[0] / size
        t = 1.0
        while t > 1e-6:
            new_z, new_value = parts(x - t * step)
            if new_value < value:
                break
            t *= 0.5
        else:
            break
        done = value - new_value <= 1e-14 * value
        x, z, value = x - t * step, new_z, new_value
        if done or (data.loss == "logistic" and value < 1e-7 * np.log(2.0)):
            break
    return value, bool(np.abs(z).max() < 25.0)


def explained(data: Data, support, j: int) -> bool:
    """Whether column j is, but for rounding, a combination of the others."""
    if not support.size:
        return False
    A = data.Z[:, support] / data.spread[support]
    x = data.Z[:, j] / data.spread[j]
    r = x - A @ np.linalg.lstsq(A, x, rcond=1e-12)[0]
    return float(r @ r) < 1e-6 * float(x @ x)


def separated(data: Data, support) -> bool:
    """Whether a combination of the columns separates the classes, at least in part.

    Then the log loss has no minimum: there is a direction along which no sample gets worse and one
    gets better.
    """
    Z = data.X[:, support] - (data.X[:, support].mean(axis=0) if data.intercept else 0.0)
    A = Z / np.maximum(np.abs(Z).max(axis=0), 1e-300)
    if data.intercept:
        A = np.c_[A, np.ones(len(A))]
    margins = np.where(data.y > 0.5, 1.0, -1.0)[:, None] * A
    found = linprog(-margins.sum(axis=0), A_ub=-margins, b_ub=np.zeros(len(A)), bounds=(-1.0, 1.0))
    return bool(found.status == 0 and -found.fun > 1e-6)


def multinomial_loss(X, codes, s, coef, intercepts) -> float:
    """Weighted mean log loss; coef of shape (n_classes, n_features), s of sum one."""
    z = X.astype(np.longdouble) @ coef.T.astype(np.longdouble) + intercepts.astype(np.longdouble)
    z = (z - z.max(axis=1, keepdims=True)).astype(np.float64)
    own = log_softmax(z, axis=1)[np.arange(len(codes)), codes]
    return -float(s @ own)


def multinomial_slopes(data: Data, X, codes, coef, intercepts):
    """Gradient of the loss by the coefficients of centred columns, and by the intercepts."""
    z = X @ coef.T + intercepts
    p = softmax(z, axis=1)
    p[np.arange(len(codes)), codes] -= 1.0
    u = data.s[:, None] * p
    return u.T @ data.Z, u.sum(axis=0)
