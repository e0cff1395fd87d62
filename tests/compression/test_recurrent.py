"""Recurrent layers: states that are not read, or stay zero, go; layers may get several widths."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_sequence

from sksparse.compression import RecurrentStack
from tests.helpers.compacted import checked

LAYERS = (nn.LSTM, nn.GRU, nn.RNN)


class Reader(nn.Module):
    """A recurrent layer behind a linear one, read at its last step or by its states."""

    def __init__(self, layer: nn.Module, width: int, reads_states: bool) -> None:
        super().__init__()
        self.first = nn.Linear(5, 4)
        self.layer = layer
        self.last = nn.Linear(width * (1 + layer.bidirectional), 2)
        self.is_lstm = isinstance(layer, nn.LSTM)
        self.reads_states = reads_states

    def forward(self, x: Tensor) -> Tensor:
        out, state = self.layer(self.first(x))
        if not self.reads_states:
            return self.last(out[:, -1])
        h = state[0] if self.is_lstm else state
        return self.last(torch.cat([h[-2], h[-1]], 1) if self.layer.bidirectional else h[-1])


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def sequences() -> Tensor:
    return torch.randn(3, 4, 5, dtype=torch.float64)


def directions(layer: nn.RNNBase) -> list[str]:
    suffixes = ("", "_reverse") if layer.bidirectional else ("",)
    return [f"l{k}{suffix}" for k in range(layer.num_layers) for suffix in suffixes]


def silence(layer: nn.RNNBase, ends: str, units: list[int]) -> None:
    """The rows and biases of all gates of some states are zero."""
    with torch.no_grad():
        for name, tensor in layer.named_parameters():
            if name.endswith(f"_{ends}"):
                tensor.view(-1, layer.hidden_size, *tensor.shape[1:])[:, units] = 0.0


@pytest.mark.parametrize(
    "kind, bidirectional, bias, reads_states",
    list(itertools.product(LAYERS, *[(False, True)] * 3)),
)
@pytest.mark.parametrize("n_layers", [1, 2])
def test_silent_states_go_aligned_over_gates(
    kind: type[nn.RNNBase], n_layers: int, bidirectional: bool, bias: bool, reads_states: bool
) -> None:
    layer = kind(4, 6, n_layers, bidirectional=bidirectional, batch_first=True, bias=bias)
    module = Reader(layer, 6, reads_states).double().eval()
    for ends in directions(layer):
        silence(layer, ends, [0, 2] if "0" in ends else [1])
    with torch.no_grad():
        module.first.weight[1:3] = 0.0
    result = checked(module, sequences())
    kept = [n for name, n in result.widths.items() if name.startswith("layer")]
    assert kept == [(4, 6)] * (1 + bidirectional) + [(5, 6)] * (1 + bidirectional) * (n_layers - 1)
    # without biases one unit brings the constants
    assert result.widths["first"] == (2 if bias else 3, 4)
    small = result.module.layer
    assert type(small) is (kind if n_layers == 1 else RecurrentStack)
    if n_layers == 1:
        assert (small.hidden_size, small.input_size) == (4, 2 if bias else 3)


def test_states_that_are_not_read_go_though_they_read_each_other() -> None:
    module = Reader(nn.LSTM(4, 6, batch_first=True), 6, False).double().eval()
    with torch.no_grad():
        module.last.weight[:, 3:] = 0.0
        module.layer.weight_hh_l0[:, 3:].view(4, 6, 3)[:, :3] = 0.0
    assert checked(module, sequences()).widths["layer"] == (3, 6)


@pytest.mark.parametrize("kind", LAYERS)
def test_a_part_of_a_state_is_no_state(kind: type[nn.RNNBase]) -> None:
    module = Reader(kind(4, 6, batch_first=True), 6, False).double().eval()
    layer = module.layer
    with torch.no_grad():
        # an output gate, an update gate: the state still moves
        layer.weight_ih_l0[:1] = 0.0
        layer.weight_hh_l0[:1] = 0.0
        # all rows but not the biases: the state moves from step to step
        silence(layer, "l0", [1])
        layer.bias_ih_l0.view(-1, 6)[:, 1] = 0.5
    assert checked(module, sequences()).widths["layer"] == (6, 6)


def test_only_the_input_of_the_cell_must_be_zero() -> None:
    module = Reader(nn.LSTM(4, 6, batch_first=True), 6, False).double().eval()
    with torch.no_grad():
        for name, tensor in module.layer.named_parameters():
            assert name
            tensor[12 + 3] = 0.0
    assert checked(module, sequences()).widths["layer"] == (5, 6)


def test_states_that_start_elsewhere_are_no_constants() -> None:
    class Started(Reader):
        def forward(self, x: Tensor) -> Tensor:
            start = torch.tanh(self.first(x[:, 0]))[None]
            return self.last(self.layer(self.first(x), start)[0][:, -1])

    globals()["Started"] = Started
    Started.__qualname__ = "Started"
    module = Started(nn.GRU(4, 4, batch_first=True), 4, False).double().eval()
    silence(module.layer, "l0", [1])
    assert checked(module, sequences()).widths == {"first": (4, 4)}


def test_layers_whose_states_are_used_as_one_tensor_keep_one_width() -> None:
    class Stacked(Reader):
        def forward(self, x: Tensor) -> Tensor:
            _, h = self.layer(self.first(x))
            return self.last(h.permute(1, 0, 2)[:, -1])

    globals()["Stacked"] = Stacked
    Stacked.__qualname__ = "Stacked"
    module = Stacked(nn.GRU(4, 6, 2, batch_first=True), 6, True).double().eval()
    silence(module.layer, "l0", [0, 2])
    silence(module.layer, "l1", [1])
    result = checked(module, sequences())
    assert type(result.module.layer) is nn.GRU
    assert result.module.layer.hidden_size == 5
    assert result.widths["layer[0]"] == result.widths["layer[1]"] == (5, 6)


@pytest.mark.parametrize("kind", [nn.LSTMCell, nn.GRUCell, nn.RNNCell])
def test_cells_in_a_loop(kind: type[nn.RNNCellBase]) -> None:
    module = Loop(kind(4, 6)).double().eval()
    with torch.no_grad():
        for tensor in module.cell.parameters():
            tensor.view(-1, 6, *tensor.shape[1:])[:, [0, 4]] = 0.0
        module.first.weight[2] = 0.0
    result = checked(module, sequences())
    assert result.widths == {"first": (3, 4), "cell": (4, 6)}
    assert (result.module.cell.input_size, result.module.cell.hidden_size) == (3, 4)


class Loop(nn.Module):
    """A recurrent cell in a loop of the code."""

    def __init__(self, cell: nn.RNNCellBase) -> None:
        super().__init__()
        self.first, self.cell, self.last = nn.Linear(5, 4), cell, nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        state = None
        for t in range(x.size(1)):
            state = self.cell(self.first(x[:, t]), state)
        return self.last(state[0] if isinstance(self.cell, nn.LSTMCell) else state)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
def test_a_stack_computes_what_the_layer_of_torch_does(
    kind: type[nn.RNNBase], bidirectional: bool, batch_first: bool
) -> None:
    layer = kind(5, 6, 2, bidirectional=bidirectional, batch_first=batch_first, dropout=0.3)
    layer = layer.double().eval()
    stack = RecurrentStack.of(layer)
    X = sequences()
    out, state = layer(X)
    stacked_out, stacked_state = stack(X)
    torch.testing.assert_close(stacked_out, out, rtol=1e-13, atol=1e-13)
    pairs = zip(state, stacked_state, strict=True) if kind is nn.LSTM else [(state, stacked_state)]
    for ours, theirs in pairs:
        torch.testing.assert_close(torch.stack(tuple(theirs)), ours, rtol=1e-13, atol=1e-13)
    again, _ = stack(X, stacked_state)
    torch.testing.assert_close(again, layer(X, state)[0], rtol=1e-13, atol=1e-13)
    single = X[0] if batch_first else X[:, 0]
    torch.testing.assert_close(stack(single)[0], layer(single)[0], rtol=1e-13, atol=1e-13)


def test_a_stack_refuses_what_it_cannot_do() -> None:
    with pytest.raises(ValueError, match=r"kind=<class .*Linear'> must be torch.nn.LSTM"):
        RecurrentStack(nn.Linear, 4, [3])
    with pytest.raises(ValueError, match=r"hidden_sizes=\[3, \(2, 2\)\] must name one width"):
        RecurrentStack(nn.LSTM, 4, [3, (2, 2)])
    packed = pack_sequence([torch.zeros(2, 4)])
    with pytest.raises(ValueError, match=r"RecurrentStack takes no packed sequences"):
        RecurrentStack(nn.LSTM, 4, [3])(packed)
