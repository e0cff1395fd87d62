"""Dominant features, which explain nearly all of a target.

Solvers of least squares resolve gains down to some 1e-14 of the loss without features. Where a
column of huge scale, or of ones for a target far from zero, explains all but less than that, the
gains of the other features are lost to rounding. What such features explain is then subtracted from
the target, and the search is repeated on the residual with these features always kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np

from sksparse._typing import Array, Indices
from sksparse.losses import Squared
from sksparse.penalties import L0
from sksparse.solvers import BoundedSolution, Problem, Solution, Status


class Tuning(NamedTuple):
    """When features dominate a fit, and how the residual is searched.

    Parameters
    ----------
    small : float
        A loss below this share of the null model's is examined for dominant features.
    rounding : float
        A loss below this share of the squares that were added up to it is rounding.
    dominant : float
        A feature dominates if the loss without it is larger by this multiple of what is left.
    most_times : int
        Largest number of nested residual problems. Each explains all but a thousandth or less of
        the one before; soon rounding is left.
    lost : float
        Where no residual problem can be made, gains are lost to rounding in a loss below this share
        of the null model's.
    refinements : int
        Refits of the residual by least squares, for the digits that solvers lose on correlated
        features.
    first_rows : int
        Samples whose squares are summed first, to see quickly that a fit is not exact.
    """

    small: float = 1e-9
    rounding: float = 1e-28
    dominant: float = 1e6
    most_times: int = 6
    lost: float = 1e-13
    refinements: int = 2
    first_rows: int = 100


TUNING = Tuning()

Solve = Callable[[Problem, Array | None], Solution]


def solve_with_dominant(
    solve: Solve, problem: Problem, start: Array | None, times: int = 0
) -> Solution:
    """The answer of a solver, and of the residual problem where features dominate it.

    Parameters
    ----------
    solve : callable
        The solver.
    problem : Problem
        A squared loss with an L0 penalty.
    start : ndarray of shape (n_features,) or None
        Coefficients of an earlier fit.
    times : int, default=0
        Number of nested residual problems so far.

    Returns
    -------
    solution : Solution
        Its certificate is that of the last solve.
    """
    found = solve(problem, start)
    if found.status is Status.INTERRUPTED or times == TUNING.most_times:
        return found
    if not explains_nearly_all(problem, found.coef, found.intercept):
        return found
    rest = ResidualProblem.of(problem, found.coef, found.intercept)
    if rest is None or not rest.keeps_bounds(found):
        message = found.message or lost_gains_message(problem, found.coef, found.intercept)
        status = found.status if message == found.message else Status.STALLED
        return replace(found, message=message, status=status)
    if rest.penalty.max_features == 0:
        return found
    start = None if start is None else np.where(rest.coef != 0.0, 0.0, start)
    return rest.better(found, solve_with_dominant(solve, rest.problem, start, times + 1))


@dataclass(frozen=True)
class ResidualProblem:
    """A problem without what dominant features explain.

    Parameters
    ----------
    before : Problem
        The problem as it was.
    problem : Problem
        The same for the residual of the dominant features, which its penalty always keeps and does
        not count.
    coef : ndarray of shape (n_features,)
        Coefficients of the dominant features in what was subtracted; zero elsewhere.
    intercept : float
        Intercept of what was subtracted.
    """

    before: Problem
    problem: Problem
    coef: Array
    intercept: float

    @classmethod
    def of(cls, problem: Problem, coef: Array, intercept: float) -> Self | None:
        """The residual problem of the dominant features of a fit; None where it has none."""
        penalty, left = problem.penalty_as(L0), _left(problem, coef, intercept)
        if left is None or not penalises_counts_only(penalty):
            return None
        dominant, p = _dominant(problem, coef, left), problem.design.n_features
        if not dominant.size:
            return None
        weights, most = penalty.factors(p).copy(), penalty.max_features
        if most is not None:
            most -= int(np.count_nonzero(weights[dominant]))
        weights[dominant] = 0.0
        taken = np.zeros(p)
        taken[dominant] = coef[dominant]
        target = residual_of(problem, taken, 0.0)
        mean = float(problem.loss.weights @ target) if problem.fit_intercept else 0.0
        rest = replace(
            problem,
            loss=Squared(target - mean, problem.loss.weights),
            penalty=replace(penalty, penalty_weights=weights, max_features=most),
        )
        return cls(problem, rest, taken, mean)

    @property
    def penalty(self) -> L0:
        """The penalty of the residual problem."""
        return self.problem.penalty_as(L0)

    def keeps_bounds(self, found: Solution) -> bool:
        """Whether what is proved of the residual problem is proved of the problem.

        It is if all other features together fit worse without a dominant one than the answer does.
        """
        if not isinstance(found, BoundedSolution):
            return True
        design = self.before.design
        columns = _scaled(self.before, np.arange(design.n_features))[0]
        weights = self.before.loss.weights
        target: Array = np.sqrt(weights) * (self.before.loss.y - self.before.null_intercept)
        for feature in np.flatnonzero(self.coef):
            others = np.delete(columns, feature, axis=1)
            left = target - others @ np.linalg.lstsq(others, target)[0]
            if 0.5 * float(left @ left) <= 2.0 * found.objective:
                return False
        return True

    def better(self, found: Solution, rest: Solution) -> Solution:
        """The better of a fit as it was and of one of the residual problem."""
        coef: Array = self.coef + rest.coef
        intercept = self.intercept + rest.intercept
        n_iter = found.n_iter + rest.n_iter
        if np.array_equal(coef != 0.0, found.coef != 0.0):
            coef, intercept = found.coef, found.intercept
        elif self._objective(coef, intercept) > self._objective(found.coef, found.intercept):
            return found
        rest = replace(rest, coef=coef, intercept=intercept, n_iter=n_iter)
        return self._with_penalty_of_dominant(rest) if isinstance(rest, BoundedSolution) else rest

    def _with_penalty_of_dominant(self, rest: BoundedSolution) -> BoundedSolution:
        """Objective and bound with the penalty of the dominant features."""
        added = self.before.penalty.cost(self.coef, self.before.alpha)
        objective, value = rest.objective + added, rest.certificate.value
        if objective > 0.0:
            value = min(value, rest.gap / objective)
        return replace(
            rest,
            objective=objective,
            lower_bound=rest.lower_bound + added,
            certificate=replace(rest.certificate, value=value),
        )

    def _objective(self, coef: Array, intercept: float) -> float:
        left = _squares(self.before, residual_of(self.before, coef, intercept))
        return left + self.before.penalty.cost(coef, self.before.alpha)


def penalises_counts_only(penalty: L0) -> bool:
    """Whether the penalty does not depend on magnitudes and signs of the coefficients.

    Otherwise subtracting what dominant features explain would change it.
    """
    norms = penalty.l1 > 0.0 or penalty.has_ridge
    return not norms and penalty.positive is None


def lost_gains_message(problem: Problem, coef: Array, intercept: float) -> str:
    """Why the gains of other features cannot be told from rounding, if they cannot; else empty."""
    left, null = _left(problem, coef, intercept), _null_loss(problem)
    if left is None or coef.all():
        return ""
    penalty = problem.penalty_as(L0)
    share = (left + penalty.cost(coef, 0.0)) / null
    if share >= TUNING.lost:
        return ""
    counted = penalty.factors(len(coef))[_dominant(problem, coef, left)] > 0.0
    most = penalty.max_features
    if most is not None and np.count_nonzero(counted) >= most:
        return ""
    return (
        f"The features of the answer leave {share:.1e} of the loss of the model without features; "
        "what others explain of that cannot be told from rounding. Remedy: subtract what the "
        "dominant feature explains from y, or fit an intercept."
    )


def explains_nearly_all(problem: Problem, coef: Array, intercept: float) -> bool:
    """Whether a fit leaves so small a share of the null model's loss that features may dominate."""
    small = TUNING.small * _null_loss(problem)
    # as a rule some samples alone leave more
    if _squares_of_first_rows(problem, coef, intercept) > small:
        return False
    return _squares(problem, residual_of(problem, coef, intercept)) < small


def _squares_of_first_rows(problem: Problem, coef: Array, intercept: float) -> float:
    """A lower bound on the loss: what the first samples contribute."""
    rows, support = slice(0, TUNING.first_rows), np.flatnonzero(coef)
    columns = problem.design.head(TUNING.first_rows, support)
    loss, predictor = problem.loss, columns @ coef[support] + intercept
    return 0.5 * float(loss.weights[rows] @ (loss.y[rows] - predictor) ** 2)


def _left(problem: Problem, coef: Array, intercept: float) -> float | None:
    """The loss of a refit on the features of a fit, where it is small but not rounding."""
    residual, null = residual_of(problem, coef, intercept), _null_loss(problem)
    if not 0.0 < _squares(problem, residual) < TUNING.small * null:
        return None
    # solvers leave some digits of the coefficients of correlated features
    columns, roots = _scaled(problem, np.flatnonzero(coef))[0], np.sqrt(problem.loss.weights)
    if problem.fit_intercept:
        residual = residual - problem.loss.weights @ residual
    rest = roots * residual
    for _ in range(TUNING.refinements):
        rest = rest - columns @ np.linalg.lstsq(columns, rest)[0]
    left = 0.5 * float(rest @ rest)
    return left if left > _rounding(problem, coef, intercept) else None


def _dominant(problem: Problem, coef: Array, left: float) -> Indices:
    """The features without which the loss would be a large multiple of what is left."""
    support = np.flatnonzero(coef)
    needed = np.full(len(support), TUNING.dominant * left)
    penalty = problem.penalty_as(L0)
    if penalty.max_features is None:
        weights = penalty.factors(len(coef))[support]
        needed = np.maximum(needed, problem.alpha * weights)
    return support[_loss_increases(problem, support, coef[support]) > needed]


def residual_of(problem: Problem, coef: Array, intercept: float) -> Array:
    """Targets less the predictor, in float64, equal for equal samples."""
    residual = problem.loss.y - intercept
    for block in _blocks(np.flatnonzero(coef)):
        columns = problem.design.columns(block)
        if problem.design.is_sparse:
            residual -= columns @ coef[block]
        else:
            # sums over columns one by one do not depend on where a sample stands
            for column, w in zip(columns.T, coef[block], strict=True):
                residual -= w * column
    return np.asarray(residual)


def _blocks(features: Indices) -> list[Indices]:
    return [features[start : start + 256] for start in range(0, len(features), 256)]


def _squares(problem: Problem, residual: Array) -> float:
    return 0.5 * float(problem.loss.weights @ residual**2)


def _null_loss(problem: Problem) -> float:
    return _squares(problem, problem.loss.y - problem.null_intercept)


def _rounding(problem: Problem, coef: Array, intercept: float) -> float:
    """A loss that rounding of the terms of the predictor may leave."""
    magnitudes = np.abs(problem.loss.y) + abs(intercept)
    for block in _blocks(np.flatnonzero(coef)):
        magnitudes += abs(problem.design.columns(block)) @ np.abs(coef[block])
    return TUNING.rounding * _squares(problem, magnitudes)


def _loss_increases(problem: Problem, support: Indices, coef: Array) -> Array:
    """Increase of the loss as each feature is left out and the others are refitted."""
    columns, lengths = _scaled(problem, support)
    _, values, vectors = np.linalg.svd(columns, full_matrices=False)
    values = np.maximum(values, 1e-12)
    inverse = np.sum((vectors / values[:, None]) ** 2, axis=0)
    return np.asarray(0.5 * (coef * lengths) ** 2 / inverse)


def _scaled(problem: Problem, features: Indices) -> tuple[Array, Array]:
    """Weighted columns of unit length around their means, and the lengths they had."""
    weights = problem.loss.weights
    columns: Array = problem.design.columns(features)
    if problem.design.is_sparse:
        columns = problem.design.columns(features).toarray()
    if problem.fit_intercept:
        columns = columns - weights @ columns
    columns = columns * np.sqrt(weights)[:, None]
    lengths = np.maximum(np.sqrt(np.sum(columns**2, axis=0)), np.finfo(np.float64).tiny)
    return columns / lengths, np.asarray(lengths)
