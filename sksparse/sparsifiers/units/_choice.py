"""Which units are kept for a target: the best of all, or the same share of each layer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sksparse.sparsifiers.structure._module_units import ModuleUnits
from sksparse.sparsifiers.structure._target import Target

#: Halvings of the interval of shares: beyond the number of units of any layer.
_N_HALVINGS = 40


def layer_normalised(scores: Tensor, layer: Tensor) -> Tensor:
    """Scores divided by their Euclidean norm in each layer; a layer of zeros stays one.

    Parameters
    ----------
    scores : torch.Tensor of shape (n_units,)
        At least zero.
    layer : torch.Tensor of shape (n_units,)
        The number of the layer of each unit.

    Returns
    -------
    normalised : torch.Tensor of shape (n_units,)
    """
    if not len(scores):
        return scores
    squares = scores.new_zeros(int(layer.max()) + 1).index_add_(0, layer, scores.square())
    norms = squares.sqrt()[layer]
    return torch.where(norms > 0, scores / norms, scores)


def flops_of_units(units: ModuleUnits, mask: Tensor | None = None) -> Tensor:
    """The share of the multiplications of the dense network that belong to each unit.

    Parameters
    ----------
    units : ModuleUnits
        The units of a network.
    mask : torch.Tensor of shape (n_weights,), default=None
        One where a weight is in use; None for all of them.

    Returns
    -------
    shares : torch.Tensor of shape (n_units,)
        A multiplication between two units counts for both.
    """
    counts = torch.zeros_like(units.parameters.weights)
    for name, tensor in units.parameters.by_tensor(counts).items():
        tensor.fill_(units.graph.multiply_adds.get(name, 0.0))
    total = counts.sum()
    return units.sums(counts if mask is None else counts * mask) / total


def least_left(units: ModuleUnits, measure: str) -> float:
    """What is left with one unit in each layer."""
    one_each = keep_shares(units, torch.zeros(units.n_units), [0.0] * len(units.layer_names))
    return units.left(one_each, measure)


def keep_shares(units: ModuleUnits, scores: Tensor, shares: Sequence[float]) -> Tensor:
    """The units of largest score of each layer, a share of it and one at least.

    Parameters
    ----------
    units : ModuleUnits
        The units of a network.
    scores : torch.Tensor of shape (n_units,)
        The larger, the better; equal ones are kept in their order.
    shares : sequence of float
        The share that is kept of each layer.

    Returns
    -------
    keep : torch.Tensor of shape (n_units,)
        Boolean.
    """
    keep = torch.zeros(units.n_units, dtype=torch.bool, device=units.layer.device)
    for number, share in enumerate(shares):
        members = (units.layer == number).nonzero().squeeze(1)
        order = torch.argsort(scores[members], descending=True, stable=True)
        keep[members[order[: max(1, round(share * len(members)))]]] = True
    return keep


def shares_for(units: ModuleUnits, target: Target) -> list[float]:
    """The largest common share of all layers with which no more is left than a target allows."""
    equal = torch.zeros(units.n_units, device=units.layer.device)
    n_layers = len(units.layer_names)
    low, high = 0.0, 1.0
    for _ in range(_N_HALVINGS):
        middle = 0.5 * (low + high)
        kept = keep_shares(units, equal, [middle] * n_layers)
        fits = units.left(kept, target.measure) <= target.left + 1e-12
        low, high = (middle, high) if fits else (low, middle)
    return [low] * n_layers
