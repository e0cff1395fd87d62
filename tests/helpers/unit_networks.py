"""Small networks whose units are removed, and what plays the training data for their runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from sksparse.sparsifiers import Probe


class Residual(nn.Module):
    """A stem, two blocks with a shortcut, one of them a projection, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.first = nn.Sequential(
            *(nn.Conv2d(4, 5, 3, padding=1, bias=False), nn.BatchNorm2d(5), nn.ReLU()),
            *(nn.Conv2d(5, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)),
        )
        self.second = nn.Sequential(
            *(nn.Conv2d(4, 6, 3, stride=2, padding=1), nn.ReLU()),
            *(nn.Conv2d(6, 8, 3, padding=1), nn.BatchNorm2d(8)),
        )
        self.shortcut = nn.Conv2d(4, 8, 1, stride=2, bias=False)
        self.pool, self.head = nn.AdaptiveAvgPool2d(1), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.norm(self.stem(x)))
        h = torch.relu(h + self.first(h))
        h = torch.relu(self.second(h) + self.shortcut(h))
        return self.head(torch.flatten(self.pool(h), 1))


class Recurrent(nn.Module):
    """A recurrent layer whose last step is classified."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(3, 6, batch_first=True), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.lstm(x)[0][:, -1])


def chain() -> nn.Module:
    """Two convolutions with normalisation, flattened, and a perceptron."""
    return nn.Sequential(
        *(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(6 * 16, 7), nn.Tanh(), nn.Linear(7, 3)),
    )


def drawn(module: nn.Module) -> nn.Module:
    """In double precision, with every parameter and running statistic drawn at random."""
    module = module.double().eval()
    for p in module.parameters():
        nn.init.normal_(p, std=0.5)
    for name, buffer in module.named_buffers():
        if buffer.is_floating_point():
            buffer.uniform_(0.5, 1.5) if "var" in name else buffer.normal_()
    return module


def probe_of(module: nn.Module, X: Tensor, y: Tensor, criterion: Any = None) -> Probe:
    """Training data of two batches, with the mean cross-entropy unless another cost is given."""

    def batches() -> Iterator[tuple[Tensor, Tensor, None]]:
        half = len(X) // 2
        yield X[:half], y[:half], None
        yield X[half:], y[half:], None

    loss = nn.functional.cross_entropy if criterion is None else criterion
    return Probe(module, batches, lambda output, target, _: loss(output, target))
