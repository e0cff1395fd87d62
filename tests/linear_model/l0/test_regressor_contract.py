"""L0Regressor: data of every form, refusals and messages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning
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
@pytest.mark.filterwarnings("ignore:No features were selected:UserWarning")
def test_sklearn_contract(estimator: L0Regressor, check: Any) -> None:
    check(estimator)


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


@pytest.mark.parametrize("shape", [(2, 1), (2, 5), (20, 1)])
def test_smallest_shapes(rng: np.random.Generator, shape: tuple[int, int]) -> None:
    X, y = rng.standard_normal(shape), rng.standard_normal(shape[0])
    model = L0Regressor(max_features=1).fit(X, y)
    assert np.count_nonzero(model.coef_) == 1
    if shape[0] == 2:
        np.testing.assert_allclose(model.predict(X), y)


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


@pytest.mark.parametrize("X_factor, y_factor", [(1.0, 1e155), (1e200, 1.0)])
def test_squares_that_overflow(rng: np.random.Generator, X_factor: float, y_factor: float) -> None:
    X = rng.standard_normal((40, 6))
    with pytest.raises(ValueError, match="beyond the largest number of float64"):
        L0Regressor(max_features=2, l2=1e-3).fit(X_factor * X, y_factor * X[:, 0])
