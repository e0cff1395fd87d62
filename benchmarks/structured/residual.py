"""A residual network of three stages and 20 layers, and what removes its channels."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from sksparse.compression import compact
from sksparse.neural_network import SparseNetClassifier
from sksparse.sparsifiers import (
    NISP,
    FilterPruning,
    Magnitude,
    NetworkSlimming,
    RandomUnits,
    TaylorPruning,
)

from .rows import Limit, Row

#: Channels of the stages.
WIDTHS = (8, 16, 32)
N_BLOCKS = 3


class Block(nn.Module):
    """Two convolutions of which the sum with a shortcut is the value.

    Parameters
    ----------
    n_in, n_out : int
        Channels before and after.
    stride : int
        Of the first convolution, and of the shortcut.
    n_inner : int, default=None
        Channels between the convolutions; None for `n_out`.
    """

    def __init__(self, n_in: int, n_out: int, stride: int, n_inner: int | None = None) -> None:
        super().__init__()
        n_inner = n_out if n_inner is None else n_inner
        self.conv1 = nn.Conv2d(n_in, n_inner, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(n_inner)
        self.conv2 = nn.Conv2d(n_inner, n_out, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(n_out)
        self.relu = nn.ReLU()
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or n_in != n_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out)
            )

    def forward(self, X: Tensor) -> Tensor:
        """The value of the block."""
        inner = self.relu(self.norm1(self.conv1(X)))
        return self.relu(self.norm2(self.conv2(inner)) + self.shortcut(X))


class ResidualNet(nn.Module):
    """A convolution, three stages of three blocks, the mean over the image, a linear layer.

    Parameters
    ----------
    n_outputs : int
        Number of classes.
    widths : tuple of int, default=(8, 16, 32)
        Channels of the stages.
    """

    def __init__(self, n_outputs: int, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, widths[0], 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(widths[0])
        self.relu = nn.ReLU()
        blocks, n_in = [], widths[0]
        for stage, n_out in enumerate(widths):
            for number in range(N_BLOCKS):
                blocks.append(Block(n_in, n_out, 2 if stage and not number else 1))
                n_in = n_out
        self.blocks = nn.Sequential(*blocks)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(n_in, n_outputs)

    def forward(self, X: Tensor) -> Tensor:
        """The logits."""
        maps = self.blocks(self.relu(self.norm(self.conv(X))))
        return self.fc(torch.flatten(self.pool(maps), 1))


#: Shares of the FLOPs that are left.
SHARES = (0.7, 0.5, 0.3)
#: What removes channels, by its name in the tables.
METHODS: dict[str, dict[str, Any]] = {
    # they start from a trained network, so that nothing is trained before the removal
    "slimming": {"sparsifier": NetworkSlimming()},
    "filters": {"sparsifier": FilterPruning(train_fraction=0.0, schedule="one_shot")},
    "taylor": {"sparsifier": TaylorPruning(train_fraction=0.0)},
    "nisp": {"sparsifier": NISP(train_fraction=0.0)},
    "magnitude": {
        "sparsifier": Magnitude(train_fraction=0.0, sparsify_fraction=0.4),
        "granularity": "unit",
    },
    "random": {"sparsifier": RandomUnits(train_fraction=0.0)},
}
#: The method whose widths the network from scratch has.
SHAPE = "filters"
#: Classes, rows in a batch, epochs of the dense network and of a method that starts from it, seeds.
DATA = {"mnist part": (10, 64, 8, 4, 1), "coil20": (20, 24, 30, 15, 3)}


def network(seed: int, module: Any, **changes: Any) -> SparseNetClassifier:
    """The estimator with what the rows have in common."""
    options: dict[str, Any] = {
        "sparsifier": None,
        "learning_rate": "cosine",
        "learning_rate_init": 3e-3,
        "n_iter_no_change": 1000,
    }
    return SparseNetClassifier(module, **{**options, **changes}, random_state=seed)


def drawn_anew(module: nn.Module, example: Tensor) -> nn.Module:
    """A network of the widths that are left of another, with new weights."""
    small = compact(module, example, inputs=False).module
    for part in small.modules():
        # every layer of this network that has parameters draws them so
        if isinstance(part, nn.Conv2d | nn.BatchNorm2d | nn.Linear):
            part.reset_parameters()
    return small


def family(data: str) -> dict[str, Row]:
    """The dense network, and what starts from it or from what is left of it."""
    n_classes, batch_size, n_dense, n_further, n_seeds = DATA[data]
    dense = f"ResNet, {data}, dense"
    module = partial(ResidualNet, n_classes)
    common: dict[str, Any] = {
        "data": data,
        "n_seeds": n_seeds,
        "compacts": True,
        "dense": module,
    }
    model = partial(network, module=module, batch_size=batch_size)
    rows = {dense: Row(partial(model, max_iter=n_dense), **common)}
    for share in SHARES:
        limits = (Limit("flops", share),)
        for name, options in METHODS.items():
            make = partial(model, max_iter=n_further, target_flops=share, **options)
            rows[f"ResNet, {data}, {name}, {share:.0%}"] = Row(make, limits, base=dense, **common)
        rows[f"ResNet, {data}, from scratch, {share:.0%}"] = Row(
            # as long as the dense network and its pruning together
            partial(model, max_iter=n_dense + n_further),
            note=f"widths of {SHAPE}",
            base=f"ResNet, {data}, {SHAPE}, {share:.0%}",
            shrink=drawn_anew,
            **common,
        )
    return rows


FAMILIES = {data: family(data) for data in DATA}
RESIDUAL = {name: row for rows in FAMILIES.values() for name, row in rows.items()}
