"""Problems that several tests of best subsets share."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def problem(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    X = rng.standard_normal((80, 30)) + 0.5 * rng.standard_normal((80, 1))
    return X, X[:, [2, 7, 11]] @ [1.0, -1.0, 0.7] + 0.6 * rng.standard_normal(80) + 2.0


@pytest.fixture
def classes(problem: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    X, y = problem
    return X, np.where(y > 2.0, "yes", "no")
