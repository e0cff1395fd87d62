"""Small fitted models to compress, each fitted once."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from sklearn.datasets import load_digits, make_classification, make_regression
from torch import nn

from sksparse import (
    GroupLassoClassifier,
    GroupLassoRegressor,
    GrOWL,
    L0Classifier,
    L0PoissonRegressor,
    L0Regressor,
    L0RegressorCV,
    OSCARClassifier,
    SparseMLPClassifier,
    SparseMLPRegressor,
    SparseNetClassifier,
    SparseNetRegressor,
)

FIT: dict[str, Any] = {"target_sparsity": 0.7, "max_iter": 4, "random_state": 0, "device": "cpu"}
X, y = make_classification(120, 12, n_informative=6, n_classes=3, random_state=0)
X_values, y_values = make_regression(120, 12, n_informative=4, n_targets=2, random_state=0)
IMAGES, DIGITS = load_digits(return_X_y=True)
IMAGES = IMAGES.reshape(-1, 1, 8, 8)[:300] / 16
LABELS = (X[:, :2] > 0).astype(int)


def convolutions() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 6, 3),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(54, 10),
    )


NETWORKS: dict[str, Callable[[], tuple[Any, Any]]] = {
    "classes": lambda: (SparseMLPClassifier((20,), **FIT).fit(X, y), X),
    "names of classes": lambda: (
        SparseMLPClassifier((20,), **FIT).fit(X, np.array(["a", "bb", "ccc"])[y]),
        X,
    ),
    "labels": lambda: (SparseMLPClassifier((20,), **FIT).fit(X, LABELS), X),
    "frame": lambda: (SparseMLPClassifier((20,), **FIT).fit(frame(), y), frame()),
    "value": lambda: (SparseMLPRegressor((20,), **FIT).fit(X_values, y_values[:, 0]), X_values),
    "values": lambda: (SparseMLPRegressor((20,), **FIT).fit(X_values, y_values), X_values),
    "shifted values": lambda: (
        SparseMLPRegressor((20,), **FIT).fit(X_values, 1e8 + y_values),
        X_values,
    ),
    "far columns": lambda: (
        SparseMLPClassifier((20,), **FIT).fit(X * 1e-4 + 1e3, y),
        X * 1e-4 + 1e3,
    ),
    "activations": lambda: (
        SparseMLPClassifier((20, 10), activation="tanh", batch_norm=True, **FIT).fit(X, y),
        X,
    ),
    "convolutions": lambda: (
        SparseNetClassifier(convolutions, **FIT).fit(IMAGES, DIGITS[:300]),
        IMAGES,
    ),
    "module": lambda: (
        SparseNetRegressor(lambda n, m: nn.Sequential(nn.Linear(n, 9), nn.ELU(), nn.Linear(9, m)))
        .set_params(**FIT)
        .fit(X_values, y_values * 100 + 5),
        X_values,
    ),
}


def frame() -> pd.DataFrame:
    return pd.DataFrame(X, columns=[f"column {j}" for j in range(12)])


COUNTS = np.random.default_rng(0).poisson(np.exp(0.3 * X_values[:, 0]))
LINEAR: dict[str, Callable[[], Any]] = {
    "regressor": lambda: L0Regressor(max_features=3).fit(X_values, y_values[:, 0]),
    "regressor cv": lambda: L0RegressorCV(max_features=4).fit(X_values, y_values[:, 0]),
    "two classes": lambda: L0Classifier(max_features=3).fit(X, np.where(y > 0, "yes", "no")),
    "classes": lambda: GroupLassoClassifier(alpha=0.02).fit(X, y),
    "clusters": lambda: OSCARClassifier(alpha=0.02).fit(frame(), y > 0),
    "targets": lambda: GroupLassoRegressor(alpha=0.5).fit(X_values, y_values),
    "rows": lambda: GrOWL(alpha=0.5).fit(X_values, y_values),
    "counts": lambda: L0PoissonRegressor(max_features=2).fit(X_values, COUNTS),
    "poisson": lambda: GroupLassoRegressor(loss="poisson", alpha=0.01).fit(X_values, COUNTS),
}


@cache
def network(name: str) -> tuple[Any, Any]:
    """A network and the rows that it was fitted to; nobody changes them."""
    return NETWORKS[name]()


@cache
def linear(name: str) -> Any:
    """A linear model; nobody changes it."""
    return LINEAR[name]()


def close(found: Any, expected: Any, scale: float = 1.0) -> None:
    """Equal but for single precision."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    spread = max(float(np.std(expected)), 1e-3)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=2e-5 * spread * scale)
