"""The divergence of variational dropout, the noise of layers, and what a fit gives."""

from __future__ import annotations

import math
from functools import partial
from itertools import pairwise
from typing import Any

import attached
import numpy as np
import pytest
import torch
from attached import NO_PROBE
from scipy.integrate import quad
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from torch import nn

from sksparse.neural_network import SparseMLPClassifier
from sksparse.sparsifiers import FlatParameters, VariationalDropout, prunable_tensors
from sksparse.sparsifiers.stochastic._local_reparametrisation import LocalNoise
from sksparse.sparsifiers.stochastic._variational_dropout import divergence, divergence_slope

pytestmark = pytest.mark.usefixtures("untraced")

attach = partial(attached.attach, alpha=0.01)


@pytest.fixture
def module() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))


def exact_divergence(log_alpha: float) -> float:
    """By quadrature of the expectation of log|1 + sqrt(alpha) n| for a normal n."""
    deviation = math.exp(log_alpha / 2)
    scale = 1 / (deviation * math.sqrt(2 * math.pi))

    def integrand(x: float) -> float:
        return math.log(abs(x)) * scale * math.exp(-0.5 * ((x - 1) / deviation) ** 2)

    mean = 0.0
    for low, high in ((1 - 12 * deviation, 0.0), (0.0, 1 + 12 * deviation)):
        # near a narrow peak the integrand is found only where the interval is cut
        cuts = [p for p in (1 - 3 * deviation, 1.0, 1 + 3 * deviation) if low < p < high]
        edges = [low, *cuts, high]
        for a, b in pairwise(edges):
            if b > a:
                mean += quad(integrand, a, b, limit=200)[0]
    constant = -(np.euler_gamma + math.log(2)) / 2
    return mean - constant - 0.5 * log_alpha


@pytest.mark.parametrize(
    "log_alpha, approximate, exact",
    [(0, 0.43124, 0.42669), (2, 0.06842, 0.06617), (-2, 1.54053, 1.54415), (4, 0.00933, 0.00913)],
)
def test_divergence_against_its_exact_form(
    log_alpha: int, approximate: float, exact: float
) -> None:
    assert divergence(torch.tensor(float(log_alpha))).item() == pytest.approx(approximate, abs=1e-5)
    assert exact_divergence(log_alpha) == pytest.approx(exact, abs=2e-5)


def test_divergence_is_off_by_less_than_a_hundredth_and_falls() -> None:
    levels = torch.linspace(-8, 8, 33, dtype=torch.float64)
    exact = torch.tensor([exact_divergence(a) for a in levels.tolist()])
    got = divergence(levels)
    assert (got - exact).abs().max() < 0.0095
    assert (got.diff() < 0).all()
    slope = (divergence(levels + 1e-5) - divergence(levels - 1e-5)) / 2e-5
    torch.testing.assert_close(divergence_slope(levels), slope, rtol=1e-4, atol=1e-8)


def layers() -> list[Any]:
    return [
        (nn.Linear(6, 4), (6,)),
        (nn.Linear(6, 4), (3, 6)),
        (nn.Conv1d(2, 3, 3, padding=1, padding_mode="circular"), (2, 7)),
        (nn.Conv2d(2, 3, 3, stride=2), (2, 7, 7)),
    ]


@pytest.mark.parametrize("number", range(4))
def test_noise_of_a_layer_has_the_moments_of_sampled_weights(number: int) -> None:
    layer, shape = layers()[number]
    parameters = FlatParameters(layer)
    variance = torch.rand_like(parameters.weights) * 0.1
    x, n = torch.randn(shape), 20_000
    noise = LocalNoise(layer, parameters, variance)
    assert not noise.shared
    drawn = layer.train()(x.expand(n, *shape))
    noise.remove()
    mean = parameters.weights.clone()
    outputs = []
    for _ in range(4000):
        parameters.weights.copy_(mean + variance.sqrt() * torch.randn_like(mean))
        outputs.append(layer(x[None])[0])
    sampled = torch.stack(outputs)
    deviation = sampled.std(dim=0)
    assert ((drawn.mean(0) - sampled.mean(0)).abs() < 0.1 * deviation).all()
    torch.testing.assert_close(drawn.std(0), deviation, rtol=0.08, atol=1e-4)


def test_layers_are_silent_in_evaluation_and_after_removal(module: nn.Module) -> None:
    x = torch.randn(5, 6)
    run = attach(module, VariationalDropout(log_variance_init=-3.0))
    run.before_batch()
    assert not torch.allclose(module(x), module(x), atol=1e-2)
    torch.testing.assert_close(module.eval()(x), module(x))
    run.begin_phase(run.phases[-1], NO_PROBE)
    run.finalize()
    torch.testing.assert_close(module.train()(x), module(x))


def test_gradients_are_those_of_the_objective(module: nn.Module) -> None:
    """Against autograd through the same draws, written down as defined."""
    module.double()
    run = attach(module, VariationalDropout(warmup_fraction=0.0), weight_decay=0.1)
    run.log_variance.data.uniform_(-4, -1)
    run._batch = 100
    X = torch.randn(7, 6, dtype=torch.float64)
    torch.manual_seed(3)
    run.before_batch()
    run.parameters.zero_grad()
    with torch.enable_grad():
        module(X).square().mean().backward()
    run.after_backward()

    torch.manual_seed(3)
    with torch.enable_grad():
        w = run.latent.detach().clone().requires_grad_()
        v = run.log_variance.detach().clone().requires_grad_()
        log_alpha = (v - (w * w + 1e-8).log()).clamp(-8, 8)
        h, biases = X, [module[0].bias.detach(), module[2].bias.detach()]
        means = run.parameters.by_tensor(w * (log_alpha.detach() < 3)).values()
        variances = run.parameters.by_tensor(v.exp()).values()
        for layer, (mean, variance) in enumerate(zip(means, variances, strict=True)):
            deviation = (h.square() @ variance.T + 1e-8).sqrt()
            h = h @ mean.T + biases[layer] + deviation * torch.randn_like(deviation)
            h = h.relu() if layer == 0 else h
        loss = h.square().mean() + 0.01 * divergence(log_alpha).sum() + 0.05 * w.square().sum()
        by_w, by_v = torch.autograd.grad(loss, (w, v))
    torch.testing.assert_close(run.log_variance.grad, by_v)
    active = log_alpha.detach() < 3
    torch.testing.assert_close(run.latent.grad[active], by_w[active])


def test_recurrent_weights_are_drawn_once_a_batch_with_exact_gradients() -> None:
    module = nn.LSTM(3, 4).double()
    run = attach(module, VariationalDropout(warmup_fraction=0.0), alpha=0.0)
    run.log_variance.data.fill_(-2.0)
    run.before_batch()
    noise = run.weights - run.latent * run._active
    assert noise.std().item() == pytest.approx(math.exp(-1), rel=0.2)
    run.parameters.zero_grad()
    X = torch.randn(5, 2, 3, dtype=torch.float64)
    with torch.enable_grad():
        module(X)[0].square().mean().backward()
    run.after_backward()
    slope = run.parameters.weight_gradient
    torch.testing.assert_close(run.latent.grad, slope)
    torch.testing.assert_close(run.log_variance.grad, 0.5 * noise * slope)


def test_an_attention_layer_uses_weights_that_its_owner_reads() -> None:
    module = nn.MultiheadAttention(4, 2, batch_first=True)
    run = attach(module, VariationalDropout())
    assert set(run._noise.shared) == {"in_proj_weight", "out_proj.weight"}


def test_fewer_weights_are_removed_at_a_higher_threshold(module: nn.Module) -> None:
    density, before = [], module[0].weight.clone()
    for threshold in (-2.0, 0.0, 3.0, 6.0):
        module[0].weight.copy_(before)
        run = attach(module, VariationalDropout(threshold=threshold))
        run.log_variance.data.copy_(torch.linspace(-12, 4, 45))
        density.append(run.density())
        run.begin_phase(run.phases[-1], NO_PROBE)
        assert run.density() == density[-1]
    assert density == sorted(density)
    assert density[0] < density[-1]


def test_strength_warms_up(module: nn.Module) -> None:
    run = attach(module, VariationalDropout(warmup_fraction=0.5, sparsify_fraction=1.0), alpha=1.0)
    run.log_variance.data.fill_(-3.0)
    seen = []
    for batch in (0, 50, 100, 150):
        run._batch = batch
        run.before_batch()
        run.parameters.zero_grad()
        run.after_backward()
        seen.append(float(run.log_variance.grad.sum()))
    assert seen[0] == 0
    assert seen[1] == pytest.approx(seen[2] / 2, rel=1e-3)
    assert seen[3] == pytest.approx(seen[2], rel=1e-3)


@pytest.mark.parametrize("target", [0.0, 0.7, 0.99])
def test_target_is_met_to_one_weight(module: nn.Module, target: float) -> None:
    run = attach(module, VariationalDropout(), alpha=None, target_sparsity=target)
    run.begin_phase(run.phases[-1], NO_PROBE)
    run.finalize()
    kept = sum(int(torch.count_nonzero(w)) for w in prunable_tensors(module).values())
    assert kept == 45 - round(target * 45)


def test_digits_at_a_target_and_a_grid_of_strengths() -> None:
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0, stratify=y)
    scaler = StandardScaler().fit(X_train)
    X_train, X_test = scaler.transform(X_train), scaler.transform(X_test)
    net = SparseMLPClassifier(
        (50,), sparsifier="variational", target_sparsity=0.9, tol=1e-2, random_state=0
    )
    net.fit(X_train, y_train)
    assert net.sparsity_ == pytest.approx(0.9, abs=0.5 / 3700)
    assert net.score(X_test, y_test) > 0.95
    sparsity = []
    for alpha in (0.0, 1e-4, 1e-2):
        net.set_params(alpha=alpha, target_sparsity=None, max_iter=60)
        sparsity.append(net.fit(X_train, y_train).sparsity_)
    assert sparsity == sorted(sparsity)
    assert sparsity[0] < 0.5 < 0.9 < sparsity[-1]
