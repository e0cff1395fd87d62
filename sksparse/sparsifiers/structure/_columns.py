"""The inputs of all layers as groups, and the units that nothing reads once columns are gone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from sksparse.module_graph import ModuleGraph
from sksparse.sparsifiers.parameters._flat_parameters import FlatParameters, UnitGates
from sksparse.sparsifiers.structure._groups import Groups
from sksparse.sparsifiers.structure._module_units import Place


class Columns(Groups):
    """The inputs of all layers, each with the weights that leave it, removed as a whole.

    A unit of the module that no column reads any more is dead: it is removed with everything that
    makes it, its bias and scales included. That does not change what the module computes.

    Parameters
    ----------
    parameters : FlatParameters
        The parameters of the module, the second axis of each tensor that of its inputs.
    picture : ModuleGraph or None
        The picture of the module; where it is unknown or could not be followed, columns are all
        that is removed.
    positions : bool, default=False
        Whether each position of a filter is a group of its own, ``W[:, c, m, k]``.
    drops_features : bool, default=True
        Whether features that no column reads are left out of the module.

    Notes
    -----
    Multiplications are those of the module without its dead units and features, as ``compact``
    leaves it: a column counts as long as another one reads the same unit, as behind a shortcut
    or an ``nn.Flatten``. A module has no form without single positions of filters.
    """

    def __init__(
        self,
        parameters: FlatParameters,
        picture: ModuleGraph | None,
        *,
        positions: bool = False,
        drops_features: bool = True,
    ) -> None:
        self.noun = "position" if positions else "input"
        self._parameters = parameters
        self._gates = UnitGates(parameters, "shape" if positions else "input")
        self.n_units = len(self._gates)
        self.layer = self._gates.layer
        self.layer_names = list(parameters.tensors)
        self._costs = {"weights": dict.fromkeys(parameters.tensors, 1.0)}
        #: Axes of parameters by name and number, and the units of the picture on them.
        self._places: dict[tuple[str, int], Place] = {}
        #: What reads units, and the units that it makes.
        self._readers: list[tuple[Place, Tensor]] = []
        #: Units that are used whatever columns are left.
        self._always = torch.ones(0, dtype=torch.bool, device=self.layer.device)
        if picture is not None and picture.is_followed:
            self._costs["flops"] = picture.multiply_adds
            self._find_units(picture, drops_features)

    def _find_units(self, picture: ModuleGraph, drops_features: bool) -> None:
        trained, tensors = set(self._parameters.names), self._parameters.tensors
        free = picture.removable.copy()
        if drops_features:
            whole = np.array(list(picture.kept_whole), dtype=np.intp)
            free[np.setdiff1d(picture.input_units, whole)] = True
        has_columns = np.zeros_like(free)
        made = {(s.tensor, s.layer): s.units for s in picture.slots if s.role == "writes"}
        for slot in picture.slots:
            units = torch.from_numpy(slot.units).to(self.layer.device)
            place = Place(slot.tensor, slot.axis, units, slot.role)
            if slot.tensor in trained:
                self._places[slot.tensor, slot.axis] = place
            if slot.role != "reads":
                continue
            if slot.tensor in tensors and slot.axis == 1:
                has_columns[slot.units] = True
                rows = made.get((slot.tensor, slot.layer), slot.units[:0])
                self._readers.append((place, torch.from_numpy(rows).to(units.device)))
            else:
                free[slot.units] = False
        self._always = torch.from_numpy(~(free & has_columns)).to(self.layer.device)

    def sums(self, values: Tensor) -> Tensor:
        """For each column the sum over its weights."""
        sums = values.new_empty(self.n_units)
        weights = self._gates.weight_views(values[: self._parameters.n_weights])
        self._gates.gather(weights, out=self._gates.unit_views(sums))
        return sums

    def spread(self, keep: Tensor) -> Tensor:
        """Which weights are in the columns that are kept, flat; what makes dead units stays."""
        return self._gates.spread(keep)

    def mask(self, keep: Tensor) -> Tensor:
        """What is left of all parameters when only some columns are kept."""
        mask = torch.ones_like(self._parameters.values, dtype=torch.bool)
        mask[: self._parameters.n_weights] = self.spread(keep)
        by_name, live = self._parameters.all_by_name(mask), self._live(keep)
        for place in self._places.values():
            tensor = by_name[place.tensor]
            shape = [-1 if i == place.axis else 1 for i in range(tensor.ndim)]
            tensor.logical_and_(live[place.units].view(shape))
        return mask

    def left(self, keep: Tensor, measure: str) -> float:
        """The share of the weights or multiplications that is left."""
        costs = self._costs[measure]
        sizes = [costs.get(name, 0.0) * w.numel() for name, w in self._parameters.tensors.items()]
        shares = self._shares(keep, whole=measure == "flops")
        return sum(size * share for size, share in zip(sizes, shares, strict=True)) / sum(sizes)

    def count(self, keep: Tensor) -> int:
        """The number of weights that are left."""
        shares, sizes = self._shares(keep, whole=False), self._parameters.sizes
        return sum(round(size * share) for size, share in zip(sizes, shares, strict=True))

    def _shares(self, keep: Tensor, *, whole: bool) -> Iterator[float]:
        """What is left of each tensor: of its rows, times of its columns or of the units there."""
        live = self._live(keep)
        if whole:
            for place in self._places.values():
                # a module has one unit of each layer at least
                live[place.units[0]] |= not live[place.units].any()
        for name, kept in zip(self.layer_names, self._gates.unit_views(keep), strict=True):
            rows, columns = (self._places.get((name, axis)) for axis in (0, 1))
            share, is_left = 1.0, kept
            if rows is not None:
                share = float(live[rows.units].double().mean())
            if columns is not None:
                at_columns = live[columns.units].view(-1, *[1] * (kept.ndim - 2))
                is_left = at_columns if whole else kept & at_columns
            yield share * float(is_left.double().mean())

    def _live(self, keep: Tensor) -> Tensor:
        """Which units of the module a column reads in the end, or something else does.

        Units of a recurrent layer that only read each other are dead.
        """
        live = self._always.clone()
        views = self._gates.unit_views(keep)
        kept = {
            name: view.movedim(1, 0).flatten(1).any(1)
            for name, view in zip(self.layer_names, views, strict=True)
        }
        before = -1
        while int(live.sum()) != before:
            before = int(live.sum())
            for place, made in reversed(self._readers):
                if not len(made) or bool(live[made].any()):
                    live[place.units[kept[place.tensor]]] = True
        return live
