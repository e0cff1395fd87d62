"""Inputs by random gates on them, which are learned and of which those that stay open are kept."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from sksparse.feature_selection.perceptron._method import Criterion, InputMethod
from sksparse.sparsifiers.stochastic._hard_concrete_distribution import (
    HardConcreteDistribution,
    logistic_noise,
)

#: Standard deviation of a Gaussian gate.
_SIGMA = 0.5


class Gates(InputMethod):
    """A gate between 0 and 1 for each group of inputs, drawn anew for each row of a batch.

    The penalty is the mean over the groups that are left of their cost times the probability that
    their gate is open, not 0. Scores are odds of that: unlike probabilities, they do not round
    to 1. Without penalty a gate is always 1. Parameters are held for each input, equal inside a
    group.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.location = nn.Parameter(torch.zeros_like(self.penalty_weights))

    def column_parameters(self) -> list[nn.Parameter]:
        return [self.location]

    def forward(self, X: Tensor) -> Tensor:
        location = self.group_means(self.location)
        training = self.network.training
        gates = self.draw(location, len(X)) if training else self.mode(location)
        gates = torch.where(self.costs > 0, gates, 1.0)
        return super().forward(X * gates[..., self.places])

    def loss(self, X: Tensor, y: Tensor, weight: Tensor | None, criterion: Criterion) -> Tensor:
        is_open = torch.sigmoid(self.log_odds(self.group_means(self.location)))
        return super().loss(X, y, weight, criterion) + (self.strengths * is_open).sum()

    def scores(self) -> Tensor:
        location = self.group_means(self.location.detach().double())
        return (self.log_odds(location).exp() / self.sizes)[self.places]

    @abstractmethod
    def draw(self, location: Tensor, n_rows: int) -> Tensor:
        """Random gates for so many rows."""

    @abstractmethod
    def mode(self, location: Tensor) -> Tensor:
        """The gates without noise."""

    @abstractmethod
    def log_odds(self, location: Tensor) -> Tensor:
        """The logarithm of the odds that gates are open."""


class GaussianGates(Gates):
    """Gates ``clip(mu + 1/2 + noise, 0, 1)`` with Gaussian noise (Yamada and others, 2020)."""

    default_strength = 0.1
    reach = 3.0

    def draw(self, location: Tensor, n_rows: int) -> Tensor:
        noise = torch.randn(n_rows, len(location), dtype=location.dtype)
        return self.mode(location + _SIGMA * noise)

    def mode(self, location: Tensor) -> Tensor:
        return (location + 0.5).clamp(0.0, 1.0)

    def log_odds(self, location: Tensor) -> Tensor:
        z = (location + 0.5) / _SIGMA
        return torch.special.log_ndtr(z) - torch.special.log_ndtr(-z)


class ConcreteGates(Gates):
    """Hard concrete gates (Louizos, Welling and Kingma, 2018)."""

    default_strength = 0.1
    reach = 10.0

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._distribution = HardConcreteDistribution()

    def draw(self, location: Tensor, n_rows: int) -> Tensor:
        noise = logistic_noise(torch.empty(n_rows, len(location), dtype=location.dtype))
        distribution = self._distribution
        return self._stretched((noise + location) / distribution.beta)

    def mode(self, location: Tensor) -> Tensor:
        return self._stretched(location)

    def _stretched(self, logit: Tensor) -> Tensor:
        distribution = self._distribution
        return (torch.sigmoid(logit) * distribution.width + distribution.gamma).clamp(0.0, 1.0)

    def log_odds(self, location: Tensor) -> Tensor:
        distribution = self._distribution
        return location - distribution.beta * math.log(-distribution.gamma / distribution.zeta)
