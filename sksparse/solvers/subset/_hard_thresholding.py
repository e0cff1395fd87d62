"""Iterative hard thresholding (Blumensath and Davies, 2008; Bertsimas, King and Mazumder, 2016).

A gradient step is followed by the best sparse vector near its end. Where the curvature L of the
step bounds that of the loss, the objective cannot rise; a line search finds longer steps that lower
it too, and solving for the coefficients on the new support lowers it further.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from sksparse._interrupts import check
from sksparse._typing import Array
from sksparse.penalties import L0
from sksparse.solvers._base import IterativeSolver
from sksparse.solvers._problem import Problem
from sksparse.solvers._solution import Certificate
from sksparse.solvers.subset._checks import independent, require_squared_loss
from sksparse.solvers.subset._correlations import Correlations
from sksparse.solvers.subset._factorised_support import NOISE, relative_gain
from sksparse.solvers.subset._scaled_penalty import ScaledPenalty
from sksparse.solvers.subset._subproblem import Subproblem
from sksparse.solvers.subset._support_iterate import SupportIterate


@dataclass(frozen=True)
class _Fit:
    """Scaled coefficients, solved for on their support."""

    u: Array
    objective: float


@dataclass
class ThresholdingIterate(SupportIterate):
    """Coefficients that are optimal on their support, and where the next step leads.

    Parameters
    ----------
    fit, found : _Fit
        The iterate, and the next one; the same where it is a fixed point.
    curvature : float
        L of the last step, for columns of unit length; at the end the least on the grid 1, 2, 4,
        ... at which the iterate is a fixed point.
    """

    fit: _Fit = field(kw_only=True)
    found: _Fit = field(kw_only=True)
    curvature: float = 1.0

    def threshold(self, v: Array, curvature: float) -> Array:
        """``argmin_u curvature ||u - v||^2`` plus the penalty, within the limit."""
        u = self.penalty.shrink(v, slice(None), curvature)
        return self.keep(u, curvature * u**2 - self.penalty.per_feature)

    def keep(self, u: Array, gains: Array) -> Array:
        """The entries of ``u`` that gain most, within the limit, and the free ones."""
        kept = self.penalty.free.copy()
        gains = np.where(kept, -np.inf, gains)
        order = np.argsort(-gains, kind="stable")[: self.penalty.limit]
        kept[order[gains[order] > 0.0]] = True
        return np.where(kept, u, 0.0)

    def polish(self, u: Array) -> _Fit:
        """Solve for the coefficients on the support of ``u``, and the features always kept."""
        free = self.data.usable[self.penalty.free[self.data.usable]]
        features = np.union1d(np.flatnonzero(u), free)
        if free.size:
            # of dependent columns those that are always kept must stay
            gram = self.data.among(features)
            features = features[independent(gram, self.penalty.free[features])]
        no_penalties = np.zeros(len(features))
        inner = Subproblem.over(self.data, self.penalty, features, no_penalties)
        values = inner.descend(u[features])
        polished = np.zeros_like(u)
        polished[features] = values
        penalty = float(self.penalty.per_feature @ (polished != 0.0))
        return _Fit(polished, inner.objective(values) + penalty)

    def adopt(self, fit: _Fit) -> None:
        """Go on from a fit."""
        self.fit = self.found = fit
        self.support = np.flatnonzero(fit.u)
        self.move(self.support, self.refine(fit.u))

    def search(self) -> _Fit:
        """One step, with the least curvature on the grid that lowers the objective."""
        u, self.curvature = self.fit.u, 1.0
        descent = self.measure_descent(self.coef)
        while True:
            check()
            step = self.threshold(u + descent / self.curvature, self.curvature)
            if np.array_equal(step != 0.0, u != 0.0):
                return self.fit
            if self.objective(step) <= self.fit.objective + NOISE:
                return min(self.polish(step), self.fit, key=lambda fit: fit.objective)
            self.curvature *= 2.0

    def objective(self, u: Array) -> float:
        """Objective, relative to the loss of the null model, from the residuals."""
        data, coef = self.data, np.zeros_like(u)
        at = np.flatnonzero(u)
        coef[at] = u[at] * self.units(at)
        loss = data.weights @ data.residual(coef) ** 2 + data.l2 * (coef @ coef)
        return float(loss) / data.target_length**2 + self.penalty.cost(u)


class IterativeHardThresholding(IterativeSolver[ThresholdingIterate]):
    """Iterative hard thresholding for a squared loss, with a line search.

    A step takes ``u + X^T r / L``, for columns of unit length and r the residual, to the nearest
    vector that the penalty favours: the ``max_features`` largest entries, or those above
    ``sqrt(2 penalty / L)``, with a soft threshold before where ``l1`` is positive. The coefficients
    on its support are then solved for. L is the least of 1, 2, 4, ... with which the step does not
    raise the objective, at most twice the largest eigenvalue of the correlations. It starts from
    zero, or from a start. A step costs one pass over X, and products with the columns in use.

    Parameters
    ----------
    tol, max_iter, verbose
        As in :class:`Solver`.

    Notes
    -----
    The certificate is the relative fall of the objective in one more step: zero for a fixed point
    ``u = H(u + X^T r / L)``, for this L and all larger ones. With correlated features many points
    are fixed, and the answer is often worse than that of the other solvers.

    References
    ----------
    T. Blumensath and M. E. Davies (2010). "Normalized iterative hard thresholding: guaranteed
    stability and performance". IEEE Journal of Selected Topics in Signal Processing 4, 298-309.

    D. Bertsimas, A. King and R. Mazumder (2016). "Best subset selection via a modern optimization
    lens". Annals of Statistics 44, 813-852.
    """

    def check(self, problem: Problem) -> None:
        require_squared_loss(problem, "iht")

    def start(self, problem: Problem, coef: Array | None) -> ThresholdingIterate:
        data = Correlations(problem, problem.penalty_as(L0).l2)
        zeros = np.zeros(problem.design.n_features)
        nothing = _Fit(zeros, 1.0)
        state = ThresholdingIterate(
            coef=zeros if coef is None else np.where(np.isfinite(data.lengths), coef, 0.0),
            intercept=0.0,
            data=data,
            penalty=ScaledPenalty.of(problem, data),
            fit=nothing,
            found=nothing,
        )
        state.adopt(state.polish(state.keep(state.scaled, state.scaled**2)))
        return state

    def certify(self, problem: Problem, state: ThresholdingIterate) -> Certificate:
        state.found = state.search()
        value = state.fit.objective
        fall = relative_gain(value - state.found.objective, value)
        return Certificate("relative fall of the objective in one more step", fall)

    def gap(self, problem: Problem, coef: Array, intercept: float) -> float:
        return np.nan

    def step(self, problem: Problem, state: ThresholdingIterate) -> None:
        state.adopt(state.found)
