"""Fits of a row, seed by seed, and what is recorded of each."""

from __future__ import annotations

import os
import pickle
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from torch import nn

from benchmarks.report import Report

from .data import Split, load
from .rows import Row, Run
from .sizes import dense_of, sizes_of

#: With it set to numbers with spaces between, only these seeds are run.
SEEDS = "STRUCTURED_SEEDS"
#: Folder in which networks that other rows start from are kept; without it only while this runs.
BASES = "STRUCTURED_BASES"


def seeds_of(row: Row) -> list[int]:
    """The seeds that are to be run."""
    asked = os.environ.get(SEEDS)
    return list(range(row.n_seeds)) if asked is None else [int(seed) for seed in asked.split()]


class Fits:
    """Fits of rows, some of which start from the networks of others.

    Parameters
    ----------
    rows : dict of str to Row
        All rows by name.
    report : Report
        Where the data are.
    """

    def __init__(self, rows: Mapping[str, Row], report: Report) -> None:
        self.rows = rows
        self.report = report
        self._splits: dict[str, Split] = {}
        self._bases: dict[str, nn.Module] = {}

    def measure(self, name: str, seed: int) -> Run:
        """Fit a row once; what is recorded of it."""
        row = self.rows[name]
        split = self.split(row)
        model, seconds = self._fit(row, seed)
        dense = dense_of(row, model)
        return {
            **scores_of(model, split),
            **weights_of(model, dense),
            **(sizes_of(row, model, dense, split.X_test) if row.compacts else densities_of(model)),
            **seconds,
        }

    def split(self, row: Row) -> Split:
        """The data of a row."""
        if row.data not in self._splits:
            self._splits[row.data] = load(row.data, self.report)
        return self._splits[row.data]

    def _fit(self, row: Row, seed: int) -> tuple[Any, dict[str, float]]:
        model, split = row.make(seed), self.split(row)
        if row.base is not None:
            module = self.network(row.base)
            if row.shrink is not None:
                module = row.shrink(module, torch.from_numpy(split.X_train[:2]))
            model.set_params(module=module)
        start, processor = time.perf_counter(), time.process_time()
        with warnings.catch_warnings():
            # the schedules run to their end, which need not be convergence
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(split.X_train, split.y_train)
        return model, {
            "seconds": round(time.perf_counter() - start, 1),
            "cpu_seconds": round(time.process_time() - processor, 1),
        }

    def network(self, name: str) -> nn.Module:
        """The network of a row's first seed, fitted once."""
        if name not in self._bases:
            folder = os.environ.get(BASES)
            file = None if folder is None else Path(folder) / f"{name}.pickle"
            if file is not None and file.exists():
                self._bases[name] = pickle.loads(file.read_bytes())
            else:
                self._bases[name] = self._fit(self.rows[name], 0)[0].module_
            if file is not None:
                file.write_bytes(pickle.dumps(self._bases[name]))
        return self._bases[name]


def scores_of(model: Any, split: Split) -> Run:
    """The error in per cent, and the exponential of the mean log loss."""
    shares = model.predict_proba(split.X_test)
    found = model.classes_[shares.argmax(axis=1)]
    right = shares[np.arange(len(shares)), np.searchsorted(model.classes_, split.y_test)]
    return {
        "error": round(float(100 * np.mean(found != split.y_test)), 2),
        "perplexity": round(float(np.exp(-np.mean(np.log(np.maximum(right, 1e-12))))), 4),
    }


def weights_of(model: Any, dense: nn.Module) -> Run:
    """The weights that are left."""
    n_weights, n_kept = (
        sum(int(torch.count_nonzero(w)) for w in module.parameters() if w.ndim > 1)
        for module in (dense, model.module_)
    )
    return {"weights": n_kept, "compression": round(n_weights / max(n_kept, 1), 2)}


def densities_of(model: Any) -> Run:
    """The share of the weights that is left by tensor, in per cent."""
    shares = model.density_by_layer_
    return {"density": {name: round(100 * share, 2) for name, share in shares.items()}}
