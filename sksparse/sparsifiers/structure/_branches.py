"""Residual branches, removed with all their parameters."""

from __future__ import annotations

import torch
from torch import Tensor

from sksparse.module_graph import ModuleGraph
from sksparse.sparsifiers.parameters._flat_parameters import FlatParameters
from sksparse.sparsifiers.structure._groups import Groups


class Branches(Groups):
    """The residual branches of a module, with all their parameters; each may be removed.

    Parameters
    ----------
    parameters : FlatParameters
        The parameters of the module.
    picture : ModuleGraph
        Its picture, which was followed.

    Attributes
    ----------
    group : torch.Tensor of shape (n_parameters,)
        The number of the branch of each parameter; ``n_units`` for none.
    """

    keeps_layers = False
    noun = "branch"

    def __init__(self, parameters: FlatParameters, picture: ModuleGraph) -> None:
        self.n_units = len(picture.branches)
        device = parameters.values.device
        self.layer = torch.zeros(self.n_units, dtype=torch.long, device=device)
        self.layer_names = ["the branches"]
        self.group = torch.full_like(parameters.values, self.n_units, dtype=torch.long)
        by_name = parameters.all_by_name(self.group)
        for number, branch in enumerate(picture.branches):
            for name in branch.parameters:
                by_name[name].fill_(number)
        self._costs = {
            "weights": self._cost_of(parameters, dict.fromkeys(parameters.tensors, 1.0)),
            "flops": self._cost_of(parameters, picture.multiply_adds),
        }

    def _cost_of(self, parameters: FlatParameters, times: dict[str, float]) -> Tensor:
        """What each branch costs, and last what belongs to none."""
        costs = [times.get(name, 0.0) for name in parameters.tensors]
        sizes = torch.tensor(parameters.sizes, device=self.layer.device)
        each = torch.tensor(costs, dtype=torch.float64, device=sizes.device)
        total = torch.zeros(self.n_units + 1, dtype=torch.float64, device=sizes.device)
        spread = each.repeat_interleave(sizes)
        return total.index_add_(0, self.group[: len(spread)], spread)

    def sums(self, values: Tensor) -> Tensor:
        """For each branch the sum over its weights."""
        sums = values.new_zeros(self.n_units + 1)
        return sums.index_add_(0, self.group[: len(values)], values)[:-1]

    def mask(self, keep: Tensor) -> Tensor:
        """What is left of all parameters when only some branches are kept."""
        return torch.cat([keep, keep.new_ones(1)])[self.group]

    def left(self, keep: Tensor, measure: str) -> float:
        """The share of the dense network that is left when only some branches are kept."""
        cost = self._costs[measure]
        return float((cost[:-1][keep].sum() + cost[-1]) / cost.sum())
