"""Groups whose columns come from an encoder: those that a fold lacks, and output without names."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sksparse.feature_selection import GroupLassoSelector, one_hot_groups


@pytest.fixture
def rare_cities(rng: np.random.Generator) -> tuple[pd.DataFrame, np.ndarray]:
    """A category of one sample, which some fold lacks."""
    X = pd.DataFrame(
        {
            "city": rng.choice(["Bonn", "Lima", "Oslo"], 60),
            "noise": rng.choice(["u", "v"], 60),
            "size": rng.standard_normal(60),
        }
    )
    X.loc[0, "city"] = "Rome"
    y = 2.0 * (X["city"] == "Oslo") + X["size"] + 0.1 * rng.standard_normal(60)
    return X, y.to_numpy()


def encode_all() -> Any:
    """Encodes whatever columns there are, by their types."""
    return make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude="number")),
        (StandardScaler(), make_column_selector(dtype_include="number")),
    )


def test_folds_may_lack_a_category(rare_cities: tuple[pd.DataFrame, np.ndarray]) -> None:
    X, y = rare_cities
    encode = make_column_transformer(
        (OneHotEncoder(sparse_output=False, handle_unknown="ignore"), ["city", "noise"]),
        remainder="passthrough",
    ).set_output(transform="pandas")
    groups = one_hot_groups(clone(encode).fit(X))
    strict = GroupLassoSelector(alpha=0.05, groups=groups)
    model = make_pipeline(encode, strict, LinearRegression())
    with pytest.raises(ValueError, match=r"city_Rome.*set missing_columns='ignore'"):
        cross_val_score(model, X, y, cv=KFold(3), error_score="raise")
    tolerant = clone(model).set_params(grouplassoselector__missing_columns="ignore")
    found = cross_validate(tolerant, X, y, cv=KFold(3), error_score="raise", return_estimator=True)
    assert found["test_score"].min() > 0.8
    for fold in found["estimator"]:
        selector = fold[1]
        assert selector.groups_.tolist() == list(groups)
        assert selector.selected_groups_.tolist() == ["city", "remainder__size"]
        assert np.isfinite(fold.predict(X)).all()
    # where nothing is missing the two are the same
    np.testing.assert_array_equal(tolerant.fit(X, y)[1].coef_, model.fit(X, y)[1].coef_)


def test_factors_stay_with_their_groups_where_one_is_empty(rng: np.random.Generator) -> None:
    X = pd.DataFrame(rng.standard_normal((50, 4)), columns=list("abcd"))
    y = X["a"] + X["c"]
    groups = {"gone": ["u", "v"], "first": ["b", "a", "w"], "none": ["x"], "last": ["c", "d"]}
    params: dict[str, Any] = {"alpha": 0.1, "tol": 1e-10}
    for weights in ([0.0, 1.0, 0.0, 3.0], [0.0, 0.0, 0.0, 99.0], None):
        model = GroupLassoSelector(
            groups=groups, missing_columns="ignore", penalty_weights=weights, **params
        ).fit(X, y)
        short = GroupLassoSelector(
            groups={"first": ["a", "b"], "last": ["c", "d"]},
            penalty_weights=None if weights is None else weights[1::2],
            **params,
        ).fit(X, y)
        np.testing.assert_array_equal(model.coef_, short.coef_)
        assert model.groups_.tolist() == list(groups)
        assert model.selected_groups_.tolist() == short.selected_groups_.tolist()
    # one name for every column that X may lack, by lists without names of groups too
    lists = GroupLassoSelector(groups=list(groups.values()), missing_columns="ignore", **params)
    assert lists.fit(X, y).selected_groups_.tolist() == [1, 3]
    assert lists.groups_.tolist() == [0, 1, 2, 3]
    with pytest.raises(ValueError, match=r"one factor per group, shape \(4,\)"):
        lists.set_params(penalty_weights=[1.0, 1.0]).fit(X, y)


@pytest.mark.parametrize(
    "groups, message",
    [
        ({"u": ["a", "gone"]}, r"no group holds column\(s\) \['b'\]"),
        ({"u": ["a", 2], "v": ["b"]}, "column 2 in group 'u' is out of range"),
        ({"u": ["a", "b"], "v": []}, "group 'v' is empty"),
    ],
)
def test_only_names_that_x_lacks_are_ignored(groups: dict[str, Any], message: str) -> None:
    X = pd.DataFrame(np.eye(4)[:, :2], columns=["a", "b"])
    model = GroupLassoSelector(groups=groups, missing_columns="ignore")
    with pytest.raises(ValueError, match=message):
        model.fit(X, np.arange(4.0))
    with pytest.raises(ValueError, match="X has no column names"):
        model.set_params(groups={"u": ["a", "b"]}).fit(X.to_numpy(), np.arange(4.0))


@pytest.mark.parametrize("sparse", [True, False])
def test_groups_by_position_serve_output_without_names(
    rare_cities: tuple[pd.DataFrame, np.ndarray], sparse: bool
) -> None:
    X, y = rare_cities
    encode = make_column_transformer(
        (OneHotEncoder(sparse_output=sparse), ["city", "noise"]),
        (StandardScaler(), ["size"]),
        sparse_threshold=float(sparse),
    )
    assert sp.issparse(encode.fit_transform(X)) == sparse
    groups = one_hot_groups(encode, positions=True)
    model = make_pipeline(encode, GroupLassoSelector(alpha=0.05, groups=groups)).fit(X, y)
    assert model[-1].selected_groups_.tolist() == ["city", "standardscaler__size"]
    model[-1].set_params(groups=one_hot_groups(encode))
    with pytest.raises(ValueError, match="give positions, which one_hot_groups has as well"):
        model.fit(X, y)


def test_groups_may_have_any_keys() -> None:
    groups = {("a", 1): [0], ("b", 2): [1]}
    model = GroupLassoSelector(alpha=1e-3, groups=groups).fit(np.eye(4)[:, :2], np.arange(4.0))
    assert model.groups_.tolist() == list(groups)


# Ways to name the groups of an encoder's output before it is fitted.
BEFORE_THE_FIT: dict[str, Any] = {
    "raw names": ["city", "noise", "size"],
    "a dict of raw names": {"where": ["city"], "other": ["noise", "size"]},
    "prefixes": "prefix",
    "patterns": {name: re.compile(f"__{name}") for name in ("city", "noise", "size")},
    "a function": lambda names: [name.split("__")[1].split("_")[0] for name in names],
}


@pytest.mark.parametrize("name", sorted(BEFORE_THE_FIT))
def test_groups_are_named_before_anything_is_fitted(
    rare_cities: tuple[pd.DataFrame, np.ndarray], name: str
) -> None:
    X, y = rare_cities
    encode = make_column_transformer(
        (OneHotEncoder(sparse_output=False, handle_unknown="ignore"), ["city", "noise"]),
        (StandardScaler(), ["size"]),
    ).set_output(transform="pandas")
    groups = BEFORE_THE_FIT[name]
    model = make_pipeline(encode, GroupLassoSelector(groups=groups), LinearRegression())
    # "Rome" is in one fold alone, and no category has to be known beforehand
    search = GridSearchCV(
        model, {"grouplassoselector__alpha": [0.02, 0.1]}, cv=KFold(3), error_score="raise"
    ).fit(X, y)
    selector = search.best_estimator_[1]
    assert search.best_score_ > 0.8
    columns = encode.fit(X).get_feature_names_out()
    assert len(selector.coef_) == len(columns) == 7
    sizes = dict(
        zip(*np.unique(selector.groups_[selector.group_labels_], return_counts=True), strict=True)
    )
    if name == "a dict of raw names":
        assert sizes == {"where": 4, "other": 3}
    else:
        assert sizes == {"city": 4, "noise": 2, "size": 1}
    folds = cross_validate(model, X, y, cv=KFold(3), return_estimator=True)["estimator"]
    assert {fold[1].n_features_in_ for fold in folds} == {6, 7}
    assert all(fold[1].groups_.tolist() == selector.groups_.tolist() for fold in folds)


def test_output_without_names_is_encoded_by_the_selector(
    rare_cities: tuple[pd.DataFrame, np.ndarray],
) -> None:
    X, y = rare_cities
    encode = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["city", "noise"]), (StandardScaler(), ["size"])
    )
    # the columns kept are encoded for the model by their types, whichever they are
    model = make_pipeline(GroupLassoSelector(encode=encode), encode_all(), LinearRegression())
    search = GridSearchCV(
        model, {"grouplassoselector__alpha": [0.02, 0.1]}, cv=KFold(3), error_score="raise"
    ).fit(X, y)
    assert search.best_score_ > 0.8
    assert search.best_estimator_[0].groups_.tolist() == ["city", "noise", "size"]
    assert search.best_estimator_[0].get_feature_names_out().tolist() == ["city", "size"]


def test_names_that_no_fold_has_are_errors_unless_ignored(
    rare_cities: tuple[pd.DataFrame, np.ndarray],
) -> None:
    X, y = rare_cities
    encode = make_column_transformer(
        (OneHotEncoder(drop="if_binary", sparse_output=False), ["city", "noise"]),
        remainder="passthrough",
    ).set_output(transform="pandas")
    model = make_pipeline(encode, GroupLassoSelector(0.05, groups=["city", "noise", "size"]))
    single = X.assign(noise="u")
    model.fit(single, y)
    misspelt = GroupLassoSelector(0.05, groups=["city", "nois", "size"])
    with pytest.raises(ValueError, match="unknown column 'nois' in group 'nois'"):
        model.set_params(grouplassoselector=misspelt).fit(X, y)
    # what is ignored leaves a column without a group, which remains an error
    with pytest.raises(ValueError, match=r"no group holds column\(s\)"):
        model.set_params(grouplassoselector__missing_columns="ignore").fit(X, y)


def test_an_empty_cell_of_a_grid_has_an_answer(
    rare_cities: tuple[pd.DataFrame, np.ndarray],
) -> None:
    X, y = rare_cities
    model = make_pipeline(GroupLassoSelector(encode="auto"), encode_all(), LinearRegression())
    grid = {"grouplassoselector__alpha": [0.1, 100.0]}
    with (
        pytest.warns(UserWarning, match="min_features=1 to keep the strongest group"),
        pytest.warns(FitFailedWarning),
        pytest.warns(UserWarning, match="No features were selected"),
        pytest.warns(UserWarning, match="non-finite"),
    ):
        search = GridSearchCV(model, grid, cv=KFold(3)).fit(X, y)
    assert search.best_params_ == {"grouplassoselector__alpha": 0.1}
    model.set_params(grouplassoselector__min_features=1)
    kept = GridSearchCV(model, grid, cv=KFold(3), error_score="raise").fit(X, y)
    assert np.isfinite(kept.cv_results_["mean_test_score"]).all()
    counts = {"grouplassoselector__max_groups": [1, 2]}
    GridSearchCV(model, counts, cv=KFold(3), error_score="raise").fit(X, y)
