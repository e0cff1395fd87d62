"""What the network is trained for, and how its validation is scored, with a standard error."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
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

#: Shares of classes are no less, so that their logarithms are finite.
_LEAST_SHARE = 1e-7


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
    constant : callable
        Takes weights of the rows; returns the outputs of the best constant.
    criterion : torch.nn.Module
        Takes outputs, targets and weights.
    score : callable
        Takes the same, and returns a score and its standard error.
    labels : ndarray or None
        The class of each row, where rows are to be set aside in proportion.
    """

    y: Any
    n_outputs: int
    constant: Callable[[Array], Tensor]
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
        zeros = torch.zeros(y.shape[1])
        return Objective(y, len(zeros), lambda _: zeros, WeightedSquaredError(), r2)
    if values.ndim == 2:
        y = values.astype(np.float32)
        odds = partial(log_odds, y)
        return Objective(y, y.shape[1], odds, WeightedBinaryCrossEntropy(), subset_accuracy)
    codes: Indices = values.astype(np.int64)
    n_classes = len(classes)
    shares = partial(log_shares, codes, n_classes)
    return Objective(codes, n_classes, shares, WeightedCrossEntropy(), accuracy, codes)


def log_odds(y: Array, weights: Array) -> Tensor:
    """The logit of the weighted share of each label."""
    shares = np.average(y, axis=0, weights=weights)
    return torch.logit(torch.from_numpy(shares), eps=_LEAST_SHARE).float()


def log_shares(codes: Indices, n_classes: int, weights: Array) -> Tensor:
    """The logarithm of the weighted share of each class."""
    shares = np.bincount(codes, weights=weights, minlength=n_classes) / weights.sum()
    return torch.from_numpy(shares).clamp(min=_LEAST_SHARE).log().float()


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
