"""Posteriors of one random scale for each unit, under priors that favour scales of zero."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from sksparse.sparsifiers.stochastic._variational_dropout import divergence, divergence_slope

_LOG_ALPHA_BOUND = 8.0
_EPSILON = 1e-8
_FIRST_LOG_VARIANCE = -9.0
#: The exponentials of the half-Cauchy divergences are cut off here, far from any optimum.
_LARGEST_EXPONENT = 20.0


class ScalePosterior(ABC):
    """Distributions of scales z, independent between units, begun close to z = 1.

    Parameters
    ----------
    layer : torch.Tensor of shape (n_units,)
        The number of the layer of each unit, ascending.
    like : torch.Tensor
        Gives type and device.

    Attributes
    ----------
    values : torch.nn.Parameter
        All parameters of the distributions, with a gradient that is kept in place.
    column_layer : torch.Tensor
        The number of the layer that each column of ``values`` belongs to.
    """

    #: Where ``score`` says that a unit is removed.
    threshold: float

    def __init__(self, layer: Tensor, values: Tensor) -> None:
        self.layer = self.column_layer = layer
        self.values = nn.Parameter(values)
        self.values.grad = torch.zeros_like(values)

    @abstractmethod
    def sample(self, n_rows: int) -> Tensor:
        """Draws of shape (n_rows, n_units), traced."""

    @abstractmethod
    def mean(self) -> Tensor:
        """The expected scale of every unit."""

    @abstractmethod
    def score(self) -> Tensor:
        """The removal score of every unit: units of large scores are removed."""

    @abstractmethod
    def divergence(self) -> Tensor:
        """The divergence from the prior of the distribution in each column of ``values``."""

    @abstractmethod
    def divergence_gradient(self) -> Tensor:
        """Its gradient by ``values``."""


class NormalJeffreys(ScalePosterior):
    """Normal posteriors under the prior 1 / |z|; rows of ``values`` are mean and log variance."""

    threshold = 0.0

    def __init__(self, layer: Tensor, like: Tensor) -> None:
        values = like.new_empty((2, len(layer)))
        values[0] = 1.0
        values[1] = _FIRST_LOG_VARIANCE
        super().__init__(layer, values)

    def sample(self, n_rows: int) -> Tensor:
        mean, log_variance = self.values
        return mean + (0.5 * log_variance).exp() * torch.randn_like(mean.expand(n_rows, -1))

    def mean(self) -> Tensor:
        return self.values.data[0]

    def score(self) -> Tensor:
        """The log alpha: logarithm of the variance over the squared mean."""
        mean, log_variance = self.values.data
        return log_variance - (mean * mean + _EPSILON).log()

    def divergence(self) -> Tensor:
        return divergence(self.score().clamp(-_LOG_ALPHA_BOUND, _LOG_ALPHA_BOUND))

    def divergence_gradient(self) -> Tensor:
        mean, log_alpha = self.values.data[0], self.score()
        slope = divergence_slope(log_alpha) * (log_alpha.abs() < _LOG_ALPHA_BOUND)
        return torch.stack([-2 * slope * mean / (mean * mean + _EPSILON), slope])


class Horseshoe(ScalePosterior):
    """Log-normal posteriors under half-Cauchy priors of a scale of a layer and one of a unit.

    A half-Cauchy variable is the root of the product of a Gamma(1/2) and an inverse
    Gamma(1/2) variable, each of which has a log-normal posterior. Rows of ``values`` are the
    means of the logarithms of both and then their log variances; columns are the units, then
    the layers.

    Parameters
    ----------
    layer, like : torch.Tensor
        As in ``ScalePosterior``.
    n_layers : int
        Number of layers.
    tau : float
        Scale of the half-Cauchy prior of a layer.
    """

    def __init__(self, layer: Tensor, n_layers: int, like: Tensor, tau: float) -> None:
        self._n_units = len(layer)
        values = like.new_zeros((4, self._n_units + n_layers))
        values[2:] = _FIRST_LOG_VARIANCE
        # z = 1 has the least divergence with small layer scales and large unit scales
        values[0, self._n_units :] = 2 * math.log(tau)
        values[1, : self._n_units] = -2 * math.log(tau)
        self._log_scale = torch.zeros_like(values[0])
        self._log_scale[self._n_units :] = 2 * math.log(tau)
        # half way between the scale of a unit in use and that of the layer alone
        self.threshold = -0.5 * math.log(tau)
        super().__init__(layer, values)
        self.column_layer = torch.cat([layer, torch.arange(n_layers, device=layer.device)])

    def sample(self, n_rows: int) -> Tensor:
        mean, variance = self._logarithm(self.values)
        return (mean + variance.sqrt() * torch.randn_like(mean.expand(n_rows, -1))).exp()

    def _logarithm(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of the logarithm of each scale."""
        means, variances = values[:2].sum(0), values[2:].exp().sum(0)
        units, whole = slice(self._n_units), slice(self._n_units, None)
        mean = 0.5 * (means[units] + means[whole][self.layer])
        return mean, 0.25 * (variances[units] + variances[whole][self.layer])

    def mean(self) -> Tensor:
        mean, variance = self._logarithm(self.values.data)
        return (mean + 0.5 * variance).exp()

    def score(self) -> Tensor:
        """The negative logarithm of the mode."""
        mean, variance = self._logarithm(self.values.data)
        return variance - mean

    def _excesses(self) -> tuple[Tensor, Tensor]:
        a, b, log_v, log_w = self.values.data
        above = (a + 0.5 * log_v.exp() - self._log_scale).clamp(max=_LARGEST_EXPONENT)
        below = (0.5 * log_w.exp() - b).clamp(max=_LARGEST_EXPONENT)
        return above.exp(), below.exp()

    def divergence(self) -> Tensor:
        a, b, log_v, log_w = self.values.data
        above, below = self._excesses()
        of_gamma = above - 0.5 * (a + log_v + math.log(2) + 1 - self._log_scale)
        of_inverse = below - 0.5 * (-b + log_w + math.log(2) + 1)
        return of_gamma + of_inverse

    def divergence_gradient(self) -> Tensor:
        _, _, log_v, log_w = self.values.data
        above, below = self._excesses()
        by_variances = [0.5 * log_v.exp() * above - 0.5, 0.5 * log_w.exp() * below - 0.5]
        return torch.stack([above - 0.5, 0.5 - below, *by_variances])
