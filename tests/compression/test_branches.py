"""Residual branches that are dead are removed with all their layers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from sksparse.compression import Shift
from tests.helpers.compacted import checked


class Block(nn.Module):
    """Two convolutions beside a shortcut, written as is usual."""

    def __init__(self, n_in: int, n_out: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.downsample: nn.Module | None = None
        if stride > 1 or n_in != n_out:
            self.downsample = nn.Sequential(
                nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out)
            )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += shortcut
        return self.relu(out)


class Added(nn.Module):
    """A module of any kind beside a shortcut."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x) + x


class Mode(Added):
    """Its code does something else in training."""

    def forward(self, x: Tensor) -> Tensor:
        return x + functional.dropout(self.inner(x), 0.5, self.training)


class Function(Added):
    """A function behind the sum that no layer of torch stands for."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.hardswish(torch.add(x, self.inner(x)) * 2)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def ready(*layers: nn.Module) -> nn.Sequential:
    module = nn.Sequential(*layers).double().eval()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.normal_(part.running_mean)
            nn.init.uniform_(part.running_var, 0.5, 2.0)
            nn.init.normal_(part.bias)
    return module


def kill(layer: Any, constant: float) -> None:
    """It emits constants, which differ from unit to unit where they are not zero."""
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.copy_(constant * torch.linspace(-1, 1, len(layer.bias)))


def images() -> Tensor:
    return torch.randn(3, 2, 8, 8, dtype=torch.float64)


@pytest.mark.parametrize("constant", [0.0, 0.7])
def test_blocks_of_a_residual_network(constant: float) -> None:
    module = ready(
        *(nn.Conv2d(2, 6, 3), nn.ReLU(), Block(6, 6), Block(6, 8, 2), Block(8, 8)),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)),
    )
    kill(module[2].bn2, constant)
    kill(module[3].bn2, constant)
    result = checked(module, images())
    small = result.module
    # the shortcut and what follows are left, the constants in the bias of a normalisation
    names = ["relu0"] if constant == 0 else ["shift0", "relu1"]
    assert [name for name, _ in small[2].named_children()] == names
    assert isinstance(small[3], fx.GraphModule)
    assert {name.split(".")[0] for name in small[3].state_dict()} == {"downsample"}
    assert type(small[4]) is Block
    assert result.widths == {
        **{"0": (6, 6), "2.conv1": (0, 6), "3.downsample.0": (8, 8), "3.conv1": (0, 8)},
        **{"4.conv1": (8, 8)},
    }
    trained = small.train()(images().requires_grad_())
    trained.sum().backward()
    assert all(p.grad is not None for p in small.parameters())


@pytest.mark.parametrize("constant", [0.0, 0.7])
def test_branches_of_vectors(constant: float) -> None:
    inner = nn.Sequential(nn.Linear(6, 9), nn.Tanh(), nn.Linear(9, 6))
    module = ready(nn.Linear(5, 6), Added(inner), nn.Tanh(), nn.Linear(6, 3))
    kill(inner[2], constant)
    result = checked(module, torch.randn(4, 5, dtype=torch.float64))
    assert result.widths == {"0": (6, 6), "1.inner.0": (0, 9)}
    if constant == 0:
        assert type(result.module[1]) is nn.Identity
    else:
        assert torch.equal(result.module[1][0].values, inner[2].bias)


def test_the_other_side_takes_constants_in_its_bias() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.dead, self.alive = nn.Linear(4, 3), nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return torch.tanh(self.dead(x) + self.alive(x))

    globals()["Both"] = Both
    Both.__qualname__ = "Both"
    module = ready(Both(), nn.Linear(3, 2))
    kill(module[0].dead, 0.4)
    result = checked(module, torch.randn(4, 4, dtype=torch.float64))
    # units that both sides write count for the first of them, though that is gone
    assert result.widths == {"0.dead": (3, 3)}
    small = result.module
    assert not any(isinstance(part, Shift) for part in small.modules())
    expected = module[0].alive.bias + module[0].dead.bias
    assert torch.equal(small[0].get_parameter("alive.bias"), expected)


def test_functions_behind_the_sum_stay() -> None:
    module = ready(nn.Conv2d(2, 4, 1), Function(nn.Conv2d(4, 4, 3, padding=1)), nn.Conv2d(4, 2, 1))
    kill(module[1].inner, 0.3)
    small = checked(module, images()).module
    assert [type(p).__name__ for p in small[1].children()] == ["Shift"]


def test_code_that_asks_for_the_mode_stays() -> None:
    module = ready(nn.Linear(5, 4), Mode(nn.Linear(4, 4)), nn.Linear(4, 2))
    kill(module[1].inner, 0.0)
    small = checked(module, torch.randn(4, 5, dtype=torch.float64)).module
    assert type(small[1]) is Mode


def test_a_sum_that_is_changed_in_place_leaves_the_features_alone() -> None:
    module = ready(nn.Conv2d(2, 2, 1), Block(2, 2))
    kill(module[1].bn2, 0.0)
    module = ready(Added(module[1]), nn.Conv2d(2, 2, 1))
    X = images()
    before = X.clone()
    small = checked(module, X).module
    small(X)
    assert torch.equal(X, before)


def test_a_branch_that_changes_the_shortcut_in_place_stays() -> None:
    inner = nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(4, 4, 1))
    module = ready(nn.Conv2d(2, 4, 1), Added(inner), nn.Conv2d(4, 2, 1))
    kill(inner[1], 0.0)
    assert type(checked(module, images()).module[1]) is Added


def test_shifts_are_cut_with_their_units() -> None:
    module = ready(nn.Conv2d(2, 4, 1), Added(nn.Conv2d(4, 4, 1)), nn.ReLU(), nn.Conv2d(4, 2, 1))
    kill(module[1].inner, 0.5)
    with torch.no_grad():
        module[3].weight[:, 1:3] = 0.0
    small = checked(module, images()).module
    assert small[1][0].values.shape == (2, 1, 1)
