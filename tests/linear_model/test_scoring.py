"""Scores of held-out samples by which a search chooses."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.metrics import (
    accuracy_score,
    d2_tweedie_score,
    f1_score,
    get_scorer,
    make_scorer,
    mean_absolute_error,
    mean_squared_error,
    r2_score,
)
from sklearn.model_selection import KFold, LeaveOneOut
from sklearn.utils.metadata_routing import get_routing_for_object

from sksparse import OSCARCV, L0ClassifierCV, L0PoissonRegressorCV, L0RegressorCV
from sksparse.inspection import RegularizationPathDisplay

FOLDS = KFold(3, shuffle=True, random_state=0)
REGRESSORS: dict[str, Any] = {
    "L0RegressorCV": L0RegressorCV(max_features=3, cv=FOLDS),
    "L0PoissonRegressorCV": L0PoissonRegressorCV(max_features=3, cv=FOLDS),
    "OSCARCV": OSCARCV(alphas=4, cv=FOLDS),
}
LOSSES = {
    "L0RegressorCV": "mse_path_",
    "L0PoissonRegressorCV": "deviance_path_",
    "OSCARCV": "mse_path_",
}
SEARCHES = REGRESSORS | {"L0ClassifierCV": L0ClassifierCV(max_features=3, cv=FOLDS)}
Samples = tuple[np.ndarray, np.ndarray, np.ndarray]


@pytest.fixture
def samples(rng: np.random.Generator) -> Samples:
    """Features, counts and weights."""
    X = rng.standard_normal((90, 5))
    y = rng.poisson(np.exp(0.4 + 0.6 * X[:, 1] - 0.3 * X[:, 3]))
    return X, y.astype(float), rng.integers(1, 4, 90).astype(float)


def predictions(model: Any, X: np.ndarray) -> np.ndarray:
    """Predictions at each point of the path, shape (n_samples, n_points)."""
    z = X @ model.coef_path_ + model.intercept_path_
    return np.exp(z) if isinstance(model, L0PoissonRegressorCV) else z


def of_training_part(model: Any, X: Any, y: Any, weights: Any) -> Any:
    """The path of the same points on some of the samples."""
    name = "alphas" if isinstance(model, OSCARCV) else "max_features"
    points = model.alphas_ if name == "alphas" else model.sizes_
    everything = [(np.arange(len(y)), np.arange(len(y)))]
    part = clone(model).set_params(cv=everything, scoring=None, **{name: points})
    return part.fit(X, y, sample_weight=weights)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", sorted(REGRESSORS))
def test_a_regressor_is_chosen_by_the_score_of_its_fits(
    name: str, weighted: bool, samples: Samples
) -> None:
    X, y, weights = samples
    given = weights if weighted else None
    model = clone(REGRESSORS[name]).set_params(scoring="neg_mean_absolute_error")
    model.fit(X, y, sample_weight=given)
    assert not hasattr(model, LOSSES[name])
    for f, (train, test) in enumerate(FOLDS.split(X)):
        parts = [None, None] if given is None else [given[train], given[test]]
        fitted = predictions(of_training_part(model, X[train], y[train], parts[0]), X[test])
        for k, column in enumerate(fitted.T):
            error = mean_absolute_error(y[test], column, sample_weight=parts[1])
            assert model.score_path_[k, f] == pytest.approx(-error, rel=1e-3)
    best = model.score_path_.mean(axis=1).argmax()
    assert model.alpha_ == model.alphas_[best] or np.isnan(model.alpha_)
    assert model.n_features_ == model.n_features_path_[best]
    # what ``score`` returns does not depend on the scoring
    explained = d2_tweedie_score if name == "L0PoissonRegressorCV" else r2_score
    options = {"power": 1} if explained is d2_tweedie_score else {}
    assert model.score(X, y) == pytest.approx(explained(y, model.predict(X), **options))


@pytest.mark.parametrize(
    "name, scoring",
    [
        ("L0RegressorCV", "neg_mean_squared_error"),
        ("OSCARCV", make_scorer(mean_squared_error, greater_is_better=False)),
        ("L0PoissonRegressorCV", "neg_mean_poisson_deviance"),
    ],
)
def test_the_loss_as_a_scoring_makes_the_same_choice(
    name: str, scoring: Any, samples: Samples
) -> None:
    X, y, weights = samples
    for selection in ("min", "1se"):
        plain = clone(REGRESSORS[name]).set_params(selection=selection)
        plain.fit(X, y, sample_weight=weights)
        scored = clone(plain).set_params(scoring=scoring).fit(X, y, sample_weight=weights)
        np.testing.assert_allclose(-scored.score_path_, getattr(plain, LOSSES[name]), rtol=1e-9)
        np.testing.assert_array_equal(scored.coef_, plain.coef_)


@pytest.mark.parametrize("name", sorted(REGRESSORS))
def test_one_search_leaves_no_errors_of_another(name: str, samples: Samples) -> None:
    X, y, _ = samples
    model = clone(REGRESSORS[name]).fit(X, y)
    assert not hasattr(model, "score_path_")
    model.set_params(scoring="r2").fit(X, y)
    assert not hasattr(model, LOSSES[name])
    model.set_params(scoring=None).fit(X, y)
    assert not hasattr(model, "score_path_")


def sparse_first(estimator: Any, X: Any, y: Any) -> float:
    """A scorer of the user's own, which looks into the model."""
    assert estimator.predict(X).shape == y.shape
    return -float(np.count_nonzero(estimator.get_support()))


@pytest.mark.parametrize("name", sorted(SEARCHES))
def test_a_scorer_may_be_any_function_of_a_model(name: str, samples: Samples) -> None:
    X, y, _ = samples
    y = (y > 1).astype(float)
    frame = pd.DataFrame(X, columns=list("abcde"))
    model = clone(SEARCHES[name]).set_params(scoring=sparse_first).fit(frame, y)
    assert model.n_features_ == model.n_features_path_.min()
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.score_path_, model.score_path_)
    with_jobs = clone(model).set_params(n_jobs=2).fit(frame, y)
    np.testing.assert_array_equal(with_jobs.score_path_, model.score_path_)


@pytest.mark.parametrize("name", sorted(SEARCHES))
def test_scores_that_do_not_serve_are_refused_before_any_work(
    name: str, samples: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y, _ = samples
    y = (y > 1).astype(float)
    model = clone(SEARCHES[name]).fit(X, y)
    before = model.coef_.copy()
    monkeypatch.setattr(type(model), "_search", None)

    def several(estimator: Any, X: Any, y: Any) -> dict[str, float]:
        return {"a": 1.0}

    def undefined(estimator: Any, X: Any, y: Any) -> float:
        return float("nan")

    for scoring, message in [
        (several, r"scoring=<function .*several.*> must return a number; got \{'a': 1.0\}"),
        (undefined, r"scoring=<function .*undefined.*> is not defined on.*fold 1/3.*give.*fewer"),
        ("cosine", "'scoring' parameter"),
        (["r2"], "'scoring' parameter"),
        (accuracy_score, "looks like it is a metric function"),
    ]:
        with pytest.raises(ValueError, match=message):
            model.set_params(scoring=scoring).fit(X, y)
    np.testing.assert_array_equal(model.coef_, before)


def test_a_score_that_small_folds_do_not_define_is_refused(samples: Samples) -> None:
    X, y, _ = samples
    with pytest.raises(ValueError, match=r"scoring='r2' is not defined.*fold 1/90.*fewer folds"):
        L0RegressorCV(max_features=1, cv=LeaveOneOut(), scoring="r2").fit(X, y)
    with pytest.raises(ValueError, match=r"scoring='accuracy' is not defined.*continuous"):
        OSCARCV(alphas=2, scoring="accuracy").fit(X, y + 0.5 * X[:, 0])
    for search in (L0RegressorCV, L0PoissonRegressorCV):
        with pytest.raises(ValueError, match=r"scoring='r2' scores held-out.*cv is None"):
            search(scoring="r2").fit(X, y)


@pytest.mark.parametrize("name", sorted(SEARCHES))
def test_weights_of_scores_are_those_that_the_scorer_requests(name: str, samples: Samples) -> None:
    X, y, weights = samples
    y = (y > 1).astype(float)
    metric = "accuracy" if name == "L0ClassifierCV" else "neg_mean_absolute_error"
    model = clone(SEARCHES[name])

    def scores(scoring: Any, **metadata: Any) -> np.ndarray:
        return model.set_params(scoring=scoring).fit(X, y, **metadata).score_path_.copy()

    without_routing = scores(metric, sample_weight=weights)
    with config_context(enable_metadata_routing=True):
        # scorers of older releases of scikit-learn take no weights until they are asked to
        if get_routing_for_object(get_scorer(metric)).consumes("score", ["sample_weight"]):
            with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
                scores(metric, sample_weight=weights)
        asked = get_scorer(metric).set_score_request(sample_weight=True)
        renamed = get_scorer(metric).set_score_request(sample_weight="importance")
        unasked = get_scorer(metric).set_score_request(sample_weight=False)
        np.testing.assert_array_equal(scores(asked, sample_weight=weights), without_routing)
        both = scores(renamed, sample_weight=weights, importance=weights)
        np.testing.assert_array_equal(both, without_routing)
        plain = scores(unasked, sample_weight=weights)
        assert not np.allclose(plain, without_routing)
        # weights of scores alone leave the fits unweighted
        alone = scores(renamed, importance=weights)
        assert not np.allclose(alone, without_routing)
        ones = scores(renamed, importance=np.ones(90))
        np.testing.assert_allclose(ones, scores(metric))
        with pytest.raises(TypeError, match=r"unexpected argument.*importance"):
            scores(asked, importance=weights)


def test_a_scorer_may_request_anything(samples: Samples) -> None:
    X, y, weights = samples
    seen = []

    def cost(y_true: Any, y_pred: Any, price: Any, unit: float) -> float:
        seen.append((y_true, price, unit))
        return float(price @ np.abs(y_true - y_pred) * unit)

    with config_context(enable_metadata_routing=True):
        scoring = make_scorer(cost, greater_is_better=False)
        scoring.set_score_request(price=True, unit=True)
        model = clone(REGRESSORS["L0RegressorCV"]).set_params(scoring=scoring)
        model.fit(X, y, price=y + weights, unit=2.0)
    assert len(seen) > 3
    rows = dict(zip(y + weights, y, strict=True))
    for y_true, price, unit in seen:
        assert unit == 2.0
        assert len(price) == len(y_true) == 30
        assert set(price) <= set(rows)


def test_the_display_draws_scores(samples: Samples) -> None:
    import matplotlib.pyplot as plt

    X, y, _ = samples
    for name, search in REGRESSORS.items():
        for scoring, label in [
            ("neg_mean_absolute_error", "neg mean absolute error"),
            (sparse_first, "score"),
        ]:
            model = clone(search).set_params(scoring=scoring).fit(X, y)
            display = RegularizationPathDisplay.from_estimator(model)
            np.testing.assert_allclose(display.curve_.get_ydata(), model.score_path_.mean(axis=1))
            assert display.curve_ax_.get_ylabel() == label, name
            assert display.band_ is not None
            plt.close(display.figure_)


def test_progress_names_the_score(samples: Samples, capsys: pytest.CaptureFixture[str]) -> None:
    X, y, _ = samples
    L0RegressorCV(max_features=1, cv=2, scoring="r2", verbose=1).fit(X, y)
    assert "r2" in capsys.readouterr().out


def correlation(model: Any, X: np.ndarray, y: np.ndarray) -> float:
    predicted = model.predict(X)
    return float(np.corrcoef(predicted, y)[0, 1]) if np.ptp(predicted) > 0 else np.nan


def test_scores_that_no_constant_has_rank_such_models_last(rng: np.random.Generator) -> None:
    X = rng.standard_normal((60, 4)) * [1.0, 1e-6, 1e6, 1.0]
    y = X[:, 0] + 0.1 * rng.standard_normal(60)
    for search in (
        OSCARCV(alphas=[1e9, 0.1], cv=3, scoring=correlation),
        L0RegressorCV(alphas=[1e3, 0.1], cv=3, scoring=correlation),
    ):
        with pytest.warns(UserWarning, match="nan for 1 of 2 points"):
            search.fit(X, y)
        assert search.alpha_ == 0.1
        assert np.isnan(search.score_path_[0]).all()


def test_scorers_may_ask_how_many_features_a_model_has(rng: np.random.Generator) -> None:
    X = rng.standard_normal((60, 4))
    y = X[:, 0] + X[:, 1] + 0.1 * rng.standard_normal(60)
    seen = set()

    def price(model: Any, X: np.ndarray, y: np.ndarray) -> float:
        seen.add((model.n_features_, int((model.coef_[1:] != 0).sum())))
        return float(model.score(X, y)) - 10.0 * model.n_features_

    search = L0RegressorCV(max_features=3, cv=3, scoring=price, penalty_weights=[0, 1, 1, 1])
    assert search.fit(X, y).n_features_ == 0
    assert all(counted == used for counted, used in seen)


def test_two_class_scores_of_names_say_what_they_need(rng: np.random.Generator) -> None:
    X = rng.standard_normal((60, 3))
    y = np.where(X[:, 0] + rng.standard_normal(60) > 0, "yes", "no")
    with pytest.raises(ValueError, match="pos_label that is meant"):
        L0ClassifierCV(max_features=2, cv=3, scoring="f1").fit(X, y)
    scorer = make_scorer(f1_score, pos_label="yes")
    assert L0ClassifierCV(max_features=2, cv=3, scoring=scorer).fit(X, y).score_path_.max() > 0.5
