"""Units of a network that are made dead, so that there is something to compact without training."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from sksparse.module_graph import ModuleGraph


def silence(module: nn.Module, example: Tensor, share: float, seed: int = 0) -> None:
    """Zero all that writes, scales and reads a share of the units of each layer, at random.

    Parameters
    ----------
    module : torch.nn.Module
        The network, which is changed.
    example : torch.Tensor of shape (n_rows, ...)
        A few rows of features.
    share : float
        The share; at least one unit of a layer is left.
    seed : int, default=0
        Seed of the draw.
    """
    graph = ModuleGraph(module, example)
    rng = np.random.default_rng(seed)
    dead = np.zeros(graph.n_units, dtype=bool)
    for layer in graph.layers:
        n_dead = min(round(share * len(layer.units)), len(layer.units) - 1)
        dead[rng.choice(layer.units, n_dead, replace=False)] = True
    parameters = dict(module.named_parameters())
    with torch.no_grad():
        for slot in graph.slots:
            # statistics of normalised layers may stay: their scale and shift are zero
            if slot.tensor in parameters:
                positions = torch.from_numpy(np.flatnonzero(dead[slot.units]))
                parameters[slot.tensor].index_fill_(slot.axis, positions, 0.0)
