"""Network surgery: hysteresis, splicing and how rare changes become."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from attached import NO_PROBE, attach, backward
from torch import nn

from sksparse.sparsifiers import DynamicSurgery

pytestmark = pytest.mark.usefixtures("untraced")


def begin(run: Any) -> None:
    for phase in run.phases[:2]:
        run.begin_phase(phase, NO_PROBE)


def at_the_end(run: Any) -> None:
    """The schedule is over: thresholds and sparsity have their final values."""
    run._batch = run._n_batches


@pytest.mark.parametrize("was_in_use", [0.0, 1.0])
def test_hysteresis(module: nn.Module, was_in_use: float) -> None:
    run = attach(module, DynamicSurgery(c=0.5))
    begin(run)
    at_the_end(run)
    size = run.latent.data[:120].abs()
    threshold = size.mean() + 0.5 * size.std(correction=0)
    run.in_use.fill_(was_in_use)
    values = threshold * torch.tensor([0.0, 0.899, 0.901, 1.0, 1.099, 1.101, 3.0])
    run.latent.data[:7] = values
    run.latent.data[7:14] = -values
    run.cut()
    stays = was_in_use
    assert run.in_use[:7].tolist() == [0, 0, stays, stays, stays, 1, 1]
    assert torch.equal(run.in_use[:7], run.in_use[7:14])


def test_thresholds_are_measured_once_over_weights_that_are_not_zero(module: nn.Module) -> None:
    run = attach(module, DynamicSurgery())
    run.weights[:60] = 0.0
    begin(run)
    size = run.latent.data[60:120].abs()
    expected = (size.mean().item(), size.std(correction=0).item())
    run.latent.data.mul_(10.0)
    at_the_end(run)
    run.cut()
    assert run._moments[0] == pytest.approx(expected)


def test_a_cut_weight_moves_and_comes_back(module: nn.Module) -> None:
    run = attach(module, DynamicSurgery())
    begin(run)
    at_the_end(run)
    run.in_use[5] = 0.0
    before = run.latent.data[5].clone()
    optimizer = torch.optim.SGD(run.learned(), lr=0.1)
    backward(run, module, torch.randn(8, 12))
    assert run.weights[5] == 0
    assert run.latent.grad[5] != 0
    optimizer.step()
    run.after_step()
    assert run.latent.data[5] != before
    run.latent.data[5] = 100.0
    run.cut()
    assert run.in_use[5] == 1


def test_changes_become_rare_as_sigma_says(module: nn.Module) -> None:
    run = attach(module, DynamicSurgery(gamma=0.01, power=2.0), target_sparsity=0.5)
    begin(run)
    run._batch = 50
    probability = 1.5**-2
    changes = 0
    for _ in range(2000):
        run.in_use.fill_(0.25)
        run.cut()
        changes += int(run.in_use[0] != 0.25)
    deviation = (probability * (1 - probability) / 2000) ** 0.5
    assert changes / 2000 == pytest.approx(probability, abs=4 * deviation)


def test_without_thresholds_it_is_plain_gradient_descent(module: nn.Module) -> None:
    X = torch.randn(30, 8, 12)
    plain = nn.Sequential(nn.Linear(12, 10), nn.ReLU(), nn.Linear(10, 4))
    plain.load_state_dict(module.state_dict())
    run = attach(module, DynamicSurgery(update_every=1), alpha=0.0)
    begin(run)
    optimizer = torch.optim.SGD(run.learned(), lr=0.1)
    plain_optimizer = torch.optim.SGD(plain.parameters(), lr=0.1)
    for batch in X:
        backward(run, module, batch)
        optimizer.step()
        run.after_step()
        plain_optimizer.zero_grad()
        with torch.enable_grad():
            plain(batch).square().mean().backward()
        plain_optimizer.step()
    run.before_evaluation()
    for p, q in zip(module.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(p, q)


def test_a_target_is_a_common_factor_of_the_deviations(module: nn.Module) -> None:
    run = attach(module, DynamicSurgery(scope="layer"), target_sparsity=0.8)
    begin(run)
    at_the_end(run)
    run.cut()
    assert run.in_use.sum() == 32
    levels = []
    for w, keep in zip(run.latent.data.split([120, 40]), run.in_use.split([120, 40]), strict=True):
        size = w.abs()
        score = (size / 0.9 - size.mean()) / size.std(correction=0)
        levels.append((score[keep == 0].max(), score[keep == 1].min()))
    assert max(dropped for dropped, _ in levels) <= min(kept for _, kept in levels)


def test_one_threshold_for_all_layers_admits_weights_at_its_upper_edge(
    module: nn.Module,
) -> None:
    run = attach(module, DynamicSurgery(), target_sparsity=0.8)
    begin(run)
    at_the_end(run)
    run.in_use[::2] = 0.0
    before = run.in_use.clone()
    run.cut()
    rank = run.latent.data.abs() / torch.where(before > 0, 0.9, 1.1)
    assert run.in_use.sum() == 32
    assert rank[run.in_use == 0].max() <= rank[run.in_use == 1].min()


def test_cut_weights_are_forgotten_and_others_are_not(module: nn.Module) -> None:
    run = attach(module, DynamicSurgery(splice_decay=0.25, update_every=1), target_sparsity=0.5)
    begin(run)
    at_the_end(run)
    run.after_step()
    values = run.latent.data.clone()
    cut = run.in_use == 0
    run.after_step()
    torch.testing.assert_close(run.latent.data[cut], 0.75 * values[cut])
    assert torch.equal(run.latent.data[~cut], values[~cut])


@pytest.mark.parametrize(
    "options", [{"hysteresis": 1.0}, {"update_every": 0}, {"splice_decay": 2.0}]
)
def test_bad_options_are_named(module: nn.Module, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        attach(module, DynamicSurgery(**options))
