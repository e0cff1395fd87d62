"""OSCAR on weights and on norms: penalty, prox, targets."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from attached import NO_PROBE, attach_with_unit_squares
from torch import nn

from sksparse.penalties import SortedL1, oscar_weights
from sksparse.sparsifiers import GroupShrinkage, OscarShrinkage

attach = partial(attach_with_unit_squares, alpha=0.01)


pytestmark = pytest.mark.usefixtures("untraced")


@pytest.fixture
def module() -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    for p in net.parameters():
        nn.init.normal_(p, generator=generator)
    return net


def test_penalty_is_the_pairwise_one(module: nn.Module) -> None:
    value = attach(module, OscarShrinkage(pairwise=0.3)).penalty_value()
    expected = 0.0
    for layer in (module[0], module[2]):
        w = layer.weight.abs().flatten().tolist()
        pairs = sum(max(w[i], w[j]) for i in range(len(w)) for j in range(i))
        expected += 0.7 * sum(w) + 0.3 / (len(w) - 1) * pairs
    assert value == pytest.approx(expected, rel=1e-5)


def test_step_is_the_prox_of_the_penalty_of_the_linear_half(module: nn.Module) -> None:
    run = attach(module, OscarShrinkage(pairwise=0.6))
    before = [layer.weight.double().numpy().ravel().copy() for layer in (module[0], module[2])]
    run.shrink(0.9, 0.8)
    for layer, v in zip((module[0], module[2]), before, strict=True):
        expected = SortedL1(oscar_weights(len(v), 0.6)).prox(v, 0.72)
        np.testing.assert_allclose(layer.weight.numpy().ravel(), expected, atol=1e-6)


@pytest.mark.parametrize(
    "v, expected",
    [
        ([3, -2.9, 1, 0.2, -0.1], [2.3, -2.3, 0.5, 0, 0]),
        ([3, -2.95, 1, 0.2, -0.1], [2.325, -2.325, 0.5, 0, 0]),
    ],
)
def test_prox_by_hand(v: list[float], expected: list[float]) -> None:
    # weights .3 + .1 (5 - i) are .7 times those that fall from 1 to 1 - 4/7
    module = nn.Linear(5, 1, bias=False)
    module.weight.copy_(torch.tensor([v]))
    attach(module, OscarShrinkage(pairwise=4 / 7)).shrink(0.7, 1.0)
    torch.testing.assert_close(module.weight.detach(), torch.tensor([expected]), atol=1e-6, rtol=0)


def test_without_pairs_norms_shrink_as_in_the_group_lasso(module: nn.Module) -> None:
    other = copy.deepcopy(module)
    attach(module, OscarShrinkage(pairwise=0.0, granularity="input")).shrink(0.4, 0.9)
    attach(other, GroupShrinkage(granularity="input")).shrink(0.4, 0.9)
    for a, b in zip(module.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("sparsity", [0.0, 0.37, 0.9])
@pytest.mark.parametrize("granularity", ["weight", "input"])
def test_target_is_met_to_one_weight(module: nn.Module, granularity: str, sparsity: float) -> None:
    run = attach(module, OscarShrinkage(granularity=granularity), target_sparsity=sparsity)
    run.begin_phase(run.phases[-1], NO_PROBE)
    run.finalize()
    left = sum(int(torch.count_nonzero(module[i].weight)) for i in (0, 2))
    assert left == 45 - round(sparsity * 45)


@pytest.mark.parametrize("options", [{"pairwise": 2}, {"granularity": "both"}])
def test_bad_options_are_named(module: nn.Module, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        attach(module, OscarShrinkage(**options))
