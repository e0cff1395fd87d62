"""Proximal operators of the group lasso and of the hierarchy, against minimisation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from input_methods import method_of
from scipy.optimize import minimize_scalar

from sksparse.feature_selection.perceptron._group_lasso import GroupLasso, shrinkage
from sksparse.feature_selection.perceptron._hierarchy import Hierarchy, hierarchical_prox


@pytest.mark.parametrize("threshold", [0.0, 0.3, 50.0])
def test_shrinkage_is_the_prox_of_a_norm(rng: np.random.Generator, threshold: float) -> None:
    u = rng.standard_normal(6)

    def objective(w: np.ndarray) -> float:
        return 0.5 * np.sum((w - u) ** 2) + threshold * np.linalg.norm(w)

    norm = torch.tensor([np.linalg.norm(u)])
    w = u * float(shrinkage(norm, torch.tensor([threshold], dtype=norm.dtype)))
    for size in (1e-4, 1e-2, 1.0):
        for _ in range(200):
            assert objective(w) <= objective(w + size * rng.standard_normal(6)) + 1e-14


def prox_of(
    skip: np.ndarray, weights: np.ndarray, thresholds: np.ndarray, places: np.ndarray, factor: float
) -> tuple[np.ndarray, np.ndarray]:
    """Skip weights and weights after the hierarchical prox."""
    norms = np.sqrt(np.bincount(places, (skip**2).sum(axis=0)))
    tensors = [torch.from_numpy(a) for a in (norms, np.abs(weights), thresholds, places)]
    factors, bounds = (t.numpy()[places] for t in hierarchical_prox(*tensors, factor))
    return skip * factors, np.clip(weights, -bounds, bounds)


@pytest.mark.parametrize("factor", [0.3, 10.0])
@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize("places", [[0, 1, 2, 3, 4], [0, 1, 0, 1, 1]])
def test_hierarchical_prox_is_the_minimum(
    rng: np.random.Generator, places: list[int], n_outputs: int, factor: float
) -> None:
    group = np.array(places)
    skip = rng.standard_normal((n_outputs, 5))
    weights = rng.standard_normal((7, 5)) * np.array([0.01, 0.1, 1.0, 3.0, 0.3])
    thresholds = rng.uniform(0.0, 3.0, group.max() + 1)
    thresholds[0] = 0.0
    b, w = prox_of(skip, weights, thresholds, group, factor)
    for g, threshold in enumerate(thresholds):
        at = group == g
        check_minimum(skip[:, at], weights[:, at], threshold, factor, b[:, at], w[:, at], rng)


def check_minimum(
    v: np.ndarray,
    u: np.ndarray,
    threshold: float,
    factor: float,
    b: np.ndarray,
    w: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """The skip weights b and weights w of a group are those of least objective."""

    def objective(b: np.ndarray, w: np.ndarray) -> float:
        distance = np.sum((b - v) ** 2) + np.sum((w - u) ** 2)
        return float(0.5 * distance + threshold * np.linalg.norm(b))

    assert np.abs(w).max() <= factor * np.linalg.norm(b) + 1e-12
    found = objective(b, w)
    # for each length the best vector and weights are known: the best length by search
    direction = v / np.linalg.norm(v)
    best = minimize_scalar(
        lambda r: objective(r * direction, np.clip(u, -factor * r, factor * r)),
        bounds=(0.0, np.linalg.norm(v) + factor * np.abs(u).sum()),
        method="bounded",
        options={"xatol": 1e-12},
    )
    assert best.fun - 1e-7 <= found <= best.fun + 1e-12
    # and no feasible point nearby or far is better
    for size in (1e-3, 0.1, 1.0):
        for _ in range(100):
            other = b + size * rng.standard_normal(v.shape)
            bound = factor * np.linalg.norm(other)
            moved = np.clip(w + size * rng.standard_normal(u.shape), -bound, bound)
            assert found <= objective(other, moved) + 1e-12


def test_hierarchical_prox_of_nothing_is_nothing() -> None:
    skip, weights = np.zeros((2, 2)), np.array([[0.0, 2.0], [0.0, -1e9]])
    b, w = prox_of(skip, weights, np.zeros(2), np.arange(2), 10.0)
    assert (b == 0).all()
    assert (w == 0).all()


@pytest.mark.parametrize("kind", [GroupLasso, Hierarchy])
def test_strong_penalties_remove_all_but_what_is_free(kind: type) -> None:
    method = method_of(kind, [0, 0, 1, 2], [1.0, 1.0, 0.0, 1.0], strength=1e3)
    X = torch.randn(20, 4).double()
    free = method.network.weight[:, 2].clone()
    for _ in range(100):
        method.forward(X).square().mean().backward()
        with torch.no_grad():
            method.after_step(0.1)
        method.network.zero_grad()
    scores = method.scores()
    assert (scores[[0, 1, 3]] == 0).all()
    assert scores[2] > 0
    assert (method.network.weight[:, [0, 1, 3]] == 0).all()
    assert (method.network.weight[:, 2] == free).all()


def test_hierarchy_holds_after_a_step() -> None:
    method = method_of(Hierarchy, [0, 0, 1, 2], strength=1.0)
    with torch.no_grad():
        method.network.weight.mul_(100.0)
    method.forward(torch.randn(20, 4).double()).square().mean().backward()
    with torch.no_grad():
        method.after_step(0.01)
    norms = method.group_sums(method.scores()).sqrt()[method.places]
    largest = method.network.weight.abs().amax(dim=0)
    assert (largest <= 10 * norms * (1 + 1e-12)).all()
    assert (largest > 0).all()


def test_penalties_of_groups_have_the_root_of_their_size() -> None:
    # equal gradients: a weight of any group is moved alike
    gradient = torch.full((5, 3), 0.7).double()
    method = method_of(GroupLasso, [0, 0, 1], [1.0, 1.0, 2.0], strength=0.2)
    thresholds = method.thresholds(gradient, 0.1)
    # the strength is a mean over two groups, and roots of sizes are not divided by
    expected = 0.1 * 0.2 / 2 * np.array([np.sqrt(2), 2.0]) / 0.7
    np.testing.assert_allclose(thresholds, expected, rtol=1e-6)


@pytest.mark.parametrize("kind", [GroupLasso, Hierarchy])
def test_scores_are_equal_at_first(kind: type) -> None:
    scores = method_of(kind, [0, 1, 2]).scores()
    np.testing.assert_allclose(scores, scores.mean().expand(3), rtol=1e-12)
    assert scores.mean() > 0
