"""Search for a better subset: moves proposed by a quadratic model, verified by refits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from sksparse._interrupts import check
from sksparse._typing import Array, Indices
from sksparse.penalties import L0
from sksparse.solvers._problem import Problem
from sksparse.solvers.subset._checks import largest_rank
from sksparse.solvers.subset_newton._columns import SubsetColumns
from sksparse.solvers.subset_newton._move_gains import (
    Metric,
    Move,
    Norms,
    Quadratic,
    Rivals,
    Tableau,
    all_moves,
    best_move,
    single_moves,
)
from sksparse.solvers.subset_newton._newton_refit import SATURATED, Fit, Outputs, Terms, refit

# A loss at most this share of the null model's counts as zero where it need not have a minimum.
_SEPARATED = 1e-6
# Newton steps of a trial end when they expect to gain this share of the loss: what is then
# left is about its square.
_TRIAL, _FINAL = 1e-7, 1e-13
# Rounding of a loss, of the square root of a gain in units of that of the null loss, and of the
# square root of the null loss.
_NOTHING, _NOISE, _FINEST = 1e-20, 1e-14, 1e-11
# Moves in one model; models around one another; single moves of a model that are tried.
_MOVES, _ROUNDS, _TRIALS = 1000, 200, 30
# Moves that are tried although the model promises no gain, which it does not know exactly; all of
# them up to so many features.
_DOUBTS, _DOUBTED_ALL = 5, 30
# All single moves are tried where there are so many pairs of a feature in use and another.
_DOUBTED_PAIRS = 200
# Features that samples are first asked to tell apart.
_FEW = 32
# Features that an overshooting forward selection takes beyond a multiple of the support.
_EXTRA = 5


class SubsetSearch:
    """Refits and local search over a working set of columns.

    Parameters
    ----------
    problem : Problem
        Data, loss and penalty.
    tol : float
        Gains below this share of the loss that is left are not looked for.
    effort : int, default=1
        Factor on ``trials`` and ``doubts``; with 0 there are no doubts.

    Attributes
    ----------
    limit : int
        Largest number of features with a price.
    scale : float
        Loss of the model without features.
    floor : float
        Loss that counts as zero; minus infinity where the objective has a minimum.
    tol : float
        Smallest gain worth a move, relative to the loss.
    sparing : float
        Smallest gain worth a refit once a fit is as large as it may be.
    chains : bool
        Whether to try what a whole descent on the model leads to before single moves.
    thorough : bool
        Whether to try every single move where they are few.
    trials, doubts : int
        Number of single moves that are tried: of those that promise a gain, and of others.
    latest : Fit or None
        Where the search stands, should it be interrupted.
    """

    def __init__(self, problem: Problem, tol: float, effort: int = 1) -> None:
        penalty = problem.penalty_as(L0)
        self.problem, self.penalty, self.trials = problem, penalty, _TRIALS * max(effort, 1)
        self.columns = SubsetColumns(problem)
        self.outputs = Outputs(problem.loss)
        p = problem.design.n_features
        self._factors, self.free = penalty.factors(p), penalty.free(p)
        self._positive = penalty.positive_mask(p)
        self._alpha = penalty.strength(problem.alpha)
        self._kept = self.columns.at(np.flatnonzero(self.free & self.columns.usable))
        self.limit = p if penalty.max_features is None else min(penalty.max_features, p)
        # features that samples tell apart, and how many were asked for when that was counted
        self._rank = self._counted = p if penalty.l2 > 0 else 0
        self._allowed = 0
        self.allow(penalty.max_features or 0)
        self._ridge = penalty.l2 + penalty.scaled_l2 * self.columns.variances
        shape = (problem.design.n_samples, self.outputs.n_outputs)
        null = self.outputs.value(np.full(shape, problem.null_intercept))
        self.scale = max(null, float(np.finfo(np.float64).tiny))
        bounded = penalty.l1 > 0 or penalty.has_ridge or problem.loss.quadratic
        self.floor = -np.inf if bounded else _SEPARATED * self.scale
        self.tol, self.sparing = tol, 0.0
        self.chains, self.thorough = True, False
        self.doubts = 0 if problem.loss.quadratic else _DOUBTS * effort
        if self.doubts and p <= _DOUBTED_ALL:
            self.doubts = 3 * p
        self.latest: Fit | None = None
        self._model: tuple[Fit, Quadratic] | None = None

    def allow(self, size: int) -> None:
        """Admit so many features where beyond the number of samples a small ridge tells them apart.

        That is done where a size is asked for; a price does not go so far.
        """
        if self.penalty.scaled_l2 > 0:
            self._allowed = max(self._allowed, size)

    def tells_apart(self, size: int) -> bool:
        """Whether the samples, or a ridge, determine the coefficients of so many features."""
        if size > self._counted:
            self._counted = max(2 * size, _FEW)
            self._rank = largest_rank(self.problem, self._counted)
        return size <= max(self._rank, self._allowed)

    def objective(self, fit: Fit) -> float:
        """Objective; infinite where there are too many features."""
        features = self.columns.features[fit.support]
        if np.count_nonzero(~self.free[features]) > self.limit:
            return np.inf
        return max(fit.value, self.floor) + self.cost(features)

    def left(self, fit: Fit) -> float:
        """Loss and norms of a fit, or what counts as zero."""
        return max(fit.value, self.floor, _NOTHING * self.scale)

    def noise(self, fit: Fit) -> float:
        """What rounding makes of a gain, which has the residual for a factor."""
        return _NOISE * float(np.sqrt(self.left(fit) * self.scale))

    def threshold(self, fit: Fit) -> float:
        """Smallest gain worth a move.

        It is relative to the loss that is left: a column that explains nearly all of the null
        model's hides no other.
        """
        return max(self.tol * self.left(fit), self.noise(fit))

    def relative(self, gain: float, fit: Fit) -> float:
        """A gain as a share of the objective; zero where it is rounding."""
        if gain <= self.noise(fit):
            return 0.0
        return gain / (self.left(fit) + self.cost(self.columns.features[fit.support]))

    def cost(self, features: Indices) -> float:
        """What features cost."""
        return self._alpha * float(self._factors[features].sum())

    def finished(self, fit: Fit) -> bool:
        """Whether the loss is as good as zero, so that no feature can lower it."""
        return fit.value <= self.floor

    def null_fit(self) -> Fit:
        """The model of the features that are always kept."""
        return self.fit(self._kept, None)

    def fit(
        self,
        support: Indices,
        start: Fit | None,
        *,
        exact: bool = False,
        target: float = np.inf,
    ) -> Fit:
        """Refit on a support, from the coefficients of another fit.

        ``target`` is an objective that the fit should undercut; short of it, precision is spared.
        """
        check()
        support = np.union1d(support, self._kept)
        features, first = self.columns.features[support], int(self.problem.fit_intercept)
        rows = np.empty((first + len(support), self.problem.design.n_samples))
        rows[:first] = 1.0
        np.take(self.columns.rows, support, axis=0, out=rows[first:])
        theta = np.zeros((len(rows), self.outputs.n_outputs))
        theta[:first] = self.problem.null_intercept
        if start is not None:
            theta[:first] = start.intercept
            _, here, there = np.intersect1d(
                support, start.support, assume_unique=True, return_indices=True
            )
            theta[first:][here] = start.coef[there]
        left = self.scale
        if start is not None and self.problem.loss.quadratic:
            # for other losses what Newton steps leave is far below what they are asked for
            left = self.left(start)
        tol, goal = (_FINAL if exact else _TRIAL) * left, target - self.cost(features)
        fitted, z, value = refit(
            self.outputs, self._terms(features, left), rows, bool(first), theta, tol, goal
        )
        coef = fitted[first:]
        used = (coef != 0).any(axis=1)
        intercept = fitted[0] if first else np.zeros(self.outputs.n_outputs)
        return Fit(support[used], coef[used], intercept, z, value)

    def _terms(self, features: Indices, left: float) -> Terms:
        return Terms(
            l1=self.penalty.l1,
            l2=self._ridge[features],
            positive=self._positive[features],
            floor=self.floor,
            accuracy=float(max(1e-9 * np.sqrt(left), _FINEST * np.sqrt(self.scale))),
            patient=len(self._factors) <= _DOUBTED_ALL,
        )

    def metric(self, fit: Fit) -> Metric:
        """Curvature and gradient of the loss at a fit."""
        curvature = self.outputs.curvature(fit.z)
        gradient = self.outputs.gradient(fit.z)
        if self.problem.fit_intercept:
            # Rounding leaves a small sum, which a column with a large mean would blow up.
            gradient = gradient - np.outer(curvature / curvature.sum(), gradient.sum(axis=0))
        return Metric(curvature, gradient, self.problem.fit_intercept)

    def norms(self, features: Indices | slice) -> Norms:
        """What using each feature costs and may be."""
        return Norms(
            self.penalty.l1,
            self._ridge[features],
            self._positive[features],
            self._alpha * self._factors[features],
            self.free[features],
            self.columns.usable[features],
        )

    def room(self, support: Indices, limit: int) -> int:
        """How many features may still enter."""
        counted = np.count_nonzero(~self.free[self.columns.features[support]])
        if counted < limit and not self.tells_apart(len(support) + 1):
            return 0
        return limit - int(counted)

    def descend(self, model: Quadratic, fit: Fit, limit: int, moves: int = _MOVES) -> list[Indices]:
        """Supports on the way to a local minimum of the model."""
        support, signs, threshold = fit.support, np.sign(fit.coef), self.threshold(fit)
        visited: list[Indices] = []
        # what other signs hide from the gains, or rounding, may lead in circles
        known = {np.sort(support).tobytes()}
        for _ in range(moves):
            check()
            tableau, rivals = model.tableau(support, signs)
            move = best_move(tableau, rivals, self.room(support, limit), threshold)
            if move is None:
                break
            support, signs = _moved(support, np.sign(tableau.coef), move, rivals)
            key = np.sort(support).tobytes()
            if key in known:
                break
            known.add(key)
            visited.append(support)
        return visited

    def grow(self, fit: Fit, limit: int) -> Fit:
        """Forward selection and swaps to a size, the model renewed as it doubles."""
        size = 4
        while size <= len(fit.support):
            size *= 2
        while not self.finished(fit):
            self.latest, size = fit, min(size, limit)
            path = self.descend(self.model(fit), fit, size)
            new = self.fit(path[-1], fit) if path else fit
            if self.finished(new):
                new = self._first_finished(path, fit, new)
            if not self.objective(new) < self.objective(fit):
                break
            fit = new
            if size == limit or self.room(fit.support, size) > 0:
                break
            size *= 2
        return fit

    def _first_finished(self, path: list[Indices], start: Fit, last: Fit) -> Fit:
        """By bisection, the earliest support of a path on which the loss is as good as zero."""
        low, high = 0, len(path) - 1
        while low < high:
            middle = (low + high) // 2
            trial = self.fit(path[middle], start)
            if self.finished(trial):
                high, last = middle, trial
            else:
                low = middle + 1
        return last

    def overshoot(self, fit: Fit, factor: int) -> Fit:
        """Forward selection without a price to so many times the features, and some more."""
        alpha, self._alpha, self._model = self._alpha, 0.0, None
        size = factor * len(fit.support) + _EXTRA
        limit, self.limit = self.limit, size
        grown = self.grow(fit, size)
        self._alpha, self.limit, self._model = alpha, limit, None
        return grown

    def model(self, fit: Fit) -> Quadratic:
        """The quadratic model around a fit, over the working set."""
        features, known = self.columns.features, self._model
        if known is not None and known[0] is fit and len(known[1].means) == len(features):
            return known[1]
        model = Quadratic(
            self.columns.rows, self.metric(fit), self.norms(features), fit.support, fit.coef
        )
        self._model = fit, model
        return model

    def extend(self, fit: Fit) -> Fit:
        """What a fit becomes once the limit has been raised: one move, then what improves it."""
        path = [] if self.finished(fit) else self.descend(self.model(fit), fit, self.limit, 1)
        new = self.fit(path[-1], fit) if path else fit
        if not self.objective(new) < self.objective(fit):
            return fit
        return self.improve(new)[0]

    def improve(self, fit: Fit) -> tuple[Fit, bool]:
        """Move while the true objective falls; also whether it ended for want of moves."""
        for _ in range(_ROUNDS):
            self.latest = fit
            better = self._better(fit)
            if better is None:
                return fit, True
            fit = better
        return fit, False

    def polish(self, fit: Fit) -> Fit:
        """The same support to full precision.

        From nothing where classes are separated, at least in part: the loss has no minimum, and the
        end of the steps would depend on their start.
        """
        flat = not self.problem.loss.quadratic and self.outputs.reach(fit.z) > SATURATED
        return self.fit(fit.support, None if flat else fit, exact=True)

    def solution(self, fit: Fit) -> tuple[Array, Any]:
        """Coefficients over all features, and intercept, in the shape of the loss's outputs."""
        features = self.columns.features[fit.support]
        coef = np.zeros((self.outputs.n_outputs, self.problem.design.n_features))
        coef[:, features] = fit.coef.T
        means = self.columns.means[features] + self.columns.shift[features]
        intercept = fit.intercept - means @ fit.coef
        if self.outputs.n_outputs == 1:
            return coef[0], float(intercept[0])
        return coef, intercept

    def drops(self, fit: Fit) -> Array:
        """What the model promises for dropping each feature of a fit."""
        return self._own(fit, self.metric(fit))[1].drops

    def _own(self, fit: Fit, metric: Metric) -> tuple[Quadratic, Tableau]:
        """The model over the columns of a fit alone."""
        rows, features = self.columns.rows[fit.support], self.columns.features[fit.support]
        everyone = np.arange(len(rows))
        own = Quadratic(rows, metric, self.norms(features), everyone, fit.coef)
        return own, own.tableau(everyone, np.sign(fit.coef))[0]

    def gains(self, fit: Fit, *, swaps: bool = True) -> Array:
        """What the model promises for the best add of each column, or swap for it."""
        gains = np.full(self.problem.design.n_features, -np.inf)
        if self.finished(fit):
            return gains
        metric, features = self.metric(fit), self.columns.features[fit.support]
        own, tableau = self._own(fit, metric)
        if not swaps:
            tableau = tableau.without_drops
        room = self.room(fit.support, self.limit)
        centred = self.columns.rows[fit.support] - own.means[:, None]
        for block, beside in self.columns.all_beside(metric.curvature, centred, metric.gradient):
            norms = self.norms(block)
            roots = np.sqrt(beside.squares + norms.l2)
            lengths = np.where(norms.usable & (beside.squares > 0), roots, np.inf)
            cross = beside.cross / lengths / own.lengths[:, None]
            rivals = norms.rivals(cross, beside.descent / lengths[:, None], lengths)
            gains[block] = tableau.gains(rivals, room > 0)[0]
        gains[features] = -np.inf
        return gains

    def _better(self, fit: Fit) -> Fit | None:
        """A fit with a lower objective that the model around this one leads to."""
        if self.finished(fit) and self._alpha == 0.0:
            return None
        goal = self.objective(fit) - max(self.sparing, self.threshold(fit))
        # a refit that looks hopeless ends early, unless nothing may be missed
        target = np.inf if self.thorough else goal
        for support in self._proposals(fit):
            trial = self.fit(support, fit, target=target)
            if self.objective(trial) < goal:
                return trial
        return None

    def few_moves(self, fit: Fit) -> bool:
        """Whether all single moves can be tried."""
        n_others = int(self.columns.usable.sum()) - len(fit.support)
        return self.doubts > 0 and len(fit.support) * n_others <= _DOUBTED_PAIRS

    def _proposals(self, fit: Fit) -> Iterator[Indices]:
        """The end of the model's descent, the point half way, then its best single moves."""
        model = self.model(fit)
        path = self.descend(model, fit, self.limit) if self.chains else []
        if len(path) > 1:
            yield path[-1]
        if len(path) > 3:
            yield path[len(path) // 2]
        signs = np.sign(fit.coef)
        tableau, rivals = model.tableau(fit.support, signs)
        room, threshold = self.room(fit.support, self.limit), self.threshold(fit)
        moves = self._singles(tableau, rivals, room, threshold)
        if self.thorough and self.few_moves(fit):
            known = {(move.leaver, move.joiner) for move in moves}
            others = all_moves(tableau, rivals, room)
            moves += [move for move in others if (move.leaver, move.joiner) not in known]
        for move in moves:
            yield _moved(fit.support, signs, move, rivals)[0]

    def _singles(self, tableau: Tableau, rivals: Rivals, room: int, threshold: float) -> list[Move]:
        """Moves that promise most, and where the model is not exact a few that come close."""
        if not self.doubts:
            return single_moves(tableau, rivals, room, threshold)[: self.trials]
        moves = single_moves(tableau, rivals, room, -np.inf)
        promising = sum(move.gain > threshold for move in moves)
        useful = [m for m in moves[promising:] if m.joiner >= 0 or self._alpha > 0.0]
        return moves[: min(promising, self.trials)] + useful[: self.doubts]


def _moved(support: Indices, signs: Array, move: Move, rivals: Rivals) -> tuple[Indices, Array]:
    kept = np.arange(len(support)) != move.leaver
    support, signs = support[kept], signs[kept]
    if move.joiner >= 0:
        support = np.append(support, move.joiner)
        signs = np.vstack((signs, np.sign(rivals.descent[move.joiner])))
    return support, signs
