"""An upper bound on how far an answer is above the minimum, by Fenchel duality.

Nothing here is shared with the steps of a solver. The primal point is the answer as it is returned;
the dual point u is the gradient of the loss at its predictor, the parameters that are not penalised
(the intercept, and groups of weight zero) refitted, which makes u orthogonal to them, and then
shrunk until the dual norm of the penalty allows it. The gap is written as a sum of terms that are
not negative, so that no digits cancel::

    sum_i [f_i(z_i) + f_i*(u_i) - z_i u_i] + [alpha * penalty(w) + <X w, u>]
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.linalg

from sksparse._typing import Array, Indices
from sksparse.losses import ConjugateLoss, Loss
from sksparse.penalties import ConvexPenalty
from sksparse.penalties._operators import soft_threshold
from sksparse.solvers._problem import Problem


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
    """

    digits: float = 8.0 * float(np.finfo(np.float64).eps)
    most_products: float = 1e10
    newton_steps: int = 50
    halvings: int = 30
    dependent: float = 1e-13
    saturated: float = 50.0
    rounding: float = 1e-14
    orthogonal: float = 1e-9


TUNING = Tuning()


def duality_gap(problem: Problem, penalty: ConvexPenalty, coef: Array, intercept: float) -> float:
    """Objective of an answer minus a bound that no answer can be below.

    The gap is nan where no dual point is known: for a loss without a known conjugate, at strength
    zero, or where the parameters that are not penalised have no optimum.
    """
    loss = problem.loss
    if problem.alpha == 0.0 or not isinstance(loss, ConjugateLoss):
        return np.nan
    centred = problem.centred
    z = centred.matvec(coef) + (intercept + float(centred.means @ coef))
    basis = _unpenalised(problem, penalty)
    u = _dual_point(loss, z, basis)
    if u is None:
        return np.nan
    correlation = centred.rmatvec(u, exact=True)
    free = penalty.unpenalised()
    # an inner product that is not quite zero adds at most twice itself times its coefficient
    off = 2.0 * float(np.abs(coef[free]) @ np.abs(correlation[free]))
    correlation[free] = 0.0
    correlation = soft_threshold(correlation, _rounding(problem, z, u))
    shrink = max(1.0, penalty.dual_norm(correlation) / problem.alpha)
    slack = problem.alpha * penalty.value(coef) + float(coef @ correlation) / shrink
    return max(loss.fenchel_gap(z, u / shrink), 0.0) + max(slack, 0.0) + off


def excess_of_least_squares(problem: Problem, coef: Array, intercept: float) -> float:
    """How far an answer without a penalty is from the minimum, by projection of its residual.

    nan where that would take too long, or where the columns explain everything.
    """
    centred = problem.centred
    usable = np.flatnonzero(centred.usable)
    n, loss = problem.design.n_samples, problem.loss
    if not (isinstance(loss, ConjugateLoss) and loss.quadratic):
        return np.nan
    if len(usable) >= n or n * len(usable) ** 2 > TUNING.most_products:
        return np.nan
    z = centred.matvec(coef) + (intercept + float(centred.means @ coef))
    u = _dual_point(loss, z, _with_intercept(problem, usable))
    return np.nan if u is None else loss.fenchel_gap(z, u)


def _rounding(problem: Problem, z: Array, u: Array) -> Array:
    """Magnitude of errors in ``X^T u``; at strengths far below no dual point is feasible."""
    used, weights = problem.loss.weights > 0, problem.loss.weights
    spread = float(np.sqrt(weights @ (z - weights @ z) ** 2))
    residual = float(np.sqrt(np.sum(u[used] ** 2 / weights[used])))
    return TUNING.digits * (spread + residual) * problem.centred.scales


def _unpenalised(problem: Problem, penalty: ConvexPenalty) -> Array:
    """Columns of unit length that are not penalised, the intercept's first."""
    free = penalty.unpenalised()
    return _with_intercept(problem, free[problem.centred.usable[free]])


def _with_intercept(problem: Problem, free: Indices) -> Array:
    centred = problem.centred
    parts = [np.ones((problem.design.n_samples, 1))] if problem.fit_intercept else []
    if free.size:
        parts.append(centred.columns(free).toarray() / centred.scales[free])
    return np.hstack(parts) if parts else np.empty((problem.design.n_samples, 0))


def _dual_point(loss: Loss, z: Array, basis: Array) -> Array | None:
    """Gradient of the loss with the parameters of ``basis`` refitted, orthogonal to it."""
    u = loss.gradient(z)
    if not basis.shape[1]:
        return u
    for _ in range(TUNING.newton_steps):
        if np.abs(basis.T @ u).max() <= TUNING.rounding * np.abs(u).sum():
            break
        moved = _newton_step(loss, z, basis, u)
        if moved is None:
            break
        z, u = moved
    if basis.shape[1] > 1 and loss.saturation(z) > TUNING.saturated:
        # where free parameters nearly separate the classes, the gap would be rounding
        return None
    # what is left of the slope is rounding, or there is no optimum
    u = _orthogonal(u, basis, loss.curvature(z))
    off = np.abs(basis.T @ u).max()
    return u if off <= TUNING.orthogonal * np.abs(u).sum() else None


def _newton_step(loss: Loss, z: Array, basis: Array, u: Array) -> tuple[Array, Array] | None:
    """A step along ``basis`` that makes the slope smaller; None where there is none."""
    slope = basis.T @ u
    roots = np.sqrt(loss.curvature(z))
    step = -_least_norm(roots[:, None] * basis, slope)
    along, length = basis @ step, 1.0
    for _ in range(TUNING.halvings):
        trial = z + length * along
        new = loss.gradient(trial)
        if np.linalg.norm(basis.T @ new) < np.linalg.norm(slope):
            return trial, new
        length *= 0.5
    return None


def _least_norm(A: Array, b: Array) -> Array:
    """Solution x of ``A^T A x = b``, zero for dependent columns of A."""
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


def _orthogonal(u: Array, basis: Array, curvature: Array) -> Array:
    """The point nearest to ``u``, in the metric of the curvature, that is orthogonal to ``basis``.

    Twice, since the first pass leaves rounding.
    """
    roots = np.sqrt(curvature)
    for _ in range(2):
        u = u - curvature * (basis @ _least_norm(roots[:, None] * basis, basis.T @ u))
    return u
