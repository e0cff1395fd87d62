"""What the network is trained for, and how its validation is scored, with a standard error."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sksparse._typing import Array, Indices
from sksparse.neural_network.training._objectives import (
    WeightedBinaryCrossEntropy,
    WeightedCrossEntropy,
    WeightedSquaredError,
)
from sksparse.neural_network.training._standardisation import target_standardisation

Score = Callable[[Tensor, Tensor, Tensor], tuple[float, float]]


@dataclass(frozen=True)
class Objective:
    """Targets as the network sees them, their loss, and their score.

    Parameters
    ----------
    y : ndarray
        Encoded targets: classes counted from 0, 0 and 1 for each of several labels, or
        standardised numbers.
    n_outputs : int
        Outputs of the network.
    criterion : torch.nn.Module
        Takes outputs, targets and weights.
    score : callable
        Takes the same, and returns a score and its standard error.
    labels : ndarray or None
        The class of each row, where rows are to be set aside in proportion.
    """

    y: Any
    n_outputs: int
    criterion: nn.Module
    score: Score
    labels: Indices | None = None


def objective_of(values: Array, classes: Any, weights: Array) -> Objective:
    """The objective of numbers, or of codes of classes where there are any.

    Parameters
    ----------
    values : ndarray of shape (n_samples,) or (n_samples, n_targets)
        Numbers, or codes.
    classes : ndarray or None
        The classes.
    weights : ndarray of shape (n_samples,)
        Sample weights.
    """
    if classes is None:
        y = values.reshape(len(values), -1)
        scaling, _ = target_standardisation(y, weights)
        with np.errstate(over="ignore"):
            y = scaling.standardise(y).astype(np.float32)
        return Objective(y, y.shape[1], WeightedSquaredError(), r2)
    if values.ndim == 2:
        y = values.astype(np.float32)
        return Objective(y, y.shape[1], WeightedBinaryCrossEntropy(), subset_accuracy)
    codes: Indices = values.astype(np.int64)
    return Objective(codes, len(classes), WeightedCrossEntropy(), accuracy, codes)


def accuracy(outputs: Tensor, y: Tensor, weight: Tensor) -> tuple[float, float]:
    """The share of rows whose largest output is that of their class."""
    return mean_and_error((outputs.argmax(dim=1) == y).double(), weight)


def subset_accuracy(outputs: Tensor, y: Tensor, weight: Tensor) -> tuple[float, float]:
    """The share of rows of which every label is right."""
    return mean_and_error(((outputs > 0) == (y > 0)).all(dim=1).double(), weight)


def r2(outputs: Tensor, y: Tensor, weight: Tensor) -> tuple[float, float]:
    """The mean over the outputs of the share of variance that is explained.

    Targets are standardised: where they do not vary in the rows that are scored, as in a single
    row, their variance is 1.
    """
    y, outputs = y.double(), outputs.double()
    weights = (weight.double() / weight.double().sum())[:, None]
    total = (weights * (y - (weights * y).sum(dim=0)).square()).sum(dim=0)
    varies = total > torch.finfo(torch.float32).eps
    residual = ((y - outputs).square() / torch.where(varies, total, 1.0)).mean(dim=1)
    mean, error = mean_and_error(residual, weight)
    return 1.0 - mean, error


def mean_and_error(values: Tensor, weight: Tensor) -> tuple[float, float]:
    """The weighted mean, and its standard error."""
    weights = weight.double() / weight.double().sum()
    mean = (weights * values).sum()
    # the sum of squared weights is 1 over the effective number of rows
    variance = (weights * (values - mean).square()).sum() * weights.square().sum()
    return float(mean), math.sqrt(max(float(variance), 0.0))
