"""The rows of the residual network: methods that remove channels, at shares of the FLOPs."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor, nn

from sksparse.compression import compact
from sksparse.neural_network import SparseNetClassifier
from sksparse.sparsifiers import Magnitude

from .residual import ResidualNet
from .rows import Limit, Row

#: Shares of the FLOPs that are left.
SHARES = (0.7, 0.5, 0.3)
#: What removes channels, by its name in the tables.
METHODS: dict[str, Any] = {
    "slimming": "slimming",
    "filters": "filters",
    "taylor": "taylor",
    "nisp": "nisp",
    "magnitude": Magnitude(granularity="unit", train_fraction=0.1, sparsify_fraction=0.4),
    "random": "random",
}
#: The method whose widths the network from scratch has.
SHAPE = "filters"
#: Classes, and epochs of the dense network and of a method that starts from it.
DATA = {"mnist part": (10, 8, 4), "coil20": (20, 60, 30)}


def model(seed: int, n_classes: int, max_iter: int, **changes: Any) -> SparseNetClassifier:
    """The estimator with what the rows have in common."""
    options: dict[str, Any] = {
        "sparsifier": None,
        "batch_size": 64,
        "learning_rate": "cosine",
        "learning_rate_init": 3e-3,
        "max_iter": max_iter,
        "n_iter_no_change": 1000,
    }
    module = partial(ResidualNet, n_classes)
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
    n_classes, n_dense, n_further = DATA[data]
    dense = f"ResNet, {data}, dense"
    common = {"data": data, "n_seeds": 1, "compacts": True}
    rows = {dense: Row(partial(model, n_classes=n_classes, max_iter=n_dense), **common)}
    for share in SHARES:
        limits = (Limit("flops", share),)
        for name, sparsifier in METHODS.items():
            make = partial(
                model,
                n_classes=n_classes,
                max_iter=n_further,
                sparsifier=sparsifier,
                target_flops=share,
            )
            rows[f"ResNet, {data}, {name}, {share:.0%}"] = Row(make, limits, base=dense, **common)
        rows[f"ResNet, {data}, from scratch, {share:.0%}"] = Row(
            # as long as the dense network and its pruning together
            partial(model, n_classes=n_classes, max_iter=n_dense + n_further),
            note=f"widths of {SHAPE}",
            base=f"ResNet, {data}, {SHAPE}, {share:.0%}",
            shrink=drawn_anew,
            **common,
        )
    return rows


FAMILIES = {data: family(data) for data in DATA}
RESIDUAL = {name: row for rows in FAMILIES.values() for name, row in rows.items()}
