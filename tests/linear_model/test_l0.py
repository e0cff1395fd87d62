"""L0Regressor against exhaustive search, refits of every neighbour, and its contract."""

from __future__ import annotations

import warnings
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from sksparse.linear_model import L0Regressor


@parametrize_with_checks(
    [
        L0Regressor(),
        L0Regressor(max_features=2),
        L0Regressor(warm_start=True, l2=0.1),
        L0Regressor(l1=0.01),
        L0Regressor(positive=True),
        L0Regressor(solver="swap"),
        L0Regressor(solver="cd"),
        L0Regressor(solver="splicing"),
        L0Regressor(solver="forward"),
        L0Regressor(solver="backward", l2=0.01),
        L0Regressor(solver="iht"),
        L0Regressor(solver="exact"),
    ]
)
def test_sklearn_contract(estimator: L0Regressor, check: Any) -> None:
    check(estimator)


def best_of_each_size(X: np.ndarray, y: np.ndarray, l2: float) -> np.ndarray:
    """Smallest smooth objective over all supports of each size 0..p, by exhaustive search."""
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
        best = best_of_each_size(X, y, l2)
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
    best = best_of_each_size(X, y, 0.0)
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
        # Half the squared coefficient is a feature's worth, four times the noise is not.
        options = {"alpha": 0.3}
    model = L0Regressor(**options).fit(X, y)
    np.testing.assert_array_equal(model.get_support(indices=True), planted)
    least_squares = LinearRegression().fit(X[:, planted], y)
    np.testing.assert_allclose(model.coef_[planted], least_squares.coef_, rtol=1e-9)
    assert model.intercept_ == pytest.approx(least_squares.intercept_, rel=1e-9)


def test_the_answer_for_a_size_depends_on_nothing_else(rng: np.random.Generator) -> None:
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


@pytest.mark.parametrize("make", [sp.csc_array, sp.csr_array, sp.csc_matrix])
@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_sparse_equals_dense(
    rng: np.random.Generator, make: Any, index: type, fit_intercept: bool
) -> None:
    X = rng.standard_normal((80, 500)) * (rng.random((80, 500)) < 0.2)
    y = X[:, :5].sum(axis=1) + 0.1 * rng.standard_normal(80) + 1.0
    weights = rng.random(80)
    S = make(X)
    S.indices, S.indptr = S.indices.astype(index), S.indptr.astype(index)
    model = L0Regressor(max_features=6, fit_intercept=fit_intercept)
    dense = clone(model).fit(X, y, sample_weight=weights)
    sparse = model.fit(S, y, sample_weight=weights)
    np.testing.assert_allclose(sparse.coef_, dense.coef_, rtol=1e-9)
    np.testing.assert_allclose(sparse.predict(S), dense.predict(X), rtol=1e-9)


@pytest.mark.parametrize("order", ["C", "F"])
def test_float32_stays_and_input_is_left_alone(order: str) -> None:
    X, y = load_diabetes(return_X_y=True)
    single, y32 = np.asarray(X, dtype=np.float32, order=order), y.astype(np.float32)
    single.flags.writeable = y32.flags.writeable = False
    model = L0Regressor(max_features=6).fit(single, y32)
    assert model.coef_.dtype == np.float32
    assert model.predict(single).dtype == np.float32
    reference = L0Regressor(max_features=6).fit(X, y)
    np.testing.assert_allclose(model.coef_, reference.coef_, rtol=1e-4)


def test_memory_layout_does_not_matter(rng: np.random.Generator) -> None:
    X, y = rng.standard_normal((50, 30)), rng.standard_normal(50)
    reference = L0Regressor(max_features=4).fit(X, y).coef_
    strided = np.repeat(np.repeat(X, 2, axis=0), 3, axis=1)[::2, ::3]
    for form in (np.asfortranarray(X), strided, X.tolist()):
        model = L0Regressor(max_features=4).fit(form, y)
        np.testing.assert_allclose(model.coef_, reference, rtol=1e-10)


def test_ridge_on_the_support(rng: np.random.Generator) -> None:
    X, y = random_problem(rng, 10)
    model = L0Regressor(max_features=4, l2=0.3).fit(X, y)
    support = model.get_support()
    ridge = Ridge(alpha=0.3 * len(y)).fit(X[:, support], y)
    np.testing.assert_allclose(model.coef_[support], ridge.coef_)
    assert model.intercept_ == pytest.approx(ridge.intercept_)


def test_no_price_is_least_squares_up_to_the_rank(rng: np.random.Generator) -> None:
    X, y = load_diabetes(return_X_y=True)
    model = L0Regressor(alpha=0.0).fit(X, y)
    np.testing.assert_allclose(model.coef_, LinearRegression().fit(X, y).coef_, rtol=1e-8)
    wide = rng.standard_normal((15, 500))
    target = rng.standard_normal(15)
    for options in ({"alpha": 0.0}, {"max_features": 30}):
        model = L0Regressor(**options).fit(wide, target)
        assert np.count_nonzero(model.coef_) <= 14
        np.testing.assert_allclose(model.predict(wide), target, atol=1e-3)


def test_price_too_high_gives_the_mean(rng: np.random.Generator) -> None:
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


@pytest.mark.parametrize("shape", [(2, 1), (2, 5), (20, 1)])
def test_smallest_shapes(rng: np.random.Generator, shape: tuple[int, int]) -> None:
    X, y = rng.standard_normal(shape), rng.standard_normal(shape[0])
    model = L0Regressor(max_features=1).fit(X, y)
    assert np.count_nonzero(model.coef_) == 1
    if shape[0] == 2:
        np.testing.assert_allclose(model.predict(X), y)


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


def test_warm_start_on_other_data(rng: np.random.Generator) -> None:
    model = L0Regressor(max_features=2, warm_start=True)
    model.fit(rng.standard_normal((20, 4)), rng.standard_normal(20))
    X, y = rng.standard_normal((20, 9)), rng.standard_normal(20)
    np.testing.assert_array_equal(
        model.fit(X, y).coef_, L0Regressor(max_features=2).fit(X, y).coef_
    )


def test_search_in_a_pipeline_with_text_columns(rng: np.random.Generator) -> None:
    frame = pd.DataFrame(
        {
            "town": rng.choice(["north", "south", "west"], 150),
            "size": rng.normal(100.0, 20.0, 150),
            "age": rng.uniform(0.0, 50.0, 150),
            "noise": rng.standard_normal(150),
        }
    )
    y = frame["size"] / 20 + (frame["town"] == "west") + 0.2 * rng.standard_normal(150)
    columns = make_column_transformer(
        (OneHotEncoder(sparse_output=False), ["town"]),
        (StandardScaler(), ["size", "age", "noise"]),
        verbose_feature_names_out=False,
    )
    pipeline = make_pipeline(columns, L0Regressor()).set_output(transform="pandas")
    grid = {"l0regressor__alpha": y.var() * np.geomspace(1e-4, 0.5, 6)}
    search = GridSearchCV(pipeline, grid, cv=3, n_jobs=2).fit(frame, y)
    names = search.best_estimator_[-1].get_feature_names_out()
    assert {"town_west", "size"} <= set(names)
    assert search.best_score_ > 0.9


@pytest.mark.parametrize(
    "options, message",
    [
        ({"alpha": -1.0}, r"'alpha'.*L0Regressor.*-1\.0"),
        ({"l2": -0.1}, r"'l2'.*L0Regressor.*-0\.1"),
        ({"max_features": 0}, r"'max_features'.*L0Regressor.*0"),
        ({"max_features": 2.5}, r"'max_features'.*L0Regressor.*2\.5"),
        ({"max_features": 7}, r"max_features=7.*n_features=6.*give a"),
        ({"max_iter": 0}, r"'max_iter'.*0"),
        ({"tol": -1.0}, r"'tol'.*-1\.0"),
    ],
)
def test_bad_parameters_leave_an_earlier_fit_intact(
    rng: np.random.Generator, options: dict[str, Any], message: str
) -> None:
    X, y = rng.standard_normal((20, 6)), rng.standard_normal(20)
    model = L0Regressor(max_features=2).fit(X[:, :5], y)
    before = model.predict(X[:, :5])
    with pytest.raises(ValueError, match=message):
        model.set_params(**options).fit(X, y)
    np.testing.assert_array_equal(model.predict(X[:, :5]), before)
    assert model.n_features_in_ == 5


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_bad_data_leaves_an_earlier_fit_intact(rng: np.random.Generator, value: float) -> None:
    X, y = rng.standard_normal((20, 4)), rng.standard_normal(20)
    model = L0Regressor(max_features=2).fit(X, y)
    before = model.coef_.copy()
    for bad_X, bad_y, weight in (
        (np.where(X[3, 2] == X, value, X), y, None),
        (X, np.where(y == y[5], value, y), None),
        (X[:5], y, None),
        (X, y, -np.ones(20)),
        (X, y, np.zeros(20)),
    ):
        with pytest.raises(ValueError, match=r"."):
            model.fit(bad_X, bad_y, sample_weight=weight)
    np.testing.assert_array_equal(model.coef_, before)


def test_too_small_a_budget_warns_with_value_and_remedy(rng: np.random.Generator) -> None:
    X = rng.standard_normal((100, 3000)) + rng.standard_normal((100, 1))
    y = X @ rng.standard_normal(3000)
    with pytest.warns(ConvergenceWarning, match=r"above tol=1e-08.*increase max_iter=1"):
        model = L0Regressor(max_features=30, solver="swap", max_iter=1).fit(X, y)
    assert model.optimality_ > 1e-8
    better = L0Regressor(max_features=30, solver="swap").fit(X, y)
    assert better.optimality_ <= 1e-8
    assert better.n_iter_ > 1


def test_nothing_is_printed_unless_verbose(
    rng: np.random.Generator, capsys: pytest.CaptureFixture[str]
) -> None:
    X, y = rng.standard_normal((20, 4)), rng.standard_normal(20)
    L0Regressor().fit(X, y)
    assert capsys.readouterr().out == ""
    L0Regressor(verbose=1).fit(X, y)
    assert "add, drop or swap" in capsys.readouterr().out


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


@pytest.mark.parametrize("X_factor, y_factor", [(1.0, 1e155), (1e200, 1.0)])
def test_squares_that_overflow(rng: np.random.Generator, X_factor: float, y_factor: float) -> None:
    X = rng.standard_normal((40, 6))
    with pytest.raises(ValueError, match="beyond the largest number of float64"):
        L0Regressor(max_features=2, l2=1e-3).fit(X_factor * X, y_factor * X[:, 0])
