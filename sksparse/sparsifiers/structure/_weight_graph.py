"""Which weights lead from which unit to which: a graph of the units whose edges are weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from sksparse._typing import Indices
from sksparse.module_graph import ModuleGraph, Slot
from sksparse.sparsifiers.parameters._flat_parameters import FlatParameters

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
LAYERS = (nn.Linear, *CONVOLUTIONS)

#: Units on an axis: a range as a slice, which costs less, or their numbers.
Units = slice | Tensor


@dataclass(frozen=True)
class Link:
    """A tensor of one layer, with the units that it makes and those that it reads.

    Parameters
    ----------
    tensor : str
        Its name.
    ndim : int
        Its dimensions.
    made, read : ndarray of int
        The unit at each position of the two axes. A single ``n_units`` stands for what is always
        there: the rows of an embedding are read from no unit.
    made_axis, read_axis : int or None
        The axes; None for what is always there.
    made_at, read_at : slice or torch.Tensor
        The same units, to index with.
    """

    tensor: str
    ndim: int
    made: Indices
    read: Indices
    made_axis: int | None
    read_axis: int | None
    made_at: Units
    read_at: Units

    def along(self, values: Tensor, axis: int | None) -> Tensor:
        """Numbers along one axis, in a shape that broadcasts against the tensor."""
        return values.view([-1 if i == axis else 1 for i in range(self.ndim)])

    def others(self, axis: int | None) -> tuple[int, ...]:
        """All axes but one."""
        return tuple(i for i in range(self.ndim) if i != axis)

    @property
    def is_recurrent(self) -> bool:
        """Whether it leads from some of its units to others of them."""
        return not self.is_depthwise and bool(np.isin(self.made, self.read).any())

    @property
    def is_depthwise(self) -> bool:
        """Whether it leads from each unit to itself alone."""
        return self.made_axis is not None and self.made_axis == self.read_axis


class WeightGraph:
    """The units of a module as nodes, and the weights between them as edges.

    Where a module cannot be followed nothing is known of its units: there are no links.

    Parameters
    ----------
    module : torch.nn.Module
        The network.
    parameters : FlatParameters
        Its parameters.
    example : torch.Tensor or None
        A few rows of features; None leaves the module unknown.

    Attributes
    ----------
    picture : ModuleGraph or None
        The picture of the module, where there is an example.
    is_known : bool
        Whether everything in the module is followed.
    links : list of Link
        In the order in which the layers are called.
    n_units : int
        The number of units; node ``n_units`` stands for what is always there.
    fixed : dict of str to torch.Tensor
        Where tensors of links that are not trained are not zero.
    unfoldable : torch.Tensor or None
        The units without inputs whose constants could not be added to what reads them.
    is_free : ndarray of shape (n_units + 1,)
        Boolean: units that may be removed; features, outputs and others may not.
    """

    def __init__(
        self, module: nn.Module, parameters: FlatParameters, example: Tensor | None
    ) -> None:
        self.module = module
        self.parameters = parameters
        self.picture = None if example is None else ModuleGraph(module, example)
        self.is_known = self.picture is not None and self.picture.is_followed
        self.links: list[Link] = []
        self.unfoldable: Tensor | None = None
        self.n_units = 0
        self.is_free = np.zeros(1, dtype=bool)
        if self.picture is not None and self.is_known:
            self.n_units = self.picture.n_units
            self.is_free = np.append(self.picture.removable, False)
            self.links = list(self._make_links(self.picture))
        device = parameters.weights.device
        self._is_kept = torch.from_numpy(~self.is_free).to(device)
        self.has_cycles = any(link.is_recurrent for link in self.links)
        self.fixed = {
            link.tensor: module.get_parameter(link.tensor).detach() != 0
            for link in self.links
            if link.tensor not in parameters.tensors
        }

    def _make_links(self, picture: ModuleGraph) -> Iterator[Link]:
        tensors = dict(self.module.named_parameters())
        found: dict[tuple[str, str], dict[str, Slot]] = {}
        for slot in picture.slots:
            if slot.tensor in tensors and tensors[slot.tensor].ndim > 1:
                found.setdefault((slot.layer, slot.tensor), {}).setdefault(slot.role, slot)
        always = np.array([self.n_units])
        for (_, name), by_role in found.items():
            depthwise = by_role.get("scales")
            made, read = by_role.get("writes", depthwise), by_role.get("reads", depthwise)
            made_units = always if made is None else made.units
            read_units = always if read is None else read.units
            yield Link(
                name,
                tensors[name].ndim,
                made_units,
                read_units,
                None if made is None else made.axis,
                None if read is None else read.axis,
                self._to_index(made_units),
                self._to_index(read_units),
            )

    def _to_index(self, units: Indices) -> Units:
        if (np.diff(units) == 1).all():
            return slice(int(units[0]), int(units[-1]) + 1)
        return torch.from_numpy(units).to(self.parameters.weights.device)

    def by_name(self, keep: Tensor) -> dict[str, Tensor]:
        """Boolean views of a flat mask in the shapes of the tensors; others that are not trained.

        Parameters
        ----------
        keep : torch.Tensor of shape (n_weights,)
            Boolean.

        Returns
        -------
        masks : dict of str to torch.Tensor
        """
        return {**self.fixed, **self.parameters.by_tensor(keep)}

    def reached(self, masks: dict[str, Tensor], start: Tensor | None = None) -> Tensor:
        """Which units have an input that is reached, through weights of a mask.

        Parameters
        ----------
        masks : dict of str to torch.Tensor
            As ``by_name`` makes them.
        start : torch.Tensor of shape (n_units + 1,), default=None
            Boolean: the units that are reached anyway; None is all that may not be removed.

        Returns
        -------
        reached : torch.Tensor of shape (n_units + 1,)
            Boolean.
        """
        reached = (self._is_kept if start is None else start).clone()
        for _ in self._sweeps(reached):
            for link in self.links:
                through = masks[link.tensor] & link.along(reached[link.read_at], link.read_axis)
                _mark(reached, link.made_at, through.any(link.others(link.made_axis)))
        return reached

    def read(self, masks: dict[str, Tensor], start: Tensor | None = None) -> Tensor:
        """Which units have an output that is read, through weights of a mask; as ``reached``."""
        read = (self._is_kept if start is None else start).clone()
        for _ in self._sweeps(read):
            for link in reversed(self.links):
                through = masks[link.tensor] & link.along(read[link.made_at], link.made_axis)
                _mark(read, link.read_at, through.any(link.others(link.read_axis)))
        return read

    def counts(self, masks: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """For each unit the weights of a mask that make it, and those that read it.

        Units that may not be removed have more than one of each.
        """
        n_made = torch.where(self._is_kept, 2, 0)
        n_read = n_made.clone()
        for link in self.links:
            if not link.is_depthwise:
                mask = masks[link.tensor]
                self._add(n_made, link.made, mask.sum(link.others(link.made_axis)))
                self._add(n_read, link.read, mask.sum(link.others(link.read_axis)))
        return n_made, n_read

    def _add(self, counts: Tensor, units: Indices, found: Tensor) -> None:
        counts.index_add_(0, torch.from_numpy(units).to(counts.device), found.view(-1))

    def _sweeps(self, state: Tensor) -> Iterator[None]:
        """One sweep over the links suffices, but where units lead to themselves."""
        before = -1
        while int(state.sum()) != before:
            before = int(state.sum()) if self.has_cycles else -1
            yield
            if not self.has_cycles:
                return

    def enters_next(self) -> list[bool]:
        """For each prunable tensor whether the next one reads all its units, and nothing else does.

        Then what leaves a unit stands in one tensor, on its second axis.
        """
        readers: dict[int, set[str]] = {}
        makers: dict[str, Link] = {}
        for link in self.links:
            makers[link.tensor] = link
            for unit in link.read.tolist():
                readers.setdefault(unit, set()).add(link.tensor)
        found = []
        for name, following in pairwise(self.parameters.tensors):
            made = makers[name].made if name in makers else np.empty(0, dtype=np.intp)
            is_read = {tensor for unit in made.tolist() for tensor in readers.get(unit, ())}
            found.append(is_read == {following} and bool(self.is_free[made].all()))
        return [*found, False]

    def require_chain(self, option: str, remedy: str) -> None:
        """Refuse a module whose layers do not follow each other.

        Parameters
        ----------
        option : str
            What needs a chain of layers, for the message.
        remedy : str
            What to do instead, for the message.

        Raises
        ------
        ValueError
            It names the first tensor whose units do not enter the next.
        """
        for name, enters in zip(self.parameters.tensors, self.enters_next()[:-1], strict=False):
            if not enters:
                raise ValueError(
                    f"{option} needs layers that follow each other, and the units of {name!r} "
                    f"({type(self.owner(name)).__name__}) are not read by the next layer alone. "
                    f"{remedy}"
                )

    def owner(self, name: str) -> nn.Module:
        """The part of the module that a prunable tensor belongs to."""
        return self.module.get_submodule(name.rpartition(".")[0])

    def require_axis(self, granularity: str, option: str, remedy: str) -> None:
        """Refuse layers whose tensors do not have their input units on the second axis.

        Parameters
        ----------
        granularity : str
            The units that are used; only "weight" has none.
        option : str
            What uses them, for the message.
        remedy : str
            What to do instead, for the message.

        Raises
        ------
        ValueError
            When that is so in a layer of a kind that is known.
        """
        if granularity == "weight":
            return
        for name in self.parameters.tensors:
            layer = self.owner(name)
            swapped = isinstance(layer, (_ConvTransposeNd, nn.Embedding, nn.EmbeddingBag))
            if swapped or (isinstance(layer, _ConvNd) and layer.groups > 1):
                raise ValueError(
                    f"{option} needs the units of every layer, and those of {name!r} "
                    f"({type(layer).__name__}) are not on an axis of its weights. {remedy}"
                )


def _mark(state: Tensor, units: Units, found: Tensor) -> None:
    """Set the state of some units to true, where several positions may be one unit."""
    if isinstance(units, slice):
        state[units] |= found.view(-1)
    else:
        state[units[found]] = True
