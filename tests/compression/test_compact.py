"""Compacted modules compute what the masked ones do, layer by layer."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from sksparse.compression import compact
from tests.helpers.compacted import checked, off, others_like


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(9, 6)
        self.decoder = nn.Linear(6, 9)
        self.decoder.weight = self.embedding.weight

    def forward(self, tokens: Tensor) -> Tensor:
        return self.decoder(torch.tanh(self.embedding(tokens)))


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.shared, self.last = nn.Linear(3, 5), nn.Linear(5, 5), nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.sigmoid(self.shared(torch.sigmoid(self.shared(self.first(x))))))


class Inner(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Sequential(nn.Conv2d(4, 5, 3, padding=1), nn.Sequential(nn.ReLU()))
        self.right = nn.Conv2d(4, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.left(x), functional.silu(self.right(x)), x], dim=1)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def images(n_channels: int = 2, size: int = 9) -> Tensor:
    return torch.randn(3, n_channels, size, size, dtype=torch.float64)


def settled(module: nn.Module) -> nn.Module:
    """In double precision and evaluation mode, with statistics that differ from unit to unit."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(part.running_mean)
            nn.init.uniform_(part.running_var, 0.5, 2.0)
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias)
    return module.double().eval()


def silence(layer: nn.Module, units: slice | list[int], bias: float | None = None) -> None:
    """No weight makes these units; their bias stays, or is another one."""
    with torch.no_grad():
        layer.weight[units] = 0.0
        if bias is not None:
            layer.bias[units] = bias


def unread(layer: nn.Module, columns: slice | list[int]) -> None:
    with torch.no_grad():
        layer.weight[:, columns] = 0.0


def test_constants_and_unread_units_of_a_perceptron_go() -> None:
    module = settled(
        nn.Sequential(
            nn.Linear(10, 8),
            nn.Tanh(),
            nn.Linear(8, 6),
            nn.BatchNorm1d(6),
            nn.ReLU(),
            nn.Linear(6, 1),
        )
    )
    unread(module[0], slice(3, 6))
    silence(module[0], [1])
    unread(module[2], [4])
    silence(module[3], [2], bias=0.7)
    result = checked(module, torch.randn(5, 10, dtype=torch.float64))
    assert result.widths == {"0": (6, 8), "2": (5, 6)}
    assert result.kept_inputs.tolist() == [0, 1, 2, 6, 7, 8, 9]
    assert [type(layer) for layer in result.module] == [type(layer) for layer in module]
    assert result.parameters[0] == 7 * 6 + 6 + 6 * 5 + 5 + 2 * 5 + 5 + 1
    assert result.multiply_adds == (7 * 6 + 6 * 5 + 5, 10 * 8 + 8 * 6 + 6)


def test_a_constant_is_folded_by_hand() -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.Sigmoid(), nn.Linear(2, 1)).double().eval()
    silence(module[0], [1], bias=1.5)
    weight, bias = module[2].weight[0, 1].item(), module[2].bias.item()
    small = compact(module, torch.zeros(1, 2, dtype=torch.float64)).module
    assert small[2].bias.item() == pytest.approx(bias + weight / (1 + np.exp(-1.5)), rel=1e-15)
    assert torch.equal(small[0].weight, module[0].weight[:1])


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Sigmoid, nn.GELU, nn.Softplus])
@pytest.mark.parametrize("padding", [0, 1, "same"])
def test_convolutions_with_and_without_padding(
    activation: Callable[[], nn.Module], padding: int | str
) -> None:
    module = nn.Sequential(
        *(nn.Conv2d(2, 6, 3, padding=padding), activation()),
        *(nn.Conv2d(6, 5, 3, padding=padding, bias=False), nn.BatchNorm2d(5), activation()),
        *(nn.MaxPool2d(2), nn.Flatten(), nn.LazyLinear(7), activation()),
        nn.Linear(7, 3, bias=False),
    )
    module(images().float())
    settled(module)
    silence(module[0], slice(1, 4), bias=0.5)
    with torch.no_grad():
        module[0].bias[3] = 0.3
    silence(module[3], [3], bias=0.7)
    silence(module[7], slice(0, 3))
    unread(module[9], [5])
    result = checked(module, images())
    # behind zeros around the map one unit stands for all constants
    merged = 0 if padding == 0 else 1
    assert result.widths == {"0": (3 + merged, 6), "2": (4, 5), "7": (3, 7)}
    # the mean that is subtracted behind the convolution takes the constants, so no bias comes
    assert result.module[2].bias is None


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_padding_that_repeats_the_map_is_no_padding_for_constants(mode: str) -> None:
    module = settled(
        nn.Sequential(nn.Conv2d(2, 4, 3), nn.Conv2d(4, 3, 3, padding=1, padding_mode=mode))
    )
    silence(module[0], [0, 2], bias=0.4)
    assert checked(module, images()).widths == {"0": (2, 4)}


def test_the_border_of_a_mean_over_zeros_is_no_constant() -> None:
    module = settled(nn.Sequential(nn.Conv2d(2, 4, 1), nn.AvgPool2d(3, 1, 1), nn.Conv2d(4, 3, 1)))
    silence(module[0], [0, 1], bias=0.4)
    assert checked(module, images()).widths == {"0": (4, 4)}
    module[1].count_include_pad = False
    assert checked(module, images()).widths == {"0": (2, 4)}


def test_a_bias_is_added_where_there_is_none() -> None:
    module = settled(nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2, bias=False)))
    silence(module[0], [0, 1], bias=0.6)
    module[2].requires_grad_(False)
    result = checked(module, torch.randn(2, 4, dtype=torch.float64))
    assert result.module[2].bias is not None
    assert not result.module[2].bias.requires_grad
    assert result.module[0].weight.requires_grad


def test_layers_are_never_emptied() -> None:
    module = settled(nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 6), nn.Linear(6, 2)))
    silence(module[2], slice(None), bias=0.3)
    result = checked(module, torch.randn(2, 4, dtype=torch.float64))
    assert result.widths == {"0": (1, 5), "2": (1, 6)}
    assert len(result.kept_inputs) == 1


def test_inputs_of_images_are_dropped_when_asked() -> None:
    module = settled(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 49, 2)))
    unread(module[0], [1])
    assert checked(module, images(3)).kept_inputs.tolist() == [0, 1, 2]
    assert checked(module, images(3), inputs=True).kept_inputs.tolist() == [0, 2]
    flat = settled(nn.Sequential(nn.Flatten(), nn.Linear(3 * 81, 2)))
    unread(flat[1], [1])
    with pytest.raises(ValueError, match=r"inputs=True drops features on one axis"):
        compact(flat, images(3), inputs=True)


def test_columns_of_a_table_stay_where_inputs_must() -> None:
    module = settled(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)))
    unread(module[0], [0])
    X = torch.randn(2, 4, dtype=torch.float64)
    assert len(checked(module, X, inputs=False).kept_inputs) == 4
    assert len(checked(module, X).kept_inputs) == 3


def test_depthwise_and_grouped_convolutions() -> None:
    module = settled(
        nn.Sequential(
            *(nn.Conv2d(2, 8, 1), nn.BatchNorm2d(8), nn.ReLU()),
            *(nn.Conv2d(8, 16, 3, padding=1, groups=8, bias=False), nn.BatchNorm2d(16), nn.ReLU()),
            *(nn.Conv2d(16, 8, 1), nn.Conv2d(8, 12, 3, groups=4), nn.ReLU(), nn.Conv2d(12, 2, 1)),
        )
    )
    silence(module[3], slice(0, 6))
    unread(module[6], slice(6, 8))
    unread(module[9], slice(3, 6))
    result = checked(module, images())
    assert (result.module[3].groups, result.module[3].out_channels) == (4, 8)
    assert (result.module[7].groups, result.module[7].in_channels) == (3, 6)
    # one group left is no group
    unread(module[9], slice(3, 12))
    module[9].weight.data[:, 2] = 0.0
    assert checked(module, images()).module[7].weight.shape == (2, 2, 3, 3)


def test_normalisations() -> None:
    module = settled(
        nn.Sequential(
            *(nn.BatchNorm2d(2), nn.Conv2d(2, 8, 1), nn.GroupNorm(4, 8), nn.ReLU()),
            *(nn.Conv2d(8, 6, 1), nn.InstanceNorm2d(6, affine=True), nn.PReLU(6)),
            *(nn.Flatten(), nn.Linear(6 * 81, 5), nn.LayerNorm(5), nn.Linear(5, 2)),
        )
    )
    silence(module[2], slice(2, 4), bias=-0.5)
    silence(module[5], [0, 5], bias=0.8)
    unread(module[8], slice(81, 162))
    # a norm over all of them keeps the units of the layer
    silence(module[8], [0, 1])
    result = checked(module, images())
    # channels of a group are one unit
    assert result.widths == {"1": (3, 4), "4": (3, 6)}
    assert result.module[2].num_groups == 3
    assert (result.module[5].num_features, result.module[6].num_parameters) == (3, 3)


def test_transposed_convolutions_take_one_constant() -> None:
    module = settled(
        nn.Sequential(
            nn.Conv2d(2, 6, 1), nn.Sigmoid(), nn.ConvTranspose2d(6, 5, 3, 2), nn.Conv2d(5, 2, 1)
        )
    )
    silence(module[0], [0, 1, 2])
    unread(module[3], [4])
    result = checked(module, images())
    assert result.widths == {"0": (4, 6), "2": (4, 5)}
    assert (result.module[2].in_channels, result.module[2].out_channels) == (4, 4)


def test_weights_that_are_tied_stay_tied() -> None:
    module = settled(Tied())
    with torch.no_grad():
        module.embedding.weight[:, 1:3] = 0.0
        module.embedding.weight[:, 4] = 0.5
    result = checked(module, torch.randint(0, 9, (3, 4)))
    assert result.widths == {"embedding": (3, 6)}
    assert result.module.decoder.weight is result.module.embedding.weight
    assert result.module.embedding.embedding_dim == result.module.decoder.in_features == 3
    assert result.kept_inputs.tolist() == [0, 1, 2, 3]


def test_a_layer_that_is_called_twice_takes_constants_that_are_equal() -> None:
    module = settled(Twice())
    silence(module.first, [0], bias=0.0)
    silence(module.shared, [0], bias=1.0)
    unread(module.shared, [1])
    unread(module.last, [1])
    result = checked(module, torch.randn(3, 3, dtype=torch.float64))
    # unit 0 emits 0 before the first call, and the sigmoid of 1 before the second one
    assert result.widths == {"first": (4, 5)}


def test_values_side_by_side_and_nested_modules() -> None:
    module = settled(
        nn.Sequential(nn.Conv2d(2, 4, 3), Inner(), nn.Conv2d(12, 6, 3, padding=1), nn.Flatten())
    )
    silence(module[0], [0, 1], bias=0.3)
    silence(module[1].left[0], [1], bias=0.2)
    silence(module[1].right, slice(None), bias=0.9)
    result = checked(module, images())
    # the constants that the last layer merges come from three layers: one unit stands for all
    assert sum(kept for kept, _ in result.widths.values()) == 2 + 4 + 1 + 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_types_modes_and_gradients_stay(dtype: torch.dtype) -> None:
    module = settled(nn.Sequential(nn.Conv2d(2, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten()))
    module = nn.Sequential(*module, nn.Dropout(), nn.Linear(6 * 49, 2)).to(dtype)
    silence(module[1], slice(0, 3), bias=0.5)
    module.train()
    module[1].eval()
    module[0].bias.requires_grad_(False)
    module[0].to(memory_format=torch.channels_last)
    X = images().to(dtype)
    small = compact(module, X).module
    assert [part.training for part in small.modules()] == [p.training for p in module.modules()]
    trainable = {name: p.requires_grad for name, p in small.named_parameters()}
    assert trainable == {name: p.requires_grad for name, p in module.named_parameters()}
    assert {p.dtype for p in small.parameters()} == {dtype}
    assert small[0].weight.is_contiguous(memory_format=torch.channels_last)
    small(X).sum().backward()
    assert all(p.grad is not None for p in small.parameters() if p.requires_grad)
    small.eval(), module.eval()
    scale = module(X).abs().max()
    assert (small(X) - module(X)).abs().max() < 100 * torch.finfo(dtype).eps * scale


def test_state_dicts_load_into_a_module_of_the_same_widths() -> None:
    def build(width: int) -> nn.Sequential:
        return settled(
            nn.Sequential(nn.Linear(4, width), nn.BatchNorm1d(width), nn.Linear(width, 2))
        )

    module = build(6)
    silence(module[1], [0, 4], bias=0.2)
    result = checked(module, torch.randn(3, 4, dtype=torch.float64))
    other = build(4)
    other.load_state_dict(result.module.state_dict())
    X = others_like(torch.randn(3, 4, dtype=torch.float64))[0]
    assert torch.equal(other(X), result.module(X))


def test_modules_that_cannot_be_followed_are_named() -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(4, 3), nn.Linear(3, 2)

        def forward(self, x: Tensor) -> Tensor:
            x = self.first(x)
            return self.last(x if x.sum() > 0 else -x)

    with pytest.raises(ValueError, match=r"compact .* Branching .*test_compact.py, line \d+, in f"):
        compact(Branching(), torch.randn(2, 4))

    class Fixed(Branching):
        def forward(self, x: Tensor) -> Tensor:
            return self.last(self.first(x).view(-1, 3))

    with pytest.raises(ValueError, match=r"'view' has the number of units in the code"):
        compact(Fixed(), torch.randn(2, 4))


def test_what_is_no_module_or_tensor_is_refused() -> None:
    with pytest.raises(ValueError, match=r"example a tensor of a few rows .* not a ndarray"):
        compact(nn.Linear(2, 1), np.zeros((1, 2)))
    with pytest.raises(ValueError, match=r"module must be a torch.nn.Module, not a str"):
        compact("module", torch.zeros(1, 2))


def test_the_table_of_a_result() -> None:
    module = settled(nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2)))
    silence(module[0], [0, 1])
    result = compact(module, torch.randn(3, 4, dtype=torch.float64))
    lines = [line.split() for line in repr(result).splitlines()]
    assert lines[1:] == [
        ["0", "3", "5"],
        ["parameters", "23", "37"],
        ["multiply-adds", "18", "30"],
        ["inputs", "4", "4"],
    ]
    assert result.flops == (36.0, 60.0)
    assert off(copy.deepcopy(module), torch.zeros(1, 4, dtype=torch.float64), result) <= 1e-12
