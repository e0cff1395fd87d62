"""The hard-concrete distribution of a gate (Louizos, Welling & Kingma, 2018)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_NOISE_EDGE = 1e-6


class HardConcreteDistribution:
    """The stretched and clipped binary concrete distribution, as functions of log_alpha.

    Parameters
    ----------
    beta, gamma, zeta : float
        Temperature and ends of the stretched interval, as in ``HardConcrete``.
    """

    def __init__(self, beta: float = 2 / 3, gamma: float = -0.1, zeta: float = 1.1) -> None:
        self.beta = beta
        self.gamma = gamma
        self.zeta = zeta
        self.width = zeta - gamma
        self._shift = beta * math.log(-gamma / zeta)

    def concrete(self, log_alpha: Tensor, noise: Tensor, *, out: Tensor | None = None) -> Tensor:
        """The value in (0, 1) that is stretched and clipped, from standard logistic noise."""
        return torch.add(noise, log_alpha, out=out).div_(self.beta).sigmoid_()

    def gate(self, s: Tensor, *, out: Tensor | None = None) -> Tensor:
        """The gate in [0, 1] of a value in (0, 1): stretched and clipped."""
        return torch.mul(s, self.width, out=out).add_(self.gamma).clamp_(0.0, 1.0)

    def slope(self, s: Tensor, z: Tensor, *, out: Tensor | None = None) -> Tensor:
        """The derivative by log_alpha of the gate z of s."""
        # z - z^2 is positive just where the gate is not clipped
        inside = torch.addcmul(z, z, z, value=-1).sign_().mul_(self.width / self.beta)
        return torch.addcmul(s, s, s, value=-1, out=out).mul_(inside)

    def probability_nonzero(self, log_alpha: Tensor) -> Tensor:
        """P(z != 0)."""
        return torch.sub(log_alpha, self._shift).sigmoid_()

    def test_gate(self, log_alpha: Tensor) -> Tensor:
        """The deterministic gate used once training is over."""
        return self.gate(torch.sigmoid(log_alpha))


def logistic_noise(out: Tensor) -> Tensor:
    """Fill a tensor with standard logistic noise."""
    return out.uniform_(_NOISE_EDGE, 1 - _NOISE_EDGE).logit_()
