"""Functions, methods and operators between layers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import Parameter, functional

from sksparse.compression import compact
from sksparse.module_graph import ModuleGraph
from tests.helpers.graph_checks import Code, check, randomised

ROWS = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))
STEPS = torch.randn(3, 7, 5, generator=torch.Generator().manual_seed(1))
MAPS = torch.randn(3, 4, 6, 6, generator=torch.Generator().manual_seed(2))
TOKENS = torch.tensor([[0, 3, 2, 8], [1, 1, 7, 4]])

# code between a layer of six units and the last one, and what the last one reads
ON_ROWS: dict[str, tuple[Callable[[Tensor], Tensor], int]] = {
    "functions": (lambda h: functional.relu(torch.tanh(h).sigmoid()), 6),
    "in place": (lambda h: functional.relu_(h).add_(1).mul_(2), 6),
    "operators": (lambda h: (-h) ** 2 / 3 - 1 + abs(h), 6),
    "numbers first": (lambda h: 1 - 2**h + 1 / (h.abs() + 1), 6),
    "comparisons": (lambda h: torch.where(h > 0, h, h.exp() - 1).clamp(-1, 1), 6),
    "made like it": (lambda h: torch.maximum(h, torch.zeros_like(h)), 6),
    "a constant": (lambda h: h * torch.tensor(2.0).double() + torch.ones(1).double(), 6),
    "side by side": (lambda h: torch.cat([h, -h], 1), 12),
    "copies": (lambda h: h.repeat(1, 2).flip(1), 12),
    "by name": (lambda h: functional.relu(input=torch.mul(input=h, other=h)), 6),
    "a stack": (lambda h: torch.stack([h, h**2]).sum(0), 6),
    "made beside it": (lambda h: h + torch.zeros(h.size(0), 1) + torch.ones((*h.shape[:1], 1)), 6),
    "more axes": (lambda h: h[:, None, :, None].squeeze(3).squeeze(1), 6),
    "pairs": (lambda h: h.unflatten(1, (-1, 2)).mean(2), 3),
    "half": (lambda h: h.view(h.size(0), 2, -1).transpose(1, 2).flatten(1), 6),
}
ON_STEPS: dict[str, tuple[Callable[[Tensor], Tensor], int]] = {
    "last step": (lambda h: h[:, -1], 6),
    "largest": (lambda h: h.max(dim=1).values, 6),
    "mean": (lambda h: torch.mean(h, dim=1), 6),
    "transposed": (lambda h: h.mT.sum(-1), 6),
    "rows and steps": (lambda h: h.reshape(-1, h.size(-1)), 6),
    "split steps": (lambda h: sum(h.split(1, dim=1)).squeeze(1), 6),
    "each step": (lambda h: torch.stack([v.relu() for v in h.unbind(1)], 1).sum(1), 6),
    "shape in stars": (lambda h: h.view(*h.shape[:2], -1).amax(1), 6),
    "weights of steps": (lambda h: (torch.softmax(h.mean(2, keepdim=True), 1) * h).sum(1), 6),
    "softmax over steps": (lambda h: (h.softmax(1) * h).sum(1), 6),
}
ON_MAPS: dict[str, tuple[Callable[[Tensor], Tensor], int]] = {
    "pooled": (lambda h: functional.max_pool2d(h, 2).flatten(1), 54),
    "view": (lambda h: h.view(h.size(0), -1), 216),
    "sizes multiplied": (lambda h: h.view(-1, h.shape[1] * h.shape[2] * h.shape[3]), 216),
    "pooled to its size": (lambda h: functional.avg_pool2d(h, h.size()[2:])[:, :, 0, 0], 6),
    "unpacked": (lambda h: _by_channels(h), 6),
    "adaptive": (lambda h: torch.flatten(functional.adaptive_avg_pool2d(h, 1), 1), 6),
    "padded": (lambda h: functional.pad(h, (1, 1)).permute(0, 2, 3, 1).mean((1, 2)), 6),
    "scaled up": (lambda h: functional.interpolate(h, scale_factor=2).mean((-2, -1)), 6),
}


def _by_channels(h: Tensor) -> Tensor:
    n, c, height, width = h.shape
    return h.reshape((n, c, height * width)).mean(2)


@pytest.mark.parametrize("name", ON_ROWS)
def test_code_on_rows(name: str) -> None:
    code, width = ON_ROWS[name]
    layers = nn.Linear(5, 6), nn.Linear(width, 2)
    n_units = {"pairs": 3, "half": 3}.get(name, 6)  # whole pairs remain, halves of one length
    check(Code(lambda x, a, b: b(code(a(x))), *layers), ROWS, n_units)


@pytest.mark.parametrize("name", [name for name in ON_STEPS if name != "weights of steps"])
def test_code_on_steps(name: str) -> None:
    code, width = ON_STEPS[name]
    layers = nn.Linear(5, 6), nn.Linear(width, 2)
    check(Code(lambda x, a, b: b(code(a(x))), *layers), STEPS, 6)


@pytest.mark.parametrize("name", ON_MAPS)
def test_code_on_maps(name: str) -> None:
    code, width = ON_MAPS[name]
    layers = nn.Conv2d(4, 6, 1), nn.Linear(width, 2)
    check(Code(lambda x, a, b: b(code(a(x))), *layers), MAPS, 6)


def test_two_layers_that_meet_share_units() -> None:
    def meet(x: Tensor, a: nn.Module, b: nn.Module, c: nn.Module) -> Tensor:
        h = a(x)
        h *= b(x)
        return c(torch.lerp(h, b(x).relu(), 0.5))

    graph = check(Code(meet, nn.Linear(5, 6), nn.Linear(5, 6), nn.Linear(6, 2)), ROWS, 6)
    assert [layer.name for layer in graph.layers] == ["layers.0"]


def test_factors_of_channels_and_of_positions() -> None:
    def both(x: Tensor, a: nn.Module, b: nn.Module, c: nn.Module, d: nn.Module) -> Tensor:
        h = a(x)
        return d(h * b(h.mean((2, 3), keepdim=True)).sigmoid() * c(h).sigmoid())

    parts = (
        nn.Conv2d(4, 6, 1),
        nn.Conv2d(6, 6, 1),
        nn.Conv2d(6, 1, 3, padding=1),
        nn.Conv2d(6, 2, 1),
    )
    graph = check(Code(both, *parts), MAPS, 6)
    assert "they meet units of another axis" in graph.kept_whole.values()


def test_parameters_beside_units_are_cut_with_them() -> None:
    def scaled(x: Tensor, a: nn.Module, b: nn.Module, w: Tensor, p: Tensor, m: Tensor) -> Tensor:
        h = a(x) * w.exp() + p[:, : x.size(1)]
        return b(torch.cat([m.expand(x.size(0), -1, -1), h], 1)[:, 0] / (w.abs() + 1))

    tensors = {
        "w": Parameter(torch.ones(6)),
        "p": Parameter(torch.ones(1, 9, 6)),
        "m": torch.ones(1, 1, 6),
    }
    graph = check(Code(scaled, nn.Linear(5, 6), nn.Linear(6, 2), **tensors), STEPS, 6)
    assert {(slot.tensor, slot.axis) for slot in graph.slots if slot.role == "scales"} == {
        ("w", 0),
        ("p", 2),
        ("m", 2),
    }


def test_matrices_that_are_parameters() -> None:
    def code(x: Tensor, v: Tensor, w: Tensor, mask: Tensor, b: Tensor) -> Tensor:
        return functional.linear(torch.relu(x @ v + b), w * mask)

    tensors = {
        "v": Parameter(torch.ones(5, 6)),
        "w": Parameter(torch.ones(2, 6)),
        "mask": torch.ones(2, 6),
        "b": Parameter(torch.ones(6)),
    }
    graph = check(Code(code, **tensors), ROWS, 6)
    assert graph.multiply_adds == {"v": 1, "w": 1}


def test_an_autoencoder_with_one_matrix() -> None:
    def code(x: Tensor, a: nn.Linear) -> Tensor:
        return functional.linear(torch.relu(a(x)), a.weight.t())

    check(Code(code, nn.Linear(5, 6)), ROWS, 6)


def test_layers_as_functions() -> None:
    def code(x: Tensor, a: nn.Module, b: nn.Module, **t: Tensor) -> Tensor:
        h = functional.conv2d(x, t["k"], t["s"], padding=1)
        h = functional.batch_norm(h, t["mean"], t["var"], t["s"], t["s"])
        return b(functional.prelu(a(h), t["s"]))

    tensors = {
        "k": Parameter(torch.ones(6, 4, 3, 3)),
        "s": Parameter(torch.ones(6)),
        "mean": torch.ones(6),
        "var": torch.ones(6),
    }
    # the slopes stand beside both layers' units, which are one by them
    check(Code(code, nn.Conv2d(6, 6, 1), nn.Conv2d(6, 2, 1), **tensors), MAPS, 6)
    table = Parameter(torch.ones(9, 6))
    check(
        Code(lambda x, b, e: b(functional.embedding(x, e).mean(1)), nn.Linear(6, 2), e=table),
        TOKENS,
        6,
    )


def test_positions_of_tokens() -> None:
    def code(x: Tensor, e: nn.Module, p: nn.Module, b: nn.Module) -> Tensor:
        steps = torch.arange(0, x.size(1), device=x.device)
        return b((e(x) + p(steps)).mean(1))

    check(Code(code, nn.Embedding(9, 6), nn.Embedding(9, 6), nn.Linear(6, 2)), TOKENS, 6)


def test_attention_keeps_what_it_adds_up_over_and_cuts_values() -> None:
    def heads(x: Tensor, q: nn.Module, k: nn.Module, v: nn.Module, end: nn.Module) -> Tensor:
        n, t, _ = x.shape
        three = [layer(x).view(n, t, 2, -1).transpose(1, 2) for layer in (q, k, v)]
        return end(functional.scaled_dot_product_attention(*three).transpose(1, 2).flatten(2))

    layers = nn.Linear(5, 6), nn.Linear(5, 6), nn.Linear(5, 6), nn.Linear(6, 2)
    graph = check(Code(heads, *layers), STEPS, 3)  # the same position of both heads
    assert [layer.name for layer in graph.layers] == ["layers.2"]


def test_mixing_along_two_axes_keeps_what_is_read_across() -> None:
    def mixer(x: Tensor, *layers: nn.Module) -> Tensor:
        a, b, c, d, end = layers
        x = x + b(functional.gelu(a(x.transpose(1, 2)))).transpose(1, 2)
        return end((x + d(functional.gelu(c(x)))).mean(1))

    layers = nn.Linear(7, 8), nn.Linear(8, 7), nn.Linear(5, 9), nn.Linear(9, 5), nn.Linear(5, 2)
    check(Code(mixer, *layers), STEPS, 17)


KEPT: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "a sum over them": (lambda h: h * h.sum(1, keepdim=True), "'sum' runs over them"),
    "their softmax": (lambda h: torch.softmax(h, -1), "'softmax' runs over them"),
    "their number": (lambda h: h / math.sqrt(h.size(1)), "the code computes with their number"),
    "their number as a float": (lambda h: h / h.size(1), "the code computes with their number"),
    "a branch on their number": (
        lambda h: h if h.shape[1] > 3 else -h,
        "the code computes with their number",
    ),
    "a constant of their width": (
        lambda h: h + torch.ones(6).double(),
        "a tensor of fixed width meets them",
    ),
}


@pytest.mark.parametrize("name", KEPT)
def test_code_that_keeps_units_whole(name: str) -> None:
    code, why = KEPT[name]
    layers = nn.Linear(5, 6), nn.Linear(6, 4), nn.Linear(4, 2)
    graph = check(Code(lambda x, a, b, c: c(b(code(a(x)))), *layers), ROWS, 4)
    assert why in graph.kept_whole.values()


FEATURES: dict[str, tuple[Callable[..., Tensor], bool]] = {
    "as they are": (lambda x, a, b: b(a(x)), False),
    "scaled by buffers": (lambda x, a, b, m: b(a((x - m) / m)), False),
    "squared": (lambda x, a, b: b(a(x * x)), False),
    "beside units": (lambda x, a, b: b(a(x)) + x[:, :2], True),
    "some of them": (lambda x, a, b: b(a(torch.cat([x[:, 2:], x[:, :2]], 1))), True),
    "centred": (lambda x, a, b: b(a(x - x.mean(1, keepdim=True))), True),
}


@pytest.mark.parametrize("name", FEATURES)
def test_which_features_may_be_left_out(name: str) -> None:
    code, are_kept = FEATURES[name]
    tensors = {"m": torch.ones(5)} if "buffers" in name else {}
    graph = check(Code(code, nn.Linear(5, 6), nn.Linear(6, 2), **tensors), ROWS, 6)
    assert len(graph.input_units) == 5
    assert {int(unit) in graph.kept_whole for unit in graph.input_units} == {are_kept}


def test_steps_that_are_picked_leave_the_features_free() -> None:
    module = Code(lambda x, a, b: b(a(x[:, -1])), nn.Linear(5, 6), nn.Linear(6, 2))
    graph = check(module, STEPS, 6)
    assert len(graph.input_units) == 5
    assert not set(graph.input_units.tolist()) & set(graph.kept_whole)


def test_squeezing_keeps_two_units() -> None:
    """With one unit left its axis would go."""
    code = Code(lambda x, a, b: b(a(x).mean((2, 3), keepdim=True).squeeze()), nn.Conv2d(4, 6, 1))
    code.layers.append(nn.Linear(6, 2))
    graph = check(code, MAPS, 4)
    assert "'squeeze' would drop the axis of a single unit" in graph.kept_whole.values()


def test_images_that_come_as_rows() -> None:
    """The shape of the features may be in the code: no feature can be left out then."""
    layers = nn.Conv2d(1, 6, 2), nn.Linear(24, 2)
    rows = torch.randn(2, 9)
    graph = check(Code(lambda x, a, b: b(a(x.view(-1, 1, 3, 3)).flatten(1)), *layers), rows, 6)
    assert all(int(unit) in graph.kept_whole for unit in graph.input_units)


def test_flat_features_are_those_that_the_first_layer_reads() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(144, 6), nn.ReLU(), nn.Linear(6, 2))
    graph = check(module, MAPS, 6)
    assert len(graph.input_units) == 144
    assert not set(graph.input_units.tolist()) & set(graph.kept_whole)


def test_several_outputs_and_code_that_asks_for_shapes() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(5, 6), nn.Linear(6, 2)

        def forward(self, x: Tensor, mask: Tensor | None = None) -> Any:
            if x.dim() == 2:
                x = x[:, None]
            if mask is not None:
                x = x * mask
            assert x.shape[-1] == 5
            h = self.first(x)
            return {"y": self.second(h.relu()), "h": [h.mean(1), len(x.shape)]}

    graph = ModuleGraph(randomised(Both()), ROWS.double())
    assert not graph.obstacles
    assert not graph.removable.any()
    assert all(int(unit) in graph.kept_whole for unit in graph.input_units)


@pytest.mark.parametrize("width", [1, 2, 3])
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_last_step_of_any_number_of_units(kind: type[nn.RNNBase], width: int) -> None:
    class LastStep(nn.Module):
        def __init__(self):
            super().__init__()
            self.states = kind(5, width, batch_first=True)
            self.linear = nn.Linear(width, 4)

        def forward(self, x):
            return self.linear(self.states(x)[0][:, -1])

    assert compact(LastStep(), torch.randn(2, 7, 5)).widths == {"states": (width, width)}


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_flattened_channels_of_any_number(channels: int) -> None:
    module = nn.Sequential(nn.Conv2d(1, channels, 3), nn.Flatten(), nn.Linear(16 * channels, 2))
    assert compact(module, torch.randn(2, 1, 6, 6)).widths == {"0": (channels, channels)}


def test_positions_that_are_picked_twice_stay_refused() -> None:
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(3, 2), nn.Linear(2, 2)

        def forward(self, x):
            return self.last(self.first(x)[:, [0, -1]])

    with pytest.raises(ValueError, match="by their position"):
        compact(Twice(), torch.randn(2, 3))
