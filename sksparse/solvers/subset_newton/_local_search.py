"""Search for a better subset: moves proposed by a quadratic model, verified by refits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sksparse._interrupts import check
from sksparse._typing import Array, Indices
from sksparse.penalties import L0
from sksparse.solvers._problem import Problem
from sksparse.solvers.subset_newton._move_gains import (
    Candidates,
    ColumnPenalties,
    LocalModel,
    Metric,
    Move,
    SupportModel,
    all_moves,
    best_move,
    single_moves,
)
from sksparse.solvers.subset_newton._newton_refit import Fit
from sksparse.solvers.subset_newton._subset_fits import SubsetFits
from sksparse.solvers.subset_newton._tuning import TUNING


@dataclass(frozen=True)
class Budget:
    """Limits and penalty of a subset, and how much a search tries.

    Parameters
    ----------
    alpha : float
        Strength of the penalty on the number of features; zero where a number is asked for.
    limit : int
        Largest number of features that count.
    admitted : int
        Features that are allowed beyond those whose coefficients the samples determine: where a
        number is asked for, a small ridge determines them.
    n_promising, n_unpromising : int
        Number of single moves that are refitted: of those with a predicted gain, and of others.
    descents : bool, default=True
        Whether to try what a whole descent on the model leads to before single moves.
    every_move : bool, default=False
        Whether to refit every single move where they are few.
    least_gain : float, default=0.0
        Smallest predicted gain for which a move is refitted.
    """

    alpha: float
    limit: int
    admitted: int
    n_promising: int
    n_unpromising: int
    descents: bool = True
    every_move: bool = False
    least_gain: float = 0.0

    @classmethod
    def of(cls, problem: Problem, effort: int) -> Budget:
        """The budget for a problem; ``effort=0`` tries only moves with a predicted gain."""
        penalty, p = problem.penalty_as(L0), problem.design.n_features
        unpromising = 0 if problem.loss.quadratic else TUNING.n_unpromising * effort
        if unpromising and p <= TUNING.few_features:
            unpromising = 3 * p
        return cls(
            alpha=penalty.strength(problem.alpha),
            limit=p if penalty.max_features is None else min(penalty.max_features, p),
            admitted=(penalty.max_features or 0) if penalty.scaled_l2 > 0 else 0,
            n_promising=TUNING.n_promising * max(effort, 1),
            n_unpromising=unpromising,
        )


class Latest:
    """The latest fit and the latest quadratic model of the searches of one problem.

    Attributes
    ----------
    fit : Fit or None
        Where the search stands, should it be interrupted.
    model : tuple or None
        A fit, the strength and the number of columns, and the model around the fit.
    """

    def __init__(self) -> None:
        self.fit: Fit | None = None
        self.model: tuple[Fit, tuple[float, int], LocalModel] | None = None


class SubsetSearch:
    """Local search over a working set of columns, within a budget.

    Parameters
    ----------
    fits : SubsetFits
        Working set and refits.
    budget : Budget
        What may be selected, and how much is tried.
    latest : Latest or None, default=None
        Shared by searches of one problem within different budgets.
    """

    def __init__(self, fits: SubsetFits, budget: Budget, latest: Latest | None = None) -> None:
        self.fits, self.budget = fits, budget
        self.latest = latest or Latest()

    def within(self, **changes: Any) -> SubsetSearch:
        """The same search within another budget."""
        return SubsetSearch(self.fits, replace(self.budget, **changes), self.latest)

    def objective(self, fit: Fit) -> float:
        """Objective; infinite where there are too many features."""
        if self.fits.n_counted(fit.support) > self.budget.limit:
            return np.inf
        return max(fit.value, self.fits.floor) + self._cost_of(fit.support)

    def cost(self, features: Indices) -> float:
        """Penalty on the number of features."""
        return self.fits.cost(features, self.budget.alpha)

    def _cost_of(self, support: Indices) -> float:
        return self.cost(self.fits.columns.features[support])

    def relative(self, gain: float, fit: Fit) -> float:
        """A gain as a share of the objective; zero where it is rounding."""
        if gain <= self.fits.noise(fit):
            return 0.0
        return gain / (self.fits.left(fit) + self._cost_of(fit.support))

    def penalties(self, features: Indices | slice) -> ColumnPenalties:
        """Penalties and constraints of each feature."""
        return self.fits.penalties(features, self.budget.alpha)

    def capacity(self, support: Indices, limit: int) -> int:
        """How many features may still enter; negative where there are too many."""
        counted = self.fits.n_counted(support)
        if counted < limit and not self.determines(len(support) + 1):
            return 0
        return limit - counted

    def determines(self, n_features: int) -> bool:
        """Whether the coefficients of so many features are determined, or allowed in any case."""
        return self.fits.determines(n_features) or n_features <= self.budget.admitted

    def model(self, fit: Fit) -> LocalModel:
        """The quadratic model around a fit, over the working set."""
        columns, known = self.fits.columns, self.latest.model
        key = (self.budget.alpha, len(columns.features))
        if known is not None and known[0] is fit and known[1] == key:
            return known[2]
        penalties = self.penalties(columns.features)
        model = LocalModel(columns.rows, self.fits.metric(fit), penalties, fit.support, fit.coef)
        self.latest.model = fit, key, model
        return model

    def drops(self, fit: Fit) -> Array:
        """Gain that the model predicts for dropping each feature of a fit."""
        return self._own(fit, self.fits.metric(fit))[1].drops

    def _own(self, fit: Fit, metric: Metric) -> tuple[LocalModel, SupportModel]:
        """The model over the columns of a fit alone."""
        columns = self.fits.columns
        rows, features = columns.rows[fit.support], columns.features[fit.support]
        everyone = np.arange(len(rows))
        own = LocalModel(rows, metric, self.penalties(features), everyone, fit.coef)
        return own, own.given(everyone, np.sign(fit.coef))[0]

    def gains(self, fit: Fit, *, swaps: bool = True) -> Array:
        """Gain that the model predicts for the best add of each column, or swap for it."""
        fits, columns = self.fits, self.fits.columns
        gains = np.full(fits.problem.design.n_features, -np.inf)
        if fits.finished(fit):
            return gains
        metric = fits.metric(fit)
        own, inside = self._own(fit, metric)
        if not swaps:
            inside = inside.without_drops
        adds = self.capacity(fit.support, self.budget.limit) > 0
        centred = columns.rows[fit.support] - own.means[:, None]
        for block, found in columns.all_products(metric.curvature, centred, metric.gradient):
            penalties = self.penalties(block)
            roots = np.sqrt(found.squares + penalties.l2)
            lengths = np.where(penalties.usable & (found.squares > 0), roots, np.inf)
            cross = found.cross / lengths / own.lengths[:, None]
            outside = penalties.candidates(cross, found.descent / lengths[:, None], lengths)
            gains[block] = inside.gains(outside, adds)[0]
        gains[columns.features[fit.support]] = -np.inf
        return gains

    def descend(
        self, model: LocalModel, fit: Fit, limit: int, moves: int = TUNING.max_moves
    ) -> list[Indices]:
        """Supports on the way to a local minimum of the model."""
        support, signs, threshold = fit.support, np.sign(fit.coef), self.fits.threshold(fit)
        visited: list[Indices] = []
        # gains assume fixed signs: where signs change, or by rounding, moves may cycle
        known = {np.sort(support).tobytes()}
        for _ in range(moves):
            check()
            inside, outside = model.given(support, signs)
            move = best_move(inside, outside, self.capacity(support, limit), threshold)
            if move is None:
                break
            support, signs = _moved(support, np.sign(inside.coef), move, outside)
            key = np.sort(support).tobytes()
            if key in known:
                break
            known.add(key)
            visited.append(support)
        return visited

    def grow(self, fit: Fit, limit: int) -> Fit:
        """Forward selection and swaps to a limit, the model renewed as the support doubles."""
        fits, most = self.fits, 4
        while most <= len(fit.support):
            most *= 2
        while not fits.finished(fit):
            self.latest.fit, most = fit, min(most, limit)
            path = self.descend(self.model(fit), fit, most)
            new = fits.fit(path[-1], fit) if path else fit
            if fits.finished(new):
                new = self._first_finished(path, fit, new)
            if not self.objective(new) < self.objective(fit):
                break
            fit = new
            if most == limit or self.capacity(fit.support, most) > 0:
                break
            most *= 2
        return fit

    def _first_finished(self, path: list[Indices], start: Fit, last: Fit) -> Fit:
        """By bisection, the earliest support of a path on which the loss is negligible."""
        low, high = 0, len(path) - 1
        while low < high:
            middle = (low + high) // 2
            trial = self.fits.fit(path[middle], start)
            if self.fits.finished(trial):
                high, last = middle, trial
            else:
                low = middle + 1
        return last

    def overshoot(self, fit: Fit, factor: int) -> Fit:
        """Forward selection without a penalty to a multiple of the features, and a few more."""
        limit = factor * len(fit.support) + TUNING.overshoot
        return self.within(alpha=0.0, limit=limit).grow(fit, limit)

    def extend(self, fit: Fit) -> Fit:
        """The fit after the limit was raised: one forward step, then improving moves."""
        path = []
        if not self.fits.finished(fit):
            path = self.descend(self.model(fit), fit, self.budget.limit, 1)
        new = self.fits.fit(path[-1], fit) if path else fit
        if not self.objective(new) < self.objective(fit):
            return fit
        return self.improve(new)[0]

    def improve(self, fit: Fit) -> tuple[Fit, bool]:
        """Move while the true objective falls; also whether no move was left in the end."""
        for _ in range(TUNING.max_rounds):
            self.latest.fit = fit
            better = self._better(fit)
            if better is None:
                return fit, True
            fit = better
        return fit, False

    def _better(self, fit: Fit) -> Fit | None:
        """A fit with a lower objective that the model around this one leads to."""
        if self.fits.finished(fit) and self.budget.alpha == 0.0:
            return None
        goal = self.objective(fit) - max(self.budget.least_gain, self.fits.threshold(fit))
        for support in self._proposals(fit):
            # a refit that cannot reach a lower objective ends early, unless every move is tried
            target = np.inf
            if not self.budget.every_move:
                target = goal - self._cost_of(self.fits.with_kept(support))
            trial = self.fits.fit(support, fit, target=target)
            if self.objective(trial) < goal:
                return trial
        return None

    def few_moves(self, fit: Fit) -> bool:
        """Whether all single moves can be tried."""
        n_others = int(self.fits.columns.usable.sum()) - len(fit.support)
        return self.budget.n_unpromising > 0 and len(fit.support) * n_others <= TUNING.few_pairs

    def _proposals(self, fit: Fit) -> Iterator[Indices]:
        """The end of the model's descent, the point half way, then its best single moves."""
        model, limit = self.model(fit), self.budget.limit
        path = self.descend(model, fit, limit) if self.budget.descents else []
        if len(path) > 1:
            yield path[-1]
        if len(path) > 3:
            yield path[len(path) // 2]
        signs = np.sign(fit.coef)
        inside, outside = model.given(fit.support, signs)
        capacity = self.capacity(fit.support, limit)
        moves = self._singles(inside, outside, capacity, self.fits.threshold(fit))
        if self.budget.every_move and self.few_moves(fit):
            known = {(move.leaving, move.entering) for move in moves}
            others = all_moves(inside, outside, capacity)
            moves += [move for move in others if (move.leaving, move.entering) not in known]
        for move in moves:
            yield _moved(fit.support, signs, move, outside)[0]

    def _singles(
        self, inside: SupportModel, outside: Candidates, capacity: int, threshold: float
    ) -> list[Move]:
        """Moves with the largest predicted gains, and for inexact models some without one."""
        budget = self.budget
        if not budget.n_unpromising:
            return single_moves(inside, outside, capacity, threshold)[: budget.n_promising]
        moves = single_moves(inside, outside, capacity, -np.inf)
        promising = sum(move.gain > threshold for move in moves)
        useful = [m for m in moves[promising:] if m.entering >= 0 or budget.alpha > 0.0]
        return moves[: min(promising, budget.n_promising)] + useful[: budget.n_unpromising]


def _moved(
    support: Indices, signs: Array, move: Move, outside: Candidates
) -> tuple[Indices, Array]:
    kept = np.arange(len(support)) != move.leaving
    support, signs = support[kept], signs[kept]
    if move.entering >= 0:
        support = np.append(support, move.entering)
        signs = np.vstack((signs, np.sign(outside.descent[move.entering])))
    return support, signs
