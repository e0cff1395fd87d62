"""Block descent for every loss, shape of groups and option, against the reference of the family."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from convex_cases import KINDS, SPOILS, far, pairs
from group_problems import LOSSES, draw
from group_reference import GroupProblem, alpha_max, lower_bound, minimise, violations

from sksparse.penalties import BlockPenalty, Blocks
from sksparse.solvers import BlockDescent, Design, Problem, Solution, Status

SHAPES: dict[str, dict[str, Any]] = {
    "group": {},
    "group, no intercept, weighted": {"intercept": False, "weighted": True},
    "group, ridge": {"l2": 0.05},
    "group, one free, weighted": {"free": True, "weighted": True},
    "lasso": {"l1_ratio": 1.0},
    "lasso, ridge, one free": {"l1_ratio": 1.0, "l2": 0.01, "free": True},
    "sparse group, weighted": {"l1_ratio": 0.5, "weighted": True},
    "sparse group, one free, ridge": {"l1_ratio": 0.2, "free": True, "l2": 0.02},
    "groups of one": {"sizes": 1, "l1_ratio": 0.3},
    "one group": {"sizes": 12, "l1_ratio": 0.1},
    "positive": {"lower": 0.0},
    "positive, sparse, weighted": {"lower": 0.0, "l1_ratio": 0.5, "weighted": True},
    "box": {"lower": -0.1, "upper": 0.15},
    "box, ridge, one free": {"lower": -0.2, "upper": 0.1, "l2": 0.05, "free": True},
    "positive box, sparse": {"lower": 0.0, "upper": 0.1, "l1_ratio": 0.3},
}


def in_library(problem: GroupProblem, X: Any = None) -> Problem:
    s = np.ones(len(problem.y)) if problem.weights is None else problem.weights
    loss = KINDS[problem.loss](problem.y, s / s.sum(), **(problem.options or {}))
    p = problem.X.shape[1]
    bounds = {
        name: np.broadcast_to(value, p).astype(float) if np.any(np.isfinite(value)) else None
        for name, value in (("lower", problem.lower), ("upper", problem.upper))
    }
    penalty = BlockPenalty(
        Blocks.from_labels(problem.labels),
        problem.l1_ratio * (problem.c > 0)[problem.labels],
        (1.0 - problem.l1_ratio) * problem.c,
        ridge=problem.l2,
        **bounds,
    )
    design = Design(problem.X if X is None else X)
    return Problem(design, loss, penalty, problem.alpha, problem.intercept)


def solve(problem: GroupProblem, X: Any = None, tol: float = 1e-10) -> Solution:
    return BlockDescent(tol=tol, max_iter=300).solve(in_library(problem, X))


def check(problem: GroupProblem, solution: Solution, tol: float = 1e-10) -> float:
    """The objective of an answer that is converged, feasible, optimal, and honest about its gap."""
    assert solution.status is Status.CONVERGED, solution.message
    W, b = solution.coef, solution.intercept
    value = problem.objective(W, b)
    least = problem.objective(*minimise(problem))
    assert least - 1e-11 * abs(least) <= value
    assert value - least <= max(1e-8, tol) * abs(least) + 1e-13
    # with the rounding of what both are computed from
    assert np.isnan(solution.gap) or value - least <= solution.gap + 1e-14 + 1e-14 * abs(least)
    assert np.isnan(solution.gap) or 0.0 <= solution.gap <= max(tol, 1e-10) * 1.01 * value + 1e-15
    groups, slopes = violations(problem, W, b)
    null = problem.term.slopes(np.zeros((len(problem.y), problem.term.n_outputs)))
    spread = np.sqrt(np.sum(null**2, where=null != 0) * len(null))
    lengths = [1e-300 + np.linalg.norm(problem.X[:, g].std(axis=0)) for g in problem.blocks]
    # as small as such a gap proves them to be
    small = 2.0 * np.sqrt(max(tol, 1e-10)) * spread
    assert (groups / lengths).max() <= small
    assert np.abs(slopes).max() <= small
    return value


@pytest.mark.parametrize("loss, shape", pairs(LOSSES, list(SHAPES), 3))
def test_answers_are_minima(loss: str, shape: str, rng: np.random.Generator) -> None:
    problem = draw(rng, loss, **SHAPES[shape])
    solution = solve(problem)
    check(problem, solution)
    assert np.any(solution.coef)


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.9, 0.1, 0.01])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("loss", LOSSES)
def test_answers_are_minima_at_other_strengths(
    loss: str, shape: str, share: float, rng: np.random.Generator
) -> None:
    # where the events are in order almost without doubt, little is left of the Cox loss
    tol = 1e-6 if loss in {"cox", "efron"} and share < 0.1 else 1e-10
    for p, n in ((12, 40), (30, 20)):
        problem = draw(rng, loss, n=n, p=p, share=share, **SHAPES[shape])
        check(problem, solve(problem, tol=tol), tol)


@pytest.mark.parametrize("loss, tol", pairs(LOSSES, [1e-2, 1e-4, 1e-6], 3))
def test_the_gap_is_as_small_as_asked_and_no_smaller_than_the_error(
    loss: str, tol: float, rng: np.random.Generator
) -> None:
    for shape in ("group", "sparse group, one free, ridge", "box"):
        problem = draw(rng, loss, share=0.1, **SHAPES[shape])
        solution = solve(problem, tol=tol)
        assert solution.status is Status.CONVERGED
        value = problem.objective(solution.coef, solution.intercept)
        error = value - problem.objective(*minimise(problem))
        if np.isnan(solution.gap):
            continue
        assert -1e-12 <= error <= solution.gap + 1e-13
        assert solution.gap <= tol * value
        bound = lower_bound(problem, solution.coef, solution.intercept)
        assert not bound > value - error + 1e-12


@pytest.mark.parametrize("loss, spoil", pairs(LOSSES, SPOILS, 3))
def test_columns_that_solvers_stumble_over(
    loss: str, spoil: Callable[..., None], rng: np.random.Generator
) -> None:
    problem = draw(rng, loss, l1_ratio=0.2)
    X = problem.X.copy()
    spoil(rng, X)
    problem = replace(problem, X=X)
    problem = replace(problem, alpha=0.2 * alpha_max(problem))
    if spoil is far:
        # what the intercept and a mean of 1e5 cancel to is rounding in the reference
        near = replace(problem, X=X - X.mean(axis=0))
        solution = solve(problem)
        moved = solution.intercept + X.mean(axis=0) @ np.atleast_2d(solution.coef).T
        check(near, replace(solution, intercept=np.atleast_1d(moved)), tol=1e-7)
        return
    check(problem, solve(problem))


SMALL = [(8, 30, 10), (8, 30, 3), (12, 12, 12), (30, 1, 1), (4, 2, 1), (30, 2, 2)]


@pytest.mark.parametrize("loss, size", pairs(LOSSES, SMALL, 3))
def test_few_samples_and_few_features(loss: str, size: Any, rng: np.random.Generator) -> None:
    n, p, sizes = size
    problem = draw(rng, loss, n=n, p=p, sizes=sizes, share=0.3)
    check(problem, solve(problem))


@pytest.mark.parametrize("loss", ["squared", "tasks"])
def test_orthonormal_groups_have_a_closed_form(loss: str, rng: np.random.Generator) -> None:
    problem = draw(rng, loss, intercept=False, sizes=4)
    X = np.linalg.qr(problem.X)[0] * np.sqrt(len(problem.y))
    problem = replace(problem, X=X)
    C = X.T @ problem.y.reshape(len(X), -1) / len(X)
    lengths = np.array([np.linalg.norm(C[problem.labels == g]) for g in range(3)])
    problem = replace(problem, alpha=float(np.median(lengths)) / 2.0 * 0.999)
    shares = np.maximum(1.0 - problem.alpha * 2.0 / lengths, 0.0)
    expected = (C * shares[problem.labels, None]).T
    np.testing.assert_allclose(np.atleast_2d(solve(problem).coef), expected, atol=1e-9)
    assert np.count_nonzero(shares) == 2


@pytest.mark.parametrize("loss", LOSSES)
def test_columns_and_names_of_groups_in_any_order(loss: str, rng: np.random.Generator) -> None:
    problem = draw(rng, loss, l1_ratio=0.3, l2=0.01, free=True, lower=-0.5)
    order, names = rng.permutation(12), rng.permutation(4)
    factors = np.empty(4)
    factors[names] = problem.c
    other = replace(
        problem, X=problem.X[:, order], labels=names[problem.labels[order]], factors=factors
    )
    one, two = solve(problem), solve(other)
    np.testing.assert_allclose(one.coef[..., order], two.coef, atol=1e-4)
    np.testing.assert_allclose(one.intercept, two.intercept, atol=1e-4)


@pytest.mark.parametrize("loss", [loss for loss in LOSSES if loss != "efron"])
def test_a_whole_weight_is_so_many_rows(loss: str, rng: np.random.Generator) -> None:
    problem = draw(rng, loss, l1_ratio=0.3)
    times = rng.integers(0, 4, len(problem.y))
    # the first sample of every class
    times[np.unique(np.reshape(problem.y, (len(times), -1))[:, -1], return_index=True)[1]] = 1
    weighted = replace(problem, weights=times.astype(float))
    rows = replace(problem, X=problem.X.repeat(times, axis=0), y=problem.y.repeat(times, axis=0))
    one, two = solve(weighted), solve(rows)
    np.testing.assert_allclose(one.coef, two.coef, atol=1e-4)
    assert weighted.objective(one.coef, one.intercept) == pytest.approx(
        rows.objective(two.coef, two.intercept), rel=1e-8
    )


@pytest.mark.parametrize("form", [sp.csr_array, sp.csc_array])
@pytest.mark.parametrize("loss", LOSSES)
def test_sparse_features_give_the_answer_of_dense_ones(
    loss: str, form: Any, rng: np.random.Generator
) -> None:
    problem = draw(rng, loss, n=60, l1_ratio=0.2, free=True, lower=-0.5, upper=0.3)
    X = np.where(rng.random(problem.X.shape) < 0.5, 0.0, problem.X)
    problem = replace(problem, X=X, alpha=0.3 * problem.alpha)
    check(problem, solve(problem, form(X)))


@pytest.mark.parametrize("loss", LOSSES)
def test_groups_of_weight_zero_are_fitted_whatever_the_strength(
    loss: str, rng: np.random.Generator
) -> None:
    problem = draw(rng, loss, n=60, p=9, sizes=3, free=True, l1_ratio=0.5)
    problem = replace(problem, alpha=100.0 * alpha_max(problem))
    W = np.atleast_2d(solve(problem).coef)
    free = problem.labels == 0
    assert not W[:, ~free].any()
    assert W[:, free].all()
    alone = replace(
        problem, X=problem.X[:, free], labels=np.zeros(3, dtype=int), factors=np.zeros(1)
    )
    np.testing.assert_allclose(W[:, free], minimise(alone)[0], atol=1e-4)


@pytest.mark.parametrize("powers", [(6, -6, 0, 3), (-6, 0, 6, -3)])
@pytest.mark.parametrize("loss", LOSSES)
def test_groups_in_other_units(loss: str, powers: Any, rng: np.random.Generator) -> None:
    # the penalty of X_g * 10^k is that of X_g where its factor is multiplied as well
    problem = draw(rng, loss)
    units = 10.0 ** np.array(powers)
    scaled = replace(problem, X=problem.X * units[problem.labels], factors=problem.c * units)
    solution = solve(scaled)
    check(problem, replace(solution, coef=solution.coef * units[problem.labels]))


@pytest.mark.parametrize("loss", ["multinomial", "tasks"])
def test_outputs_in_any_order(loss: str, rng: np.random.Generator) -> None:
    problem = draw(rng, loss, l1_ratio=0.2)
    order = np.array([2, 0, 1])
    y = order[problem.y.astype(int)] if loss == "multinomial" else problem.y[:, np.argsort(order)]
    one, two = solve(problem), solve(replace(problem, y=y.astype(float)))
    np.testing.assert_allclose(two.coef[order], one.coef, atol=1e-4)
    np.testing.assert_allclose(np.asarray(two.intercept)[order], one.intercept, atol=1e-4)


@pytest.mark.parametrize("loss", LOSSES)
def test_no_group_is_lost_on_the_way_down(loss: str, rng: np.random.Generator) -> None:
    problem = draw(rng, loss, n=25, p=36, sizes=3, l1_ratio=0.1)
    # where the curvature jumps, as that of the Huber loss, or is a bound, smaller gaps take long
    tol = 1e-7 if loss in {"huber", "cox", "efron"} else 1e-10
    start, top = None, problem.alpha / 0.4
    for share in (0.8, 0.4, 0.1):
        at = replace(problem, alpha=share * top)
        solution = BlockDescent(tol=tol, max_iter=300).solve(in_library(at), start)
        check(at, solution, tol)
        start = solution.coef
