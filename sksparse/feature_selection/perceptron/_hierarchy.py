"""Inputs by a linear skip layer that bounds their weights in the first layer."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sksparse.feature_selection.perceptron._group_lasso import ProximalMethod, equalise

#: Weights of an input are at most this multiple of the norm of its skip weights.
_FACTOR = 10.0


class Hierarchy(ProximalMethod):
    """A linear model beside the network; inputs leave both together.

    The penalty is the mean over the groups that are left of their cost times the root of their
    size times the norm of their skip weights; no weight of a group in the first layer exceeds 10
    times that norm. Skip weights begin with equal norms. Scores are squared norms of skip weights.
    """

    default_strength = 0.3

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        first = self.network.weight
        n_outputs, n_inputs = self.network.n_outputs, first.shape[1]
        bound = 1 / math.sqrt(n_inputs)
        self.skip = nn.Parameter(first.new_empty(n_outputs, n_inputs).uniform_(-bound, bound))
        equalise(self.skip.data)

    def column_parameters(self) -> list[nn.Parameter]:
        return [self.skip]

    def forward(self, X: Tensor) -> Tensor:
        return super().forward(X) + F.linear(X, self.skip)

    def after_step(self, rate: float) -> None:
        assert self.skip.grad is not None
        thresholds = self.thresholds(self.skip.grad, rate)
        weight = self.network.weight
        factors, bounds = hierarchical_prox(
            self.group_sums(self.scores()).sqrt(), weight.abs(), thresholds, self.places
        )
        free = self.costs == 0
        self.skip.mul_(factors.masked_fill_(free, 1.0)[self.places])
        bounds = bounds.masked_fill_(free, torch.inf)[self.places]
        weight.copy_(weight.clamp(-bounds, bounds))

    def scores(self) -> Tensor:
        return self.skip.detach().square().sum(dim=0)


def hierarchical_prox(
    norms: Tensor, sizes: Tensor, thresholds: Tensor, places: Tensor, factor: float = _FACTOR
) -> tuple[Tensor, Tensor]:
    """Shrink vectors and bound weights by them (Lemhadri, Ruan, Abraham and Tibshirani, 2021).

    For each group, with the norm v of its vector and the weights u, what minimises

    ``(|b| - v)^2 / 2 + sum_i (w_i - u_i)^2 / 2 + threshold * |b|`` subject to
    ``|w_i| <= factor * |b|``.

    Given the bound w on the weights, these are clipped there, so that the derivative with respect
    to w, ``(w / factor - v + threshold) / factor - sum_i (|u_i| - w)_+``, is concave and
    piecewise linear. Newton's method from w = 0 rises to its root in as many steps as it
    meets pieces, without the sorting of the original.

    Parameters
    ----------
    norms : torch.Tensor of shape (n_groups,)
        Norms of the vectors.
    sizes : torch.Tensor of shape (n_rows, n_inputs)
        Magnitudes of the weights.
    thresholds : torch.Tensor of shape (n_groups,)
        Strengths of the penalty times the step.
    places : torch.Tensor of shape (n_inputs,)
        The group of each input.
    factor : float, default=10.0
        How large weights may be.

    Returns
    -------
    factors : torch.Tensor of shape (n_groups,)
        What the vectors are multiplied by.
    bounds : torch.Tensor of shape (n_groups,)
        At what magnitude the weights are clipped.
    """
    pull = (norms - thresholds) / factor
    bounds, before = torch.zeros_like(norms), torch.full_like(norms, torch.inf)
    while True:
        above = sizes > bounds[places]
        count = torch.zeros_like(norms).index_add_(0, places, above.sum(dim=0).to(norms))
        # the bound only rises, so that fewer weights are above it each time
        if bool((count >= before).all()):
            break
        total = torch.zeros_like(norms).index_add_(0, places, (sizes * above).sum(dim=0))
        bounds = ((pull + total) / (count + factor**-2)).clamp_(min=0.0)
        before = count
    # a vector of 0 has no direction in which it could grow
    bounds.masked_fill_(norms == 0, 0.0)
    return bounds / (factor * norms).clamp(min=torch.finfo(norms.dtype).tiny), bounds
