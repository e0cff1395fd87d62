"""Scores of units beside the oracle: how the loss changes where a unit is zeroed."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from sksparse.sparsifiers import SPARSIFIERS, Probe, SparsifierRun, Task

from .data import Split
from .fitting import Fits

#: Rows of the training data on which scores and the oracle are computed, in batches.
N_ROWS, BATCH = 1000, 100
#: Dense networks by the rows that train them, and scores by the names of sparsifiers.
NETWORKS = ("LeNet-5, dense, 6 epochs", "ResNet, coil20, dense")
SCORES = {"taylor": "taylor", "magnitude": "filters"}


def measure(fits: Fits) -> dict[str, dict[str, float]]:
    """Rank correlation of each score, over all units of a network."""
    found = {}
    for name in NETWORKS:
        module, split = fits.network(name), fits.split(fits.rows[name])
        found[name] = correlations(module.eval(), split)
    return found


def correlations(module: nn.Module, split: Split) -> dict[str, float]:
    """Spearman's correlation of scores with the oracle."""
    X = torch.from_numpy(split.X_train[:N_ROWS])
    y = torch.from_numpy(np.unique(split.y_train, return_inverse=True)[1][:N_ROWS])
    truth = oracle(run_of("filters", module, X), X, y)
    return {
        label: round(float(spearmanr(truth, scores_of(name, module, X, y)).statistic), 3)
        for label, name in SCORES.items()
    }


def run_of(name: str, module: nn.Module, X: Tensor) -> Any:
    """The run of a method on a copy of a network, before any training."""
    task = Task(
        alpha=None,
        target_sparsity=None,
        weight_decay=0.0,
        learning_rate=1e-3,
        max_iter=1,
        steps_per_epoch=len(X) // BATCH,
        n_samples=len(X),
        target_units=0.5,
        example=X[:2],
    )
    return SPARSIFIERS[name]().attach(copy.deepcopy(module), task)


def scores_of(name: str, module: nn.Module, X: Tensor, y: Tensor) -> np.ndarray:
    """What a method would rank the units by."""
    run = run_of(name, module, X)

    def batches() -> Iterator[tuple[Tensor, Tensor, None]]:
        for rows, targets in zip(X.split(BATCH), y.split(BATCH), strict=True):
            yield rows, targets, None

    probe = Probe(run.module, batches, lambda z, t, _: nn.functional.cross_entropy(z, t))
    return run.scores(probe).detach().numpy()


def oracle(run: SparsifierRun, X: Tensor, y: Tensor) -> np.ndarray:
    """The absolute change of the mean loss where what reads a unit sees zeros."""
    values, units = run.parameters.values, run.units
    dense = values.detach().clone()
    changes = []
    with torch.no_grad():
        before = float(nn.functional.cross_entropy(run.module(X), y))
        for unit in range(units.n_units):
            keep = torch.ones(units.n_units)
            keep[unit] = 0.0
            units.scale(values, keep, ("reads",))
            changes.append(abs(float(nn.functional.cross_entropy(run.module(X), y)) - before))
            values.copy_(dense)
    return np.array(changes)
