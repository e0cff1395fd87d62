"""OSCAR through its public interface."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Lasso, LinearRegression
from sklearn.utils.estimator_checks import parametrize_with_checks

from sksparse.linear_model import OSCAR
from sksparse.penalties import SortedL1, oscar_weights


@parametrize_with_checks([OSCAR(), OSCAR(pairwise=0.0), OSCAR(pairwise=1.0, warm_start=True)])
@pytest.mark.filterwarnings("ignore:No features were selected:UserWarning")
def test_sklearn_contract(estimator: OSCAR, check: object) -> None:
    check(estimator)


@pytest.mark.parametrize("alpha", [0.001, 0.01, 0.1, 0.5, 1.0])
def test_without_the_pairwise_term_it_is_the_lasso(alpha: float) -> None:
    X, y = load_diabetes(return_X_y=True)
    ours = OSCAR(alpha=alpha, pairwise=0.0, tol=1e-12).fit(X, y)
    theirs = Lasso(alpha=alpha, tol=1e-14, max_iter=1_000_000).fit(X, y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-6)
    assert ours.intercept_ == pytest.approx(theirs.intercept_, abs=1e-9)


def test_objective_of_the_docstring_is_minimal(rng: np.random.Generator) -> None:
    X, y = rng.standard_normal((40, 6)), rng.standard_normal(40)
    weights = rng.random(40)
    alpha, pairwise = 0.05, 0.6

    def objective(w: np.ndarray, b: float) -> float:
        pairs = sum(max(abs(w[i]), abs(w[j])) for i in range(6) for j in range(i))
        fit = weights @ (y - X @ w - b) ** 2 / (2 * weights.sum())
        return fit + alpha * (1 - pairwise) * np.abs(w).sum() + alpha * pairwise / 5 * pairs

    model = OSCAR(alpha=alpha, pairwise=pairwise, tol=1e-12).fit(X, y, sample_weight=weights)
    best = objective(model.coef_, model.intercept_)
    assert model.coef_.any()
    for scale in (1e-4, 1e-2, 1.0):
        for _ in range(100):
            w = model.coef_ + scale * rng.standard_normal(6)
            assert objective(w, model.intercept_ + scale * rng.standard_normal()) > best


def test_clusters_partition_the_support_by_magnitude() -> None:
    X, y = load_diabetes(return_X_y=True)
    model = OSCAR(alpha=0.5, pairwise=0.8).fit(X, y)
    magnitudes = []
    for cluster in model.clusters_:
        values = np.unique(np.abs(model.coef_[cluster]))
        assert values.size == 1
        magnitudes.append(values[0])
    assert np.all(np.diff(magnitudes) < 0)
    np.testing.assert_array_equal(
        np.sort(np.concatenate(model.clusters_)), np.flatnonzero(model.coef_)
    )
    assert len(model.clusters_) < np.count_nonzero(model.coef_)
    assert OSCAR(alpha=1e6).fit(X, y).clusters_ == []


def test_no_penalty_is_least_squares() -> None:
    X, y = load_diabetes(return_X_y=True)
    ours = OSCAR(alpha=0.0, tol=1e-10).fit(X, y)
    np.testing.assert_allclose(ours.coef_, LinearRegression().fit(X, y).coef_, rtol=1e-5)
    assert np.isnan(ours.dual_gap_)


def test_gap_bounds_the_distance_to_the_optimum(rng: np.random.Generator) -> None:
    X, y = rng.standard_normal((30, 50)), rng.standard_normal(30)
    rough = OSCAR(alpha=0.05, tol=1e-2).fit(X, y)
    fine = OSCAR(alpha=0.05, tol=1e-12).fit(X, y)
    objectives = [
        0.5 * np.mean((y - model.predict(X)) ** 2)
        + 0.05 * SortedL1(oscar_weights(50, 0.5)).value(model.coef_)
        for model in (rough, fine)
    ]
    assert 0.0 <= rough.dual_gap_ <= 1e-2 * objectives[0]
    assert objectives[0] - objectives[1] <= rough.dual_gap_ + 1e-12
    assert fine.dual_gap_ <= rough.dual_gap_
    assert abs(fine.dual_gap_) < 1e-10


def test_float32_stays_and_is_close() -> None:
    X, y = load_diabetes(return_X_y=True)
    single = OSCAR(alpha=0.2).fit(X.astype(np.float32), y.astype(np.float32))
    double = OSCAR(alpha=0.2).fit(X, y)
    assert single.coef_.dtype == np.float32
    assert single.predict(X.astype(np.float32)).dtype == np.float32
    np.testing.assert_allclose(single.coef_, double.coef_, rtol=1e-3, atol=1e-2)


def test_more_features_than_samples_and_constant_columns(rng: np.random.Generator) -> None:
    X = rng.standard_normal((15, 400))
    X[:, 5] = 7.0
    X[:, 6] = X[:, 7]
    model = OSCAR(alpha=0.1).fit(X, X[:, 7] + 0.1 * rng.standard_normal(15))
    assert model.coef_[5] == 0.0
    assert model.coef_[6] == model.coef_[7] != 0.0


def test_warm_start_along_a_path_gives_the_same_answers() -> None:
    X, y = load_diabetes(return_X_y=True)
    warm = OSCAR(warm_start=True, tol=1e-10)
    for alpha in (1.0, 0.3, 0.1):
        warm.set_params(alpha=alpha).fit(X, y)
        cold = clone(warm).fit(X, y)
        np.testing.assert_allclose(warm.coef_, cold.coef_, rtol=1e-6, atol=1e-6)


def test_too_small_a_budget_warns_with_value_and_remedy(rng: np.random.Generator) -> None:
    X = rng.standard_normal((100, 1000))
    y = X[:, :50].sum(axis=1)
    with pytest.warns(ConvergenceWarning, match=r"above tol=1e-06.*increase max_iter=1"):
        OSCAR(alpha=0.01, max_iter=1).fit(X, y)


def test_support_and_names() -> None:
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    model = OSCAR(alpha=0.7).fit(X, y)
    names = model.get_feature_names_out()
    np.testing.assert_array_equal(names, X.columns[model.coef_ != 0])
    np.testing.assert_array_equal(model.get_support(indices=True), np.flatnonzero(model.coef_))


def test_clusters_are_the_ties_of_the_stored_coefficients() -> None:
    # in float64 the two coefficients differ by less than float32 can tell
    X = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]], dtype=np.float32)
    y = np.array([1.0, 1.0 + 1e-9, -1.0, -1.0 - 1e-9])
    model = OSCAR(0.0, fit_intercept=False).fit(X, y)
    assert model.coef_[0] == model.coef_[1]
    assert [cluster.tolist() for cluster in model.clusters_] == [[0, 1]]
