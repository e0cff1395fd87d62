"""scikit-learn's meta-estimators of selection around ours, which may leave too few features."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone, is_classifier
from sklearn.ensemble import BaggingRegressor
from sklearn.feature_selection import (
    RFE,
    RFECV,
    SelectFromModel,
    SelectKBest,
    SequentialFeatureSelector,
    f_regression,
)
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sksparse import (
    OSCAR,
    SLOPE,
    GroupLassoSelector,
    GrOWL,
    L0Classifier,
    L0ClassifierCV,
    L0PoissonRegressor,
    L0PoissonRegressorCV,
    L0Regressor,
    L0RegressorCV,
    OSCARClassifier,
    SparseMLPClassifier,
    SparseMLPRegressor,
)
from sksparse.linear_model import l0_path

# Short trainings of networks stop before they converge, and say so; that is not the point here.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

NET = {"sparsifier": "magnitude", "target_sparsity": 0.85, "max_iter": 12, "random_state": 0}
MODELS = [
    L0Regressor(max_features=3),
    L0RegressorCV(),
    L0Classifier(max_features=3),
    L0ClassifierCV(),
    L0PoissonRegressor(max_features=3),
    L0PoissonRegressorCV(),
    OSCAR(0.3),
    OSCARClassifier(0.1),
    SLOPE(0.2),
    GrOWL(0.3),
    GroupLassoSelector(0.3, loss="squared"),
    SparseMLPClassifier((4,), **NET),
    SparseMLPRegressor((4,), **NET),
]
EMPTY = [L0Regressor(1e9), L0Classifier(1e9), L0PoissonRegressor(1e9), OSCAR(1e9)]
# More than the eight features there are.
TOO_MANY = [
    L0Regressor(max_features=12),
    L0Regressor(max_features=12, solver="forward"),
    L0Regressor(max_features=12, positive=True),
    L0Classifier(max_features=12),
    L0PoissonRegressor(max_features=12),
    L0RegressorCV(max_features=12),
    L0RegressorCV(max_features=[2, 12, 15]),
    L0ClassifierCV(max_features=12),
    L0ClassifierCV(max_features=12, l2=[1e-3, 1e-2]),
    L0ClassifierCV(max_features=np.array([1, 12]), cv=3),
    L0PoissonRegressorCV(max_features=12),
]


def name_of(estimator: Any) -> str:
    return type(estimator).__name__


all_models = pytest.mark.parametrize("model", MODELS, ids=name_of)


def make_data(model: Any, rng: np.random.Generator) -> tuple[Any, Any]:
    """Eight features, of which three matter, and targets of the estimator's kind."""
    X = rng.standard_normal((90, 8))
    z = X[:, [1, 4, 6]] @ [2.0, -1.0, 0.5]
    if is_classifier(model):
        return X, np.digitize(z, [-1.0, 1.0])
    if "Poisson" in name_of(model):
        return X, rng.poisson(np.exp(0.5 * z))
    return X, z + 0.1 * rng.standard_normal(90)


@all_models
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_by_default_it_selects_what_the_model_uses(
    model: Any, dtype: Any, rng: np.random.Generator
) -> None:
    X, y = make_data(model, rng)
    X = X.astype(dtype)
    select = SelectFromModel(clone(model)).fit(X, y)
    used = select.estimator_.get_support()
    assert 0 < used.sum() < 8
    np.testing.assert_array_equal(select.get_support(), used)
    np.testing.assert_array_equal(select.transform(X), select.estimator_.transform(X))
    # an importance of zero is no reason to refit, whatever else is asked for
    fitted = clone(model).fit(X, y)
    for ready in (fitted, FrozenEstimator(fitted)):
        prefit = SelectFromModel(ready, prefit=True).fit(X, y)
        np.testing.assert_array_equal(prefit.get_support(), used)
    at_most = SelectFromModel(clone(model), max_features=2).fit(X, y).get_support()
    assert at_most.sum() == min(2, used.sum())
    assert used[at_most].all()
    every = SelectFromModel(clone(model), max_features=8).fit(X, y).get_support()
    np.testing.assert_array_equal(every, used)


@pytest.mark.parametrize("model", EMPTY, ids=name_of)
def test_nothing_is_selected_where_the_model_uses_nothing(
    model: Any, rng: np.random.Generator
) -> None:
    X, y = make_data(model, rng)
    for options in ({}, {"importance_getter": "support_"}, {"max_features": 3}):
        assert not SelectFromModel(clone(model), **options).fit(X, y).get_support().any()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    "model", [m for m in MODELS if isinstance(m, (L0Regressor, L0Classifier))], ids=name_of
)
def test_the_mask_is_exact_where_coefficients_are_tiny(
    model: Any, dtype: Any, rng: np.random.Generator
) -> None:
    X, y = make_data(model, rng)
    X = (X * 1e9).astype(dtype)
    # the limit of the default: what is below 1e-5 in absolute value is dropped
    assert not SelectFromModel(clone(model)).fit(X, y).get_support().any()
    select = SelectFromModel(clone(model), importance_getter="support_").fit(X, y)
    np.testing.assert_array_equal(select.get_support(), select.estimator_.get_support())
    assert select.get_support().sum() == 3
    np.testing.assert_array_equal(clone(model).fit(X, y).get_support(), select.get_support())


def test_the_mask_is_exact_where_a_network_has_many_inputs(rng: np.random.Generator) -> None:
    X = rng.standard_normal((40, 30_000)).astype(np.float32)
    net = SparseMLPClassifier((1,), sparsifier=None, max_iter=1, random_state=0)
    select = SelectFromModel(net, importance_getter="support_").fit(X, X[:, 0] > 0)
    assert select.get_support().all()
    # each has a share of the importance, and some shares are below the default threshold
    assert not SelectFromModel(select.estimator_, prefit=True).fit(X).get_support().all()


@pytest.mark.parametrize("model", [MODELS[0], MODELS[2], MODELS[-2]], ids=name_of)
def test_around_a_pipeline_or_a_search(model: Any, rng: np.random.Generator) -> None:
    X, y = make_data(model, rng)
    pipeline = make_pipeline(StandardScaler(), clone(model))
    getter = f"named_steps.{name_of(model).lower()}.support_"
    select = SelectFromModel(pipeline, importance_getter=getter, threshold=0.5).fit(X, y)
    np.testing.assert_array_equal(select.get_support(), select.estimator_[-1].get_support())
    options = {"max_features": [3]} if hasattr(model, "max_features") else {"max_iter": [9]}
    search = GridSearchCV(clone(model), options, cv=2)
    select = SelectFromModel(search, importance_getter="best_estimator_.support_", threshold=0.5)
    best = select.fit(X, y).estimator_.best_estimator_
    np.testing.assert_array_equal(select.get_support(), best.get_support())


def test_the_norm_of_several_classes(rng: np.random.Generator) -> None:
    X, y = make_data(L0Classifier(), rng)
    for order in (1, 2, np.inf):
        select = SelectFromModel(L0Classifier(max_features=3), norm_order=order).fit(X, y)
        assert select.estimator_.coef_.shape == (3, 8)
        np.testing.assert_array_equal(select.get_support(), select.estimator_.get_support())
    select = SelectFromModel(
        L0Classifier(max_features=3), importance_getter=lambda model: model.sparsify().coef_
    ).fit(X, y)
    found = select.get_support()
    assert sparse.issparse(select.estimator_.coef_)
    np.testing.assert_array_equal(found, select.estimator_.get_support())


def test_partial_fit(rng: np.random.Generator) -> None:
    net = MODELS[-2]
    X, y = make_data(net, rng)
    select = SelectFromModel(net)
    for _ in range(2):
        select.partial_fit(X, y, classes=np.unique(y))
    assert len(select.estimator_.history_) == 2
    np.testing.assert_array_equal(select.get_support(), select.estimator_.get_support())
    assert not hasattr(SelectFromModel(L0Regressor()), "partial_fit")


@all_models
def test_penalty_is_no_parameter(model: Any) -> None:
    assert model.penalty == "l1"
    assert "penalty" not in model.get_params()
    with pytest.raises(AttributeError):
        model.penalty = "l2"
    with pytest.raises(ValueError, match="Invalid parameter 'penalty'"):
        model.set_params(penalty="l2")


@pytest.mark.parametrize("model", TOO_MANY, ids=str)
def test_more_features_than_there_are_stand_for_all(model: Any, rng: np.random.Generator) -> None:
    X, y = make_data(model, rng)
    model = clone(model)
    with pytest.warns(UserWarning, match="is more than X has, n_features=8") as caught:
        found = model.fit(X, y)
    ours = [str(each.message) for each in caught if each.category is UserWarning]
    assert len(ours) == 1
    assert caught[0].filename == __file__
    assert ours[0].startswith(f"max_features={np.asarray(model.max_features).tolist()} is more")
    assert "give at most 8, or None" in ours[0]
    limits = np.minimum(model.max_features, 8)
    limits = limits.tolist() if limits.ndim else int(limits)
    same = clone(model).set_params(max_features=limits).fit(X, y)
    np.testing.assert_array_equal(found.coef_, same.coef_)
    assert getattr(found, "sizes_", [8])[-1] == 8
    fresh = clone(model)
    # a filter of this test run makes an error of it, and nothing is half fitted
    with pytest.raises(UserWarning, match="more than X has"):
        fresh.fit(X, y)
    assert not hasattr(fresh, "n_features_in_")


def test_more_features_than_there_are_in_a_path(rng: np.random.Generator) -> None:
    X, y = make_data(L0Regressor(), rng)
    with pytest.warns(UserWarning, match="max_features=9 is more than X has, n_features=3"):
        assert l0_path(X[:, :3], y, max_features=9).sizes.tolist() == [0, 1, 2, 3]
    with pytest.warns(UserWarning, match=r"max_features=\[1, 9, 12\] is more"):
        assert l0_path(X[:, :3], y, max_features=[1, 9, 12]).sizes.tolist() == [1, 3]
    # features that are always kept are no reason to warn
    free = l0_path(X[:, :3], y, max_features=[1, 3], penalty_weights=[0, 1, 1])
    assert free.sizes.tolist() == [1, 2]
    assert L0Regressor(max_features=3, penalty_weights=[0, 1, 1]).fit(X[:, :3], y).n_features_ == 2


@pytest.mark.filterwarnings("ignore:max_features:UserWarning")
@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_sequential_selection(direction: str, rng: np.random.Generator) -> None:
    X, y = make_data(L0Regressor(), rng)
    select = SequentialFeatureSelector(
        L0Regressor(max_features=3), n_features_to_select=3, direction=direction, cv=3
    )
    assert set(select.fit(X, y).get_support(indices=True)) == {1, 4, 6}


@pytest.mark.filterwarnings("ignore:max_features:UserWarning")
@pytest.mark.parametrize("getter", ["auto", "support_"])
@pytest.mark.parametrize(
    "model", [L0Regressor(max_features=4), L0Classifier(max_features=4), OSCAR(), MODELS[-1]],
    ids=name_of,
)  # fmt: skip
def test_recursive_elimination(model: Any, getter: str, rng: np.random.Generator) -> None:
    X, y = make_data(model, rng)
    rfe = RFE(model, n_features_to_select=2, importance_getter=getter).fit(X, y)
    assert rfe.n_features_ == rfe.support_.sum() == 2
    assert rfe.score(X, y) == rfe.estimator_.score(rfe.transform(X), y)
    # what is not used goes first
    assert rfe.ranking_.max() == 7


@pytest.mark.filterwarnings("ignore:max_features:UserWarning")
def test_recursive_elimination_by_folds(rng: np.random.Generator) -> None:
    X, y = make_data(L0Regressor(), rng)
    X = sparse.csr_array(X)
    rfe = RFECV(L0Regressor(max_features=5), cv=3).fit(X, y)
    assert rfe.support_[[1, 4, 6]].all()


@pytest.mark.filterwarnings("ignore:max_features:UserWarning")
def test_bagging_of_columns(rng: np.random.Generator) -> None:
    X, y = make_data(L0Regressor(), rng)
    bags = BaggingRegressor(L0Regressor(max_features=4), 6, max_features=0.2, random_state=0).fit(
        X, y
    )
    assert {model.n_features_in_ for model in bags.estimators_} == {1}
    assert np.isfinite(bags.predict(X)).all()


def test_a_selection_in_front_leaves_fewer(rng: np.random.Generator) -> None:
    X, y = make_data(L0Regressor(), rng)
    pipeline = make_pipeline(SelectKBest(f_regression, k=3), L0Regressor(max_features=5))
    with pytest.warns(UserWarning, match="max_features=5 is more than X has, n_features=3"):
        pipeline.fit(X, y)
    direct = LinearRegression().fit(pipeline[0].transform(X), y)
    np.testing.assert_allclose(pipeline[-1].coef_, direct.coef_)
    search = GridSearchCV(pipeline, {"selectkbest__k": [2, 6]}, cv=3)
    with pytest.warns(UserWarning, match="n_features=2"):
        assert search.fit(X, y).best_params_ == {"selectkbest__k": 6}
