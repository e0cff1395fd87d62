"""Factors of groups that are drawn anew for every row of a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from sksparse.sparsifiers.stochastic._gate_groups import GateGroups

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


class RowFactors:
    """Random factors, one for each group and row, drawn once in each pass through a module.

    What reads one unit in several layers sees one draw.

    Parameters
    ----------
    module : torch.nn.Module
        The network.
    gates : GateGroups
        The groups.
    draw : callable
        Takes a number of rows and ``training``, returns factors of shape (n_rows, n_groups).
    """

    def __init__(self, module: nn.Module, gates: GateGroups, draw: Callable[..., Tensor]) -> None:
        self._draw = draw
        self._drawn: dict[tuple[int, bool], Tensor] = {}
        self._handle = module.register_forward_pre_hook(self._forget)
        self._groups: dict[str, Tensor] = {}
        for name in gates.axes:
            groups = gates.groups_of(name)
            assert groups is not None
            self._groups[name] = groups

    def _forget(self, *_: Any) -> None:
        self._drawn.clear()

    def has(self, name: str) -> bool:
        """Whether what enters this tensor has factors."""
        return name in self._groups

    def of(self, name: str, n_rows: int, *, training: bool) -> Tensor:
        """The factors at the positions of one tensor, of shape (n_rows, n_positions)."""
        key = (n_rows, training)
        if key not in self._drawn:
            drawn = self._draw(n_rows, training=training)
            # positions without a group
            self._drawn[key] = torch.cat([drawn, drawn.new_ones(n_rows, 1)], dim=1)
        return self._drawn[key].index_select(1, self._groups[name])

    def multiply(self, name: str, values: Tensor, layer: nn.Module) -> Tensor:
        """What enters a layer times the factors of its inputs."""
        factors = self.of(name, len(values), training=layer.training)
        shape = [len(values), *[1] * (values.ndim - 1)]
        shape[-1 if isinstance(layer, nn.Linear) else 1] = factors.shape[1]
        return values * factors.view(shape)

    def remove(self) -> None:
        """Leave the module as it was."""
        self._handle.remove()
        self._drawn.clear()


class LocalGates:
    """Hooks that multiply what enters each layer by the gates of its inputs.

    Parameters
    ----------
    module : torch.nn.Module
        The network; what has gates belongs to linear and convolution layers.
    gates : GateGroups
        Inputs of layers, or units.
    draw : callable
        As in ``RowFactors``.
    """

    def __init__(self, module: nn.Module, gates: GateGroups, draw: Callable[..., Tensor]) -> None:
        layers = {name: module.get_submodule(name.rpartition(".")[0]) for name in gates.axes}
        for name, layer in layers.items():
            if not isinstance(layer, (nn.Linear, *CONVOLUTIONS)) or getattr(layer, "groups", 1) > 1:
                raise ValueError(
                    f"gate_samples='local' cannot gate {name!r} of a {type(layer).__name__}: it "
                    "works on linear layers and ungrouped convolutions; use gate_samples='shared'."
                )
        self._factors = RowFactors(module, gates, draw)
        self._handles = [
            layer.register_forward_pre_hook(self._gate(name)) for name, layer in layers.items()
        ]

    def _gate(self, name: str) -> Callable[..., Any]:
        def hook(layer: nn.Module, args: tuple[Tensor]) -> tuple[Tensor]:
            return (self._factors.multiply(name, args[0], layer),)

        return hook

    def remove(self) -> None:
        """Leave the module as it was."""
        self._factors.remove()
        for handle in self._handles:
            handle.remove()
