"""How many coefficients the samples of a problem determine."""

from __future__ import annotations

import numpy as np

from sksparse._typing import Array, Indices, Mask
from sksparse.penalties import L0
from sksparse.solvers._problem import Problem
from sksparse.solvers.subset._factorised_support import COLLINEAR, Support


def largest_rank(problem: Problem, most: int | None = None) -> int:
    """The number of different samples that have a weight, less one for an intercept.

    At most one more than the number of features, or ``most``.
    """
    first = int(problem.fit_intercept)
    largest = problem.design.n_features + 1
    return problem.distinct(min(largest, most or largest) + first) - first


def require_rank(problem: Problem) -> None:
    """Refuse to start from all features where the samples do not determine their coefficients."""
    n, p = np.count_nonzero(problem.loss.weights), problem.design.n_features
    if not problem.penalty_as(L0).has_ridge and p > largest_rank(problem):
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


def require_best_subset(problem: Problem) -> None:
    """Refuse another penalty, and signs for several outputs, which have a coefficient for each."""
    penalty, n_outputs = problem.penalty_as(L0), problem.loss.n_outputs
    if n_outputs > 1 and penalty.positive is not None and penalty.positive.any():
        raise ValueError(
            "positive needs one coefficient for each feature, got a loss with "
            f"{n_outputs} outputs; allow both signs."
        )


def require_squared_loss(problem: Problem, solver: str) -> None:
    """Refuse another loss, several outputs, and a ridge for features of unit variance."""
    penalty = problem.penalty_as(L0)
    if not problem.loss.quadratic:
        raise ValueError(
            f"solver={solver!r} minimises the squared loss, not {type(problem.loss).__name__}; "
            "use another solver."
        )
    if problem.loss.n_outputs > 1:
        raise ValueError(
            f"solver={solver!r} fits one output, got a loss with {problem.loss.n_outputs} outputs; "
            "use a solver for any loss."
        )
    if penalty.scaled_l2 != 0.0:
        raise ValueError(
            f"solver={solver!r} needs scaled_l2=0, got scaled_l2={penalty.scaled_l2}; give l2, or "
            "use a solver for any loss."
        )


def require_least_squares(problem: Problem, solver: str) -> None:
    """Refuse what leaves no closed-form refit."""
    require_squared_loss(problem, solver)
    penalty = problem.penalty_as(L0)
    if penalty.l1 != 0.0:
        raise ValueError(
            f"solver={solver!r} needs l1=0, got l1={penalty.l1}; use solver='auto', 'cd' or 'iht'."
        )
    if penalty.positive is not None and penalty.positive.any():
        raise ValueError(
            f"solver={solver!r} does not bound coefficients, got positive=True for "
            f"{int(penalty.positive.sum())} features; use solver='auto', 'cd' or 'iht'."
        )
