"""Features that explain nearly all of a target must not hide what the others explain.

Solvers of least squares tell gains apart down to some 1e-14 of the loss without features. Where a
column of huge scale, or of ones beside a target far from zero, explains more than that, they
cannot see the others. What such features explain is then taken out of the target, and the search
goes on with them as features that are always kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from sksparse._typing import Array, Indices
from sksparse.losses import Squared
from sksparse.penalties import L0
from sksparse.solvers import BoundedSolution, Problem, Solution, Status

# A loss below this share of the null model's is looked at more closely, and one below that share
# of the squares that were added up to it is rounding.
_SMALL, _ROUNDING = 1e-9, 1e-28
# A feature dominates if the loss rises by this multiple of itself when the feature is left out.
_DOMINANT = 1e6
# Each time what is left shrinks by a thousandth or more; it is rounding soon.
_MOST_TIMES = 6
# Where nothing can be taken out, a loss below this share leaves gains that are not seen.
_HIDDEN = 1e-13
_POLISHES = 2
_SOME = 100

Solve = Callable[[Problem, Array | None], Solution]


def solve_beyond(solve: Solve, problem: Problem, start: Array | None, times: int = 0) -> Solution:
    """The answer of a solver, with what dominant features hide from it.

    Parameters
    ----------
    solve : callable
        The solver.
    problem : Problem
        A squared loss with an L0 penalty.
    start : ndarray of shape (n_features,) or None
        Coefficients of an earlier fit.
    times : int, default=0
        How often something was taken out of the target.

    Returns
    -------
    solution : Solution
        Its certificate is that of the last solve.
    """
    found = solve(problem, start)
    if found.status is Status.INTERRUPTED or times == _MOST_TIMES:
        return found
    if not nearly_all(problem, found.coef, found.intercept):
        return found
    rest = Remainder.of(problem, found.coef, found.intercept)
    if rest is None or not rest.keeps_bounds(found):
        message = found.message or hidden(problem, found.coef, found.intercept)
        status = found.status if message == found.message else Status.STALLED
        return replace(found, message=message, status=status)
    if rest.penalty.max_features == 0:
        return found
    start = None if start is None else np.where(rest.coef != 0.0, 0.0, start)
    return rest.better(found, solve_beyond(solve, rest.problem, start, times + 1))


@dataclass(frozen=True)
class Remainder:
    """A problem without what dominant features explain.

    Parameters
    ----------
    before : Problem
        The problem as it was.
    problem : Problem
        The same for the rest of the targets, its penalty such that the dominant features are
        always kept and the others only are counted.
    coef : ndarray of shape (n_features,)
        Coefficients of what was taken out.
    intercept : float
        Intercept of that.
    """

    before: Problem
    problem: Problem
    coef: Array
    intercept: float

    @classmethod
    def of(cls, problem: Problem, coef: Array, intercept: float) -> Self | None:
        """What remains beside the dominant features of a fit; None where it has none."""
        penalty, left = problem.penalty_as(L0), _left(problem, coef, intercept)
        if left is None or not is_plain(penalty):
            return None
        dominant, p = _dominant(problem, coef, left), problem.design.n_features
        if not dominant.size:
            return None
        prices = penalty.factors(p).copy()
        size = penalty.max_features
        if size is not None:
            size -= int(np.count_nonzero(prices[dominant]))
        prices[dominant] = 0.0
        taken = np.zeros(p)
        taken[dominant] = coef[dominant]
        target = residual_of(problem, taken, 0.0)
        mean = float(problem.loss.weights @ target) if problem.fit_intercept else 0.0
        rest = replace(
            problem,
            loss=Squared(target - mean, problem.loss.weights),
            penalty=replace(penalty, penalty_weights=prices, max_features=size),
        )
        return cls(problem, rest, taken, mean)

    @property
    def penalty(self) -> L0:
        """The penalty of what remains."""
        return self.problem.penalty_as(L0)

    def keeps_bounds(self, found: Solution) -> bool:
        """Whether what is proved of the remainder is proved of the problem.

        It is if all other features together are worse without a dominant one than the answer.
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
        """The better of the fit as it was and of that of what remains."""
        coef: Array = self.coef + rest.coef
        intercept = self.intercept + rest.intercept
        n_iter = found.n_iter + rest.n_iter
        if np.array_equal(coef != 0.0, found.coef != 0.0):
            coef, intercept = found.coef, found.intercept
        elif self._objective(coef, intercept) > self._objective(found.coef, found.intercept):
            return found
        rest = replace(rest, coef=coef, intercept=intercept, n_iter=n_iter)
        return self._with_prices(rest) if isinstance(rest, BoundedSolution) else rest

    def _with_prices(self, rest: BoundedSolution) -> BoundedSolution:
        """Objective and bound with what the dominant features cost."""
        paid = self.before.penalty.cost(self.coef, self.before.alpha)
        objective, value = rest.objective + paid, rest.certificate.value
        if objective > 0.0:
            value = min(value, rest.gap / objective)
        return replace(
            rest,
            objective=objective,
            lower_bound=rest.lower_bound + paid,
            certificate=replace(rest.certificate, value=value),
        )

    def _objective(self, coef: Array, intercept: float) -> float:
        left = _squares(self.before, residual_of(self.before, coef, intercept))
        return left + self.before.penalty.cost(coef, self.before.alpha)


def is_plain(penalty: L0) -> bool:
    """Whether there are prices only: norms and signs say what a large coefficient is."""
    norms = penalty.l1 > 0.0 or penalty.has_ridge
    return not norms and penalty.positive is None


def hidden(problem: Problem, coef: Array, intercept: float) -> str:
    """Why what other features explain cannot be told from rounding, if it cannot."""
    left, null = _left(problem, coef, intercept), _null_loss(problem)
    if left is None or coef.all():
        return ""
    penalty = problem.penalty_as(L0)
    share = (left + penalty.cost(coef, 0.0)) / null
    if share >= _HIDDEN:
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


def nearly_all(problem: Problem, coef: Array, intercept: float) -> bool:
    """Whether a fit explains all but a share of the target that is looked at more closely."""
    small = _SMALL * _null_loss(problem)
    # as a rule some samples alone leave more
    if _squares_of_some(problem, coef, intercept) > small:
        return False
    return _squares(problem, residual_of(problem, coef, intercept)) < small


def _squares_of_some(problem: Problem, coef: Array, intercept: float) -> float:
    """What the first samples add to the loss, at least."""
    rows, support = slice(0, _SOME), np.flatnonzero(coef)
    columns = problem.design.X[rows][:, support]
    loss, predictor = problem.loss, columns @ coef[support] + intercept
    return 0.5 * float(loss.weights[rows] @ (loss.y[rows] - predictor) ** 2)


def _left(problem: Problem, coef: Array, intercept: float) -> float | None:
    """The loss that the features of a fit leave, where that is nearly nothing but not rounding."""
    residual, null = residual_of(problem, coef, intercept), _null_loss(problem)
    if not 0.0 < _squares(problem, residual) < _SMALL * null:
        return None
    # solvers leave some digits of the coefficients of correlated features
    columns, roots = _scaled(problem, np.flatnonzero(coef))[0], np.sqrt(problem.loss.weights)
    if problem.fit_intercept:
        residual = residual - problem.loss.weights @ residual
    rest = roots * residual
    for _ in range(_POLISHES):
        rest = rest - columns @ np.linalg.lstsq(columns, rest)[0]
    left = 0.5 * float(rest @ rest)
    return left if left > _rounding(problem, coef, intercept) else None


def _dominant(problem: Problem, coef: Array, left: float) -> Indices:
    """The features without which the loss would be a multiple of what is left."""
    support = np.flatnonzero(coef)
    needed = np.full(len(support), _DOMINANT * left)
    penalty = problem.penalty_as(L0)
    if penalty.max_features is None:
        prices = penalty.factors(len(coef))[support]
        needed = np.maximum(needed, problem.alpha * prices)
    return support[_rises(problem, support, coef[support]) > needed]


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
    """A loss that rounding of what is added up to the predictor may leave."""
    sizes = np.abs(problem.loss.y) + abs(intercept)
    for block in _blocks(np.flatnonzero(coef)):
        sizes += abs(problem.design.columns(block)) @ np.abs(coef[block])
    return _ROUNDING * _squares(problem, sizes)


def _rises(problem: Problem, support: Indices, coef: Array) -> Array:
    """How much the loss rises as each feature is left out and the others are fitted again."""
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
