"""Working-set solver for a squared loss with a sorted L1 penalty."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from sksparse._typing import Array, Indices
from sksparse.penalties import SortedL1
from sksparse.solvers._gram_cache import GramCache
from sksparse.solvers._problem import Problem
from sksparse.solvers.convex._base import ConvexIterate, ConvexSolver
from sksparse.solvers.convex._squared_quadratics import SquaredQuadratics
from sksparse.solvers.convex._working_set import enlarge
from sksparse.solvers.sorted_l1._subproblem import minimise_sorted


@dataclass(frozen=True)
class Tuning:
    """How the working set of a sorted L1 norm grows.

    Parameters
    ----------
    first_features : int
        Features that enter at first; the set doubles from there.
    inner : float
        A problem over the working set is solved to this share of the largest violation,
    goal : float
        or to this share of the violations that the duality gap allows.
    """

    first_features: int = 100
    inner: float = 0.01
    goal: float = 0.3


TUNING = Tuning()


@dataclass
class SortedIterate(ConvexIterate):
    """Iterate of the sorted L1 solver."""

    quadratics: SquaredQuadratics = field(kw_only=True)
    features: Indices = field(default_factory=lambda: np.empty(0, dtype=np.intp))


class SortedDescent(ConvexSolver[SortedIterate]):
    """Minimise a squared loss plus a sorted L1 penalty.

    Features outside the working set are zero and take the smallest weights, so inside it the
    problem is of the same form with the largest weights.

    Parameters
    ----------
    gram, tol, max_iter, verbose
        As in :class:`ConvexSolver`.
    """

    def check(self, problem: Problem) -> None:
        problem.penalty_as(SortedL1)
        if not problem.loss.quadratic:
            raise ValueError(
                f"SortedDescent minimises the squared loss, not {type(problem.loss).__name__}."
            )
        if problem.loss.n_outputs > 1:
            raise ValueError(
                f"SortedDescent fits one output, got a loss with {problem.loss.n_outputs} outputs."
            )

    def start(self, problem: Problem, coef: Array | None) -> SortedIterate:
        level = problem.null_intercept
        coef = self.first_coef(problem, coef)
        state = SortedIterate(
            coef,
            level,
            level=level,
            target=self.tolerance(problem),
            # sweeps over clusters need a Gram matrix, whatever the shape of X
            quadratics=SquaredQuadratics(self.gram or GramCache(problem.centred)),
        )
        state.z = problem.centred.matvec(coef) + level
        state.features = np.flatnonzero(coef)
        return state

    def step(self, problem: Problem, state: SortedIterate) -> None:
        state.features = enlarge(state.features, state.violations, TUNING.first_features)
        features = state.features
        before = state.coef[features]
        quadratic = state.quadratics.at(problem, state, features)
        inner = SortedL1(problem.penalty_as(SortedL1).weights[: len(features)])
        after = minimise_sorted(
            quadratic,
            inner,
            problem.alpha,
            before,
            problem.centred.scales[features],
            self._inner_tolerance(problem, state),
        )
        state.progress = bool(np.any(after != before))
        state.coef[features] = after
        state.z = problem.centred.matvec(state.coef) + state.level

    def _inner_tolerance(self, problem: Problem, state: SortedIterate) -> float:
        """Violations that are small enough over a working set.

        A share of those that there are, or about what the gap that is aimed at allows: each counts
        as often as its coefficient is large.
        """
        cost = float(problem.centred.scales @ np.abs(state.coef))
        if problem.alpha == 0.0 or cost == 0.0:
            return self.inner_tolerance(state)
        worst = float(state.violations.max(initial=0.0))
        allowed = self.tolerance(problem) * state.objective / cost
        return max(TUNING.inner * worst, TUNING.goal * state.sharper * allowed)
