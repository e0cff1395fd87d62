"""The strength of a group penalty at which a given number of groups is kept."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sksparse._interrupts import check
from sksparse._typing import Array, Indices
from sksparse.linear_model.group._task import GroupTask
from sksparse.penalties import BlockPenalty
from sksparse.solvers import Problem, Solution, Status
from sksparse.solvers.convex._base import moderate


class Tuning(NamedTuple):
    """How the strength is looked for.

    Parameters
    ----------
    per_decade : int
        Strengths of the grid in a factor of ten: few groups enter between two.
    fine : int
        Decades below the largest strength down to which the grid is that dense. Below, where little
        is left to explain, there are
    coarse : int
        in a decade,
    lowest : int
        down to so many decades. All groups that ever enter do so before, but for rounding.
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


class Kept(NamedTuple):
    """A fit, and how many groups it keeps.

    Parameters
    ----------
    alpha : float
        Strength of the penalty.
    solution : Solution
        The fit.
    n_groups : int
        Number of groups that it keeps, those included that are never penalised.
    """

    alpha: float
    solution: Solution
    n_groups: int


class Found(NamedTuple):
    """What was found for a number of groups.

    Parameters
    ----------
    alpha : float
        Strength of the penalty.
    solution : Solution
        The fit.
    message : str
        Text of a warning where it keeps fewer groups, or empty.
    """

    alpha: float
    solution: Solution
    message: str


def fit_groups(task: GroupTask, max_groups: int) -> Found:
    """The fit that keeps so many groups, or the most below.

    Strengths fall along a grid that depends on the data alone, until so many groups are kept; where
    that is more, the last interval is divided. So the answer does not depend on which other
    numbers were asked for.

    Parameters
    ----------
    task : GroupTask
        Data, loss and penalty.
    max_groups : int
        Number of groups; more than there are stand for all.

    Raises
    ------
    ValueError
        Where more groups are never penalised.
    """
    n_groups = len(task.model.groups.filled)
    forced = len(np.unique(task.model.positions[task.model.forced]))
    if forced > max_groups:
        raise ValueError(
            f"max_groups={max_groups} is less than the {forced} groups with penalty weight zero, "
            "which are always kept; give at least so many."
        )
    most, message = _search(task, min(max_groups, n_groups))
    if max_groups > n_groups:
        message = (
            f"max_groups={max_groups} is more than the {n_groups} groups that X has columns of, "
            f"and stands for all of them; give at most {n_groups}."
        )
    return Found(most.alpha, most.solution, message)


def _search(task: GroupTask, max_groups: int) -> tuple[Kept, str]:
    """The fit that keeps so many groups, and text of a warning where it keeps fewer."""
    # where nothing is ever selected, any strength will do
    grid = _grid(task.alpha_max or 1.0)
    most, more = _counted(task, float(grid[0]), task.solve(float(grid[0]))), None
    if task.alpha_max > 0.0:
        most, more = _walk(task, grid, max_groups, most)
    if more is None:
        message = (
            f"Only {most.n_groups} of max_groups={max_groups} groups are kept at any strength: the "
            "others add nothing. Give a smaller number."
        )
        return most, message if most.n_groups < max_groups else ""
    upper = float(grid[grid > more.alpha].min())
    while most.n_groups < max_groups and more.alpha < (1.0 - TUNING.resolution) * upper:
        inner = np.geomspace(upper, more.alpha, TUNING.parts + 1)
        most, nearer = _walk(task, inner[:-1], max_groups, most)
        more = more if nearer is None else nearer
        upper = float(inner[inner > more.alpha].min())
    message = (
        f"No strength keeps exactly max_groups={max_groups} groups: {most.n_groups} are kept at "
        f"alpha={most.alpha:.6g}, and {more.n_groups} at {more.alpha:.6g}, as groups that enter "
        "together, copies of each other for example. Remove copies, or give another number."
    )
    return most, message if most.n_groups < max_groups else ""


def _grid(highest: float) -> Array:
    """Strengths from half a step above the largest, at which a group enters but for rounding."""
    fine = (np.arange(TUNING.fine * TUNING.per_decade) - 0.5) / TUNING.per_decade
    decades = TUNING.lowest - TUNING.fine
    coarse = TUNING.fine + np.arange(decades * TUNING.coarse + 1) / TUNING.coarse
    return np.asarray(highest * 10.0 ** -np.concatenate((fine, coarse)))


def _walk(task: GroupTask, alphas: Array, max_groups: int, most: Kept) -> tuple[Kept, Kept | None]:
    """The first fit with most groups up to a number, and before it is met the first with more.

    Strengths fall from the first one, which is known.
    """
    solve, solution = task.along(alphas[1:]), most.solution
    for alpha in alphas[1:]:
        if most.n_groups == max_groups:
            break
        check()
        solution = solve(float(alpha), solution)
        if solution.status is Status.INTERRUPTED:
            raise KeyboardInterrupt
        kept = _counted(task, float(alpha), solution)
        if kept.n_groups > max_groups:
            return most, kept
        most = kept if kept.n_groups > most.n_groups else most
    return most, None


def _counted(task: GroupTask, alpha: float, solution: Solution) -> Kept:
    columns = task.model.kept(solution.coef)
    return Kept(alpha, solution, len(np.unique(task.model.positions[columns])))


def next_to_enter(task: GroupTask, alpha: float, solution: Solution) -> Indices:
    """Groups without a coefficient, first the one with the largest gradient for what it costs."""
    problem = Problem(task.design, task.loss, task.penalty, alpha, task.fit_intercept)
    scaled, exponent = moderate(problem)
    gradient = scaled.gradient_at(np.ldexp(solution.coef, exponent), solution.intercept)
    penalty, labels = scaled.penalty_as(BlockPenalty), task.model.groups.labels
    # the blocks of the L1 norm are features, and so are parts of groups
    first = penalty.blocks.order[penalty.blocks.pointers[:-1]]
    strengths = np.zeros(len(task.model.groups.filled))
    np.maximum.at(strengths, labels[first], penalty.group_dual_norms(gradient))
    used = np.atleast_2d(solution.coef != 0.0).any(axis=0)
    strengths[labels[used]] = 0.0
    order = np.argsort(-strengths, kind="stable")
    return np.asarray(order[strengths[order] > 0.0])
