"""What the solvers of convex problems share: their certificate, and when they have converged."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from sksparse._scaling import ScaleError, strength
from sksparse._typing import Array
from sksparse.losses import ConjugateLoss
from sksparse.penalties import ConvexPenalty
from sksparse.solvers._base import Iterate, IterativeSolver
from sksparse.solvers._gram_cache import GramCache
from sksparse.solvers._problem import Problem
from sksparse.solvers._solution import Certificate, Solution
from sksparse.solvers.convex._duality import duality_gap, excess_of_least_squares


class Tuning(NamedTuple):
    """When a convex solver accepts an answer, and when it gives up.

    Parameters
    ----------
    gap, gap_per_tol : float
        A duality gap of this share of the objective, or so many times ``tol``, is accepted.
    gap_every : int
        Where violations do not become small, the gap is computed in every step without progress,
        and otherwise once in so many.
    explained : float
        A residual of this share of the null model's is rounding: nothing is left to explain.
    rounding : float
        A residual of this share of curvature times predictor is rounding.
    patience : int
        Steps without progress before the solver gives up. Progress is
    better, lower : float
        a certificate below this share of the best one, or an objective that falls by more than
        this share, which is rounding.
    largest_scale : float
        Standard deviations from one over this to this are moderate.
    inner, inner_target : float
        A problem over a working set is solved to this share of the largest violation, or of the
        certificate that is aimed at.
    sharper : float
        Share of the violations that are aimed at where the duality gap is still too large.
    gained : float
        Share of the square of the largest violation that an answer is at least above the minimum.
    proved : float
        Violations this share of the tolerance have the gap computed, whatever is expected of it.
    """

    gap: float = 1e-4
    gap_per_tol: float = 10.0
    gap_every: int = 10
    explained: float = 1e-10
    rounding: float = 1e-14
    patience: int = 5
    better: float = 0.9
    lower: float = 1e-10
    largest_scale: float = 1e30
    inner: float = 1e-2
    inner_target: float = 0.3
    sharper: float = 0.1
    gained: float = 0.05
    proved: float = 1e-3


TUNING = Tuning()

#: What the certificate measures.
VIOLATION = "relative violation of the optimality conditions"


@dataclass
class ConvexIterate(Iterate):
    """An iterate with its predictor, and what the last certificate was made of.

    Parameters
    ----------
    level : float or ndarray of shape (n_outputs,)
        The intercept for centred columns.
    z : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        Predictor.
    target : float
        Certificate that is aimed at; it becomes smaller where the duality gap asks for more.
    gradient : ndarray of shape (n_features,) or (n_outputs, n_features)
        Gradient of the loss over the coefficients, the intercept minimised out.
    violations : ndarray
        Violations of optimality, per unit of the penalty, for columns of unit length.
    residual : float
        Root mean square of the loss's derivatives, the unit of ``violations``.
    objective : float
        Value of the last certificate's iterate.
    best, lowest : float
        Least certificate and objective so far.
    stale, steps : int
        Steps since one of them fell, and in all.
    sharper : float
        Share of the usual tolerance over a working set, where the duality gap asks for more.
    """

    level: Any = field(kw_only=True)
    target: float = field(kw_only=True)
    z: Array = field(default_factory=lambda: np.empty(0))
    gradient: Array = field(default_factory=lambda: np.empty(0))
    violations: Array = field(default_factory=lambda: np.empty(0))
    residual: float = 1.0
    objective: float = np.inf
    best: float = np.inf
    lowest: float = np.inf
    stale: int = 0
    steps: int = 0
    sharper: float = 1.0


AnyConvex = TypeVar("AnyConvex", bound=ConvexIterate)


class ConvexSolver(IterativeSolver[AnyConvex], Generic[AnyConvex]):
    """A solver for a smooth loss plus a convex penalty.

    The certificate is the largest violation of the optimality conditions, as a correlation: a
    gradient is divided by the standard deviations of its columns and the root mean square of the
    residuals (for the log loss, of the differences from the probabilities). It does not depend on
    the scale of a column, nor on what the intercept or a dominant column explains. An answer is
    accepted when its duality gap is at most ``tol`` times the objective; without a strength, or for
    a loss without a conjugate, when the violation is at most ``tol``.

    Parameters
    ----------
    gram : GramCache or None, default=None
        Gram matrix over the columns needed so far, to share between the strengths of a path.
    tol, max_iter, verbose
        As in :class:`Solver`.
    """

    def __init__(
        self, *, gram: GramCache | None = None, tol: float, max_iter: int, verbose: int = 0
    ) -> None:
        super().__init__(tol=tol, max_iter=max_iter, verbose=verbose)
        self.gram = gram
        self._known_gap: tuple[Array, Any, float] | None = None
        self._null_residual = np.nan

    def solve(self, problem: Problem, coef: Array | None = None) -> Solution:
        self.check(problem)
        self._known_gap = None
        scaled, exponent = moderate(problem)
        self._null_residual = _null_residual(scaled)
        start = None if coef is None else np.ldexp(coef, exponent)
        solution = super().solve(scaled, start)
        message = solution.message
        loss = problem.loss
        if message and np.isnan(solution.gap) and loss.unbounded_if:
            message += (
                f" Where features that are not penalised {loss.unbounded_if}, the {loss.title} has "
                "no minimum: give a positive alpha, and no penalty weight of zero."
            )
        return replace(solution, coef=np.ldexp(solution.coef, -exponent), message=message)

    def first_coef(self, problem: Problem, coef: Array | None) -> Array:
        """Where to begin: previous coefficients, unless the model without features is better.

        Previous ones that are beyond a bound are moved to it.
        """
        nothing = problem.null_coef
        if coef is None or not np.isfinite(coef).all():
            return nothing
        coef = np.where(problem.centred.usable, coef, 0.0)
        coef = problem.penalty_as(ConvexPenalty).feasible(coef)
        z = problem.centred.matvec(coef) + problem.null_intercept
        if problem.free_intercept:
            z += problem.loss.best_shift(z)
        with np.errstate(over="ignore"):
            value = problem.objective(coef, z)
        null = problem.objective(nothing, problem.null_predictor)
        return coef if value <= null else nothing

    def certify(self, problem: Problem, state: AnyConvex) -> Certificate:
        columns, penalty = problem.centred, problem.penalty_as(ConvexPenalty)
        if problem.free_intercept:
            shift = problem.loss.best_shift(state.z)
            state.z, state.level = state.z + shift, state.level + shift
            state.intercept = state.level - state.coef @ columns.means
        derivatives = problem.loss.gradient(state.z)
        state.gradient = problem.gradient_over(state.coef, derivatives)
        smooth = state.gradient + penalty.ridge * state.coef if penalty.ridge else state.gradient
        state.violations = penalty.violations(state.coef, smooth, problem.alpha, columns.scales)
        state.residual = self._residual(problem, state.z, derivatives)
        worst = float(state.violations.max(initial=0.0))
        if problem.free_intercept:
            # the intercept is a column of length one
            worst = max(worst, float(np.linalg.norm(derivatives.sum(axis=0))))
        value = worst / state.residual
        self._watch(problem, state, value)
        return Certificate(VIOLATION, value)

    def _residual(self, problem: Problem, z: Array, derivatives: Array) -> float:
        residual = root_mean_square(derivatives, problem.loss.weights)
        # a saturated predictor is not at a minimum: the loss still decreases, more and more slowly
        small = residual <= TUNING.explained * self._null_residual
        explained = small and not problem.loss.is_saturated(z)
        unit = self._null_residual if explained else residual
        return max(unit, float(np.finfo(np.float64).tiny))

    @staticmethod
    def _watch(problem: Problem, state: AnyConvex, value: float) -> None:
        objective = state.objective = problem.objective(state.coef, state.z)
        better = value < TUNING.better * state.best
        # what a loss without a minimum falls by is at last rounding of what it was
        little = max(TUNING.lower * abs(state.lowest), TUNING.rounding * problem.null_excess)
        lower = objective < state.lowest - little
        first = np.isinf(state.lowest)
        state.stale = 0 if better or lower or first else state.stale + 1
        state.steps += 1
        state.best, state.lowest = min(state.best, value), min(state.lowest, objective)
        state.progress = state.progress and state.stale < TUNING.patience

    def accepts(self, problem: Problem, state: AnyConvex, certificate: Certificate) -> bool:
        """Whether the duality gap is at most ``tol`` times the objective.

        The gap is asked only where an estimate from the gradient at hand promises that it is.
        """
        if problem.alpha == 0.0 or not isinstance(problem.loss, ConjugateLoss):
            return self._accepts_violations(problem, state, certificate)
        tol = self.tolerance(problem)
        largest = self._largest_gap(problem, state, tol)
        unsure = not state.stale and certificate.value > tol * TUNING.proved
        # moving what violates most gains half the square of the violation, up to what it meets
        gain = TUNING.gained * (certificate.value * state.residual) ** 2
        if unsure and (gain > largest or self._estimated_gap(problem, state) > largest):
            return False
        gap = self.gap(problem, state.coef, state.intercept)
        if np.isnan(gap):
            return self._accepts_violations(problem, state, certificate)
        if gap <= largest:
            return True
        state.sharper *= TUNING.sharper
        return False

    @staticmethod
    def _estimated_gap(problem: Problem, state: AnyConvex) -> float:
        """About the duality gap, from the gradient of the last certificate."""
        penalty, alpha = problem.penalty_as(ConvexPenalty), problem.alpha
        smooth = state.gradient + penalty.ridge * state.coef if penalty.ridge else state.gradient
        share = min(1.0, alpha / max(penalty.dual_norm(smooth), np.finfo(np.float64).tiny))
        slack = alpha * penalty.value(state.coef) + share * float(np.vdot(state.coef, smooth))
        return max(slack, 0.0) + 0.5 * (1.0 - share) ** 2 * state.residual**2

    def _accepts_violations(
        self, problem: Problem, state: AnyConvex, certificate: Certificate
    ) -> bool:
        """Whether violations are at most ``tol`` and the gap, where there is one, is small."""
        tol = self.tolerance(problem)
        small = certificate.value <= min(state.target, tol)
        if not (small or state.stale or state.steps % TUNING.gap_every == 0):
            return False
        gap = self.gap(problem, state.coef, state.intercept)
        # a gap as small as tol proves enough by itself, where violations are hard to make small
        if not small:
            return gap <= self._largest_gap(problem, state, tol)
        if problem.alpha == 0.0:
            gap = excess_of_least_squares(problem, state.coef, state.intercept)
        if np.isnan(gap) or gap <= self._largest_gap(
            problem, state, max(TUNING.gap, TUNING.gap_per_tol * tol)
        ):
            return True
        state.target = TUNING.sharper * min(state.target, certificate.value)
        return False

    @staticmethod
    def _largest_gap(problem: Problem, state: AnyConvex, share: float) -> float:
        """A gap that is such a share of the objective, or rounding."""
        loss, null = problem.loss, problem.null_predictor
        unit = problem.null_excess
        if not loss.predicts_targets:
            # constant targets are fitted exactly; the curvature is then in the units of the loss
            unit = max(unit, float(loss.curvature(null).sum()))
        rounding = max(TUNING.explained, problem.precision) ** 2 * unit
        # an intercept in the float type of the features is off by so much
        level = float(np.finfo(problem.design.dtype).eps) * np.linalg.norm(problem.null_intercept)
        rounding = max(rounding, 0.5 * float(loss.curvature(null).sum() * level**2))
        return max(share * state.objective, rounding)

    def gap(self, problem: Problem, coef: Array, intercept: Any) -> float:
        if self._known_gap is not None:
            known_coef, known_intercept, known = self._known_gap
            if np.array_equal(known_intercept, intercept) and np.array_equal(known_coef, coef):
                return known
        gap = duality_gap(problem, *self.rounded(problem, coef, intercept))
        self._known_gap = coef.copy(), intercept, gap
        return gap

    @staticmethod
    def rounded(problem: Problem, coef: Array, intercept: Any) -> tuple[Array, Array]:
        """An answer as the user is given it, in the float type of the features."""
        dtype = problem.design.dtype
        coef, intercept = np.asarray(coef), np.asarray(intercept)
        return coef.astype(dtype).astype(np.float64), intercept.astype(dtype).astype(np.float64)

    def inner_tolerance(self, state: AnyConvex) -> float:
        """Tolerance for the problem over a working set, in units of violations."""
        worst = float(state.violations.max(initial=0.0))
        return max(TUNING.inner * worst, TUNING.inner_target * state.target * state.residual)


def moderate(problem: Problem) -> tuple[Problem, int]:
    """The problem for ``X / 2^k``, and k, which is zero unless X is far too large or too small.

    A power of two changes no digit, and the penalty is homogeneous: coefficients are to be divided
    by ``2^k``.
    """
    try:
        largest = float(problem.centred.scales.max(initial=0.0))
    except ScaleError:
        largest = np.inf
    if largest == 0.0 or 1.0 / TUNING.largest_scale < largest < TUNING.largest_scale:
        return problem, 0
    exponent = problem.design.exponent(constants=not problem.fit_intercept)
    design = problem.design.times_powers_of_two(-exponent)
    penalty = problem.penalty_as(ConvexPenalty).rescaled(exponent)
    alpha = strength(problem.alpha, -exponent)
    return replace(problem, design=design, penalty=penalty, alpha=alpha), exponent


def _null_residual(problem: Problem) -> float:
    """Root mean square of the derivatives without features, the unit of violations.

    Where it is rounding, as of constant counts, it is that of what is rounded.
    """
    loss, z = problem.loss, problem.null_predictor
    if nothing_left(problem):
        return _null_magnitude(problem)
    return root_mean_square(loss.gradient(z), loss.weights)


def nothing_left(problem: Problem) -> bool:
    """Whether the derivatives without features are rounding, as of constant counts."""
    loss, z = problem.loss, problem.null_predictor
    if loss.quadratic:
        return False
    residual = root_mean_square(loss.gradient(z), loss.weights)
    return not residual > TUNING.rounding * _null_magnitude(problem)


def _null_magnitude(problem: Problem) -> float:
    """Root mean square of what is rounded in the derivatives without features."""
    loss, z = problem.loss, problem.null_predictor
    size = np.abs(z) + (0.0 if loss.predicts_targets else 1.0)
    return root_mean_square((loss.curvature(z) * size.T).T, loss.weights)


def root_mean_square(derivatives: Array, weights: Array) -> float:
    """Root of the weighted mean square of derivatives per unit of weight, over all outputs."""
    used = weights > 0
    return float(np.sqrt(np.sum((derivatives[used] ** 2).T / weights[used])))
