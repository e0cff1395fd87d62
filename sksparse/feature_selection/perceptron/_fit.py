"""Runs on validated data: tables, rows to learn from and to score, one path for each seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from sksparse._progress import Progress
from sksparse._typing import Array, Indices, Mask
from sksparse.feature_selection.perceptron._engine import PathTraining, Schedule
from sksparse.feature_selection.perceptron._input_path import InputPath
from sksparse.feature_selection.perceptron._methods import METHODS
from sksparse.feature_selection.perceptron._network import InputNetwork
from sksparse.feature_selection.perceptron._objective import objective_of
from sksparse.feature_selection.perceptron._tables import Source
from sksparse.neural_network.training._data import Rows, make_rows, merge_equal_rows, split_rows
from sksparse.neural_network.training._labels import class_factors
from sksparse.neural_network.training._runtime import training

_CPU = torch.device("cpu")
#: Rows of a batch that are usual; fewer where an epoch would have less than `_FEWEST` batches, and
#: more where it would have more than `_MOST`, since few large matrix products are faster.
_LEAST_ROWS, _USUAL_ROWS, _MOST_ROWS = 16, 64, 512
_FEWEST, _MOST = 10, 200
#: Epochs that are usual; more where they are less than `_LEAST_UPDATES`, and fewer where they are
#: more than `_MOST_UPDATES`.
_LEAST_EPOCHS, _USUAL_EPOCHS = 10, 100
_LEAST_UPDATES, _MOST_UPDATES = 2000, 30_000
#: The usual learning rate, and that of a run after one whose network was no better than a constant,
#: which is so many times as long: some rings among noise are missed by one of the usual length.
_USUAL_RATE, _LARGE_RATE, _LONGER = 1e-3, 1e-2, 2
#: It was none where any of the networks was better by so many standard errors of the score, or by
#: this share of the loss: of rare classes the score says little. Fewer rows cannot tell.
_ERRORS_ABOVE, _LOSS_BELOW, _ENOUGH_ROWS = 5.0, 0.1, 20
#: Standard errors are 0 where all rows are predicted alike.
_LEAST_ERROR = 1e-12


@dataclass(frozen=True)
class RunOptions:
    """What the user chose of a run.

    Parameters
    ----------
    method : str
        Name of the method.
    strength : float or None
        Strength of its penalty; None is its own.
    hidden : sequence of int
        Units of the hidden layers.
    dropout : pair of float
        Rates on inputs and hidden units.
    learning_rate : float or "auto"
        Of the optimiser, at the beginning.
    weight_decay : float
        Of the optimiser.
    batch_size, n_epochs : int or "auto"
        Rows of a batch, and epochs.
    least : int
        Features at which the path ends.
    validation_fraction : float
        Share of the distinct rows that are scored and not learned from.
    """

    method: str
    strength: float | None
    hidden: Sequence[int]
    dropout: tuple[float, float]
    learning_rate: float | str
    weight_decay: float
    batch_size: int | str
    n_epochs: int | str
    least: int
    validation_fraction: float


@dataclass(frozen=True)
class Data:
    """Validated data.

    Parameters
    ----------
    X : {ndarray, csr_array} of shape (n_samples, n_features)
        Features.
    values : ndarray of shape (n_samples,) or (n_samples, n_targets)
        Numbers, or codes of classes.
    classes : ndarray or None
        The classes, where there are any.
    weights : ndarray of shape (n_samples,)
        Sample weights.
    class_weight : dict, "balanced" or None
        Weights of the classes.
    group_of : ndarray of shape (n_features,)
        The group of each feature.
    penalty_weights : ndarray of shape (n_groups,)
        What groups cost; those of 0 stay.
    """

    X: Any
    values: Array
    classes: Any
    weights: Array
    class_weight: Any
    group_of: Indices
    penalty_weights: Array


class Runs:
    """Runs on one set of data.

    Parameters
    ----------
    data : Data
        The data.
    options : RunOptions
        How they are run.

    Attributes
    ----------
    varies : ndarray of shape (n_groups,)
        Mask of the groups that are part of the runs: those with a feature that is not constant.
    """

    def __init__(self, data: Data, options: RunOptions) -> None:
        data = replace(data, weights=of_moderate_size(data.weights))
        self._data, self._options = data, options
        self._check_strength()
        self._objective = objective_of(data.values, data.classes, data.weights)
        self._weights = self._weighted(data)
        self._rows = np.flatnonzero(self._weights > 0)
        self._source = Source(data.X, self._rows)
        varies = self._source.varies
        if not varies.any():
            raise ValueError(
                f"All {len(varies)} features of X are constant over n_samples={len(self._rows)} of "
                "positive weight, so that there is nothing to rank; give features that vary."
            )
        self.varies: Mask = np.bincount(data.group_of, weights=varies) > 0

    def _check_strength(self) -> None:
        method, strength = self._options.method, self._options.strength
        if strength is not None and METHODS[method].default_strength is None:
            names = [name for name, kind in METHODS.items() if kind.default_strength is not None]
            raise ValueError(
                f"strength={strength!r} is that of a penalty, and method={method!r} has none; set "
                f"strength=None, or a method that has one: {', '.join(names)}."
            )

    def _weighted(self, data: Data) -> Array:
        """Sample weights times those of the classes."""
        labels, classes = self._objective.labels, data.classes
        if data.class_weight is None:
            return data.weights
        if labels is None:
            raise ValueError(
                f"class_weight={data.class_weight!r} needs targets that are classes, one for each "
                "sample; use sample_weight."
            )
        factors = class_factors(data.class_weight, classes, labels, data.weights)
        if np.count_nonzero(factors) < 2:
            raise ValueError(
                f"class_weight={data.class_weight!r} leaves a single class; at least two must have "
                "positive weights."
            )
        return of_moderate_size(data.weights * factors[labels])

    def run(self, seed: int, name: str, verbose: int) -> InputPath:
        """One run; groups without a feature that varies are not part of it, and come first.

        Where no learning rate is given and the network was no better than a constant, another run
        follows, since columns that show nothing alone are found by larger steps; the better stays.
        """
        rate = self._options.learning_rate
        if not isinstance(rate, str):
            return self._run(seed, name, verbose, rate)
        path = self._run(seed, name, verbose, _USUAL_RATE)
        if path.evidence > _ERRORS_ABOVE or not path.is_complete:
            return path
        other = self._run(seed, f"{name}, larger steps", verbose, _LARGE_RATE, _LONGER)
        if not other.is_complete:
            return replace(path, is_complete=False)
        better = min(path, other, key=lambda run: run.losses.min())
        return replace(better, evidence=max(path.evidence, other.evidence))

    def _run(self, seed: int, name: str, verbose: int, rate: float, longer: int = 1) -> InputPath:
        options, data, objective = self._options, self._data, self._objective
        table, features = self._source.table()
        y, weights = objective.y[self._rows], self._weights[self._rows]
        index, weights = merge_equal_rows(table.array, y, weights)
        table.standardise(index, weights[index])
        train, valid = (
            make_rows(table, y, weights, part, _CPU) for part in self._split(index, seed)
        )
        group_of = torch.from_numpy(data.group_of[features])
        costs = torch.from_numpy(data.penalty_weights)
        batch_size = self._batch_size(len(train))
        n_batches = math.ceil(len(train) / batch_size)
        schedule = Schedule(
            self._n_epochs(n_batches, longer),
            batch_size,
            rate,
            options.weight_decay,
            first=METHODS[options.method].first,
            least=min(options.least, len(features)),
        )
        with training(seed, _CPU) as use_threads:
            network = InputNetwork(
                len(features), objective.n_outputs, options.hidden, options.dropout
            )
            use_threads(batch_size, network)
            method = METHODS[options.method](
                network,
                schedule.n_epochs * n_batches,
                options.strength,
                costs[group_of].float(),
                group_of,
            )
            run = PathTraining(
                method,
                schedule,
                table,
                train,
                valid,
                objective.criterion,
                objective.score,
                torch.from_numpy(np.bincount(data.group_of)),
                costs,
                Progress(name, "epoch", schedule.n_epochs, verbose=verbose),
            )
            path = run.run()
        constant = np.flatnonzero(~self.varies)[::-1]
        order = np.concatenate([constant, path.order])
        return replace(path, order=order, evidence=self._evidence(path, valid))

    def _evidence(self, path: InputPath, valid: Rows) -> float:
        """By how many standard errors the best network was better than a constant."""
        if len(valid) < _ENOUGH_ROWS:
            return math.inf
        constant = self._objective.constant(self._weights).expand(len(valid), -1)
        y = valid.y[valid.index]
        weight = torch.ones(len(valid)) if valid.weight is None else valid.weight[valid.index]
        score, _ = self._objective.score(constant, y, weight)
        loss = float(self._objective.criterion(constant, y, weight))
        if (path.losses < (1 - _LOSS_BELOW) * loss).any():
            return math.inf
        above = path.scores - score
        return float(np.max(above / np.maximum(path.errors, _LEAST_ERROR)))

    def _split(self, index: Indices, seed: int) -> tuple[Indices, Indices]:
        fraction = self._options.validation_fraction
        n_valid = math.ceil(fraction * len(index))
        labels = self._objective.labels
        labels = None if labels is None else labels[self._rows][index]
        parts = split_rows(index, labels, n_valid, seed)
        if parts is None:
            raise ValueError(
                f"validation_fraction={fraction!r} cannot set any of {len(index)} distinct samples "
                "aside and keep others of every class to learn from; give more samples, or change "
                "validation_fraction."
            )
        return parts

    def _batch_size(self, n_rows: int) -> int:
        size = self._options.batch_size
        if isinstance(size, str):
            few = min(max(_LEAST_ROWS, n_rows // _FEWEST), _USUAL_ROWS)
            size = min(max(few, n_rows // _MOST), _MOST_ROWS)
        return min(n_rows, size)

    def _n_epochs(self, n_batches: int, longer: int) -> int:
        n_epochs = self._options.n_epochs
        if isinstance(n_epochs, str):
            few = longer * max(_USUAL_EPOCHS, _LEAST_UPDATES // n_batches)
            n_epochs = max(_LEAST_EPOCHS, min(few, _MOST_UPDATES // n_batches))
        return n_epochs


def of_moderate_size(weights: Array) -> Array:
    """Weights times a power of two, the largest about 1: sums of huge ones would overflow."""
    _, exponent = np.frexp(weights.max())
    return np.ldexp(weights, -exponent)
