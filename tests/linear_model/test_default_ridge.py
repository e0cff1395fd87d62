"""The default ridge of classifiers where there are more samples than features."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_iris, load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import scale

from sksparse.linear_model import L0Classifier, L0ClassifierCV


@pytest.mark.parametrize(
    "make", [lambda: L0Classifier(max_features=2), L0ClassifierCV, lambda: L0ClassifierCV(cv=5)]
)
@pytest.mark.parametrize("load, label", [(load_iris, 0), (load_wine, 2)])
def test_separated_classes_end_with_moderate_coefficients(
    make: object, load: object, label: int
) -> None:
    X, y = load(return_X_y=True)
    X = scale(X)
    model = make().fit(X, y == label)
    separated = model.score(X, y == label) == 1.0
    if separated:
        assert model.l2_ == pytest.approx(np.log(4.0) / len(y))
        assert np.abs(model.coef_).max() < 10.0
        assert model.predict_proba(X).max(axis=1).min() < 0.999
    else:
        assert model.l2_ == 1e-8


def test_it_does_not_depend_on_the_scale_of_a_feature() -> None:
    X, y = load_iris(return_X_y=True)
    factors = np.array([1e-3, 1.0, 1e4, 10.0])
    near = L0Classifier(max_features=2).fit(X, y == 0)
    far = L0Classifier(max_features=2).fit(X * factors, y == 0)
    np.testing.assert_allclose(far.coef_ * factors, near.coef_, rtol=1e-5)


def test_a_level_that_holds_one_class_only(rng: np.random.Generator) -> None:
    # quasi-separation: one dummy column would take an infinite coefficient
    level = np.arange(120) % 4
    y = np.where(level == 2, 1, rng.random(120) < 0.5).astype(int)
    X = np.c_[np.eye(4)[level], rng.standard_normal((120, 2))]
    model = L0Classifier(max_features=2).fit(X, y)
    assert model.coef_[0, 2] != 0.0
    assert np.abs(model.coef_).max() * X[:, 2].std() < 10.0


def test_classes_that_overlap_get_maximum_likelihood() -> None:
    X, y = load_breast_cancer(return_X_y=True)
    X = scale(X)
    model = L0Classifier(max_features=3).fit(X, y)
    used = model.get_support()
    theirs = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000).fit(X[:, used], y)
    np.testing.assert_allclose(model.coef_[0, used], theirs.coef_[0], rtol=1e-4)
