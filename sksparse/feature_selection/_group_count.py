"""The strength of a group penalty at which a given number of groups is kept."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sksparse._interrupts import check
from sksparse._typing import Indices
from sksparse.linear_model.group._task import GroupTask
from sksparse.penalties import BlockPenalty
from sksparse.solvers import Problem, Solution
from sksparse.solvers.convex._base import moderate


class Tuning(NamedTuple):
    """How the strength is looked for.

    Parameters
    ----------
    ratio : float
        One strength of the grid over the one before: a hundred of them are a factor of a thousand,
        and few groups enter between two.
    fine : float
        Share of the largest strength down to which the grid has that ratio. Below, where little
        is left to explain, each strength is
    coarse : float
        times the one before,
    lowest : float
        down to this share. All groups that ever enter do so before, but for rounding.
    resolution : float
        Strengths of a smaller relative difference are the same: what enters between them enters
        together.
    """

    ratio: float = 10.0**-0.03
    fine: float = 1e-3
    coarse: float = 0.5
    lowest: float = 1e-6
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
    that is more, the last interval is halved. So the answer does not depend on which other
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
    if max_groups > n_groups:
        found = fit_groups(task, n_groups)
        message = (
            f"max_groups={max_groups} is more than the {n_groups} groups that X has columns of, "
            f"and stands for all of them; give at most {n_groups}."
        )
        return Found(found.alpha, found.solution, message)
    forced = len(np.unique(task.model.positions[task.model.forced]))
    if forced > max_groups:
        raise ValueError(
            f"max_groups={max_groups} is less than the {forced} groups with penalty weight zero, "
            "which are always kept; give at least so many."
        )
    # a step above the largest strength, which is rounded
    most = before = _fit(task, (task.alpha_max or 1.0) / TUNING.ratio, None)
    lowest, fine = TUNING.lowest * before.alpha, TUNING.fine * before.alpha
    while most.n_groups < max_groups and before.alpha > lowest:
        ratio = TUNING.ratio if before.alpha > fine else TUNING.coarse
        after = _fit(task, ratio * before.alpha, before)
        if after.n_groups > max_groups:
            return _between(task, max_groups, max(before, most, key=_size), after)
        most, before = max(most, after, key=_size), after
    few = f"Only {most.n_groups} of max_groups={max_groups} groups are kept at any strength"
    message = f"{few}: the others add nothing. Give max_groups={most.n_groups}."
    return Found(most.alpha, most.solution, message if most.n_groups < max_groups else "")


def _size(kept: Kept) -> int:
    return kept.n_groups


def _between(task: GroupTask, max_groups: int, most: Kept, more: Kept) -> Found:
    """The fit between one that keeps fewer groups than asked for, and one with more."""
    while most.n_groups < max_groups and more.alpha < (1.0 - TUNING.resolution) * most.alpha:
        middle = _fit(task, float(np.sqrt(most.alpha * more.alpha)), most)
        most, more = (middle, more) if middle.n_groups <= max_groups else (most, middle)
    message = (
        f"No strength keeps exactly max_groups={max_groups} groups: {most.n_groups} are kept at "
        f"alpha={most.alpha:.6g}, and {more.n_groups} below, as groups that enter together, copies "
        "of each other for example. Remove copies, or give another number."
    )
    return Found(most.alpha, most.solution, message if most.n_groups < max_groups else "")


def _fit(task: GroupTask, alpha: float, start: Kept | None) -> Kept:
    check()
    solution = task.solve(alpha, None if start is None else start.solution.coef)
    columns = task.model.kept(solution.coef)
    return Kept(alpha, solution, len(np.unique(task.model.positions[columns])))


def next_to_enter(task: GroupTask, alpha: float, solution: Solution) -> Indices:
    """Groups without a coefficient, first the one that enters at the largest smaller strength."""
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
