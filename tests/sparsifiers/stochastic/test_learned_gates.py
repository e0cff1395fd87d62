"""The flow of learned gates, their penalty and gradients, and what a fit gives."""

from __future__ import annotations

from functools import partial

import attached
import pytest
import torch
from attached import NO_PROBE
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from torch import nn

from sksparse.neural_network import SparseMLPClassifier
from sksparse.sparsifiers import LearnedGates, prunable_tensors

pytestmark = pytest.mark.usefixtures("untraced")

attach = partial(attached.attach, alpha=0.01)


@pytest.fixture
def module() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))


def flow(start: list[float], penalty: float, variance_penalty: float) -> list[float]:
    """Where gates end that follow the gradient of the penalty alone."""
    module = nn.Linear(len(start), 1)
    run = attach(module, LearnedGates(bimodality=variance_penalty / penalty), alpha=penalty)
    run.gates.data.copy_(torch.tensor(start))
    for _ in range(4000):
        run.before_batch()
        run.parameters.zero_grad()
        run.after_backward()
        run.gates.data.sub_(run.gates.grad, alpha=0.01)
        run.gates.data.clamp_(0, 1)
    return run.gates.tolist()


def test_gates_flow_away_from_the_unstable_point() -> None:
    # d gate / dt = -(1 (1 - 2 g) + 0.2), which is zero at g = 0.6
    assert flow([0.59, 0.61, 0.0, 1.0], 0.2, 1.0) == [0.0, 1.0, 0.0, 1.0]


@pytest.mark.parametrize("variance_penalty", [0.0, 0.5, 0.99])
def test_below_bimodality_one_all_gates_fall(variance_penalty: float) -> None:
    assert flow([0.2, 0.7, 1.0], 1.0, variance_penalty) == [0.0, 0.0, 0.0]


def test_penalty_of_settled_gates_counts_the_open_ones(module: nn.Module) -> None:
    run = attach(module, LearnedGates(bimodality=3.0), alpha=0.25)
    run.gates.data.zero_()
    run.gates.data[:7] = 1.0
    run.before_evaluation()
    assert run.penalty() == pytest.approx(0.25 * 7)
    assert run.density() == pytest.approx(7 / 45)
    assert torch.count_nonzero(run.weights) == 7


def test_gradients_are_those_of_the_objective(module: nn.Module) -> None:
    """Against autograd: by the weights with fixed gates, by gates as if they multiplied."""
    module.double()
    rho, alpha, decay = 0.7, 0.03, 0.1
    run = attach(module, LearnedGates(bimodality=rho), alpha=alpha, weight_decay=decay)
    run.gates.data.uniform_()
    X = torch.randn(7, 6, dtype=torch.float64)
    run.before_batch()
    run.parameters.zero_grad()
    with torch.enable_grad():
        module(X).square().mean().backward()
    run.after_backward()

    with torch.enable_grad():
        w = run.latent.detach().clone().requires_grad_()
        passed = (run.gates.detach() >= 0.5).double().requires_grad_()
        g = run.gates.detach().clone().requires_grad_()
        first, second = run.parameters.by_tensor(w * passed).values()
        hidden = torch.relu(X @ first.T + module[0].bias.detach())
        loss = (hidden @ second.T + module[2].bias.detach()).square().mean()
        (slope,) = torch.autograd.grad(loss, passed, retain_graph=True)
        (loss + 0.5 * decay * (w * passed.detach()).square().sum()).backward()
        (alpha * (g + rho * g * (1 - g))).sum().backward()
    torch.testing.assert_close(run.latent.grad, w.grad)
    torch.testing.assert_close(run.gates.grad, slope + g.grad)


def test_weight_gradients_agree_with_finite_differences(module: nn.Module) -> None:
    module.double()
    run = attach(module, LearnedGates(), alpha=0.0)
    run.gates.data.uniform_()
    X = torch.randn(4, 6, dtype=torch.float64)

    def loss() -> torch.Tensor:
        run.before_batch()
        return module(X).square().mean()

    run.parameters.zero_grad()
    with torch.enable_grad():
        loss().backward()
    run.after_backward()
    found, step = run.latent.grad.clone(), 1e-6
    for j in range(0, run.n_weights, 4):
        run.latent.data[j] += step
        above = loss()
        run.latent.data[j] -= 2 * step
        slope = (above - loss()) / (2 * step)
        run.latent.data[j] += step
        assert found[j].item() == pytest.approx(slope.item(), abs=1e-7)


def test_initial_gates_by_layer(module: nn.Module) -> None:
    run = attach(module, LearnedGates(gate_init=[0.5, 0.9]))
    assert run.gates.tolist() == pytest.approx([0.5] * 30 + [0.9] * 15)
    for wrong in ([0.9], [0.9, 0.2]):
        with pytest.raises(ValueError, match="gate_init"):
            attach(module, LearnedGates(gate_init=wrong))


@pytest.mark.parametrize("target", [0.0, 0.7, 0.99])
def test_target_is_met_to_one_weight(module: nn.Module, target: float) -> None:
    run = attach(module, LearnedGates(), alpha=None, target_sparsity=target)
    run.begin_phase(run.phases[-1], NO_PROBE)
    run.finalize()
    kept = sum(int(torch.count_nonzero(w)) for w in prunable_tensors(module).values())
    assert kept == 45 - round(target * 45)


def test_multiplier_rises_above_the_target_and_restarts_below(module: nn.Module) -> None:
    run = attach(module, LearnedGates(), alpha=None, target_sparsity=0.7)
    path = []
    for level in (1.0, 0.9, 0.0):
        run.gates.data.fill_(level)
        run._batch = 0
        run.after_backward()
        path.append(float(run._multiplier))
    assert path[1] > path[0] > path[2] == 0


@pytest.mark.filterwarnings("ignore:Of the .* are the same for all training rows")
def test_digits_at_a_target_a_grid_of_strengths_and_repeated_predictions() -> None:
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0, stratify=y)
    scaler = StandardScaler().fit(X_train)
    X_train, X_test = scaler.transform(X_train), scaler.transform(X_test)
    net = SparseMLPClassifier((50,), sparsifier="gates", target_sparsity=0.9, random_state=0)
    net.set_params(tol=1e-2)
    net.fit(X_train, y_train)
    assert net.sparsity_ == pytest.approx(0.9, abs=0.5 / 3700)
    assert net.score(X_test, y_test) > 0.95
    assert (net.predict_proba(X_test) == net.predict_proba(X_test)).all()
    sparsity = []
    for alpha in (0.0, 1e-4, 1e-2):
        # the penalty of the variance stays 1e-4
        sparsifier = LearnedGates(bimodality=min(1.0, 1e-4 / max(alpha, 1e-4)))
        net.set_params(sparsifier=sparsifier, alpha=alpha, target_sparsity=None, max_iter=60)
        sparsity.append(net.fit(X_train, y_train).sparsity_)
    assert sparsity == sorted(sparsity)
    assert sparsity[0] < 0.3 < 0.9 < sparsity[-1]
