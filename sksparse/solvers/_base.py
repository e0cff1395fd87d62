"""The base classes of solvers, and the loop of iterative ones."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from sksparse._fit_tasks import fit_tasks
from sksparse._interrupts import check, worth_keeping
from sksparse._progress import Progress
from sksparse._typing import Array
from sksparse.solvers._problem import Problem
from sksparse.solvers._solution import Certificate, Solution, Status

State = TypeVar("State", bound="Iterate")


@dataclass
class Iterate:
    """The current iterate of a solver.

    Parameters
    ----------
    coef : ndarray of shape (n_features,) or (n_outputs, n_features)
        Current coefficients.
    intercept : float or ndarray of shape (n_outputs,)
        Current intercept.
    progress : bool, default=True
        Set to False by a step that could not improve the iterate.
    interrupted : bool, default=False
        Set to True by a step that was interrupted and kept what it had.
    """

    coef: Array
    intercept: Any
    progress: bool = True
    interrupted: bool = False


class Solver(ABC):
    """A method that solves problems of some kinds; a `Problem` holds all that is asked.

    Parameters
    ----------
    tol : float
        An iterate is accepted when its certificate is at most this.
    max_iter : int
        Largest number of steps.
    verbose : int, default=0
        1 writes the first and last step, and in between at most a line a second; 2 writes each.
    """

    def __init__(self, *, tol: float, max_iter: int, verbose: int = 0) -> None:
        self.tol = tol
        self.max_iter = max_iter
        self.verbose = verbose

    @abstractmethod
    def check(self, problem: Problem) -> None:
        """Refuse what the method cannot solve; called before anything is computed.

        Raises
        ------
        ValueError
            Where the loss, the penalty or the data are not of a kind that it solves.
        """

    @abstractmethod
    def solve(self, problem: Problem, coef: Array | None = None) -> Solution:
        """Check the problem, then minimise, from a previous solution when one is given."""

    def along(
        self, problem: Problem, alphas: Array
    ) -> Callable[[float, Solution | None], Solution]:
        """What solves a problem at one decreasing strength after the other.

        Parameters
        ----------
        problem : Problem
            The problem, at any strength.
        alphas : ndarray of shape (n_points,)
            All strengths, decreasing.

        Returns
        -------
        solve : callable
            Takes the next strength and the solution before it, None for the first.
        """

        def solve(alpha: float, before: Solution | None) -> Solution:
            return self.solve(problem.with_alpha(alpha), None if before is None else before.coef)

        return solve


class IterativeSolver(Solver, Generic[State]):
    """An iterative method: how to start, how good an iterate is, and one step.

    Parameters
    ----------
    tol, max_iter, verbose
        As in :class:`Solver`.
    """

    @abstractmethod
    def start(self, problem: Problem, coef: Array | None) -> State:
        """First iterate, from a previous solution when one is given."""

    @abstractmethod
    def certify(self, problem: Problem, state: State) -> Certificate:
        """How good the iterate is."""

    def accepts(self, problem: Problem, state: State, certificate: Certificate) -> bool:
        """Whether the iterate is good enough."""
        return certificate.value <= self.tolerance(problem)

    def tolerance(self, problem: Problem) -> float:
        """Largest value of the certificate that is accepted, as it was asked for."""
        return max(self.tol, problem.precision)

    @abstractmethod
    def gap(self, problem: Problem, coef: Array, intercept: Any) -> float:
        """Duality gap of an answer; nan where the problem has none."""

    @abstractmethod
    def step(self, problem: Problem, state: State) -> None:
        """Improve the iterate in place; called only after ``certify`` on the same iterate."""

    def solve(self, problem: Problem, coef: Array | None = None) -> Solution:
        """Iterate until the certificate is at most ``tol``, or ``max_iter`` or progress ends.

        An interruption from the keyboard ends the loop with the last complete iterate; where there
        is none, or the fit has hardly begun, it is passed on.
        """
        self.check(problem)
        state = self.start(problem, coef)
        certificate = self.certify(problem, state)
        best = _Snapshot(state, certificate)
        status, n_iter = Status.MAX_ITER, 1
        try:
            with (
                Progress(type(self).__name__, "step", verbose=self.verbose) as progress,
                fit_tasks("iterations", self.max_iter) as iterations,
            ):
                for n_iter in range(1, self.max_iter + 1):
                    check()
                    if np.isfinite(certificate.value):
                        progress.step(_describe, state, certificate, done=n_iter)
                    if self.accepts(problem, state, certificate):
                        status = Status.CONVERGED
                        break
                    if not state.progress:
                        status = Status.STALLED
                        break
                    iterations.begin()
                    self.step(problem, state)
                    certificate = self.certify(problem, state)
                    best = _Snapshot(state, certificate)
                    stopped = iterations.end_at(problem, best.coef, best.intercept)
                    if state.interrupted or stopped:
                        status = Status.INTERRUPTED
                        break
                else:
                    if self.accepts(problem, state, certificate):
                        status = Status.CONVERGED
        except KeyboardInterrupt:
            # before the first step, and without a start, there is no answer to keep
            nothing = coef is None and not np.isfinite(best.certificate.value)
            if nothing or not worth_keeping():
                raise
            status = Status.INTERRUPTED
        gap = self.gap(problem, best.coef, best.intercept)
        tol = self.tolerance(problem)
        return Solution(
            coef=best.coef,
            intercept=best.intercept,
            status=status,
            certificate=best.certificate,
            gap=gap,
            n_iter=n_iter,
            message=_message(status, best.certificate, gap, tol, self.max_iter),
        )


class _Snapshot:
    """A complete iterate, kept apart from the state that a step may leave half changed."""

    def __init__(self, state: Iterate, certificate: Certificate) -> None:
        self.coef = state.coef.copy()
        self.intercept = state.intercept
        self.certificate = certificate


def _describe(state: Iterate, certificate: Certificate) -> str:
    n_active = np.count_nonzero(np.atleast_2d(state.coef).any(axis=0))
    return f"{n_active} features, {certificate.name} {certificate.value:.2e}"


def _message(
    status: Status, certificate: Certificate, gap: float, tol: float, max_iter: int
) -> str:
    if status is Status.CONVERGED:
        return ""
    side = "above" if certificate.value > tol else "within"
    reached = f"{certificate.name} is {certificate.value:.3g}, {side} tol={tol:.3g}"
    if not np.isnan(gap):
        reached += f"; the duality gap is {gap:.3g}"
    remedy = {
        Status.MAX_ITER: f"increase max_iter={max_iter}, or tol, or scale the features",
        Status.INTERRUPTED: "the last iterate is kept; fit with warm_start=True to continue",
        Status.STALLED: "scale the features, use float64, or increase tol",
    }[status]
    return f"The solver stopped before convergence ({status.value}): {reached}. Remedy: {remedy}."
