"""Pruning by connection sensitivity, against its definition."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from attached import attach
from torch import nn

from sksparse.sparsifiers import SNIP, Probe

pytestmark = pytest.mark.usefixtures("untraced")


def make_probe(module: nn.Module) -> Probe:
    X, y = torch.randn(40, 12), torch.randint(4, (40,))

    def criterion(output: torch.Tensor, y: torch.Tensor, _: Any) -> torch.Tensor:
        return nn.functional.cross_entropy(output, y)

    return Probe(
        module, lambda: ((X[i : i + 10], y[i : i + 10], None) for i in (0, 10, 20, 30)), criterion
    )


def test_the_most_sensitive_weights_are_kept(module: nn.Module) -> None:
    probe = make_probe(module)
    batches = list(probe.batches())
    X, y = (torch.cat([b[i] for b in batches]) for i in (0, 1))  # type: ignore[misc]
    with torch.enable_grad():
        loss = nn.functional.cross_entropy(module(X), y)
        slopes = torch.autograd.grad(loss, [module[0].weight, module[2].weight])  # type: ignore[index, union-attr]
    weights = torch.cat([module[i].weight.detach().flatten() for i in (0, 2)])  # type: ignore[operator, union-attr]
    sensitivity = (weights * torch.cat([s.flatten() for s in slopes])).abs()
    run = attach(module, SNIP(), target_sparsity=0.75)
    run.begin_phase(run.phases[0], probe)
    left = run.weights != 0
    assert int(left.sum()) == 40
    # the most sensitive of all, but for the share that every tensor has secure
    order = sensitivity.argsort(descending=True)
    # and that all lie on paths from an input to an output
    assert left[order[:40]].sum() >= 28
    assert all(kept.sum() >= 3 for kept in left.split([120, 40]))
    assert torch.equal(run.weights[left], weights[left])


def test_scope_layer_keeps_the_same_share_of_each(module: nn.Module) -> None:
    run = attach(module, SNIP(scope="layer"), target_sparsity=0.75)
    run.begin_phase(run.phases[0], make_probe(module))
    assert [int(torch.count_nonzero(w)) for w in run.tensors.values()] == [30, 10]


def test_a_weight_without_influence_goes_first(module: nn.Module) -> None:
    module[2].weight.data[:, 3] = 0.0  # type: ignore[operator, union-attr]
    run = attach(module, SNIP(), target_sparsity=16 / 160)
    run.begin_phase(run.phases[0], make_probe(module))
    assert torch.count_nonzero(run.weights[36:48]) == 0


def test_bad_options_are_named(module: nn.Module) -> None:
    with pytest.raises(ValueError, match="scope"):
        attach(module, SNIP(scope="net"))
