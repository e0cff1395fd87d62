"""Inputs by sequential attention: they are selected one after the other, and leave in reverse."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from sksparse.feature_selection.perceptron._method import InputMethod

#: Share of the updates after which the first inputs are selected; after the share `first` of the
#: method all are.
_BEGIN = 0.1
#: What is added to powers before they are rounded down.
_ROUNDING = 1e-9


class SequentialAttention(InputMethod):
    """Inputs that are selected have weight 1, the others a softmax of logits that are learned.

    The softmax is multiplied by the root of their number: as long as logits are equal,
    standardised inputs together have the variance of one that is selected.

    In the first part of the run the number of selected groups of inputs grows geometrically from
    one to all: each time those of the largest softmax for their cost are selected. Then the network
    knows them all, and they leave in reverse order, so that validation scores are those of the
    sets that were selected.
    """

    reach = 5.0
    first = 0.5

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.logits = nn.Parameter(torch.zeros_like(self.penalty_weights))
        self._n_done, self._n_groups = 0, len(self.costs)
        self._n_selected = 0
        # how many were selected before a group; infinite for those that are not yet
        self._place = torch.full_like(self.costs, torch.inf)
        self._select((self.costs == 0).nonzero()[:, 0])

    def column_parameters(self) -> list[nn.Parameter]:
        return [self.logits]

    def forward(self, X: Tensor) -> Tensor:
        return super().forward(X * self.weights()[self.places])

    def weights(self) -> Tensor:
        """The weights of the groups."""
        selected = self._place.isfinite()
        if bool(selected.all()):
            return torch.ones_like(self.costs)
        logits = self.group_means(self.logits).masked_fill(selected, -torch.inf)
        root = math.sqrt(len(logits) - self._n_selected)
        return (root * torch.softmax(logits, dim=0)).masked_fill(selected, 1.0)

    def after_step(self, rate: float) -> None:
        self._n_done += 1
        share = (self._n_done / self.n_updates - _BEGIN) / (self.first - _BEGIN)
        due = min(self._n_groups, int(self._n_groups**share + _ROUNDING)) if share >= 0 else 0
        if due > self._n_selected:
            order = torch.argsort(self._worth(), descending=True, stable=True)
            self._select(order[self._place[order].isinf()][: due - self._n_selected])

    def _worth(self) -> Tensor:
        return self.weights().detach() / self.costs

    def _select(self, groups: Tensor) -> None:
        self._place[groups] = torch.arange(len(groups)).to(self._place) + self._n_selected
        self._n_selected += len(groups)

    def scores(self) -> Tensor:
        selected = self._place.isfinite()
        # the engine divides by what groups cost, which the selection has done already
        score = torch.where(selected, 1 + self._n_groups - self._place, self.weights().detach())
        return (score * torch.where(selected, self.costs, 1.0) / self.sizes)[self.places]

    def keep(self, kept: Tensor) -> None:
        groups = torch.unique(self.places[kept])
        super().keep(kept)
        self._place = self._place[groups]
