"""Small random problems of the sorted L1 family with a strength at which some features are used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from group_problems import targets
from scipy.stats import norm
from sorted_reference import SortedProblem, alpha_max

#: Names of the losses; "tasks" is the squared one of several outputs.
LOSSES = ("squared", "tasks", "logistic", "multinomial", "poisson")
#: Weights of so many features.
WEIGHTS: dict[str, Callable[[int], np.ndarray]] = {
    "falling": lambda p: np.linspace(5.0, 1.0, p),
    "quantiles": lambda p: norm.isf(np.arange(1, p + 1) * 0.1 / (2 * p)),
    "equal": np.ones,
    "only the first": lambda p: np.eye(1, p)[0],
    "half zero": lambda p: np.maximum(np.linspace(1.0, -1.0, p), 0.0),
    "steps": lambda p: np.repeat([3.0, 1.0], [p // 3, p - p // 3]),
    "steep": lambda p: 10.0 ** -np.linspace(0.0, 4.0, p),
}


def draw(
    rng: np.random.Generator,
    loss: str,
    weights: str = "falling",
    *,
    n: int = 40,
    p: int = 12,
    share: float = 0.3,
    weighted: bool = False,
    intercept: bool = True,
) -> SortedProblem:
    """Correlated columns, a few of which make the target.

    ``share`` is that of the strength in the largest one that selects something.
    """
    X = rng.standard_normal((n, p)) + 0.5 * rng.standard_normal((n, 1)) + rng.uniform(-1, 1, p)
    y, name, _ = targets(rng, loss, X[:, : 1 + p // 3])
    samples = rng.integers(1, 4, n).astype(float) if weighted else None
    problem = SortedProblem(X, y, name, 1.0, WEIGHTS[weights](p), samples, intercept)
    return replace(problem, alpha=share * alpha_max(problem))
