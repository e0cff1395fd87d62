"""Which units are kept for a target: the best of all, or the same share of each layer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sksparse.sparsifiers.masks._keep import keep_counts
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


def layer_sizes(units: ModuleUnits) -> list[int]:
    """The number of removable units of each layer."""
    sizes: list[int] = torch.bincount(units.layer, minlength=len(units.layer_names)).tolist()
    return sizes


def keep_of_layers(units: ModuleUnits, scores: Tensor, counts: Sequence[int]) -> Tensor:
    """The given number of units of largest score of each layer; equal ones by index."""
    if not len(scores):
        return torch.ones_like(scores, dtype=torch.bool)
    return keep_counts(scores, layer_sizes(units), counts)


def least_left(units: ModuleUnits, measure: str) -> float:
    """What is left of a network with one unit in each layer."""
    return _left(units, [1] * len(units.layer_names), measure)


def counts_for(units: ModuleUnits, target: Target, sizes: Sequence[int]) -> list[int]:
    """The units that each layer keeps when all keep the same share, as many as a target allows.

    Parameters
    ----------
    units : ModuleUnits
        The units of a network.
    target : Target
        What may be left of it.
    sizes : sequence of int
        The units of each layer that shares refer to: those of the dense network, of which the
        present one may be a part.

    Returns
    -------
    counts : list of int
        One at least.
    """
    low, high = 0.0, 1.0
    for _ in range(_N_HALVINGS):
        middle = 0.5 * (low + high)
        fits = _left(units, _of_shares(units, middle, sizes), target.measure) <= target.left + 1e-12
        low, high = (middle, high) if fits else (low, middle)
    return _of_shares(units, low, sizes)


def _of_shares(units: ModuleUnits, share: float, sizes: Sequence[int]) -> list[int]:
    present = layer_sizes(units)
    return [min(m, max(1, round(share * n))) for n, m in zip(sizes, present, strict=True)]


def _left(units: ModuleUnits, counts: Sequence[int], measure: str) -> float:
    equal = torch.zeros(units.n_units, device=units.layer.device)
    return units.left(keep_of_layers(units, equal, counts), measure)
