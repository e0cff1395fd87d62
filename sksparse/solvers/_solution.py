"""What a solver returns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from sksparse._typing import Array


class Status(Enum):
    """Why a solver stopped."""

    CONVERGED = "converged"
    MAX_ITER = "maximum number of iterations reached"
    TIME_LIMIT = "time limit reached"
    INTERRUPTED = "interrupted"
    STALLED = "no further progress in this precision"


@dataclass(frozen=True, slots=True)
class Certificate:
    """A computed measure of how good an answer is.

    Parameters
    ----------
    name : str
        What ``value`` measures.
    value : float
        Relative distance to optimality; an answer is accepted when it is at most ``tol``.
    """

    name: str
    value: float


@dataclass(frozen=True, slots=True)
class Solution:
    """Coefficients with their certificate.

    Parameters
    ----------
    coef : ndarray of shape (n_features,) or (n_outputs, n_features)
        Coefficients, float64.
    intercept : float or ndarray of shape (n_outputs,)
        Intercept.
    status : Status
        Why the solver stopped.
    certificate : Certificate
        How good the answer is.
    gap : float
        Duality gap in units of the objective, at most this far from the optimum; nan where the
        problem is not convex.
    n_iter : int
        Outer iterations, at least 1.
    message : str
        Empty when converged; otherwise the value reached and the remedy.
    """

    coef: Array
    intercept: Any
    status: Status
    certificate: Certificate
    gap: float
    n_iter: int
    message: str


@dataclass(frozen=True, slots=True)
class BoundedSolution(Solution):
    """The best answer of a search, and a lower bound on the objective of any answer.

    ``certificate`` holds the relative gap, ``gap`` the same in units of the objective.

    Parameters
    ----------
    coef, intercept, status, certificate, gap, n_iter, message
        As in :class:`Solution`.
    objective : float
        Objective of the answer.
    lower_bound : float
        No answer has a smaller objective.
    n_nodes : int
        Nodes of the search tree.
    """

    objective: float
    lower_bound: float
    n_nodes: int


def cut_short(solutions: list[Solution], n_points: int) -> list[Solution]:
    """The solutions of an interrupted path, the last of which says that it was interrupted.

    Parameters
    ----------
    solutions : list of Solution
        What was found, at least one.
    n_points : int
        How many were asked for.

    Returns
    -------
    solutions : list of Solution
        The same, with status and message of the last one changed.
    """
    message = f"The path was interrupted after {len(solutions)} of {n_points} points."
    return [*solutions[:-1], replace(solutions[-1], status=Status.INTERRUPTED, message=message)]


def describe_loss(n_features: int, share: float) -> str:
    """Text of a progress line."""
    return f"{n_features} features, loss {share:.4g} of the null model's"
