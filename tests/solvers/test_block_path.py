"""Paths of a squared loss: every point is an answer, whatever the forms, penalties and bounds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from sksparse.losses import Squared
from sksparse.penalties import BlockPenalty, Blocks
from sksparse.solvers import BlockDescent, Design, Problem, Solution, Status
from sksparse.solvers.convex import _block_path as path_module

TOL = 1e-7


def make(
    rng: np.random.Generator, n: int, p: int, outputs: tuple[int, ...] = (), **penalty: Any
) -> Problem:
    X = rng.standard_normal((n, p)) + 0.5 * rng.standard_normal((n, 1)) + 3.0
    X[:, 5] = 1.0
    labels = rng.permutation(np.arange(p) // 4)
    coef = np.where(labels < 3, 1.0, 0.0)[:, None] * rng.standard_normal((p, *(outputs or (1,))))
    y = X @ coef + rng.standard_normal((n, *(outputs or (1,))))
    weights = rng.random(n)
    weights[0] = 0.0
    blocks = Blocks.from_labels(labels)
    l2 = penalty.pop("l2", np.sqrt(blocks.sizes))
    l1 = penalty.pop("l1", 0.0) * np.ones(p)
    loss = Squared(y if outputs else y[:, 0], weights / weights.sum())
    return Problem(Design(X), loss, BlockPenalty(blocks, l1, l2, **penalty), 1.0, True)


def strengths(problem: Problem, n_points: int = 20, lowest: float = 0.02) -> np.ndarray:
    highest = problem.penalty_as(BlockPenalty).dual_norm(problem.null_gradient)
    return highest * np.geomspace(1.0, lowest, n_points)


def along(problem: Problem, alphas: np.ndarray, tol: float = TOL) -> list[Solution]:
    solve = BlockDescent(tol=tol, max_iter=100).along(problem, alphas)
    found: list[Solution] = []
    for alpha in alphas:
        found.append(solve(float(alpha), found[-1] if found else None))
    return found


def assert_optimal(problem: Problem, alphas: np.ndarray, found: list[Solution]) -> None:
    """Every point has the objective of a fit of its own, and a gap that says so."""
    for alpha, solution in zip(alphas[::4], found[::4], strict=True):
        at = problem.with_alpha(float(alpha))
        single = BlockDescent(tol=1e-10, max_iter=200).solve(at)
        ours = at.objective(solution.coef, at.predictor(solution.coef, solution.intercept))
        theirs = at.objective(single.coef, at.predictor(single.coef, single.intercept))
        assert solution.status is Status.CONVERGED
        assert -1e-9 * theirs <= ours - theirs <= TOL * ours
        assert ours - theirs <= solution.gap + 1e-12 * ours
        assert solution.gap <= TOL * ours


PENALTIES: dict[str, dict[str, Any]] = {
    "group": {},
    "sparse group": {"l1": 0.5},
    "lasso": {"l1": 1.0, "l2": 0.0},
    "ridge": {"ridge": 0.2},
    "free": {"l2": "free"},
    "positive": {"lower": 0.0},
    "box": {"l1": 0.3, "lower": -0.1, "upper": 0.3, "ridge": 0.1},
}


def penalty_options(name: str, p: int) -> dict[str, Any]:
    options = dict(PENALTIES[name])
    n_groups = -(-p // 4)
    for bound in options.keys() & {"lower", "upper"}:
        options[bound] = np.full(p, options[bound])
    if name == "free":
        options["l2"] = np.where(np.arange(n_groups) == 1, 0.0, 2.0)
    elif "l2" in options:
        options["l2"] = np.full(n_groups, options["l2"])
    return options


@pytest.mark.parametrize("shape", [(60, 200), (600, 40)], ids=["wide", "tall"])
@pytest.mark.parametrize("name", PENALTIES)
def test_points_are_optimal(rng: np.random.Generator, name: str, shape: tuple[int, int]) -> None:
    problem = make(rng, *shape, **penalty_options(name, shape[1]))
    alphas = strengths(problem)
    assert_optimal(problem, alphas, along(problem, alphas))


@pytest.mark.parametrize("shape", [(60, 200), (600, 40)], ids=["wide", "tall"])
def test_several_outputs(rng: np.random.Generator, shape: tuple[int, int]) -> None:
    problem = make(rng, *shape, (3,), l1=0.1)
    alphas = strengths(problem)
    found = along(problem, alphas)
    assert found[-1].coef.shape == (3, shape[1])
    assert_optimal(problem, alphas, found)


@pytest.mark.parametrize("form", ["sparse", "float32", "C order"])
def test_forms_of_features_agree(rng: np.random.Generator, form: str) -> None:
    problem = make(rng, 60, 120)
    X = np.where(rng.random((60, 120)) < 0.4, rng.standard_normal((60, 120)), 0.0)
    forms = {
        "sparse": sp.csc_array(X),
        "float32": X.astype(np.float32),
        "C order": np.ascontiguousarray(X),
    }
    made = [
        Problem(Design(data), problem.loss, problem.penalty, 1.0, True)
        for data in (np.asfortranarray(X), forms[form])
    ]
    alphas = strengths(made[0])
    expected, found = (along(at, alphas, 1e-9) for at in made)
    atol = 1e-3 if form == "float32" else 1e-5
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_allclose(other.coef, one.coef, atol=atol)


@pytest.mark.parametrize("shape", [(60, 200), (600, 40)], ids=["wide", "tall"])
def test_groups_that_were_not_foreseen_are_found(
    rng: np.random.Generator, shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    # nothing is foreseen: all groups have to be found by the checks
    tuned = path_module.Tuning(slack=1e9, most=20, first=20)
    monkeypatch.setattr(path_module, "TUNING", tuned)
    problem = make(rng, *shape)
    alphas = strengths(problem)
    assert_optimal(problem, alphas, along(problem, alphas))


def test_too_many_candidates_are_fitted_one_by_one(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(path_module, "TUNING", path_module.Tuning(largest=20))
    problem = make(rng, 60, 200)
    alphas = strengths(problem)
    assert_optimal(problem, alphas, along(problem, alphas))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_constant_target_needs_no_features(rng: np.random.Generator, dtype: type) -> None:
    """Also where the intercept in the float type of the features is not quite the target."""
    X = rng.standard_normal((30, 8)).astype(dtype)
    penalty = BlockPenalty(Blocks.from_labels(np.arange(8) // 4), np.full(8, 0.1), np.ones(2))
    loss = Squared(np.full(30, 2.7), np.full(30, 1.0 / 30.0))
    problem = Problem(Design(X), loss, penalty, 1.0, True)
    for point in along(problem, np.geomspace(1.0, 1e-3, 8)):
        assert point.status is Status.CONVERGED
        assert not point.coef.any()
        assert point.intercept == pytest.approx(2.7)
