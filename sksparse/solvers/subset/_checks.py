"""How many features a problem can tell apart."""

from __future__ import annotations

import numpy as np

from sksparse._typing import Array, Indices, Mask
from sksparse.solvers._problem import Problem
from sksparse.solvers.subset._factorised_support import COLLINEAR, Support
from sksparse.solvers.subset._rules import SubsetRules


def largest_rank(problem: Problem, most: int | None = None) -> int:
    """The number of different samples that have a weight, less one for an intercept.

    At most one more than the number of features, or ``most``.
    """
    first = int(problem.fit_intercept)
    largest = problem.design.n_features + 1
    return problem.distinct(min(largest, most or largest) + first) - first


def require_rank(problem: Problem, rules: SubsetRules) -> None:
    """Refuse to start from all features where the samples do not determine their coefficients."""
    n, p = np.count_nonzero(problem.loss.weights), problem.design.n_features
    if not rules.has_ridge and p > largest_rank(problem):
        intercept = " and an intercept" if problem.fit_intercept else ""
        raise ValueError(
            f"solver='backward' starts from the fit of all features{intercept}, which "
            f"n_samples={n} with a positive weight do not determine for n_features={p}; use "
            "solver='forward' or 'auto', give a positive l2, or select fewer features."
        )


def independent(gram: Array, free: Mask) -> Indices:
    """Positions of columns that are not collinear with others, in order; free ones go first.

    ``gram`` holds the correlations of the columns.
    """
    everything = Support.of(np.arange(len(gram)), gram, np.zeros(len(gram)), COLLINEAR)
    if len(everything.columns) == len(gram):
        return np.arange(len(gram))
    first, then = np.flatnonzero(free), np.flatnonzero(~free)
    kept = Support.of(first, gram[np.ix_(first, first)], np.zeros(len(first)), COLLINEAR)
    half = kept.root @ gram[np.ix_(kept.columns, then)]
    left = gram[np.ix_(then, then)] - half.T @ half
    others = Support.of(then, left, np.zeros(len(then)), COLLINEAR)
    return np.sort(np.concatenate((kept.columns, others.columns)))


def require_squared_loss(problem: Problem, solver: str) -> None:
    """Refuse a loss that is not quadratic."""
    if not problem.loss.quadratic:
        raise ValueError(
            f"solver={solver!r} minimises the squared loss, not {type(problem.loss).__name__}; "
            "use another solver."
        )


def require_least_squares(problem: Problem, rules: SubsetRules, solver: str) -> None:
    """Refuse what leaves no closed-form refit."""
    require_squared_loss(problem, solver)
    if rules.l1 != 0.0:
        raise ValueError(
            f"solver={solver!r} needs l1=0, got l1={rules.l1}; use solver='auto', 'cd' or 'iht'."
        )
    if rules.positive is not None and rules.positive.any():
        raise ValueError(
            f"solver={solver!r} does not bound coefficients, got positive=True for "
            f"{int(rules.positive.sum())} features; use solver='auto', 'cd' or 'iht'."
        )
