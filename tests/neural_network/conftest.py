"""Data that the tests of networks share."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_digits, make_classification
from sklearn.preprocessing import StandardScaler, scale


@pytest.fixture(scope="session")
def data() -> tuple[np.ndarray, np.ndarray]:
    X, y = make_classification(240, 12, n_informative=5, n_classes=3, class_sep=2.0, random_state=0)
    return StandardScaler().fit_transform(X), y


@pytest.fixture(scope="session")
def digits() -> tuple[np.ndarray, np.ndarray]:
    X, y = load_digits(return_X_y=True)
    return X[:600] / 16, y[:600]


@pytest.fixture(scope="session")
def diabetes() -> tuple[np.ndarray, np.ndarray]:
    X, y = load_diabetes(return_X_y=True)
    return scale(X), scale(y)
