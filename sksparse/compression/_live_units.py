"""Which units something in the end reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from sksparse._typing import Indices, Mask
from sksparse.module_graph._graph import ModuleGraph
from sksparse.module_graph._value import Slot


@dataclass(frozen=True)
class Links:
    """Which weights of a tensor lead from the units that it reads to those that it writes.

    Parameters
    ----------
    slot : Slot
        The axis on which it reads.
    rows : ndarray of shape (n_rows,) or None
        The unit of each row; None where rows stand for no units.
    linked : ndarray of shape (n_rows, n_positions)
        Boolean.
    """

    slot: Slot
    rows: Indices | None
    linked: Mask


def find_links(graph: ModuleGraph) -> list[Links]:
    """The weights of a module that are not zero.

    Parameters
    ----------
    graph : ModuleGraph
        The picture of a module.

    Returns
    -------
    links : list of Links
        In the order of the calls.
    """
    links = []
    for slot in graph.slots:
        if slot.role == "reads":
            rows = [
                s.units
                for s in graph.slots
                if (s.tensor, s.layer, s.role) == (slot.tensor, slot.layer, "writes")
            ]
            weight = graph.module.get_parameter(slot.tensor)
            links.append(Links(slot, rows[0] if rows else None, _linked(weight, slot.axis)))
    return links


def live_units(
    graph: ModuleGraph,
    removable: Mask,
    links: list[Links],
    cut: Mapping[tuple[str, str], Mask] | None = None,
) -> Mask:
    """The units that something in the end reads.

    A unit is live where a weight that is not zero leads from it to a live one, or to one that
    cannot go. Units of recurrent layers that read only each other are not.

    Parameters
    ----------
    graph : ModuleGraph
        The picture of a module, which must have been followed.
    removable : ndarray of shape (graph.n_units,)
        Boolean: the units that may go.
    links : list of Links
        What ``find_links`` returned.
    cut : mapping of (str, str) to ndarray, default=None
        For a tensor and a layer the positions whose links do not count.

    Returns
    -------
    live : ndarray of shape (graph.n_units,)
        Boolean.
    """
    cut = {} if cut is None else cut
    live = ~removable
    before = -1
    while before != live.sum():
        before = live.sum()
        for link in reversed(links):
            leads = link.linked if link.rows is None else link.linked[live[link.rows]]
            open_ = leads.any(0)
            if (link.slot.tensor, link.slot.layer) in cut:
                open_ &= ~cut[link.slot.tensor, link.slot.layer]
            live[link.slot.units[open_]] = True
    return live


def one_each(graph: ModuleGraph, keep: Mask) -> Mask:
    """Keep the first unit where a tensor would lose all of them: layers are never emptied."""
    keep = keep.copy()
    for slot in graph.slots:
        if not keep[slot.units].any():
            keep[slot.units[0]] = True
    return keep


def _linked(weight: Tensor, axis: int) -> Mask:
    """Which of the other positions have a weight that is not zero with each position of an axis."""
    linked: Tensor = (weight.detach() != 0).movedim(axis, 1)
    return linked.flatten(2).any(2).cpu().numpy() if linked.ndim > 2 else linked.cpu().numpy()
