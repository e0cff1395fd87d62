"""Movement pruning: scores by their definition, masks by the scores."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from attached import NO_PROBE, attach, backward
from torch import nn

from sksparse.sparsifiers import Movement

pytestmark = pytest.mark.usefixtures("untraced")


def test_scores_are_minus_the_sums_of_weight_times_gradient(module: nn.Module) -> None:
    run = attach(module, Movement(update_every=5), target_sparsity=0.5)
    expected = torch.zeros(160)
    optimizer = torch.optim.Adam(run.learned(), lr=0.01)
    for phase in run.phases[:2]:
        run.begin_phase(phase, NO_PROBE)
        optimizer = torch.optim.Adam(run.learned(), lr=0.01)
        for _ in range(40):
            learned = run.latent.data.clone()
            run.before_batch()
            run.parameters.zero_grad()
            with torch.enable_grad():
                module(torch.randn(8, 12)).square().mean().backward()
            expected -= learned * run.parameters.weight_gradient
            run.after_backward()
            optimizer.step()
            run.after_step()
    torch.testing.assert_close(run.scores, expected)


def test_masked_weights_keep_their_values_and_come_back(module: nn.Module) -> None:
    run = attach(module, Movement(), target_sparsity=0.5)
    for phase in run.phases[:2]:
        run.begin_phase(phase, NO_PROBE)
    run._batch = run._n_batches
    run.scores.copy_(torch.arange(160.0))
    run.cut()
    values = run.latent.data[:80].clone()
    optimizer = torch.optim.SGD(run.learned(), lr=0.1)
    backward(run, module, torch.randn(8, 12))
    assert (run.weights[:80] == 0).all()
    assert run.density() == pytest.approx(0.5)
    optimizer.step()
    assert torch.equal(run.latent.data[:80], values)
    run.scores.neg_()
    run.cut()
    run.before_evaluation()
    assert torch.equal(run.weights[:80], values)
    assert (run.weights[80:] == 0).all()


def test_small_weights_that_grow_are_kept_and_large_ones_that_shrink_are_not() -> None:
    module = nn.Linear(2, 1, bias=False)
    module.weight.data = torch.tensor([[2.0, 0.1]])
    run = attach(module, Movement(), target_sparsity=0.5)
    run.begin_phase(run.phases[0], NO_PROBE)
    run.parameters.weight_gradient.copy_(torch.tensor([1.0, -1.0]))
    run.after_backward()
    run.begin_phase(run.phases[-1], NO_PROBE)
    assert run.weights.tolist() == pytest.approx([0.0, 0.1])


@pytest.mark.parametrize("options", [{"update_every": 0}, {"sparsify_fraction": 1.0}])
def test_bad_options_are_named(module: nn.Module, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        attach(module, Movement(**options))
