"""The sorted L1 family from its documented objective, in plain NumPy.

Nothing here comes from the library, and nothing is fast. With coefficients W of shape
(n_outputs, n_features) and intercepts b, the objective is::

    (1 / sum_i s_i) sum_i s_i loss(y_i, W x_i + b) + alpha * sum_i lambdas_i ||W||_(i)

where ``||W||_(1) >= ||W||_(2) >= ...`` are the sorted norms of the columns of W. :func:`minimise`
finds the answer by accelerated proximal gradient steps, :func:`lower_bound` what no answer can be
below, and :func:`violations` how far an answer is from what defines it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from group_losses import TERMS, Term
from scipy.optimize import isotonic_regression


@dataclass(frozen=True)
class SortedProblem:
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
    lambdas : ndarray of shape (n_features,)
        Weights, the largest first.
    weights : ndarray of shape (n_samples,) or None, default=None
        Sample weights of any sum; None is one for each.
    intercept : bool, default=True
        Whether there are intercepts.
    """

    X: np.ndarray
    y: np.ndarray
    loss: str
    alpha: float
    lambdas: np.ndarray
    weights: np.ndarray | None = None
    intercept: bool = True

    @cached_property
    def term(self) -> Term:
        s = np.ones(len(self.y)) if self.weights is None else np.asarray(self.weights, float)
        return TERMS[self.loss](self.y, s / s.sum())

    def predictor(self, W, b) -> np.ndarray:
        return self.X @ np.atleast_2d(W).T + np.reshape(b, (1, -1))

    def norm(self, W) -> float:
        """The penalty at unit strength."""
        return float(self.lambdas @ np.sort(lengths(W))[::-1])

    def dual_norm(self, C) -> float:
        """The largest product of C with coefficients of norm 1."""
        loads = np.cumsum(np.sort(lengths(C))[::-1])
        return float(np.max(loads / np.cumsum(self.lambdas)))

    def objective(self, W, b) -> float:
        return self.term.value(self.predictor(W, b)) + self.alpha * self.norm(W)


def lengths(W) -> np.ndarray:
    """Norms of the columns."""
    return np.sqrt(np.sum(np.atleast_2d(W) ** 2, axis=0))


def prox(V, thresholds) -> np.ndarray:
    """Minimiser of ``||W - V||^2 / 2 + sum_i thresholds_i ||W||_(i)``."""
    sizes = lengths(V)
    order = np.argsort(-sizes, kind="stable")
    fitted = isotonic_regression(sizes[order] - thresholds, increasing=False).x
    shares = np.maximum(fitted, 0.0) / np.where(sizes > 0.0, sizes, 1.0)[order]
    W = np.zeros_like(V)
    W[:, order] = V[:, order] * shares
    return W


def nothing(problem: SortedProblem):
    """The model without features: coefficients of zero, and the best intercepts."""
    W = np.zeros((problem.term.n_outputs, problem.X.shape[1]))
    return W, problem.term.constant() if problem.intercept else np.zeros(len(W))


def alpha_max(problem: SortedProblem) -> float:
    """Smallest strength at which every coefficient is zero."""
    return problem.dual_norm(_slopes(problem, *nothing(problem)))


def minimise(problem: SortedProblem, tol: float = 1e-11, most: int = 200_000):
    """Coefficients (n_outputs, n_features) and intercepts (n_outputs,) of the minimum.

    The bound of :func:`lower_bound` is within `tol` of the objective of the null model.
    """
    W, b, done = descend(problem, *nothing(problem), tol, most)
    if not done:
        raise RuntimeError(f"no minimum after {most} steps")
    return W, b


def descend(problem: SortedProblem, W, b, tol: float, most: int):
    """Coefficients and intercepts after at most so many steps, and whether `tol` was reached.

    FISTA (Beck and Teboulle, 2009) with restarts. The step is halved until the model majorises the
    loss, where that is not a question of rounding.
    """
    term, X = problem.term, problem.X
    n, p = X.shape
    means = term.s @ X if problem.intercept else np.zeros(p)
    A = np.c_[X - means, np.ones(n) * problem.intercept]
    A[:, :p][:, np.ptp(X, axis=0) == 0.0] *= 0.0 if problem.intercept else 1.0
    V = point = np.c_[W, b + W @ means]
    scale = abs(problem.objective(*nothing(problem)))
    L, t = 0.1 * max(float(np.mean(term.s @ A**2)), 1e-300), 1.0
    for number in range(most):
        Z = A @ point.T
        with np.errstate(over="ignore"):
            f = term.value(Z)
        if not np.isfinite(f):
            # too long a step of the acceleration
            point, t = V, 1.0
            continue
        g = term.slopes(Z).T @ A
        while True:
            new = point - g / L
            new[:, :p] = prox(new[:, :p], problem.alpha * problem.lambdas / L)
            d = new - point
            square = L * np.sum(d * d)
            with np.errstate(over="ignore"):
                trial = term.value(A @ new.T)
            if square <= 1e-9 * abs(f) or trial <= f + np.sum(g * d) + square / 2:
                break
            L *= 2.0
        restart = np.sum((point - new) * (new - V)) > 0.0
        t, last = (1.0, t) if restart else (0.5 * (1.0 + np.sqrt(1.0 + 4.0 * t * t)), t)
        point = new if restart else new + (last - 1.0) / t * (new - V)
        V = new
        if number % 25 == 0 or number == most - 1:
            W, b = V[:, :p], V[:, p] - V[:, :p] @ means
            if problem.objective(W, b) - lower_bound(problem, W, b) <= tol * scale:
                return W, b, True
    return W, b, False


def violations(problem: SortedProblem, W, b):
    """How far an answer is from what defines it.

    Minus the slopes C of the loss by the coefficients are a subgradient of ``alpha * norm`` at W:
    a vector whose dual norm is at most alpha and whose product with W is ``alpha * norm(W)``. Those
    by the intercepts are zero.

    Returns
    -------
    outside : float
        Dual norm of C above alpha, as a share of it.
    missed : float
        What is missing of the product.
    slopes : ndarray of shape (n_outputs,)
        Slopes by the intercepts.
    """
    W = np.atleast_2d(W)
    C = _slopes(problem, W, b)
    U = problem.term.slopes(problem.predictor(W, b))
    outside = max(problem.dual_norm(C) / problem.alpha - 1.0, 0.0)
    missed = abs(problem.alpha * problem.norm(W) + float(np.sum(C * W)))
    return outside, missed, U.sum(axis=0) if problem.intercept else np.zeros(len(W))


def lower_bound(problem: SortedProblem, W, b) -> float:
    """A bound on the minimum by Fenchel's inequality.

    ``minimum >= -f*(U)`` for any U whose products with the features have a dual norm of at most
    alpha, and whose columns have sum zero where there are intercepts. U is the gradient of the loss
    at the predictor of W, moved to sum zero in a metric of the samples, and shrunk.
    """
    term = problem.term
    Z = problem.predictor(W, b)
    U = term.slopes(Z)
    X = problem.X
    if problem.intercept:
        metric = term.metric(Z)
        for _ in range(3):
            U = U - metric[:, None] / metric.sum() * U.sum(axis=0)
        X = X - term.s @ X
        X = np.where(np.ptp(problem.X, axis=0) == 0.0, 0.0, X)
    shrink = max(1.0, problem.dual_norm(U.T @ X) / problem.alpha)
    return -term.conjugate(U, Z, shrink)


def _slopes(problem: SortedProblem, W, b) -> np.ndarray:
    """Derivatives of the loss by the coefficients."""
    return problem.term.slopes(problem.predictor(W, b)).T @ problem.X
