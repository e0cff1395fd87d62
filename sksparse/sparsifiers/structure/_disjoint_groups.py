"""Groups of weights of which no two share a weight: inputs of layers, shapes, whole branches."""

from __future__ import annotations

import torch
from torch import Tensor

from sksparse.module_graph import ModuleGraph
from sksparse.sparsifiers.parameters._flat_parameters import FlatParameters
from sksparse.sparsifiers.structure._groups import Groups


class DisjointGroups(Groups):
    """Groups without common weights, removed with biases and scales where these belong to one.

    Parameters
    ----------
    parameters : FlatParameters
        The parameters of the module.
    group : torch.Tensor of shape (n_parameters,)
        The number of the group of each parameter; ``n_units`` for none.
    layer : torch.Tensor of shape (n_units,)
        The number of the layer of each group.
    layer_names : list of str
        The layers by their numbers.
    picture : ModuleGraph or None
        The picture of the module, from which multiplications are counted.
    noun : str
        What a group is called in messages.
    keeps_layers : bool, default=True
        Whether the best group of each layer stays in any case.
    """

    def __init__(
        self,
        parameters: FlatParameters,
        group: Tensor,
        layer: Tensor,
        layer_names: list[str],
        picture: ModuleGraph | None,
        noun: str,
        *,
        keeps_layers: bool = True,
    ) -> None:
        self.n_units = len(layer)
        self.layer = layer
        self.layer_names = layer_names
        self.noun = noun
        self.keeps_layers = keeps_layers
        self.group = group
        self._costs = {"weights": self._cost_of(parameters, None)}
        if picture is not None and picture.is_followed:
            self._costs["flops"] = self._cost_of(parameters, picture.multiply_adds)

    def _cost_of(self, parameters: FlatParameters, times: dict[str, float] | None) -> Tensor:
        """What each group costs, and last what belongs to none."""
        costs = [1.0 if times is None else times.get(name, 0.0) for name in parameters.tensors]
        sizes = torch.tensor(parameters.sizes, device=self.layer.device)
        each = torch.tensor(costs, dtype=torch.float64, device=sizes.device)
        total = torch.zeros(self.n_units + 1, dtype=torch.float64, device=sizes.device)
        spread = each.repeat_interleave(sizes)
        return total.index_add_(0, self.group[: len(spread)], spread)

    def sums(self, values: Tensor) -> Tensor:
        """For each group the sum over its weights."""
        sums = values.new_zeros(self.n_units + 1)
        return sums.index_add_(0, self.group[: len(values)], values)[:-1]

    def mask(self, keep: Tensor) -> Tensor:
        """What is left of all parameters when only some groups are kept."""
        return torch.cat([keep, keep.new_ones(1)])[self.group]

    def left(self, keep: Tensor, measure: str) -> float:
        """The share of the dense network that is left when only some groups are kept."""
        cost = self._costs[measure]
        return float((cost[:-1][keep].sum() + cost[-1]) / cost.sum())


def columns(
    parameters: FlatParameters, picture: ModuleGraph | None, *, positions: bool
) -> DisjointGroups:
    """The inputs of each layer, with all weights that leave them.

    Parameters
    ----------
    parameters : FlatParameters
        The parameters of the module, the second axis of each tensor that of its inputs.
    picture : ModuleGraph or None
        The picture of the module, where it is known.
    positions : bool
        Whether each position of a filter is an input of its own, ``W[:, c, m, k]``.

    Returns
    -------
    groups : DisjointGroups
    """
    device = parameters.values.device
    parts: list[Tensor] = []
    counts: list[int] = []
    for tensor in parameters.tensors.values():
        shape = tensor.shape[1:] if positions else tensor.shape[1:2]
        numbers = torch.arange(shape.numel(), device=device) + sum(counts)
        counts.append(len(numbers))
        spread = numbers.view(1, *shape, *[1] * (tensor.ndim - 1 - len(shape)))
        parts.append(spread.expand_as(tensor).reshape(-1))
    n_others = len(parameters.values) - parameters.n_weights
    none = torch.full((n_others,), sum(counts), dtype=torch.long, device=device)
    layer = torch.arange(len(counts), device=device)
    noun = "position" if positions else "input"
    return DisjointGroups(
        parameters,
        torch.cat([*parts, none]),
        layer.repeat_interleave(torch.tensor(counts, device=device)),
        list(parameters.tensors),
        picture,
        noun,
    )


def branches(parameters: FlatParameters, picture: ModuleGraph) -> DisjointGroups:
    """The residual branches of a module, with all their parameters; each may be removed.

    Parameters
    ----------
    parameters : FlatParameters
        The parameters of the module.
    picture : ModuleGraph
        Its picture.

    Returns
    -------
    groups : DisjointGroups
    """
    n = len(picture.branches)
    group = torch.full_like(parameters.values, n, dtype=torch.long)
    by_name = parameters.all_by_name(group)
    for number, branch in enumerate(picture.branches):
        for name in branch.parameters:
            by_name[name].fill_(number)
    device = parameters.values.device
    return DisjointGroups(
        parameters,
        group,
        torch.zeros(n, dtype=torch.long, device=device),
        ["the branches"],
        picture,
        "branch",
        keeps_layers=False,
    )
