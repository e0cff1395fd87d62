"""Inputs by the squared derivative of the loss with respect to a gate on them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sksparse.feature_selection.perceptron._method import InputMethod

#: Share of the running mean that an update leaves.
DECAY = 0.99


class Elimination(InputMethod):
    """A running mean of squared derivatives, a diagonal of the Fisher information of the gates.

    With a gate on each input, which is 1, the derivative of the loss of a batch with respect to
    the gate of input j is the sum over the first units h of ``grad W_hj * W_hj``.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._mean = torch.zeros(len(self.group_of))

    def after_backward(self) -> None:
        weight = self.network.weight
        assert weight.grad is not None
        gate = (weight.grad * weight.data).sum(dim=0)
        self._mean.mul_(DECAY).addcmul_(gate, gate, value=1 - DECAY)

    def scores(self) -> Tensor:
        return self._mean

    def keep(self, kept: Tensor) -> None:
        super().keep(kept)
        self._mean = self._mean[kept]
