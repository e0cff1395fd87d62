"""What a prediction costs next to scikit-learn's networks of the same layers."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor

from sksparse import SparseMLPClassifier, SparseMLPRegressor

from .report import Report

#: Features and hidden layers.
NETWORKS = {
    "20-50": (20, (50,)),
    "50-100": (50, (100,)),
    "784-300-100": (784, (300, 100)),
}
KINDS: dict[str, Callable[[Any], Any]] = {
    "float64": lambda X: X,
    "float32": lambda X: X.astype(np.float32),
    "DataFrame": lambda X: pd.DataFrame(X, columns=[f"x{j}" for j in range(X.shape[1])]),
}
PAIRS = (
    (SparseMLPClassifier, MLPClassifier, "predict"),
    (SparseMLPClassifier, MLPClassifier, "predict_proba"),
    (SparseMLPRegressor, MLPRegressor, "predict"),
)
N_ROUNDS = 7


def run(report: Report) -> None:
    """Measure everything."""
    for n_rows, n_calls in ((1, 40), (10_000, 2)):
        rows = [
            row(f"{classes[0].__name__}.{classes[2]}", kind, name, classes, n_rows, n_calls)
            for classes in PAIRS
            for kind in KINDS
            for name in NETWORKS
        ]
        report.note(
            f"Prediction of {n_rows} row{'s' if n_rows > 1 else ''} after fits on the same type, "
            f"median of {N_ROUNDS} rounds of {n_calls} calls in turn, CPU time:"
        )
        report.table(["method", "X", "layers", "ours", "scikit-learn", "ratio"], rows)


def row(
    method: str, kind: str, name: str, classes: tuple[Any, Any, str], n_rows: int, n_calls: int
) -> list[str]:
    """One line of the table."""
    n_features, hidden = NETWORKS[name]
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, n_features))
    y = (X[:, 0] + X[:, 1] > 0).astype(int)
    asked = KINDS[kind](rng.standard_normal((n_rows, n_features)))
    calls = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for maker in classes[:2]:
            model = maker(hidden_layer_sizes=hidden, max_iter=2, random_state=0).fit(
                KINDS[kind](X), y
            )
            calls.append(getattr(model, classes[2]))
    ours, theirs = in_turn(*(lambda call=call: call(asked) for call in calls), n_calls=n_calls)
    ratio = median(a / b for a, b in zip(ours, theirs, strict=True))
    unit = 1e6 if n_rows == 1 else 1e3
    name_of_unit = "µs" if n_rows == 1 else "ms"
    seconds = [f"{unit * median(s):.3g} {name_of_unit}" for s in (ours, theirs)]
    return [method, kind, name, *seconds, f"{ratio:.2f}"]


def in_turn(*calls: Callable[[], Any], n_calls: int) -> list[list[float]]:
    """Seconds of CPU time that each function takes, measured one after the other."""
    seconds: list[list[float]] = [[] for _ in calls]
    for _ in range(N_ROUNDS + 1):
        for call, times in zip(calls, seconds, strict=True):
            start = time.process_time()
            for _ in range(n_calls):
                call()
            times.append((time.process_time() - start) / n_calls)
    # the first round warms up
    return [times[1:] for times in seconds]
