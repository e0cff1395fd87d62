"""Taylor scores of units, against the change of the cost that they stand for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from attached import attach
from scipy.stats import spearmanr
from sklearn.datasets import load_digits
from torch import Tensor, nn
from unit_networks import Recurrent, Residual, chain, drawn, probe_of

from sksparse.neural_network import SparseMLPClassifier
from sksparse.sparsifiers import FilterPruning, Probe, TaylorPruning
from sksparse.sparsifiers.units._choice import flops_of_units
from sksparse.sparsifiers.units._entering import ReaderProducts

pytestmark = pytest.mark.usefixtures("untraced")


def sizes_of(run: Any, net: nn.Module, X: Tensor, cost: Any) -> Tensor:
    """Sums over rows of the absolute products, of one pass."""
    products = ReaderProducts(run.units)
    run.parameters.zero_grad()
    with torch.enable_grad(), products.watching():
        cost(net(X)).backward()
    return products.sizes()


def changes(run: Any, net: nn.Module, X: Tensor, cost: Any) -> Tensor:
    """How the cost of each row changes when all that reads a unit is zeroed: rows by units."""
    values, found = run.parameters.values.clone(), []
    for unit in range(run.units.n_units):
        keep = torch.ones(run.units.n_units, dtype=torch.float64)
        keep[unit] = 0.0
        rows = [cost(net(x[None])) for x in X]
        run.units.scale(run.parameters.values, keep, ("reads",))
        found.append(torch.stack([a - cost(net(x[None])) for a, x in zip(rows, X, strict=True)]))
        run.parameters.values.copy_(values)
    return torch.stack(found, dim=1)


def run_of(net: nn.Module, X: Tensor, **options: Any) -> Any:
    return attach(net, TaylorPruning(**options), example=X[:2], target_units=0.5)


def linear() -> nn.Module:
    """Linear in every unit: the change of a linear cost is the first order."""
    return nn.Sequential(
        *(nn.Conv1d(2, 3, 3), nn.BatchNorm1d(3), nn.Conv1d(3, 4, 1), nn.Flatten()),
        *(nn.Linear(16, 5), nn.Linear(5, 2)),
    )


class LinearResidual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.branch = nn.Linear(3, 4), nn.Linear(4, 4)
        self.left, self.right = nn.Linear(4, 2), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        # the units of the stem have three readers
        h = self.stem(x)
        return self.left(h + self.branch(h)) + self.right(h)


@pytest.mark.parametrize("make, shape", [(linear, (6, 2, 6)), (LinearResidual, (6, 3))])
def test_the_score_of_a_linear_network_is_the_change_of_a_linear_cost(
    make: Any, shape: tuple[int, ...]
) -> None:
    net, X = drawn(make()), torch.randn(*shape, dtype=torch.float64)
    slopes = torch.randn(2, dtype=torch.float64)
    cost = lambda output: (output @ slopes).sum()  # noqa: E731
    run = run_of(net, X)
    found, exact = sizes_of(run, net, X, cost), changes(run, net, X, cost)
    if make is linear:
        torch.testing.assert_close(found, exact.abs().sum(0))
        return
    # the first order of units that are read again behind a reader: each reading by itself
    h = net.stem(X)  # type: ignore[operator]
    read = [net.left.weight, net.right.weight, net.left.weight @ net.branch.weight]  # type: ignore[union-attr, operator]
    by_hand = sum((slopes @ weight) * h for weight in read[1:])
    by_hand += (slopes @ read[0]) * (h + net.branch(h))  # type: ignore[operator]
    torch.testing.assert_close(found, by_hand.abs().sum(0))


def test_absolute_values_are_of_single_rows() -> None:
    net = drawn(nn.Sequential(nn.Linear(1, 2, bias=False), nn.Linear(2, 1, bias=False)))
    x = torch.ones(1, 1, dtype=torch.float64)
    run = run_of(net, x)
    one, both = (sizes_of(run, net, X, torch.sum) for X in (x, torch.cat([x, -x])))
    assert (one > 0).all()
    torch.testing.assert_close(both, 2 * one)


def test_scores_of_a_layer_have_norm_one_and_lose_their_flops() -> None:
    net = drawn(chain())
    X, y = torch.randn(12, 1, 8, 8, dtype=torch.float64), torch.randint(3, (12,))
    probe = probe_of(net, X, y)
    run = run_of(net, X)
    scores = run.scores(probe)
    for members in run.units.by_layer():
        assert float(scores[members].norm()) == pytest.approx(1.0, abs=1e-12)
    penalised = run_of(net, X, flops_penalty=3.0).scores(probe)
    torch.testing.assert_close(penalised, scores - 3.0 * flops_of_units(run.units))


def test_scores_are_means_over_rows_whatever_the_batches() -> None:
    net = drawn(Residual())
    X, y = torch.randn(12, 1, 8, 8, dtype=torch.float64), torch.randint(3, (12,))
    one = Probe(
        net, lambda: iter([(X, y, None)]), lambda o, t, _: nn.functional.cross_entropy(o, t)
    )
    scores = [run_of(net, X).scores(probe) for probe in (one, probe_of(net, X, y))]
    torch.testing.assert_close(scores[0], scores[1])


def test_states_of_a_recurrent_layer_are_what_reads_them_at_all_steps() -> None:
    net = drawn(Recurrent())
    x = torch.randn(1, 5, 3, dtype=torch.float64)
    run = run_of(net, x)
    slopes = torch.randn(2, dtype=torch.float64)
    found = sizes_of(run, net, x, lambda output: (output @ slopes).sum())
    # one factor for each state in what reads it, which is 1
    factors = torch.ones(6, dtype=torch.float64, requires_grad=True)
    weight, recurrent = net.head.weight, net.lstm.weight_hh_l0  # type: ignore[union-attr]
    parts = []
    for name, tensor in (("head.weight", weight), ("lstm.weight_hh_l0", recurrent)):
        with torch.enable_grad():
            output = torch.func.functional_call(net, {name: tensor.detach() * factors}, (x,))
            parts.append(torch.autograd.grad((output @ slopes).sum(), factors)[0].abs())
    torch.testing.assert_close(found, sum(parts))


def test_a_module_is_left_without_hooks_and_gradients_as_they_are() -> None:
    net = drawn(Residual())
    X = torch.randn(4, 1, 8, 8, dtype=torch.float64)
    run = run_of(net, X)
    sizes_of(run, net, X, torch.sum)
    watched = run.parameters.weight_gradient.clone()
    run.parameters.zero_grad()
    with torch.enable_grad():
        net(X).sum().backward()
    torch.testing.assert_close(watched, run.parameters.weight_gradient)
    assert not any(part._forward_pre_hooks for part in net.modules())


def test_sparse_fits_of_residual_networks_meet_flops() -> None:
    net = drawn(Residual())
    X, y = torch.randn(12, 1, 8, 8, dtype=torch.float64), torch.randint(3, (12,))
    options: dict[str, Any] = {"schedule": "one_shot", "train_fraction": 0.0}
    run = attach(net, TaylorPruning(**options), example=X[:2], target_flops=0.4)
    for phase in run.phases:
        run.begin_phase(phase, probe_of(net, X, y))
    assert run.units.left(run.alive, "flops") <= 0.4


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_scores_follow_the_oracle_more_closely_than_magnitudes_do() -> None:
    X, y = load_digits(return_X_y=True)
    X = (X / 16).astype(np.float32)
    found = []
    for seed in range(3):
        with torch.enable_grad():
            dense = SparseMLPClassifier(
                (60, 40), sparsifier=None, max_iter=30, random_state=seed
            ).fit(X, y)
        net, rows = dense.module_.double(), torch.from_numpy(X).double()
        labels = torch.from_numpy(y)
        probe = probe_of(net, rows, labels)
        run = attach(net, TaylorPruning(), example=rows[:2], target_units=0.5)
        taylor = run.scores(probe)
        norms = attach(net, FilterPruning(), example=rows[:2], target_units=0.5).scores(probe)
        run = attach(net, TaylorPruning(), example=rows[:2], target_units=0.5)
        cost = lambda output: nn.functional.cross_entropy(output, labels)  # noqa: E731, B023
        oracle = _changes_of_the_mean(run, net, rows, cost)
        found.append([float(spearmanr(oracle, s).statistic) for s in (taylor, norms)])
    means = np.mean(found, axis=0)
    assert means[0] > means[1] + 0.1
    assert means[0] > 0.5


def _changes_of_the_mean(run: Any, net: nn.Module, X: Tensor, cost: Any) -> Tensor:
    values, before, found = run.parameters.values.clone(), cost(net(X)), []
    for unit in range(run.units.n_units):
        keep = torch.ones(run.units.n_units, dtype=torch.float64)
        keep[unit] = 0.0
        run.units.scale(run.parameters.values, keep, ("reads",))
        found.append((cost(net(X)) - before).abs())
        run.parameters.values.copy_(values)
    return torch.stack(found)
