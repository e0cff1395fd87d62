"""What information criteria may choose: few samples, weights of any scale, earlier selections."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import AdaBoostRegressor

from sksparse.linear_model import L0ClassifierCV, L0Regressor, L0RegressorCV

CRITERIA = ("ebic", "bic", "gic", "aic")


def two_true(seed: int, draw: int, n: int = 40, p: int = 500) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([seed, draw])
    X = rng.standard_normal((n, p))
    return X, 2.0 * X[:, 0] - 2.0 * X[:, 1] + rng.standard_normal(n)


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("grid", [{"max_features": 30}, {"max_features": [0, 1, 2, 5, 36]}])
def test_near_interpolation_nothing_is_chosen(
    seed: int, criterion: str, grid: dict[str, Any]
) -> None:
    for draw in range(3):
        X, y = two_true(seed, draw)
        new, answers = two_true(seed, draw + 100, 200)
        model = L0RegressorCV(criterion=criterion, **grid).fit(X, y)
        assert {0, 1} <= set(model.get_support(indices=True).tolist())
        assert model.n_features_ <= 4
        assert model.score(new, answers) > 0.7
        assert np.isinf(model.criterion_path_[-1])
        assert np.isfinite(model.criterion_path_[:3]).all()


@pytest.mark.parametrize("criterion", CRITERIA)
def test_penalties_near_interpolation(seed: int, criterion: str) -> None:
    X, y = two_true(seed, 0)
    penalties = np.geomspace(2.0, 1e-6, 12)
    model = L0RegressorCV(alphas=penalties, criterion=criterion).fit(X, y)
    assert model.n_features_path_.max() > 20
    assert 1 <= model.n_features_ <= 4


@pytest.mark.parametrize("criterion", CRITERIA)
def test_genes(seed: int, criterion: str) -> None:
    X, y = two_true(seed, 0, 50, 3000)
    model = L0RegressorCV(max_features=39, criterion=criterion).fit(X, y)
    assert 1 <= model.n_features_ <= 4


def test_a_strong_signal_of_many_features_is_still_found(seed: int) -> None:
    """More features than noise could be searched for, but each explains far more than noise."""
    for draw in range(3):
        rng = np.random.default_rng([seed, draw])
        X = rng.standard_normal((60, 200))
        y = X[:, :9] @ rng.choice([-1.0, 1.0], 9) + 0.05 * rng.standard_normal(60)
        model = L0RegressorCV(max_features=30).fit(X, y)
        assert model.get_support(indices=True).tolist() == list(range(9))
        exact = L0RegressorCV(max_features=30).fit(X, X[:, :9].sum(axis=1))
        assert exact.get_support(indices=True).tolist() == list(range(9))


def test_more_samples_allow_all_numbers_again(rng: np.random.Generator) -> None:
    X = rng.standard_normal((400, 12))
    y = X @ np.ones(12) + rng.standard_normal(400)
    for criterion in CRITERIA:
        model = L0RegressorCV(max_features=12, criterion=criterion).fit(X, y)
        assert np.isfinite(model.criterion_path_).all()
        assert model.n_features_ == 12


@pytest.mark.parametrize("criterion", CRITERIA)
def test_classes_of_noise(seed: int, criterion: str) -> None:
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((40, 400)), np.arange(40) % 2
    model = L0ClassifierCV(max_features=12, criterion=criterion, l2=0.01).fit(X, y)
    assert model.n_features_ <= 3
    assert np.isinf(model.criterion_path_[6:]).all()


def test_rare_classes_count_as_fewer_samples(seed: int) -> None:
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((200, 300))
    for events, allowed in ((100, 5), (6, 1)):
        y = (np.arange(200) < events).astype(int)
        model = L0ClassifierCV(max_features=8, criterion="aic", l2=0.01).fit(X, y)
        assert np.isfinite(model.criterion_path_[: allowed + 1]).all()
        assert model.n_features_ <= 2 * allowed + 3


@pytest.mark.parametrize("scale", [1.0, 1 / 80, 7.3])
def test_weights_that_are_no_counts_have_no_scale(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    X, y = two_true(seed, 0, 80, 30)
    weights = rng.uniform(0.1, 2.0, 80)
    model = L0RegressorCV(max_features=8).fit(X, y, weights)
    scaled = L0RegressorCV(max_features=8).fit(X, y, scale * weights)
    np.testing.assert_array_equal(model.coef_ != 0, scaled.coef_ != 0)
    steps = np.diff(model.criterion_path_)
    np.testing.assert_allclose(np.diff(scaled.criterion_path_), steps, rtol=1e-6)
    # the effective number of samples
    n = weights.sum() ** 2 / (weights @ weights)
    mse = [
        np.average((y - X @ coef - b) ** 2, weights=weights)
        for coef, b in zip(model.coef_path_.T, model.intercept_path_, strict=True)
    ]
    penalty = np.log(n) + 2 * np.log(30)
    np.testing.assert_allclose(steps, n * np.diff(np.log(mse)) + penalty, rtol=1e-6)


def test_weights_that_sum_to_one_in_a_classifier_and_in_boosting(seed: int) -> None:
    X, y = two_true(seed, 0, 80, 20)
    classes = (y > 0).astype(int)
    plain = L0ClassifierCV(max_features=4).fit(X, classes)
    shares = L0ClassifierCV(max_features=4).fit(X, classes, np.full(80, 1 / 80))
    np.testing.assert_allclose(plain.criterion_path_, shares.criterion_path_, rtol=1e-6)
    boosted = AdaBoostRegressor(L0RegressorCV(max_features=4), n_estimators=3, random_state=0)
    assert boosted.fit(X, y).score(X, y) > 0.5


def test_features_before_an_earlier_selection_count(seed: int) -> None:
    X, y = two_true(seed, 0, 60, 2000)
    centred = X - X.mean(axis=0)
    kept = np.sort(np.argsort(-np.abs(centred.T @ (y - y.mean())))[:40])
    told = L0RegressorCV(max_features=6, n_candidates=2000).fit(X[:, kept], y)
    untold = L0RegressorCV(max_features=6).fit(X[:, kept], y)
    k = np.arange(7)
    more = 2 * k * (np.log(2000) - np.log(40))
    counted = np.isfinite(told.criterion_path_)
    assert counted[:3].all()
    np.testing.assert_allclose(
        (told.criterion_path_ - untold.criterion_path_)[counted], more[counted], rtol=1e-9
    )
    assert told.n_features_ <= untold.n_features_
    for model in (L0RegressorCV(n_candidates=39), L0ClassifierCV(n_candidates=39)):
        with pytest.raises(ValueError, match=r"n_candidates=39.*n_features=40"):
            model.fit(X[:, kept], (y > 0).astype(int))
    assert L0RegressorCV(n_candidates=10**6).fit(X[:, kept], y).sizes_.max() < (
        untold.fit(X[:, kept], y).sizes_.max() + 1
    )


def test_the_choice_is_a_fit_of_its_own(seed: int) -> None:
    X, y = two_true(seed, 0)
    model = L0RegressorCV(max_features=30).fit(X, y)
    alone = L0Regressor(max_features=model.n_features_).fit(X, y)
    np.testing.assert_array_equal(model.coef_ != 0, alone.coef_ != 0)
