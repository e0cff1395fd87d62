"""torch-pruning beside ours: the same dense LeNet-5, the same channels, the same retraining."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

from torch import Tensor, nn

from .lenet import caffe, model, widths
from .rows import Row

#: Epochs of the dense network, and of pruning and retraining.
N_DENSE, N_FURTHER = 6, 6
#: Shares of channels removed, and the error of torch-pruning in a run of simple code.
REMOVED = {0.5: "0.68 % measured before", 0.8: "1.32 % measured before"}
BASE = "LeNet-5, dense, 6 epochs"
COMMON: dict[str, Any] = {"compacts": True, "widths": widths, "dense": caffe, "n_seeds": 1}


def pruned(module: nn.Module, example: Tensor, share: float) -> nn.Module:
    """What torch-pruning makes of a network: in each layer the channels of least norm go."""
    import torch_pruning

    small = copy.deepcopy(module)
    torch_pruning.pruner.MagnitudePruner(
        small,
        example,
        importance=torch_pruning.importance.MagnitudeImportance(p=2),
        pruning_ratio=share,
        ignored_layers=[small.get_submodule("fc2")],
    ).step()
    for weight in small.parameters():
        # gradients of the module that it was copied from do not fit
        weight.grad = None
    return small


def beside(share: float) -> dict[str, Row]:
    """torch-pruning, and our filters at the same share of units."""
    return {
        f"LeNet-5, torch-pruning, {share:.0%} of channels removed": Row(
            partial(model, sparsifier=None, max_iter=N_FURTHER),
            note=REMOVED[share],
            base=BASE,
            shrink=partial(pruned, share=share),
            **COMMON,
        ),
        f"LeNet-5, filters, {share:.0%} of channels removed": Row(
            partial(model, sparsifier="filters", target_units=1 - share, max_iter=N_FURTHER),
            base=BASE,
            **COMMON,
        ),
    }


RIVALS = {
    BASE: Row(partial(model, sparsifier=None, max_iter=N_DENSE), **COMMON),
    **{name: row for share in REMOVED for name, row in beside(share).items()},
}
