"""Coordinate descent for L0 (Hazimeh and Mazumder, 2020), along a path of falling strengths.

Each strength starts from the coordinate-wise minimum of the one before. A pass over all columns
checks every coordinate; those that would move most join the support in a working set, whose Gram
matrix serves the sweeps.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from sksparse._interrupts import check
from sksparse._typing import Array, Indices
from sksparse.penalties import L0
from sksparse.solvers._base import IterativeSolver
from sksparse.solvers._problem import Problem
from sksparse.solvers._solution import Certificate
from sksparse.solvers.subset._checks import require_squared_loss
from sksparse.solvers.subset._correlations import Correlations
from sksparse.solvers.subset._factorised_support import Support, relative_gain
from sksparse.solvers.subset._scaled_penalty import ScaledPenalty
from sksparse.solvers.subset._subproblem import Subproblem, coordinate_gains
from sksparse.solvers.subset._support_iterate import SupportIterate, least_gain
from sksparse.solvers.subset._tuning import TUNING


@dataclass
class CoordinateIterate(SupportIterate):
    """An iterate at one strength of the path: at its end a coordinate-wise minimum.

    Parameters
    ----------
    factors : ndarray of shape (n_features,)
        Penalty weights on the path, in units of the strength.
    strength, last : float
        Where the path stands, and where it ends; both relative to the loss of the null model.
    u, descent : ndarray of shape (n_features,)
        Scaled coefficients, and half of minus the gradient over them.
    gains : ndarray of shape (n_features,)
        What the best move of each coordinate gains at this strength.
    against_zero : ndarray of shape (n_features,)
        What each coordinate gains against zero, its penalty left out.
    has_limit : bool
        Whether the number of features is given.
    before : ndarray or None
        Support at the strength before.
    ended : bool
        Whether the path has been left.
    """

    factors: Array = field(kw_only=True)
    strength: float = field(kw_only=True)
    last: float = field(kw_only=True)
    u: Array = field(kw_only=True)
    descent: Array = field(kw_only=True)
    gains: Array = field(kw_only=True)
    against_zero: Array = field(kw_only=True)
    has_limit: bool = field(kw_only=True)
    before: Indices | None = None
    ended: bool = False

    def measure(self) -> None:
        """Read X, and compute what every coordinate would gain."""
        self.descent = self.measure_descent(self.coef)
        self.update_gains()

    def update_gains(self) -> None:
        """What every coordinate would gain at the present strength."""
        self.gains, self.against_zero = coordinate_gains(
            self.u,
            self.descent,
            self.strength * self.factors,
            self.penalty.l1,
            self.penalty.positive,
        )

    def descend(self) -> None:
        """Minimise over the support and the columns that would move most."""
        features = self._working_set()
        inner = Subproblem.over(
            self.data, self.penalty, features, self.strength * self.factors[features]
        )
        self.adopt(features, inner.descend(self.u[features]))

    def adopt(self, features: Indices, values: Array) -> None:
        """Set the scaled coefficients of given features."""
        self.u = np.zeros_like(self.u)
        self.u[features] = values
        self.support = np.flatnonzero(self.u)
        self.move(self.support, self.refine(self.u))

    def _working_set(self) -> Indices:
        """The support and what would move, in the order of greedy cyclic descent."""
        gains = self.gains.copy()
        gains[self.support] = -np.inf
        new = np.argsort(-gains, kind="stable")[: TUNING.most_new]
        features = np.concatenate((self.support, new[gains[new] > 0.0]))
        return features[np.argsort(-np.abs(self.descent[features]), kind="stable")]

    @property
    def loss(self) -> float:
        """Loss and norms, relative to the loss of the null model."""
        smooth = 1.0 - float(self.u @ (self.data.target + self.descent))
        return smooth + float(self.penalty.l1 @ np.abs(self.u))

    @property
    def gain(self) -> float:
        """What the best move of a single coordinate gains, relative to the objective."""
        penalties = self.strength * float(self.factors @ (self.u != 0.0))
        return relative_gain(float(self.gains.max()), self.loss + penalties)

    @property
    def entry(self) -> float:
        """The strength at which the next feature enters."""
        outside = (self.u == 0.0) & (self.factors > 0.0)
        return float(np.max(self.against_zero[outside] / self.factors[outside], initial=0.0))

    @property
    def at_end(self) -> bool:
        """Whether the path has reached its end."""
        full = self.has_limit and len(self.counted) >= self.penalty.limit
        return full or self.strength <= self.last

    def lower_strength(self, threshold: float) -> None:
        """Lower the strength until another feature enters, or to the end of the path."""
        still = self.before is not None and np.array_equal(self.before, self.support)
        share = TUNING.below_still if still else TUNING.below_last
        strength = min(TUNING.below_entry * self.entry, share * self.strength)
        if self.against_zero[self.u == 0.0].max(initial=0.0) <= least_gain(self.loss, threshold):
            strength = self.last
        self.strength, self.before = max(strength, self.last), self.support
        self.update_gains()

    def finish(self) -> None:
        """Leave the path, with no more features than allowed."""
        self.ended = True
        if self.has_limit:
            self._trim()

    def _trim(self) -> None:
        """Drop the least salient features, with refits, until the support is within the limit."""
        data, penalty = self.data, self.penalty
        while len(self.counted) > penalty.limit:
            features = self.support
            slopes = 0.5 * penalty.l1[features] * np.sign(self.u[features])
            target = data.target[features] - slopes
            support = Support.of(features, data.among(features), target)
            rises = np.where(penalty.free[support.columns], np.inf, support.importances)
            kept = np.delete(support.columns, np.argmin(rises))
            inner = Subproblem.over(data, penalty, kept, np.zeros(len(kept)))
            self.adopt(kept, inner.descend(self.u[kept]))


class CoordinateDescentL0(IterativeSolver[CoordinateIterate]):
    """Cyclic coordinate descent for a squared loss, with hard and soft thresholds.

    The penalty of a feature falls along a path, from where the first feature enters to ``alpha``;
    each strength is .99 times that at which another feature enters, at most .97 times the last one,
    and .8 times where the support stood still. At every strength coordinates are minimised one
    after the other, those with the largest gradient first, until none of them all, each with the
    best value for it, lowers the objective by more than ``tol`` times itself; the
    coefficients of the support are then solved for.

    With ``max_features=k`` the path continues until k features are in use. If it skips k, the
    least salient features are dropped from the first larger support, one by one with
    refits. A start is not used. A strength costs one pass over X, or some.

    Parameters
    ----------
    tol, max_iter, verbose
        As in :class:`Solver`; a step is up to 10 passes over X.

    Notes
    -----
    The certificate is the largest relative gain of a single coordinate, at ``alpha``: zero proves a
    coordinate-wise minimum. With ``max_features`` it says that the path was followed to the end.

    References
    ----------
    H. Hazimeh and R. Mazumder (2020). "Fast best subset selection: coordinate descent and local
    combinatorial optimization algorithms". Operations Research 68, 1517-1537.
    """

    def check(self, problem: Problem) -> None:
        require_squared_loss(problem, "cd")

    def start(self, problem: Problem, coef: Array | None) -> CoordinateIterate:
        data = Correlations(problem, problem.penalty_as(L0).l2)
        scaled = ScaledPenalty.of(problem, data)
        zeros = np.zeros(problem.design.n_features)
        penalty = problem.penalty_as(L0)
        has_limit = penalty.max_features is not None
        state = CoordinateIterate(
            coef=zeros,
            intercept=data.intercept(zeros),
            data=data,
            penalty=scaled,
            factors=np.where(scaled.free, 0.0, 1.0) if has_limit else penalty.factors(len(zeros)),
            strength=0.0,
            last=0.0 if has_limit else problem.alpha / data.null_loss,
            u=zeros,
            descent=data.target,
            gains=zeros,
            against_zero=zeros,
            has_limit=has_limit,
        )
        free = data.usable[scaled.free[data.usable]]
        inner = Subproblem.over(data, scaled, free, np.zeros(len(free)))
        state.adopt(free, inner.descend(np.zeros(len(free))))
        state.measure()
        state.strength = max(state.entry / TUNING.below_last, state.last)
        state.update_gains()
        return state

    def certify(self, problem: Problem, state: CoordinateIterate) -> Certificate:
        name = "largest relative gain of a single coordinate"
        if not state.ended:
            return Certificate(name, np.inf)
        if state.has_limit:
            return Certificate("strengths left on the path", 0.0)
        return Certificate(name, state.gain)

    def gap(self, problem: Problem, coef: Array, intercept: float) -> float:
        return np.nan

    def step(self, problem: Problem, state: CoordinateIterate) -> None:
        threshold = max(self.tol, problem.precision)
        for _ in range(TUNING.per_step):
            check()
            while not state.gain > threshold:
                if state.at_end:
                    return state.finish()
                state.lower_strength(threshold)
            state.descend()
            state.measure()
