"""The reference of the group lasso family against scipy, duality and itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from group_losses import TERMS
from group_problems import LOSSES, draw
from group_reference import alpha_max, lower_bound, minimise, violations
from scipy.optimize import approx_fprime, minimize

SHAPES = {
    "group": {},
    "lasso": {"l1_ratio": 1.0},
    "sparse group, ridge": {"l1_ratio": 0.4, "l2": 0.05},
    "one free": {"l1_ratio": 0.4, "free": True},
    "bounds": {"lower": -0.1, "upper": 0.2},
    "positive, ridge": {"lower": 0.0, "l2": 0.02},
    "positive, sparse": {"lower": 0.0, "l1_ratio": 0.5},
    "no intercept": {"intercept": False},
}


@pytest.mark.parametrize("loss", LOSSES)
def test_slopes_are_derivatives(loss: str, rng: np.random.Generator) -> None:
    term = draw(rng, loss).term
    Z = rng.standard_normal((len(term.s), term.n_outputs))
    by_hand = approx_fprime(Z.ravel(), lambda z: term.value(z.reshape(Z.shape)), 1e-7)
    np.testing.assert_allclose(term.slopes(Z).ravel(), by_hand, atol=1e-7)


@pytest.mark.parametrize("loss", LOSSES)
def test_conjugates_are_met_at_the_slopes_and_bound_elsewhere(
    loss: str, rng: np.random.Generator
) -> None:
    term = draw(rng, loss).term
    Z, other = (rng.standard_normal((len(term.s), term.n_outputs)) for _ in range(2))
    U = term.slopes(Z)
    assert term.value(Z) + term.conjugate(U, Z, 1.0) == pytest.approx(np.sum(U * Z), abs=1e-10)
    for shrink in (1.0, 1.3, 5.0):
        fenchel = term.value(other) + term.conjugate(U, Z, shrink) - np.sum(U * other) / shrink
        assert fenchel >= -1e-12


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("loss", LOSSES)
def test_the_minimum_is_proved(loss: str, shape: str, rng: np.random.Generator) -> None:
    problem = draw(rng, loss, **SHAPES[shape])
    W, b = minimise(problem)
    value, bound = problem.objective(W, b), lower_bound(problem, W, b)
    if loss in {"cox", "efron"} and shape == "one free":
        assert np.isnan(bound)
        return
    assert -1e-12 <= value - bound <= 1e-9 * (1.0 + abs(value))
    assert np.any(W != 0.0)
    # any other answer is worse, and its bound is one
    step = W * rng.uniform(0.8, 1.0, W.shape)
    assert problem.objective(step, b) >= value - 1e-13
    assert not lower_bound(problem, step, b) > value + 1e-12


@pytest.mark.parametrize("shape", ["group", "sparse group, ridge", "bounds", "positive, sparse"])
@pytest.mark.parametrize("loss", ["squared", "tasks", "poisson", "huber", "efron"])
def test_scipy_finds_no_better_one(loss: str, shape: str, rng: np.random.Generator) -> None:
    # W = P - N with P and N in a box, and norms rounded off near zero, less and less
    problem = draw(rng, loss, n=25, p=6, **SHAPES[shape])
    W, b = minimise(problem)
    lower, upper = problem.bounds
    size, unit = W.size, np.eye(len(problem.c))[problem.labels]

    def smoothed(x: np.ndarray, eps: float) -> tuple[float, np.ndarray]:
        P, N, b = x[:size].reshape(W.shape), x[size : 2 * size].reshape(W.shape), x[2 * size :]
        V = P - N
        norms = np.sqrt(np.sum(V**2, axis=0) @ unit + eps**2)
        Z = problem.predictor(V, b)
        U = problem.term.slopes(Z)
        value = problem.term.value(Z) + problem.group @ norms + problem.l2 / 2 * np.sum(V**2)
        G = U.T @ problem.X + problem.l2 * V + unit @ (problem.group / norms) * V
        slope = [(problem.l1 + G).ravel(), (problem.l1 - G).ravel(), U.sum(axis=0)]
        return value + np.sum(problem.l1 * (P + N)), np.concatenate(slope)

    x = np.zeros(2 * size + len(b))
    box = [(0.0, u) for u in upper.ravel()] + [(0.0, -u) for u in lower.ravel()]
    for eps in (1e-1, 1e-2, 1e-3, 1e-4, 1e-5):
        x = minimize(
            smoothed, x, args=(eps,), jac=True, method="L-BFGS-B",
            bounds=box + [(None, None)] * len(b), options={"ftol": 1e-15, "gtol": 1e-10},
        ).x  # fmt: skip
    found = (x[:size] - x[size : 2 * size]).reshape(W.shape)
    reached = problem.objective(np.clip(found, lower, upper), x[2 * size :])
    assert -1e-12 <= reached - problem.objective(W, b) <= 1e-4 * alpha_max(problem)
    np.testing.assert_allclose(found, W, atol=2e-3)


@pytest.mark.parametrize("loss", LOSSES)
def test_violations_tell_a_descent(loss: str, rng: np.random.Generator) -> None:
    problem = draw(rng, loss, l1_ratio=0.3, lower=-0.2, upper=0.3)
    W, b = minimise(problem)
    top = alpha_max(problem)
    assert not minimise(replace(problem, alpha=1.0001 * top))[0].any()
    assert minimise(replace(problem, alpha=0.999 * top))[0].any()
    groups, slopes = violations(problem, np.clip(1.1 * W, -0.2, 0.3), b)
    assert groups.max() > 1e-4
    groups, slopes = violations(problem, W, b)
    assert max(groups.max(), np.abs(slopes).max()) < 1e-9


def test_every_loss_is_tried() -> None:
    assert {draw(np.random.default_rng(0), loss).loss for loss in LOSSES} == set(TERMS)
