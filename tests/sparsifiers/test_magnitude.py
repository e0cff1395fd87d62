"""Magnitude pruning: masks by their definition, schedules, and zeros that stay zero."""

from __future__ import annotations

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
    masks = keep_above_deviation(prunable_tensors(module), quality)
    for name, mask in masks.items():
        w = module.get_parameter(name).detach().numpy()
        np.testing.assert_array_equal(mask.numpy(), np.abs(w) >= quality * w.std())


def test_a_tensor_that_is_pruned_whole_stays_so(module: nn.Module) -> None:
    weights = prunable_tensors(module)
    with torch.no_grad():
        for w in weights.values():
            w.zero_()
    assert not any(mask.any() for mask in keep_above_deviation(weights, 100.0).values())


@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.5, 0.97])
@pytest.mark.parametrize("per_tensor", [False, True])
def test_ranking_keeps_the_exact_number(
    module: nn.Module, sparsity: float, per_tensor: bool
) -> None:
    scores = {n: w.detach().abs() for n, w in prunable_tensors(module).items()}
    masks = keep_top(scores, sparsity, per_tensor=per_tensor)
    parts = [[n] for n in scores] if per_tensor else [list(scores)]
    for names in parts:
        kept = torch.cat([scores[n][masks[n]] for n in names])
        dropped = torch.cat([scores[n][~masks[n]] for n in names])
        assert len(dropped) == round(sparsity * (len(kept) + len(dropped)))
        assert not len(dropped) or kept.min() >= dropped.max()


def test_equal_scores_still_give_the_exact_number() -> None:
    mask = keep_top({"w": torch.zeros(3, 7)}, 0.5, per_tensor=False)["w"]
    assert mask.sum() == 21 - round(10.5)


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
    optimizer = torch.optim.Adam(module.parameters(), lr=0.1)
    generator = torch.Generator().manual_seed(1)
    pruned: dict[str, torch.Tensor] = {}
    for phase in run.phases:
        run.begin_phase(phase)
        now = {n: w.detach() == 0 for n, w in prunable_tensors(module).items()}
        assert all((now[n] | ~pruned[n]).all() for n in pruned)
        pruned = now
        for _ in range(5):
            optimizer.zero_grad()
            module(torch.randn(8, 2, 6, generator=generator)).square().sum().backward()
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
