"""Magnitude pruning: masks by their definition, schedules, and zeros that stay zero."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from attached import NO_PROBE, attach
from torch import Tensor, nn

from sksparse.sparsifiers import Magnitude, Phase, Probe, SparsifierRun, prunable_tensors
from sksparse.sparsifiers.masks._keep import keep_above_deviation, keep_top
from sksparse.sparsifiers.parameters._flat_parameters import FlatParameters
from sksparse.sparsifiers.structure._dead_units import live_weights
from sksparse.sparsifiers.structure._dropout_rates import corrected_rate
from sksparse.sparsifiers.structure._weight_graph import WeightGraph

SCHEDULES = ["one_shot", "iterative", "gradual"]
CRITERIA = ["magnitude", "activation", "taylor", "gradient", "obd", "obs"]
SETTINGS = [
    (criterion, schedule)
    for criterion in CRITERIA
    for schedule in SCHEDULES
    if (criterion, schedule) != ("obs", "gradual")
]


def make_run(
    module: nn.Module, sparsifier: Magnitude | None = None, **changes: object
) -> SparsifierRun:
    return attach(module, sparsifier or Magnitude(), **{"max_iter": 23, **changes})


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
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_phases_use_the_epochs_exactly(module: nn.Module, max_iter: int, schedule: str) -> None:
    run = make_run(module, Magnitude(schedule=schedule), max_iter=max_iter)
    assert sum(p.epochs for p in run.phases) == max_iter
    assert run.phases[-1].strength == 1.0


def test_pruned_weights_stay_zero_through_adam_and_biases_are_never_pruned(
    module: nn.Module,
) -> None:
    sparsifier = Magnitude(schedule="iterative")
    run: SparsifierRun = make_run(module, sparsifier, target_sparsity=0.6, weight_decay=0.1)
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


class Trainer:
    """A bare training of a module on noise, phase by phase."""

    def __init__(self, module: nn.Module, n_features: int) -> None:
        generator = torch.Generator().manual_seed(1)
        self.module = module
        self.X = torch.randn(64, n_features, generator=generator)
        self.y = self.X[:, :4].argmax(1)
        self.probe = Probe(module, self.batches, self.loss)

    def batches(self) -> Iterator[tuple[Tensor, Tensor, None]]:
        for rows in torch.arange(64).split(16):
            yield self.X[rows], self.y[rows], None

    def loss(self, output: Tensor, y: Tensor, weight: Tensor | None) -> Tensor:
        return nn.functional.cross_entropy(output, y)

    def train(self, run: SparsifierRun, *, interrupt: bool = False) -> Iterator[Phase]:
        with torch.no_grad():
            for phase in run.phases:
                run.begin_phase(phase, self.probe)
                optimizer = torch.optim.Adam(run.learned(), lr=0.01)
                for _ in range(0 if interrupt else phase.epochs):
                    for X, y, _ in self.batches():
                        run.before_batch()
                        run.parameters.zero_grad()
                        with torch.enable_grad():
                            self.loss(self.module(X), y, None).backward()
                        run.after_backward()
                        optimizer.step()
                        run.after_step()
                yield phase
            run.finalize()


def make_chain() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Dropout(0.1), nn.Linear(6, 20), nn.ReLU(), nn.Dropout(0.5), nn.Linear(20, 4)
    )


def n_zeros(module: nn.Module) -> int:
    return sum(int((w == 0).sum()) for w in prunable_tensors(module).values())


@pytest.mark.parametrize("criterion, schedule", SETTINGS)
@pytest.mark.parametrize("interrupt", [False, True])
@pytest.mark.parametrize("sparsity", [0.0, 0.7, 0.99])
def test_target_is_met_to_one_weight(
    criterion: str, schedule: str, sparsity: float, interrupt: bool
) -> None:
    module = make_chain()
    sparsifier = Magnitude(criterion=criterion, schedule=schedule, n_rounds=3, l1=1e-3)
    run = make_run(module, sparsifier, target_sparsity=sparsity, max_iter=10, steps_per_epoch=4)
    for _ in Trainer(module, 6).train(run, interrupt=interrupt):
        pass
    assert n_zeros(module) == round(sparsity * 200)
    if sparsity == 0.7:
        keep = torch.cat([w.flatten() for w in prunable_tensors(module).values()]) != 0
        graph = WeightGraph(module, FlatParameters(module), torch.zeros(2, 6))
        assert torch.equal(live_weights(keep, graph), keep)


@pytest.mark.parametrize("criterion, schedule", SETTINGS)
def test_a_larger_alpha_gives_a_sparser_network(criterion: str, schedule: str) -> None:
    zeros = []
    for alpha in (0.0, 0.3, 1.0, 3.0, 100.0):
        module = make_chain()
        sparsifier = Magnitude(criterion=criterion, schedule=schedule, n_rounds=3)
        run = make_run(module, sparsifier, alpha=alpha, max_iter=10, steps_per_epoch=4)
        for _ in Trainer(module, 6).train(run):
            pass
        zeros.append(n_zeros(module))
    assert zeros == sorted(zeros)
    assert zeros[0] == 0
    assert zeros[-1] == 200


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("scope", ["layer", "erdos_renyi"])
def test_scopes_share_the_weights_out(schedule: str, scope: str) -> None:
    module = make_chain()
    sparsifier = Magnitude(schedule=schedule, scope=scope, remove_dead=False)
    run = make_run(module, sparsifier, target_sparsity=0.7, max_iter=10, steps_per_epoch=4)
    for _ in Trainer(module, 6).train(run):
        pass
    kept = [int((w != 0).sum()) for w in prunable_tensors(module).values()]
    assert kept == {"layer": [36, 24], "erdos_renyi": [31, 29]}[scope]


def test_gradual_sparsity_rises_along_a_cubic_and_weights_come_back() -> None:
    module = make_chain()
    options = Magnitude(update_every=1)
    run = make_run(module, options, target_sparsity=0.8, max_iter=50, steps_per_epoch=4)
    (train, prune, _) = run.phases
    trainer = Trainer(module, 6)
    with torch.no_grad():
        run.begin_phase(train, trainer.probe)
        run.begin_phase(prune, trainer.probe)
        n = prune.epochs * 4
        returned = 0
        generator = torch.Generator().manual_seed(0)
        before = torch.ones(200, dtype=torch.bool)
        for batch in range(n):
            run.before_batch()
            expected = 0.8 * (1 - (1 - batch / n) ** 3)
            now = run.weights != 0
            assert abs(int((~now).sum()) - 200 * expected) <= 0.5
            returned += int((now & ~before).sum())
            before = now
            run.weights.mul_(1 + 0.3 * torch.randn(200, generator=generator))
            run.after_step()
    assert returned > 0


def test_a_weight_comes_back_at_the_value_it_had() -> None:
    module = nn.Linear(2, 1, bias=False)
    module.weight.data.copy_(torch.tensor([[1.0, 2.0]]))
    options = Magnitude(train_fraction=0.0, sparsify_fraction=0.9)
    run = make_run(module, options, target_sparsity=0.5, max_iter=10, steps_per_epoch=1)
    with torch.no_grad():
        run.begin_phase(run.phases[1], Trainer(module, 2).probe)
        for batch in range(8):
            run.before_batch()
            if batch == 3:
                assert run.weights.tolist() == [0.0, 2.0]
                run.weights[1] = 0.5
            run.after_step()
    assert run.weights.tolist() == [1.0, 0.0]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_dropout_is_less_in_retraining_and_restored(schedule: str) -> None:
    module = make_chain()
    run = make_run(module, Magnitude(schedule=schedule), target_sparsity=0.9, max_iter=10)
    for phase in Trainer(module, 6).train(run):
        if phase.strength == 1 and phase.name != "prune":
            for dropout, linear, rate in [(0, 1, 0.1), (3, 4, 0.5)]:
                density = float((module[linear].weight != 0).double().mean())
                assert module[dropout].p == pytest.approx(rate * math.sqrt(density))
    assert (module[0].p, module[3].p) == (0.1, 0.5)


def test_dropout_at_eight_percent_of_the_connections() -> None:
    assert corrected_rate(0.5, 0.08) == pytest.approx(0.14142, abs=5e-6)


@pytest.mark.parametrize("schedule", ["iterative", "gradual"])
def test_l1_is_in_force_until_the_mask_is_final(schedule: str) -> None:
    module = make_chain()
    run = make_run(module, Magnitude(schedule=schedule, l1=0.5), target_sparsity=0.5)
    trainer = Trainer(module, 6)
    with torch.no_grad():
        for phase in run.phases:
            run.begin_phase(phase, trainer.probe)
            run.parameters.zero_grad()
            run.after_backward()
            final = phase is run.phases[-1] or phase == run.phases[-1]
            expected = 0.0 * run.weights if final else 0.5 * run.weights.sign()
            torch.testing.assert_close(run.latent_gradient, expected)
            lasso = 0.0 if final else 0.5 * float(run.weights.abs().sum())
            assert run.penalty() == pytest.approx(lasso)


def test_removal_of_dead_units_keeps_the_output() -> None:
    module = make_chain()
    module.eval()
    # units 0 to 4 have no inputs but emit their biases, units 5 to 9 have no outputs
    module[1].weight.data[:5] = 0.0
    module[1].bias.data[:5] = 2.0
    module[4].weight.data[:, 5:10] = 0.0
    X = torch.randn(30, 6)
    before = module(X)
    run = make_run(module, Magnitude(schedule="one_shot"), alpha=0.0)
    for _ in Trainer(module, 6).train(run, interrupt=True):
        pass
    torch.testing.assert_close(module(X), before, atol=1e-6, rtol=0)
    assert n_zeros(module) == 10 * 10


def test_weights_other_than_of_chains_are_pruned(module: nn.Module) -> None:
    lstm = nn.LSTM(3, 5)
    run = make_run(lstm, target_sparsity=0.5)
    for phase in run.phases:
        run.begin_phase(phase, NO_PROBE)
    run.finalize()
    assert n_zeros(lstm) == round(0.5 * 160)


@pytest.mark.parametrize(
    "options",
    [
        {"n_rounds": 0},
        {"scope": "net"},
        {"train_fraction": 1.0},
        {"criterion": "size"},
        {"schedule": "never"},
        {"update_every": 0},
        {"l1": -1.0},
        {"sparsify_fraction": 0.8},
        {"criterion": "obs"},
        {"scope": "layer", "criterion": "obs", "schedule": "iterative"},
    ],
)
def test_bad_options_are_named(module: nn.Module, options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        make_run(module, Magnitude(**options))  # type: ignore[arg-type]
