"""The searches along limits and strengths, against refits by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.linear_model import LinearRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import KFold, StratifiedKFold

from sksparse.linear_model import (
    L0Classifier,
    L0ClassifierCV,
    L0Regressor,
    L0RegressorCV,
    l0_path,
)

FOLDS = KFold(4, shuffle=True, random_state=0)


def refit_mse(X: np.ndarray, y: np.ndarray, used: np.ndarray) -> float:
    """Mean squared error of least squares on the features used."""
    model = LinearRegression().fit(np.c_[X[:, used], np.zeros(len(y))], y)
    return float(np.mean((y - model.predict(np.c_[X[:, used], np.zeros(len(y))])) ** 2))


@pytest.mark.parametrize(
    "name, penalty",
    [
        ("aic", lambda n, p, df, k: 2 * df),
        ("bic", lambda n, p, df, k: df * np.log(n)),
        ("ebic", lambda n, p, df, k: df * np.log(n) + 2 * k * np.log(p)),
        ("gic", lambda n, p, df, k: df * np.log(p) * np.log(np.log(n))),
    ],
)
@pytest.mark.parametrize("kept", [0, 2])
def test_criteria_are_what_the_formulas_say(
    problem: tuple[np.ndarray, np.ndarray], name: str, penalty: Any, kept: int
) -> None:
    X, y = problem
    weights = np.ones(30)
    weights[:kept] = 0.0
    model = L0RegressorCV(max_features=8, criterion=name, penalty_weights=weights).fit(X, y)
    n, p = 80, 30 - kept
    expected = []
    for coef in model.coef_path_.T:
        used = coef != 0
        df, k = used.sum(), used[kept:].sum()
        expected.append(n * np.log(refit_mse(X, y, used)) + penalty(n, p, df, k))
    np.testing.assert_allclose(model.criterion_path_, expected, rtol=1e-9)
    np.testing.assert_array_equal(model.n_features_path_, np.arange(9))
    best = np.argmin(expected)
    assert model.n_features_ == best
    assert np.all(model.coef_[:kept])


def test_log_loss_criteria(classes: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = classes
    model = L0ClassifierCV(max_features=4, criterion="bic").fit(X, y)
    for k in (0, 1, 3):
        z = X @ model.coef_path_[:, k] + model.intercept_path_[k]
        loss = log_loss(y == "yes", 1 / (1 + np.exp(-z)))
        assert model.criterion_path_[k] == pytest.approx(160 * loss + k * np.log(80), rel=1e-9)
    X, y = load_iris(return_X_y=True)
    model = L0ClassifierCV(criterion="aic", max_features=[1], l2=0.01).fit(X, y)
    loss = log_loss(y, model.predict_proba(X))
    # Three classes: two coefficients of a feature are free.
    assert model.criterion_path_[0] == pytest.approx(300 * loss + 4, rel=1e-6)


def test_errors_are_those_of_refits_in_each_fold(problem: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = problem
    model = L0RegressorCV(max_features=6, cv=FOLDS).fit(X, y)
    expected = np.empty((7, 4))
    for fold, (train, test) in enumerate(FOLDS.split(X)):
        for k in range(7):
            path = l0_path(X[train], y[train], max_features=[k])
            residual = y[test] - X[test] @ path.coefs[:, 0] - path.intercepts[0]
            expected[k, fold] = np.mean(residual**2)
    np.testing.assert_allclose(model.mse_path_, expected, rtol=1e-9)
    assert model.n_features_ == np.argmin(expected.mean(axis=1))


@pytest.mark.parametrize("scoring", [None, "roc_auc", "accuracy"])
def test_scores_are_those_of_refits_in_each_fold(
    classes: tuple[np.ndarray, np.ndarray], scoring: str | None
) -> None:
    X, y = classes
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    model = L0ClassifierCV(max_features=[1, 2], cv=folds, scoring=scoring, l2=0.01).fit(X, y)
    metric = {
        None: lambda y, p: -log_loss(y, p),
        "roc_auc": roc_auc_score,
        "accuracy": lambda y, p: np.mean((p > 0.5) == y),
    }[scoring]
    for fold, (train, test) in enumerate(folds.split(X, y)):
        path = l0_path(X[train], y[train], loss="log", max_features=[1, 2], l2=0.01)
        for k in range(2):
            z = X[test] @ path.coefs[:, k] + path.intercepts[k]
            expected = metric(y[test] == "yes", 1 / (1 + np.exp(-z)))
            assert model.score_path_[k, fold] == pytest.approx(expected, rel=1e-6)
    best = np.argmax(model.score_path_.mean(axis=1))
    assert model.n_features_ == [1, 2][best]


def test_a_scorer_gets_the_weights_where_it_takes_them(
    classes: tuple[np.ndarray, np.ndarray], rng: np.random.Generator
) -> None:
    X, y = classes
    weights = rng.integers(1, 5, 80).astype(float)
    plain = {"max_features": [2], "cv": FOLDS}
    own = L0ClassifierCV(**plain, scoring=lambda model, X, y: model.score(X, y))
    scored = L0ClassifierCV(**plain, scoring="accuracy").fit(X, y, weights)
    unweighted = own.fit(X, y, weights)
    assert not np.allclose(scored.score_path_, unweighted.score_path_)
    for fold, (train, test) in enumerate(FOLDS.split(X)):
        path = l0_path(
            X[train], y[train], loss="log", max_features=[2], sample_weight=weights[train]
        )
        hit = (X[test] @ path.coefs[:, 0] + path.intercepts[0] > 0) == (y[test] == "yes")
        assert scored.score_path_[0, fold] == pytest.approx(np.average(hit, weights=weights[test]))
        assert unweighted.score_path_[0, fold] == pytest.approx(hit.mean())


def test_the_last_fit_is_that_of_the_number_or_penalty(
    problem: tuple[np.ndarray, np.ndarray], classes: tuple[np.ndarray, np.ndarray]
) -> None:
    X, y = problem
    model = L0RegressorCV().fit(X, y)
    single = L0Regressor(max_features=model.n_features_).fit(X, y)
    np.testing.assert_allclose(model.coef_, single.coef_, rtol=1e-9)
    assert 0.0 <= model.optimality_ <= 1e-8
    # At the penalty that the path implies, this number is the best as well.
    np.testing.assert_allclose(L0Regressor(model.alpha_).fit(X, y).coef_, single.coef_, rtol=1e-9)
    penalised = L0RegressorCV(alphas=7).fit(X, y)
    single = L0Regressor(penalised.alpha_).fit(X, y)
    np.testing.assert_allclose(penalised.coef_, single.coef_, rtol=1e-9)
    assert not hasattr(penalised, "sizes_")
    X, y = classes
    model = L0ClassifierCV(max_features=3).fit(X, y)
    assert np.count_nonzero(model.coef_) == model.n_features_
    assert model.predict(X).dtype == y.dtype


def test_one_standard_error_is_never_less_sparse(seed: int) -> None:
    differs = 0
    for draw in range(8):
        rng = np.random.default_rng([seed, draw])
        X = rng.standard_normal((60, 20))
        y = X[:, :4] @ [1.0, 0.5, 0.3, 0.1] + rng.standard_normal(60)
        for grid in ({"max_features": 8}, {"alphas": 6}):
            least = L0RegressorCV(cv=5, **grid).fit(X, y)
            sparse = clone(least).set_params(selection="1se").fit(X, y)
            assert sparse.n_features_ <= least.n_features_
            mean = sparse.mse_path_.mean(axis=1)
            best = mean.argmin()
            bound = mean[best] + sparse.mse_path_[best].std(ddof=1) / np.sqrt(5)
            within = mean <= bound
            assert sparse.n_features_ == sparse.n_features_path_[within].min()
            differs += sparse.n_features_ < least.n_features_
    assert differs > 0


@pytest.mark.parametrize("cv", [None, FOLDS])
@pytest.mark.parametrize("options", [{"max_features": 5}, {"alphas": 4}])
def test_integer_weights_are_repetitions(
    problem: tuple[np.ndarray, np.ndarray], rng: np.random.Generator, cv: Any, options: Any
) -> None:
    X, y = problem
    counts = rng.integers(0, 4, 80)
    rows = np.repeat(np.arange(80), counts)
    splits = same = None
    if cv is not None:
        splits = list(cv.split(X))
        same = [tuple(np.flatnonzero(np.isin(rows, part)) for part in pair) for pair in splits]
    weighted = L0RegressorCV(cv=splits, **options).fit(X, y, sample_weight=counts)
    repeated = L0RegressorCV(cv=same, **options).fit(X[rows], y[rows])
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, rtol=1e-8)
    np.testing.assert_allclose(weighted.alphas_, repeated.alphas_, rtol=1e-8)
    name = "criterion_path_" if cv is None else "mse_path_"
    np.testing.assert_allclose(getattr(weighted, name), getattr(repeated, name), rtol=1e-8)


def test_integer_weights_are_repetitions_for_classes(
    classes: tuple[np.ndarray, np.ndarray], rng: np.random.Generator
) -> None:
    X, y = classes
    counts = rng.integers(0, 4, 80)
    rows = np.repeat(np.arange(80), counts)
    splits = list(FOLDS.split(X))
    same = [tuple(np.flatnonzero(np.isin(rows, part)) for part in pair) for pair in splits]
    options = {"max_features": 3, "class_weight": "balanced", "l2": 0.01}
    for cv, cv_repeated in ((None, None), (splits, same)):
        weighted = L0ClassifierCV(cv=cv, **options).fit(X, y, sample_weight=counts)
        repeated = L0ClassifierCV(cv=cv_repeated, **options).fit(X[rows], y[rows])
        np.testing.assert_allclose(weighted.coef_, repeated.coef_, rtol=1e-5)
        name = "criterion_path_" if cv is None else "score_path_"
        np.testing.assert_allclose(getattr(weighted, name), getattr(repeated, name), rtol=1e-6)


def test_rules_hold(problem: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = problem
    penalties = np.ones(30)
    penalties[[0, 7]] = 0.0
    model = L0RegressorCV(max_features=3, penalty_weights=penalties, cv=FOLDS).fit(X, y)
    assert np.all(model.coef_path_[[0, 7]])
    np.testing.assert_array_equal(model.n_features_path_, range(4))
    assert model.n_features_ == np.count_nonzero(model.coef_) - 2
    kept = LinearRegression().fit(X[:, [0, 7]], y)
    np.testing.assert_allclose(model.coef_path_[[0, 7], 0], kept.coef_)
    positive = L0RegressorCV(max_features=4, positive=True).fit(X, y)
    assert np.all(positive.coef_path_ >= 0)
    assert not positive.coef_[7]
    shrunk = L0RegressorCV(max_features=4, l1=0.3, l2=0.1).fit(X, y)
    assert np.abs(shrunk.coef_).sum() < np.abs(L0RegressorCV(max_features=4).fit(X, y).coef_).sum()


def test_data_that_say_nothing(rng: np.random.Generator) -> None:
    X = rng.standard_normal((30, 6))
    for model in (L0RegressorCV(), L0RegressorCV(cv=3), L0RegressorCV(alphas=3)):
        model.fit(X, np.full(30, 4.0))
        assert model.n_features_ == 0
        assert model.intercept_ == pytest.approx(4.0)
    exact = L0RegressorCV().fit(X, X[:, 2] - X[:, 4])
    assert exact.get_support(indices=True).tolist() == [2, 4]
    constant = L0RegressorCV().fit(np.ones((30, 2)), X[:, 0])
    assert constant.n_features_ == 0


def test_real_data() -> None:
    X, y = load_diabetes(return_X_y=True)
    model = L0RegressorCV(cv=10).fit(X, y)
    assert 4 <= model.n_features_ <= 8
    X, y = load_breast_cancer(return_X_y=True)
    model = L0ClassifierCV(max_features=6).fit(X, y)
    assert model.score(X, y) > 0.96
    assert isinstance(model, type(clone(model)))
    np.testing.assert_array_equal(
        model.coef_ != 0, L0Classifier(max_features=model.n_features_).fit(X, y).coef_ != 0
    )


@pytest.mark.slow
def test_ebic_finds_the_cardinality_and_others_exceed_it(seed: int) -> None:
    names = ("ebic", "gic", "bic")
    right = dict.fromkeys(names, 0)
    for draw in range(40):
        rng = np.random.default_rng([seed, draw])
        X = rng.standard_normal((200, 500))
        signal = X[:, :10] @ rng.choice([-1.0, 1.0], 10)
        y = signal + np.sqrt(10 / 5) * rng.standard_normal(200)
        for name in names:
            model = L0RegressorCV(criterion=name).fit(X, y)
            right[name] += model.get_support(indices=True).tolist() == list(range(10))
    assert right["ebic"] >= 36
    assert right["bic"] <= 2
    assert right["bic"] <= right["gic"] <= right["ebic"] - 8
