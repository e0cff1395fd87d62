"""Filters by their norm, against the definition, and what is left against the masked network."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from attached import NO_PROBE, attach
from torch import Tensor, nn
from unit_networks import Residual, chain, drawn

from sksparse.compression import compact
from sksparse.sparsifiers import FilterPruning, Phase

pytestmark = pytest.mark.usefixtures("untraced")
ONCE = {"schedule": "one_shot", "train_fraction": 0.0}
IMAGES = torch.empty(2, 1, 8, 8, dtype=torch.float64)


def run_of(module: nn.Module, options: dict[str, Any], **task: Any) -> Any:
    return attach(module, FilterPruning(**options), example=IMAGES, **task)


def prune(module: nn.Module, options: dict[str, Any], **task: Any) -> Any:
    run = run_of(module, {**ONCE, **options}, **task)
    for phase in run.phases:
        run.begin_phase(phase, NO_PROBE)
    return run


@pytest.mark.parametrize("norm, power", [("l1", 1), ("l2", 2)])
def test_the_score_is_the_norm_of_all_that_makes_a_unit(norm: str, power: int) -> None:
    net = drawn(chain())
    run = run_of(net, {"norm": norm}, target_units=0.5)
    expected = [
        (net[i].weight.abs() ** power).flatten(1).sum(1) ** (1 / power)  # type: ignore[operator]
        for i in (0, 3, 6)
    ]
    torch.testing.assert_close(run.scores(NO_PROBE), torch.cat(expected))


def test_scores_follow_the_filters_when_these_are_permuted() -> None:
    net = drawn(chain())
    before = run_of(net, {}, target_units=0.5).scores(NO_PROBE)
    order = torch.tensor([2, 0, 3, 1])
    for tensor in (net[0].weight, net[0].bias):  # type: ignore[union-attr]
        tensor.copy_(tensor[order])  # type: ignore[operator, index]
    net[3].weight.copy_(net[3].weight[:, order])  # type: ignore[operator, index, union-attr]
    after = run_of(net, {}, target_units=0.5).scores(NO_PROBE)
    torch.testing.assert_close(after[:4], before[:4][order])
    torch.testing.assert_close(after[4:], before[4:])


def test_coupled_units_are_ranked_by_all_writers_or_by_the_shortcut() -> None:
    net = drawn(Residual())
    norm = lambda conv: conv.weight.abs().flatten(1).sum(1)  # noqa: E731
    # in the order of first writers: the stem with block 1, its inside, that of block 2, its end
    inner = [norm(net.first[0]), norm(net.second[0])]  # type: ignore[index]
    both = [norm(net.stem) + norm(net.first[3]), norm(net.second[2]) + norm(net.shortcut)]  # type: ignore[index]
    short = [norm(net.stem), norm(net.shortcut)]
    for coupled, outer in (("sum", both), ("shortcut", short)):
        scores = run_of(net, {"coupled": coupled}, target_units=0.5).scores(NO_PROBE)
        expected = torch.cat([outer[0], inner[0], inner[1], outer[1]])
        torch.testing.assert_close(scores, expected)


@pytest.mark.parametrize("make", [chain, Residual])
@pytest.mark.parametrize("task", [{"target_flops": 0.4}, {"target_units": 0.6}])
@pytest.mark.parametrize("scope", ["layer", "global"])
def test_the_compacted_network_is_the_masked_one(make: Any, task: Any, scope: str) -> None:
    net = drawn(make())
    run = prune(net, {"scope": scope}, **task)
    run.finalize()
    X = torch.randn(5, 1, 8, 8, dtype=torch.float64)
    small = compact(net, X).module
    torch.testing.assert_close(small(X), net(X), rtol=0, atol=1e-12)
    n_small, n_dense = (sum(p.numel() for p in m.parameters()) for m in (small, net))
    assert n_small < 0.75 * n_dense


def test_a_removed_unit_leaves_nothing_behind() -> None:
    net = drawn(chain())
    run = prune(net, {}, target_units=0.5)
    gone = ~run.alive[:4]
    assert gone.any()
    for tensor in (net[0].weight, net[0].bias, net[1].weight, net[1].bias):  # type: ignore[union-attr]
        assert (tensor[gone] == 0).all()  # type: ignore[index]
        assert (tensor[~gone] != 0).all()  # type: ignore[index]
    assert (net[3].weight[:, gone] == 0).all()  # type: ignore[index, union-attr]


def test_every_layer_keeps_the_same_share_or_what_ratios_say() -> None:
    run = prune(drawn(chain()), {}, target_units=0.5)
    kept = [int(run.alive[members].sum()) for members in run.units.by_layer()]
    assert kept == [2, 3, 3]
    run = prune(drawn(chain()), {"ratios": [0.0, 0.5, 6 / 7]})
    kept = [int(run.alive[members].sum()) for members in run.units.by_layer()]
    assert kept == [4, 3, 1]
    # half of the way: the square roots of what is left
    run = run_of(drawn(chain()), {**ONCE, "ratios": [0.0, 0.5, 6 / 7]})
    run.begin_phase(Phase("retrain", 1, strength=0.5), NO_PROBE)
    kept = [int(run.alive[members].sum()) for members in run.units.by_layer()]
    assert kept == [4, 4, 3]


def test_greedy_leaves_out_the_inputs_that_are_just_removed() -> None:
    net = nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    net[0].weight.copy_(Tensor([[1.0], [2.0]]))  # type: ignore[operator]
    # by all inputs the first neuron is larger, by the one that is left the second
    net[2].weight.copy_(Tensor([[9.0, 1.0], [1.0, 3.0]]))  # type: ignore[operator]
    kept = {}
    for order in ("independent", "greedy"):
        sparsifier = FilterPruning(order=order, ratios=[0.5, 0.5], **ONCE)  # type: ignore[arg-type]
        run = attach(nn.Sequential(*net), sparsifier, example=torch.zeros(2, 1))
        weights = run.weights.clone()
        for phase in run.phases:
            run.begin_phase(phase, NO_PROBE)
        kept[order] = run.alive.tolist()
        run.weights.copy_(weights)
    assert kept == {"independent": [False, True, True, False], "greedy": [False, True, False, True]}


def test_norms_of_all_layers_are_compared_by_layer_or_by_flops() -> None:
    net = nn.Sequential(nn.Conv1d(1, 2, 3), nn.Flatten(), nn.Linear(8, 4), nn.ReLU())
    net = nn.Sequential(*net, nn.Linear(4, 1)).double()
    net[0].weight.copy_(torch.ones(2, 1, 3) * torch.tensor([1.0, 10.0]).view(2, 1, 1))  # type: ignore[operator]
    net[2].weight.copy_(torch.ones(4, 8) * torch.tensor([2.0, 3.0, 4.0, 5.0]).view(4, 1))  # type: ignore[operator]
    example = torch.zeros(2, 1, 6, dtype=torch.float64)
    order = {}
    for normalise in ("layer", "flops"):
        sparsifier = FilterPruning(scope="global", normalise=normalise)
        run = attach(net, sparsifier, example=example, target_units=0.9)
        order[normalise] = run._comparable(run.scores(NO_PROBE))
    norms = torch.tensor([3.0, 30.0, 16.0, 24.0, 32.0, 40.0], dtype=torch.float64)
    layer = torch.cat([part / part.square().mean().sqrt() for part in norms.split([2, 4])])
    torch.testing.assert_close(order["layer"], layer)
    # a filter has 3 weights at 4 positions and 4 rows of 4 columns, a neuron 8 weights and one
    flops = torch.tensor([28.0, 28.0, 9.0, 9.0, 9.0, 9.0], dtype=torch.float64)
    torch.testing.assert_close(order["flops"], norms / (flops / (24 + 32 + 4)))


@pytest.mark.parametrize(
    "options, task, message",
    [
        ({"order": "greedy", "scope": "global"}, {}, "set scope='layer' or order='independent'"),
        ({"ratios": [0.5], "scope": "global"}, {}, "set scope='layer' or ratios=None"),
        ({"ratios": [0.5]}, {}, "one share, at least 0 and below 1, for each of the 3 layers"),
        ({"ratios": [0.5, 0.5, 1.0]}, {}, r"of the 3 layers whose units can be removed: 0, 3, 6"),
        ({"ratios": [0.5] * 3}, {"target_flops": 0.5}, "both say what is removed"),
        ({"train_fraction": 0.7}, {}, "must add up to less than 1"),
        ({"norm": "l3"}, {}, "'norm'"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: Any, task: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run_of(drawn(chain()), options, **task)
