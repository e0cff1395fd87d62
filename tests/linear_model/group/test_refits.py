"""Relaxed and adaptive fits against fits composed by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.linear_model import (
    HuberRegressor,
    LassoCV,
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
    RidgeCV,
)
from sklearn.neighbors import KNeighborsRegressor

from sksparse.linear_model import GroupLassoClassifier, GroupLassoRegressor, group_lasso_path

LABELS = np.array([2, 0, 1, 2, 1, 0, 2, 1, 3])
SIZES = np.bincount(LABELS)


@pytest.fixture
def problem(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    X = rng.standard_normal((80, 9)) + 0.5 * rng.standard_normal((80, 1))
    return X, X[:, [1, 5]] @ [1.5, -1.0] + 0.3 * X[:, 3] + 0.5 * rng.standard_normal(80)


@pytest.mark.parametrize("l1_ratio", [0.0, 0.7])
@pytest.mark.parametrize("l2", [0.0, 0.2])
def test_a_relaxed_fit_is_least_squares_on_what_is_selected(
    problem: Any, l1_ratio: float, l2: float
) -> None:
    X, y = problem
    plain = GroupLassoRegressor(0.3, LABELS, l1_ratio=l1_ratio, l2=l2, tol=1e-10).fit(X, y)
    relaxed = clone(plain).set_params(relax=True).fit(X, y)
    kept = plain.support_
    assert 0 < kept.sum() < 9
    np.testing.assert_array_equal(relaxed.support_, kept)
    expected = Ridge(l2 * 80).fit(X[:, kept], y) if l2 else LinearRegression().fit(X[:, kept], y)
    np.testing.assert_allclose(relaxed.coef_[kept], expected.coef_, atol=1e-6)
    assert relaxed.intercept_ == pytest.approx(expected.intercept_, abs=1e-6)
    # certificates are those of the fit that selects
    assert relaxed.dual_gap_ == plain.dual_gap_
    assert relaxed.optimality_ == plain.optimality_
    norms = [np.linalg.norm(relaxed.coef_[g == LABELS]) for g in range(4)]
    np.testing.assert_allclose(relaxed.group_norms_, norms)


def test_a_relaxed_fit_keeps_its_bounds(problem: Any) -> None:
    X, y = problem
    bounded = GroupLassoRegressor(0.3, LABELS, relax=True, bounds=(-0.5, 1.0)).fit(X, y)
    assert bounded.coef_.min() == pytest.approx(-0.5)
    assert bounded.coef_.max() == pytest.approx(1.0)
    signed = GroupLassoRegressor(0.1, LABELS, relax=True, positive=True, tol=1e-10).fit(X, y)
    theirs = LinearRegression(positive=True).fit(X[:, signed.support_], y)
    np.testing.assert_allclose(signed.coef_[signed.support_], theirs.coef_, atol=1e-6)


def test_relaxed_fits_of_other_losses(problem: Any) -> None:
    X, y = problem
    counts = np.round(np.exp(0.4 * y))
    model = GroupLassoRegressor(0.2, LABELS, loss="poisson", relax=True, tol=1e-9).fit(X, counts)
    theirs = PoissonRegressor(alpha=0, tol=1e-10, solver="newton-cholesky")
    theirs.fit(X[:, model.support_], counts)
    np.testing.assert_allclose(model.coef_[model.support_], theirs.coef_, atol=1e-4)
    classes = np.digitize(y + np.sin(np.arange(80.0)), [-1.0, 1.0])
    for y in (classes, classes > 0):
        model = GroupLassoClassifier(0.1, LABELS, relax=True, l2=0.01, tol=1e-9).fit(X, y)
        theirs = LogisticRegression(C=1 / (0.01 * 80), tol=1e-10, max_iter=1000)
        theirs.fit(X[:, model.support_], y)
        np.testing.assert_allclose(model.coef_[:, model.support_], theirs.coef_, atol=1e-3)


def test_a_relaxed_fit_of_nothing_is_the_mean(problem: Any) -> None:
    X, y = problem
    model = GroupLassoRegressor(1e3, LABELS, relax=True).fit(X, y)
    assert not model.coef_.any()
    assert model.intercept_ == pytest.approx(y.mean())


@pytest.mark.parametrize("outputs", [1, 2])
def test_adaptive_weights_are_one_over_the_norms_of_a_pilot(problem: Any, outputs: int) -> None:
    X, y = problem
    y = y if outputs == 1 else np.c_[y, X[:, 8] - y]
    pilot = Ridge(X.var(axis=0).mean() * 9).fit(X, y)
    norms = [np.linalg.norm(np.atleast_2d(pilot.coef_)[:, g == LABELS]) for g in range(4)]
    for adaptive in ("ridge", Ridge(X.var(axis=0).mean() * 9)):
        model = GroupLassoRegressor(0.1, LABELS, adaptive=adaptive, tol=1e-11).fit(X, y)
        by_hand = GroupLassoRegressor(
            0.1, LABELS, penalty_weights=np.sqrt(SIZES) / norms, tol=1e-11
        ).fit(X, y)
        np.testing.assert_allclose(model.coef_, by_hand.coef_, atol=1e-5)


def test_groups_of_one_are_the_adaptive_lasso(problem: Any) -> None:
    X, y = problem
    ols = LinearRegression().fit(X, y)
    model = GroupLassoRegressor(0.02, l1_ratio=1.0, adaptive=LinearRegression(), tol=1e-11)
    model.fit(X, y)
    # Zou (2006): a lasso of features multiplied by the pilot's coefficients
    scaled = GroupLassoRegressor(0.02, tol=1e-11).fit(X * np.abs(ols.coef_), y)
    np.testing.assert_allclose(model.coef_, scaled.coef_ * np.abs(ols.coef_), atol=1e-5)
    mixed = GroupLassoRegressor(0.02, l1_ratio=0.5, adaptive=LinearRegression(), tol=1e-11)
    np.testing.assert_allclose(mixed.fit(X, y).coef_, model.coef_, atol=1e-5)


def test_groups_without_coefficients_in_the_pilot_are_excluded(problem: Any) -> None:
    X, y = problem
    pilot = GroupLassoRegressor(0.5, LABELS)
    kept = clone(pilot).fit(X, y).selected_groups_
    assert 0 < len(kept) < 4
    model = GroupLassoRegressor(1e-4, LABELS, adaptive=pilot, tol=1e-9).fit(X, y)
    np.testing.assert_array_equal(model.selected_groups_, kept)
    used = np.isin(LABELS, kept)
    ols = LinearRegression().fit(X[:, used], y)
    np.testing.assert_allclose(model.coef_[used], ols.coef_, atol=5e-3)
    nothing = GroupLassoRegressor(1e-4, LABELS, adaptive=GroupLassoRegressor(1e3)).fit(X, y)
    assert not nothing.coef_.any()
    # what is never penalised stays
    forced = clone(model).set_params(penalty_weights=[1, 1, 1, 0]).fit(X, y)
    assert 3 in forced.selected_groups_
    path = group_lasso_path(X, y, LABELS, adaptive=pilot, alphas=5)
    assert not path.group_norms[np.setdiff1d(np.arange(4), kept)].any()


def test_pilots_get_the_samples_and_weights(problem: Any) -> None:
    X, y = problem
    weights = np.arange(80) % 3
    model = GroupLassoRegressor(0.1, LABELS, adaptive=RidgeCV(), tol=1e-10)
    weighted = clone(model).fit(X, y, sample_weight=2 * (weights > 0))
    part = clone(model).fit(X[weights > 0], y[weights > 0])
    np.testing.assert_allclose(weighted.coef_, part.coef_, atol=1e-6)
    unweighted = clone(model).set_params(adaptive=LassoOfOnes())
    unweighted.fit(X, y, sample_weight=3 * (weights > 0))
    with pytest.raises(ValueError, match="takes no sample_weight"):
        unweighted.fit(X, y, sample_weight=weights)
    clone(model).set_params(adaptive=LassoCV(cv=2)).fit(X, y, sample_weight=weights)
    clone(model).set_params(adaptive=HuberRegressor()).fit(X, y)


class LassoOfOnes(RegressorMixin, BaseEstimator):
    """A pilot that takes no weights and knows that all features count alike."""

    def fit(self, X: Any, y: Any) -> LassoOfOnes:
        self.coef_ = np.ones(X.shape[1])
        return self


def test_pilots_that_are_no_linear_models_are_refused(problem: Any) -> None:
    X, y = problem
    with pytest.raises(ValueError, match="has no array coef_"):
        GroupLassoRegressor(adaptive=KNeighborsRegressor()).fit(X, y)

    class Short(LassoOfOnes):
        def fit(self, X: Any, y: Any) -> Short:
            self.coef_ = np.ones(3)
            return self

    class Broken(LassoOfOnes):
        def fit(self, X: Any, y: Any) -> Broken:
            self.coef_ = np.full(X.shape[1], np.nan)
            return self

    with pytest.raises(ValueError, match=r"coef_ of shape \(3,\) for 9 features"):
        GroupLassoRegressor(adaptive=Short()).fit(X, y)
    with pytest.raises(ValueError, match="coefficients that are not finite"):
        GroupLassoRegressor(adaptive=Broken()).fit(X, y)


def test_the_pilot_of_classes_may_be_multinomial(problem: Any) -> None:
    X, y = problem
    classes = np.array(["ash", "elm", "oak"])[np.digitize(y, [-1.0, 1.0])]
    model = GroupLassoClassifier(0.02, LABELS, adaptive=LogisticRegression(), tol=1e-9)
    model.fit(X, classes)
    coef = LogisticRegression().fit(X, classes, sample_weight=np.ones(80)).coef_
    norms = [np.linalg.norm(coef[:, g == LABELS]) for g in range(4)]
    by_hand = GroupLassoClassifier(
        0.02, LABELS, penalty_weights=np.sqrt(SIZES) / norms, tol=1e-9
    ).fit(X, classes)
    np.testing.assert_allclose(model.coef_, by_hand.coef_, atol=1e-4)


def test_a_pilot_that_classifies_is_refused_for_quantities(rng: np.random.Generator) -> None:
    X, y = rng.standard_normal((30, 4)), np.arange(30.0)
    with pytest.raises(ValueError, match="is a classifier, and the targets are no classes"):
        GroupLassoRegressor(adaptive=GroupLassoClassifier()).fit(X, y)
