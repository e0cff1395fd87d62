"""Searches of scikit-learn over the strength of every estimator, and what it sets them to."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from joblib import parallel_config
from scipy.stats import loguniform
from sklearn.base import clone, is_classifier
from sklearn.ensemble import BaggingRegressor
from sklearn.exceptions import FitFailedWarning, NotFittedError
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    HalvingRandomSearchCV,
    KFold,
    ParameterGrid,
    RandomizedSearchCV,
    StratifiedKFold,
    cross_val_score,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from sksparse import (
    OSCAR,
    OSCARCV,
    SLOPE,
    GroupLassoClassifier,
    GroupLassoRegressor,
    GroupLassoSelector,
    GrOWL,
    L0Classifier,
    L0PoissonRegressor,
    L0Regressor,
    L0RegressorCV,
    OSCARClassifier,
    SparseMLPClassifier,
    SparseMLPRegressor,
)
from sksparse.sparsifiers import L1Shrinkage, Magnitude

# Networks here are trained for two epochs, and say that these are not enough.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

STRENGTHS = [0.3, 0.03, 0.003]
NETWORK: dict[str, Any] = {"hidden_layer_sizes": (4,), "max_iter": 2, "random_state": 0}
LINEAR: dict[str, tuple[Any, str]] = {
    "L0Regressor": (L0Regressor(), "alpha"),
    "L0Classifier": (L0Classifier(), "alpha"),
    "L0PoissonRegressor": (L0PoissonRegressor(l2=0.01), "alpha"),
    "OSCAR": (OSCAR(), "alpha"),
    "SLOPE": (SLOPE(loss="poisson"), "alpha"),
    "OSCARClassifier": (OSCARClassifier(), "alpha"),
    "GrOWL": (GrOWL(), "alpha"),
    "GroupLassoRegressor": (GroupLassoRegressor(loss="poisson"), "alpha"),
    "GroupLassoClassifier": (GroupLassoClassifier(), "alpha"),
    "GroupLassoSelector": (
        make_pipeline(GroupLassoSelector(min_features=1), LinearRegression()),
        "grouplassoselector__alpha",
    ),
}
ALL = LINEAR | {
    "SparseMLPRegressor": (SparseMLPRegressor(**NETWORK), "alpha"),
    "SparseMLPClassifier": (SparseMLPClassifier(**NETWORK), "alpha"),
}
Samples = tuple[np.ndarray, np.ndarray]


@pytest.fixture
def samples(rng: np.random.Generator) -> Samples:
    """Features, and targets that are numbers, counts and classes."""
    X = rng.standard_normal((90, 5))
    return X, (X[:, 1] + 0.5 * X[:, 3] + 0.5 * rng.standard_normal(90) > 0.0).astype(float)


def params_of(model: Any) -> str:
    """Everything that a user has set."""
    return repr(sorted((name, repr(value)) for name, value in model.get_params().items()))


def folds_for(model: Any) -> Any:
    return StratifiedKFold(3) if is_classifier(model) else KFold(3)


@pytest.mark.parametrize("name", sorted(ALL))
def test_a_search_is_fits_of_clones_on_folds(name: str, samples: Samples) -> None:
    X, y = samples
    model, strength = ALL[name]
    before, (X_before, y_before) = params_of(model), (X.copy(), y.copy())
    search = GridSearchCV(model, {strength: STRENGTHS}, cv=3, return_train_score=True).fit(X, y)
    # what was given is as it was
    assert params_of(model) == before
    assert not hasattr(model, "n_features_in_")
    np.testing.assert_array_equal(X, X_before)
    np.testing.assert_array_equal(y, y_before)
    results = search.cv_results_
    assert results["params"] == [{strength: value} for value in STRENGTHS]
    for fold, (train, test) in enumerate(folds_for(model).split(X, y)):
        for k, value in enumerate(STRENGTHS):
            alone = clone(model).set_params(**{strength: value}).fit(X[train], y[train])
            for rows, part in ((test, "test"), (train, "train")):
                found = results[f"split{fold}_{part}_score"][k]
                assert found == pytest.approx(alone.score(X[rows], y[rows]), rel=1e-9)
    assert search.best_index_ == results["mean_test_score"].argmax()
    again = clone(model).set_params(**search.best_params_).fit(X, y)
    np.testing.assert_array_equal(search.predict(X), again.predict(X))
    assert search.n_features_in_ == 5
    if is_classifier(model):
        np.testing.assert_array_equal(search.classes_, [0.0, 1.0])
        assert search.predict_proba(X).shape == (90, 2)
    else:
        assert not hasattr(search, "predict_proba")


@pytest.mark.parametrize("name", sorted(LINEAR))
def test_order_and_neighbours_of_a_strength_do_not_matter(name: str, samples: Samples) -> None:
    X, y = samples
    model, strength = LINEAR[name]
    scores = {}
    for values in (STRENGTHS, STRENGTHS[::-1], [np.float32(v) for v in STRENGTHS], STRENGTHS[1:]):
        search = GridSearchCV(model, {strength: values}, cv=3).fit(X, y)
        found = dict(zip(values, search.cv_results_["mean_test_score"], strict=True))
        for value, score in found.items():
            key = round(float(value), 6)
            assert scores.setdefault(key, score) == pytest.approx(score, rel=1e-4)


@pytest.mark.parametrize("name", sorted(ALL))
def test_searches_are_pickled_and_cloned(name: str, samples: Samples) -> None:
    X, y = samples
    model, strength = ALL[name]
    search = GridSearchCV(model, {strength: STRENGTHS}, cv=2).fit(X, y)
    again = pickle.loads(pickle.dumps(search))
    np.testing.assert_array_equal(again.predict(X), search.predict(X))
    assert again.best_params_ == search.best_params_
    anew = clone(again)
    assert params_of(anew.estimator) == params_of(model)
    with pytest.raises(NotFittedError):
        anew.predict(X)


@pytest.mark.parametrize("name", sorted(ALL))
def test_jobs_find_the_same(name: str, samples: Samples) -> None:
    X, y = samples
    model, strength = ALL[name]
    # processes cost a second each to start, and are asked for once
    with parallel_config("loky" if name == "L0Regressor" else "threading"):
        one, two = (
            GridSearchCV(model, {strength: STRENGTHS}, cv=2, n_jobs=n).fit(X, y) for n in (1, 2)
        )
    for part in range(2):
        key = f"split{part}_test_score"
        np.testing.assert_allclose(one.cv_results_[key], two.cv_results_[key], rtol=1e-6)
    np.testing.assert_allclose(one.predict(X), two.predict(X), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", sorted(ALL))
def test_frames_and_lists(name: str, samples: Samples) -> None:
    X, y = samples
    model, strength = ALL[name]
    plain = GridSearchCV(model, {strength: STRENGTHS}, cv=2).fit(X, y)
    frame = pd.DataFrame(X, columns=list("abcde"), index=np.arange(90)[::-1])
    series = pd.Series(y, index=frame.index, name="target")
    named = clone(plain).fit(frame, series)
    assert named.feature_names_in_.tolist() == list("abcde")
    np.testing.assert_allclose(named.predict(frame), plain.predict(X), rtol=1e-9)
    listed = clone(plain).fit(X.tolist(), y.tolist())
    np.testing.assert_allclose(listed.predict(X), plain.predict(X), rtol=1e-9)
    with pytest.raises(ValueError, match="feature names"):
        named.predict(frame.rename(columns={"a": "z"}))


@pytest.mark.parametrize("name", sorted(LINEAR))
def test_sparse_features(name: str, samples: Samples) -> None:
    X, y = samples
    X = np.where(np.abs(X) > 0.7, X, 0.0)
    model, strength = LINEAR[name]
    dense = GridSearchCV(model, {strength: STRENGTHS}, cv=2).fit(X, y)
    for kind in (sp.csr_array, sp.csc_matrix):
        sparse = clone(dense).fit(kind(X), y)
        key = "mean_test_score"
        np.testing.assert_allclose(sparse.cv_results_[key], dense.cv_results_[key], rtol=1e-6)
        np.testing.assert_allclose(sparse.predict(kind(X)), dense.predict(X), rtol=1e-6, atol=1e-9)


@pytest.mark.filterwarnings("ignore:One or more of the test scores:UserWarning")
@pytest.mark.parametrize("name", sorted(ALL))
def test_a_strength_that_is_refused_costs_its_own_point_only(name: str, samples: Samples) -> None:
    X, y = samples
    model, strength = ALL[name]
    search = GridSearchCV(model, {strength: [-1.0, 0.01]}, cv=2)
    with pytest.warns(FitFailedWarning, match="alpha"):
        search.fit(X, y)
    assert np.isnan(search.cv_results_["mean_test_score"]).tolist() == [True, False]
    assert search.best_params_ == {strength: 0.01}
    with pytest.warns(FitFailedWarning):
        search.set_params(error_score=-7.0).fit(X, y)
    assert search.cv_results_["mean_test_score"][0] == -7.0
    with pytest.raises(ValueError, match="alpha"):
        search.set_params(error_score="raise").fit(X, y)
    with pytest.raises(ValueError, match="fits failed"):
        GridSearchCV(model, {strength: [-1.0]}, cv=2).fit(X, y)


@pytest.mark.parametrize("name", sorted(ALL))
def test_the_last_fit_is_what_refit_says(name: str, samples: Samples) -> None:
    X, y = samples
    model, strength = ALL[name]
    search = GridSearchCV(model, {strength: STRENGTHS}, cv=2, refit=False).fit(X, y)
    assert not hasattr(search, "best_estimator_")
    with pytest.raises(AttributeError, match="predict"):
        search.predict(X)
    search.set_params(refit=lambda results: 1).fit(X, y)
    assert search.best_params_ == {strength: STRENGTHS[1]}
    alone = clone(model).set_params(**search.best_params_).fit(X, y)
    np.testing.assert_array_equal(search.predict(X), alone.predict(X))


def size_of(model: Any, X: Any, y: Any) -> float:
    """Minus the number of features in use: a scorer that looks into a model."""
    last = model[0] if isinstance(model, Pipeline) else model
    return -float(np.count_nonzero(last.get_support()))


@pytest.mark.parametrize("name", sorted(LINEAR))
def test_several_scores(name: str, samples: Samples) -> None:
    X, y = samples
    model, strength = LINEAR[name]
    metric = "accuracy" if is_classifier(model) else "r2"
    scoring = {"quality": metric, "size": size_of}
    search = GridSearchCV(model, {strength: STRENGTHS}, cv=2, scoring=scoring, refit="size")
    search.fit(X, y)
    alone = GridSearchCV(model, {strength: STRENGTHS}, cv=2, scoring=metric).fit(X, y)
    np.testing.assert_array_equal(
        search.cv_results_["mean_test_quality"], alone.cv_results_["mean_test_score"]
    )
    # the strongest penalty keeps the fewest features
    assert search.best_params_ == {strength: STRENGTHS[0]}
    assert search.score(X, y) == size_of(search.best_estimator_, X, y)


@pytest.mark.parametrize("name", sorted(ALL))
def test_random_strengths_are_those_of_the_seed(name: str, samples: Samples) -> None:
    X, y = samples
    model, strength = ALL[name]
    one, two = (
        RandomizedSearchCV(
            model, {strength: loguniform(1e-4, 0.1)}, n_iter=3, cv=2, random_state=3
        ).fit(X, y)
        for _ in range(2)
    )
    assert one.cv_results_["params"] == two.cv_results_["params"]
    np.testing.assert_array_equal(
        one.cv_results_["mean_test_score"], two.cv_results_["mean_test_score"]
    )
    assert 1e-4 < one.best_params_[strength] < 0.1


@pytest.mark.parametrize("name", sorted(ALL))
@pytest.mark.parametrize("kind", [HalvingGridSearchCV, HalvingRandomSearchCV])
def test_halving_ends_with_one_strength(name: str, kind: Any, samples: Samples) -> None:
    X, y = samples
    model, strength = ALL[name]
    search = kind(model, {strength: STRENGTHS}, cv=2, factor=3, min_resources=30, random_state=0)
    search.fit(X, y)
    assert search.n_resources_ == [30, 90][: len(search.n_resources_)]
    assert search.best_params_[strength] in STRENGTHS
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_halving_may_ration_epochs_or_passes(samples: Samples) -> None:
    X, y = samples
    for model, strength in (ALL["OSCAR"], ALL["SparseMLPRegressor"]):
        search = HalvingGridSearchCV(
            model,
            {strength: STRENGTHS},
            cv=2,
            resource="max_iter",
            min_resources=2,
            max_resources=6,
        ).fit(X, y)
        assert search.n_resources_ == [2, 6]
        assert search.best_estimator_.max_iter == 6


def test_numbers_of_features_and_strengths_are_alternatives(samples: Samples) -> None:
    X, y = samples
    grid = [{"max_features": [1, 2, 3]}, {"alpha": STRENGTHS, "max_features": [None]}]
    search = GridSearchCV(L0Regressor(), grid, cv=3).fit(X, y)
    points = list(ParameterGrid(grid))
    assert len(search.cv_results_["params"]) == len(points) == 6
    for point, score in zip(points, search.cv_results_["mean_test_score"], strict=True):
        alone = cross_val_score(L0Regressor(**point), X, y, cv=3)
        assert score == pytest.approx(alone.mean())


def test_methods_and_estimators_are_points_of_a_grid(samples: Samples) -> None:
    X, y = samples
    methods = ["magnitude", Magnitude(), L1Shrinkage(), None]
    model = SparseMLPClassifier(**NETWORK)
    search = GridSearchCV(model, {"sparsifier": methods}, cv=2).fit(X, y)
    assert len(search.cv_results_["param_sparsifier"]) == 4
    pipeline = Pipeline([("scale", StandardScaler()), ("model", OSCAR())])
    models = [OSCAR(), L0Regressor(), LinearRegression()]
    search = GridSearchCV(pipeline, {"model": models, "scale": ["passthrough"]}, cv=2).fit(X, y)
    assert type(search.best_estimator_["model"]) in {type(model) for model in models}
    inner = BaggingRegressor(L0Regressor(), n_estimators=2, random_state=0)
    search = GridSearchCV(inner, {"estimator__alpha": STRENGTHS}, cv=2).fit(X, y)
    assert all(m.alpha == search.best_params_["estimator__alpha"] for m in search.best_estimator_)


@pytest.mark.parametrize(
    "model, grid",
    [
        (L0RegressorCV(max_features=3, cv=2), {"l2": [0.0, 0.1], "scoring": [None, "r2"]}),
        (OSCARCV(alphas=4, cv=2), {"pairwise": [0.2, 0.8], "cv": [2, KFold(3)]}),
    ],
)
def test_a_search_inside_of_a_search(model: Any, grid: dict[str, Any], samples: Samples) -> None:
    X, y = samples
    outer = GridSearchCV(model, grid, cv=3, error_score="raise").fit(X, y)
    best = clone(model).set_params(**outer.best_params_).fit(X, y)
    np.testing.assert_array_equal(outer.best_estimator_.coef_, best.coef_)
    np.testing.assert_array_equal(outer.best_estimator_.alphas_, best.alphas_)


def test_data_that_cannot_be_written_are_searched(samples: Samples, tmp_path: Any) -> None:
    X, y = samples
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    for name in ("L0Regressor", "OSCAR", "SparseMLPRegressor"):
        model, strength = ALL[name]
        plain = GridSearchCV(model, {strength: STRENGTHS}, cv=2).fit(X, y)
        found = clone(plain).fit(mapped, y)
        np.testing.assert_allclose(found.predict(mapped), plain.predict(X), rtol=1e-9)
