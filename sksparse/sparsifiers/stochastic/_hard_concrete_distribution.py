"""The hard-concrete distribution of a gate (Louizos, Welling & Kingma, 2018)."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

_NOISE_EDGE = 1e-6


class HardConcreteDistribution:
    """The stretched and clipped binary concrete distribution, as functions of log_alpha.

    Parameters
    ----------
    beta, gamma, zeta : float
        Temperature and ends of the stretched interval, as in ``HardConcrete``.
    dtype : torch.dtype
        Type of the logits.
    """

    def __init__(
        self,
        beta: float = 2 / 3,
        gamma: float = -0.1,
        zeta: float = 1.1,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.beta = beta
        self.gamma = gamma
        self.zeta = zeta
        self.width = zeta - gamma
        # numbers as tensors: torch takes them up faster
        self._low, self._per_beta, self._steepness = torch.tensor(
            [gamma, 1 / beta, self.width / beta], dtype=dtype
        )
        self._shift = beta * math.log(-gamma / zeta)

    def concrete(self, log_alpha: Tensor, noise: Tensor, *, out: Tensor | None = None) -> Tensor:
        """The value in (0, 1) that is stretched and clipped, from standard logistic noise."""
        return torch.add(noise, log_alpha, out=out).mul_(self._per_beta).sigmoid_()

    def gate(self, s: Tensor, *, out: Tensor | None = None) -> Tensor:
        """The gate in [0, 1] of a value in (0, 1): stretched and clipped."""
        return torch.add(self._low, s, alpha=self.width, out=out).clamp_(0.0, 1.0)

    def slope(self, s: Tensor, z: Tensor, by_gate: Tensor, *, out: Tensor | None = None) -> Tensor:
        """The derivative by log_alpha, from that by the gate z of s."""
        # z - z^2 is positive just where the gate is not clipped
        inside = torch.addcmul(z, z, z, value=-1).sign_().mul_(by_gate)
        slope = torch.addcmul(s, s, s, value=-1)
        return torch.mul(slope, inside, out=out).mul_(self._steepness)

    def probability_nonzero(self, log_alpha: Tensor) -> Tensor:
        """P(z != 0)."""
        return torch.sub(log_alpha, self._shift).sigmoid_()

    def test_gate(self, log_alpha: Tensor) -> Tensor:
        """The deterministic gate used once training is over."""
        return self.gate(torch.sigmoid(log_alpha))


def logistic_noise(out: Tensor) -> Tensor:
    """Fill a tensor with standard logistic noise."""
    return out.uniform_(_NOISE_EDGE, 1 - _NOISE_EDGE).logit_()


def mirrored_noise(like: Tensor) -> Iterator[Tensor]:
    """Standard logistic noise without end, in one tensor; every second draw mirrors the first."""
    noise = torch.empty_like(like)
    while True:
        yield logistic_noise(noise)
        yield noise.neg_()
