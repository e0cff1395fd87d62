"""Proximal Newton steps for curved losses: working sets, forms of the model, and paths."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from sksparse.penalties import Blocks, GroupL2
from sksparse.solvers import BlockDescent, Design, Problem, Status
from sksparse.solvers.convex import _block_subproblem as block_module
from sksparse.solvers.convex import _proximal_newton as newton_module

sys.path.insert(0, str(Path(__file__).parent))
from convex_problems import BLOCKS, FORMS, KINDS, PENALTIES, N, P, make_loss, make_problem

CURVED = [kind for kind in KINDS if kind not in ("squared", "outputs")]


def tune(monkeypatch: pytest.MonkeyPatch, module: Any, **values: Any) -> None:
    monkeypatch.setattr(module, "TUNING", replace(module.TUNING, **values))


def fit(problem: Problem, tol: float = 1e-10) -> np.ndarray:
    solution = BlockDescent(tol=tol, max_iter=200).solve(problem)
    assert solution.status is Status.CONVERGED
    return solution.coef


@pytest.mark.parametrize("kind", CURVED)
def test_forms_of_the_model_agree(
    kind: str, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem, X = make_problem(kind, PENALTIES["sparse group, one free"](), 0.1, rng, True)
    expected = fit(problem)
    sparse = replace(problem, design=Design(sp.csc_array(X)))
    np.testing.assert_allclose(fit(sparse), expected, atol=1e-5)
    tune(monkeypatch, newton_module, largest_gram=0)
    tune(monkeypatch, block_module, first_groups=1)
    for other in (problem, sparse):
        np.testing.assert_allclose(fit(other), expected, atol=1e-5)
    tune(monkeypatch, newton_module, copied=0)
    np.testing.assert_allclose(fit(problem), expected, atol=1e-5)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_points_of_a_path_are_those_of_single_fits(
    kind: str, form: str, rng: np.random.Generator
) -> None:
    penalty = PENALTIES["group, one free"](**FORMS[form])
    problem, _ = make_problem(kind, penalty, 1.0, rng, kind != "huber")
    alphas = problem.alpha * np.geomspace(1.0, 0.05, 5)
    solve = BlockDescent(tol=1e-8, max_iter=200).along(problem, alphas)
    before = None
    for alpha in alphas.tolist():
        other = problem.with_alpha(alpha)
        before = solve(alpha, before)
        alone = BlockDescent(tol=1e-8, max_iter=200).solve(other)
        values = [
            other.objective(found.coef, other.predictor(found.coef, found.intercept))
            for found in (before, alone)
        ]
        assert values[0] == pytest.approx(values[1], rel=3e-8)
        assert 0.0 <= before.gap <= 1e-8 * values[0] * (1.0 + 1e-9)


def test_several_classes_do_not_depend_on_their_order(rng: np.random.Generator) -> None:
    problem, _ = make_problem("multinomial", PENALTIES["group"](), 0.1, rng, True)
    found = BlockDescent(tol=1e-11, max_iter=200).solve(problem)
    order = np.array([2, 0, 1])
    places = np.argsort(order)
    loss = type(problem.loss)(places[problem.loss.y.astype(int)], problem.loss.weights)
    other = BlockDescent(tol=1e-11, max_iter=200).solve(replace(problem, loss=loss))
    np.testing.assert_allclose(other.coef, found.coef[order], atol=1e-6)
    np.testing.assert_allclose(other.intercept, found.intercept[order], atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_repetitions_of_samples(kind: str, rng: np.random.Generator) -> None:
    X = rng.standard_normal((N, P))
    loss = make_loss(kind, X, rng)
    counts = rng.integers(0, 4, N)
    rows = np.repeat(np.arange(N), counts)
    penalty = GroupL2(BLOCKS, np.full(4, 3**0.5))
    weighted = loss.with_weights(counts / counts.sum())
    repeated = loss.of_samples(rows).with_weights(np.full(len(rows), 1.0 / len(rows)))
    problem = Problem(Design(X), weighted, penalty, 1.0, True)
    alpha = 0.1 * penalty.dual_norm(problem.null_gradient)
    one = fit(problem.with_alpha(alpha))
    if kind == "cox":
        # Efron's form counts tied samples, not their weights
        return
    other = fit(Problem(Design(X[rows]), repeated, penalty, alpha, True))
    np.testing.assert_allclose(one, other, atol=1e-5)


def test_columns_of_unlike_scales(rng: np.random.Generator) -> None:
    scales = 10.0 ** rng.uniform(-3, 3, P)
    blocks = Blocks.from_labels(np.arange(P))
    for kind in CURVED:
        problem, X = make_problem(kind, PENALTIES["group"](), 0.1, rng, True)
        penalty = GroupL2(blocks, np.ones(P))
        alpha = 0.1 * penalty.dual_norm(problem.null_gradient)
        plain = fit(replace(problem, penalty=penalty, alpha=alpha))
        other = GroupL2(blocks, scales)
        scaled = fit(replace(problem, design=Design(X * scales), penalty=other, alpha=alpha))
        np.testing.assert_allclose(scaled * scales, plain, atol=1e-5)


@pytest.mark.parametrize("form", ["tiny ridge", "box and ridge"])
@pytest.mark.parametrize("kind", KINDS)
def test_float32_features_and_those_beyond_squares(
    kind: str, form: str, rng: np.random.Generator
) -> None:
    penalty = PENALTIES["sparse group, one free"](**FORMS[form])
    problem, X = make_problem(kind, penalty, 0.1, rng, True)
    expected = fit(problem, tol=1e-8)
    single = replace(problem, design=Design(X.astype(np.float32)))
    solution = BlockDescent(tol=1e-6, max_iter=200).solve(single)
    assert solution.status is Status.CONVERGED
    z = single.predictor(solution.coef, solution.intercept)
    assert 0.0 <= solution.gap <= 2e-5 * single.objective(solution.coef, z)
    for exponent in (150, -150):
        factor = 2.0**exponent
        other = replace(
            problem,
            design=Design(X * factor),
            penalty=penalty.rescaled(-exponent),
            alpha=problem.alpha * factor,
        )
        np.testing.assert_array_equal(fit(other, tol=1e-8) * factor, expected)
