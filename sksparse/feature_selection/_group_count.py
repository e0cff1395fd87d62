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
        and few pairs of groups enter between two.
    lowest : float
        Where the grid ends, as a share of its largest strength. All groups that ever enter do so
        before, but for rounding.
    resolution : float
        Strengths of a smaller relative difference are the same: what enters between them enters
        together.
    """

    ratio: float = 10.0**-0.03
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

    Strengths fall along a grid that depends on the data alone, until more groups are kept than
    asked for; then the last interval is halved. So the answer does not depend on which other
    numbers were asked for.

    Parameters
    ----------
    task : GroupTask
        Data, loss and penalty.
    max_groups : int
        Number of groups.

    Raises
    ------
    ValueError
        Where more groups are never penalised.
    """
    top = task.alpha_max or 1.0
    before = _fit(task, top, None)
    if before.n_groups > max_groups:
        raise ValueError(
            f"max_groups={max_groups} is less than the {before.n_groups} groups that are kept "
            "whatever the strength, those with penalty weight zero; give at least so many."
        )
    n_points = int(np.log(TUNING.lowest) / np.log(TUNING.ratio))
    for point in range(1, n_points + 1):
        after = _fit(task, top * TUNING.ratio**point, before)
        if after.n_groups > max_groups:
            return _between(task, max_groups, before, after)
        before = after if after.n_groups >= before.n_groups else before
        if before.n_groups == max_groups == len(task.model.groups.filled):
            return Found(*before[:2], "")
    few = f"Only {before.n_groups} of max_groups={max_groups} groups are kept at any strength"
    message = f"{few}: the others add nothing. Give max_groups={before.n_groups}."
    return Found(*before[:2], "" if before.n_groups == max_groups else message)


def _between(task: GroupTask, max_groups: int, most: Kept, more: Kept) -> Found:
    """The fit between one that keeps at most as many groups as asked for, and one with more."""
    while most.n_groups < max_groups and more.alpha < (1.0 - TUNING.resolution) * most.alpha:
        middle = _fit(task, float(np.sqrt(most.alpha * more.alpha)), most)
        most, more = (middle, more) if middle.n_groups <= max_groups else (most, middle)
    if most.n_groups == max_groups:
        return Found(*most[:2], "")
    message = (
        f"No strength keeps exactly max_groups={max_groups} groups: {most.n_groups} are kept at "
        f"alpha={most.alpha:.6g}, and {more.n_groups} below, as groups that enter together, copies "
        "of each other for example. Remove copies, or give another number."
    )
    return Found(*most[:2], message)


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
