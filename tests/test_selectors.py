"""Estimators that select features are scikit-learn selectors, and regressors or classifiers."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy import sparse
from sklearn.base import BaseEstimator, clone, is_classifier, is_regressor
from sklearn.compose import make_column_transformer
from sklearn.exceptions import NotFittedError
from sklearn.feature_selection import SelectorMixin
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks, get_tags
from torch import nn

from sksparse import (
    OSCAR,
    OSCARCV,
    SLOPE,
    SLOPECV,
    GroupLassoClassifier,
    GroupLassoClassifierCV,
    GroupLassoRegressor,
    GroupLassoRegressorCV,
    GroupLassoSelector,
    GrOWL,
    InfFS,
    L0Classifier,
    L0ClassifierCV,
    L0PoissonRegressor,
    L0PoissonRegressorCV,
    L0Regressor,
    L0RegressorCV,
    OSCARClassifier,
    OSCARClassifierCV,
    SLOPEClassifier,
    SLOPEClassifierCV,
    SparseMLPClassifier,
    SparseMLPRegressor,
    SparseMLPSelector,
    SparseNetClassifier,
    SparseNetRegressor,
    StabilitySelection,
)

# Short trainings of networks stop before they converge, and say so; that is not the point here.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

NET = {"sparsifier": "magnitude", "target_sparsity": 0.85, "max_iter": 12, "random_state": 0}
LINEAR = [
    L0Regressor(max_features=3),
    L0RegressorCV(max_features=3),
    L0Classifier(max_features=3),
    L0ClassifierCV(max_features=3),
    L0PoissonRegressor(max_features=3),
    L0PoissonRegressorCV(max_features=3),
    OSCAR(0.3),
    OSCAR(0.3, loss="poisson"),
    OSCAR(max_features=3),
    OSCARCV(alphas=5, cv=3, selection="1se"),
    OSCARClassifier(0.1),
    OSCARClassifierCV(alphas=4, cv=3, eps=0.2, selection="1se"),
    SLOPE(0.2),
    SLOPECV(alphas=5, cv=3, selection="1se"),
    SLOPEClassifier(0.05),
    SLOPEClassifierCV(alphas=4, cv=3, eps=0.2, selection="1se"),
    GrOWL(0.3),
    GroupLassoRegressor(0.3),
    GroupLassoRegressor(0.2, loss="poisson", relax=True),
    GroupLassoRegressorCV(alphas=5, cv=3, relax=True, selection="1se"),
    GroupLassoClassifier(0.1),
    GroupLassoClassifierCV(alphas=4, cv=3, eps=0.2, selection="1se"),
]
NETWORKS = [SparseMLPClassifier((4,), **NET), SparseMLPRegressor((4,), **NET)]
TRANSFORMERS = [
    GroupLassoSelector(0.3),
    InfFS(3),
    SparseMLPSelector(3, max_iter=5, random_state=0),
    StabilitySelection(max_features=3, n_resamples=4, alphas=4, random_state=0),
]
SELECTORS = [*LINEAR, *TRANSFORMERS, *NETWORKS]
ZERO = [L0Regressor(1e9), L0Classifier(1e9), L0PoissonRegressor(1e9), OSCAR(1e9)]
ZERO += [OSCARClassifier(1e9), SLOPE(1e9), SLOPEClassifier(1e9), GrOWL(1e9)]
ZERO += [GroupLassoRegressor(1e9, relax=True), GroupLassoClassifier(1e9)]
FORMATS = [sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array, sparse.csc_array]
INTERFACE = "sparse_interface"


def name_of(estimator: Any) -> str:
    return type(estimator).__name__


all_selectors = pytest.mark.parametrize("estimator", SELECTORS, ids=name_of)


def make_data(estimator: BaseEstimator, rng: np.random.Generator) -> tuple[Any, Any]:
    """Eight features, of which three matter, and targets of the estimator's kind."""
    X = rng.standard_normal((90, 8))
    z = X[:, [1, 4, 6]] @ [2.0, -1.5, 1.0]
    if is_classifier(estimator):
        return X, np.array(["ash", "elm", "oak"])[np.digitize(z, [-1.0, 1.0])]
    if get_tags(estimator).target_tags.positive_only:
        return X, rng.poisson(np.exp(0.5 * z))
    return X, z + 0.1 * rng.standard_normal(90)


@pytest.fixture
def fitted(estimator: Any, rng: np.random.Generator) -> Any:
    """A copy fitted on the data of :func:`make_data`, with some features left out."""
    model = clone(estimator).fit(*make_data(estimator, rng))
    assert 0 < model.get_support().sum() < 8
    return model


@all_selectors
def test_a_selector_that_predicts(estimator: Any) -> None:
    assert isinstance(estimator, SelectorMixin)
    predicts = estimator not in TRANSFORMERS
    assert (is_classifier(estimator) != is_regressor(estimator)) == predicts
    assert get_tags(estimator).transformer_tags.preserves_dtype == ["float64", "float32"]


@all_selectors
@pytest.mark.parametrize(
    "check",
    [
        estimator_checks.check_transformer_get_feature_names_out,
        estimator_checks.check_transformer_get_feature_names_out_pandas,
        estimator_checks.check_set_output_transform,
        estimator_checks.check_set_output_transform_pandas,
        estimator_checks.check_global_output_transform_pandas,
    ],
    ids=lambda check: check.__name__,
)
def test_sklearn_checks_of_names_and_frames(estimator: Any, check: Any) -> None:
    with warnings.catch_warnings():
        # on the data of the checks, which are frames here and arrays there, a model may be empty
        for message in (
            "No group is selected",
            "No features were",
            "No strength keeps",
            "X (does not have valid|has) feature",
        ):
            warnings.filterwarnings("ignore", message)
        check(name_of(estimator), clone(estimator))


@all_selectors
def test_nothing_can_be_asked_before_a_fit(estimator: Any) -> None:
    for ask in ("get_support", "get_feature_names_out"):
        with pytest.raises(NotFittedError):
            getattr(estimator, ask)()
    with pytest.raises(NotFittedError):
        estimator.transform(np.ones((2, 8)))
    assert not hasattr(estimator, "support_")


@all_selectors
def test_columns_of_arrays(fitted: Any, rng: np.random.Generator) -> None:
    support = fitted.get_support()
    np.testing.assert_array_equal(support, fitted.support_)
    np.testing.assert_array_equal(np.flatnonzero(support), fitted.get_support(indices=True))
    for dtype in (np.float64, np.float32, np.int32):
        X = rng.integers(1, 9, (5, 8)).astype(dtype)
        kept = fitted.transform(X)
        np.testing.assert_array_equal(kept, X[:, support])
        back = fitted.inverse_transform(kept)
        np.testing.assert_array_equal(back, np.where(support, X, 0))
        assert kept.dtype == back.dtype == dtype
    names = np.array(list("abcdefgh"))
    np.testing.assert_array_equal(fitted.transform([names])[0], names[support])
    np.testing.assert_array_equal(fitted.get_feature_names_out(names), names[support])
    assert set(fitted.inverse_transform([names[support]])[0]) == {*names[support], ""}
    for method in (fitted.transform, fitted.inverse_transform):
        with pytest.raises(ValueError, match=r"features|shape"):
            method(np.ones((2, 9)))
    with pytest.raises(ValueError, match="NaN"):
        fitted.transform(np.full((2, 8), np.nan))


@all_selectors
def test_fit_transform_is_fit_and_transform(estimator: Any, rng: np.random.Generator) -> None:
    X, y = make_data(estimator, rng)
    weights = rng.uniform(0.5, 1.5, len(X))
    once = clone(estimator).fit_transform(X, y, sample_weight=weights)
    twice = clone(estimator).fit(X, y, sample_weight=weights).transform(X)
    np.testing.assert_array_equal(once, twice)


@all_selectors
@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.__name__)
def test_columns_of_sparse_data(
    estimator: Any, fitted: Any, form: Any, rng: np.random.Generator
) -> None:
    X, y = make_data(estimator, rng)
    X = np.where(np.abs(X) > 0.3, X, 0.0).astype(np.float32)
    kept = fitted.transform(form(X))
    assert sparse.issparse(kept)
    assert kept.dtype == np.float32
    np.testing.assert_array_equal(kept.toarray(), X[:, fitted.get_support()])
    back = fitted.inverse_transform(kept)
    assert sparse.issparse(back)
    np.testing.assert_array_equal(back.toarray(), np.where(fitted.get_support(), X, 0))
    on_sparse = clone(estimator).fit(form(X), y)
    np.testing.assert_array_equal(on_sparse.transform(X), on_sparse.transform(form(X)).toarray())


@pytest.mark.skipif(INTERFACE not in sklearn.get_config(), reason="before scikit-learn 1.9")
@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.__name__)
@pytest.mark.parametrize("interface", ["spmatrix", "sparray"])
@pytest.mark.parametrize("estimator", [L0Classifier(max_features=3)], ids=name_of)
def test_sparse_results_have_the_configured_interface(
    fitted: Any, form: Any, interface: str, rng: np.random.Generator
) -> None:
    X = form(sparse.random_array((20, 8), density=0.5, rng=rng))
    with sklearn.config_context(**{INTERFACE: interface}):
        kept = fitted.transform(X)
        found = [kept, fitted.inverse_transform(kept), fitted.sparsify().coef_]
    assert [sparse.isspmatrix(each) for each in found] == [interface == "spmatrix"] * 3


@all_selectors
def test_frames_keep_their_names_and_types(estimator: Any, rng: np.random.Generator) -> None:
    X, y = make_data(estimator, rng)
    frame = pd.DataFrame(X, columns=list("abcdefgh"), index=rng.permutation(90))
    frame = frame.astype({"a": np.float32, "b": np.float32})
    model = clone(estimator).set_output(transform="pandas").fit(frame, y)
    names = frame.columns[model.get_support()]
    kept = model.transform(frame)
    pd.testing.assert_frame_equal(kept, frame[names])
    assert model.get_feature_names_out().tolist() == names.tolist()
    with pytest.raises(ValueError, match="feature names"):
        model.transform(frame[frame.columns[::-1]])
    # what is predicted stays an array
    if hasattr(model, "predict"):
        assert isinstance(model.predict(frame), np.ndarray)


@pytest.mark.parametrize("estimator", ZERO, ids=name_of)
def test_a_model_without_features_is_valid_and_transform_says_so(
    estimator: Any, rng: np.random.Generator
) -> None:
    X, y = make_data(estimator, rng)
    model = clone(estimator).fit(X, y)
    assert not model.get_support().any()
    assert model.get_feature_names_out().tolist() == []
    assert len(set(model.predict(X))) == 1
    assert model.n_features_ == 0
    for data in (X, X.astype(np.float32), sparse.csr_array(X)):
        with pytest.warns(UserWarning, match="No features were selected"):
            kept = model.transform(data)
        assert kept.shape == (90, 0)
        assert kept.dtype == data.dtype
    frame = pd.DataFrame(X).rename(columns=str)
    model = model.set_output(transform="pandas").fit(frame, y)
    with pytest.warns(UserWarning, match="No features were selected"):
        kept = model.transform(frame)
    pd.testing.assert_index_equal(kept.index, frame.index)
    assert kept.shape == (90, 0)


@all_selectors
def test_in_the_middle_of_a_pipeline(estimator: Any, rng: np.random.Generator) -> None:
    X, y = make_data(estimator, rng)
    last = LogisticRegression() if is_classifier(estimator) else LinearRegression()
    pipeline = make_pipeline(StandardScaler(), clone(estimator), last).fit(X, y)
    Z = StandardScaler().fit_transform(X)
    selector = clone(estimator).fit(Z, y)
    direct = clone(last).fit(Z[:, selector.get_support()], y)
    np.testing.assert_array_equal(pipeline.predict(X), direct.predict(selector.transform(Z)))
    names = pipeline[:-1].get_feature_names_out(list("abcdefgh"))
    np.testing.assert_array_equal(names, np.array(list("abcdefgh"))[selector.get_support()])
    # at the end, the pipeline predicts and transforms
    end = make_pipeline(StandardScaler(), clone(estimator)).fit(X, y)
    np.testing.assert_array_equal(end.transform(X), Z[:, selector.get_support()])
    restored = np.where(selector.support_, X, X.mean(axis=0))
    np.testing.assert_allclose(end.inverse_transform(end.transform(X)), restored)


def test_the_number_of_features_of_a_middle_step_is_searched(rng: np.random.Generator) -> None:
    X, y = make_data(L0Regressor(), rng)
    pipeline = make_pipeline(L0Regressor(), StandardScaler(), LinearRegression())
    search = GridSearchCV(pipeline, {"l0regressor__max_features": [1, 2, 3]}, cv=3).fit(X, y)
    assert search.best_params_ == {"l0regressor__max_features": 3}
    assert search.best_estimator_[0].get_support(indices=True).tolist() == [1, 4, 6]


def test_side_by_side(rng: np.random.Generator) -> None:
    X, y = make_data(L0Regressor(), rng)
    frame = pd.DataFrame(X, columns=list("abcdefgh"))
    union = make_union(L0Regressor(max_features=2), OSCAR(1e-3)).set_output(transform="pandas")
    both = union.fit(frame, y).transform(frame)
    assert both.columns[:2].tolist() == ["l0regressor__b", "l0regressor__e"]
    assert both.shape[1] == 2 + union.transformer_list[1][1].n_features_
    columns = make_column_transformer(
        (L0Regressor(max_features=1), ["a", "b", "c"]), (L0Regressor(max_features=1), ["d", "e"])
    )
    names = columns.fit(frame, y).get_feature_names_out().tolist()
    assert names == ["l0regressor-1__b", "l0regressor-2__e"]


@pytest.mark.skipif(not hasattr(L0Regressor(), "set_fit_request"), reason="needs metadata routing")
def test_weights_are_routed_to_a_middle_step(rng: np.random.Generator) -> None:
    X, y = make_data(L0Regressor(), rng)
    # by these weights, another feature counts most
    weights = np.where(rng.random(90) < 0.5, 0.0, 1.0)
    y = np.where(weights > 0, 5 * X[:, 0], y)
    with sklearn.config_context(enable_metadata_routing=True):
        select = L0Regressor(max_features=1).set_fit_request(sample_weight=True)
        last = LinearRegression().set_fit_request(sample_weight=False)
        pipeline = make_pipeline(select, last).fit(X, y, sample_weight=weights)
    assert pipeline[0].get_support(indices=True).tolist() == [0]


def set_weights(net: Any, *matrices: Any) -> None:
    layers = [layer for layer in net.module_.children() if isinstance(layer, nn.Linear)]
    for layer, matrix in zip(layers, matrices, strict=True):
        layer.weight.data[:] = layer.weight.data.new_tensor(np.transpose(matrix))


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("estimator", NETWORKS, ids=name_of)
def test_a_network_uses_the_inputs_on_a_path_to_an_output(
    estimator: Any, batch_norm: bool, rng: np.random.Generator
) -> None:
    X, y = make_data(estimator, rng)
    net = clone(estimator).set_params(batch_norm=batch_norm, hidden_layer_sizes=(3, 2)).fit(X, y)
    assert net.architecture_[0] == net.get_support().sum()
    first, second = np.zeros((8, 3)), np.zeros((3, 2))
    last = np.zeros((2, net.coefs_[-1].shape[1]))
    first[0, 0] = first[1, 1] = first[2, 2] = second[0, 0] = second[2, 1] = last[0, 0] = 1.0
    set_weights(net, first, second, last)
    # feature 1 leads to a unit without outputs, and feature 2 to one that leads nowhere
    assert net.get_support(indices=True).tolist() == [0]
    # paths whose products of weights no number can hold are paths
    set_weights(net, 1e-30 * first, 1e-30 * second, 1e-30 * last)
    assert net.get_support(indices=True).tolist() == [0]
    before = net.predict(X)
    np.testing.assert_array_equal(
        before, net.predict(net.inverse_transform(net.transform(X))), strict=True
    )


def test_what_is_selected_follows_partial_fit(rng: np.random.Generator) -> None:
    X, y = make_data(NETWORKS[0], rng)
    net = clone(NETWORKS[0]).partial_fit(X, y, classes=np.unique(y))
    assert net.get_support().all()
    assert net.fit(X, y).get_support().sum() < 8


@pytest.mark.parametrize("kind", [SparseNetClassifier, SparseNetRegressor])
def test_networks_of_any_module_do_not_say_which_features_they_use(kind: Any) -> None:
    net = kind(nn.Linear(8, 3))
    assert not any(hasattr(net, name) for name in ("transform", "get_support", "support_"))


@pytest.mark.parametrize(
    "model",
    [
        L0Regressor(0.5),
        L0Regressor(max_features=2),
        L0RegressorCV(max_features=2),
        L0Classifier(max_features=2),
        L0ClassifierCV(max_features=2),
        L0PoissonRegressor(max_features=2),
        L0PoissonRegressorCV(max_features=2),
        OSCAR(0.5),
        OSCARCV(alphas=4),
        OSCARClassifier(max_features=2),
        SLOPE(max_clusters=2),
        SLOPEClassifierCV(alphas=4, eps=0.1),
        GrOWL(0.5),
    ],
    ids=str,
)
def test_n_features_counts_what_was_chosen(model: Any, rng: np.random.Generator) -> None:
    X, y = make_data(model, rng)
    model = clone(model).fit(X, y)
    assert type(model.n_features_) is int
    assert model.n_features_ == model.get_support().sum() > 0
    if "penalty_weights" in model.get_params():
        model.set_params(penalty_weights=[0, 1, 1, 1, 1, 1, 1, 0]).fit(X, y)
        assert model.get_support()[[0, 7]].all()
        assert model.n_features_ == model.get_support().sum() - 2


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array], ids=["dense", "sparse"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("model", [L0Classifier(max_features=3), L0ClassifierCV()], ids=name_of)
def test_sparse_coefficients_say_the_same(
    model: Any, n_classes: int, dtype: Any, form: Any, rng: np.random.Generator
) -> None:
    X, y = make_data(model, rng)
    X, y = form(X.astype(dtype)), np.where(y == "oak", y, "ash") if n_classes == 2 else y
    model = clone(model).fit(X, y)
    coef, expected = model.coef_.copy(), [model.predict_proba(X), model.get_support()]
    assert model.sparsify() is model
    assert sparse.issparse(model.coef_)
    for found in (model, clone(model).fit(X, y).sparsify().sparsify()):
        np.testing.assert_array_equal(found.support_, expected[1])
        np.testing.assert_allclose(found.predict_proba(X), expected[0], rtol=1e-5)
        kept, dense = found.transform(X), X[:, expected[1]]
        assert (kept != dense).sum() == 0
    assert model.densify() is model
    np.testing.assert_array_equal(model.coef_, coef, strict=True)


def test_a_fit_goes_on_from_sparse_coefficients(rng: np.random.Generator) -> None:
    model = L0Classifier(max_features=3, warm_start=True)
    X, y = make_data(model, rng)
    coef = model.fit(X, y).coef_
    np.testing.assert_allclose(model.sparsify().fit(X, y).coef_, coef, rtol=1e-6)
    for ask in (L0Classifier().sparsify, L0Classifier().densify):
        with pytest.raises(NotFittedError):
            ask()
