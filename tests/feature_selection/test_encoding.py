"""Tables of numbers, categories and missing values, of which whole columns are selected."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, SplineTransformer, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from sksparse.feature_selection import GroupLassoSelector

CATEGORIES = ["city", "grade", "note"]


@parametrize_with_checks(
    [GroupLassoSelector(encode="auto", loss="squared"), GroupLassoSelector(encode="auto")]
)
def test_sklearn_contract(estimator: GroupLassoSelector, check: Callable[[Any], None]) -> None:
    check(estimator)


@pytest.fixture
def table(rng: np.random.Generator) -> pd.DataFrame:
    """Columns of every kind, some entries missing."""
    n = 240
    X = pd.DataFrame(
        {
            "city": rng.choice(["Bonn", "Lima", "Oslo"], n),
            "area": 1e6 + 1e3 * rng.standard_normal(n),
            "grade": pd.Categorical(rng.choice([1, 2, 3], n)),
            "sold": rng.random(n) > 0.4,
            "rooms": pd.array(rng.integers(1, 6, n), dtype="Int64"),
            "note": rng.choice(np.array([1, "a", 2.5], dtype=object), n),
            "key": [f"k{i}" for i in range(n)],
        }
    )
    X.loc[::7, "rooms"] = pd.NA
    X.loc[::9, "city"] = None
    return X


def response(X: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
    """Depends on a category, on whether a number is missing, and on nothing else."""
    effect = 2.0 * (X["city"] == "Oslo") + 1.5 * X["rooms"].isna()
    return effect.to_numpy(dtype=float) + 0.1 * rng.standard_normal(len(X))


def fitted(X: Any, y: Any, **params: Any) -> GroupLassoSelector:
    return GroupLassoSelector(**{"encode": "auto", "alpha": 0.1, "tol": 1e-8, **params}).fit(X, y)


def as_dense(X: Any) -> np.ndarray:
    return X.toarray() if sparse.issparse(X) else np.asarray(X)


def test_whole_columns_of_a_table_are_kept(table: pd.DataFrame, rng: np.random.Generator) -> None:
    y = response(table, rng)
    model = fitted(table, y)
    assert model.selected_groups_.tolist() == ["city", "rooms"]
    kept = model.transform(table)
    pd.testing.assert_frame_equal(kept, table[["city", "rooms"]])
    assert model.get_feature_names_out().tolist() == ["city", "rooms"]
    assert model.n_features_ == 2
    assert np.flatnonzero(model.feature_importances_).tolist() == [0, 4]
    norms = dict(zip(model.groups_, model.group_norms_, strict=True))
    assert norms["city"] == pytest.approx(model.feature_importances_[0])
    for copy in (pickle.loads(pickle.dumps(model)), clone(model).fit(table, y)):
        pd.testing.assert_frame_equal(copy.transform(table), kept)


def test_the_encoder_and_the_coefficients_are_the_model(
    table: pd.DataFrame, rng: np.random.Generator
) -> None:
    y = response(table, rng)
    model = fitted(table, y, alpha=1e-3)
    columns = as_dense(model.encoder_.transform(table))
    names = model.encoder_.get_feature_names_out().tolist()
    assert names == [
        *("city_Bonn", "city_Lima", "city_Oslo", "city_missing", "area"),
        *("grade_1", "grade_2", "grade_3", "sold", "rooms", "rooms_missing"),
        *("note_1", "note_2.5", "note_a"),
    ]
    assert len(model.coef_) == len(names)
    residual = y - columns @ model.coef_ - model.intercept_
    assert np.std(residual) < 0.2 * np.std(y)
    # every column has unit deviation, numbers have no mean
    np.testing.assert_allclose(columns.std(axis=0), 1.0)
    assert abs(columns[:, names.index("area")].mean()) < 1e-9
    # a missing number is at the mean, a category not seen before is none of those
    row = table.iloc[[1]].assign(rooms=pd.NA, city="Quito")
    encoded = as_dense(model.encoder_.transform(row))[0]
    assert encoded[names.index("rooms")] == 0.0
    assert encoded[names.index("rooms_missing")] > 0.0
    assert not encoded[:4].any()


def test_groups_are_of_columns_of_the_table(table: pd.DataFrame, rng: np.random.Generator) -> None:
    y = response(table, rng)
    groups = {"place": ["city", "area"], "rest": ["grade", "sold", "rooms", "note", "key"]}
    model = fitted(table, y, groups=groups, alpha=0.3)
    assert model.selected_groups_.tolist() == ["place"]
    assert model.transform(table).columns.tolist() == ["city", "area"]
    labels = model.groups_[model.group_labels_]
    assert labels.tolist() == ["place"] * 5 + ["rest"] * 9
    # the ids make no column, and their group is empty
    alone = fitted(table, y, max_groups=1)
    assert alone.group_norms_[-1] == 0.0
    assert alone.selected_groups_.tolist() == ["city"]
    overlapping = [["city", "area"], ["area", "rooms"], ["grade", "sold", "note", "key"]]
    latent = fitted(table, y, groups=overlapping, overlap="latent")
    assert latent.get_feature_names_out().tolist() == ["city", "area", "rooms"]
    assert latent.coef_.shape == model.coef_.shape
    # groups of weight zero are kept, where there is anything to keep
    free = fitted(table, y, alpha=9.0, penalty_weights=[0, 0, 1, 0, 0, 0, 0])
    assert free.get_feature_names_out().tolist() == ["city", "area", "sold", "rooms", "note"]


def test_arrays_of_objects_are_tables(table: pd.DataFrame, rng: np.random.Generator) -> None:
    y = response(table, rng)
    array = table.drop(columns="grade").to_numpy(dtype=object)
    by_name, by_position = fitted(table.drop(columns="grade"), y), fitted(array, y)
    np.testing.assert_allclose(by_position.coef_, by_name.coef_, atol=1e-12)
    assert by_position.selected_groups_.tolist() == [0, 3]
    kept = by_position.transform(array)
    assert kept.dtype == object
    np.testing.assert_array_equal(kept[1:7], array[1:7][:, [0, 3]])
    lists = fitted(array.tolist(), y)
    np.testing.assert_allclose(lists.coef_, by_name.coef_, atol=1e-12)


def test_numbers_alone_are_standardised(rng: np.random.Generator) -> None:
    X = rng.standard_normal((80, 5)) * [1.0, 1e-150, 1e150, 50.0, 0.0] + [0.0, 0.0, 0.0, 1e6, 3.0]
    y = X[:, 0] + X[:, 1] * 1e150 + 0.1 * rng.standard_normal(80)
    model = fitted(X, y)
    scaled = StandardScaler().fit_transform(X[:, [0, 1, 3]])
    plain = GroupLassoSelector(0.1, tol=1e-8).fit(scaled, y)
    np.testing.assert_allclose(model.coef_[[0, 1, 3]], plain.coef_, atol=1e-7)
    assert model.get_support().tolist()[:2] == [True, True]
    assert not model.get_support()[4]


def test_weights_are_repetitions(table: pd.DataFrame, rng: np.random.Generator) -> None:
    y, counts = response(table, rng), rng.integers(0, 3, len(table))
    rows = np.repeat(np.arange(len(table)), counts)
    # shares, means and deviations are of the repeated rows
    weighted = GroupLassoSelector(0.05, encode="auto", tol=1e-10).fit(table, y, counts)
    repeated = GroupLassoSelector(0.05, encode="auto", tol=1e-10).fit(table.iloc[rows], y[rows])
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, atol=1e-7)


def test_noise_enters_by_numbers_and_categories_alike(rng: np.random.Generator) -> None:
    """Under no effect at all, a block's share of first entries does not depend on its size."""
    n, first = 150, []
    for _ in range(60):
        X = pd.DataFrame({f"number{j}": rng.standard_normal(n) for j in range(4)})
        for j in range(4):
            X[f"name{j}"] = rng.choice(list("abcdef"), n)
        model = fitted(X, rng.standard_normal(n), max_groups=1, tol=1e-4)
        first.append(str(model.selected_groups_[0]).startswith("number"))
    # the largest of four correlations exceeds that of four blocks' means more often; were
    # indicators not scaled it would be nearly always
    assert 0.2 < np.mean(first) < 0.98


@pytest.mark.parametrize("classes", [2, 3])
def test_a_table_is_searched_with_the_next_steps(
    table: pd.DataFrame, rng: np.random.Generator, classes: int
) -> None:
    y = np.array(["low", "middle", "high"])[(response(table, rng) * classes / 3).astype(int) % 3]
    encode = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), lambda X: [c for c in X if c in CATEGORIES]),
        (StandardScaler(), lambda X: [c for c in X if c in ("area", "sold")]),
    )
    model = make_pipeline(
        GroupLassoSelector(encode="auto", min_features=1), encode, LogisticRegression()
    )
    grid = {"grouplassoselector__max_groups": [1, 2, 3]}
    search = GridSearchCV(model, grid, cv=KFold(3), error_score="raise")
    search.fit(table.drop(columns=["rooms", "note"]), y)
    selector = search.best_estimator_[0]
    assert "city" in selector.selected_groups_.tolist()
    assert len(selector.selected_groups_) == search.best_params_["grouplassoselector__max_groups"]
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_output_is_a_table_however_it_is_asked_for(
    table: pd.DataFrame, rng: np.random.Generator
) -> None:
    y = response(table, rng)
    model = GroupLassoSelector(0.1, encode="auto").set_output(transform="pandas")
    pd.testing.assert_frame_equal(model.fit_transform(table, y), table[["city", "rooms"]])
    with pytest.warns(UserWarning, match="No group is selected at alpha=99"):
        nothing = GroupLassoSelector(99, encode="auto").fit(table, y)
    with pytest.warns(UserWarning, match="No features were selected"):
        assert nothing.transform(table).shape == (len(table), 0)
    with pytest.raises(ValueError, match="feature names should match"):
        model.transform(table.rename(columns={"city": "town"}))


def test_a_transformer_encodes_instead(table: pd.DataFrame, rng: np.random.Generator) -> None:
    y = response(table, rng)
    encode = make_column_transformer(
        (OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=5), ["city", "grade"]),
        (make_pipeline(StandardScaler(), SplineTransformer(5)), ["area"]),
    )
    model = fitted(table, y, encode=encode)
    assert model.selected_groups_.tolist() == ["city"]
    assert model.transform(table).columns.tolist() == ["city"]
    # columns that it drops are never kept
    assert model.group_norms_.shape == (7,)
    columns = model.encoder_.transform(table)
    assert columns.shape[1] == len(model.coef_)
    assert not hasattr(encode, "transformers_")
    search = GridSearchCV(
        make_pipeline(model, clone(encode).set_params(pipeline="drop", remainder="drop"), Ridge()),
        {"grouplassoselector__encode__onehotencoder__min_frequency": [1, 200]},
        cv=2,
        error_score=np.nan,
    )
    assert "grouplassoselector__encode" in search.estimator.get_params()
    with pytest.raises(ValueError, match=r"makes column\(s\) \['pca0', 'pca1'\] of several"):
        fitted(table[["area", "sold"]], y, encode=PCA(2))


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda X: X.assign(city=pd.Timestamp("2026-01-01")), "column 'city' has dtype datetime64"),
        (lambda X: X.assign(area=1j), "column 'area' has dtype complex128"),
        (lambda X: X.assign(area=np.inf), "column 'area' contains infinity"),
        (lambda X: X.assign(note=[[1]] * len(X)), "column 'note' holds objects that are neither"),
        (lambda X: X[["key"]], r"makes no column: all of \['key'\] are categories"),
        (lambda X: X.iloc[:, :0], r"0 feature\(s\)"),
        (lambda X: sparse.csr_array(np.eye(len(X))), "X is a sparse matrix.*set encode=None"),
    ],
)
def test_tables_that_cannot_be_encoded_are_refused(
    table: pd.DataFrame, spoil: Callable[[Any], Any], message: str, rng: np.random.Generator
) -> None:
    y = response(table, rng)
    with pytest.raises(ValueError, match=message):
        GroupLassoSelector(encode="auto").fit(spoil(table), y)


def test_a_number_that_becomes_a_name_is_refused(
    table: pd.DataFrame, rng: np.random.Generator
) -> None:
    model = fitted(table, response(table, rng))
    with pytest.raises(ValueError, match=r"column 'area' holds .*it was numbers in fit"):
        model.encoder_.transform(table.assign(area="large"))


def test_one_column_is_no_table(table: pd.DataFrame) -> None:
    y = np.arange(len(table), dtype=np.float64)
    for encode in (None, "auto"):
        with pytest.raises(ValueError, match="Series"):
            GroupLassoSelector(encode=encode).fit(table["area"], y)


def test_decimals_are_numbers_and_names_of_columns_are_unique(rng: np.random.Generator) -> None:
    values = rng.standard_normal(60)
    X = pd.DataFrame(
        {
            "price": [Decimal(value) for value in values],
            "kind": rng.choice(["missing", None, "a"], 60),
            "kind_missing": rng.standard_normal(60),
        }
    )
    selector = GroupLassoSelector(0.1, encode="auto").fit(X, values)
    assert selector.selected_groups_.tolist() == ["price"]
    names = selector.encoder_.get_feature_names_out()
    assert len(set(names)) == len(names) == 5
