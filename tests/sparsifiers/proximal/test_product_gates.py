"""Product gates: the penalty of balanced factors, its minima, and their collapse to weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from attached import NO_PROBE, attach
from sklearn.datasets import load_digits
from torch import nn

from sksparse.neural_network import SparseMLPClassifier
from sksparse.neural_network.training._smaller import take_out
from sksparse.sparsifiers import ProductGates

pytestmark = pytest.mark.usefixtures("untraced")

FEATURES = torch.randn(20, 6, dtype=torch.float64)
PLAIN = {"is_adaptive": False, "momentum": 0.0}


def perceptron() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)).double()


def run_of(module: nn.Module, options: ProductGates, **changes: Any) -> Any:
    return attach(module, options, example=FEATURES, **{**PLAIN, **changes})


@pytest.mark.parametrize("depth", [2, 3, 4])
@pytest.mark.parametrize("side", ["reads", "writes"])
def test_balanced_factors_have_the_penalty_of_the_group_norms(depth: int, side: str) -> None:
    module = perceptron()
    before = [p.detach().clone() for p in module.parameters()]
    options = ProductGates(depth=depth, unit_weights=side)
    run = run_of(module, options, alpha=0.3, weight_decay=0.1)
    run.before_batch()
    for p, q in zip(module.parameters(), before, strict=True):
        torch.testing.assert_close(p.detach(), q, atol=1e-12, rtol=0)
    groups = module[2].weight.T if side == "reads" else module[0].weight
    norms = groups.norm(dim=1) ** (2 / depth) * groups.shape[1] ** 0.5
    decay = 0.05 * float(run.weights.square().sum())
    assert run.penalty() == pytest.approx(0.3 * float(norms.sum()) + decay)
    # other factors of the same products cost more
    run._gates.data[0].mul_(1.3)
    run._groups.scale(run.latent.data, torch.full((5,), 1 / 1.3, dtype=torch.float64))
    run.before_batch()
    torch.testing.assert_close(module[2].weight.detach(), before[2], atol=1e-12, rtol=0)
    assert run.penalty() > 0.3 * float(norms.sum()) + decay + 1e-3


@pytest.mark.parametrize("granularity", ["unit", "input"])
def test_gradients_are_those_of_the_factors(granularity: str) -> None:
    module = perceptron()
    options = ProductGates(depth=3, granularity=granularity)
    run = run_of(module, options, alpha=0.2, weight_decay=0.1)
    y = torch.randn(20, 3, dtype=torch.float64)

    def objective() -> float:
        run.before_batch()
        return float((module(FEATURES) - y).square().mean()) + run.penalty()

    run.before_batch()
    run.parameters.zero_grad()
    with torch.enable_grad():
        (module(FEATURES) - y).square().mean().backward()
    run.after_backward()
    for p in (run.latent, run._gates):
        flat, slopes = p.data.view(-1), p.grad.clone().view(-1)
        for at in range(0, len(flat), 3):
            values = []
            for step in (1e-6, -1e-6):
                flat[at] += step
                values.append(objective())
                flat[at] -= step
            expected = (values[0] - values[1]) / 2e-6
            assert float(slopes[at]) == pytest.approx(expected, abs=1e-6)


def test_gradient_descent_finds_the_group_lasso_at_depth_two() -> None:
    """The minimum is stationary for the norms: their subgradient balances the loss."""
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(60, 6, generator=generator, dtype=torch.float64)
    y = X[:, :2] @ torch.tensor([[1.0, -0.5], [-2.0, 0.7]], dtype=torch.float64)
    module = nn.Linear(6, 2, bias=False).double()
    run = attach(module, ProductGates(granularity="input"), example=X, alpha=0.2, **PLAIN)
    optimizer = torch.optim.SGD(run.learned(), lr=0.2)
    for _ in range(1000):
        run.before_batch()
        run.parameters.zero_grad()
        module.weight.grad.copy_((X @ module.weight.T - y).T @ X / 60)
        run.after_backward()
        optimizer.step()
    run.begin_phase(run.phases[-1], NO_PROBE)
    w = module.weight.detach()
    assert w.any(dim=0).tolist() == [True, True, False, False, False, False]
    slopes = (X @ w.T - y).T @ X / 60
    strength = 0.2 * 2**0.5
    torch.testing.assert_close(
        slopes[:, :2], -strength * w[:, :2] / w[:, :2].norm(dim=0), atol=1e-6, rtol=0
    )
    assert (slopes[:, 2:].norm(dim=0) <= strength).all()


def test_factors_collapse_to_weights_and_small_groups_go() -> None:
    module = perceptron()
    module[2].weight[:, 3] *= 1e-4
    run = run_of(module, ProductGates())
    assert len(run.learned()) == 3
    run.begin_phase(run.phases[-1], NO_PROBE)
    assert run.latent.data_ptr() == run.weights.data_ptr()
    assert len(run.learned()) == 2
    assert module[2].weight.any(dim=0).tolist() == [True, True, True, False, True]
    assert not module[0].weight[3].any()
    assert module[0].bias[3] == 0


@pytest.mark.parametrize("options", [ProductGates(), ProductGates(unit_weights="writes")])
def test_training_goes_on_in_a_smaller_module(options: ProductGates) -> None:
    module = perceptron()
    run = run_of(module, options, target_units=0.6)
    run.begin_phase(run.phases[-1], NO_PROBE)
    before = module(FEATURES)
    assert take_out(run) is not None
    assert module[0].weight.shape == (3, 6)
    torch.testing.assert_close(module(FEATURES), before, atol=1e-12, rtol=0)


@pytest.mark.parametrize("granularity", ["unit", "input"])
def test_strength_follows_the_share_that_is_left(granularity: str) -> None:
    module = perceptron()
    run = run_of(module, ProductGates(granularity=granularity), target_sparsity=0.5)
    first = run._strength
    for _ in range(20):
        run.after_step()
    assert run._strength > first
    # groups that are nearly zero count as gone, and stay so without any strength
    small = torch.arange(len(run._groups.sizes)) % 5 < 3
    run._gates.data[:, small] = 1e-3
    for _ in range(5):
        run.after_step()
    assert run._strength == 0
    run._gates.data.add_(0.1)
    run.after_step()
    assert (run._gates.data[0] == 0).tolist() == (~run._kept).tolist()
    assert not run.gone().any()
    run.begin_phase(run.phases[-1], NO_PROBE)
    assert int((run.weights != 0).sum()) <= 0.5 * run.n_weights + 0.5


def test_a_layer_does_not_vanish_as_a_whole() -> None:
    module = perceptron()
    run = run_of(module, ProductGates(), target_units=0.4)
    run._gates.data.mul_(0.01)
    for _ in range(5):
        run.after_step()
    assert run._strength == 0
    assert int(run._kept.sum()) == 2


def test_values_that_a_callback_sets_become_factors() -> None:
    module = perceptron()
    run = run_of(module, ProductGates(depth=3))
    run.before_batch()
    module[2].weight[0, 1] = 5.0
    run.take_over(torch.arange(run.n_weights) == 31)
    run.before_batch()
    assert float(module[2].weight[0, 1]) == pytest.approx(5.0)


@pytest.mark.filterwarnings("ignore:The objective still fell")
def test_units_are_removed_in_an_estimator() -> None:
    X, y = load_digits(return_X_y=True)
    X, y = X[:600] / 16, y[:600]
    model = SparseMLPClassifier(
        (40, 20), sparsifier="product_gates", target_units=0.5, max_iter=20, random_state=0
    )
    with torch.enable_grad():
        model.fit(X, y)
    assert model.score(X, y) > 0.8
    assert 28 <= sum(model.architecture_[1:-1]) <= 30


@pytest.mark.parametrize("options", [{"depth": 1}, {"unit_weights": "both"}, {"threshold": -1}])
def test_bad_options_are_named(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        run_of(perceptron(), ProductGates(**options))
