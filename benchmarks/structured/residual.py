"""A residual network of three stages and 20 layers, and the estimators of its rows."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sksparse.neural_network import SparseNetClassifier

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
