"""L0Regressor against exhaustive search and refits of every neighbour."""

from __future__ import annotations

import warnings
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression, Ridge

from sksparse.linear_model import L0Regressor


def best_of_each_cardinality(X: np.ndarray, y: np.ndarray, l2: float) -> np.ndarray:
    """Smallest smooth objective over all supports of each cardinality, by exhaustive search."""
    n, p = X.shape
    X, y = X - X.mean(axis=0), y - y.mean()
    gram, target = X.T @ X / n + l2 * np.eye(p), X.T @ y / n
    best = [0.5 * y @ y / n]
    for k in range(1, p + 1):
        supports = np.array(list(combinations(range(p), k)))
        corners = gram[supports[:, :, None], supports[:, None, :]]
        c = target[supports]
        explained = np.einsum("ij,ij->i", c, np.linalg.solve(corners, c[..., None])[..., 0])
        best.append(best[0] - 0.5 * explained.max())
    return np.array(best)


def smooth_objective(model: L0Regressor, X: np.ndarray, y: np.ndarray) -> float:
    residual = y - model.predict(X)
    return 0.5 * float(np.mean(residual**2) + model.l2 * model.coef_ @ model.coef_)


def random_problem(rng: np.random.Generator, p: int) -> tuple[np.ndarray, np.ndarray]:
    """Between p + 3 and 80 samples, correlations up to .9, signal-to-noise ratio .3 to 50."""
    n = int(rng.integers(p + 3, 80))
    rho = rng.choice([0.0, 0.3, 0.6, 0.9])
    toeplitz = rho ** np.abs(np.subtract.outer(np.arange(p), np.arange(p)))
    constant = rho + (1.0 - rho) * np.eye(p)
    cov = toeplitz if rng.random() < 0.5 else constant
    X = rng.multivariate_normal(np.zeros(p), cov, n)
    signal = X @ np.where(rng.random(p) < 0.4, rng.standard_normal(p), 0.0)
    noise = signal.std() / np.sqrt(rng.choice([0.3, 1.0, 5.0, 50.0])) + 0.01
    return X, signal + noise * rng.standard_normal(n)


def test_equals_exhaustive_search(seed: int) -> None:
    penalised, constrained = 0, 0
    for problem in range(100):
        rng = np.random.default_rng([seed, problem])
        p = int(rng.integers(3, 13))
        X, y = random_problem(rng, p)
        alpha, l2 = y.var() * rng.choice([0.002, 0.01, 0.05]), rng.choice([0.0, 0.1])
        k = int(rng.integers(1, p + 1))
        best = best_of_each_cardinality(X, y, l2)
        model = L0Regressor(alpha, l2=l2).fit(X, y)
        found = smooth_objective(model, X, y) + alpha * np.count_nonzero(model.coef_)
        optimum = np.min(best + alpha * np.arange(p + 1))
        assert found >= optimum * (1 - 1e-9)
        penalised += found <= optimum * (1 + 1e-9)
        model = L0Regressor(max_features=k, l2=l2).fit(X, y)
        assert np.count_nonzero(model.coef_) <= k
        found = smooth_objective(model, X, y)
        assert found >= best[k] * (1 - 1e-9)
        constrained += found <= best[k] * (1 + 1e-9)
    assert penalised >= 98
    assert constrained >= 98


def test_equals_exhaustive_search_on_diabetes() -> None:
    X, y = load_diabetes(return_X_y=True)
    best = best_of_each_cardinality(X, y, 0.0)
    for k in range(1, 11):
        model = L0Regressor(max_features=k).fit(X, y)
        assert smooth_objective(model, X, y) == pytest.approx(best[k], rel=1e-12)


def refit_loss(X: np.ndarray, y: np.ndarray, support: list[int]) -> float:
    A = np.c_[X[:, support], np.ones(len(y))]
    residual = y - A @ np.linalg.lstsq(A, y)[0]
    return 0.5 * float(residual @ residual) / len(y)


@pytest.mark.parametrize("n_samples, n_features, n_problems", [(40, 15, 10), (40, 60, 3)])
@pytest.mark.parametrize("max_features", [None, 5])
def test_no_single_add_drop_or_swap_improves(
    rng: np.random.Generator,
    n_samples: int,
    n_features: int,
    n_problems: int,
    max_features: int | None,
) -> None:
    for _ in range(n_problems):
        X = rng.standard_normal((n_samples, n_features)) + rng.standard_normal((n_samples, 1))
        y = X[:, ::4].sum(axis=1) + 2 * rng.standard_normal(n_samples)
        alpha = 0.0 if max_features else 0.01 * y.var()
        model = L0Regressor(alpha, max_features=max_features).fit(X, y)
        inside = np.flatnonzero(model.coef_).tolist()
        outside = sorted(set(range(n_features)) - set(inside))
        moves = [[i for i in inside if i != gone] for gone in inside]
        moves += [[*kept, j] for kept in moves for j in outside]
        if max_features is None or len(inside) < max_features:
            moves += [[*inside, j] for j in outside]
        here = refit_loss(X, y, inside)
        assert smooth_objective(model, X, y) == pytest.approx(here, rel=1e-12)
        best = min(refit_loss(X, y, s) + alpha * (len(s) - len(inside)) for s in moves)
        assert best >= here - 1e-9 * y.var()
        assert model.optimality_ <= 1e-8


@pytest.mark.parametrize("l2", [0.0, 0.5])
def test_orthonormal_design_is_hard_thresholding(rng: np.random.Generator, l2: float) -> None:
    n, p = 64, 20
    Q = np.linalg.qr(rng.standard_normal((n, p)))[0] * np.sqrt(n)
    y = Q @ np.linspace(0.05, 1.5, p) + 0.1 * rng.standard_normal(n)
    marginal = Q.T @ y / n
    for alpha in (0.01, 0.1, 0.5):
        model = L0Regressor(alpha, l2=l2, fit_intercept=False).fit(Q, y)
        # With ridge the gain of a feature is marginal^2 / (2 (1 + l2)).
        kept = np.abs(marginal) > np.sqrt(2 * alpha * (1 + l2))
        assert 0 < kept.sum() < p
        np.testing.assert_array_equal(model.coef_ != 0, kept)
        np.testing.assert_allclose(model.coef_[kept], marginal[kept] / (1 + l2), rtol=1e-12)


def test_coordinate_wise_minimal(rng: np.random.Generator) -> None:
    X, y = random_problem(rng, 12)
    alpha = 0.01 * y.var()
    model = L0Regressor(alpha).fit(X, y)
    centred = X - X.mean(axis=0)
    residual = y - y.mean() - centred @ model.coef_
    lengths = np.mean(centred**2, axis=0)
    best = model.coef_ + centred.T @ residual / len(y) / lengths
    kept = lengths * best**2 / 2 > alpha
    np.testing.assert_array_equal(model.coef_ != 0, kept)
    np.testing.assert_allclose(model.coef_[kept], best[kept])


@pytest.mark.parametrize("options", [{"max_features": 10}, {"alpha": 0.5}])
def test_planted_support_is_recovered(rng: np.random.Generator, options: dict[str, Any]) -> None:
    X = rng.standard_normal((200, 1000))
    planted = np.arange(0, 1000, 100)
    y = X[:, planted] @ (2.0 * rng.choice([-1.0, 1.0], 10)) + 3.0 + rng.standard_normal(200)
    if "alpha" in options:
        # A planted feature gains half its squared coefficient, noise far less than 0.3.
        options = {"alpha": 0.3}
    model = L0Regressor(**options).fit(X, y)
    np.testing.assert_array_equal(model.get_support(indices=True), planted)
    least_squares = LinearRegression().fit(X[:, planted], y)
    np.testing.assert_allclose(model.coef_[planted], least_squares.coef_, rtol=1e-9)
    assert model.intercept_ == pytest.approx(least_squares.intercept_, rel=1e-9)


def test_the_answer_for_a_number_depends_on_nothing_else(rng: np.random.Generator) -> None:
    X = rng.standard_normal((60, 400)) + rng.standard_normal((60, 1))
    y = X[:, :20] @ rng.standard_normal(20) + rng.standard_normal(60)
    model = L0Regressor(max_features=5)
    alone = model.fit(X, y).coef_
    for k in (1, 30, 7):
        model.set_params(max_features=k).fit(X, y)
    np.testing.assert_array_equal(model.set_params(max_features=5).fit(X, y).coef_, alone)
    # alpha is not used.
    np.testing.assert_array_equal(L0Regressor(1e6, max_features=5).fit(X, y).coef_, alone)


@pytest.mark.parametrize("options", [{"alpha": 0.05}, {"max_features": 3}])
def test_weights_are_repetitions(rng: np.random.Generator, options: dict[str, Any]) -> None:
    X, y = random_problem(rng, 8)
    counts = rng.integers(0, 4, len(y))
    weighted = L0Regressor(**options).fit(X, y, sample_weight=2.5 * counts)
    repeated = L0Regressor(**options).fit(np.repeat(X, counts, axis=0), np.repeat(y, counts))
    assert weighted.coef_.any()
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, rtol=1e-9)
    assert weighted.intercept_ == pytest.approx(repeated.intercept_, rel=1e-9)


def test_ridge_on_the_support(rng: np.random.Generator) -> None:
    X, y = random_problem(rng, 10)
    model = L0Regressor(max_features=4, l2=0.3).fit(X, y)
    support = model.get_support()
    ridge = Ridge(alpha=0.3 * len(y)).fit(X[:, support], y)
    np.testing.assert_allclose(model.coef_[support], ridge.coef_)
    assert model.intercept_ == pytest.approx(ridge.intercept_)


def test_no_penalty_is_least_squares_up_to_the_rank(rng: np.random.Generator) -> None:
    X, y = load_diabetes(return_X_y=True)
    model = L0Regressor(alpha=0.0).fit(X, y)
    np.testing.assert_allclose(model.coef_, LinearRegression().fit(X, y).coef_, rtol=1e-8)
    wide = rng.standard_normal((15, 500))
    target = rng.standard_normal(15)
    for options in ({"alpha": 0.0}, {"max_features": 30}):
        model = L0Regressor(**options).fit(wide, target)
        assert np.count_nonzero(model.coef_) <= 14
        np.testing.assert_allclose(model.predict(wide), target, atol=1e-3)


def test_penalty_too_high_gives_the_mean(rng: np.random.Generator) -> None:
    X, y = rng.standard_normal((30, 6)), rng.standard_normal(30)
    for alpha in (0.51 * y.var(), 1e300):
        model = L0Regressor(alpha).fit(X, y)
        assert not model.coef_.any()
        assert model.intercept_ == pytest.approx(y.mean())
        assert model.optimality_ == 0.0


def test_duplicated_and_constant_columns(rng: np.random.Generator) -> None:
    X = rng.standard_normal((30, 6))
    X = np.c_[X, X, np.full(30, 1e8 + 0.1), np.zeros(30)]
    y = X[:, :6] @ np.arange(1.0, 7.0) + 0.1 * rng.standard_normal(30)
    for form in (X, sp.csr_array(X)):
        for options in ({"alpha": 0.0}, {"alpha": 1e-3}, {"max_features": 14}):
            model = L0Regressor(**options).fit(form, y)
            np.testing.assert_array_equal(np.sort(model.get_support(indices=True) % 6), range(6))
            assert model.score(form, y) > 0.999


def test_constant_target_and_nothing_but_constant_features(rng: np.random.Generator) -> None:
    X = rng.standard_normal((20, 3))
    for options in ({"alpha": 0.0}, {"max_features": 2}):
        model = L0Regressor(**options).fit(X, np.full(20, 1e9 + 0.1))
        assert not model.coef_.any()
        assert model.intercept_ == pytest.approx(1e9 + 0.1)
        model = L0Regressor(**options).fit(np.ones((20, 2)), X[:, 0])
        assert not model.coef_.any()
        assert model.intercept_ == pytest.approx(X[:, 0].mean())


def test_scales_and_large_means_do_not_matter(rng: np.random.Generator) -> None:
    X = rng.standard_normal((60, 8))
    y = X @ np.arange(1.0, 9.0) + rng.standard_normal(60)
    scales = 10.0 ** np.arange(-12, 12, 3)
    for k in (2, 5):
        plain = L0Regressor(max_features=k).fit(X, y)
        moved = L0Regressor(max_features=k).fit((X + 1e4) * scales, y + 1e5)
        np.testing.assert_allclose(moved.coef_ * scales, plain.coef_, rtol=1e-7)


def test_warm_start_never_ends_worse(rng: np.random.Generator) -> None:
    # The working set holds all columns, so that every descent of a cold start is made as well.
    X = rng.standard_normal((50, 70)) + 1.5 * rng.standard_normal((50, 1))
    y = X[:, :15].sum(axis=1) + 3 * rng.standard_normal(50)

    def objective(model: L0Regressor) -> float:
        features = 0 if model.max_features else model.alpha * np.count_nonzero(model.coef_)
        return smooth_objective(model, X, y) + features

    warm = L0Regressor(warm_start=True)
    for parameter, values in (
        ("alpha", y.var() * np.geomspace(1e-3, 0.1, 6)),
        ("max_features", [3, 12, 6, 9]),
    ):
        for value in values:
            warm.set_params(**{parameter: value})
            cold = clone(warm).fit(X, y)
            assert objective(warm.fit(X, y)) <= objective(cold) * (1 + 1e-9)


def test_swaps_never_end_above_forward_selection(rng: np.random.Generator) -> None:
    for _ in range(30):
        n, p = int(rng.integers(20, 60)), int(rng.integers(50, 300))
        X = rng.standard_normal((n, p))
        y = X[:, :3] @ rng.standard_normal(3) + rng.standard_normal(n)
        scores = [
            L0Regressor(max_features=5, solver=solver).fit(X, y).score(X, y)
            for solver in ("forward", "swap", "auto")
        ]
        assert scores[1] >= scores[0] - 1e-9
        assert scores[2] >= scores[0] - 1e-9


@pytest.mark.parametrize("seed", [54, 55, 56])
def test_exact_far_from_zero_without_an_intercept_says_what_is_proved(seed: int) -> None:
    rng = np.random.default_rng(seed)
    Z = rng.standard_normal((9, 6))
    X = Z * 10.0 ** rng.integers(-3, 4, size=6) + 1e3
    y = Z @ rng.standard_normal(6) + 0.01 * rng.standard_normal(9)
    alpha = 0.001 * y.var()
    model = L0Regressor(alpha=alpha, solver="exact", gap=0, fit_intercept=False)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X, y)
    value = 0.5 * np.mean((y - model.predict(X)) ** 2) + alpha * np.count_nonzero(model.coef_)
    left = value - model.lower_bound_
    assert model.gap_ == pytest.approx(left / value, abs=1e-5)
    assert bool(caught) == (left > 4e-9 * 0.5 * np.mean(y**2))
