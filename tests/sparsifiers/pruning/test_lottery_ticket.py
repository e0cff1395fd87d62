"""Lottery tickets: counts by the rates of the paper, rewinding bit for bit."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
import torch
from attached import NO_PROBE, attach, backward
from torch import nn

from sksparse.sparsifiers import LotteryTicket
from sksparse.sparsifiers.pruning._lottery_ticket import Rates

pytestmark = pytest.mark.usefixtures("untraced")


def train(run: Any, module: nn.Module, epochs: int, steps: int = 10) -> None:
    optimizer = torch.optim.Adam(run.learned(), lr=0.05)
    for _ in range(epochs * steps):
        backward(run, module, torch.randn(8, 12))
        optimizer.step()
        run.after_step()


def rounds(run: Any, module: nn.Module) -> Iterator[torch.Tensor]:
    """The weights at the beginning of each round."""
    for phase in run.phases:
        run.begin_phase(phase, NO_PROBE)
        if phase.strength > 0:
            yield run.weights.clone()
        train(run, module, phase.epochs)
    run.finalize()


def test_remaining_weights_follow_the_rates(module: nn.Module) -> None:
    run = attach(module, LotteryTicket(n_rounds=5))
    for r, (hidden, output) in enumerate(run.counts, start=1):
        assert hidden == pytest.approx(120 * 0.8**r, abs=1)
        assert output == pytest.approx(40 * 0.9**r, abs=1)


def test_a_target_divides_into_rounds_of_about_the_rate(module: nn.Module) -> None:
    run = attach(module, LotteryTicket(), target_sparsity=0.9, max_iter=100)
    assert sum(run.counts[-1]) == 16
    left = [160, *(sum(counts) for counts in run.counts)]
    assert all(0.78 < b / a < 1 for a, b in pairwise(left))


@pytest.mark.parametrize("sparsity", [0.0, 0.123, 0.5, 0.99, 1 - 1e-9])
@pytest.mark.parametrize("n_rounds", [None, 1, 7])
@pytest.mark.parametrize("scope", ["layer", "global"])
def test_target_is_met_to_one_weight(
    module: nn.Module, sparsity: float, n_rounds: int | None, scope: str
) -> None:
    run = attach(module, LotteryTicket(n_rounds=n_rounds, scope=scope), target_sparsity=sparsity)
    for phase in run.phases:
        run.begin_phase(phase, NO_PROBE)
    run.finalize()
    assert int(torch.count_nonzero(run.weights)) == 160 - round(160 * sparsity)


def test_alpha_is_the_logarithm_of_the_compression(module: nn.Module) -> None:
    left = [sum(attach(module, LotteryTicket(), alpha=a).counts[-1]) for a in (0, 1, 2, 4, 50)]
    assert left == [160, 59, 22, 3, 0]


@pytest.mark.parametrize("max_iter", [1, 2, 7, 23, 200])
def test_all_trainings_are_equally_long(module: nn.Module, max_iter: int) -> None:
    run = attach(module, LotteryTicket(), target_sparsity=0.9, max_iter=max_iter)
    epochs = [phase.epochs for phase in run.phases]
    assert sum(epochs) <= max_iter
    assert len(set(epochs[1:])) == 1
    assert max_iter == 1 or epochs[0] == epochs[1]
    assert len({phase.learning_rate for phase in run.phases}) == 1


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_survivors_are_the_initial_weights_and_masks_are_nested(
    module: nn.Module, scope: str
) -> None:
    run = attach(module, LotteryTicket(n_rounds=4, scope=scope))
    initial, bias = run.weights.clone(), module[0].bias.detach().clone()  # type: ignore[operator, union-attr]
    before = torch.ones_like(initial, dtype=torch.bool)
    for weights in rounds(run, module):
        left = weights != 0
        assert torch.equal(weights[left], initial[left])
        assert torch.equal(run.others[: len(bias)].data, bias)
        assert not (left & ~before).any()
        before = left
    assert torch.equal(run.weights != 0, before)


def test_rewinding_to_an_early_epoch(module: nn.Module) -> None:
    run = attach(module, LotteryTicket(n_rounds=2, rewind_to=3))
    dense = run.phases[0]
    run.begin_phase(dense, NO_PROBE)
    train(run, module, 3)
    early = run.weights.clone()
    train(run, module, dense.epochs - 3)
    for phase in run.phases[1:]:
        run.begin_phase(phase, NO_PROBE)
        left = run.weights != 0
        assert torch.equal(run.weights[left], early[left])
        train(run, module, phase.epochs)


def test_final_weights_are_kept_and_tuned_at_a_lower_rate(module: nn.Module) -> None:
    sparsifier = LotteryTicket(n_rounds=1, rewind_to="final", rewind_learning_rate=False)
    run = attach(module, sparsifier)
    train_phase, tune = run.phases
    assert tune.learning_rate == pytest.approx(0.1 * train_phase.learning_rate)
    run.begin_phase(train_phase, NO_PROBE)
    train(run, module, 2)
    trained = run.weights.clone()
    run.begin_phase(tune, NO_PROBE)
    left = run.weights != 0
    assert torch.equal(run.weights[left], trained[left])


def test_the_control_has_the_same_masks_and_other_weights(module: nn.Module) -> None:
    run = attach(module, LotteryTicket(n_rounds=3, reinit=True))
    initial = run.weights.clone()
    *earlier, last = rounds(run, module)
    for weights in earlier:
        left = weights != 0
        assert torch.equal(weights[left], initial[left])
    left = last != 0
    assert not (last[left] == initial[left]).all()
    assert set(last[:120][left[:120]].tolist()) <= set(initial[:120].tolist())
    assert set(last[120:][left[120:]].tolist()) <= set(initial[120:].tolist())


def test_running_statistics_are_rewound() -> None:
    module = nn.Sequential(nn.Linear(12, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 2))
    run = attach(module, LotteryTicket(n_rounds=1))
    run.begin_phase(run.phases[0], NO_PROBE)
    train(run, module, 1)
    assert module[1].running_mean.abs().sum() > 0  # type: ignore[operator, union-attr]
    run.begin_phase(run.phases[1], NO_PROBE)
    assert module[1].running_mean.abs().sum() == 0  # type: ignore[operator, union-attr]


def test_rounds_to_a_count_invert_the_quotas() -> None:
    rates = Rates([1000, 300, 50], 0.2)
    for rounds_ in (0.0, 1.0, 3.7, 12.0):
        assert rates.rounds_to(sum(rates.quotas(rounds_))) == pytest.approx(rounds_, abs=1e-6)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options", [{"n_rounds": 0}, {"rate": 1.0}, {"rewind_to": "early"}, {"rewind_to": -1}]
)
def test_bad_options_are_named(module: nn.Module, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        attach(module, LotteryTicket(**options))
