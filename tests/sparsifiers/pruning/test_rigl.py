"""Moving connections: densities, exchange by definition, and when it ends."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from attached import NO_PROBE, attach, backward
from torch import nn

from sksparse.sparsifiers import RigL
from sksparse.sparsifiers.masks._layer_densities import (
    apportion,
    erdos_renyi_counts,
    uniform_counts,
)
from sksparse.sparsifiers.pruning._rigl import exchange

pytestmark = pytest.mark.usefixtures("untraced")


def test_erdos_renyi_densities_follow_the_dimensions() -> None:
    shapes = [(300, 784), (100, 300), (10, 100), (20, 10, 5, 5)]
    total = 10_000
    counts = erdos_renyi_counts(shapes, total)
    assert sum(counts) == total
    unit = [n / sum(shape) for n, shape in zip(counts, shapes, strict=True)]
    assert max(unit) / min(unit) == pytest.approx(1, abs=0.02)


def test_a_layer_that_would_be_overfull_is_dense() -> None:
    counts = erdos_renyi_counts([(100, 100), (2, 100)], 5000)
    assert counts == [4800, 200]
    assert erdos_renyi_counts([(3, 4), (2, 3)], 18) == [12, 6]
    assert erdos_renyi_counts([(3, 4), (2, 3)], 0) == [0, 0]


def test_uniform_densities() -> None:
    assert uniform_counts([(30, 10), (10, 10)], 101) == [76, 25]


@pytest.mark.parametrize("total", [0, 1, 7, 11, 12])
def test_apportioned_numbers_sum_to_the_total(total: int) -> None:
    counts = apportion([2.6, 0.4, 8.1], total, [3, 1, 8])
    assert sum(counts) == total
    assert all(0 <= n <= most for n, most in zip(counts, [3, 1, 8], strict=True))


def test_exchange_drops_the_smallest_and_grows_where_the_gradient_is_largest() -> None:
    mask = torch.tensor([1.0, 1, 1, 1, 0, 0, 0, 0])
    weights = torch.tensor([0.1, -2.0, 3.0, -0.2, 0, 0, 0, 0])
    gradient = torch.tensor([9.0, 0, 0, 9, 0.1, -5, 0.2, 3])
    exchange(mask, weights, gradient, 0.5)
    assert mask.tolist() == [0, 1, 1, 0, 0, 1, 0, 1]
    assert weights.tolist() == pytest.approx([0, -2, 3, 0, 0, 0, 0, 0])


def test_no_more_is_grown_than_is_free() -> None:
    mask, weights = torch.tensor([1.0, 1, 1, 0]), torch.tensor([3.0, 1, 2, 0])
    exchange(mask, weights, torch.ones(4), 1.0)
    assert mask.tolist() == [1, 0, 1, 1]


def test_connections_move_at_a_cosine_and_then_stay(module: nn.Module) -> None:
    sparsifier = RigL(update_every=5, densities="uniform", drop_fraction=0.5)
    run = attach(module, sparsifier, target_sparsity=0.5)
    move, settle = run.phases
    assert (move.epochs, settle.epochs) == (15, 5)
    optimizer = torch.optim.Adam(run.learned(), lr=0.01)
    for phase in run.phases:
        run.begin_phase(phase, NO_PROBE)
        for batch in range(1, phase.epochs * 10 + 1):
            before = run.mask.clone()
            backward(run, module, torch.randn(8, 12))
            grown = (run.mask > 0) & (before == 0)
            share = 0.25 * (1 + math.cos(math.pi * batch / 150))
            moves = phase.name == "move" and batch % 5 == 0 and batch < 150
            assert int(grown[:120].sum()) == (int(share * 60) if moves else 0)
            assert (run.weights[grown] == 0).all()
            optimizer.step()
            run.after_step()
            assert (run.weights[run.mask == 0] == 0).all()
            assert int(run.mask.sum()) == 80
    run.finalize()
    assert int(torch.count_nonzero(run.weights)) == 80


def test_a_grown_connection_starts_with_moments_of_its_own_gradients(module: nn.Module) -> None:
    """Its first step is one of an ordinary update, not of a fresh or stale optimiser."""
    run = attach(module, RigL(update_every=1000), target_sparsity=0.5)
    run.begin_phase(run.phases[0], NO_PROBE)
    optimizer = torch.optim.Adam(run.learned(), lr=0.01)
    for _ in range(60):
        backward(run, module, torch.randn(8, 12))
        optimizer.step()
        run.after_step()
    pruned = run.mask == 0
    run.mask.fill_(1.0)
    backward(run, module, torch.randn(8, 12))
    optimizer.step()
    run.after_step()
    assert 0 < run.weights[pruned].abs().max() < 0.02


@pytest.mark.parametrize("options", [{"densities": "er"}, {"drop_fraction": 1.5}])
def test_bad_options_are_named(module: nn.Module, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        attach(module, RigL(**options))
