"""The hard-concrete distribution against its closed forms, and the gates of a network."""

from __future__ import annotations

import math
from functools import partial

import attached
import pytest
import torch
from attached import NO_PROBE
from torch import nn

from sksparse.sparsifiers import HardConcrete, prunable_tensors
from sksparse.sparsifiers.stochastic._hard_concrete_distribution import (
    HardConcreteDistribution,
    logistic_noise,
)

attach = partial(attached.attach, alpha=0.01)


pytestmark = pytest.mark.usefixtures("untraced")


@pytest.fixture
def module() -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    for p in net.parameters():
        nn.init.normal_(p, generator=generator)
    return net


@pytest.mark.parametrize(
    "log_alpha, probability",
    [(0.0, 0.831822), (math.log(4), 0.951887), (math.log(7 / 3), 0.920261)],
)
def test_probability_of_an_open_gate(log_alpha: float, probability: float) -> None:
    got = HardConcreteDistribution().probability_nonzero(torch.tensor(log_alpha))
    assert got.item() == pytest.approx(probability, abs=1e-6)


def test_mass_at_the_ends_of_the_interval() -> None:
    # by symmetry P(z = 1 | log_alpha = 0) = P(z = 0 | log_alpha = 0)
    zero = 1 - HardConcreteDistribution().probability_nonzero(torch.tensor(0.0))
    assert zero.item() == pytest.approx(0.168178, abs=1e-6)
    at_ends = 2 * (1 - HardConcreteDistribution(beta=0.5).probability_nonzero(torch.tensor(0.0)))
    assert at_ends.item() == pytest.approx(0.463, abs=5e-4)


@pytest.mark.parametrize("log_alpha", [-2.0, -0.5, 0.0, 1.0])
def test_sampled_frequencies_follow_the_closed_form(log_alpha: float) -> None:
    gates = HardConcreteDistribution()
    n = 40_000
    with torch.random.fork_rng():
        torch.manual_seed(0)
        level = torch.full((n,), log_alpha)
        z = gates.gate(gates.concrete(level, logistic_noise(torch.empty(n))))
    assert z.min() >= 0
    assert z.max() <= 1
    p = gates.probability_nonzero(torch.tensor(log_alpha)).item()
    assert (z != 0).double().mean().item() == pytest.approx(p, abs=4 * math.sqrt(p * (1 - p) / n))
    if log_alpha == 0:
        assert z.mean().item() == pytest.approx(0.5, abs=0.01)


def test_test_gate_is_exact_at_its_ends() -> None:
    gates = HardConcreteDistribution()
    edge = math.log(11)
    beyond = torch.tensor([-edge - 1e-4, edge + 1e-4])
    within = torch.tensor([-edge + 1e-3, edge - 1e-3])
    assert gates.test_gate(beyond).tolist() == [0.0, 1.0]
    assert 0 < gates.test_gate(within)[0] < gates.test_gate(within)[1] < 1
    assert gates.test_gate(torch.tensor(math.log(4))).item() == pytest.approx(0.86, abs=1e-6)


@pytest.mark.parametrize("granularity", ["weight", "input"])
def test_penalty_is_that_of_the_expected_weights(module: nn.Module, granularity: str) -> None:
    run = attach(module, HardConcrete(granularity=granularity), alpha=0.5)
    run.log_alpha.data.fill_(0.0)
    assert run.penalty() == pytest.approx(0.5 * 0.831822 * 45, rel=1e-5)


def test_layer_strengths_are_factors_of_the_penalty(module: nn.Module) -> None:
    run = attach(module, HardConcrete(layer_strengths=[0.0, 2.0]), alpha=0.5)
    run.log_alpha.data.fill_(0.0)
    assert run.penalty() == pytest.approx(0.5 * 2 * 0.831822 * 15, rel=1e-5)
    with pytest.raises(ValueError, match="layer_strengths"):
        attach(module, HardConcrete(layer_strengths=[1.0]))
    with pytest.raises(ValueError, match=r"droprate_init=\[0.2, 1.0\]"):
        attach(module, HardConcrete(droprate_init=[0.2, 1.0]))


@pytest.mark.parametrize(
    "granularity, gate_samples",
    [
        ("weight", "shared"),
        ("input", "shared"),
        ("input", "local"),
        ("unit", "shared"),
        ("unit", "local"),
    ],
)
def test_gradients_are_those_of_the_objective(
    module: nn.Module, granularity: str, gate_samples: str
) -> None:
    """The closed forms against autograd through the same gates, written down as defined."""
    module.double()
    sparsifier = HardConcrete(granularity=granularity, gate_samples=gate_samples)
    example = torch.rand(2, 6, dtype=torch.float64)
    run = attach(module, sparsifier, alpha=0.03, weight_decay=0.1, example=example)
    generator = torch.Generator().manual_seed(1)
    shape = run.log_alpha.shape
    level = torch.randn(shape, generator=generator, dtype=torch.float64)
    run.log_alpha.data.copy_(level)
    X = torch.randn(7, 6, generator=generator, dtype=torch.float64)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        run.before_batch()
        run.parameters.zero_grad()
        with torch.enable_grad():
            module(X).square().mean().backward()
        run.after_backward()

    gates = run._gates
    with torch.enable_grad(), torch.random.fork_rng():
        torch.manual_seed(3)
        log_alpha = level.clone().requires_grad_()
        first, second = (
            w.clone().requires_grad_() for w in run.parameters.by_tensor(run.latent.data).values()
        )
        is_local = gate_samples == "local"
        noise = logistic_noise(torch.empty((7, *shape) if is_local else shape).double())
        z = concrete(log_alpha, noise)
        p = torch.sigmoid(log_alpha - 2 / 3 * math.log(0.1 / 1.1))
        if granularity == "weight":
            of_first, of_second = z[:30].view(5, 6), z[30:].view(3, 5)
            h = torch.relu(X @ (first * of_first).T + module[0].bias.detach())
            out = h @ (second * of_second).T + module[2].bias.detach()
            open_first, open_second = p[:30].view(5, 6), p[30:].view(3, 5)
            size = p.sum()
        else:
            of_hidden = z[..., -5:]
            of_inputs = z[..., :6] if granularity == "input" else 1.0
            h = torch.relu((X * of_inputs) @ first.T + module[0].bias.detach())
            out = (h * of_hidden) @ second.T + module[2].bias.detach()
            open_second = p[-5:]
            open_first = p[:6] if granularity == "input" else torch.ones(6).double()
            of_rows = 5.0 if granularity == "input" else p.sum()
            size = open_first.sum() * of_rows + 3 * open_second.sum()
        decay = (open_first * first.square()).sum() + (open_second * second.square()).sum()
        loss = out.square().mean() + 0.03 * size + 0.05 * decay
        loss.backward()
    torch.testing.assert_close(run.log_alpha.grad, log_alpha.grad)
    expected = torch.cat([first.grad.flatten(), second.grad.flatten()])
    torch.testing.assert_close(run.latent.grad, expected)
    assert gates.n_groups == {"weight": 45, "input": 11, "unit": 5}[granularity]


def concrete(log_alpha: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    return (torch.sigmoid((log_alpha + noise) * 1.5) * 1.2 - 0.1).clamp(0, 1)


def test_every_second_batch_mirrors_the_noise(module: nn.Module) -> None:
    run = attach(module, HardConcrete())
    run.log_alpha.data.zero_()
    seen = []
    for _ in range(4):
        run.before_batch()
        seen.append(run._s.clone())
    # where log_alpha is 0, the sigmoid of mirrored noise is mirrored at 1/2
    torch.testing.assert_close(seen[1], 1 - seen[0])
    torch.testing.assert_close(seen[3], 1 - seen[2])
    assert not torch.allclose(seen[2], seen[0])
    assert not torch.equal(seen[2], seen[0])


def test_input_gates_of_a_convolution_belong_to_channels() -> None:
    module = nn.Conv2d(3, 4, 5)
    before = module.weight.detach().clone()
    run = attach(module, HardConcrete(granularity="input"))
    assert run.log_alpha.shape == (3,)
    run.log_alpha.data.copy_(torch.tensor([-5.0, 5.0, -5.0]))
    run.before_evaluation()
    assert torch.count_nonzero(module.weight[:, [0, 2]]) == 0
    torch.testing.assert_close(module.weight.detach()[:, 1], before[:, 1])


def test_local_gates_of_a_convolution_equal_shared_ones_when_certain() -> None:
    x = torch.randn(2, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    outputs = []
    for gate_samples in ("shared", "local"):
        torch.manual_seed(0)
        module = nn.Conv2d(3, 4, 5)
        sparsifier = HardConcrete(granularity="input", gate_samples=gate_samples)
        run = attach(module, sparsifier)
        run.log_alpha.data.copy_(torch.tensor([-30.0, 30.0, -30.0, 30.0])[: len(run.log_alpha)])
        run.before_batch()
        outputs.append(module(x).detach())
    torch.testing.assert_close(*outputs)


def test_local_gates_are_refused_where_they_cannot_be() -> None:
    local = HardConcrete(granularity="input", gate_samples="local")
    with pytest.raises(ValueError, match="gate_samples='local' cannot gate 'weight_ih_l0'"):
        attach(nn.LSTM(3, 4), local)
    with pytest.raises(ValueError, match="granularity='weight'"):
        attach(nn.Linear(3, 4), HardConcrete(gate_samples="local"))


@pytest.mark.parametrize("gate_samples", ["shared", "local"])
def test_finalized_module_equals_the_gated_one(module: nn.Module, gate_samples: str) -> None:
    sparsifier = HardConcrete(granularity="input", gate_samples=gate_samples)
    run = attach(module, sparsifier, weight_decay=1e-3)
    generator = torch.Generator().manual_seed(1)
    run.log_alpha.data.copy_(3 * torch.randn(run.log_alpha.shape, generator=generator))
    X = torch.randn(7, 6, generator=generator)
    module.eval()
    run.before_evaluation()
    gated = module(X).detach()
    left = run._removal.density(run.log_alpha > -math.log(11)) * 45
    run.begin_phase(run.phases[-1], NO_PROBE)
    run.finalize()
    torch.testing.assert_close(module(X), gated)
    n_open = sum(int(torch.count_nonzero(w)) for w in prunable_tensors(module).values())
    assert n_open == round(left)


@pytest.mark.parametrize("granularity", ["weight", "input"])
def test_target_is_met_to_one_weight(module: nn.Module, granularity: str) -> None:
    sparsifier = HardConcrete(granularity=granularity)
    run = attach(module, sparsifier, alpha=None, target_sparsity=0.7)
    run.begin_phase(run.phases[-1], NO_PROBE)
    run.finalize()
    kept = sum(int(torch.count_nonzero(w)) for w in prunable_tensors(module).values())
    assert kept == 45 - round(0.7 * 45)


def test_multiplier_rises_above_the_target_and_falls_below(module: nn.Module) -> None:
    run = attach(module, HardConcrete(), alpha=None, target_sparsity=0.7)
    path = []
    for level in (5.0, -5.0, -5.0):
        run.log_alpha.data.fill_(level)
        run._refresh_penalty_gradients()
        path.append(float(run._multiplier))
    assert path[0] > path[1] >= path[2] >= 0
