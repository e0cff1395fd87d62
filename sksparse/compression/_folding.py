"""What dead units still emit goes into the layers that read them, exactly.

A constant times its weights is added to the bias. Where that is not exact, since zeros around a map
make its border another number, all constants that a layer reads are merged into one unit that emits
one of them, with kernels summed in proportion.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from sksparse._typing import Mask
from sksparse.compression._live_units import Links, find_links, live_units
from sksparse.module_graph import ModuleGraph
from sksparse.module_graph._constants import Constants, Read
from sksparse.module_graph._layer_constants import pads_with_zeros, weight_sums
from sksparse.module_graph._shifts import bias_of, mean_behind

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_RECURRENT = (nn.LSTM, nn.GRU, nn.RNN, nn.LSTMCell, nn.GRUCell, nn.RNNCell)


@dataclass(frozen=True)
class _Reader:
    """A tensor that reads constants.

    Parameters
    ----------
    read : Read
        It and the constants.
    closed : ndarray of shape (n_positions,)
        Boolean: the positions whose constants can be folded or merged, or are zero.
    merges : bool
        Whether they are merged.
    """

    read: Read
    closed: Mask
    merges: bool

    @property
    def emits(self) -> Mask:
        """The closed positions whose constants are not zero."""
        return self.closed & (self.read.constants != 0).any(0).numpy()


def fold_constants(graph: ModuleGraph, removable: Mask) -> None:
    """Cut off, in place, all units that need not be read; the outputs stay the same.

    Afterwards the weights that read such units are zero.

    Parameters
    ----------
    graph : ModuleGraph
        The picture of a module, which must have been followed.
    removable : ndarray of shape (graph.n_units,)
        Boolean: the units that may go.
    """
    readers = _readers(graph)
    links = find_links(graph)
    live = _choose(graph, removable, readers, links)
    with torch.no_grad():
        for reader in readers:
            fold = _merge if reader.merges else _add_to_bias
            units = reader.read.slot.units
            gone = reader.emits & ~live[units]
            if gone.any():
                fold(graph, reader, gone, live)
        for link in links:
            weight = graph.module.get_parameter(link.slot.tensor)
            positions = torch.from_numpy(np.flatnonzero(~live[link.slot.units]))
            weight.index_fill_(link.slot.axis, positions.to(weight.device), 0.0)


def _readers(graph: ModuleGraph) -> list[_Reader]:
    """What reads constants, once for each tensor and layer."""
    together: dict[tuple[str, str], list[Read]] = {}
    for read in Constants(graph).reads:
        together.setdefault((read.slot.tensor, read.slot.layer), []).append(read)
    owners = Counter(id(p) for part in graph.module.modules() for p in part._parameters.values())
    tensors = Counter(name for name, _ in together)
    readers = []
    for (tensor, _), reads in together.items():
        read = reads[0]
        constants = torch.stack([r.constants for r in reads])
        # a layer that is called several times has one bias for all its calls
        same = ((constants == constants[:1]) & ~constants.isnan()).all(0)
        layer = read.step.layer
        assert layer is not None
        uses = (owners[id(graph.module.get_parameter(tensor))], tensors[tensor], len(reads))
        merges = _must_merge(layer)
        bias = bias_of(read)
        if merges:
            can_fold = uses == (1, 1, 1) and len(read.constants) == 1
        else:
            can_fold = bias is None or owners[id(bias)] == 1
        closed = same if can_fold else same & (constants == 0).all(0)
        readers.append(_Reader(read, closed.all(0).numpy(), merges))
    return readers


def _must_merge(layer: nn.Module) -> bool:
    """Whether no bias can stand for constants that a layer reads."""
    if isinstance(layer, _RECURRENT):
        return not layer.bias
    return pads_with_zeros(layer) or isinstance(layer, _TRANSPOSED)


def _choose(
    graph: ModuleGraph, removable: Mask, readers: list[_Reader], links: list[Links]
) -> Mask:
    """The units that stay: those that are read, and one for each layer that merges constants."""
    cut = {(r.read.slot.tensor, r.read.slot.layer): r.closed for r in readers}
    linked = {(link.slot.tensor, link.slot.layer): link for link in links}
    removable = removable.copy()
    while True:
        live = live_units(graph, removable, links, cut)
        chosen = None
        for reader in readers:
            slot = reader.read.slot
            link = linked[slot.tensor, slot.layer]
            leads = link.linked if link.rows is None else link.linked[live[link.rows]]
            emits = reader.emits & leads.any(0)
            if reader.merges and emits.any() and not (live[slot.units] & reader.emits).any():
                sizes = np.where(emits, reader.read.constants.abs().amax(0).numpy(), 0.0)
                chosen = slot.units[sizes.argmax()]
                break
        if chosen is None:
            return live
        removable[chosen] = False


def _merge(graph: ModuleGraph, reader: _Reader, gone: Mask, live: Mask) -> None:
    """Add kernels to that of a constant that stays, in proportion to the constants."""
    slot = reader.read.slot
    weight = graph.module.get_parameter(slot.tensor)
    constants = reader.read.constants[0]
    sizes = np.where(reader.emits & live[slot.units], constants.abs().numpy(), 0.0)
    stays = int(sizes.argmax())
    if not sizes[stays]:
        # nothing that stays reads them
        return
    positions = torch.from_numpy(np.flatnonzero(gone))
    shares = (constants[positions] / constants[stays]).to(weight.device)
    kernels = weight.movedim(slot.axis, 0)
    total = torch.tensordot(shares, kernels[positions.to(weight.device)].double(), 1)
    kernels[stays] = (kernels[stays].double() + total).to(weight.dtype)


def _add_to_bias(graph: ModuleGraph, reader: _Reader, gone: Mask, live: Mask) -> None:
    """Add constants times weights to the bias, or to what is subtracted from the outputs."""
    step, slot = reader.read.step, reader.read.slot
    layer = step.layer
    assert layer is not None
    groups = layer.groups if isinstance(layer, _CONVOLUTIONS) else 1
    weight = graph.module.get_parameter(slot.tensor)
    sums, _ = weight_sums(weight, groups)
    constants = reader.read.constants * torch.from_numpy(gone)
    shift = (sums @ constants.nan_to_num().unsqueeze(2)).flatten().to(weight.device)
    bias = bias_of(reader.read)
    mean = mean_behind(graph, reader.read) if bias is None else None
    if bias is not None:
        bias.copy_(bias.double() + shift)
    elif mean is not None:
        mean.copy_(mean.double() - shift)
    else:
        layer.bias = nn.Parameter(shift.to(weight.dtype), weight.requires_grad)
