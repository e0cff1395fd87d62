"""Projection to the largest weights: exact counts, ties, and hard thresholding."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from attached import NO_PROBE, attach, backward
from torch import nn

from sksparse.sparsifiers import TopK
from sksparse.sparsifiers.masks._keep import keep_largest

pytestmark = pytest.mark.usefixtures("untraced")


def test_exactly_t_weights_are_left_after_each_projection(module: nn.Module) -> None:
    run = attach(module, TopK(update_every=3), target_sparsity=0.8)
    for phase in run.phases[:2]:
        run.begin_phase(phase, NO_PROBE)
    run._batch = 900
    optimizer = torch.optim.Adam(run.learned(), lr=0.5)
    zeros = []
    for batch in range(1, 10):
        backward(run, module, torch.randn(8, 12))
        optimizer.step()
        run.after_step()
        left = int(torch.count_nonzero(run.weights))
        assert left == 32 if batch % 3 == 0 else left > 32
        if batch % 3 == 0:
            assert run.density() == pytest.approx(0.2)
            zeros.append(run.weights == 0)
    assert any((a & ~b).any() for a, b in pairwise(zeros))


def test_scope_layer_projects_each_tensor(module: nn.Module) -> None:
    run = attach(module, TopK(scope="layer"), target_sparsity=0.75)
    run.begin_phase(run.phases[-1], NO_PROBE)
    assert [int(torch.count_nonzero(w)) for w in run.tensors.values()] == [30, 10]


def test_ties_are_broken_by_index() -> None:
    scores = torch.tensor([1.0, 2.0, 1.0, 1.0, 3.0, 1.0])
    assert keep_largest(scores, 4).tolist() == [True, True, True, False, True, False]
    assert keep_largest(torch.zeros(50), 7).nonzero().flatten().tolist() == list(range(7))


def test_a_projection_after_every_step_recovers_a_planted_support() -> None:
    X = torch.randn(200, 40)
    planted = torch.zeros(40)
    planted[[3, 11, 26]] = torch.tensor([1.0, -2.0, 1.5])
    y = X @ planted
    module = nn.Linear(40, 1)
    sparsifier = TopK(update_every=1, train_fraction=0.0, sparsify_fraction=0.9)
    run = attach(module, sparsifier, target_sparsity=37 / 40, steps_per_epoch=10)
    optimizer = torch.optim.SGD(run.learned(), lr=0.2)
    for phase in run.phases:
        run.begin_phase(phase, NO_PROBE)
        for _ in range(phase.epochs * 10):
            run.parameters.zero_grad()
            with torch.enable_grad():
                (module(X)[:, 0] - y).square().mean().backward()
            run.after_backward()
            optimizer.step()
            run.after_step()
    run.finalize()
    torch.testing.assert_close(module.weight.detach()[0], planted, atol=1e-4, rtol=0)


def test_projections_of_a_convolution_recover_a_planted_kernel() -> None:
    images, kernel = torch.randn(30, 2, 6, 6), torch.zeros(3, 2, 3, 3)
    planted = torch.tensor([4, 17, 23, 40, 53])
    kernel.view(-1)[planted] = torch.tensor([1.0, -2.0, 1.5, 1.0, -1.0])
    y = nn.functional.conv2d(images, kernel)
    module = nn.Conv2d(2, 3, 3)
    sparsifier = TopK(update_every=1, train_fraction=0.0, sparsify_fraction=0.9)
    run = attach(module, sparsifier, target_sparsity=49 / 54, max_iter=40)
    optimizer = torch.optim.SGD(run.learned(), lr=0.5)
    for phase in run.phases:
        run.begin_phase(phase, NO_PROBE)
        for _ in range(phase.epochs * 10):
            run.parameters.zero_grad()
            with torch.enable_grad():
                (module(images) - y).square().mean().backward()
            run.after_backward()
            optimizer.step()
            run.after_step()
    run.finalize()
    torch.testing.assert_close(module.weight.detach(), kernel, atol=1e-4, rtol=0)


@pytest.mark.parametrize("options", [{"update_every": 0}, {"scope": "net"}])
def test_bad_options_are_named(module: nn.Module, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        attach(module, TopK(**options))
