"""What importing the package and a first fit cost, and accuracy on digits at 90 % sparsity."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import mean, median

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sksparse import SparseMLPClassifier

from .processes import seconds_of
from .report import Report

IMPORT = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"
FITS = """
import time
import numpy as np
from {module} import {name}
rng = np.random.default_rng(0)
X = rng.standard_normal((200, 50))
y = X[:, 0] + rng.standard_normal(200)
seconds = []
for _ in range(10):
    start = time.perf_counter()
    {name}().fit(X, y)
    seconds.append(time.perf_counter() - start)
print(seconds[0] - seconds[-1])
"""
LINEAR = {
    "L0Regressor": "sksparse.linear_model",
    "OSCAR": "sksparse.linear_model",
    "GroupLassoSelector": "sksparse.feature_selection",
}
N_SEEDS = 5


def run(report: Report) -> None:
    """Measure everything."""
    imports(report)
    first_fits(report)
    digits(report)


def imports(report: Report) -> None:
    """Seconds to import the linear estimators and scikit-learn's, in fresh processes."""
    pairs = [
        (seconds_of(IMPORT.format(ours)), seconds_of(IMPORT.format(theirs)))
        for ours, theirs in [("sksparse.linear_model", "sklearn.linear_model")] * 9
    ]
    ratio = median(a / b for a, b in pairs)
    ours, theirs = (median(column) for column in zip(*pairs, strict=True))
    report.note("Import, median of 9 pairs of fresh processes:")
    report.table(
        ["sksparse.linear_model", "sklearn.linear_model", "ratio"],
        [[f"{ours:.3f} s", f"{theirs:.3f} s", f"{ratio:.2f}"]],
    )


def first_fits(report: Report) -> None:
    """Seconds that the first fit of a process costs more than the tenth, with a warm cache."""
    rows = []
    for name, module in LINEAR.items():
        code = FITS.format(module=module, name=name)
        seconds_of(code)
        extra = [seconds_of(code) for _ in range(7)]
        rows.append([name, f"{median(extra):.3f} s", f"{max(extra):.3f} s"])
    report.note("First fit minus tenth fit, second and later processes, 7 processes:")
    report.table(["estimator", "median", "largest"], rows)


def digits(report: Report) -> None:
    """Test accuracy on digits with a tenth of the weights, and of the dense network."""
    X, y = load_digits(return_X_y=True)
    makers: dict[str, Callable[[int], object]] = {
        "scikit-learn MLPClassifier, dense": lambda seed: MLPClassifier(
            (100,), max_iter=500, random_state=seed
        ),
        "SparseMLPClassifier, oscar": lambda seed: SparseMLPClassifier(
            (100,), target_sparsity=0.9, random_state=seed
        ),
        "SparseMLPClassifier, l0": lambda seed: SparseMLPClassifier(
            (100,), sparsifier="l0", target_sparsity=0.9, random_state=seed
        ),
        "SparseMLPClassifier, magnitude": lambda seed: SparseMLPClassifier(
            (100,), sparsifier="magnitude", target_sparsity=0.9, random_state=seed
        ),
    }
    rows = []
    for name, maker in makers.items():
        scores, seconds = [], []
        for seed in range(N_SEEDS):
            split = train_test_split(X, y, test_size=0.3, stratify=y, random_state=seed)
            X_train, X_test, y_train, y_test = split
            start = time.perf_counter()
            model = make_pipeline(StandardScaler(), maker(seed)).fit(X_train, y_train)
            seconds.append(time.perf_counter() - start)
            scores.append(100 * model.score(X_test, y_test))
        spread = f"{mean(scores):.2f} % ({min(scores):.2f} to {max(scores):.2f})"
        sparsity = getattr(model[-1], "sparsity_", 0.0)
        rows.append([name, f"{100 * sparsity:.1f} %", spread, f"{median(seconds):.1f} s"])
    report.note("Digits, hidden layer of 100, 30 % held out, mean and range over 5 seeds:")
    report.table(["model", "weights set to zero", "test accuracy", "fit"], rows)
