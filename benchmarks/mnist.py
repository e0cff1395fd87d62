"""LeNet-300-100 on MNIST: test error against the weights that are left, method by method.

Every row is trained on the 60 000 training images with the parameters below, which were
chosen on 10 000 of them held out, and is scored on the test images once.
"""

from __future__ import annotations

import time
import warnings
from statistics import mean
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator

from .mnist_rows import ROWS, Row
from .report import Report


def run(report: Report) -> None:
    """Measure the rows that are asked for, or all."""
    data = report.load("mnist.npz")
    X_train, X_test = (images(data[name]) for name in ("X_train", "X_test"))
    y_train, y_test = data["y_train"], data["y_test"]
    merged = report.merge({}, ROWS)
    for name in ROWS if report.rows is None else report.rows:
        row = ROWS[name]
        result = measure(row, (X_train, y_train, X_test, y_test))
        print(name, result, flush=True)
        merged = report.merge({name: result}, ROWS)
    report.note(
        "Test error (mean and range over the seeds) and compression, the 266 200 weights of "
        "784-300-100-10 (545 000 of 784-500-300-10) over those that are not zero. Pixels in "
        "[0, 1]; widths are units on a path from an input to an output."
    )
    report.table(
        ["row", "test error", "seeds", "compression", "widths", "fit", "published or asked"],
        [[name, *cells(result), ROWS[name].goal] for name, result in merged.items()],
    )


def images(pixels: np.ndarray) -> np.ndarray:
    """Rows of pixels in [0, 1]."""
    return pixels.reshape(len(pixels), -1).astype(np.float32) / 255


def measure(row: Row, data: Any) -> dict[str, Any]:
    """Fit with each seed."""
    X_train, y_train, X_test, y_test = data
    taught = {}
    if row.teacher is not None:
        taught["teacher"] = FrozenEstimator(row.teacher(0).fit(X_train, y_train))
    errors, seconds = [], []
    for seed in range(row.n_seeds):
        model = row.make(seed).set_params(**taught)
        start = time.perf_counter()
        with warnings.catch_warnings():
            # The schedules run to their end, which need not be convergence.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(X_train, y_train)
        seconds.append(time.perf_counter() - start)
        errors.append(100 * (1 - model.score(X_test, y_test)))
    n_weights = sum(w.size for w in model.coefs_)
    n_kept = sum(int(np.count_nonzero(w)) for w in model.coefs_)
    return {
        "errors": [round(e, 2) for e in errors],
        "compression": round(n_weights / max(n_kept, 1), 1),
        "widths": "-".join(map(str, model.architecture_)),
        "seconds": round(max(seconds)),
    }


def cells(result: dict[str, Any]) -> list[str]:
    """What the table shows of a result."""
    errors = result["errors"]
    spread = f" ({min(errors):.2f} to {max(errors):.2f})" if len(errors) > 1 else ""
    return [
        f"{mean(errors):.2f} %{spread}",
        str(len(errors)),
        f"{result['compression']:.1f}",
        result["widths"],
        f"{result['seconds']} s",
    ]
