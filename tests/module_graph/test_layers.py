"""Layers of torch: how many units they have, and that these can be removed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from sksparse.module_graph import ModuleGraph
from tests.helpers.graph_checks import Code, check, randomised

ROWS = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))
STEPS = torch.randn(3, 7, 5, generator=torch.Generator().manual_seed(1))
MAPS = torch.randn(3, 4, 6, 6, generator=torch.Generator().manual_seed(2))
CUBES = torch.randn(2, 2, 4, 4, 4, generator=torch.Generator().manual_seed(3))
TOKENS = torch.tensor([[0, 3, 2, 8], [1, 1, 7, 4]])

LAYERS = [
    ("linear on the last of several axes", (nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 2)), STEPS, 6),
    ("convolution in one dimension", (nn.Conv1d(7, 6, 3, 2), nn.Conv1d(6, 2, 1)), STEPS, 6),
    ("strided and dilated", (nn.Conv2d(4, 6, 2, 2, 1, 2), nn.Conv2d(6, 2, 1)), MAPS, 6),
    (
        "convolution in three dimensions",
        (nn.Conv3d(2, 6, 3), nn.BatchNorm3d(6), nn.Conv3d(6, 2, 1)),
        CUBES,
        6,
    ),
    (
        "transposed",
        (nn.ConvTranspose2d(4, 6, 3, 2), nn.ReLU(), nn.ConvTranspose2d(6, 2, 3)),
        MAPS,
        6,
    ),
    (
        "transposed in groups",
        (nn.Conv2d(4, 6, 1), nn.ConvTranspose2d(6, 12, 3, groups=3), nn.ELU(), nn.Conv2d(12, 2, 1)),
        MAPS,
        3,
    ),
    (
        "groups are units",
        (nn.Conv2d(4, 8, 1), nn.Conv2d(8, 16, 3, groups=4), nn.ReLU(), nn.Conv2d(16, 2, 1)),
        MAPS,
        4,
    ),
    (
        "depthwise with a multiplier",
        (nn.Conv2d(4, 6, 1), nn.Conv2d(6, 18, 3, groups=6), nn.ReLU(), nn.Conv2d(18, 2, 1)),
        MAPS,
        6,
    ),
    (
        "depthwise on features",
        (nn.Conv2d(4, 4, 3, groups=4), nn.Conv2d(4, 6, 1), nn.Conv2d(6, 2, 1)),
        MAPS,
        6,
    ),
    (
        "normalised rows",
        (nn.Linear(5, 6), nn.BatchNorm1d(6), nn.PReLU(6), nn.Linear(6, 2)),
        ROWS,
        6,
    ),
    ("normalised sequences", (nn.Conv1d(7, 6, 1), nn.BatchNorm1d(6), nn.Conv1d(6, 2, 1)), STEPS, 6),
    ("group norm", (nn.Conv2d(4, 6, 1), nn.GroupNorm(3, 6), nn.Conv2d(6, 2, 1)), MAPS, 3),
    (
        "instance norm",
        (
            nn.Conv2d(4, 6, 1),
            nn.InstanceNorm2d(6, affine=True, track_running_stats=True),
            nn.Conv2d(6, 2, 1),
        ),
        MAPS,
        6,
    ),
    ("layer norm", (nn.Linear(5, 6), nn.LayerNorm(6), nn.Linear(6, 4), nn.Linear(4, 2)), ROWS, 4),
    ("softmax", (nn.Linear(5, 6), nn.Softmax(1), nn.Linear(6, 4), nn.Linear(4, 2)), ROWS, 4),
    ("flatten", (nn.Conv2d(4, 6, 3), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(24, 2)), MAPS, 6),
    ("unflatten", (nn.Linear(5, 24), nn.Unflatten(1, (-1, 2, 2)), nn.Conv2d(6, 2, 1)), ROWS, 6),
    (
        "pads and scales",
        (nn.Conv2d(4, 6, 1), nn.Upsample(scale_factor=2), nn.ZeroPad2d(1), nn.Conv2d(6, 2, 1)),
        MAPS,
        6,
    ),
    ("bag of tokens", (nn.EmbeddingBag(9, 6), nn.Linear(6, 2)), TOKENS, 6),
    ("pixels of channels", (nn.Conv2d(4, 8, 1), nn.PixelShuffle(2), nn.Conv2d(2, 2, 1)), MAPS, 0),
]


@pytest.mark.parametrize(
    "layers, example, n_units", [case[1:] for case in LAYERS], ids=[c[0] for c in LAYERS]
)
def test_units_of_layers(layers: tuple[nn.Module, ...], example: Tensor, n_units: int) -> None:
    check(nn.Sequential(*layers), example, n_units)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("n_layers", [1, 2])
def test_each_layer_and_direction_has_its_own_states(
    kind: type[nn.RNNBase], bidirectional: bool, n_layers: int
) -> None:
    layer = kind(5, 6, n_layers, bidirectional=bidirectional, batch_first=True)
    n_directions = 1 + bidirectional

    def by_all_last_states(x: Tensor, rnn: nn.Module, end: nn.Module) -> Tensor:
        states = rnn(x)[1]
        h = states[0] if isinstance(states, tuple) else states
        return end(h.transpose(0, 1).flatten(1))

    end = nn.Linear(6 * n_layers * n_directions, 2)
    graph = check(Code(by_all_last_states, layer, end), STEPS, 6 * n_layers * n_directions)
    names = [(unit_layer.name, len(unit_layer.units)) for unit_layer in graph.layers]
    assert names == [("layers.0", 6)] * (n_layers * n_directions)
    # each state has a row in each gate, and a column from step to step
    gates = {nn.LSTM: 4, nn.GRU: 3, nn.RNN: 1}[kind]
    unit = graph.layers[0].units[0]
    found = {
        (slot.tensor, slot.axis): int((slot.units == unit).sum())
        for slot in graph.slots
        if unit in slot.units and slot.tensor.endswith("l0")
    }
    own = {f"layers.0.{name}_l0" for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
    assert found == {**{(name, 0): gates for name in own}, ("layers.0.weight_hh_l0", 1): 1}


@pytest.mark.parametrize("time_first", [False, True])
def test_outputs_of_recurrent_layers(time_first: bool) -> None:
    def last(x: Tensor, rnn: nn.Module, end: nn.Module) -> Tensor:
        out, _ = rnn(x.transpose(0, 1) if time_first else x)
        return end(out[-1] if time_first else out[:, -1])

    rnn = nn.LSTM(5, 6, 2, bidirectional=True, batch_first=not time_first)
    check(Code(last, rnn, nn.Linear(12, 2)), STEPS, 24)


def test_an_encoder_hands_its_states_to_a_decoder() -> None:
    def translate(x: Tensor, encoder: nn.Module, decoder: nn.Module, end: nn.Module) -> Tensor:
        return end(decoder(x, encoder(x)[1])[0])

    layers = nn.LSTM(5, 6, batch_first=True), nn.LSTM(5, 6, batch_first=True), nn.Linear(6, 2)
    check(Code(translate, *layers), STEPS, 6)


@pytest.mark.parametrize("kind", [nn.LSTMCell, nn.GRUCell, nn.RNNCell])
def test_cells_in_a_loop(kind: type[nn.RNNCellBase]) -> None:
    def loop(x: Tensor, cell: nn.Module, end: nn.Module) -> Tensor:
        state, outputs = None, []
        for t in range(x.size(1)):
            state = cell(x[:, t], state)
            outputs.append(state[0] if isinstance(state, tuple) else state)
        return end(torch.stack(outputs, 1))

    check(Code(loop, kind(5, 6), nn.Linear(6, 2)), STEPS, 6)


def test_tied_embeddings() -> None:
    """The table of tokens is also the matrix of the last layer: its columns are the units."""
    table, end = nn.Embedding(9, 6), nn.Linear(6, 9, bias=False)
    end.weight = table.weight
    code = Code(lambda x, e, rnn, d: d(rnn(e(x))[0]), table, nn.GRU(6, 6, batch_first=True), end)
    graph = check(code, TOKENS, 6)
    assert {slot.role for slot in graph.slots if slot.tensor == "layers.0.weight"} == {
        "writes",
        "reads",
    }


def test_a_layer_called_twice_has_one_set_of_units() -> None:
    layers = nn.Linear(5, 6), nn.Linear(6, 6), nn.Linear(6, 2)
    graph = check(Code(lambda x, a, b, c: c(b(torch.relu(b(a(x))))), *layers), ROWS, 6)
    assert graph.multiply_adds["layers.1.weight"] == 2


@pytest.mark.parametrize("norm_first", [False, True])
def test_attention_keeps_the_width_of_its_stream(norm_first: bool) -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=norm_first)
    stack = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    module = nn.Sequential(nn.Linear(5, 8), stack, nn.Linear(8, 2))
    graph = check(module, STEPS, 32)
    assert [layer.name for layer in graph.layers] == ["1.layers.0.linear1", "1.layers.1.linear1"]
    reasons = set(graph.kept_whole.values())
    assert any("self_attn" in why or "norm1" in why for why in reasons)


def test_why_units_are_kept() -> None:
    module = nn.Sequential(nn.Linear(5, 6), nn.LayerNorm(6), nn.Linear(6, 2))
    graph = ModuleGraph(module, ROWS)
    assert set(graph.kept_whole.values()) == {
        "they are normalised over together by '1'",
        "they are outputs of the module",
    }


def test_subclasses_are_followed_in_what_they_compute() -> None:
    class Plain(nn.Linear):
        pass

    class Same(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            return functional.conv2d(functional.pad(x, (1, 1, 1, 1)), self.weight, self.bias)

    class Checked(nn.BatchNorm2d):
        pass

    check(nn.Sequential(Plain(5, 6), nn.ReLU(), Plain(6, 2)), ROWS, 6)
    check(nn.Sequential(Same(4, 6, 3), Checked(6), nn.Conv2d(6, 2, 1)), MAPS, 6)


def test_a_single_layer_has_no_hidden_units() -> None:
    for module, example in ((nn.Linear(5, 2), ROWS), (nn.LSTM(5, 6, batch_first=True), STEPS)):
        graph = ModuleGraph(randomised(module), example.double())
        assert not graph.obstacles
        assert not graph.removable.any()
        assert len(graph.input_units) == 5


def test_units_are_numbered_by_their_first_appearance() -> None:
    graph = ModuleGraph(nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 2)), ROWS)
    np.testing.assert_array_equal(graph.input_units, np.arange(5))
    np.testing.assert_array_equal(graph.layers[0].units, np.arange(5, 11))
    assert graph.n_units == 13
