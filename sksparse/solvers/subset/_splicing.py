"""Splicing (Zhu, Wen, Zhu, Zhang and Wang, 2020): exchange the features that help least.

For columns and a target of unit length, leaving a feature of the support out without a refit costs
the square of its coefficient, its backward sacrifice; the best single coefficient for another
column gains the square of its product with the residual, its forward sacrifice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from sksparse._interrupts import check
from sksparse._typing import Array, Indices
from sksparse.penalties import L0
from sksparse.solvers._base import IterativeSolver
from sksparse.solvers._problem import Problem
from sksparse.solvers._solution import Certificate
from sksparse.solvers.subset._checks import independent, require_least_squares
from sksparse.solvers.subset._correlations import Correlations
from sksparse.solvers.subset._factorised_support import Support, relative_gain
from sksparse.solvers.subset._scaled_penalty import ScaledPenalty
from sksparse.solvers.subset._support_iterate import SupportIterate
from sksparse.solvers.subset._tuning import TUNING


@dataclass
class SplicingIterate(SupportIterate):
    """The best support so far, and the one of the present cardinality.

    Parameters
    ----------
    cardinality : int
        Number of features that count, at present.
    current, found : Support
        Support of this cardinality, and where its best splice leads; itself where there is none.
    objective : float
        Its loss and penalties, relative to the loss of the null model.
    best, best_cardinality : float and int
        Objective and cardinality of ``support``.
    fall : float
        What the best splice of ``support`` gains, relative to its objective.
    losses : list of list of float
        For each cardinality, the objectives at the start and after every splice.
    """

    cardinality: int = field(kw_only=True)
    current: Support = field(kw_only=True)
    found: Support = field(kw_only=True)
    objective: float = np.inf
    best: float = np.inf
    best_cardinality: int = 0
    fall: float = np.inf
    ended: bool = False
    losses: list[list[float]] = field(default_factory=lambda: [[]])

    def value(self, support: Support) -> float:
        """Objective of a support."""
        return 1.0 - support.explained + float(self.penalty.per_feature[support.columns].sum())

    def adopt(self, support: Support) -> None:
        """Go on from a support, which becomes the answer if it is the best so far."""
        self.current, self.found, self.objective = support, support, self.value(support)
        self.losses[-1].append(self.objective)
        if self.objective < self.best:
            self.best, self.best_cardinality = self.objective, self.cardinality
            self.support = support.columns
            self.move(self.support, self.data.refit(self.support))

    def splice(self, most: int) -> float:
        """Find the best exchange of at most so many features; returns its relative gain."""
        check()
        supports = [self.factorise(features) for features in self._exchanges(most)]
        self.found = min(supports, key=self.value, default=self.current)
        if not np.isfinite(self.objective):
            return np.inf
        return relative_gain(self.objective - self.value(self.found), self.objective)

    def factorise(self, features: Indices) -> Support:
        """A support of independent features; free ones are kept before others."""
        data, gram = self.data, self.data.among(features)
        kept = independent(gram, self.penalty.free[features])
        features, gram = features[kept], gram[np.ix_(kept, kept)]
        return Support.of(features, gram, data.target[features])

    def _exchanges(self, most: int) -> Iterator[Indices]:
        """Supports without the k least backward sacrifices, with the largest forward ones."""
        at, penalty = self.current.columns, self.penalty
        counted = ~penalty.free[at]
        sacrifices = self.current.coef**2 - penalty.per_feature[at]
        leaving = at[counted][np.argsort(sacrifices[counted], kind="stable")]
        entering = self._entering(most + self.cardinality - len(leaving))
        lacking = min(self.cardinality - len(leaving), len(entering))
        largest = min(most, len(leaving), len(entering) - lacking)
        for k in range(0 if lacking else 1, largest + 1):
            yield np.concatenate((at[~counted], leaving[k:], entering[: lacking + k]))

    def _entering(self, count: int) -> Indices:
        """The columns with the largest forward sacrifices, largest first."""
        at = self.current.columns
        coef = np.zeros_like(self.coef)
        coef[at] = self.current.coef * self.units(at)
        gains = self.measure_descent(coef) ** 2 - self.penalty.per_feature
        gains[at] = -np.inf
        usable = self.data.usable
        candidates = usable[~self.penalty.free[usable] & np.isfinite(gains[usable])]
        if len(candidates) > count:
            candidates = candidates[np.argpartition(-gains[candidates], count)[:count]]
        return candidates[np.argsort(-gains[candidates], kind="stable")]


class Splicing(IterativeSolver[SplicingIterate]):
    """Best-subset selection by splicing, for a squared loss.

    From a support of the present cardinality, the k features with the least backward sacrifices are
    exchanged for the k columns with the largest forward sacrifices, k = 1, ..., ``max_exchange``,
    all refitted; the best exchange is made while it lowers the objective by more than ``tol`` times
    itself.

    With ``max_features`` there is one cardinality, which starts from the columns that correlate
    with the target most (those of a start come first). Otherwise they are 0, 1, 2, ...; each starts
    from the one before and the column with the largest forward sacrifice, and the one with the
    least penalised objective is kept. The path ends when 5 in a row were no better. For ``alpha``
    zero there is one again, the largest. Where penalties differ, the sacrifices carry
    them.

    A splice costs one pass over X, and the Gram matrix of what is exchanged.

    Parameters
    ----------
    max_exchange : int, default=5
        Largest number of features exchanged at once.
    tol, max_iter, verbose
        As in :class:`Solver`; a step is one splice, or up to 10 cardinalities of at most
        ``max_iter`` splices each.

    Notes
    -----
    The paper accepts a splice for a gain above ``0.01 s log(p) log(log(n)) / n``. Here it is
    ``tol``: the number of samples has no meaning where they have weights, and whatever the
    threshold, the objective falls with every splice, so that no support comes twice.

    The certificate is the largest relative gain of a splice of the answer.

    References
    ----------
    J. Zhu, C. Wen, J. Zhu, H. Zhang and X. Wang (2020). "A polynomial algorithm for best-subset
    selection problem". Proceedings of the National Academy of Sciences 117, 33117-33123.
    """

    def __init__(
        self,
        *,
        max_exchange: int = 5,
        tol: float,
        max_iter: int,
        verbose: int = 0,
    ) -> None:
        super().__init__(tol=tol, max_iter=max_iter, verbose=verbose)
        self.max_exchange = max_exchange

    def check(self, problem: Problem) -> None:
        require_least_squares(problem, "splicing")

    def start(self, problem: Problem, coef: Array | None) -> SplicingIterate:
        data = Correlations(problem, problem.penalty_as(L0).l2)
        penalty = ScaledPenalty.of(problem, data)
        zeros = np.zeros(problem.design.n_features)
        nothing = Support.of(data.usable[:0], np.empty((0, 0)), zeros[:0])
        state = SplicingIterate(
            coef=zeros,
            intercept=data.intercept(zeros),
            data=data,
            penalty=penalty,
            cardinality=penalty.limit if self._one_cardinality(problem) else 0,
            current=nothing,
            found=nothing,
        )
        free = data.usable[penalty.free[data.usable]]
        first = _first_features(state, zeros if coef is None else coef)
        state.adopt(state.factorise(np.concatenate((free, first))))
        return state

    def _one_cardinality(self, problem: Problem) -> bool:
        return problem.penalty_as(L0).max_features is not None or problem.alpha == 0.0

    def certify(self, problem: Problem, state: SplicingIterate) -> Certificate:
        if self._one_cardinality(problem):
            state.fall = state.splice(self.max_exchange)
        value = state.fall if self._one_cardinality(problem) or state.ended else np.inf
        return Certificate("largest relative gain of a splice", value)

    def gap(self, problem: Problem, coef: Array, intercept: float) -> float:
        return np.nan

    def step(self, problem: Problem, state: SplicingIterate) -> None:
        if self._one_cardinality(problem):
            return state.adopt(state.found)
        threshold = max(self.tol, problem.precision)
        for _ in range(TUNING.per_step):
            self._settle(state, threshold)
            self._grow(state)
            if state.ended:
                break

    def _settle(self, state: SplicingIterate, threshold: float) -> None:
        """Splice the present support until nothing improves it."""
        for _ in range(self.max_iter):
            fall = state.splice(self.max_exchange)
            if state.best_cardinality == state.cardinality:
                state.fall = fall
            if fall <= threshold:
                break
            state.adopt(state.found)

    def _grow(self, state: SplicingIterate) -> None:
        """Go on to the next cardinality, where there is one that may be better."""
        state.ended = (
            state.cardinality == state.penalty.limit
            or state.cardinality - state.best_cardinality == TUNING.patience
        )
        if state.ended:
            return
        before = len(state.current.columns)
        state.cardinality, state.objective = state.cardinality + 1, np.inf
        state.losses.append([])
        state.splice(self.max_exchange)
        state.ended = len(state.found.columns) <= before
        if not state.ended:
            state.adopt(state.found)


def _first_features(state: SplicingIterate, coef: Array) -> Indices:
    """Features of a start, largest first, then those that correlate with the target most."""
    data, usable = state.data, state.data.usable
    usable = usable[~state.penalty.free[usable]]
    scaled = coef[usable] * data.lengths[usable]
    rank = np.where(scaled != 0.0, 1.0 + scaled**2, data.target[usable] ** 2)
    return usable[np.argsort(-rank, kind="stable")[: state.cardinality]]
