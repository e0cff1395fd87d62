"""A mixture of normal distributions over weights, one of which stands at zero."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

#: Weights of which all components are looked at at once, so that they fit the cache.
_AT_ONCE = 2**14


@dataclass(frozen=True)
class Tuning:
    """The prior of the precisions, in units of the weights.

    Parameters
    ----------
    zero_count, other_count : float
        Weight of the prior of the precision at zero, and of each other one, as a share of the
        number of weights: so many observations of the deviation below.
    least_share : float
        A component never has less than this share of the weights that are not at zero, so that
        it can win some later.
    equal : float
        Components with a smaller divergence from each other are one.
    """

    zero_count: float = 2.0
    other_count: float = 0.002
    least_share: float = 1e-3
    equal: float = 1e-10


TUNING = Tuning()


class WeightMixture:
    r"""The density :math:`\sum_j \pi_j N(w \mid m_j, 1 / p_j)` with :math:`m_0 = 0`.

    The share :math:`\pi_0` at zero is given. The precisions have Gamma priors with the same mean.
    What is minimised is the sum of the negative logarithms of the densities of all weights and of
    the priors.

    Parameters
    ----------
    weights : torch.Tensor of shape (n_weights,)
        The weights to begin with; the means are spread evenly over their range.
    n_components : int
        Number of components, that at zero included.
    zero_share : float
        Share :math:`\pi_0` of the component at zero.
    deviation : float
        Deviation at the mean of the priors of the precisions, in units of the root mean square of
        the weights.

    Attributes
    ----------
    means, precisions, shares : torch.Tensor of shape (n_components,)
        The mixture, in float64; the component at zero first.
    """

    def __init__(
        self, weights: Tensor, n_components: int, zero_share: float, deviation: float
    ) -> None:
        n = max(1, len(weights))
        square = float(weights.double().square().sum()) / n or 1.0
        low, high = (float(w) for w in weights.aminmax()) if len(weights) else (-1.0, 1.0)
        n_free = n_components - 1
        counts = [TUNING.zero_count, *[TUNING.other_count] * n_free]
        self._shape = weights.new_tensor(counts, dtype=torch.float64) * n / 2 + 1
        self._rate = self._shape * deviation**2 * square
        self._zero_share = zero_share
        self.means = torch.cat(
            [self._shape.new_zeros(1), torch.linspace(low, high, n_free).to(self._shape)]
        )
        self.precisions = self._shape / self._rate
        self.shares = torch.full_like(self._shape, (1 - zero_share) / n_free)
        self.shares[0] = zero_share

    def log_joint(self, weights: Tensor) -> Tensor:
        """Logarithms of the density of each component times its share.

        Returns
        -------
        logs : torch.Tensor of shape (n_components, n_weights)
        """
        constant = self.shares.log() + 0.5 * (self.precisions / (2 * math.pi)).log()
        means, precisions = self.means.to(weights.dtype), self.precisions.to(weights.dtype)
        logs = (weights - means[:, None]).square_().mul_(-0.5 * precisions[:, None])
        return logs.add_(constant.to(weights.dtype)[:, None])

    def loss(self, weights: Tensor) -> float:
        """The negative logarithms of the densities of weights and precisions, up to a constant."""
        parts = weights.split(_AT_ONCE)
        data = sum(float(self.log_joint(w).logsumexp(0).double().sum()) for w in parts)
        prior = (self._shape - 1) * self.precisions.log() - self._rate * self.precisions
        return -data - float(prior.sum())

    def update(self, weights: Tensor, gradient: Tensor) -> float:
        """Write the gradient of ``loss`` by the weights, then fit the mixture to them anew.

        The fit is a step of expectation maximisation, which never raises the loss.

        Parameters
        ----------
        weights : torch.Tensor of shape (n_weights,)
            The weights.
        gradient : torch.Tensor of shape (n_weights,)
            Where to write the gradient.

        Returns
        -------
        zero : float
            Share of the weights that belong to the component at zero.
        """
        means = self.means.to(weights.dtype)
        precisions = self.precisions.to(weights.dtype)
        moments = self.means.new_zeros(3, len(means))
        for w, slope in zip(weights.split(_AT_ONCE), gradient.split(_AT_ONCE), strict=True):
            logs = self.log_joint(w)
            belongs = torch.softmax(logs, dim=0)
            strengths = belongs * precisions[:, None]
            torch.sub(w * strengths.sum(0), means @ strengths, out=slope)
            powers = torch.stack([torch.ones_like(w), w, w * w])
            moments += (powers @ belongs.T).double()
        self._fit(*moments)
        return float(moments[0, 0]) / max(1, len(weights))

    def _fit(self, counts: Tensor, sums: Tensor, squares: Tensor) -> None:
        """Means, precisions and shares that maximise the expected logarithm of the density."""
        means = torch.where(counts > 1e-8, sums / counts.clamp(min=1e-8), self.means)
        means[0] = 0.0
        spread = (squares - 2 * means * sums + counts * means * means).clamp(min=0)
        self.means = means
        self.precisions = (self._shape - 1 + counts / 2) / (self._rate + spread / 2)
        free = counts[1:].clamp(min=TUNING.least_share * max(float(counts[1:].sum()), 1e-8))
        self.shares = torch.cat([self.shares[:1], (1 - self._zero_share) * free / free.sum()])

    def assign(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        """The component of highest probability, but that at zero, and by how much it is higher.

        Returns
        -------
        component : torch.Tensor of shape (n_weights,)
            Number of a component, from 1 on.
        advantage : torch.Tensor of shape (n_weights,)
            Logarithm of its probability less that of the component at zero.
        """
        found = []
        for w in weights.split(_AT_ONCE):
            logs = self.log_joint(w)
            best = logs[1:].max(dim=0)
            found.append((best.indices + 1, best.values - logs[0]))
        components, advantages = zip(*found, strict=True)
        return torch.cat(components), torch.cat(advantages)

    def merged(self) -> Tensor:
        """For each component the first one that it cannot be told from, by its divergence."""
        same = torch.arange(len(self.means), device=self.means.device)
        ratio = self.precisions[:, None] / self.precisions
        distance = (self.means[:, None] - self.means).square() * self.precisions[:, None]
        divergence = 0.5 * (ratio - 1 - ratio.log() + distance)
        for j in range(1, len(self.means)):
            close = (divergence[j, :j] < TUNING.equal).nonzero().flatten()
            if len(close):
                same[j] = same[close[0]]
        return same
