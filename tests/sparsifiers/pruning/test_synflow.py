"""Synaptic flow: its closed form, its conservation, and no layer cut through."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from attached import attach
from torch import nn

from sksparse.sparsifiers import Probe, SynFlow
from sksparse.sparsifiers.pruning._synflow import SynapticFlow

pytestmark = pytest.mark.usefixtures("untraced")


def probe_of(module: nn.Module, *shape: int) -> Probe:
    criterion: Any = None
    return Probe(module, lambda: iter([(torch.randn(5, *shape), torch.zeros(5), None)]), criterion)


def chain(activation: type[nn.Module] = nn.ReLU, *, batch_norm: bool = False) -> nn.Module:
    parts: list[nn.Module] = []
    for n_in, n_out in ((12, 20), (20, 15), (15, 4)):
        parts += [nn.Linear(n_in, n_out), *([nn.BatchNorm1d(n_out)] if batch_norm else [])]
        parts.append(activation())
    return nn.Sequential(*parts[:-1])


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh, nn.LeakyReLU, nn.GELU])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_every_layer_carries_the_same_flow(activation: type[nn.Module], batch_norm: bool) -> None:
    module = chain(activation, batch_norm=batch_norm)
    flow = SynapticFlow(module, torch.ones(1, 12))
    keep = torch.rand(600) < 0.3
    per_layer = [float(part.sum()) for part in flow.through(keep).split([240, 300, 60])]
    assert per_layer[0] > 0
    assert per_layer == pytest.approx([per_layer[0]] * 3, rel=1e-10)


def test_flow_is_the_sum_of_products_along_paths() -> None:
    module = chain()
    a, b, c = (module[i].weight.detach().double().abs() for i in (0, 2, 4))  # type: ignore[operator, union-attr]
    flow = SynapticFlow(module, torch.ones(1, 12)).through(torch.ones(600, dtype=torch.bool))
    ones_in, ones_out = torch.ones(12).double(), torch.ones(4).double()
    expected = [
        a * torch.outer(b.T @ c.T @ ones_out, ones_in),
        b * torch.outer(c.T @ ones_out, a @ ones_in),
        c * torch.outer(ones_out, b @ a @ ones_in),
    ]
    torch.testing.assert_close(flow, torch.cat([e.flatten() for e in expected]))


def test_the_network_itself_is_not_touched_by_the_flow() -> None:
    module = chain()
    before = {name: p.detach().clone() for name, p in module.named_parameters()}
    run = attach(module, SynFlow(n_rounds=5), target_sparsity=0.5)
    run.begin_phase(run.phases[0], probe_of(module, 12))
    for name, p in module.named_parameters():
        left = p != 0
        assert torch.equal(p[left], before[name][left])
    assert int(torch.count_nonzero(run.weights)) == 300


def test_rounds_keep_paths_open_where_one_shot_cuts_a_layer() -> None:
    """At 99 % sparsity six weights are left: two paths, or a layer without any."""
    left = {}
    for n_rounds in (1, 100):
        torch.manual_seed(0)
        module = nn.Sequential(nn.Linear(100, 5), nn.ReLU(), nn.Linear(5, 100), nn.ReLU())
        module.append(nn.Linear(100, 1))
        run = attach(module, SynFlow(n_rounds=n_rounds), target_sparsity=0.995)
        run.begin_phase(run.phases[0], probe_of(module, 100))
        left[n_rounds] = min(int(torch.count_nonzero(w)) for w in run.tensors.values())
    assert left[100] > 0


def test_any_input_shape() -> None:
    module = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 2))
    run = attach(module, SynFlow(n_rounds=3), target_sparsity=0.6)
    run.begin_phase(run.phases[0], probe_of(module, 2, 6, 6))
    assert int(torch.count_nonzero(run.weights)) == 150 - 90


def test_bad_options_are_named(module: nn.Module) -> None:
    with pytest.raises(ValueError, match="n_rounds"):
        attach(module, SynFlow(n_rounds=0))
