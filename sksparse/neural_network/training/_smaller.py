"""A module that gets smaller while it is trained, and all that has to follow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sksparse.module_graph._surgery import Kept, flat_positions, resize
from sksparse.sparsifiers import SparsifierRun

#: Share of the multiplications that has to be saved at once: following the module anew takes about
#: as long as an epoch on a small table. It is no time that is measured, so that equal fits are
#: equal bit for bit.
_WORTH = 0.1


class Cut:
    """Units that were taken out of the module of a run.

    Parameters
    ----------
    run : SparsifierRun
        The run, which goes on with what is left.
    kept : dict of str to tuple
        For each parameter and buffer the positions left on each axis, as ``resize`` returns it.
    positions : list of torch.Tensor
        For each learned tensor the positions of its new values among its old ones.
    """

    def __init__(
        self, run: SparsifierRun, kept: Mapping[str, Kept], positions: list[Tensor]
    ) -> None:
        self._module = run.module
        self._kept = kept
        learned = zip(run.learned(), positions, strict=True)
        pairs = [(p, where) for p, where in learned if p.numel()]
        self.learned: list[nn.Parameter] = [p for p, _ in pairs]
        self.positions = [where for _, where in pairs]

    def optimizer(self, optimizer: torch.optim.Optimizer) -> None:
        """Let an optimiser go on with what is left, with what it remembers of that."""
        group = optimizer.param_groups[0]
        states = [optimizer.state.get(p, {}) for p in group["params"]]
        optimizer.state.clear()
        for p, where, state in zip(self.learned, self.positions, states, strict=True):
            if state:
                # the number of steps has no axis
                optimizer.state[p] = {
                    name: v[where] if isinstance(v, Tensor) and v.ndim else v
                    for name, v in state.items()
                }
        group["params"] = self.learned

    def state(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What is left of an earlier state of the module."""
        return {name: self._left(name, values) for name, values in state.items()}

    def _left(self, name: str, values: Tensor) -> Tensor:
        for axis, kept in enumerate(self._kept.get(self._first_name(name), ())):
            if kept is not None:
                values = values.index_select(axis, torch.from_numpy(kept).to(values.device))
        return values

    def _first_name(self, name: str) -> str:
        """The name under which the graph knows a tensor that has several."""
        owner, _, last = name.rpartition(".")
        part = self._module.get_submodule(owner)
        tensor: Any = part._parameters.get(last, part._buffers.get(last))
        named = [*self._module.named_parameters(), *self._module.named_buffers()]
        return next((n for n, t in named if t is tensor), name)


def take_out(run: SparsifierRun) -> Cut | None:
    """Take the units that are gone for good out of the module, where that pays.

    Parameters
    ----------
    run : SparsifierRun
        A run that ``compacts``.

    Returns
    -------
    cut : Cut or None
        None where all was left as it is.
    """
    units = run.units
    keep = ~run.gone()
    for number in range(len(units.layer_names)):
        of_layer = (units.layer == number).nonzero().squeeze(1)
        if not keep[of_layer].any():
            # a layer needs a unit to stand on
            keep[of_layer[:1]] = True
    if units.left(keep, "flops") > 1 - _WORTH:
        return None
    graph = units.graph
    stays = np.ones(graph.n_units, dtype=bool)
    stays[units.graph_units[~keep].cpu().numpy()] = False
    shapes = {
        name: tuple(view.shape)
        for name, view in run.parameters.all_by_name(run.parameters.values).items()
    }
    kept = resize(graph, stays)
    positions = torch.from_numpy(flat_positions(shapes, kept)).to(run.weights.device)
    with torch.no_grad():
        return Cut(run, kept, run.rebuild(positions))
