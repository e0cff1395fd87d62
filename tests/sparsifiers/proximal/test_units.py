"""Penalties on whole units of traced modules: groups, the prox of gradient descent, compaction."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from attached import NO_PROBE, attach
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from torch import nn

from sksparse.compression import compact
from sksparse.neural_network import SparseMLPClassifier
from sksparse.neural_network.training._smaller import take_out
from sksparse.sparsifiers import (
    GroupShrinkage,
    IntrinsicSparseStructures,
    OscarShrinkage,
    Sparsifier,
    StructuredSparsity,
)

pytestmark = pytest.mark.usefixtures("untraced")

GRADIENT_DESCENT = {"is_adaptive": False, "momentum": 0.0}


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.inner = nn.Conv2d(4, 4, 3, padding=1)
        self.out = nn.Linear(16, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.stem(x))
        x = torch.relu(x + self.inner(x))
        result: torch.Tensor = self.out(torch.max_pool2d(x, 2).flatten(1))
        return result


IMAGES = torch.zeros(2, 1, 4, 4, dtype=torch.float64)


def perceptron() -> nn.Module:
    net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 5), nn.ReLU(), nn.Linear(5, 3))
    return net.double()


FEATURES = torch.randn(20, 6, dtype=torch.float64)


def test_rows_of_all_that_writes_a_unit_are_one_group() -> None:
    module = Residual().double()
    run = attach(module, GroupShrinkage(granularity="unit"), example=IMAGES)
    stem, inner = module.stem.weight, module.inner.weight
    # both sides of the sum have 9 and 36 weights for each unit
    norms = [(stem[k].square().sum() + inner[k].square().sum()).sqrt() for k in range(4)]
    assert run.penalty_value() == pytest.approx(float(sum(norms)) * 45**0.5)


def test_larger_flops_are_larger_strengths() -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 5), nn.Linear(5, 1))
    image = torch.zeros(2, 1, 4, 4)
    run = attach(module, GroupShrinkage(granularity="unit", flops_power=0.5), example=image)
    # a filter has 9 weights at 4 positions, and 4 columns of 5; a neuron 8 weights and one reader
    flops = torch.tensor([56.0] * 2 + [9.0] * 5)
    sizes = torch.tensor([9.0] * 2 + [8.0] * 5)
    expected = (sizes * flops / flops.mean()).sqrt()
    torch.testing.assert_close(run._kinds[0].factors, expected)


def test_prox_and_gradient_descent_with_momentum_settle_at_the_group_lasso() -> None:
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(40, 6, generator=generator, dtype=torch.float64)
    y = X[:, :2] @ torch.tensor([1.0, -2.0], dtype=torch.float64)
    module = nn.Linear(6, 1, bias=False).double()
    options = GroupShrinkage(granularity="input", prox_every=1)
    run = attach(module, options, alpha=0.2, is_adaptive=False, momentum=0.9)
    optimizer = torch.optim.SGD(run.learned()[:1], lr=0.02, momentum=0.9)
    run.rate = 0.02
    for _ in range(600):
        run.parameters.weight_gradient.copy_(X.T @ (X @ run.weights - y) / 40)
        optimizer.step()
        run.after_step()
    slope = X.T @ (X @ run.weights - y) / 40
    used = run.weights != 0
    assert used.tolist() == [True, True, False, False, False, False]
    torch.testing.assert_close(slope[used], -0.2 * run.weights[used].sign(), atol=1e-5, rtol=0)


def test_rates_of_gradient_descent_are_left_as_they_are() -> None:
    run = attach(perceptron(), GroupShrinkage(), example=FEATURES, **GRADIENT_DESCENT)
    assert [phase.learning_rate for phase in run.phases] == [1.0, 1.0]


def test_no_layer_is_emptied() -> None:
    module = perceptron()
    largest = [int(module[i].weight.norm(dim=1).argmax()) for i in (0, 2)]
    run = attach(module, GroupShrinkage(granularity="unit"), example=FEATURES, **GRADIENT_DESCENT)
    run.shrink(1e3, 1.0)
    left = [module[i].weight.any(dim=1).nonzero().squeeze(1).tolist() for i in (0, 2)]
    assert left == [[largest[0]], [largest[1]]]
    with pytest.warns(ConvergenceWarning, match=r"no unit of '0', '2' would be left"):
        run.begin_phase(run.phases[-1], NO_PROBE)
    assert [int((module[i].bias != 0).sum()) for i in (0, 2)] == [1, 1]


@pytest.mark.parametrize("measure", ["target_flops", "target_units", "target_sparsity"])
@pytest.mark.parametrize("options", [GroupShrinkage(granularity="unit"), GroupShrinkage()])
def test_targets_are_met_by_whole_units(options: Sparsifier, measure: str) -> None:
    module = perceptron()
    run = attach(module, options, example=FEATURES, **{measure: 0.5}, **GRADIENT_DESCENT)
    run.begin_phase(run.phases[-1], NO_PROBE)
    run.finalize()
    widths = [int(module[i].weight.any(dim=1).sum()) for i in (0, 2)]
    if measure == "target_units":
        assert sum(widths) in (5, 6)
        return
    left = sum(int(torch.count_nonzero(module[i].weight)) for i in (0, 2, 4)) / 103
    # a unit of the first layer has at most 11 weights
    assert 0.5 - 11 / 103 <= left <= 0.5


@pytest.mark.parametrize("granularity", ["input", "layer"])
def test_multiplications_left_by_groups_that_are_no_units(granularity: str) -> None:
    module = Residual().double()
    options = GroupShrinkage(granularity=granularity)
    run = attach(module, options, example=IMAGES, target_flops=0.6, **GRADIENT_DESCENT)
    run.begin_phase(run.phases[-1], NO_PROBE)
    run.finalize()
    flops, dense = compact(module.eval(), IMAGES).multiply_adds
    # convolutions are applied at 16 positions
    assert dense == 16 * (36 + 144) + 48
    # three of the four channels would leave .602
    assert 0.2 * dense <= flops <= 0.6 * dense
    if granularity == "layer":
        assert not module.inner.weight.any()
        assert not module.inner.bias.any()


def test_a_target_that_cannot_be_met_is_refused() -> None:
    with pytest.raises(ValueError, match=r"target_flops=0\.6 counts flops.*granularity='unit'"):
        attach(
            Residual().double(),
            GroupShrinkage(granularity="shape"),
            example=IMAGES,
            target_flops=0.6,
        )
    with pytest.raises(ValueError, match=r"Ask for target_flops=0\.\d+ at least"):
        attach(
            perceptron(), GroupShrinkage(granularity="unit"), example=FEATURES, target_flops=0.05
        )
    with pytest.raises(ValueError, match="granularity='unit'"):
        attach(perceptron(), GroupShrinkage(granularity="input"), target_units=0.5)


@pytest.mark.parametrize(
    "options",
    [
        GroupShrinkage(granularity="unit", flops_power=0.5),
        GroupShrinkage(granularity="both"),
        StructuredSparsity(shape_strength=0.5),
        IntrinsicSparseStructures(),
    ],
)
def test_penalties_go_on_in_a_smaller_module(options: Sparsifier) -> None:
    """What is left shrinks as in the module with zeros."""
    module = perceptron()
    with torch.no_grad():
        for unit in (1, 4, 6):
            module[0].weight[unit] = module[2].weight[:, unit] = 0.0
        module[2].weight[3] = module[4].weight[:, 3] = 0.0
    small = copy.deepcopy(module)
    words: dict[str, Any] = {"example": FEATURES, "target_flops": 0.3, **GRADIENT_DESCENT}
    masked, compacted = (attach(net, options, **words) for net in (module, small))
    assert take_out(compacted) is not None
    assert [small[i].weight.shape[0] for i in (0, 2)] == [5, 4]
    assert compacted.share_left() == pytest.approx(masked.share_left())
    assert compacted.penalty_value() == pytest.approx(masked.penalty_value(), rel=1e-12)
    for run in (masked, compacted):
        run.shrink(0.01, 1.0)
    torch.testing.assert_close(
        small[0].weight, module[0].weight[module[0].weight.any(1)], atol=1e-12, rtol=0
    )
    for run in (masked, compacted):
        run.begin_phase(run.phases[-1], NO_PROBE)
    torch.testing.assert_close(small(FEATURES), module(FEATURES), atol=1e-12, rtol=0)


@pytest.mark.parametrize("granularity", ["unit", "input"])
def test_sorted_norms_of_units(granularity: str) -> None:
    module = perceptron()
    run = attach(
        module, OscarShrinkage(granularity=granularity, pairwise=0.0), example=FEATURES, alpha=0.1
    )
    axis = {"unit": 0, "input": 1}[granularity]
    layers = (0, 2) if granularity == "unit" else (0, 2, 4)
    expected = 0.0
    for i in layers:
        w = module[i].weight.detach().movedim(axis, 0).flatten(1)
        expected += float(w.norm(dim=1).sum()) * w.shape[1] ** 0.5
    assert run.penalty_value() == pytest.approx(expected)


def test_units_are_removed_by_gradient_descent_in_an_estimator() -> None:
    X, y = load_digits(return_X_y=True)
    model = SparseMLPClassifier(
        (40, 20),
        sparsifier="group",
        granularity="unit",
        target_units=0.4,
        compact_during=True,
        solver="sgd",
        learning_rate_init=0.05,
        max_iter=12,
        random_state=0,
    )
    with torch.enable_grad(), pytest.warns(ConvergenceWarning):
        model.fit(X[:600] / 16, y[:600])
    assert model.score(X[:600] / 16, y[:600]) > 0.8
    assert 22 <= sum(model.architecture_[1:-1]) <= 24
