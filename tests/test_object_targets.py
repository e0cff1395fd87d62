"""Targets that are held as Python objects, as tables of several types give them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from sksparse import (
    OSCAR,
    SLOPE,
    GroupLassoSelector,
    GrOWL,
    L0Classifier,
    L0Regressor,
    OSCARClassifier,
)
from sksparse.linear_model import (
    OSCARCV,
    GroupLassoClassifier,
    GroupLassoRegressor,
    L0PoissonRegressor,
    L0RegressorCV,
    l0_path,
)
from sksparse.neural_network import SparseMLPClassifier, SparseMLPRegressor

REGRESSORS = [
    L0Regressor(max_features=2),
    L0RegressorCV(cv=2),
    OSCAR(0.01),
    OSCARCV(cv=2, alphas=3),
    SLOPE(0.01, loss="poisson"),
    GrOWL(0.01),
    GroupLassoRegressor(),
    GroupLassoRegressor(loss="poisson"),
    L0PoissonRegressor(),
    SparseMLPRegressor((4,), max_iter=2, random_state=0),
]
CLASSIFIERS = [
    OSCARClassifier(0.01),
    GroupLassoClassifier(),
    L0Classifier(max_features=2),
    SparseMLPClassifier((4,), max_iter=2, random_state=0),
]
OBJECTS = {
    "array": lambda y: y.astype(object),
    "series": lambda y: pd.Series(y.astype(object)),
    "mixed numbers": lambda y: np.array([int(v) if v == int(v) else v for v in y], dtype=object),
}

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture
def table(rng: Any) -> tuple[np.ndarray, np.ndarray]:
    X = rng.normal(size=(60, 4))
    return X, np.abs(np.round(X[:, 0] + X[:, 1] + rng.normal(size=60), 1))


@pytest.mark.parametrize("kind", OBJECTS)
@pytest.mark.parametrize("model", REGRESSORS, ids=lambda model: type(model).__name__)
def test_numbers_as_objects_are_numbers(table: Any, model: Any, kind: str) -> None:
    X, y = table
    expected = model.fit(X, y).predict(X)
    found = model.fit(X, OBJECTS[kind](y)).predict(X)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == expected.dtype
    LinearRegression().fit(X, OBJECTS[kind](y))


@pytest.mark.parametrize("labels", [["no", "yes"], [3, 7], [False, True], [0.0, 1.0]])
@pytest.mark.parametrize("model", CLASSIFIERS, ids=lambda model: type(model).__name__)
def test_classes_as_objects_are_classes(table: Any, model: Any, labels: list[Any]) -> None:
    X, y = table
    y = np.array(labels)[(y > 0.8).astype(int)]
    expected = model.fit(X, y).predict(X)
    found = model.fit(X, y.astype(object))
    np.testing.assert_array_equal(found.predict(X), expected)
    assert found.classes_.tolist() == labels


def test_the_selector_sees_quantities_and_classes(table: Any) -> None:
    X, y = table
    numbers, names = GroupLassoSelector(0.01), GroupLassoSelector(0.01)
    coef = numbers.fit(X, y).coef_
    assert not hasattr(numbers.fit(X, y.astype(object)), "classes_")
    np.testing.assert_array_equal(numbers.coef_, coef)
    words = np.where(y > 0.8, "b", "a")
    np.testing.assert_array_equal(names.fit(X, words.astype(object)).classes_, ["a", "b"])


def test_paths_take_objects(table: Any) -> None:
    X, y = table
    a, b = (l0_path(X, given, max_features=2) for given in (y, y.astype(object)))
    np.testing.assert_array_equal(a.coefs, b.coefs)


@pytest.mark.parametrize(
    "model",
    [*REGRESSORS, *CLASSIFIERS, GroupLassoSelector()],
    ids=lambda model: type(model).__name__,
)
def test_a_mixture_is_refused_by_name(table: Any, model: Any) -> None:
    X, y = table
    mixed = y.astype(object)
    mixed[::2] = "many"
    with pytest.raises(ValueError, match=r"y holds objects of several types, float, str; give"):
        model.fit(X, mixed)
    mixed[::2] = None
    with pytest.raises(ValueError, match=r"several types, NoneType, float|NaN"):
        model.fit(X, mixed)
    mixed[::2] = np.nan
    with pytest.raises(ValueError, match=r"y contains NaN"):
        model.fit(X, mixed)


def test_other_objects_are_left_to_scikit_learn(table: Any) -> None:
    X, y = table
    decimals = np.array([Decimal(str(v)) for v in y], dtype=object)
    np.testing.assert_array_equal(
        L0Regressor(max_features=2).fit(X, decimals).coef_,
        L0Regressor(max_features=2).fit(X, y).coef_,
    )
    days = np.array([pd.Timestamp(2020, 1, 1 + int(v > 0.8)) for v in y], dtype=object)
    for model in (L0Classifier(), LogisticRegression()):
        with pytest.raises(ValueError, match="Unknown label type"):
            model.fit(X, days)
