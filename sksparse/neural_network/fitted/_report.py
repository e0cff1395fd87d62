"""What a fitted network looks like, as numpy and plain Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from sksparse._typing import Array, Mask
from sksparse.neural_network.training._data import Rows
from sksparse.sparsifiers import prunable_tensors

#: Rows that are evaluated together, and differences of equal outputs by rounding.
_ROWS_AT_ONCE = 512
_ROUNDING = 1e-6


def density_by_tensor(module: nn.Module, dense: Mapping[str, int]) -> dict[str, float]:
    """The weights that are not zero in each prunable tensor, as a share of those of the dense one.

    A tensor that the dense network did not have is compared with itself.
    """
    return {
        name: int(torch.count_nonzero(w.detach())) / dense.get(name, w.numel())
        for name, w in prunable_tensors(module).items()
    }


def constant_outputs(module: nn.Module, rows: Rows) -> list[int]:
    """The outputs of a network that are the same for all rows, though the rows differ.

    As a rule there are none, which the first rows are enough to show.
    """
    low = high = first = None
    differ = False
    same = torch.zeros(0)
    with torch.no_grad():
        for X, _, _ in rows.batches(_ROWS_AT_ONCE):
            output = module(X)
            first = X[:1] if first is None else first
            differ = differ or bool((first != X).any())
            least, most = output.aminmax(dim=0)
            low = least if low is None else torch.minimum(low, least)
            high = most if high is None else torch.maximum(high, most)
            same = high - low <= _ROUNDING * torch.maximum(low.abs(), high.abs())
            if differ and not same.any():
                break
    return same.nonzero().flatten().tolist() if differ else []


def sparsity(module: nn.Module, dense: Mapping[str, int]) -> float:
    """The share of all prunable weights of the dense network that are zero, or were taken out."""
    n_dense = sum(dense.values())
    left = sum(int(torch.count_nonzero(w.detach())) for w in prunable_tensors(module).values())
    return (n_dense - left) / n_dense


def path_matrices(module: nn.Module) -> list[Array]:
    """The matrices (units in, units out) of a perceptron, with the scale of normalisations."""
    matrices: list[Array] = []
    for layer in module.children():
        if isinstance(layer, nn.Linear):
            matrices.append(layer.weight.detach().numpy().T.astype(np.float64))
        elif isinstance(layer, nn.BatchNorm1d):
            variance: Any = layer.running_var
            deviation = torch.sqrt(variance + layer.eps)
            matrices[-1] = matrices[-1] * (layer.weight.detach() / deviation).numpy()
    return matrices


def live_units(coefs: Sequence[Array]) -> list[Mask]:
    """Which units of each layer, inputs first, are on a path of non-zero weights to an output.

    The path begins at an input: a unit left without inputs emits a constant, which is a bias of the
    next layer and no unit. Outputs are counted as they are.
    """
    forward = [np.ones(coefs[0].shape[0], dtype=bool)]
    for coef in coefs:
        forward.append((coef[forward[-1]] != 0).any(axis=0))
    backward = [np.ones(coefs[-1].shape[1], dtype=bool)]
    for coef in reversed(coefs):
        backward.append((coef[:, backward[-1]] != 0).any(axis=1))
    live = [f & b for f, b in zip(forward, reversed(backward), strict=True)]
    return [*live[:-1], backward[0]]


def path_importances(coefs: Sequence[Array]) -> Array:
    """The sum over all paths from a feature to the outputs of the product of ``|w|``.

    Scaled to sum 1; all zero where no path is left.
    """
    strength = np.ones(coefs[-1].shape[1])
    for coef in reversed(coefs):
        strength = np.abs(coef) @ strength
    total = strength.sum()
    return strength / total if total > 0 else strength
