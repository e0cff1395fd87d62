"""GroupLassoClassifier against scikit-learn, and its own symmetries."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import minimize
from scipy.special import logsumexp
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from sksparse.linear_model import GroupLassoClassifier, alpha_max, group_lasso_path

LABELS = np.array([2, 0, 1, 2, 1, 0, 2, 1, 3])
NAMES = np.array(["ash", "elm", "oak"])


@pytest.fixture
def problem(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Nine features, two of which shift the odds of three classes."""
    X = rng.standard_normal((120, 9)) + 0.5 * rng.standard_normal((120, 1))
    z = X[:, 1] - X[:, 5] + rng.standard_normal(120)
    return X, NAMES[np.digitize(z, [-1.0, 1.0])]


def two_classes(y: np.ndarray) -> np.ndarray:
    return np.where(y == "oak", "yes", "no")


@pytest.mark.parametrize("l1_ratio, l2", [(0.0, 0.0), (1.0, 0.0), (0.4, 0.1)])
def test_groups_of_one_are_the_logistic_lasso(problem: Any, l1_ratio: float, l2: float) -> None:
    X, y = problem[0], two_classes(problem[1])
    model = GroupLassoClassifier(0.03, l1_ratio=l1_ratio, l2=l2, tol=1e-11).fit(X, y)
    theirs = LogisticRegression(
        C=1 / ((0.03 + l2) * 120), l1_ratio=0.03 / (0.03 + l2), solver="saga", tol=1e-10,
        max_iter=100_000,
    ).fit(X, y)  # fmt: skip
    np.testing.assert_allclose(model.coef_, theirs.coef_, atol=1e-5)
    np.testing.assert_allclose(model.predict_proba(X), theirs.predict_proba(X), atol=1e-5)
    assert model.classes_.tolist() == ["no", "yes"]


def test_a_ridge_alone_is_ridge_logistic_regression(problem: Any) -> None:
    X, y = problem
    model = GroupLassoClassifier(0.0, LABELS, l2=0.1, tol=1e-10).fit(X, y)
    theirs = LogisticRegression(C=1 / (0.1 * 120), tol=1e-10, max_iter=10_000).fit(X, y)
    np.testing.assert_allclose(model.coef_, theirs.coef_, atol=1e-5)
    np.testing.assert_allclose(model.predict_proba(X), theirs.predict_proba(X), atol=1e-5)


def objective(
    theta: np.ndarray, X: np.ndarray, codes: np.ndarray, alpha: float
) -> tuple[float, np.ndarray]:
    """The multinomial group lasso, smoothed by 1e-12, and its gradient."""
    W, b = theta[:-3].reshape(3, 9), theta[-3:]
    z = X @ W.T + b
    p = np.exp(z - logsumexp(z, axis=1, keepdims=True))
    own = np.arange(len(codes)), codes
    value = float(np.mean(logsumexp(z, axis=1) - z[own]))
    p[own] -= 1.0
    gradient = p.T @ X / len(codes)
    for g in range(4):
        part = W[:, g == LABELS]
        norm = np.sqrt((part**2).sum() + 1e-12)
        factor = alpha * np.sqrt(np.sum(g == LABELS))
        value += factor * norm
        gradient[:, g == LABELS] += factor * part / norm
    return value, np.append(gradient.ravel(), p.mean(axis=0))


def test_several_classes_share_their_groups(problem: Any) -> None:
    X, y = problem
    model = GroupLassoClassifier(0.05, LABELS, tol=1e-10).fit(X, y)
    assert 0 < len(model.selected_groups_) < 4
    codes = np.searchsorted(NAMES, y)
    found = minimize(
        objective, np.zeros(30), args=(X, codes, 0.05), jac=True, method="BFGS",
        options={"gtol": 1e-9, "maxiter": 5000},
    )  # fmt: skip
    theta = np.append(model.coef_.ravel(), model.intercept_)
    assert objective(theta, X, codes, 0.05)[0] <= found.fun + 1e-6
    used = (model.coef_ != 0).any(axis=0)
    np.testing.assert_array_equal(used, np.isin(LABELS, model.selected_groups_))
    norms = [np.linalg.norm(model.coef_[:, g == LABELS]) for g in range(4)]
    np.testing.assert_allclose(model.group_norms_, norms)
    assert model.dual_gap_ <= 1e-9
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1.0)


def test_the_order_of_the_classes_does_not_matter(problem: Any) -> None:
    X, y = problem
    model = GroupLassoClassifier(0.03, LABELS, l1_ratio=0.3, tol=1e-11).fit(X, y)
    renamed = {"ash": "c", "elm": "a", "oak": "b"}
    other = clone(model).fit(X, np.vectorize(renamed.get)(y))
    np.testing.assert_allclose(other.coef_[[2, 0, 1]], model.coef_, atol=1e-6)
    np.testing.assert_allclose(other.intercept_[[2, 0, 1]], model.intercept_, atol=1e-6)


@pytest.mark.parametrize("several", [False, True])
def test_class_weights_are_sample_weights(problem: Any, several: bool) -> None:
    X, y = problem
    y = y if several else two_classes(y)
    classes, counts = np.unique(y, return_counts=True)
    balanced = GroupLassoClassifier(0.03, LABELS, class_weight="balanced", tol=1e-10).fit(X, y)
    weights = (1.0 / counts)[np.searchsorted(classes, y)]
    weighted = GroupLassoClassifier(0.03, LABELS, tol=1e-10).fit(X, y, sample_weight=weights)
    np.testing.assert_allclose(balanced.coef_, weighted.coef_, atol=1e-6)
    repeated = GroupLassoClassifier(0.03, LABELS, tol=1e-10)
    whole = np.arange(120) % 3
    repeated.fit(np.repeat(X, whole, axis=0), np.repeat(y, whole))
    counted = GroupLassoClassifier(0.03, LABELS, tol=1e-10).fit(X, y, sample_weight=whole)
    np.testing.assert_allclose(repeated.coef_, counted.coef_, atol=1e-6)


@pytest.mark.parametrize("several", [False, True])
def test_bounds_and_signs_hold_for_every_class(problem: Any, several: bool) -> None:
    X, y = problem
    y = y if several else two_classes(y)
    free = GroupLassoClassifier(0.005, LABELS).fit(X, y)
    assert free.coef_.min() < -0.2
    model = GroupLassoClassifier(0.005, LABELS, bounds=(-0.2, 0.3)).fit(X, y)
    assert -0.2 <= model.coef_.min() <= -0.2 + 1e-6
    assert 0.3 - 1e-6 <= model.coef_.max() <= 0.3
    positive = GroupLassoClassifier(0.005, LABELS, positive=True).fit(X, y)
    assert positive.coef_.min() == 0.0
    assert positive.coef_.any()


@pytest.mark.parametrize("several", [False, True])
def test_sparse_features_have_the_answer_of_dense_ones(problem: Any, several: bool) -> None:
    X, y = problem
    X, y = np.where(np.abs(X) < 0.5, 0.0, X), y if several else two_classes(y)
    dense = GroupLassoClassifier(0.03, LABELS, tol=1e-10).fit(X, y)
    sparse = GroupLassoClassifier(0.03, LABELS, tol=1e-10).fit(sp.csr_array(X), y)
    np.testing.assert_allclose(sparse.coef_, dense.coef_, atol=1e-7)
    kept = sparse.transform(sp.csr_array(X))
    np.testing.assert_array_equal(kept.toarray(), X[:, dense.support_])


@pytest.mark.parametrize("several", [False, True])
def test_the_top_of_a_grid(problem: Any, several: bool) -> None:
    X, y = problem
    y = y if several else two_classes(y)
    model = GroupLassoClassifier(1.0, LABELS, l1_ratio=0.5, class_weight="balanced")
    highest = alpha_max(model, X, y)
    assert not clone(model).set_params(alpha=1.001 * highest).fit(X, y).coef_.any()
    assert clone(model).set_params(alpha=0.99 * highest).fit(X, y).coef_.any()


def test_separated_classes_of_a_refit_warn(rng: np.random.Generator) -> None:
    X = rng.standard_normal((60, 4))
    y = X[:, 0] > 0.0
    model = GroupLassoClassifier(0.1, [0, 0, 1, 1], relax=True)
    with pytest.warns(ConvergenceWarning, match="positive l2"):
        model.fit(X, y)
    ridged = clone(model).set_params(l2=0.01).fit(X, y)
    theirs = LogisticRegression(C=1 / (0.01 * 60), tol=1e-10).fit(X[:, :2], y)
    np.testing.assert_allclose(ridged.coef_[:, :2], theirs.coef_, atol=1e-3)
    bounded = clone(model).set_params(bounds=(-5.0, 5.0)).fit(X, y)
    assert np.abs(bounded.coef_).max() == pytest.approx(5.0)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("alpha, penalty_weights", [(0.0, None), (0.1, [0.0, 1.0])])
def test_separated_classes_without_a_penalty_warn(
    rng: np.random.Generator, n_classes: int, alpha: float, penalty_weights: Any
) -> None:
    X = rng.standard_normal((60, 4))
    y = np.digitize(X[:, 0], [0.0, 0.7][: n_classes - 1])
    model = GroupLassoClassifier(alpha, [0, 0, 1, 1], penalty_weights=penalty_weights)
    with pytest.warns(ConvergenceWarning, match="positive l2"):
        model.fit(X, y)
    if n_classes == 2 and alpha:
        with pytest.warns(ConvergenceWarning, match="positive l2"):
            group_lasso_path(
                X, y, [0, 0, 1, 1], loss="logistic", penalty_weights=penalty_weights, alphas=3
            )
    # noise in the classes gives the loss a minimum
    noisy = rng.integers(n_classes, size=60)
    assert np.abs(clone(model).fit(X, noisy).coef_).max() < 3.0


def test_one_class_is_refused(problem: Any) -> None:
    with pytest.raises(ValueError, match="at least two classes"):
        GroupLassoClassifier().fit(problem[0], np.full(120, "ash"))
