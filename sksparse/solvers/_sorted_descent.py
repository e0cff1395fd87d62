"""Working-set solver for a squared loss with a sorted L1 penalty."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .._typing import Array, Indices
from ..penalties import SortedL1
from ._gram import GramCache, SquaredQuadratics
from ._loop import GradientIterate, Solver, centre
from ._problem import Problem, duality_gap
from ._solution import Certificate
from ._sorted_inner import minimise_sorted
from ._working_set import enlarge

# Up to this many features the working set is everything from the start.
_SMALL = 300
_FIRST_FEATURES = 100


@dataclass
class SortedIterate(GradientIterate):
    """Iterate of the sorted L1 solver."""

    features: Indices = field(default_factory=lambda: np.empty(0, dtype=np.intp))


class SortedDescent(Solver[SortedIterate]):
    """Minimise a squared loss plus a sorted L1 penalty.

    Features outside the working set are zero and take the smallest weights, so inside it the
    problem is of the same form with the largest weights.

    Parameters
    ----------
    penalty : SortedL1
        The penalty, also that of the problem.
    gram : GramCache or None, default=None
        Gram matrix over the columns met so far, to share between the strengths of a path.
    tol, max_iter, verbose
        As in :class:`Solver`.
    """

    def __init__(
        self,
        penalty: SortedL1,
        *,
        gram: GramCache | None = None,
        tol: float,
        max_iter: int,
        verbose: int = 0,
    ) -> None:
        super().__init__(tol=tol, max_iter=max_iter, verbose=verbose)
        self.penalty = penalty
        self._quadratics = SquaredQuadratics(gram)

    def start(self, problem: Problem, coef: Array | None) -> SortedIterate:
        p = problem.design.n_features
        coef = np.zeros(p) if coef is None else coef.astype(np.float64)
        state = SortedIterate(coef=coef, intercept=problem.null_intercept)
        state.features = np.arange(p) if p <= _SMALL else np.flatnonzero(coef)
        return state

    def certify(self, problem: Problem, state: SortedIterate) -> Certificate:
        state.z = problem.design.matvec(state.coef) + state.intercept
        if problem.fit_intercept:
            centre(problem, state)
        state.gradient = problem.gradient(state.z)
        state.violations = self.penalty.violations(state.coef, state.gradient, problem.alpha)
        worst = float(state.violations.max()) / problem.gradient_scale
        return Certificate("relative violation of the optimality conditions", worst)

    def gap(self, problem: Problem, coef: Array, intercept: float) -> float:
        z = problem.design.matvec(coef) + intercept
        return duality_gap(problem, self.penalty, coef, z, problem.objective(coef, z))

    def step(self, problem: Problem, state: SortedIterate) -> None:
        state.features = enlarge(state.features, state.violations, _FIRST_FEATURES)
        features = state.features
        before = state.coef[features]
        quadratic = self._quadratics.at(problem, state, features)
        tol = max(1e-2 * float(state.violations.max()), 0.3 * self.tol * problem.gradient_scale)
        inner = SortedL1(self.penalty.weights[: len(features)])
        after = minimise_sorted(quadratic, inner, problem.alpha, before, tol)
        state.progress = bool(np.any(after != before))
        state.coef[features] = after
