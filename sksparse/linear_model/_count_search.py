"""The strength of a convex penalty at which a model has a given size."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from sksparse._interrupts import check
from sksparse._typing import Array
from sksparse.linear_model._convex_path import ConvexTask
from sksparse.solvers import Solution, Status


class Tuning(NamedTuple):
    """How the strength is looked for.

    Parameters
    ----------
    per_decade : int
        Strengths of the grid in a factor of ten: little enters between two.
    fine : int
        Decades below the largest strength down to which the grid is that dense. Below, where little
        is left to explain, there are
    coarse : int
        in a decade,
    lowest : int
        down to so many decades. All that ever enters does so before, but for rounding.
    parts : int
        Into how many parts an interval is divided.
    resolution : float
        Strengths of a smaller relative difference are the same: what enters between them enters
        together.
    """

    per_decade: int = 33
    fine: int = 3
    coarse: int = 3
    lowest: int = 6
    parts: int = 9
    resolution: float = 1e-6


TUNING = Tuning()


class Size(NamedTuple):
    """A size to ask for.

    Parameters
    ----------
    name : str
        The parameter that asks for it.
    units : str
        What is counted, "groups" for example.
    count : callable
        Takes coefficients as a solver has them; their size.
    wanted : int
        The size asked for.
    advice : str
        Why a size may be passed over, and the remedy.
    """

    name: str
    units: str
    count: Callable[[Array], int]
    wanted: int
    advice: str


class Found(NamedTuple):
    """What was found for a size.

    Parameters
    ----------
    alpha : float
        Strength of the penalty.
    solution : Solution
        The fit.
    message : str
        Text of a warning where it is smaller, or empty.
    """

    alpha: float
    solution: Solution
    message: str


class _Counted(NamedTuple):
    alpha: float
    solution: Solution
    size: int


def fit_size(task: ConvexTask, size: Size) -> Found:
    """The fit that has a size, or the largest below.

    Strengths fall along a grid that depends on the data alone, until the size is reached; where
    it is passed, the last interval is divided. So the answer does not depend on which other sizes
    were asked for.
    """
    # where nothing is ever selected, any strength will do
    grid = _grid(task.alpha_max or 1.0)
    most, more = _counted(size, float(grid[0]), task.solve(float(grid[0]))), None
    if task.alpha_max > 0.0:
        most, more = _walk(task, size, grid, most)
    if more is None:
        message = (
            f"Only {most.size} of {size.name}={size.wanted} {size.units} are kept at any strength: "
            "the others add nothing. Give a smaller number."
        )
        return Found(most.alpha, most.solution, message if most.size < size.wanted else "")
    upper = float(grid[grid > more.alpha].min())
    while most.size < size.wanted and more.alpha < (1.0 - TUNING.resolution) * upper:
        inner = np.geomspace(upper, more.alpha, TUNING.parts + 1)
        most, nearer = _walk(task, size, inner[:-1], most)
        more = more if nearer is None else nearer
        upper = float(inner[inner > more.alpha].min())
    message = (
        f"No strength keeps exactly {size.name}={size.wanted} {size.units}: {most.size} are kept "
        f"at alpha={most.alpha:.6g}, and {more.size} at {more.alpha:.6g}, {size.advice}."
    )
    return Found(most.alpha, most.solution, message if most.size < size.wanted else "")


def _grid(highest: float) -> Array:
    """Strengths from half a step above the largest, at which something enters but for rounding."""
    fine = (np.arange(TUNING.fine * TUNING.per_decade) - 0.5) / TUNING.per_decade
    decades = TUNING.lowest - TUNING.fine
    coarse = TUNING.fine + np.arange(decades * TUNING.coarse + 1) / TUNING.coarse
    return np.asarray(highest * 10.0 ** -np.concatenate((fine, coarse)))


def _walk(
    task: ConvexTask, size: Size, alphas: Array, most: _Counted
) -> tuple[_Counted, _Counted | None]:
    """The largest first fit up to a size, and before it is met the first larger one.

    Strengths fall from the first one, which is known.
    """
    solve, solution = task.along(alphas[1:]), most.solution
    for alpha in alphas[1:]:
        if most.size == size.wanted:
            break
        check()
        solution = solve(float(alpha), solution)
        if solution.status is Status.INTERRUPTED:
            raise KeyboardInterrupt
        kept = _counted(size, float(alpha), solution)
        if kept.size > size.wanted:
            return most, kept
        most = kept if kept.size > most.size else most
    return most, None


def _counted(size: Size, alpha: float, solution: Solution) -> _Counted:
    return _Counted(alpha, solution, size.count(solution.coef))
