"""Fits of a row, seed by seed, and what is recorded of each."""

from __future__ import annotations

import os
import time
import warnings
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from .data import Split
from .rows import Row

#: With it set to numbers with spaces between, only these seeds are run.
SEEDS = "STRUCTURED_SEEDS"


def seeds_of(row: Row) -> list[int]:
    """The seeds that are to be run."""
    asked = os.environ.get(SEEDS)
    return list(range(row.n_seeds)) if asked is None else [int(seed) for seed in asked.split()]


def fit(row: Row, seed: int, split: Split) -> dict[str, Any]:
    """Fit once; what is recorded of it."""
    model = row.make(seed)
    start = time.perf_counter()
    processor = time.process_time()
    with warnings.catch_warnings():
        # the schedules run to their end, which need not be convergence
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(split.X_train, split.y_train)
    seconds = {
        "seconds": round(time.perf_counter() - start, 1),
        "cpu_seconds": round(time.process_time() - processor, 1),
    }
    error = 100 * (1 - model.score(split.X_test, split.y_test))
    return {"error": round(float(error), 2), **weights_of(model), **seconds}


def weights_of(model: Any) -> dict[str, Any]:
    """The weights that are left, and their share by tensor in per cent."""
    tensors = model.density_by_layer_
    weights = dict(model.module_.named_parameters())
    n_weights = sum(weights[name].numel() for name in tensors)
    n_kept = sum(int(np.count_nonzero(weights[name].detach().numpy())) for name in tensors)
    return {
        "weights": n_kept,
        "compression": round(n_weights / max(n_kept, 1), 2),
        "density": {name: round(100 * share, 2) for name, share in tensors.items()},
    }
