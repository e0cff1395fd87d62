"""Dead units removed without a change of the output."""

from __future__ import annotations

from collections import Counter

import torch
from torch import Tensor

from sksparse.module_graph._constants import Constants, Read
from sksparse.module_graph._layer_constants import weight_sums
from sksparse.module_graph._shifts import bias_of, mean_behind
from sksparse.sparsifiers.structure._weight_graph import WeightGraph


def remove_dead_units(graph: WeightGraph) -> None:
    """Zero the weights of dead units and keep what the network computes in evaluation mode.

    The constant that a unit without inputs emits is added, through its outgoing weights, to the
    biases of the next layer, or to the running means that are subtracted from its outputs. Near the
    border of a convolution or a mean that is padded with zeros, where the unit is no constant,
    outputs change. A unit whose constant cannot be added anywhere is left as it is.

    Parameters
    ----------
    graph : WeightGraph
        The units of the module, whose layers are changed in place.
    """
    if not graph.is_known:
        return
    with torch.no_grad():
        while _fold_silent(graph):
            # what reads constants alone is silent itself
            pass
        masks = graph.by_name(graph.parameters.weights != 0)
        is_read = graph.read(masks)
        for link in graph.links:
            if link.tensor in graph.parameters.tensors and not link.is_depthwise:
                used = link.along(is_read[link.made_at], link.made_axis)
                graph.parameters.tensors[link.tensor].mul_(used)


def _fold_silent(graph: WeightGraph) -> bool:
    """Add the constants of silent units to what reads them, and say whether there was one."""
    masks = graph.by_name(graph.parameters.weights != 0)
    silent = ~graph.reached(masks)
    for link in graph.links:
        # only those that something reads directly
        linked = masks[link.tensor].any(link.others(link.read_axis))
        if (linked.view(-1) & silent[link.read_at]).any():
            break
    else:
        return False
    if graph.unfoldable is not None and torch.equal(silent, graph.unfoldable):
        return False
    assert graph.picture is not None
    reads = Constants(graph.picture).reads
    uses = Counter(read.slot.tensor for read in reads)
    folded = [
        _fold(graph, read, silent)
        for read in reads
        if uses[read.slot.tensor] == 1 and read.slot.tensor in graph.parameters.tensors
    ]
    if not any(folded):
        graph.unfoldable = silent
    return any(folded)


def _fold(graph: WeightGraph, read: Read, silent: Tensor) -> bool:
    """Cut off the silent units that a tensor reads, as far as their constants can be added."""
    weight = graph.parameters.tensors[read.slot.tensor]
    units = torch.from_numpy(read.slot.units).to(silent.device)
    constants = read.constants.nan_to_num()
    is_cut = silent[units].cpu() & ~read.constants.isnan().any(0)
    is_cut &= (weight != 0).movedim(read.slot.axis, 0).flatten(1).any(1).cpu()
    sums, _ = weight_sums(weight, len(constants))
    shift = (sums @ (constants * is_cut).unsqueeze(2)).flatten().to(weight.device)
    if shift.any():
        assert graph.picture is not None
        bias, mean = bias_of(read), mean_behind(graph.picture, read)
        if bias is not None and bias.requires_grad:
            bias.add_(shift)
        elif mean is not None:
            mean.sub_(shift)
        else:
            is_cut &= (constants == 0).all(0)
    positions = is_cut.nonzero().squeeze(1).to(weight.device)
    weight.index_fill_(read.slot.axis, positions, 0.0)
    return len(positions) > 0
