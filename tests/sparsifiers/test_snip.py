"""Pruning by connection sensitivity, against its definition."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

from sksparse.sparsifiers import SNIP, Probe, Sparsifier, Task


def make_run(module: nn.Module, sparsifier: Sparsifier, **changes: object) -> Any:
    options = {
        "alpha": None,
        "target_sparsity": None,
        "weight_decay": 0.0,
        "learning_rate": 1e-2,
        "max_iter": 20,
        "steps_per_epoch": 10,
        "n_samples": 100,
    }
    return sparsifier.attach(module, Task(**{**options, **changes}))  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def untraced() -> Iterator[None]:
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.fixture
def module() -> nn.Module:
    net = nn.Sequential(nn.Linear(12, 10), nn.ReLU(), nn.Linear(10, 4))
    for p in net.parameters():
        nn.init.normal_(p)
    return net


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
    run = make_run(module, SNIP(), target_sparsity=0.75)
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
    run = make_run(module, SNIP(scope="layer"), target_sparsity=0.75)
    run.begin_phase(run.phases[0], make_probe(module))
    assert [int(torch.count_nonzero(w)) for w in run.tensors.values()] == [30, 10]


def test_a_weight_without_influence_goes_first(module: nn.Module) -> None:
    module[2].weight.data[:, 3] = 0.0  # type: ignore[operator, union-attr]
    run = make_run(module, SNIP(), target_sparsity=16 / 160)
    run.begin_phase(run.phases[0], make_probe(module))
    assert torch.count_nonzero(run.weights[36:48]) == 0


def test_bad_options_are_named(module: nn.Module) -> None:
    with pytest.raises(ValueError, match="scope"):
        make_run(module, SNIP(scope="net"))
