"""OSCAR and SLOPE of classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.special import log_softmax
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import scale

from sksparse.linear_model import (
    OSCARClassifier,
    OSCARClassifierCV,
    SLOPEClassifier,
    SLOPEClassifierCV,
)


@pytest.fixture
def problem(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    X = rng.standard_normal((90, 8)) + 0.5 * rng.standard_normal((90, 1))
    z = X[:, 0] + X[:, 1] - X[:, 2] + 0.5 * rng.standard_normal(90)
    return X, np.array(["ash", "elm", "oak"])[np.digitize(z, [-1.0, 1.0])]


@pytest.mark.parametrize("n_classes", [2, 3])
def test_objective_of_the_docstring_is_minimal(
    n_classes: int, problem: Any, rng: np.random.Generator
) -> None:
    X, y = problem
    y = y if n_classes == 3 else np.where(y == "oak", y, "ash")
    weights = np.sort(rng.uniform(0.2, 1.0, 8))[::-1]
    model = SLOPEClassifier(0.1, lambdas=weights, tol=1e-10).fit(X, y)
    codes = np.searchsorted(model.classes_, y)

    def objective(w: np.ndarray, b: np.ndarray) -> float:
        z = X @ w.T + b
        z = np.c_[np.zeros(90), z] if n_classes == 2 else z
        sizes = np.sort(np.linalg.norm(w, axis=0))[::-1]
        return -log_softmax(z, axis=1)[np.arange(90), codes].mean() + 0.1 * weights @ sizes

    assert model.coef_.any()
    best = objective(model.coef_, model.intercept_)
    for size in (1e-3, 1e-2, 1.0):
        for _ in range(30):
            w = model.coef_ + size * rng.standard_normal(model.coef_.shape)
            b = model.intercept_ + size * rng.standard_normal(len(model.intercept_))
            assert objective(w, b) >= best - 1e-9


def test_equal_weights_are_the_l1_penalised_logistic_regression() -> None:
    X, y = load_breast_cancer(return_X_y=True)
    X = scale(X[:, :8])
    ours = SLOPEClassifier(0.05, lambdas="lasso", tol=1e-10).fit(X, y)
    options = {"C": 1 / (0.05 * len(y)), "tol": 1e-10, "max_iter": 10_000}
    theirs = LogisticRegression(l1_ratio=1.0, solver="saga", random_state=0, **options).fit(X, y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-5)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-5)


@pytest.mark.parametrize("kind", [OSCARClassifier, SLOPEClassifier])
def test_class_weights_are_sample_weights(kind: Any, problem: Any) -> None:
    X, y = problem
    factors = {"ash": 1.0, "elm": 3.0, "oak": 0.5}
    by_class = kind(0.05, class_weight=factors, tol=1e-9).fit(X, y)
    samples = np.vectorize(factors.get)(y)
    by_sample = kind(0.05, tol=1e-9).fit(X, y, sample_weight=samples)
    np.testing.assert_allclose(by_class.coef_, by_sample.coef_, atol=1e-6)


def test_classes_share_their_clusters(problem: Any) -> None:
    X, y = problem
    X = np.c_[X, -X[:, 0]]
    model = OSCARClassifier(0.05).fit(X, y)
    assert any({0, 8} <= set(cluster.tolist()) for cluster in model.clusters_)
    np.testing.assert_allclose(model.coef_[:, 0], -model.coef_[:, 8], atol=1e-7)
    norms = np.linalg.norm(model.coef_, axis=0)
    for cluster, size in zip(model.clusters_, model.cluster_coef_, strict=True):
        np.testing.assert_allclose(norms[cluster], size, rtol=1e-12)
    assert not hasattr(model, "degrees_of_freedom_")
    model.fit(X, y == "oak")
    assert model.degrees_of_freedom_ == model.n_clusters_
    np.testing.assert_array_equal(model.coef_[:, 0], -model.coef_[:, 8])


@pytest.mark.parametrize("kind", [OSCARClassifierCV, SLOPEClassifierCV])
def test_cross_validation_is_single_fits_of_folds(kind: Any, problem: Any) -> None:
    X, y = problem[0], problem[1] == "oak"
    train = np.arange(90) % 3 > 0
    model = kind(alphas=3, eps=0.1, cv=[(train, ~train)], tol=1e-10).fit(X, y)
    for k, alpha in enumerate(model.alphas_):
        options = {"alpha": alpha, "tol": 1e-10}
        single = kind._of_one_point(**options).fit(X[train], y[train])
        score = single.predict_log_proba(X[~train])[np.arange(30), y[~train].astype(int)].mean()
        assert model.score_path_[k, 0] == pytest.approx(score, rel=1e-5)
    assert model.alpha_ == model.alphas_[model.score_path_[:, 0].argmax()]
    assert model.n_clusters_ in model.n_clusters_path_


def test_a_fold_without_a_class_is_fitted_on_the_others(problem: Any) -> None:
    X, y = problem
    train = y != "elm"
    folds = [(train, ~train | (np.arange(90) % 2 == 0)), (~train | train, train)]
    with pytest.warns(UserWarning, match="fold 1/2 has no training sample of the classes"):
        model = SLOPEClassifierCV(alphas=2, eps=0.2, cv=folds).fit(X, y)
    assert model.coef_.shape == (3, 8)


def test_sparse_and_dense_data_and_coefficients(problem: Any) -> None:
    X, y = problem
    X = np.where(np.abs(X) > 0.4, X, 0.0)
    dense = OSCARClassifier(0.05, agglomerate=True, tol=1e-10).fit(X, y == "oak")
    on_sparse = OSCARClassifier(0.05, agglomerate=True, tol=1e-10).fit(sp.csr_array(X), y == "oak")
    np.testing.assert_allclose(dense.coef_, on_sparse.coef_, atol=1e-6)
    before = dense.transform(X), dense.get_support(), dense.predict(X)
    dense.sparsify()
    after = dense.transform(X), dense.get_support(), dense.predict(X)
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)
    assert dense.degrees_of_freedom_ == dense.n_clusters_
    np.testing.assert_allclose(dense.fit(X, y == "oak").coef_, on_sparse.coef_, atol=1e-6)
