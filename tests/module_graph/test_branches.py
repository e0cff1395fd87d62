"""Residual branches: which layers can be left out because a shortcut stands beside them."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from sksparse.module_graph import Branch, ModuleGraph
from tests.helpers.graph_checks import Code, output, randomised

ROWS = torch.randn(3, 5, generator=torch.Generator().manual_seed(0)).double()
MAPS = torch.randn(3, 4, 6, 6, generator=torch.Generator().manual_seed(2)).double()


class Block(nn.Module):
    """A block of a residual network, at full or half resolution."""

    def __init__(self, n_inputs: int, n_outputs: int, stride: int, shortcut: str) -> None:
        super().__init__()
        self.first = nn.Conv2d(n_inputs, n_outputs, 3, stride, 1, bias=False)
        self.norm = nn.BatchNorm2d(n_outputs)
        self.second = nn.Conv2d(n_outputs, n_outputs, 3, 1, 1, bias=False)
        self.last_norm = nn.BatchNorm2d(n_outputs)
        self.project = nn.Conv2d(n_inputs, n_outputs, 1, stride) if shortcut == "layer" else None
        self.pads = shortcut == "pads"

    def forward(self, x: Tensor) -> Tensor:
        y = self.last_norm(self.second(functional.relu(self.norm(self.first(x)))))
        if self.project is not None:
            x = self.project(x)
        if self.pads:
            x = functional.pad(functional.avg_pool2d(x, 2), (0, 0, 0, 0, 0, 4))
        y += x
        return functional.relu(y)


def branches(module: nn.Module, example: Tensor) -> tuple[Branch, ...]:
    graph = ModuleGraph(randomised(module), example)
    assert not graph.obstacles
    return graph.branches


def zeroed(module: nn.Module, branch: Branch) -> nn.Module:
    copied = copy.deepcopy(module)
    for name in branch.parameters:
        copied.get_parameter(name).data.zero_()
    return copied


def test_blocks_of_a_residual_network() -> None:
    blocks = [
        Block(4, 4, 1, ""),
        Block(4, 8, 2, "layer"),
        Block(8, 8, 1, ""),
        Block(4, 8, 2, "pads"),
    ]
    module = nn.Sequential(*blocks[:3], nn.Flatten(), nn.Linear(72, 2))
    first, last = branches(module, MAPS)
    assert first.layers == ("0.first", "0.norm", "0.second", "0.last_norm")
    assert last.parameters == (
        *("2.first.weight", "2.norm.weight", "2.norm.bias"),
        *("2.second.weight", "2.last_norm.weight", "2.last_norm.bias"),
    )
    # a shortcut that only pools and pads has no parameters either
    (padded,) = branches(nn.Sequential(blocks[3], nn.Conv2d(8, 2, 1)), MAPS)
    assert padded.value.shape == (3, 8, 3, 3)


def test_with_a_branch_at_zero_the_shortcut_is_left() -> None:
    module = nn.Sequential(nn.Conv2d(4, 4, 1), Block(4, 4, 1, ""), nn.Conv2d(4, 2, 1))
    (branch,) = branches(module, MAPS)
    without = nn.Sequential(module[0], nn.ReLU(), module[2])
    assert torch.equal(output(zeroed(module, branch), MAPS), output(without, MAPS))


@pytest.mark.parametrize("end", [nn.Tanh(), nn.Dropout(), nn.Identity()])
def test_what_may_follow_the_last_layer_of_a_branch(end: nn.Module) -> None:
    inner = nn.Sequential(nn.Linear(5, 6), nn.Sigmoid(), nn.Linear(6, 5), end)
    module = Code(lambda x, a, b: b(x + a(x)), inner, nn.Linear(5, 2))
    (branch,) = branches(module, ROWS)
    assert torch.equal(output(zeroed(module, branch), ROWS), output(module.layers[1], ROWS))


def test_scaled_branches_and_sums_of_several() -> None:
    def code(x: Tensor, a: nn.Module, b: nn.Module, c: nn.Module, s: Tensor) -> Tensor:
        h = torch.add(x, a(x).sigmoid() * s)
        return c(h + b(h))

    parts = nn.Linear(5, 5), nn.LSTM(5, 5), nn.Linear(5, 2)
    scale = nn.Parameter(torch.ones(5))
    module = Code(lambda x, a, b, c, s: code(x, a, lambda h: b(h)[0], c, s), *parts, s=scale)
    graph = ModuleGraph(randomised(module), ROWS[:, None].expand(3, 2, 5))
    assert set(graph.branches[0].parameters) == {"s", "layers.0.weight", "layers.0.bias"}
    assert all(name.startswith("layers.1.") for name in graph.branches[1].parameters)


NONE = {
    "a sigmoid at its end": lambda x, a, b: b(x + torch.sigmoid(a(x))),
    "another reader": lambda x, a, b: _read_twice(x, a(x), b),
    "no shortcut": lambda x, a, b: b(a(x) + 1),
    "two layers": lambda x, a, b: b(a(x) + a(x.relu())),
    "other places for its layer": lambda x, a, b: b(x + a(x)) + b(a(x)),
    "a product": lambda x, a, b: b(x * a(x)),
}


def _read_twice(x: Tensor, h: Tensor, end: nn.Module) -> Tensor:
    return end(torch.relu(x + h) + h)


@pytest.mark.parametrize("name", NONE)
def test_what_is_no_branch(name: str) -> None:
    module = Code(NONE[name], nn.Linear(5, 5), nn.Linear(5, 2))
    assert branches(module, ROWS) == ()


def test_of_branches_within_branches_the_inner_ones_are_found() -> None:
    def code(x: Tensor, a: nn.Module, b: nn.Module, c: nn.Module) -> Tensor:
        return c(x + b(x + a(x)))

    found = branches(Code(code, nn.Linear(5, 5), nn.Linear(5, 5), nn.Linear(5, 2)), ROWS)
    assert [branch.layers for branch in found] == [("layers.0",)]


def test_blocks_of_a_transformer() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True)
    module = nn.Sequential(nn.Linear(5, 8), layer, nn.Linear(8, 2))
    attention, perceptron = branches(module, ROWS[:, None].expand(3, 2, 5))
    assert attention.layers == ("1.norm1", "1.self_attn")
    assert perceptron.layers == ("1.norm2", "1.linear1", "1.linear2")
    assert all("1.self_attn." in name or "1.norm1." in name for name in attention.parameters)
