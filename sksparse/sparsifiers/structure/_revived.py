"""Weights that are kept to complete paths, and units that come to life with them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sksparse.sparsifiers.structure._paths import Paths, keep_paths
from sksparse.sparsifiers.structure._weight_graph import WeightGraph

#: A weight that was added to complete a path is at least this share of a usual initial one.
_LEAST_ADDED = 0.1


def keep_paths_alive(
    keep: Tensor, scores: Tensor, graph: WeightGraph, first_weights: Tensor
) -> Tensor:
    """Keep as many weights with paths to all outputs, through which gradients flow.

    Parameters
    ----------
    keep : torch.Tensor of shape (n_weights,)
        Boolean: the weights that are to be kept.
    scores : torch.Tensor of shape (n_weights,)
        The larger, the better.
    graph : WeightGraph
        The units of the network, whose weights are changed in place: two zeros on a path have no
        gradient, so that kept weights that are zero begin anew.
    first_weights : torch.Tensor of shape (n_weights,)
        The values that they begin with, where these are not zero.

    Returns
    -------
    kept : torch.Tensor of shape (n_weights,)
        Boolean.
    """
    kept = keep_paths(keep, scores, graph)
    weights = graph.parameters.weights
    usual = _usual_weights(graph)
    least = torch.where(kept & ~keep, _LEAST_ADDED * usual, 0.0)
    empty = kept & (weights.abs() <= least)
    if empty.any():
        first = torch.where(first_weights == 0, usual, first_weights)
        weights.copy_(torch.where(empty, first, weights))
    if kept is not keep:
        initialise_revived_units(keep, kept, graph)
    return kept


def _usual_weights(graph: WeightGraph) -> Tensor:
    """The usual magnitude of initial weights in each layer, in place of zeros of a fit."""
    parameters = graph.parameters
    sizes = [w[0].numel() ** -0.5 for w in parameters.tensors.values()]
    counts = torch.tensor(parameters.sizes, device=parameters.weights.device)
    return parameters.weights.new_tensor(sizes).repeat_interleave(counts)


def initialise_revived_units(before: Tensor, after: Tensor, graph: WeightGraph) -> None:
    """Give hidden units that are on a path only since weights were exchanged new values.

    They begin without a bias and with positive weights, or a ReLU might be zero for all rows.

    Parameters
    ----------
    before, after : torch.Tensor of shape (n_weights,)
        The masks, boolean.
    graph : WeightGraph
        The units of the network, whose layers are changed in place.
    """
    paths = Paths(after, graph)
    reached, read = paths.ends(paths.keep)
    reached_before, read_before = paths.ends(before.cpu().numpy())
    revived = (reached & read & ~(reached_before & read_before) & graph.is_free)[:-1]
    tensors = dict(graph.module.named_parameters())
    assert graph.picture is not None
    for slot in graph.picture.slots:
        rows = np.flatnonzero(revived[slot.units])
        if slot.role != "writes" or slot.tensor not in graph.parameters.names or not len(rows):
            continue
        made = tensors[slot.tensor].data.movedim(slot.axis, 0)
        at = torch.from_numpy(rows).to(made.device)
        made[at] = made[at].abs() if made.ndim > 1 else 0.0
