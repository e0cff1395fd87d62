"""Inputs by the derivatives of the outputs with respect to them, which are penalised."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sksparse.feature_selection.perceptron._method import Criterion, InputMethod

#: Share of the running mean that an update leaves.
_DECAY = 0.99
#: Squares below which the root has no derivative.
_TINY = 1e-12


class DeepLasso(InputMethod):
    """A group lasso on derivatives: groups are what a batch has of those of a group of inputs.

    The penalty is the mean over the groups of inputs that are left of their cost times the root
    of their size times the norm of the derivatives of the outputs with respect to them, the root
    of the mean over the batch of the sum of squares. Where there are several outputs their
    derivatives are summed with random signs, for each row others: squares of that are on average
    the sums of squares. Scores are running means of the squared norms.
    """

    default_strength = 0.3

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._mean = torch.zeros_like(self.penalty_weights)

    def loss(self, X: Tensor, y: Tensor, weight: Tensor | None, criterion: Criterion) -> Tensor:
        X = X.detach().requires_grad_()
        outputs = self.forward(X)
        squares = self._squared_derivatives(X, outputs, weight)
        self._mean.lerp_(squares.detach(), 1 - _DECAY)
        norms = self.group_sums(squares).clamp(min=_TINY).sqrt()
        penalty = (self.strengths * self.sizes.sqrt() * norms).sum()
        return criterion(outputs, y, weight) + penalty

    def _squared_derivatives(self, X: Tensor, outputs: Tensor, weight: Tensor | None) -> Tensor:
        """For each input the mean over the rows of squared derivatives, which can be derived."""
        signs = torch.ones_like(outputs)
        if outputs.shape[1] > 1:
            signs = torch.randint_like(outputs, 2).mul_(2).sub_(1)
        (slopes,) = torch.autograd.grad(outputs, X, signs, create_graph=True)
        squares = slopes.square()
        if weight is not None:
            squares = squares * weight[:, None]
        return squares.mean(dim=0)

    def scores(self) -> Tensor:
        return self._mean

    def keep(self, kept: Tensor) -> None:
        super().keep(kept)
        self._mean = self._mean[kept]
