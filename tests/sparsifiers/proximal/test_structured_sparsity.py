"""Structured sparsity learning: groups of every kind, exact blocks, subgradients, depth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from attached import attach
from sklearn.datasets import load_digits
from torch import nn

from sksparse.neural_network import SparseMLPClassifier
from sksparse.sparsifiers import StructuredSparsity

pytestmark = pytest.mark.usefixtures("untraced")

IMAGES = torch.zeros(2, 2, 6, 6)
PLAIN = {"is_adaptive": False, "momentum": 0.0}


def convolutions() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(16, 5)
    )


def sum_of_norms(w: torch.Tensor, *axes: int) -> float:
    """The sum over the groups of one number for each position on the axes."""
    others = [i for i in range(w.ndim) if i not in axes]
    return float(w.square().sum(others).sqrt().sum())


def test_norms_are_those_of_filters_channels_and_shapes() -> None:
    module = convolutions()
    first, second, last = (module[i].weight.detach() for i in (0, 2, 4))
    filters = sum_of_norms(first, 0) + sum_of_norms(second, 0)
    channels = sum_of_norms(first, 1) + sum_of_norms(second, 1) + sum_of_norms(last, 1)
    shapes = sum_of_norms(first, 1, 2, 3) + sum_of_norms(second, 1, 2, 3) + sum_of_norms(last, 1)
    options = {
        "filter_strength": 0.5,
        "channel_strength": 2.0,
        "shape_strength": 3.0,
    }
    run = attach(module, StructuredSparsity(**options), example=IMAGES, alpha=0.1)
    assert run.penalty() == pytest.approx(0.1 * (0.5 * filters + 2 * channels + 3 * shapes))
    for name, value in {"unit": filters, "input": channels, "shape": shapes}.items():
        only = attach(module, StructuredSparsity(granularity=name), example=IMAGES)
        assert only.penalty_value() == pytest.approx(value)


def test_rows_are_zero_or_not_as_blocks() -> None:
    module = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    run = attach(module, StructuredSparsity(granularity="unit"), example=torch.zeros(2, 6), **PLAIN)
    before = module[0].weight.clone()
    threshold = float(before.norm(dim=1).median()) * 1.001
    run.shrink(threshold, 1.0)
    norms = before.norm(dim=1, keepdim=True)
    expected = before * (1 - threshold / norms).clamp(min=0)
    torch.testing.assert_close(module[0].weight.detach(), expected)
    assert sorted(torch.count_nonzero(module[0].weight, dim=1).tolist()) == [0, 0, 0, 6, 6]


def test_subgradients_are_those_of_the_penalty() -> None:
    module = convolutions().double()
    options = StructuredSparsity(solver="subgradient", shape_strength=0.5)
    run = attach(module, options, example=IMAGES.double(), alpha=0.1, weight_decay=0.2)
    run.parameters.zero_grad()
    run.after_backward()
    found = run.latent_gradient.clone()
    step = 1e-6
    for at in range(0, run.n_weights, 37):
        values = []
        for sign in (1, -1):
            run.weights[at] += sign * step
            values.append(run.penalty())
            run.weights[at] -= sign * step
        assert float(found[at]) == pytest.approx((values[0] - values[1]) / (2 * step), abs=1e-5)


def test_small_weights_are_zeroed_after_a_subgradient() -> None:
    module = convolutions()
    run = attach(module, StructuredSparsity(solver="subgradient", threshold=0.1), example=IMAGES)
    before = run.weights.clone()
    run.after_step()
    run.before_evaluation()
    torch.testing.assert_close(run.weights, torch.where(before.abs() < 0.1, 0.0, before))


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 6)
        self.branch = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 6))
        self.last = nn.Linear(6, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first(x))
        result: torch.Tensor = self.last(x + self.branch(x))
        return result


def test_depth_leaves_a_whole_branch_out() -> None:
    module = Residual()
    X = torch.randn(8, 4)
    run = attach(module, StructuredSparsity(granularity="layer"), example=X, **PLAIN)
    norm = float(
        (module.branch[0].weight.square().sum() + module.branch[3].weight.square().sum()).sqrt()
    )
    assert run.penalty_value() == pytest.approx(norm)
    run.shrink(1.01 * norm, 1.0)
    assert not any(p.any() for p in module.branch.parameters())
    module.eval()
    torch.testing.assert_close(module(X), module.last(torch.relu(module.first(X))))


def test_modules_without_branches_have_no_depth() -> None:
    with pytest.raises(ValueError, match="no layers beside a shortcut"):
        attach(convolutions(), StructuredSparsity(depth_strength=1.0), example=IMAGES)


@pytest.mark.filterwarnings("ignore:The objective still fell")
def test_constant_pixels_lose_their_columns_and_the_smaller_network_is_the_same() -> None:
    X, y = load_digits(return_X_y=True)
    X = X[:600] / 16
    model = SparseMLPClassifier((100, 50), sparsifier="ssl", max_iter=30, random_state=0)
    with torch.enable_grad():
        model.fit(X, y[:600])
        small = model.compacted()
    constant = X.std(axis=0) == 0
    assert constant[0]
    assert not model.coefs_[0][constant].any()
    assert model.architecture_[1] < 100
    assert small.coefs_[0].shape[1] == model.architecture_[1]
    np.testing.assert_allclose(small.predict_proba(X), model.predict_proba(X), atol=1e-6)


@pytest.mark.parametrize(
    "options, named",
    [
        ({"filter_strength": -1}, "filter_strength"),
        ({"solver": "adam"}, "solver"),
        ({"granularity": "weight"}, "granularity"),
        ({"filter_strength": 0, "channel_strength": 0}, "nothing is penalised"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        attach(convolutions(), StructuredSparsity(**options), example=IMAGES)
