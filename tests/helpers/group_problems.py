"""Small random problems of the group lasso family with a strength at which some groups are used."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from group_reference import GroupProblem, alpha_max

#: Names of the losses; "tasks" is the squared one of several outputs, "efron" Cox with those ties.
LOSSES = ("squared", "tasks", "logistic", "multinomial", "poisson", "huber", "cox", "efron")
OUTPUTS = 3


def draw(
    rng: np.random.Generator,
    loss: str,
    *,
    n: int = 40,
    p: int = 12,
    sizes: int = 3,
    share: float = 0.4,
    free: bool = False,
    weighted: bool = False,
    **options: Any,
) -> GroupProblem:
    """Correlated columns in interleaved groups of about ``sizes``, a few of which make the target.

    ``share`` is that of the strength in the largest one that selects something.
    """
    X = rng.standard_normal((n, p)) + 0.3 * rng.standard_normal((n, 1)) + rng.uniform(-1, 1, p)
    labels = rng.permutation(np.arange(p) // sizes)
    y, name, parameters = targets(rng, loss, X[:, labels <= labels.max() // 3])
    weights = rng.integers(1, 4, n).astype(float) if weighted else None
    factors = rng.uniform(0.5, 2.0, labels.max() + 1) if free else None
    if factors is not None:
        factors[0] = 0.0
    problem = GroupProblem(
        X, y, name, 1.0, labels, factors, weights=weights, options=parameters, **options
    )
    return replace(problem, alpha=share * alpha_max(problem))


def targets(rng: np.random.Generator, loss: str, X: np.ndarray):
    """Targets from all columns, the name of the loss in the reference, and its parameters."""
    n, p = X.shape
    signal = (X - X.mean(axis=0)) @ rng.uniform(0.5, 1.0, p) / np.sqrt(p)
    noise = 0.5 * rng.standard_normal(n)
    if loss == "tasks":
        mixed = np.multiply.outer(signal, [1.0, -0.5, 0.2]) + rng.standard_normal((n, OUTPUTS))
        return mixed + np.array([1.0, 0.0, -3.0]), "squared", None
    if loss == "logistic":
        return (signal + noise > 0.0).astype(float), loss, None
    if loss == "multinomial":
        y = np.digitize(signal + noise, np.quantile(signal + noise, [0.3, 0.7]))
        return y.astype(float), loss, None
    if loss == "poisson":
        return rng.poisson(np.exp(np.clip(signal, -3.0, 3.0))).astype(float), loss, None
    if loss == "huber":
        return signal + noise * np.where(rng.random(n) < 0.2, 10.0, 1.0), loss, {"epsilon": 0.9}
    if loss in {"cox", "efron"}:
        time = np.ceil(4.0 * np.exp(-signal) * rng.exponential(size=n)) + 0.0
        event = (rng.random(n) < 0.7).astype(float)
        event[np.argmin(time)] = 1.0
        return np.c_[time, event], "cox", {"ties": "breslow" if loss == "cox" else "efron"}
    return signal + noise + 2.0, "squared", None
