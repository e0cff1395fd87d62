"""Fixtures shared by the tests of sparsifiers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import nn


@pytest.fixture
def untraced() -> Iterator[None]:
    """No gradients but where a test enables them, and random numbers that start afresh."""
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.fixture
def module(untraced: None) -> nn.Module:
    """A small network; its weights are the first that the seed of `untraced` draws."""
    net = nn.Sequential(nn.Linear(12, 10), nn.ReLU(), nn.Linear(10, 4))
    for p in net.parameters():
        nn.init.normal_(p)
    return net
