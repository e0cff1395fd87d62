"""Removal at once, in rounds and gradually: what is left of each, and what never returns."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from attached import NO_PROBE, attach
from sklearn.exceptions import ConvergenceWarning
from torch import nn
from unit_networks import Residual, chain, drawn, probe_of

from sksparse.module_graph import ModuleGraph
from sksparse.module_graph._surgery import flat_positions, resize
from sksparse.neural_network import SparseNetClassifier
from sksparse.sparsifiers import NISP, FilterPruning, RandomUnits, TaylorPruning

pytestmark = pytest.mark.usefixtures("untraced")
IMAGES = torch.empty(2, 1, 8, 8, dtype=torch.float64)
METHODS = [FilterPruning, NISP, RandomUnits, TaylorPruning]


def trained_in_rounds(run: Any, probe: Any) -> list[float]:
    """The share of FLOPs that is left after each phase."""
    left = []
    for phase in run.phases:
        run.begin_phase(phase, probe)
        left.append(run.units.left(run.alive, "flops"))
    return left


def data(n_rows: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(n_rows, 1, 8, 8, dtype=torch.float64), torch.randint(3, (n_rows,))


@pytest.mark.parametrize("method", METHODS)
def test_rounds_leave_powers_of_the_target(method: Any) -> None:
    net = drawn(Residual())
    run = attach(net, method(schedule="iterative", n_rounds=3), example=IMAGES, target_flops=0.3)
    left = trained_in_rounds(run, probe_of(net, *data()))
    assert left[0] == 1.0
    for r, share in enumerate(left[1:], start=1):
        assert 0.5 * 0.3 ** (r / 3) < share <= 0.3 ** (r / 3)


@pytest.mark.parametrize("method", METHODS)
def test_what_is_removed_gradually_never_returns(method: Any) -> None:
    net = drawn(chain())
    X, y = data()
    run = attach(
        net,
        method(schedule="gradual", update_every=2, train_fraction=0.0, sparsify_fraction=0.5),
        example=IMAGES,
        target_flops=0.2,
        max_iter=4,
        steps_per_epoch=6,
    )
    probe = probe_of(net, X, y)
    optimizer = torch.optim.SGD([run.latent, run.others], lr=0.01)
    alive, left = run.alive.clone(), []
    for phase in run.phases:
        run.begin_phase(phase, probe)
        for _ in range(6 * phase.epochs):
            run.before_batch()
            run.parameters.zero_grad()
            with torch.enable_grad():
                nn.functional.cross_entropy(net(X), y).backward()
            run.after_backward()
            assert not any(m._forward_pre_hooks for m in net.modules())
            optimizer.step()
            run.after_step()
            assert not (run.alive & ~alive).any()
            mask = run.units.mask(run.alive)
            assert (run.parameters.values[~mask] == 0).all()
            alive = run.alive.clone()
            left.append(run.units.left(alive, "flops"))
    steps = sorted(set(left), reverse=True)
    assert left == sorted(left, reverse=True)
    assert len(steps) >= 4
    assert steps[-1] <= 0.2
    # the shares in the middle of the removal
    assert left[5] <= 0.2**0.5 < left[1]


def test_alpha_is_the_logarithm_of_the_compression() -> None:
    once: dict[str, Any] = {"schedule": "one_shot", "train_fraction": 0.0}
    for alpha, share in ((None, 0.5), (math.log(3), 1 / 3), (0.0, 1.0)):
        run = attach(drawn(chain()), FilterPruning(**once), example=IMAGES, alpha=alpha)
        left = trained_in_rounds(run, NO_PROBE)[-1]
        assert 0.7 * share < left <= share
    with pytest.warns(ConvergenceWarning, match="alpha=9 asks for .* give a smaller alpha"):
        run = attach(drawn(chain()), FilterPruning(**once), example=IMAGES, alpha=9.0)
    trained_in_rounds(run, NO_PROBE)
    assert [int(run.alive[m].sum()) for m in run.units.by_layer()] == [1, 1, 1]


@pytest.mark.parametrize("method", METHODS)
def test_a_target_that_cannot_be_met_is_refused(method: Any) -> None:
    with pytest.raises(ValueError, match=r"target_flops=0.001 cannot be met.*least"):
        attach(drawn(chain()), method(), example=IMAGES, target_flops=0.001)


@pytest.mark.parametrize("method", METHODS)
def test_a_smaller_module_goes_on_as_the_masked_one(method: Any) -> None:
    kept = []
    for cuts in (False, True):
        torch.manual_seed(3)
        net = drawn(Residual())
        options = {"schedule": "iterative", "n_rounds": 2, "train_fraction": 0.0}
        run = attach(net, method(**options), example=IMAGES, target_flops=0.3)
        probe = probe_of(net, *data())
        first, *others = run.phases[1:]
        run.begin_phase(first, probe)
        assert torch.equal(run.gone(), ~run.alive)
        if cuts:
            by_name = run.parameters.all_by_name(run.parameters.values)
            shapes = {name: tuple(values.shape) for name, values in by_name.items()}
            keep = np.ones(run.units.graph.n_units, dtype=bool)
            keep[run.units.graph_units[run.gone()].numpy()] = False
            values = run.parameters.values.clone()
            positions = flat_positions(shapes, resize(run.units.graph, keep))
            run.rebuild(torch.from_numpy(positions))
            torch.testing.assert_close(run.parameters.values, values[positions])
            assert run.alive.all()
        for phase in others:
            run.begin_phase(phase, probe)
        run.finalize()
        X = torch.randn(5, 1, 8, 8, dtype=torch.float64)
        graph = ModuleGraph(net, X)
        kept.append((net(torch.ones_like(X)), graph.n_units))
    torch.testing.assert_close(kept[0][0], kept[1][0], rtol=0, atol=1e-12)
    assert kept[1][1] < kept[0][1]


def test_random_units_are_those_of_the_seed() -> None:
    X, y = (t.numpy() for t in data(30))
    options: dict[str, Any] = {"sparsifier": "random", "target_units": 0.5, "max_iter": 2}
    found = []
    with torch.enable_grad():
        for seed in (0, 0, 1):
            net = SparseNetClassifier(chain, **options, random_state=seed)
            with pytest.warns(ConvergenceWarning):
                net.fit(X.astype(np.float32), y)
            found.append([(p != 0).tolist() for p in net.module_[6].bias])
    assert found[0] == found[1] != found[2]
