"""Which weights and units targeted dropout drops, how often, and what a fit gives."""

from __future__ import annotations

from functools import partial
from typing import Any

import attached
import numpy as np
import pytest
import torch
from attached import NO_PROBE
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from torch import nn

from sksparse.neural_network import SparseMLPClassifier
from sksparse.sparsifiers import TargetedDropout, prunable_tensors

pytestmark = pytest.mark.usefixtures("untraced")

attach = partial(attached.attach, alpha=0.5, example=torch.rand(2, 6))


@pytest.fixture
def module() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))


@pytest.mark.parametrize("granularity", ["weight", "input"])
@pytest.mark.parametrize("scope", ["unit", "layer", "global"])
def test_only_targets_are_dropped_at_the_given_rate(
    module: nn.Module, granularity: str, scope: str
) -> None:
    sparsifier = TargetedDropout(
        granularity=granularity, scope=scope, drop_rate=0.4, ramp_fraction=0.0
    )
    run = attach(module, sparsifier, alpha=0.6)
    targets = run.targets(0.6)
    assert targets.sum() == 27
    dropped = torch.zeros(45)
    for _ in range(2000):
        run.before_batch()
        passes = run._gates.spread(run._passes)
        assert torch.equal(run.weights, run.latent * passes)
        dropped += passes == 0
    assert (dropped[~targets] == 0).all()
    if granularity == "weight":
        assert ((dropped[targets] / 2000 - 0.4).abs() < 0.05).all()
        assert dropped.sum().item() / (2000 * 45) == pytest.approx(0.4 * 0.6, abs=0.01)
    else:
        # an input goes as a whole; what makes a unit that is dropped stays, and has no effect
        rates = dropped[dropped > 0] / 2000
        assert ((rates - 0.4).abs() < 0.05).all()
        columns = run.parameters.by_tensor(dropped).values()
        assert all((c == c[0]).all() for c in columns)


@pytest.mark.parametrize("granularity", ["weight", "input"])
def test_rate_zero_is_the_identity_and_rate_one_prunes(module: nn.Module, granularity: str) -> None:
    run = attach(module, TargetedDropout(granularity=granularity, drop_rate=0, ramp_fraction=0))
    run.before_batch()
    assert torch.equal(run.weights, run.latent)
    run = attach(module, TargetedDropout(granularity=granularity, drop_rate=1, ramp_fraction=0))
    X = torch.randn(5, 6)
    run.before_batch()
    seen = module(X)
    run.before_evaluation()
    assert torch.count_nonzero(run.weights) == 45 - round(0.5 * 45)
    if granularity == "weight":
        assert torch.equal(module(X), seen)


def test_weight_targets_are_the_smallest_of_each_scope(module: nn.Module) -> None:
    n = 45
    for scope, groups in (("global", [n]), ("layer", [30, 15]), ("unit", [6] * 5 + [5] * 3)):
        run = attach(module, TargetedDropout(scope=scope))
        size = run.latent.abs()
        targets = run.targets(0.4)
        for values, chosen in zip(size.split(groups), targets.split(groups), strict=True):
            # to one weight, which one group or the other gets
            assert abs(int(chosen.sum()) - 0.4 * len(values)) <= 1
            assert values[chosen].max() < values[~chosen].min()


def test_threshold_index_is_the_share_of_the_inputs() -> None:
    module = nn.Linear(8, 4)
    run = attach(module, TargetedDropout(scope="unit"))
    for proportion, index in ((0.25, 2), (0.5, 4), (0.75, 6)):
        targets = run.targets(proportion).view(4, 8)
        threshold = module.weight.abs().sort(dim=1).values[:, index : index + 1]
        assert torch.equal(targets, module.weight.abs() < threshold)


def test_units_are_ranked_by_the_norm_of_what_makes_them(module: nn.Module) -> None:
    run = attach(module, TargetedDropout(granularity="unit"))
    first, second = run.parameters.by_tensor(run.latent.data).values()
    first[2], first[4] = 1e-3, 1e-4
    second[:, 4] = 100.0
    targets = run.parameters.by_tensor(run.targets(0.35))
    rows, columns = targets["0.weight"].all(dim=1), targets["2.weight"].all(dim=0)
    assert rows.tolist() == columns.tolist() == [False, False, True, False, True]
    # whole units: two of five, of 9 weights each
    assert int(run.targets(0.35).sum()) == 18


@pytest.mark.parametrize(
    "target", [{"target_units": 0.4}, {"target_flops": 0.5}, {"target_sparsity": 0.5}]
)
def test_targets_of_units_are_met_by_whole_units(module: nn.Module, target: Any) -> None:
    run = attach(module, TargetedDropout(granularity="unit"), alpha=None, **target)
    run.begin_phase(run.phases[-1], NO_PROBE)
    run.finalize()
    first, second = prunable_tensors(module).values()
    left = first.any(1)
    assert left.tolist() == second.any(0).tolist() == (module[0].bias != 0).tolist()
    assert int(left.sum()) == 2


def test_gradients_flow_through_what_is_kept(module: nn.Module) -> None:
    run = attach(module, TargetedDropout(ramp_fraction=0.0), weight_decay=0.1)
    run.before_batch()
    run.parameters.zero_grad()
    with torch.enable_grad():
        module(torch.randn(7, 6)).square().mean().backward()
    run.after_backward()
    slope = run.parameters.weight_gradient * run._passes
    torch.testing.assert_close(run.latent.grad, slope + 0.1 * run.latent.detach())


def test_the_ramp_has_a_knee(module: nn.Module) -> None:
    sparsifier = TargetedDropout(ramp_fraction=0.5, sparsify_fraction=1.0, drop_rate=0.8)
    run = attach(module, sparsifier, target_sparsity=0.6)
    seen = []
    for batch in (0, 25, 50, 75, 100, 150):
        run._batch = batch
        seen.append(run.ramp())
    expected = [(0, 0), (0.475, 0.25), (0.95, 0.5), (0.975, 0.75), (1, 1), (1, 1)]
    for (share, rate), (expected_share, expected_rate) in zip(seen, expected, strict=True):
        assert share == pytest.approx(0.6 * expected_share)
        assert rate == pytest.approx(0.8 * expected_rate)


@pytest.mark.parametrize("granularity", ["weight", "input"])
@pytest.mark.parametrize("target", [0.0, 0.7, 0.99])
def test_target_is_met_to_one_weight(module: nn.Module, granularity: str, target: float) -> None:
    sparsifier = TargetedDropout(granularity=granularity)
    run = attach(module, sparsifier, alpha=None, target_sparsity=target)
    run.begin_phase(run.phases[-1], NO_PROBE)
    run.finalize()
    kept = sum(int(torch.count_nonzero(w)) for w in prunable_tensors(module).values())
    assert kept == 45 - round(target * 45)


def test_alpha_is_a_share(module: nn.Module) -> None:
    assert attach(module, TargetedDropout(), alpha=None).proportion == 0.5
    assert attach(module, TargetedDropout(), alpha=0.3).proportion == pytest.approx(0.3)
    with pytest.raises(ValueError, match=r"alpha=1\.5"):
        attach(module, TargetedDropout(), alpha=1.5)


def test_a_net_trained_for_pruning_loses_less_by_it() -> None:
    """Without retraining, on digits, mean of 5 seeds."""
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0, stratify=y)
    scaler = StandardScaler().fit(X_train)
    X_train, X_test = scaler.transform(X_train), scaler.transform(X_test)

    def accuracy(sparsifier: TargetedDropout) -> float:
        scores = []
        for seed in range(5):
            net = SparseMLPClassifier(
                (50,), sparsifier=sparsifier, target_sparsity=0.8, tol=1e-2, random_state=seed
            )
            scores.append(net.set_params(max_iter=31).fit(X_train, y_train).score(X_test, y_test))
        return float(np.mean(scores))

    # 30 epochs, then pruned and trained for one more, with a step that is the same
    targeted = accuracy(TargetedDropout(sparsify_fraction=30 / 31, min_weight_displacement=0.0))
    plain = accuracy(
        TargetedDropout(drop_rate=0.0, sparsify_fraction=30 / 31, min_weight_displacement=0.0)
    )
    assert targeted > plain + 0.01


def test_digits_at_a_target() -> None:
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0, stratify=y)
    scaler = StandardScaler().fit(X_train)
    X_train, X_test = scaler.transform(X_train), scaler.transform(X_test)
    net = SparseMLPClassifier(
        (50,), sparsifier="targeted", target_sparsity=0.9, tol=1e-2, random_state=0
    )
    net.fit(X_train, y_train)
    assert net.sparsity_ == pytest.approx(0.9, abs=0.5 / 3700)
    assert net.score(X_test, y_test) > 0.95
