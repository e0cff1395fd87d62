"""Divergences of the scale posteriors, what sampled layers compute, and whole units removed."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import attached
import pytest
import torch
from attached import NO_PROBE
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from torch import nn

from sksparse.neural_network import SparseMLPClassifier
from sksparse.sparsifiers import BayesianGroups, prunable_tensors
from sksparse.sparsifiers.stochastic._scale_posteriors import (
    Horseshoe,
    NormalJeffreys,
    ScalePosterior,
)

pytestmark = pytest.mark.usefixtures("untraced")

attach = partial(attached.attach, alpha=0.01)
PRIORS = ["normal_jeffreys", "horseshoe"]


@pytest.fixture
def module() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))


def posterior(prior: str) -> ScalePosterior:
    layer, like = torch.tensor([0, 0, 0, 1, 1]), torch.zeros(1, dtype=torch.float64)
    if prior == "horseshoe":
        return Horseshoe(layer, 2, like, tau=0.3)
    return NormalJeffreys(layer, like)


def test_horseshoe_divergence_against_monte_carlo() -> None:
    """Every unit and layer has the same posterior, drawn and compared with the densities."""
    scales = posterior("horseshoe")
    m, sd, tau = -0.4, 0.7, 0.3
    scales.values.data[:2] = m
    scales.values.data[2:] = 2 * math.log(sd)
    log_x = m + sd * torch.randn(400_000, dtype=torch.float64)
    q = -log_x - math.log(sd) - 0.5 * math.log(2 * math.pi) - 0.5 * ((log_x - m) / sd).square()

    def gamma(log_x: torch.Tensor, scale: float) -> torch.Tensor:
        x = log_x.exp()
        return -0.5 * log_x - x / scale - 0.5 * math.log(math.pi) - 0.5 * math.log(scale)

    inverse = -1.5 * log_x - (-log_x).exp() - 0.5 * math.log(math.pi)
    of_gamma = 5 * (q - gamma(log_x, 1.0)) + 2 * (q - gamma(log_x, tau**2))
    sampled = of_gamma + 7 * (q - inverse)
    error = 4 * sampled.std().item() / math.sqrt(len(log_x))
    assert scales.divergence().sum().item() == pytest.approx(sampled.mean().item(), abs=error)


def test_horseshoe_divergence_is_zero_nowhere_and_positive() -> None:
    scales = posterior("horseshoe")
    for _ in range(50):
        scales.values.data.normal_()
        assert (scales.divergence() > 0).all()


@pytest.mark.parametrize("prior", PRIORS)
def test_divergence_gradient_agrees_with_finite_differences(prior: str) -> None:
    scales = posterior(prior)
    values = scales.values.data.normal_()
    found, step = scales.divergence_gradient(), 1e-6
    for place in range(values.numel()):
        flat = values.view(-1)
        flat[place] += step
        above = scales.divergence().sum()
        flat[place] -= 2 * step
        slope = (above - scales.divergence().sum()) / (2 * step)
        flat[place] += step
        assert found.view(-1)[place].item() == pytest.approx(slope.item(), abs=1e-5, rel=1e-5)


@pytest.mark.parametrize("prior", PRIORS)
def test_mean_and_mode_of_the_scales(prior: str) -> None:
    scales = posterior(prior)
    assert scales.mean().tolist() == pytest.approx([1.0] * 5, rel=1e-3)
    scales.values.data[-1:] = -2.0
    drawn = scales.sample(200_000)
    assert drawn.shape == (200_000, 5)
    error = 5 * drawn.std() / math.sqrt(200_000)
    assert ((drawn.mean(0) - scales.mean()).abs() < error).all()
    if prior == "horseshoe":
        m, v = scales._logarithm(scales.values.data)
        torch.testing.assert_close(scales.score(), v - m)
    else:
        torch.testing.assert_close(scales.score(), torch.full((5,), -2.0, dtype=torch.float64))


@pytest.mark.parametrize("prior", PRIORS)
def test_linear_network_without_noise_is_the_expected_one(prior: str) -> None:
    module = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)).double()
    run = attach(module, BayesianGroups(prior=prior))
    run.log_variance.data.fill_(-3.0)
    run.scales.values.data[-1] = -3.0
    x, n = torch.randn(4, dtype=torch.float64), 200_000
    run.before_batch()
    drawn = module.train()(x.expand(n, 4))
    run.before_evaluation()
    error = 5 * drawn.std(0) / math.sqrt(n)
    assert ((drawn.mean(0) - module.eval()(x)).abs() < error).all()


@pytest.mark.parametrize("prior", PRIORS)
def test_gradients_are_those_of_the_objective(module: nn.Module, prior: str) -> None:
    """Against autograd through the same draws, written down as defined."""
    module.double()
    run = attach(module, BayesianGroups(prior=prior, warmup_fraction=0.0), weight_decay=0.1)
    run.log_variance.data.uniform_(-4, -1)
    run._batch = 10**6
    X = torch.randn(7, 6, dtype=torch.float64)
    torch.manual_seed(3)
    run.before_batch()
    run.parameters.zero_grad()
    with torch.enable_grad():
        module(X).square().mean().backward()
    run.after_backward()
    found = run.scales.values.grad - 0.01 * run.scales.divergence_gradient()

    torch.manual_seed(3)
    run.scales.values.grad = torch.zeros_like(found)
    with torch.enable_grad():
        w = run.latent.detach().clone().requires_grad_()
        v = run.log_variance.detach().clone().requires_grad_()
        h, biases = X, [module[0].bias.detach(), module[2].bias.detach()]
        means = run.parameters.by_tensor(w).values()
        variances = run.parameters.by_tensor(v.exp()).values()
        for layer, (mean, variance) in enumerate(zip(means, variances, strict=True)):
            if layer == 0:
                z = run.scales.sample(7)
            h = h * (z[:, :6] if layer == 0 else z[:, 6:])
            deviation = (h.square() @ variance.T + 1e-8).sqrt()
            h = h @ mean.T + biases[layer] + deviation * torch.randn_like(deviation)
            h = h.relu() if layer == 0 else h
        divergence = 0.5 * (v.exp() + w.square() - v - 1).sum()
        loss = h.square().mean() + 0.01 * divergence + 0.05 * w.square().sum()
        loss.backward()
    torch.testing.assert_close(run.latent.grad, w.grad)
    torch.testing.assert_close(run.log_variance.grad, v.grad)
    torch.testing.assert_close(run.scales.values.grad, found)


def test_recurrent_weights_are_drawn_once_a_batch_with_exact_gradients() -> None:
    module = nn.LSTM(3, 4).double()
    run = attach(module, BayesianGroups(warmup_fraction=0.0), alpha=0.0)
    run.log_variance.data.fill_(-2.0)
    run.before_batch()
    run.parameters.zero_grad()
    X = torch.randn(5, 2, 3, dtype=torch.float64)
    with torch.enable_grad():
        module(X)[0].square().mean().backward()
    run.after_backward()
    slope = run.parameters.weight_gradient
    shared = run._shared
    factor = torch.cat([shared.factors[n].expand_as(w).reshape(-1) for n, w in run.tensors.items()])
    noise = torch.cat(list(shared.noise.values()))
    torch.testing.assert_close(run.weights, (run.latent.detach() + noise) * factor)
    torch.testing.assert_close(run.latent.grad, slope * factor)
    torch.testing.assert_close(run.log_variance.grad, 0.5 * noise * slope * factor)
    by_weight = slope * (run.latent.detach() + noise)
    by_scale = torch.cat([part.sum(0) for part in run.parameters.by_tensor(by_weight).values()])
    torch.testing.assert_close(run.scales.values.grad[0], by_scale)


def close(run: Any, removed: list[int]) -> None:
    run.scales.values.data[1] = -9.0
    run.scales.values.data[1, removed] = 5.0


def test_a_removed_unit_takes_the_weights_that_enter_it(module: nn.Module) -> None:
    run = attach(module, BayesianGroups(), example=torch.rand(2, 6))
    close(run, [1, 6, 8])
    assert run.density() == pytest.approx((5 * 3 + 3 * 3) / 45)
    run.begin_phase(run.phases[-1], NO_PROBE)
    run.finalize()
    first, second = (w != 0 for w in prunable_tensors(module).values())
    assert first.any(0).tolist() == [True, False, True, True, True, True]
    assert first.any(1).tolist() == second.any(0).tolist() == [False, True, False, True, True]
    assert first.sum() == 15


def test_channels_of_convolutions_are_linked_across_pools_and_flattening() -> None:
    module = nn.Sequential(
        nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2)),
        nn.Conv2d(3, 2, 3),
        nn.Flatten(),
        nn.Linear(8, 4),
        nn.Softmax(dim=1),
        nn.Linear(4, 2),
    )
    run = attach(module, BayesianGroups(), example=torch.rand(2, 1, 10, 10))
    # the second channel between the convolutions, the first of two before flattening, and a
    # unit before the last layer, to which a softmax couples all others
    close(run, [2, *range(4, 8), 12])
    expected = 2 * 9 + 1 * 2 * 9 + 4 * 4 + 3 * 2
    assert run.density() == pytest.approx(expected / run.n_weights)
    run.begin_phase(run.phases[-1], NO_PROBE)
    assert int(torch.count_nonzero(run.weights)) == expected
    assert int(torch.count_nonzero(module[1].weight[0])) == 0


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("target", [0.0, 0.3, 0.7, 0.99])
def test_target_is_met_to_one_weight_by_units(module: nn.Module, prior: str, target: float) -> None:
    sparsifier, example = BayesianGroups(prior=prior), torch.rand(2, 6)
    run = attach(module, sparsifier, alpha=None, target_sparsity=target, example=example)
    run.scales.values.data.add_(torch.randn_like(run.scales.values))
    run.begin_phase(run.phases[-1], NO_PROBE)
    run.finalize()
    first, second = (w != 0 for w in prunable_tensors(module).values())
    kept = int(first.sum() + second.sum())
    assert kept == 45 - round(target * 45)
    whole = first.any(0).sum() * first.any(1).sum() + second.any(0).sum() * 3
    assert whole - kept < 5 + 3 + 6


@pytest.mark.parametrize("prior", PRIORS)
def test_layer_strengths_are_factors_of_the_divergence(module: nn.Module, prior: str) -> None:
    slopes = []
    for factors in ([1.0, 1.0], [0.0, 3.0]):
        sparsifier = BayesianGroups(prior=prior, layer_strengths=factors, warmup_fraction=0.0)
        run = attach(module, sparsifier)
        run._batch = 10**6
        run.before_batch()
        run.after_backward()
        slopes.append((run.scales.values.grad, run.scales.column_layer))
    (plain, layer), (weighted, _) = slopes
    torch.testing.assert_close(weighted, plain * torch.tensor([0.0, 3.0])[layer])
    with pytest.raises(ValueError, match="layer_strengths"):
        attach(module, BayesianGroups(layer_strengths=[1.0]))


def test_wrong_options() -> None:
    with pytest.raises(ValueError, match="prior"):
        attach(nn.Linear(2, 2), BayesianGroups(prior="laplace"))
    with pytest.raises(ValueError, match="tau"):
        attach(nn.Linear(2, 2), BayesianGroups(tau=0.0))


@pytest.mark.filterwarnings("ignore:Of the .* are the same for all training rows")
@pytest.mark.filterwarnings("ignore:At this strength no input")
@pytest.mark.parametrize("prior", PRIORS)
def test_digits_at_a_target_and_a_grid_of_strengths(prior: str) -> None:
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0, stratify=y)
    scaler = StandardScaler().fit(X_train)
    X_train, X_test = scaler.transform(X_train), scaler.transform(X_test)
    sparsifier = BayesianGroups(prior=prior)
    net = SparseMLPClassifier(
        (50,), sparsifier=sparsifier, target_sparsity=0.8, tol=1e-2, random_state=0
    )
    net.fit(X_train, y_train)
    assert net.sparsity_ == pytest.approx(0.8, abs=0.5 / 3700)
    assert net.score(X_test, y_test) > 0.94
    assert net.architecture_[1] < 40
    sparsity = []
    for alpha in (0.0, 3e-4, 1e-2):
        net.set_params(alpha=alpha, target_sparsity=None, max_iter=60)
        sparsity.append(net.fit(X_train, y_train).sparsity_)
    assert sparsity == sorted(sparsity)
    assert sparsity[0] < 0.4 < 0.7 < sparsity[-1]
