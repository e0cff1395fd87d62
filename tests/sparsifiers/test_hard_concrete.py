"""The hard-concrete distribution against its closed forms, and the gates of a network."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.func import functional_call

from sksparse.sparsifiers import HardConcrete, Task, prunable_tensors
from sksparse.sparsifiers._hard_concrete import HardConcreteDistribution


def make_task(**changes: object) -> Task:
    options = {
        "alpha": 0.01,
        "target_sparsity": None,
        "weight_decay": 0.0,
        "learning_rate": 1e-2,
        "max_iter": 20,
        "steps_per_epoch": 10,
        "n_samples": 100,
    }
    return Task(**{**options, **changes})  # type: ignore[arg-type]


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
        z = gates.sample(torch.full((n,), log_alpha))
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
def test_penalty_is_the_price_of_the_expected_weights(module: nn.Module, granularity: str) -> None:
    run = HardConcrete(granularity=granularity).attach(module, make_task(alpha=0.5))
    with torch.no_grad():
        run.log_alpha.fill_(0.0)
    assert run.penalty().item() == pytest.approx(0.5 * 0.831822 * 45, rel=1e-5)


@pytest.mark.parametrize("granularity", ["weight", "input"])
def test_penalty_gradient_against_finite_differences(module: nn.Module, granularity: str) -> None:
    module.double()
    run = HardConcrete(granularity=granularity).attach(module, make_task(weight_decay=0.1))
    run.log_alpha.data = run.log_alpha.data.double()
    run._group_size = run._group_size.double()
    run.penalty().backward()
    step = 1e-6
    for parameter in (run.log_alpha, module[0].weight):
        flat = parameter.data.view(-1)
        for i in (0, len(flat) - 1):
            values = []
            for shift in (step, -2 * step):
                flat[i] += shift
                values.append(run.penalty().item())
            flat[i] += step
            slope = (values[0] - values[1]) / (2 * step)
            assert parameter.grad.view(-1)[i].item() == pytest.approx(slope, rel=1e-5, abs=1e-9)


def test_input_gates_of_a_convolution_belong_to_channels() -> None:
    module = nn.Conv2d(3, 4, 5)
    run = HardConcrete(granularity="input").attach(module, make_task())
    assert run.log_alpha.shape == (3,)
    with torch.no_grad():
        run.log_alpha.copy_(torch.tensor([-5.0, 5.0, -5.0]))
    substitutes = run.tensors(training=False)
    assert torch.count_nonzero(substitutes["weight"][:, [0, 2]]) == 0
    torch.testing.assert_close(substitutes["weight"][:, 1], module.weight[:, 1])


def test_finalized_module_equals_the_gated_one(module: nn.Module) -> None:
    run = HardConcrete().attach(module, make_task(weight_decay=1e-3))
    generator = torch.Generator().manual_seed(1)
    run.log_alpha.data = 3 * torch.randn(run.log_alpha.shape, generator=generator)
    X = torch.randn(7, 6, generator=generator)
    gated = functional_call(module, run.tensors(training=False), (X,))
    n_open = int((run.log_alpha > -math.log(11)).sum())
    run.begin_phase(run.phases[-1])
    run.finalize()
    torch.testing.assert_close(module(X), gated)
    assert sum(int(torch.count_nonzero(w)) for w in prunable_tensors(module).values()) == n_open


@pytest.mark.parametrize("granularity", ["weight", "input"])
def test_target_is_met_to_one_weight(module: nn.Module, granularity: str) -> None:
    task = make_task(alpha=None, target_sparsity=0.7)
    run = HardConcrete(granularity=granularity).attach(module, task)
    run.begin_phase(run.phases[-1])
    run.finalize()
    kept = sum(int(torch.count_nonzero(w)) for w in prunable_tensors(module).values())
    assert kept == 45 - round(0.7 * 45)


def test_multiplier_rises_above_the_target_and_falls_below(module: nn.Module) -> None:
    run = HardConcrete().attach(module, make_task(alpha=None, target_sparsity=0.7))
    path = []
    for level in (5.0, -5.0, -5.0):
        with torch.no_grad():
            run.log_alpha.fill_(level)
        run.penalty()
        run.after_step()
        path.append(run._multiplier)
    assert path[0] > path[1] >= path[2] >= 0
