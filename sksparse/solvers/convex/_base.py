"""What the solvers of convex problems share: their certificate, and when they have converged."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

import numpy as np

from sksparse._scaling import ScaleError, exponent_of, strength, times_powers_of_two
from sksparse._typing import Array
from sksparse.losses import Loss
from sksparse.penalties import ConvexPenalty
from sksparse.solvers._base import Iterate, IterativeSolver
from sksparse.solvers._design import Design
from sksparse.solvers._gram_cache import GramCache
from sksparse.solvers._problem import Problem
from sksparse.solvers._solution import Certificate, Solution
from sksparse.solvers.convex._duality import duality_gap, excess_of_least_squares

# An answer is accepted with a duality gap of this share of its objective, or so many times tol.
_GAP, _GAP_PER_TOL = 1e-4, 10.0
# Where violations do not become small, the gap is looked at in every step without progress, and
# else once in so many.
_GAP_EVERY = 10
# A residual of this share of the null model's is rounding: there is nothing left to explain.
_EXPLAINED = 1e-10
# Steps without progress before the solver gives up. Progress is a certificate that falls by a
# tenth, or an objective that falls by more than rounding.
_PATIENCE = 5
_BETTER, _LOWER = 0.9, 1e-10
# Standard deviations from one over this to this are moderate.
_LARGEST_SCALE = 1e30
_CENTRING_STEPS, _LONGEST = 100, 100.0


@dataclass
class ConvexIterate(Iterate):
    """An iterate with its predictor, and what the last certificate was made of.

    Parameters
    ----------
    level : float
        The intercept beside centred columns.
    z : ndarray of shape (n_samples,)
        Predictor.
    target : float
        Certificate that is aimed at; it becomes smaller where the duality gap asks for more.
    gradient : ndarray of shape (n_features,)
        Gradient of the loss over the coefficients, the intercept minimised out.
    violations : ndarray
        Violations of optimality, per unit of the penalty, for columns of unit length.
    residual : float
        Root mean square of the loss's derivatives, the unit of ``violations``.
    best, lowest : float
        Least certificate and objective so far.
    stale, steps : int
        Steps since one of them fell, and in all.
    """

    level: float = field(kw_only=True)
    target: float = field(kw_only=True)
    z: Array = field(default_factory=lambda: np.empty(0))
    gradient: Array = field(default_factory=lambda: np.empty(0))
    violations: Array = field(default_factory=lambda: np.empty(0))
    residual: float = 1.0
    best: float = np.inf
    lowest: float = np.inf
    stale: int = 0
    steps: int = 0


AnyConvex = TypeVar("AnyConvex", bound=ConvexIterate)


class ConvexSolver(IterativeSolver[AnyConvex], Generic[AnyConvex]):
    """A solver for a smooth loss plus a convex penalty.

    The certificate is the largest violation of the optimality conditions, as a correlation: a
    gradient is divided by the standard deviations of its columns and the root mean square of the
    residuals (for the log loss, of the differences from the probabilities). It does not depend on
    the scale of a column, nor on what the intercept or a dominant column explains. An answer is
    accepted when it is at most ``tol`` and the duality gap is small as well.

    Parameters
    ----------
    gram : GramCache or None, default=None
        Gram matrix over the columns met so far, to share between the strengths of a path.
    tol, max_iter, verbose
        As in :class:`Solver`.
    """

    def __init__(
        self, *, gram: GramCache | None = None, tol: float, max_iter: int, verbose: int = 0
    ) -> None:
        super().__init__(tol=tol, max_iter=max_iter, verbose=verbose)
        self.gram = gram
        self._known_gap: tuple[Array, float, float] | None = None

    def solve(self, problem: Problem, coef: Array | None = None) -> Solution:
        self.check(problem)
        self._known_gap = None
        scaled, exponent = moderate(problem)
        start = None if coef is None else np.ldexp(coef, exponent)
        solution = super().solve(scaled, start)
        message = solution.message
        if message and np.isnan(solution.gap) and not problem.loss.quadratic:
            message += (
                " Where classes are separated by features that are not penalised, the log loss has "
                "no minimum: give a positive alpha, and no penalty weight of zero."
            )
        return replace(solution, coef=np.ldexp(solution.coef, -exponent), message=message)

    def first_coef(self, problem: Problem, coef: Array | None) -> Array:
        """Where to begin: previous coefficients, unless the model without features is better."""
        usable = problem.centred.usable
        nothing = np.zeros(len(usable))
        if coef is None or not np.isfinite(coef).all():
            return nothing
        coef = np.where(usable, coef, 0.0)
        z = problem.centred.matvec(coef) + problem.null_intercept
        if problem.fit_intercept:
            z += best_shift(problem.loss, z)
        with np.errstate(over="ignore"):
            value = problem.objective(coef, z)
        null = problem.objective(nothing, np.full(len(z), problem.null_intercept))
        return coef if value <= null else nothing

    def certify(self, problem: Problem, state: AnyConvex) -> Certificate:
        columns = problem.centred
        if problem.fit_intercept:
            shift = best_shift(problem.loss, state.z)
            state.z, state.level = state.z + shift, state.level + shift
        state.intercept = state.level - float(columns.means @ state.coef)
        derivatives = problem.loss.gradient(state.z)
        state.gradient = columns.rmatvec(derivatives)
        state.violations = problem.penalty_as(ConvexPenalty).violations(
            state.coef, state.gradient, problem.alpha, columns.scales
        )
        state.residual = self._residual(problem, derivatives)
        worst = float(state.violations.max(initial=0.0))
        if problem.fit_intercept:
            # the intercept is a column of length one
            worst = max(worst, abs(float(derivatives.sum())))
        value = worst / state.residual
        self._watch(problem, state, value)
        return Certificate("relative violation of the optimality conditions", value)

    def _residual(self, problem: Problem, derivatives: Array) -> float:
        null = problem.loss.gradient(np.full(len(derivatives), problem.null_intercept))
        scale = _root_mean_square(null, problem.loss.weights)
        residual = _root_mean_square(derivatives, problem.loss.weights)
        # (a log loss is never at its minimum there: it has none where classes are separated)
        explained = problem.loss.quadratic and residual <= _EXPLAINED * scale
        unit = scale if explained else residual
        return max(unit, float(np.finfo(np.float64).tiny))

    @staticmethod
    def _watch(problem: Problem, state: AnyConvex, value: float) -> None:
        objective = problem.objective(state.coef, state.z)
        better = value < _BETTER * state.best
        lower = objective < state.lowest - _LOWER * abs(state.lowest)
        first = np.isinf(state.lowest)
        state.stale = 0 if better or lower or first else state.stale + 1
        state.steps += 1
        state.best, state.lowest = min(state.best, value), min(state.lowest, objective)
        state.progress = state.progress and state.stale < _PATIENCE

    def accepts(self, problem: Problem, state: AnyConvex, certificate: Certificate) -> bool:
        tol = self.tolerance(problem)
        small = certificate.value <= min(state.target, tol)
        if not (small or state.stale or state.steps % _GAP_EVERY == 0):
            return False
        gap = self.gap(problem, state.coef, state.intercept)
        # a gap as small as tol proves enough by itself, where violations are hard to make small
        if not small:
            return gap <= self._largest_gap(problem, state, tol)
        if problem.alpha == 0.0:
            gap = excess_of_least_squares(problem, state.coef, state.intercept)
        if np.isnan(gap) or gap <= self._largest_gap(problem, state, max(_GAP, _GAP_PER_TOL * tol)):
            return True
        state.target = 0.1 * min(state.target, certificate.value)
        return False

    @staticmethod
    def _largest_gap(problem: Problem, state: AnyConvex, share: float) -> float:
        """A gap that is such a share of the objective, or rounding."""
        null = problem.loss.value(np.full(len(state.z), problem.null_intercept))
        rounding = max(_EXPLAINED, problem.precision) ** 2
        return max(share * problem.objective(state.coef, state.z), rounding * null)

    def gap(self, problem: Problem, coef: Array, intercept: float) -> float:
        if self._known_gap is not None:
            known_coef, known_intercept, known = self._known_gap
            if known_intercept == intercept and np.array_equal(known_coef, coef):
                return known
        # of what the user is given, in the float type of the features
        dtype = problem.design.dtype
        rounded = coef.astype(dtype).astype(np.float64)
        gap = duality_gap(
            problem, problem.penalty_as(ConvexPenalty), rounded, float(dtype.type(intercept))
        )
        self._known_gap = coef.copy(), intercept, gap
        return gap

    def inner_tolerance(self, state: AnyConvex) -> float:
        """How exactly the problem over a working set is worth solving, in units of violations."""
        worst = float(state.violations.max(initial=0.0))
        return max(1e-2 * worst, 0.3 * state.target * state.residual)


def moderate(problem: Problem) -> tuple[Problem, int]:
    """The problem for ``X / 2^k``, and k, which is zero unless X is far too large or too small.

    A power of two changes no digit, and the penalty is homogeneous: coefficients are to be divided
    by ``2^k``.
    """
    try:
        largest = float(problem.centred.scales.max(initial=0.0))
    except ScaleError:
        largest = np.inf
    if largest == 0.0 or 1.0 / _LARGEST_SCALE < largest < _LARGEST_SCALE:
        return problem, 0
    exponent = exponent_of(problem.design.X, constants=not problem.fit_intercept)
    design = Design(times_powers_of_two(problem.design.X, -exponent))
    return replace(problem, design=design, alpha=strength(problem.alpha, -exponent)), exponent


def _root_mean_square(derivatives: Array, weights: Array) -> float:
    used = weights > 0
    return float(np.sqrt(np.sum(derivatives[used] ** 2 / weights[used])))


def best_shift(loss: Loss, z: Array) -> float:
    """What to add to the predictor so that no other constant lowers the loss.

    Newton's method between two bounds on the root, which is moved to the middle of them where a
    step leaves them or hardly changes the slope.
    """
    shift, lower, upper = 0.0, -np.inf, np.inf
    for _ in range(2 if loss.quadratic else _CENTRING_STEPS):
        derivatives = loss.gradient(z + shift)
        slope = float(derivatives.sum())
        if abs(slope) <= 1e-15 * float(np.abs(derivatives).sum()):
            break
        lower, upper = (lower, shift) if slope > 0.0 else (shift, upper)
        curvature = float(loss.curvature(z + shift).sum())
        # where a loss is flat, a step would be far too long
        longest = np.inf if loss.quadratic else _LONGEST * (1.0 + abs(shift))
        step = -slope / curvature if curvature > 0.0 else -np.sign(slope) * np.inf
        following = shift + float(np.clip(step, -longest, longest))
        if following == shift:
            break
        if not lower < following < upper:
            following = 0.5 * (lower + upper)
        shift = following
    return shift
