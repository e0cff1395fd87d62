"""GrOWL through its public interface."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import MultiTaskLasso

from sksparse.linear_model import SLOPE, GroupLassoRegressor, GrOWL

EXACT: dict[str, Any] = {"tol": 1e-12}


@pytest.fixture
def problem(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    X = rng.standard_normal((70, 9)) + 0.5 * rng.standard_normal((70, 1))
    B = np.zeros((9, 3))
    B[:4] = rng.standard_normal((4, 3))
    return X, X @ B + rng.standard_normal((70, 3))


def test_equal_weights_are_the_multi_task_lasso(problem: Any) -> None:
    X, Y = problem
    ours = GrOWL(0.1, lambdas="lasso", **EXACT).fit(X, Y)
    # scikit-learn divides the loss by the samples alone, and so do we
    theirs = MultiTaskLasso(0.1, tol=1e-12, max_iter=10_000).fit(X, Y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-6)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, atol=1e-6)
    group = GroupLassoRegressor(0.1, tol=1e-12).fit(X, Y)
    np.testing.assert_allclose(ours.coef_, group.coef_, atol=1e-6)


def test_objective_of_the_docstring_is_minimal(problem: Any, rng: np.random.Generator) -> None:
    X, Y = problem
    weights, samples = np.sort(rng.uniform(0.2, 1.0, 9))[::-1], rng.random(70)

    def objective(w: np.ndarray, b: np.ndarray) -> float:
        squares = ((Y - X @ w.T - b) ** 2).sum(axis=1)
        sizes = np.sort(np.linalg.norm(w, axis=0))[::-1]
        return samples @ squares / (2 * samples.sum()) + 0.6 * weights @ sizes

    model = GrOWL(0.6, lambdas=weights, **EXACT).fit(X, Y, sample_weight=samples)
    best = objective(model.coef_, model.intercept_)
    assert 0 < model.n_features_ < 9
    for size in (1e-3, 1e-2, 1.0):
        for _ in range(30):
            w = model.coef_ + size * rng.standard_normal(model.coef_.shape)
            assert objective(w, model.intercept_ + size * rng.standard_normal(3)) >= best


def test_one_target_is_slope(problem: Any) -> None:
    X, y = problem[0], problem[1][:, 0]
    slope = SLOPE(0.1, lambdas="oscar", **EXACT).fit(X, y)
    vector = GrOWL(0.1, **EXACT).fit(X, y)
    table = GrOWL(0.1, **EXACT).fit(X, y[:, None])
    np.testing.assert_allclose(vector.coef_, slope.coef_, atol=1e-12)
    np.testing.assert_allclose(table.coef_, [slope.coef_], atol=1e-12)
    assert vector.predict(X).shape == (70,)
    assert table.predict(X).shape == (70, 1)
    assert vector.degrees_of_freedom_ == table.degrees_of_freedom_ == slope.n_clusters_
    # the same target twice is one of sqrt(2) times the length
    twice = GrOWL(0.1 * np.sqrt(2), **EXACT).fit(X, np.c_[y, y])
    np.testing.assert_allclose(twice.coef_, [slope.coef_] * 2, atol=1e-6)


def test_equal_and_opposite_columns_share_their_coefficients(problem: Any) -> None:
    X, Y = problem
    X = np.c_[X, X[:, 0], -X[:, 0]]
    model = GrOWL(0.2, pairwise=0.8, **EXACT).fit(X, Y)
    np.testing.assert_allclose(model.coef_[:, 9], model.coef_[:, 0], atol=1e-8)
    np.testing.assert_allclose(model.coef_[:, 10], -model.coef_[:, 0], atol=1e-8)
    together = next(cluster for cluster in model.clusters_ if 0 in cluster)
    assert {0, 9, 10} <= set(together.tolist())


def test_clusters_partition_the_support_by_norm(problem: Any) -> None:
    X, Y = problem
    for dtype in (np.float64, np.float32):
        model = GrOWL(0.3, pairwise=0.9).fit(X.astype(dtype), Y.astype(dtype))
        norms = np.linalg.norm(model.coef_, axis=0)
        assert model.coef_.dtype == model.cluster_coef_.dtype == dtype
        for cluster, size in zip(model.clusters_, model.cluster_coef_, strict=True):
            np.testing.assert_allclose(norms[cluster], size, rtol=1e-5)
        found = np.sort(np.concatenate(model.clusters_))
        np.testing.assert_array_equal(found, np.flatnonzero(norms))
        assert np.all(np.diff(model.cluster_coef_) < 0)


def test_float32_and_warm_starts_are_close(problem: Any) -> None:
    X, Y = problem
    cold = GrOWL(0.2).fit(X, Y)
    single = GrOWL(0.2).fit(X.astype(np.float32), Y)
    np.testing.assert_allclose(single.coef_, cold.coef_, atol=1e-2)
    warm = GrOWL(0.5, warm_start=True).fit(X, Y)
    warm.set_params(alpha=0.2).fit(X, Y)
    np.testing.assert_allclose(warm.coef_, cold.coef_, atol=1e-2)
    # coefficients of another shape are no start
    assert warm.fit(X, Y[:, :2]).coef_.shape == (2, 9)
