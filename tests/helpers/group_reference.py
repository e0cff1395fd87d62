"""The group lasso family from its documented objective, in plain NumPy.

Nothing here comes from the library, and nothing is fast. With coefficients W of shape
(n_outputs, n_features) and intercepts b, the objective is::

    (1 / sum_i s_i) sum_i s_i loss(y_i, W x_i + b) + l2 / 2 ||W||^2
        + alpha * [(1 - l1_ratio) sum_g c_g ||W_g|| + l1_ratio sum_{g: c_g > 0} ||W_g||_1],
    lower <= W <= upper.

:func:`minimise` finds the answer by accelerated proximal gradient steps, :func:`violations` says
how far an answer is from the optimality conditions, and :func:`lower_bound` what no answer can be
below. The three share no formula but that of the loss and its gradient.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from group_losses import TERMS, Term
from scipy.optimize import brentq


@dataclass(frozen=True)
class GroupProblem:
    """Data and options, as the estimators document them.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Features.
    y : ndarray
        Targets in the coding of :mod:`group_losses`.
    loss : str
        One of its names.
    alpha : float
        Strength.
    labels : ndarray of shape (n_features,)
        Group number of each feature, from 0.
    factors : ndarray of shape (n_groups,) or None, default=None
        Factors c_g; None is the square root of the number of features.
    l1_ratio, l2 : float, default=0.0
        Share of the L1 norm, and strength of the ridge.
    lower, upper : ndarray of shape (n_features,) or float, default=infinite
        Bounds.
    weights : ndarray of shape (n_samples,) or None, default=None
        Sample weights of any sum; None is one for each.
    intercept : bool, default=True
        Whether there are intercepts.
    options : dict, default={}
        Parameters of the loss.
    """

    X: np.ndarray
    y: np.ndarray
    loss: str
    alpha: float
    labels: np.ndarray
    factors: np.ndarray | None = None
    l1_ratio: float = 0.0
    l2: float = 0.0
    lower: np.ndarray | float = -np.inf
    upper: np.ndarray | float = np.inf
    weights: np.ndarray | None = None
    intercept: bool = True
    options: dict | None = None

    @cached_property
    def term(self) -> Term:
        s = np.ones(len(self.y)) if self.weights is None else np.asarray(self.weights, float)
        return TERMS[self.loss](self.y, s / s.sum(), **(self.options or {}))

    @property
    def has_intercept(self) -> bool:
        """Constants change nothing for a loss that only compares samples."""
        return self.intercept and not self.term.shift_invariant

    @cached_property
    def c(self) -> np.ndarray:
        sizes = np.bincount(self.labels)
        return np.sqrt(sizes) if self.factors is None else np.asarray(self.factors, float)

    @cached_property
    def l1(self) -> np.ndarray:
        """Factor of the absolute values of each feature, strength included."""
        return self.alpha * self.l1_ratio * (self.c > 0)[self.labels]

    @cached_property
    def group(self) -> np.ndarray:
        """Factor of the norm of each group, strength included."""
        return self.alpha * (1.0 - self.l1_ratio) * self.c

    @cached_property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        shape = (self.term.n_outputs, self.X.shape[1])
        return np.broadcast_to(self.lower, shape), np.broadcast_to(self.upper, shape)

    @cached_property
    def blocks(self) -> list[np.ndarray]:
        return [np.flatnonzero(self.labels == g) for g in range(len(self.c))]

    def predictor(self, W, b) -> np.ndarray:
        return self.X @ np.atleast_2d(W).T + np.reshape(b, (1, -1))

    def penalty(self, W) -> float:
        """Penalty and ridge; infinite out of bounds."""
        W = np.atleast_2d(W)
        lower, upper = self.bounds
        if np.any(np.clip(W, lower, upper) != W):
            return np.inf
        norms = [np.sqrt(np.sum(W[:, g] ** 2)) for g in self.blocks]
        return float(self.group @ norms + np.sum(self.l1 * np.abs(W)) + self.l2 / 2 * np.sum(W**2))

    def objective(self, W, b) -> float:
        return self.term.value(self.predictor(W, b)) + self.penalty(W)


def minimise(problem: GroupProblem, tol: float = 1e-11, most: int = 400_000):
    """Coefficients (n_outputs, n_features) and intercepts (n_outputs,) of the minimum.

    The violations are at most `tol` times the slopes of the null model, columns taken as
    standardised.
    """
    W, b, done = descend(problem, *nothing(problem), tol, most)
    if not done:
        raise RuntimeError(f"no minimum after {most} steps")
    return W, b


def nothing(problem: GroupProblem):
    """The model without features: coefficients of zero, and the best intercepts."""
    W = np.zeros((problem.term.n_outputs, problem.X.shape[1]))
    return W, problem.term.constant() if problem.has_intercept else np.zeros(len(W))


def descend(problem: GroupProblem, W, b, tol: float, most: int):
    """Coefficients and intercepts after at most so many steps, and whether `tol` was reached.

    FISTA with restarts (Beck and Teboulle, 2009; O'Donoghue and Candes, 2015), in units in which
    groups are of one length. The step is halved until the model majorises the loss, where that is
    not a question of rounding.
    """
    term, X = problem.term, problem.X
    n, p = X.shape
    means = term.s @ X if problem.has_intercept else np.zeros(p)
    A = X - means
    A[:, np.ptp(X, axis=0) == 0.0] *= 0.0 if problem.has_intercept else 1.0
    lengths = np.sqrt(np.bincount(problem.labels, term.s @ A**2))
    # powers of two, which change no digit
    lengths = 2.0 ** np.round(np.log2(np.where(lengths > 0.0, lengths, 1.0)))
    units = lengths[problem.labels]
    A = np.c_[A / units, np.ones(n) * problem.has_intercept]

    def smooth(V):
        Z = A @ V.T
        with np.errstate(over="ignore"):
            return term.value(Z) + problem.l2 / 2 * np.sum((V[:, :p] / units) ** 2), Z

    def slope(V, Z):
        g = term.slopes(Z).T @ A
        g[:, :p] += problem.l2 * V[:, :p] / units**2
        return g

    V = point = np.c_[W * units, b + W @ means]
    null = term.slopes(problem.predictor(*nothing(problem)))
    scale = np.sqrt(np.sum(null**2 / np.where(term.s > 0, term.s, 1.0)[:, None]))
    L, t = 0.1, 1.0
    for number in range(most):
        f, Z = smooth(point)
        if not np.isfinite(f):
            # too long a step of the acceleration
            point, t = V, 1.0
            continue
        g = slope(point, Z)
        while True:
            new = point - g / L
            new[:, :p] = units * _prox(problem, new[:, :p] / units, 1.0 / (L * lengths**2))
            d = new - point
            square = L * np.sum(d * d)
            if square <= 1e-9 * abs(f) or smooth(new)[0] <= f + np.sum(g * d) + square / 2:
                break
            L *= 2.0
        restart = np.sum((point - new) * (new - V)) > 0.0
        t, last = (1.0, t) if restart else (0.5 * (1.0 + np.sqrt(1.0 + 4.0 * t * t)), t)
        point = new if restart else new + (last - 1.0) / t * (new - V)
        V = new
        if number % 20 == 0 or number == most - 1:
            W = V[:, :p] / units
            b = V[:, p] - W @ means
            groups, slopes = violations(problem, W, b)
            worst = max(np.max(groups / lengths), np.abs(slopes).max(initial=0.0))
            if worst <= tol * scale:
                return W, b, True
    return W, b, False


def _prox(problem: GroupProblem, V, steps):
    """Proximal operator of the penalty, with a step for each group."""
    thresholds, labels = steps * problem.group, problem.labels
    shrunk = np.sign(V) * np.maximum(np.abs(V) - steps[labels] * problem.l1, 0.0)
    squares = np.bincount(labels, np.sum(shrunk**2, axis=0), minlength=len(problem.c))
    norms = np.sqrt(squares)
    shares = np.maximum(1.0 - thresholds / np.where(norms > 0, norms, np.inf), 0.0)
    W = shrunk * shares[labels]
    lower, upper = problem.bounds
    outside = np.any(np.clip(W, lower, upper) != W, axis=0)
    for k in np.unique(labels[outside]):
        g = problem.blocks[k]
        W[:, g] = _within(shrunk[:, g], thresholds[k], 1.0, lower[:, g], upper[:, g])
    return W


def _within(d, b: float, ridge: float, lower, upper):
    """Minimiser of ``ridge / 2 ||w||^2 - <d, w> + b ||w||`` over a box that holds zero.

    With r its length it is ``d r / (ridge r + b)``, clipped. The minimum must be finite.
    """
    towards = np.clip(d, np.where(lower < 0, -np.inf, 0.0), np.where(upper > 0, np.inf, 0.0))
    length = np.linalg.norm(towards)
    if length <= b or length == 0.0:
        return np.zeros_like(d)
    if b == 0.0:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.clip(np.where(towards == 0.0, 0.0, towards / ridge), lower, upper)

    def at(r):
        return np.clip(towards * (r / (ridge * r + b)), lower, upper)

    def excess(r):
        return np.linalg.norm(at(r)) / r - 1.0

    low = high = 1.0
    while excess(low) < 0.0:
        low *= 0.5
    while excess(high) > 0.0:
        high *= 2.0
    return at(brentq(excess, low, high, xtol=1e-300, rtol=1e-15) if low < high else low)


def violations(problem: GroupProblem, W, b):
    """Steepest descent that is left: of each group, and by the intercepts.

    The derivative of the objective at W in the direction D is a sum over features of ``up * D`` or
    ``down * |D|``, and of ``alpha (1 - l1_ratio) c_g ||D_g||`` where a group is zero. Directions
    that leave the bounds count for nothing.
    """
    W = np.atleast_2d(W)
    lower, upper = problem.bounds
    U = problem.term.slopes(problem.predictor(W, b))
    gradient = U.T @ problem.X + problem.l2 * W
    found = np.zeros(len(problem.c))
    for k, g in enumerate(problem.blocks):
        w, length = W[:, g], np.linalg.norm(W[:, g])
        smooth = gradient[:, g] + (problem.group[k] * w / length if length else 0.0)
        up = smooth + problem.l1[g] * np.where(w >= 0, 1.0, -1.0)
        down = -smooth + problem.l1[g] * np.where(w <= 0, 1.0, -1.0)
        descent = np.maximum(np.where(w < upper[:, g], -up, 0.0), 0.0)
        descent = np.maximum(descent, np.where(w > lower[:, g], -down, 0.0))
        found[k] = np.linalg.norm(descent)
        if not length:
            found[k] = max(found[k] - problem.group[k], 0.0)
    return found, U.sum(axis=0) if problem.has_intercept else np.zeros(len(W))


def lower_bound(problem: GroupProblem, W, b) -> float:
    """A bound on the minimum by Fenchel's inequality; nan where none is known.

    For any U whose columns have sum zero where there are intercepts::

        minimum >= -f*(U) + sum_g min_{W_g} [<W_g, (U'X)_g> + penalty_g(W_g) + l2 / 2 ||W_g||^2].

    U is the gradient of the loss at the predictor of W, divided by a number of at least one.
    """
    W = np.atleast_2d(W)
    Z = problem.predictor(W, b)
    lower, upper = problem.bounds
    U = problem.term.slopes(Z)
    inside = (lower < W) & (upper > W)
    open_ended = inside & (np.isinf(lower) | np.isinf(upper))
    free = (problem.l1 == 0) & (problem.group[problem.labels] == 0) & (problem.l2 == 0)
    fitted = free & open_ended.any(axis=0)
    fixed = problem.X[:, fitted]
    if problem.has_intercept:
        fixed = np.c_[np.ones(len(U)), fixed - problem.term.s @ fixed]
    fixed = fixed / np.maximum(np.sqrt(problem.term.s @ fixed**2), 1e-300)
    if fixed.shape[1]:
        if problem.term.shift_invariant:
            return np.nan
        U = _orthogonal(U, fixed, problem.term.metric(Z))
    C = U.T @ (problem.X - (problem.term.s @ problem.X if problem.has_intercept else 0.0))
    C[:, fitted] = 0.0
    shrink = _feasible(problem, C)
    if np.isinf(shrink):
        return np.nan
    return -problem.term.conjugate(U, Z, shrink) + _least(problem, C / shrink)


def _orthogonal(U, fixed, metric):
    """The point nearest to U in a metric of the samples that is orthogonal to columns."""
    roots = np.sqrt(metric)[:, None]
    Q, sizes, V = np.linalg.svd(roots * fixed, full_matrices=False)
    kept = sizes > 1e-12 * sizes.max()
    inverse = (Q[:, kept] / sizes[kept]) @ V[kept]
    for _ in range(3):
        U = U - roots * (inverse @ (fixed.T @ U))
    return U


def _towards(problem: GroupProblem, C, k: int):
    """How much a group gains per unit of each coefficient, in the directions that are open."""
    g = problem.blocks[k]
    lower, upper = problem.bounds
    d = -np.sign(C[:, g]) * np.maximum(np.abs(C[:, g]) - problem.l1[g], 0.0)
    return np.where(d > 0, np.where(upper[:, g] > 0, d, 0), np.where(lower[:, g] < 0, d, 0))


def _feasible(problem: GroupProblem, C) -> float:
    """Smallest number from one on by which C is to be divided for a finite bound."""
    if problem.l2 > 0.0:
        return 1.0
    lower, upper = problem.bounds

    def fits(t: float) -> bool:
        for k, g in enumerate(problem.blocks):
            d = _towards(problem, C / t, k)
            endless = np.where(d > 0, np.isinf(upper[:, g]), np.isinf(lower[:, g]))
            if np.linalg.norm(d * endless) > problem.group[k]:
                return False
        return True

    low = high = 1.0
    while not fits(high):
        low, high = high, 2.0 * high
        if high > 1e12:
            return np.inf
    for _ in range(70):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if fits(middle) else (middle, high)
    return high


def _least(problem: GroupProblem, C) -> float:
    """Minimum over the coefficients of ``<W, C>`` plus what they cost."""
    lower, upper = problem.bounds
    total = 0.0
    for k, g in enumerate(problem.blocks):
        d, b = _towards(problem, C, k), problem.group[k]
        if problem.l2 > 0.0:
            w = _within(d, b, problem.l2, lower[:, g], upper[:, g])
        else:
            # what has no bound costs at least what it gains; the rest as if it were alone
            finite = np.where(d > 0, np.isfinite(upper[:, g]), np.isfinite(lower[:, g]))
            rest = max(b * b - np.sum(d[~finite] ** 2), 0.0) ** 0.5
            d = d * finite
            low = np.where(np.isfinite(lower[:, g]), lower[:, g], 0.0)
            high = np.where(np.isfinite(upper[:, g]), upper[:, g], 0.0)
            w, b = _within(d, rest, 0.0, low, high), rest
        total += problem.l2 / 2 * np.sum(w * w) - np.sum(d * w) + b * np.linalg.norm(w)
    return float(total)


def alpha_max(problem: GroupProblem) -> float:
    """Smallest strength at which every penalised group is zero, by bisection."""
    W, b = minimise(replace(problem, alpha=1e12 * (1.0 + np.abs(problem.X).max())))

    def empty(alpha: float) -> bool:
        worst = violations(replace(problem, alpha=alpha), W, b)[0]
        return bool(np.all(worst[problem.c > 0] == 0.0))

    high = 1.0
    while not empty(high):
        high *= 2.0
    low = 0.0
    for _ in range(100):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if empty(middle) else (middle, high)
    return high
