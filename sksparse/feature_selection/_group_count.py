"""The strength of a group penalty at which a given number of groups is kept."""

from __future__ import annotations

import numpy as np

from sksparse._typing import Array, Indices
from sksparse.linear_model._count_search import Found, Size, fit_size
from sksparse.linear_model.group._task import GroupTask
from sksparse.penalties import BlockPenalty
from sksparse.solvers import Problem, Solution
from sksparse.solvers.convex._base import moderate


def fit_groups(task: GroupTask, max_groups: int) -> Found:
    """The fit that keeps so many groups, or the most below.

    Parameters
    ----------
    task : GroupTask
        Data, loss and penalty.
    max_groups : int
        Number of groups, those included that are never penalised; more than there are stand for
        all.

    Raises
    ------
    ValueError
        Where more groups are never penalised.
    """
    model = task.model
    n_groups = len(model.groups.filled)
    forced = len(np.unique(model.positions[model.forced]))
    if forced > max_groups:
        raise ValueError(
            f"max_groups={max_groups} is less than the {forced} groups with penalty weight zero, "
            "which are always kept; give at least so many."
        )

    def count(coef: Array) -> int:
        return len(np.unique(model.positions[model.kept(coef)]))

    advice = "as groups that enter together, copies of each other for example. Remove copies, or "
    advice += "give another number"
    found = fit_size(task, Size("max_groups", "groups", count, min(max_groups, n_groups), advice))
    if max_groups <= n_groups:
        return found
    message = (
        f"max_groups={max_groups} is more than the {n_groups} groups that X has columns of, "
        f"and stands for all of them; give at most {n_groups}."
    )
    return found._replace(message=message)


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
