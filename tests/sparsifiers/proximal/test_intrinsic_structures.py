"""Intrinsic sparse structures: one group for each state of a recurrent layer."""

from __future__ import annotations

import pytest
import torch
from attached import NO_PROBE, attach
from torch import nn

from sksparse.compression import compact
from sksparse.sparsifiers import IntrinsicSparseStructures

pytestmark = pytest.mark.usefixtures("untraced")

N_INPUTS, N_STATES, N_OUTPUTS = 3, 6, 2
SERIES = torch.randn(4, 5, N_INPUTS, dtype=torch.float64)
PLAIN = {"is_adaptive": False, "momentum": 0.0}


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.RNNBase], n_layers: int = 1) -> None:
        super().__init__()
        self.core = kind(N_INPUTS, N_STATES, num_layers=n_layers, batch_first=True)
        self.out = nn.Linear(N_STATES, N_OUTPUTS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.out(self.core(x)[0][:, -1])
        return result


def make(kind: type[nn.RNNBase], n_layers: int = 1, **changes: object) -> tuple[nn.Module, object]:
    module = Recurrent(kind, n_layers).double()
    return module, attach(module, IntrinsicSparseStructures(), example=SERIES, **PLAIN, **changes)


@pytest.mark.parametrize("kind, n_gates", [(nn.LSTM, 4), (nn.GRU, 3)])
def test_size_of_a_group(kind: type[nn.RNNBase], n_gates: int) -> None:
    _, run = make(kind)
    expected = n_gates * (N_INPUTS + N_STATES) + n_gates * N_STATES + N_OUTPUTS
    assert run._kinds[0].groups.sizes.tolist() == [expected] * N_STATES
    _, deep = make(kind, 2)
    # the second layer reads the first: as many rows as it has in all gates
    first = n_gates * (N_INPUTS + N_STATES) + n_gates * N_STATES + n_gates * N_STATES
    second = n_gates * 2 * N_STATES + n_gates * N_STATES + N_OUTPUTS
    sizes = deep._kinds[0].groups.sizes.tolist()
    assert sizes == [first] * N_STATES + [second] * N_STATES


def test_weights_of_a_state_to_itself_count_twice() -> None:
    module, run = make(nn.LSTM)
    w_in, w_rec = module.core.weight_ih_l0, module.core.weight_hh_l0
    total = 0.0
    for k in range(N_STATES):
        rows = [gate * N_STATES + k for gate in range(4)]
        squares = w_in[rows].square().sum() + w_rec[rows].square().sum()
        squares += w_rec[:, k].square().sum() + module.out.weight[:, k].square().sum()
        total += float(squares.sqrt())
    assert run.penalty_value() == pytest.approx(total)


def test_the_step_is_the_gradient_of_the_penalty_in_the_first_order() -> None:
    _, run = make(nn.LSTM, 2)
    weights = {n: w.detach().clone().requires_grad_() for n, w in run.tensors.items()}
    with torch.enable_grad():
        value = torch.zeros((), dtype=torch.float64)
        squares = run.units.sums(torch.cat([w.square().reshape(-1) for w in weights.values()]))
        value = squares.sqrt().sum()
        value.backward()
    before = run.weights.clone()
    run.shrink(1.0, 1e-6)
    expected = torch.cat([w.grad.reshape(-1) for w in weights.values()])
    torch.testing.assert_close((before - run.weights) / 1e-6, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
@pytest.mark.parametrize("n_layers", [1, 2])
def test_compacted_layers_return_what_masked_ones_do(kind: type[nn.RNNBase], n_layers: int) -> None:
    module, run = make(kind, n_layers, target_units=0.5)
    run.begin_phase(run.phases[-1], NO_PROBE)
    run.finalize()
    module.eval()
    masked = module(SERIES)
    small = compact(module, SERIES).module
    assert small.core.hidden_size < N_STATES
    torch.testing.assert_close(small(SERIES), masked, atol=1e-12, rtol=0)


def test_states_vanish_as_wholes() -> None:
    module, run = make(nn.LSTM)
    norms = run._kinds[0].groups.norms(run.weights)
    run.shrink(float(norms.median()) * 1.001, 1.0)
    left = run.units.sums((run.weights != 0).double())
    assert sorted(left.tolist())[:2] == [0.0, 0.0]
    rows = module.core.weight_hh_l0.view(4, N_STATES, N_STATES)
    gone = left == 0
    assert not rows[:, gone].any()
    assert not rows[:, :, gone].any()
    assert not module.out.weight[:, gone].any()


def test_feedforward_units_are_groups_of_rows_and_columns() -> None:
    module = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    run = attach(module, IntrinsicSparseStructures(), example=torch.zeros(2, 4))
    first, last = module[0].weight, module[2].weight
    expected = (first.square().sum(1) + last.square().sum(0)).sqrt().sum()
    assert run.penalty_value() == pytest.approx(float(expected))
