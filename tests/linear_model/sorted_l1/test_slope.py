"""SLOPE through its public interface: weights, closed forms, cross-validation, paths."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.isotonic import isotonic_regression
from sklearn.linear_model import Lasso
from sklearn.metrics import mean_squared_error
from sklearn.model_selection import KFold

from sksparse.linear_model import (
    OSCAR,
    SLOPE,
    SLOPECV,
    GrOWL,
    OSCARClassifier,
    SLOPEClassifier,
    alpha_max,
    oscar_path,
    slope_path,
)

EXACT: dict[str, Any] = {"tol": 1e-12}


@pytest.fixture
def problem(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    X = rng.standard_normal((60, 10)) + 0.7 * rng.standard_normal((60, 1))
    return X, X[:, :4].sum(axis=1) + rng.standard_normal(60)


def soft_sorted(z: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The proximal operator of a sorted L1 norm, by isotonic regression."""
    order = np.argsort(-np.abs(z))
    found = np.empty_like(z)
    found[order] = isotonic_regression(np.abs(z[order]) - weights, increasing=False)
    return np.sign(z) * np.maximum(found, 0.0)


@pytest.mark.parametrize("lambdas", ["bh", "lasso", "oscar", "gaussian"])
def test_orthogonal_features_have_a_closed_form(lambdas: str, rng: np.random.Generator) -> None:
    n, p = 64, 12
    X = np.sqrt(n) * np.linalg.qr(rng.standard_normal((n, p)))[0]
    y = X @ np.r_[np.ones(4), 0.3 * np.ones(3), np.zeros(5)] + rng.standard_normal(n)
    model = SLOPE(0.1, lambdas=lambdas, fit_intercept=False, **EXACT).fit(X, y)
    weights = slope_path(X, y, lambdas=lambdas, alphas=[0.1], fit_intercept=False).weights
    np.testing.assert_allclose(model.coef_, soft_sorted(X.T @ y / n, 0.1 * weights), atol=1e-9)


def test_weights_by_name_are_those_of_the_literature(problem: Any) -> None:
    X, y = problem
    p, i = 10, np.arange(1, 11)
    expected = {
        "bh": norm.ppf(1 - 0.2 * i / (2 * p)),
        "lasso": np.ones(p),
        "oscar": 1 - 0.6 * (i - 1) / (p - 1),
    }
    for name, weights in expected.items():
        options = {"lambdas": name, "q": 0.2, "pairwise": 0.6}
        path = slope_path(X, y, alphas=2, **options)
        np.testing.assert_allclose(path.weights, weights, rtol=1e-12)
        named = SLOPE(0.1, **options, **EXACT).fit(X, y)
        listed = SLOPE(0.05, lambdas=2 * weights, **EXACT).fit(X, y)
        np.testing.assert_allclose(named.coef_, listed.coef_, atol=1e-9)
    ours = SLOPE(0.1, lambdas="lasso", **EXACT).fit(X, y)
    theirs = Lasso(0.1, tol=1e-12, max_iter=10_000).fit(X, y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-7)
    oscar = OSCAR(0.1, pairwise=0.6, **EXACT).fit(X, y)
    slope = SLOPE(0.1, lambdas="oscar", pairwise=0.6, **EXACT).fit(X, y)
    np.testing.assert_array_equal(oscar.coef_, slope.coef_)


@pytest.mark.parametrize("loss", ["squared", "poisson"])
def test_objective_of_the_docstring_is_minimal(
    loss: str, problem: Any, rng: np.random.Generator
) -> None:
    X, z = problem
    y = rng.poisson(np.exp(0.3 * z)) if loss == "poisson" else z
    weights = np.sort(rng.uniform(0.2, 1.0, 10))[::-1]
    samples = rng.random(60)

    def objective(w: np.ndarray, b: float) -> float:
        z = X @ w + b
        each = np.exp(z) - y * z if loss == "poisson" else 0.5 * (y - z) ** 2
        sizes = np.sort(np.abs(w))[::-1]
        return samples @ each / samples.sum() + 0.1 * weights @ sizes

    model = SLOPE(0.1, lambdas=weights, loss=loss, **EXACT).fit(X, y, sample_weight=samples)
    assert model.coef_.any()
    best = objective(model.coef_, model.intercept_)
    for scale in (1e-4, 1e-2, 1.0):
        for _ in range(50):
            w = model.coef_ + scale * rng.standard_normal(10)
            assert objective(w, model.intercept_ + scale * rng.standard_normal()) >= best


@pytest.mark.parametrize("lambdas", ["oscar", "gaussian"])
def test_weights_of_samples_are_repetitions_where_features_outnumber_them(
    lambdas: str, rng: np.random.Generator
) -> None:
    X, y = rng.standard_normal((12, 40)), rng.standard_normal(12)
    times = np.array([1, 2, 3] * 4)
    model = SLOPE(0.02, lambdas=lambdas, **EXACT)
    weighted = model.fit(X, y, sample_weight=times).coef_
    repeated = model.fit(X.repeat(times, axis=0), y.repeat(times)).coef_
    np.testing.assert_allclose(weighted, repeated, atol=1e-9)


def test_ranks(problem: Any, rng: np.random.Generator) -> None:
    X, y = rng.standard_normal((8, 30)), rng.standard_normal(8)
    i = np.arange(30)
    expected = {
        "auto": 1 - 0.2 * np.minimum(i / 10, 1) - 0.2 * np.maximum((i - 10) / 19, 0),
        "all": 1 - 0.4 * i / 29,
        5: 1 - 0.4 * np.minimum(i / 4, 1),
    }
    for ranks, weights in expected.items():
        path = oscar_path(X, y, ranks=ranks, pairwise=0.4, alphas=[1.0])
        np.testing.assert_allclose(path.weights, weights)
    X, y = problem
    with pytest.warns(UserWarning, match="ranks=11 is more than X has, n_features=10"):
        more = OSCAR(0.1, ranks=11).fit(X, y)
    np.testing.assert_array_equal(more.coef_, OSCAR(0.1, ranks="all").fit(X, y).coef_)


def test_several_targets_are_pointed_to_growl(problem: Any) -> None:
    X, y = problem
    for model in (SLOPE(), OSCAR(), SLOPECV()):
        with pytest.raises(ValueError, match=r"1d array.*\(60, 2\).*GrOWL fits several"):
            model.fit(X, np.c_[y, y])


def test_folds_keep_the_weights_of_all_samples(problem: Any) -> None:
    X, y = problem
    folds = KFold(3, shuffle=True, random_state=0)
    model = SLOPECV(lambdas="gaussian", alphas=[0.2, 0.05], cv=folds, tol=1e-10).fit(X, y)
    weights = slope_path(X, y, lambdas="gaussian", alphas=2).weights
    errors = np.empty((2, 3))
    for k, alpha in enumerate(model.alphas_):
        for f, (train, test) in enumerate(folds.split(X)):
            single = SLOPE(alpha, lambdas=weights, tol=1e-10).fit(X[train], y[train])
            errors[k, f] = mean_squared_error(y[test], single.predict(X[test]))
    np.testing.assert_allclose(model.mse_path_, errors, rtol=1e-7)
    assert not hasattr(model, "deviance_path_")


def test_counts_are_compared_by_their_deviance(problem: Any, rng: np.random.Generator) -> None:
    X, z = problem
    y = rng.poisson(np.exp(0.3 * z))
    model = SLOPECV(alphas=3, eps=0.1, cv=3).fit(X, y)
    model.set_params(loss="poisson").fit(X, y)
    assert model.deviance_path_.shape == (3, 3)
    assert not hasattr(model, "mse_path_")
    assert 0.2 < model.score(X, y) <= 1.0
    with pytest.raises(ValueError, match="y = 0 alone"):
        model.set_params(cv=[(np.flatnonzero(y == 0), np.flatnonzero(y))]).fit(X, y)


def test_a_scorer_sees_the_clusters_of_a_fold(problem: Any) -> None:
    X, y = problem

    def few(model: Any, X: Any, y: Any) -> float:
        assert model.n_clusters_ == len(model.clusters_) <= model.n_features_
        return -float(model.n_clusters_)

    model = SLOPECV(alphas=4, eps=0.1, cv=2, scoring=few).fit(X, y)
    assert model.n_clusters_ == 0
    np.testing.assert_array_equal(model.n_clusters_path_[0], 0)


@pytest.mark.parametrize("loss", ["squared", "poisson", "logistic", "multinomial"])
def test_a_path_is_its_single_fits(loss: str, problem: Any, rng: np.random.Generator) -> None:
    X, z = problem
    classes = loss in ("logistic", "multinomial")
    y = {
        "squared": z,
        "poisson": rng.poisson(np.exp(0.3 * z)),
        "logistic": z > 0,
        "multinomial": np.digitize(z, [-1.5, 1.5]),
    }[loss]
    path = slope_path(X, y, loss=loss, alphas=4, eps=0.1, tol=1e-10)
    model: Any = SLOPEClassifier(tol=1e-10) if classes else SLOPE(loss=loss, tol=1e-10)
    assert path.alphas[0] == path.alpha_max == alpha_max(model, X, y)
    for k, alpha in enumerate(path.alphas):
        model.set_params(alpha=alpha).fit(X, y)
        coef = model.coef_[0] if loss == "logistic" else model.coef_
        np.testing.assert_allclose(path.coefs[..., k], coef, atol=1e-4)
        assert path.n_clusters[k] == model.n_clusters_
        assert path.n_features[k] == model.n_features_
    if loss == "multinomial":
        with pytest.raises(ValueError, match="loss='logistic' is for two classes, and y has 3"):
            slope_path(X, y, loss="logistic")


def test_a_path_leaves_constant_columns_out(rng: np.random.Generator) -> None:
    # the mean of such a column rounds, and only the largest coefficient is penalised
    X = np.c_[rng.standard_normal(155), np.full(155, -3e7), rng.standard_normal(155)]
    weights = rng.random(155)
    path = slope_path(
        X, rng.standard_normal(155), lambdas=[1, 0, 0], alphas=8, eps=0.01, sample_weight=weights
    )
    assert np.all(path.coefs[1] == 0.0)


@pytest.mark.parametrize(
    "model",
    [OSCAR(), OSCAR(loss="poisson"), SLOPE(), OSCARClassifier(), SLOPEClassifier(), GrOWL()],
    ids=repr,
)
def test_nothing_is_selected_from_alpha_max_on(
    model: Any, problem: Any, rng: np.random.Generator
) -> None:
    X, z = problem
    y: Any = np.abs(np.round(z)) if "poisson" in repr(model) else np.digitize(z, [-1.0, 1.0])
    y = np.c_[z, z[::-1]] if isinstance(model, GrOWL) else y
    highest = alpha_max(model, X, y)
    model.set_params(tol=1e-10)
    assert not model.set_params(alpha=1.0001 * highest).fit(X, y).coef_.any()
    assert model.set_params(alpha=0.999 * highest).fit(X, y).coef_.any()


def test_an_estimator_without_a_strength_is_told_of_the_family() -> None:
    with pytest.raises(ValueError, match=r"Lasso has no strength.*OSCAR, SLOPE or GrOWL"):
        alpha_max(Lasso(), np.eye(3), np.arange(3.0))


def test_magnitudes_and_degrees_of_freedom(problem: Any) -> None:
    X, y = problem
    model = SLOPE(0.3).fit(X, y)
    for cluster, size in zip(model.clusters_, model.cluster_coef_, strict=True):
        np.testing.assert_array_equal(np.abs(model.coef_[cluster]), size)
    assert np.all(np.diff(model.cluster_coef_) < 0)
    assert model.degrees_of_freedom_ == model.n_clusters_ == len(model.clusters_)
    assert model.alpha_ == 0.3
    with pytest.raises(AttributeError):
        SLOPE().degrees_of_freedom_  # noqa: B018
