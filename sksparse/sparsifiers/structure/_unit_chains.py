"""Which weights are of no use once units are removed: those that enter a removed unit."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from sksparse.sparsifiers.parameters._flat_parameters import FlatParameters, UnitGates

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_LAYERS = (nn.Linear, *_CONVOLUTIONS)
#: What passes every unit on by itself, so that a unit without successors is of no use.
_UNITWISE = (
    *(nn.Identity, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU),
    *(nn.SiLU, nn.Mish, nn.Tanh, nn.Sigmoid, nn.Softplus, nn.Hardtanh, nn.Hardsigmoid),
    *(nn.Hardswish, nn.Dropout, nn.AlphaDropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d),
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.Flatten),
    *(nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d),
    *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
    *(nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d),
)


def flat_layers(module: nn.Module) -> list[nn.Module]:
    """The parts of nested ``nn.Sequential`` modules, in order."""
    if type(module) is not nn.Sequential:
        return [module]
    return [part for child in module for part in flat_layers(child)]


class Chains:
    """Input units of tensors, linked to the output units of the tensor before.

    The output units of a linear or convolution layer are those that enter the next in an
    ``nn.Sequential``, if only functions of single units stand between them. Elsewhere
    nothing is linked, and a removed unit takes only the weights that leave it.

    Parameters
    ----------
    module : torch.nn.Module
        The network.
    parameters : FlatParameters
        Its parameters.
    units : UnitGates
        Its input units.
    """

    def __init__(self, module: nn.Module, parameters: FlatParameters, units: UnitGates) -> None:
        self._parameters = parameters
        self._units = units
        self._shapes = [tuple(w.shape) for w in parameters.tensors.values()]
        linked = linked_tensors(module, parameters)
        self._is_linked = [pair in linked for pair in pairwise(parameters.tensors)] + [False]

    @property
    def is_one_chain(self) -> bool:
        """Whether the units of every tensor but the last enter the next."""
        return all(self._is_linked[:-1])

    def _used_rows(self, keep: Tensor) -> list[Tensor | None]:
        """For each tensor, which output units have successors; None where that is unknown."""
        parts = keep.split(self._units.counts)
        return [
            parts[i + 1].view(shape[0], -1).any(dim=1) if is_linked else None
            for i, (shape, is_linked) in enumerate(zip(self._shapes, self._is_linked, strict=True))
        ]

    def live(self, keep: Tensor) -> Tensor:
        """The weights, flat, that leave a kept unit and do not enter a removed one."""
        live = self._units.spread(keep)
        tensors = self._parameters.by_tensor(live).values()
        for part, rows in zip(tensors, self._used_rows(keep), strict=True):
            if rows is not None:
                part &= rows.view(-1, *[1] * (part.ndim - 1))
        return live

    def count(self, keep: Tensor) -> int:
        """The number of such weights."""
        total = 0
        columns = keep.split(self._units.counts)
        for shape, rows, kept in zip(self._shapes, self._used_rows(keep), columns, strict=True):
            n_rows = shape[0] if rows is None else int(rows.sum())
            total += n_rows * int(kept.sum()) * int(torch.Size(shape[2:]).numel())
        return total

    def norms(self, weights: Tensor) -> Tensor:
        """For each unit the norm of the weights that enter it, or where unknown leave it."""
        tensors = list(self._parameters.by_tensor(weights).values())
        before = [None, *tensors[:-1]]
        is_linked = [False, *self._is_linked[:-1]]
        norms = []
        for here, previous, linked in zip(tensors, before, is_linked, strict=True):
            n = here.shape[1]
            if linked and previous is not None:
                entering = torch.linalg.vector_norm(previous.reshape(len(previous), -1), dim=1)
                norms.append(entering.repeat_interleave(n // len(entering)))
            else:
                norms.append(torch.linalg.vector_norm(here.transpose(0, 1).reshape(n, -1), dim=1))
        return torch.cat(norms)

    def keep_best(self, uselessness: Tensor, magnitude: Tensor, count: int) -> Tensor:
        """Keep exactly `count` weights: whole units of least score, the last one in part.

        Parameters
        ----------
        uselessness : torch.Tensor of shape (n_units,)
            Score of each unit. The best unit of every layer comes before all others, so that
            no layer is cut through while others have units to spare.
        magnitude : torch.Tensor of shape (n_weights,)
            Orders the weights of the last unit.
        count : int
            Weights to keep.

        Returns
        -------
        keep : torch.Tensor of shape (n_weights,)
            Boolean.
        """
        rank = self._ranks(uselessness)
        low, high = 0, len(rank)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self.count(rank < middle) < count else (low, middle)
        inner, outer = self.live(rank < low - 1), self.live(rank < low)
        tier = inner.to(magnitude.dtype) + outer
        order = torch.argsort(magnitude, stable=True, descending=True)
        order = order[torch.argsort(tier[order], stable=True, descending=True)]
        keep = torch.zeros_like(outer)
        keep[order[:count]] = True
        return keep

    def _ranks(self, uselessness: Tensor) -> Tensor:
        score = uselessness.clone()
        for part in score.split(self._units.counts):
            part[part.argmin()] = -torch.inf
        order = torch.argsort(score, stable=True)
        rank = torch.empty_like(order)
        rank[order] = torch.arange(len(order), device=order.device)
        return rank


def linked_tensors(module: nn.Module, parameters: FlatParameters) -> set[tuple[str, str]]:
    """Names of pairs of tensors, the second of which takes the units of the first."""
    names = {id(w): name for name, w in parameters.tensors.items()}
    linked, before = set(), None
    for layer in flat_layers(module):
        if type(layer) in _LAYERS and id(layer.weight) in names:
            if before is not None and _fits(before, layer):
                linked.add((names[id(before.weight)], names[id(layer.weight)]))
            before = layer
        elif type(layer) not in _UNITWISE:
            before = None
    return linked


def _fits(before: Any, after: Any) -> bool:
    n_out, n_in = before.weight.shape[0], after.weight.shape[1]
    from_channels = type(before) in _CONVOLUTIONS and n_in % n_out == 0
    return getattr(after, "groups", 1) == 1 and (n_in == n_out or from_channels)
