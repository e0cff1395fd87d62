"""What scores of units are compared by, and which of each layer are kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from sksparse.sparsifiers.masks._keep import keep_largest
from sksparse.sparsifiers.structure._module_units import ModuleUnits
from sksparse.sparsifiers.structure._target import Target

Measure = Literal["weights", "flops", "units"]


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


def keep_of_layers(units: ModuleUnits, scores: Tensor, counts: Sequence[int]) -> Tensor:
    """The given number of units of largest score of each layer; equal ones by index."""
    keep = torch.zeros(units.n_units, dtype=torch.bool, device=units.layer.device)
    for members, count in zip(units.by_layer(), counts, strict=True):
        keep[members] = keep_largest(scores[members], min(count, len(members)))
    return keep


def least_left(units: ModuleUnits, measure: Measure) -> float:
    """What is left of a network with one unit in each layer."""
    equal = torch.zeros(units.n_units, device=units.layer.device)
    return units.left(units.choose(equal, Target(measure, 0.0)), measure)
