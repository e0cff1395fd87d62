"""Metadata routing of scikit-learn: what every estimator requests, and gets inside of others."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone, is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import (
    BaggingClassifier,
    BaggingRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.feature_selection import RFE, SelectFromModel
from sklearn.linear_model import LinearRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.utils.metadata_routing import get_routing_for_object
from torch import nn

import sksparse

# Networks here are trained for an epoch, and say that this is not enough.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

_EPOCH = {"max_iter": 1, "random_state": 0}


def _module(n_features: int, n_outputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(n_features, 3), nn.ReLU(), nn.Linear(3, n_outputs))


OPTIONS: dict[str, dict[str, Any]] = {
    "GroupLassoClassifier": {"alpha": 1e-3},
    "GroupLassoClassifierCV": {"alphas": 3, "cv": 2, "eps": 0.1},
    "GroupLassoRegressor": {"alpha": 1e-3},
    "GroupLassoRegressorCV": {"alphas": 3, "cv": 2},
    "GroupLassoSelector": {"alpha": 1e-3},
    "InfFS": {"max_features": 2},
    "SparseMLPSelector": {"max_features": 2, "max_iter": 5, "random_state": 0},
    "GrOWL": {"alpha": 1e-3},
    "L0Classifier": {"alpha": 1e-4},
    "L0ClassifierCV": {"max_features": 2, "cv": 2},
    "L0PoissonRegressor": {"alpha": 1e-4, "l2": 0.01},
    "L0PoissonRegressorCV": {"max_features": 2, "cv": 2, "l2": 0.01},
    "L0Regressor": {"alpha": 1e-4},
    "L0RegressorCV": {"max_features": 2, "cv": 2},
    "OSCAR": {"alpha": 1e-3},
    "OSCARCV": {"alphas": 3, "cv": 2},
    "OSCARClassifier": {"alpha": 1e-3},
    "OSCARClassifierCV": {"alphas": 3, "cv": 2, "eps": 0.1},
    "SLOPE": {"alpha": 1e-3},
    "SLOPECV": {"alphas": 3, "cv": 2},
    "SLOPEClassifier": {"alpha": 1e-3},
    "SLOPEClassifierCV": {"alphas": 3, "cv": 2, "eps": 0.1},
    **{
        f"{kind}{task}": {"hidden_layer_sizes": (3,), "share": 0.5, **_EPOCH}
        for kind in ("HashedMLP", "LowRankMLP")
        for task in ("Classifier", "Regressor")
    },
    "SparseMLPClassifier": {"hidden_layer_sizes": (3,), **_EPOCH},
    "SparseMLPRegressor": {"hidden_layer_sizes": (3,), **_EPOCH},
    "SparseNetClassifier": {"module": _module, **_EPOCH},
    "SparseNetRegressor": {"module": _module, **_EPOCH},
    "StabilitySelection": {"n_resamples": 2, "alphas": 3, "random_state": 0},
}
NOT_PREDICTING = {"GroupLassoSelector", "InfFS", "SparseMLPSelector", "StabilitySelection"}
PREDICTORS = sorted(set(OPTIONS) - NOT_PREDICTING)
#: Modules of any kind and layers that share values need have no importances, which the elimination
#: ranks features by.
UNRANKED = ("SparseNet", "HashedMLP", "LowRankMLP")
NETWORKS = [name for name in PREDICTORS if name.startswith(("Sparse", "Hashed", "LowRank"))]


def make(name: str) -> Any:
    return getattr(sksparse, name)(**OPTIONS[name])


@pytest.fixture(autouse=True)
def routing() -> Iterator[None]:
    with config_context(enable_metadata_routing=True):
        yield


@pytest.fixture
def samples(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Features, and counts that are classes as well."""
    X = rng.standard_normal((48, 4))
    return X, (X[:, 0] + 0.5 * rng.standard_normal(48) > 0.0).astype(int)


def weight_of(X: Any) -> np.ndarray:
    """Weights that tell the rows of X apart, whatever columns are left of it."""
    return 1.0 + np.round(np.abs(np.asarray(X)).max(axis=1), 6) % 1.0


Calls = list[tuple[np.ndarray, Any]]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Features and weights of every call of ``fit`` of these estimators."""
    seen: Calls = []
    for name in OPTIONS:
        kind = getattr(sksparse, name)

        def recorded(fit: Any) -> Any:
            @functools.wraps(fit)
            def call(self: Any, X: Any, y: Any, sample_weight: Any = None, **params: Any) -> Any:
                seen.append((np.asarray(X), sample_weight))
                return fit(self, X, y, sample_weight=sample_weight, **params)

            return call

        monkeypatch.setattr(kind, "fit", recorded(kind.fit))
    return seen


def test_every_estimator_is_here() -> None:
    assert set(OPTIONS) == {name for name in sksparse.__all__ if name != "one_hot_groups"}


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_weights_are_requested_by_nothing_until_the_user_says_so(name: str) -> None:
    model = make(name)
    for method in ("fit", "score", "partial_fit"):
        if not hasattr(model, method):
            assert not hasattr(model, f"set_{method}_request")
            continue
        request = getattr(model, f"set_{method}_request")
        expected = {"sample_weight"}
        if method == "fit" and name in NETWORKS:
            expected |= {"X_val", "y_val", "sample_weight_val", "groups"}
        if method == "partial_fit" and is_classifier(model):
            expected.add("classes")
        for value in (True, False, "importance", None):
            assert request(sample_weight=value) is model
            for other in (model, clone(model)):
                own = get_routing_for_object(other)
                own = getattr(own, "_self_request", own)
                requests = getattr(own, method).requests
                assert set(requests) == expected
                assert requests["sample_weight"] == value
        with pytest.raises(TypeError, match="Unexpected args"):
            request(weights=True)
        with config_context(enable_metadata_routing=False), pytest.raises(RuntimeError):
            request(sample_weight=True)


def weighted(model: Any) -> Any:
    """A copy that requests weights in its fit."""
    return clone(model).set_fit_request(sample_weight=True)


META: dict[str, tuple[Any, Any]] = {
    "pipeline": (make_pipeline, make_pipeline),
    "stacking": (
        lambda model: StackingRegressor([("model", model)], weighted(LinearRegression()), cv=2),
        lambda model: StackingClassifier([("model", model)], weighted(RidgeClassifier()), cv=2),
    ),
    "voting": (
        lambda model: VotingRegressor([("model", model)]),
        lambda model: VotingClassifier([("model", model)]),
    ),
    "outputs": (MultiOutputRegressor, MultiOutputClassifier),
    "target": (lambda model: TransformedTargetRegressor(model), None),
    "calibration": (None, lambda model: CalibratedClassifierCV(model, cv=2)),
    "one against rest": (None, OneVsRestClassifier),
}
SELECTORS: dict[str, Any] = {
    "model": lambda model: SelectFromModel(model, threshold=-np.inf),
    "rfe": lambda model: RFE(model, n_features_to_select=3),
}
CASES = [
    (name, meta)
    for name in PREDICTORS
    for meta, kinds in META.items()
    if kinds[is_classifier(make(name))] is not None
]


def check_weights_arrive(outer: Any, model: Any, samples: Any, calls: Calls) -> None:
    """Weights reach all fits inside of ``outer(model)`` once they are requested."""
    X, y = samples
    weights = weight_of(X)
    with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
        outer(model).fit(X, y, sample_weight=weights)
    assert not calls
    outer(weighted(model)).fit(X, y, sample_weight=weights)
    assert calls
    for rows, given in calls:
        positions = np.flatnonzero(np.isin(weights, given))
        np.testing.assert_array_equal(given, weights[positions])
        assert all(
            np.isin(part, whole).all() for part, whole in zip(rows, X[positions], strict=True)
        )


@pytest.mark.parametrize("name, meta", CASES)
def test_weights_reach_models_inside_of_others(
    name: str, meta: str, samples: Any, calls: Calls
) -> None:
    model = make(name)
    X, y = samples
    several = np.column_stack((y, 1 - y)) if meta == "outputs" else y
    check_weights_arrive(META[meta][is_classifier(model)], model, (X, several), calls)


@pytest.mark.parametrize(
    "name, kind",
    [(n, k) for n in PREDICTORS for k in SELECTORS if k != "rfe" or not n.startswith(UNRANKED)],
)
def test_weights_reach_models_that_select_for_others(
    name: str, kind: str, samples: Any, calls: Calls
) -> None:
    check_weights_arrive(SELECTORS[kind], make(name), samples, calls)


def test_weights_reach_a_selector_in_front(samples: Any, calls: Calls) -> None:
    last = weighted(LinearRegression())
    check_weights_arrive(
        lambda model: make_pipeline(model, last), make("GroupLassoSelector"), samples, calls
    )


@pytest.mark.parametrize("name", PREDICTORS)
def test_bagging_draws_by_weights_that_its_models_may_not_see(name: str, samples: Any) -> None:
    model, (X, y) = make(name), samples
    kind = BaggingClassifier if is_classifier(model) else BaggingRegressor
    bag = kind(weighted(model), n_estimators=2, random_state=0)
    # every drawn row has a weight, so the others need not be there
    used = y * (X[:, 1] > 0.0) + (1 - y) * (X[:, 2] > 0.0) > 0
    weights = weight_of(X) * used
    assert bag.fit(X, y, sample_weight=weights).predict(X).shape == (48,)


@pytest.mark.parametrize("name", PREDICTORS)
def test_scores_of_folds_are_weighted_where_the_model_says_so(name: str, samples: Any) -> None:
    X, y = samples
    weights = weight_of(X)
    folds = [(np.arange(12, 48), np.arange(12)), (np.arange(36), np.arange(36, 48))]
    model = weighted(make(name))
    with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
        cross_validate(model, X, y, cv=folds, params={"sample_weight": weights})
    for asked in (True, False):
        model.set_score_request(sample_weight=asked)
        found = cross_validate(model, X, y, cv=folds, params={"sample_weight": weights})
        search = GridSearchCV(model, [{}], cv=folds).fit(X, y, sample_weight=weights)
        expected = []
        for train, test in folds:
            alone = clone(model).set_fit_request(sample_weight=None)
            alone.fit(X[train], y[train], sample_weight=weights[train])
            given = weights[test] if asked else None
            expected.append(alone.score(X[test], y[test], sample_weight=given))
        np.testing.assert_allclose(found["test_score"], expected)
        assert search.best_score_ == pytest.approx(np.mean(expected))


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_reach_batches_of_a_network(
    name: str, samples: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = samples
    model, weights = make(name), weight_of(X)
    targets = np.column_stack((y, 1 - y))
    kind: Any = MultiOutputRegressor
    options: list[dict[str, Any]] = [{}, {}]
    if is_classifier(model):
        kind, options = MultiOutputClassifier, [{"classes": [[0, 1]] * 2}, {"classes": [0, 1]}]
    with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
        kind(model).partial_fit(X, targets, sample_weight=weights, **options[0])
    several = kind(model.set_partial_fit_request(sample_weight=True))
    several.partial_fit(X, targets, sample_weight=weights, **options[0])
    alone = clone(model).set_partial_fit_request(sample_weight=None)
    alone.partial_fit(X, targets[:, 1], sample_weight=weights, **options[1])
    np.testing.assert_array_equal(several.estimators_[1].predict(X), alone.predict(X))
