"""LeNet-5 on MNIST: the estimator that its rows have in common."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from torch import nn

from sksparse.neural_network import SparseNetClassifier

#: Filters and hidden units; the first linear layer reads 800 inputs, 16 of each filter.
CAFFE = (20, 50, 500)


def lenet5(widths: tuple[int, int, int] = CAFFE) -> nn.Module:
    """Two convolutions with pooling, and two linear layers."""
    first, second, hidden = widths
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, first, 5),
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(first, second, 5),
            relu2=nn.ReLU(),
            pool2=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            fc1=nn.Linear(16 * second, hidden),
            relu3=nn.ReLU(),
            fc2=nn.Linear(hidden, 10),
        )
    )


def caffe() -> nn.Module:
    """LeNet-5 of Caffe, drawn anew."""
    return lenet5(CAFFE)


def widths(module: nn.Module) -> list[int]:
    """Filters, inputs of the first linear layer that it reads, and hidden units."""
    weights = [module.get_parameter(f"{name}.weight") for name in ("conv1", "conv2", "fc1")]
    first, second, linear = weights
    columns = int((linear != 0).any(dim=0).sum())
    return [len(first), len(second), columns, len(linear)]


def model(seed: int, module: Any = caffe, **changes: Any) -> SparseNetClassifier:
    """The estimator with what the rows have in common."""
    options: dict[str, Any] = {
        "batch_size": 128,
        "learning_rate": "cosine",
        "learning_rate_init": 2e-3,
        "max_iter": 25,
        "weight_decay": 1e-4,
        # the schedules run to their end
        "n_iter_no_change": 1000,
    }
    return SparseNetClassifier(module, **{**options, **changes}, random_state=seed)
