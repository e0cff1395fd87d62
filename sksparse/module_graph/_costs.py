"""What the layers of a module cost, as they are and with some units removed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from sksparse._typing import Mask
from sksparse.module_graph._value import Slot


@dataclass(frozen=True)
class LayerCost:
    """Size and arithmetic of one layer.

    Parameters
    ----------
    name : str
        Name of the layer: of the part of the module that holds the parameters.
    units : int
        The units that it makes or, for normalisations and depthwise convolutions, changes.
    parameters : int
        Number of its parameters, biases included.
    flops : float
        Multiplications and additions for one row: two for each weight and position.
    """

    name: str
    units: int
    parameters: int
    flops: float


def layer_costs(
    tensors: Mapping[str, Tensor],
    slots: Iterable[Slot],
    multiply_adds: Mapping[str, float],
    keep: Mask | None,
) -> tuple[LayerCost, ...]:
    """What each layer costs when only some units are kept.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        The parameters of the module.
    slots : iterable of Slot
        The units of its parameters.
    multiply_adds : mapping of str to float
        How often each weight of a tensor is multiplied for one row.
    keep : ndarray of shape (n_units,) or None
        Boolean, None for all units.

    Returns
    -------
    costs : tuple of LayerCost
        In the order of the parameters.
    """
    by_axis: dict[str, dict[int, Slot]] = {name: {} for name in tensors}
    for slot in slots:
        if slot.tensor in by_axis:
            by_axis[slot.tensor].setdefault(slot.axis, slot)
    rows: dict[str, list[LayerCost]] = {}
    for name, tensor in tensors.items():
        layer = name.rpartition(".")[0]
        left = tensor.numel()
        for axis, slot in by_axis[name].items():
            left = left * _kept(slot, keep) // tensor.shape[axis]
        changed = [s for s in by_axis[name].values() if s.role != "reads"]
        units = {u for s in changed for u in s.units.tolist() if keep is None or keep[u]}
        flops = 2 * multiply_adds.get(name, 0.0) * left
        rows.setdefault(layer, []).append(LayerCost(layer, len(units), left, flops))
    return tuple(_total(name, parts) for name, parts in rows.items())


def _kept(slot: Slot, keep: Mask | None) -> int:
    return len(slot.units) if keep is None else int(np.count_nonzero(keep[slot.units]))


def _total(name: str, parts: list[LayerCost]) -> LayerCost:
    return LayerCost(
        name,
        max(part.units for part in parts),
        sum(part.parameters for part in parts),
        sum(part.flops for part in parts),
    )
