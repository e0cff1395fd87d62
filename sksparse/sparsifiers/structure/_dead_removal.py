"""Dead units removed without a change of the output."""

from __future__ import annotations

from collections import Counter

import torch
from torch import Tensor

from sksparse.module_graph._constants import Constants, Read
from sksparse.module_graph._layer_constants import weight_sums
from sksparse.module_graph._shifts import bias_of, mean_behind
from sksparse.sparsifiers.structure._weight_graph import WeightGraph


def remove_dead_units(graph: WeightGraph, worth: float = 0.0) -> None:
    """Zero the weights of dead units and keep what the network computes in evaluation mode.

    The constant that a unit without inputs emits is added, through its outgoing weights, to the
    biases of the next layer, or to the running means that are subtracted from its outputs. Near the
    border of a convolution or a mean that is padded with zeros, where the unit is no constant,
    outputs change. A unit whose constant cannot be added anywhere is left as it is.

    Parameters
    ----------
    graph : WeightGraph
        The units of the module, whose layers are changed in place.
    worth : float, default=0.0
        Constants, which cost about as much as a batch, are computed where more than this share of
        the weights that are left reads them.
    """
    if not graph.is_known:
        return
    with torch.no_grad():
        while _fold_silent(graph, worth):
            # what reads constants alone is silent itself
            pass
        masks = graph.by_name(graph.parameters.weights != 0)
        is_read = graph.read(masks)
        for link in graph.links:
            if link.tensor in graph.parameters.tensors and not link.is_depthwise:
                used = link.along(is_read[link.made_at], link.made_axis)
                graph.parameters.tensors[link.tensor].mul_(used)


def _fold_silent(graph: WeightGraph, worth: float) -> bool:
    """Add the constants of silent units to what reads them, and say whether there was one."""
    is_set = graph.parameters.weights != 0
    masks = graph.by_name(is_set)
    silent = ~graph.reached(masks)
    if not silent.any() or (graph.unfoldable is not None and torch.equal(silent, graph.unfoldable)):
        return False
    n_reading = sum(
        int((masks[link.tensor] & link.along(silent[link.read_at], link.read_axis)).sum())
        for link in graph.links
        if not link.is_depthwise
    )
    if n_reading <= worth * int(is_set.sum()):
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
