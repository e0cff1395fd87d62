"""An upper bound on how far answers are above the minimum, by Fenchel duality.

Nothing here is shared with the steps of a solver. The primal point is the answer as it is returned;
the dual point u is the gradient of the loss at its predictor, the parameters that are not penalised
(the intercept, and groups of weight zero) refitted, which makes u orthogonal to them. A ridge is a
squared loss of further samples, with a dual point v of its own. What pulls at the coefficients,
``-(X^T u + v)``, is split: bounds hold a part n, the dual ball of the penalty the rest a, for
which all is shrunk by a common factor c. The gap is written as a sum of terms that are not
negative, so that no digits cancel::

    sum_i [f_i(z_i) + f_i*(u_i / c) - z_i u_i / c] + ||ridge w - v / c||^2 / (2 ridge)
    + [alpha * penalty(w) - <w, a / c>] + [max_box <n / c, .> - <n / c, w>]
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg

from sksparse._typing import Array, Indices, Mask
from sksparse.losses import ConjugateLoss, Loss
from sksparse.penalties import ConvexPenalty
from sksparse.penalties._operators import soft_threshold
from sksparse.solvers._problem import Problem
from sksparse.solvers.convex._probe import Probe


class Tuning(NamedTuple):
    """Limits of the search for a dual point.

    Parameters
    ----------
    digits : float
        Errors of float64 in a product of two vectors of length one.
    most_products : float
        Multiplications that a check of least squares may take.
    newton_steps, halvings : int
        Newton steps that refit what is not penalised, and halvings of one.
    dependent : float
        Directions that keep less than this share of their length given the others are dependent.
    saturated : float
        Saturation of a loss beyond which no curvature is left to refit parameters by.
    rounding : float
        A slope of this share of the gradient's magnitude is rounding.
    orthogonal : float
        Largest product of a dual point with what is not penalised, in units of their lengths.
    together : int
        Correlations of answers with all features that are held at once.
    """

    digits: float = 8.0 * float(np.finfo(np.float64).eps)
    most_products: float = 1e10
    newton_steps: int = 50
    halvings: int = 30
    dependent: float = 1e-13
    saturated: float = 50.0
    rounding: float = 1e-14
    orthogonal: float = 1e-9
    together: int = 2**24


TUNING = Tuning()


class Known(NamedTuple):
    """Products of the features with the gradient of the loss at each answer, as a solver has them.

    Where nothing but an intercept is to be refitted they bound the gap, once a probe confirms them.
    """

    products: Sequence[Array]
    probe: Probe

    def holds(self, k: int, u: Array) -> bool:
        """Whether they are those of an answer with a gradient that was computed from X."""
        return self.probe.confirms(u, self.products[k])


def duality_gap(problem: Problem, coef: Array, intercept: Any) -> float:
    """Objective of an answer minus a bound that no answer can be below, as `duality_gaps` says."""
    return float(duality_gaps(problem, [problem.alpha], [coef], [intercept])[0])


def duality_gaps(
    problem: Problem,
    alphas: Sequence[float],
    coefs: Sequence[Array],
    intercepts: Sequence[Any],
    known: Known | None = None,
) -> Array:
    """Objectives of answers minus bounds that no answer can be below, in few passes over X.

    Parameters
    ----------
    problem : Problem
        What was asked, but for the strength.
    alphas : sequence of length n_answers
        Strength of each answer.
    coefs : sequence of ndarrays of shape (n_features,) or (n_outputs, n_features)
        Coefficients of each answer.
    intercepts : sequence of floats or ndarrays of shape (n_outputs,)
        Intercept of each answer.
    known : Known or None, default=None
        Products that need not be computed, as far as they are confirmed.

    Returns
    -------
    gaps : ndarray of shape (n_answers,)
        The gaps; nan where no dual point is known: for a loss without a known conjugate, at
        strength zero without a ridge, or where the parameters that are not penalised have no
        optimum.
    """
    gaps = np.full(len(coefs), np.nan)
    loss = problem.loss
    if not isinstance(loss, ConjugateLoss):
        return gaps
    longer = max(problem.design.n_features, problem.design.n_samples)
    most = max(TUNING.together // (longer * loss.n_outputs), 1)
    for start in range(0, len(coefs), most):
        points = {}
        chosen = range(start, min(start + most, len(coefs)))
        for k, z in zip(chosen, _predictors(problem, coefs, intercepts, chosen), strict=True):
            point = _dual_point(problem, alphas[k], coefs[k], z)
            if point is not None:
                points[k] = point
        if points:
            if known is not None and all(known.holds(k, point.u) for k, point in points.items()):
                correlations = np.array([known.products[k] for k in points])
            else:
                together = np.column_stack([point.u for point in points.values()])
                correlations = problem.centred.rmatvec(together, exact=True)
                correlations = correlations.reshape(len(points), *coefs[0].shape)
            for (k, point), correlation in zip(points.items(), correlations, strict=True):
                gaps[k] = _gap(problem, loss, alphas[k], coefs[k], point, correlation)
    return gaps


def _predictors(
    problem: Problem, coefs: Sequence[Array], intercepts: Sequence[Any], chosen: range
) -> Iterator[Array]:
    """Predictors of some of the answers, from one product."""
    n, p, m = problem.design.n_samples, problem.design.n_features, problem.loss.n_outputs
    stacked = np.reshape([coefs[k] for k in chosen], (-1, p))
    products = problem.centred.matvec(stacked).reshape(n, len(chosen), m)
    for i, k in enumerate(chosen):
        level = intercepts[k] + coefs[k] @ problem.centred.means
        yield (products[:, i, 0] if m == 1 else products[:, i]) + level


class _DualPoint(NamedTuple):
    """The predictor of an answer, and a gradient of the loss: what is not penalised is refitted."""

    z: Array
    u: Array


def _gap(
    problem: Problem,
    loss: ConjugateLoss,
    alpha: float,
    coef: Array,
    point: _DualPoint,
    correlation: Array,
) -> float:
    penalty = problem.penalty_as(ConvexPenalty)
    ridge = penalty.ridge
    everywhere = np.arange(coef.shape[-1])
    free = (..., penalty.unpenalised() if alpha > 0.0 else everywhere)
    pull = -(soft_threshold(correlation, _rounding(problem, point)) + ridge * coef)
    pull[free] = -(correlation[free] + ridge * coef[free])
    held = penalty.held(coef, pull, alpha)
    inside = pull - held
    left = inside[free]
    inside[free] = 0.0
    shrink = 1.0
    if alpha > 0.0:
        shrink = max(1.0, penalty.dual_norm(-inside) / alpha)
    slack = max(alpha * penalty.value(coef) - float(np.sum(coef * inside)) / shrink, 0.0)
    if held.any():
        lower, upper = penalty.bounds
        room = np.where(held > 0.0, upper - coef, np.where(held < 0.0, coef - lower, 0.0))
        slack += float(np.sum(np.abs(room * held))) / shrink
    if ridge > 0.0:
        # the dual point of the ridge takes what is left of features that nothing else penalises
        missed = (1.0 - 1.0 / shrink) * ridge * coef
        missed[free] -= left / shrink
        slack += 0.5 * float(np.sum(missed * missed)) / ridge
    else:
        # an inner product that is not quite zero adds at most twice itself times its coefficient
        slack += 2.0 * float(np.sum(np.abs(coef[free] * left)))
    return max(loss.fenchel_gap(point.z, point.u / shrink), 0.0) + slack


def excess_of_least_squares(problem: Problem, coef: Array, intercept: Any) -> float:
    """How far an answer without a penalty is from the minimum, by projection of its residual.

    nan where that would take too long, or where the columns explain everything.
    """
    usable = np.flatnonzero(problem.centred.usable)
    n, loss, penalty = problem.design.n_samples, problem.loss, problem.penalty_as(ConvexPenalty)
    if not (isinstance(loss, ConjugateLoss) and loss.quadratic and loss.n_outputs == 1):
        return np.nan
    if len(usable) >= n or n * len(usable) ** 2 > TUNING.most_products:
        return np.nan
    if penalty.ridge > 0.0 or not all(np.isinf(bound).all() for bound in penalty.bounds):
        return np.nan
    z = problem.predictor(coef, intercept)
    u = _refitted(loss, z, _with_intercept(problem, usable))
    return np.nan if u is None else loss.fenchel_gap(z, u)


def _rounding(problem: Problem, point: _DualPoint) -> Array:
    """Errors in ``X^T u``, of predictors times curvatures; far below no dual point is feasible."""
    weights = problem.loss.weights
    used, curvature = weights > 0, problem.loss.curvature(point.z)
    moved = curvature[used] ** 2 / weights[used]
    spread = np.sqrt(np.sum(moved @ (point.z - weights @ point.z)[used] ** 2))
    squares = (point.u**2).reshape(len(weights), -1).sum(axis=1)
    residual = np.sqrt(np.sum(squares[used] / weights[used]))
    return np.asarray(TUNING.digits * (spread + residual) * problem.centred.scales)


def _with_intercept(problem: Problem, free: Indices) -> Array:
    """Columns of unit length, the intercept's first."""
    centred = problem.centred
    parts = [np.ones((problem.design.n_samples, 1))] if problem.centres else []
    if free.size:
        parts.append(centred.columns(free).toarray() / centred.scales[free])
    return np.hstack(parts) if parts else np.empty((problem.design.n_samples, 0))


class _WithRidge:
    """A loss with further samples, whose half squared predictors are a ridge."""

    def __init__(self, loss: Loss) -> None:
        self.loss, self.n = loss, len(loss.y)

    def gradient(self, z: Array) -> Array:
        return np.concatenate((self.loss.gradient(z[: self.n]), z[self.n :]))

    def curvature(self, z: Array) -> Array:
        return np.concatenate((self.loss.curvature(z[: self.n]), np.ones(len(z) - self.n)))

    def metric(self, z: Array) -> Array:
        more = np.tile(np.eye(self.loss.n_outputs), (len(z) - self.n, 1, 1))
        return np.concatenate((self.loss.metric(z[: self.n]), more))

    def saturation(self, z: Array) -> float:
        return self.loss.saturation(z[: self.n])


def _dual_point(problem: Problem, alpha: float, coef: Array, z: Array) -> _DualPoint | None:
    penalty, centred = problem.penalty_as(ConvexPenalty), problem.centred
    if alpha == 0.0 and penalty.ridge == 0.0:
        return None
    # without a strength nothing is refitted: the dual point of the ridge takes all features
    free = penalty.unpenalised() if alpha > 0.0 else np.empty(0, dtype=np.intp)
    free = free[centred.usable[free]]
    if not free.size and problem.loss.quadratic:
        return _DualPoint(z, _orthogonal_to_intercept(problem, z))
    basis, extended = _with_intercept(problem, free), z
    first, chosen = basis.shape[1] - len(free), coef[..., free].T
    if penalty.ridge > 0.0 and free.size:
        root = np.sqrt(penalty.ridge)
        more = np.diag(np.append(np.zeros(first), root / centred.scales[free]))[first:]
        basis = np.vstack((basis, more))
        extended = np.concatenate((z, root * chosen))
    lower, upper = (np.broadcast_to(bound, coef.shape)[..., free].T for bound in penalty.bounds)
    at_upper, at_lower = chosen >= upper, chosen <= lower
    kept = np.ones((basis.shape[1], *z.shape[1:]), dtype=np.bool_)
    kept[first:] = ~(at_upper | at_lower)
    loss = _WithRidge(problem.loss)
    for _ in range(1 + int(np.count_nonzero(~kept))):
        exact = kept.copy()
        # the dual point of a ridge takes what is left of the slope
        exact[first:] &= penalty.ridge == 0.0
        u = _refitted(loss, extended, basis, kept, exact)
        if u is None:
            return None
        # a bound holds a coefficient that is pulled beyond it; all others are refitted
        pull = -(basis.T @ u)[first:]
        beyond = (at_upper & (pull >= 0.0)) | (at_lower & (pull <= 0.0))
        wrong = ~kept[first:] & ~beyond
        if not wrong.any():
            return _DualPoint(z, u[: len(z)])
        kept[first:] |= wrong
    return None


def _orthogonal_to_intercept(problem: Problem, z: Array) -> Array:
    """Gradient of a squared loss with the intercept refitted, twice for what rounding left."""
    u, weights = np.asarray(problem.loss.gradient(z)), problem.loss.weights
    for _ in range(2 if problem.centres else 0):
        u -= np.multiply.outer(weights, u.sum(axis=0))
    return u


def _refitted(
    loss: Any, z: Array, basis: Array, kept: Mask | None = None, exact: Mask | None = None
) -> Array | None:
    """Gradient of the loss with the parameters of ``basis`` refitted, orthogonal to it.

    ``kept`` says of each column, and of each output, whether its parameter is free, and ``exact``
    whether no slope may be left.
    """
    kept = np.ones((basis.shape[1], *z.shape[1:]), dtype=np.bool_) if kept is None else kept
    exact = kept if exact is None else exact
    u = np.asarray(loss.gradient(z))
    if not kept.any():
        return u
    for _ in range(TUNING.newton_steps):
        if np.abs(_slope(u, basis, kept)).max() <= TUNING.rounding * np.abs(u).sum():
            break
        moved = _newton_step(loss, z, basis, kept, u)
        if moved is None:
            break
        z, u = moved
    if basis.shape[1] > 1 and loss.saturation(z) > TUNING.saturated:
        # where free parameters nearly separate the classes, the gap would be rounding
        return None
    # what is left of the slope is rounding, or there is no optimum
    u = _orthogonal(u, basis, exact, loss.curvature(z))
    # where nothing is left to explain, all of u is rounding
    most = max(TUNING.orthogonal * np.abs(u).sum(), TUNING.digits * np.sum(loss.curvature(z)))
    return u if np.abs(_slope(u, basis, exact)).max() <= most else None


def _slope(u: Array, basis: Array, kept: Mask) -> Array:
    return np.where(kept, basis.T @ u, 0.0)


def _newton_step(
    loss: Any, z: Array, basis: Array, kept: Mask, u: Array
) -> tuple[Array, Array] | None:
    """A step along ``basis`` that makes the slope smaller; None where there is none."""
    slope = _slope(u, basis, kept)
    if z.ndim == 1:
        weighted = np.sqrt(loss.curvature(z))[:, None] * basis[:, kept]
        step = np.zeros_like(slope)
        step[kept] = -_least_norm(weighted, slope[kept])
    else:
        step = -_joint_solution(loss.metric(z), basis, kept, slope)
    along, length = basis @ step, 1.0
    for _ in range(TUNING.halvings):
        trial = z + length * along
        new = loss.gradient(trial)
        # far too long a step overflows, and is not shorter then
        with np.errstate(over="ignore", invalid="ignore"):
            shorter = np.linalg.norm(_slope(new, basis, kept)) < np.linalg.norm(slope)
        if shorter:
            return trial, new
        length *= 0.5
    return None


def _joint_solution(metric: Array, basis: Array, kept: Mask, slope: Array) -> Array:
    """Parameters of all outputs together that move the slope by so much, of least norm."""
    q, m = slope.shape
    matrix = np.empty((q, m, q, m))
    for k in range(m):
        for h in range(m):
            matrix[:, k, :, h] = basis.T @ (metric[:, k, h, None] * basis)
    used, x = kept.ravel(), np.zeros(q * m)
    matrix = matrix.reshape(q * m, q * m)[np.ix_(used, used)]
    x[used] = np.linalg.lstsq(matrix, slope.ravel()[used], rcond=TUNING.dependent)[0]
    return x.reshape(slope.shape)


def _least_norm(A: Array, b: Array) -> Array:
    """Solution x of ``A^T A x = b``, zero for dependent columns of A."""
    if A.shape[1] == 1:
        return b / max(float(np.vdot(A, A)), np.finfo(np.float64).tiny)
    lengths = np.sqrt(np.einsum("ij,ij->j", A, A))
    lengths[lengths == 0.0] = 1.0
    R, order = scipy.linalg.qr(A / lengths, mode="r", pivoting=True)
    diagonal = np.abs(np.diag(R))
    rank = int(np.count_nonzero(diagonal > TUNING.dependent * diagonal[:1].max(initial=0.0)))
    R, kept = R[:rank, :rank], order[:rank]
    x = np.zeros(len(b))
    x[kept] = scipy.linalg.solve_triangular(
        R, scipy.linalg.solve_triangular(R, (b / lengths)[kept], trans="T")
    )
    return x / lengths


def _orthogonal(u: Array, basis: Array, kept: Mask, curvature: Array) -> Array:
    """The point nearest to ``u``, in the metric of the curvature, that is orthogonal to ``basis``.

    Twice, since the first pass leaves rounding.
    """
    rows = np.array(u.T, ndmin=2)
    for row, used in zip(rows, kept.T.reshape(len(rows), -1), strict=True):
        columns = basis[:, used]
        weighted = np.sqrt(curvature)[:, None] * columns
        for _ in range(2):
            row -= curvature * (columns @ _least_norm(weighted, columns.T @ row))
    return rows.T.reshape(u.shape)
