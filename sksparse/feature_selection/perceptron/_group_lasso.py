"""Inputs by the norms of their weights, under a group lasso on the columns of the first layer."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sksparse.feature_selection.perceptron._method import InputMethod

#: Share of the mean squared gradients that an update leaves, as in Adam.
_DECAY = 0.999
#: The least that anything is divided by.
_TINY = 1e-12


class ProximalMethod(InputMethod):
    """A penalty whose proximal operator is applied after each update, in the metric of Adam.

    Adam divides the gradients of each weight by their root mean square. The strength is divided
    by the same, a mean over the weights of a group, but by no less than half of itself: weights
    without other gradients shrink by twice the learning rate in an update.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._squares = torch.zeros_like(self.penalty_weights)
        self._share_seen = 0.0

    def thresholds(self, gradient: Tensor, rate: float) -> Tensor:
        """What the norms of groups lose after an update.

        Parameters
        ----------
        gradient : torch.Tensor of shape (n_rows, n_inputs)
            Derivatives of the loss with respect to what is penalised.
        rate : float
            The learning rate.
        """
        self._squares.lerp_(gradient.square().mean(dim=0), 1 - _DECAY)
        self._share_seen += (1 - _DECAY) * (1 - self._share_seen)
        size = self.group_means(self._squares).div_(self._share_seen).sqrt_()
        # strengths per root of a weight compare with gradients
        roots = (self.sizes * len(gradient)).sqrt()
        strength = self.strengths * self.sizes.sqrt() / roots
        size = torch.maximum(size, 0.5 * strength).clamp_(min=_TINY)
        return rate * roots * strength / size

    def keep(self, kept: Tensor) -> None:
        super().keep(kept)
        self._squares = self._squares[kept]


class GroupLasso(ProximalMethod):
    """Columns of the first layer shrink to zero as wholes; scores are their squared norms.

    The penalty is the mean over the groups that are left of their cost times the root of their
    size times the norm of their columns, which begin with equal norms.
    """

    default_strength = 0.1

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        equalise(self.network.weight.data)

    def after_step(self, rate: float) -> None:
        weight = self.network.weight
        assert weight.grad is not None
        thresholds = self.thresholds(weight.grad, rate)
        weight.mul_(shrinkage(self.group_sums(self.scores()).sqrt(), thresholds)[self.places])

    def scores(self) -> Tensor:
        return self.network.weight.detach().square().sum(dim=0)


def shrinkage(norms: Tensor, thresholds: Tensor) -> Tensor:
    """The factors on vectors of these norms that the prox of a norm times a threshold has."""
    return (1 - thresholds / norms.clamp(min=_TINY)).clamp_(min=0.0)


def equalise(weights: Tensor) -> None:
    """Give columns the same norm, in place: of other ones the order would be random at first."""
    norms = torch.linalg.vector_norm(weights, dim=0)
    weights.mul_(norms.square().mean().sqrt() / norms)
