"""Magnitude pruning: masks by their definition, schedules, and zeros that stay zero."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from sksparse.sparsifiers import Magnitude, SparsifierRun, Task, prunable_tensors
from sksparse.sparsifiers._masks import keep_above_deviation, keep_top


def make_run(
    module: nn.Module, sparsifier: Magnitude | None = None, **changes: object
) -> SparsifierRun:
    options = {
        "alpha": None,
        "target_sparsity": None,
        "weight_decay": 0.0,
        "learning_rate": 1e-2,
        "max_iter": 23,
        "steps_per_epoch": 10,
        "n_samples": 100,
    }
    task = Task(**{**options, **changes})  # type: ignore[arg-type]
    return (sparsifier or Magnitude()).attach(module, task)


@pytest.fixture
def module() -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    net = nn.Sequential(nn.Conv1d(2, 3, 3), nn.Flatten(), nn.BatchNorm1d(12), nn.Linear(12, 4))
    for p in net.parameters():
        nn.init.normal_(p, generator=generator)
    return net


def test_only_tensors_of_two_or_more_dimensions_are_prunable(module: nn.Module) -> None:
    assert list(prunable_tensors(module)) == ["0.weight", "3.weight"]


@pytest.mark.parametrize("quality", [0.0, 0.25, 1.0, 2.0])
def test_threshold_is_quality_times_standard_deviation(module: nn.Module, quality: float) -> None:
    tensors = [w.detach() for w in prunable_tensors(module).values()]
    sizes = [w.numel() for w in tensors]
    keep = keep_above_deviation(torch.cat([w.flatten() for w in tensors]), sizes, quality)
    for w, part in zip(tensors, keep.split(sizes), strict=True):
        expected = np.abs(w.numpy()) >= quality * w.numpy().std()
        np.testing.assert_array_equal(part.view_as(w).numpy(), expected)


def test_a_tensor_that_is_pruned_whole_stays_so() -> None:
    assert not keep_above_deviation(torch.zeros(7), [3, 4], 100.0).any()


@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.5, 0.97])
@pytest.mark.parametrize("per_tensor", [False, True])
def test_ranking_keeps_the_exact_number(sparsity: float, per_tensor: bool) -> None:
    sizes = [18, 48]
    scores = torch.rand(66, generator=torch.Generator().manual_seed(0))
    keep = keep_top(scores, sparsity, sizes=sizes, per_tensor=per_tensor)
    lengths = sizes if per_tensor else [66]
    for part, kept_part in zip(scores.split(lengths), keep.split(lengths), strict=True):
        kept, dropped = part[kept_part], part[~kept_part]
        assert len(dropped) == round(sparsity * len(part))
        assert not len(dropped) or kept.min() >= dropped.max()


def test_equal_scores_still_give_the_exact_number() -> None:
    assert keep_top(torch.zeros(21), 0.5, sizes=[21]).sum() == 21 - round(10.5)


@pytest.mark.parametrize("max_iter", [1, 2, 23, 200])
def test_phases_use_the_epochs_exactly(module: nn.Module, max_iter: int) -> None:
    run = make_run(module, max_iter=max_iter)
    assert sum(p.epochs for p in run.phases) == max_iter
    strengths = [p.strength for p in run.phases]
    assert strengths == sorted(strengths)
    assert strengths[-1] == 1.0


def test_pruned_weights_stay_zero_through_adam_and_biases_are_never_pruned(
    module: nn.Module,
) -> None:
    run: SparsifierRun = make_run(module, target_sparsity=0.6, weight_decay=0.1)
    optimizer = torch.optim.Adam(run.learned(), lr=0.1)
    generator = torch.Generator().manual_seed(1)
    probe: Any = None
    pruned: dict[str, torch.Tensor] = {}
    for phase in run.phases:
        with torch.no_grad():
            run.begin_phase(phase, probe)
        now = {n: w.detach() == 0 for n, w in prunable_tensors(module).items()}
        assert all((now[n] | ~pruned[n]).all() for n in pruned)
        pruned = now
        for _ in range(5):
            run.parameters.zero_grad()
            module(torch.randn(8, 2, 6, generator=generator)).square().sum().backward()
            with torch.no_grad():
                run.after_backward()
                optimizer.step()
                run.after_step()
            for n, w in prunable_tensors(module).items():
                assert (w[pruned[n]] == 0).all()
    run.finalize()
    weights = prunable_tensors(module).values()
    assert sum(int((w == 0).sum()) for w in weights) == round(0.6 * (18 + 48))
    assert all((p != 0).all() for p in module.parameters() if p.ndim == 1)


@pytest.mark.parametrize("options", [{"n_rounds": 0}, {"scope": "net"}, {"train_fraction": 1.0}])
def test_bad_options_are_named(module: nn.Module, options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        make_run(module, Magnitude(**options))  # type: ignore[arg-type]
