"""What tests of convex answers go through: losses of the library, pairs, and awkward columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from sksparse.losses import Cox, Huber, Logistic, Loss, Multinomial, Poisson, Squared

#: Losses of the library by their name in :mod:`group_losses`.
KINDS: dict[str, type[Loss]] = {
    "squared": Squared,
    "logistic": Logistic,
    "multinomial": Multinomial,
    "poisson": Poisson,
    "huber": Huber,
    "cox": Cox,
}


def pairs(losses: Sequence[Any], others: Sequence[Any], every: int) -> list[Any]:
    """All pairs, of which one in so many is run each time and the others in the slow suite."""
    return [
        pytest.param(loss, other, marks=[] if (i + j) % every == 0 else pytest.mark.slow)
        for i, loss in enumerate(losses)
        for j, other in enumerate(others)
    ]


def constant(rng: np.random.Generator, X: np.ndarray) -> None:
    X[:, [1, 4]] = [0.0, 3.7]


def copies(rng: np.random.Generator, X: np.ndarray) -> None:
    X[:, 1], X[:, 5] = X[:, 0], -2.0 * X[:, 3]


def dependent(rng: np.random.Generator, X: np.ndarray) -> None:
    X[:, 2] = X[:, 0] + X[:, 1]


def one_hot(rng: np.random.Generator, X: np.ndarray) -> None:
    X[:, :4] = np.eye(4)[rng.integers(0, 4, len(X))]


def far(rng: np.random.Generator, X: np.ndarray) -> None:
    X[:, :3] += 1e5


#: Each changes columns in place.
SPOILS: list[Callable[..., None]] = [constant, copies, dependent, one_hot, far]
