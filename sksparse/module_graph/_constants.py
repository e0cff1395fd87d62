"""What units emit whatever the features are, and which units nothing reads."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from sksparse._typing import Indices, Mask
from sksparse.module_graph._graph import ModuleGraph


def read_units(graph: ModuleGraph, removable: Mask, folded: Mask | None = None) -> Mask:
    """The units that something in the end reads.

    A unit is read where a non-zero weight leads from it to a unit that is read, or to one that
    is not removable. Units of recurrent layers that read only each other are not read.

    Parameters
    ----------
    graph : ModuleGraph
        The picture of a module, which must have been followed.
    removable : ndarray of shape (graph.n_units,)
        Boolean: the units that may go.
    folded : ndarray of shape (graph.n_units,), default=None
        Boolean: units that count as not read and as reading nothing, since their constants
        are folded into what reads them.

    Returns
    -------
    read : ndarray of shape (graph.n_units,)
        Boolean.
    """
    out = np.zeros(graph.n_units, dtype=bool) if folded is None else folded
    links = list(_links(graph))
    read = ~removable
    before = -1
    while before != read.sum():
        before = read.sum()
        for rows, columns, linked in links:
            reading = read[rows] & ~out[rows]
            read[columns[linked[reading].any(0)]] = True
        read &= ~(out & removable)
    return read


def _links(graph: ModuleGraph) -> list[tuple[Indices, Indices, Mask]]:
    """For each tensor that reads units: the units of its rows and columns, and its non-zeros."""
    tensors = dict(graph.module.named_parameters())
    links = []
    for slot in graph.slots:
        if slot.role != "reads":
            continue
        linked = nonzero(tensors[slot.tensor], slot.axis)
        writers = [
            s
            for s in graph.slots
            if (s.tensor, s.layer, s.role) == (slot.tensor, slot.layer, "writes")
        ]
        links.append((writers[0].units, slot.units, linked))
    return links


def nonzero(weight: Tensor, axis: int) -> Mask:
    """Which of the other positions have a weight that is not zero with each position of an axis."""
    linked: Tensor = (weight.detach() != 0).movedim(axis, 1)
    return linked.flatten(2).any(2).cpu().numpy() if linked.ndim > 2 else linked.cpu().numpy()
