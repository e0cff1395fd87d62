"""What is said to be a constant is one, whatever the features are."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from sksparse.module_graph import ModuleGraph
from sksparse.module_graph._constants import Constants


class Function(nn.Module):
    """A function between two layers, of which the first has a unit that is constant."""

    def __init__(self, function: Callable[[Tensor], Tensor], width: int = 3) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 3), nn.Linear(width, 2)
        self.function = function
        with torch.no_grad():
            self.first.weight[1] = 0.0
            self.first.bias[1] = 0.75

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.function(self.first(x)))


def constants(function: Callable[[Tensor], Tensor], width: int = 3) -> Tensor:
    """What the last layer reads, where a unit emits 0.75 before the function."""
    module = Function(function, width).double()
    graph = ModuleGraph(module, torch.randn(1, 4, dtype=torch.float64))
    return Constants(graph).reads[-1].constants.flatten()


@pytest.mark.parametrize(
    "function",
    [
        *(torch.relu, torch.tanh, torch.sigmoid, functional.gelu, functional.hardswish),
        *(functional.softplus, functional.hardtanh, torch.abs, torch.exp, torch.square),
        *(lambda x: x.clamp(0.1, 0.5), lambda x: 2 * x - 1, lambda x: x / 3, torch.floor),
        *(lambda x: functional.leaky_relu(x, 0.1, inplace=True), lambda x: x + x, torch.clone),
    ],
)
def test_functions_of_units(function: Callable[[Tensor], Tensor]) -> None:
    found = constants(function)
    expected = function(torch.tensor([0.75], dtype=torch.float64))
    assert found.isnan().tolist() == [True, False, True]
    assert torch.equal(found[1:2], expected)


@pytest.mark.parametrize("function", [torch.sign, torch.nan_to_num, torch.sgn])
def test_functions_that_make_numbers_of_no_number(function: Callable[[Tensor], Tensor]) -> None:
    assert constants(function).isnan().tolist() == [True, False, True]


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x + torch.randn_like(x),
        lambda x: torch.softmax(x, -1),
        lambda x: x * x.mean(-1, keepdim=True),
        lambda x: x / x.norm(dim=-1, keepdim=True),
    ],
)
def test_what_depends_on_more_than_the_unit_is_no_constant(
    function: Callable[[Tensor], Tensor],
) -> None:
    assert constants(function).isnan().all()


def test_units_side_by_side_have_constants_of_their_own() -> None:
    found = constants(lambda x: torch.cat([x, torch.relu(-x), x * x], -1), 9)
    expected = [0.75, 0.0, 0.75 * 0.75]
    assert found.isnan().tolist() == [True, False, True] * 3
    assert found[1::3].tolist() == expected


def maps(*layers: nn.Module) -> Tensor:
    """What the last layer reads, where the first channel is 0.5."""
    first = nn.Conv2d(1, 2, 1)
    module = nn.Sequential(first, *layers).double()
    with torch.no_grad():
        first.weight[0] = 0.0
        first.bias[0] = 0.5
    graph = ModuleGraph(module, torch.randn(2, 1, 6, 6, dtype=torch.float64))
    return Constants(graph).reads[-1].constants[0]


def test_pooling_and_positions() -> None:
    last = nn.Conv2d(2, 1, 1)
    for layer in (nn.MaxPool2d(3, 2, 1), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(4), nn.Dropout2d()):
        assert maps(layer, last)[0] == pytest.approx(0.5, rel=1e-15)
    assert maps(nn.AvgPool2d(3, 1, 1), last).isnan().all()
    found = maps(nn.Flatten(), nn.Linear(72, 1))
    assert (found[:36] == 0.5).all()
    assert found[36:].isnan().all()


def test_zeros_around_a_map_make_its_border_another_number() -> None:
    last = nn.Conv2d(2, 1, 1)
    padded = nn.Conv2d(2, 2, 3, padding=1)
    with torch.no_grad():
        padded.weight[:, 1] = 0.0
    assert maps(padded, last).isnan().all()
    plain = nn.Conv2d(2, 2, 3)
    with torch.no_grad():
        plain.weight[:, 1] = 0.0
    expected = plain.bias + 0.5 * plain.weight[:, 0].sum((1, 2))
    torch.testing.assert_close(maps(plain, last), expected.double(), rtol=1e-6, atol=1e-7)
    # one position has no border, but the next image may be larger
    assert maps(nn.AdaptiveAvgPool2d(1), padded, last).isnan().all()


def test_a_scale_of_zero_leaves_the_shift() -> None:
    norm = nn.BatchNorm2d(2)
    with torch.no_grad():
        norm.weight[1] = 0.0
        norm.bias[:] = torch.tensor([0.1, -0.3])
        norm.running_mean[:] = 2.0
        norm.running_var[:] = 4.0
    found = maps(norm, nn.Conv2d(2, 1, 1))
    expected = [(0.5 - 2) / (4 + norm.eps) ** 0.5 + 0.1, -0.3]
    torch.testing.assert_close(found, torch.tensor(expected).double(), rtol=1e-6, atol=1e-7)
    # statistics of the batch are none of a constant
    batch = nn.BatchNorm2d(2, track_running_stats=False)
    assert maps(batch, nn.Conv2d(2, 1, 1)).isnan().all()
