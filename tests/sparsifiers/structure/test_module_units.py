"""Units over flat parameters: sums, masks, shares that are left, choices and targets."""

from __future__ import annotations

import re

import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from sksparse.module_graph import ModuleGraph
from sksparse.sparsifiers.parameters._flat_parameters import FlatParameters
from sksparse.sparsifiers.structure._module_units import ModuleUnits
from sksparse.sparsifiers.structure._target import Target


class Residual(nn.Module):
    """A convolution, a branch beside a shortcut, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 3, padding=1)
        self.branch = nn.Sequential(
            nn.Conv2d(4, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 4, 1)
        )
        self.pool, self.head = nn.AdaptiveAvgPool2d(1), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.stem(x))
        h = torch.relu(h + self.branch(h))
        return self.head(torch.flatten(self.pool(h), 1))


class Twice(nn.Module):
    """One layer that is called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.both, self.last = nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.both(torch.relu(self.first(x))))
        return self.last(torch.relu(self.both(h)))


def chain() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(4 * 9, 5), nn.ReLU(), nn.Linear(5, 2)),
    )


def units_of(module: nn.Module, example: Tensor) -> ModuleUnits:
    graph = ModuleGraph(module, example)
    assert graph.is_followed
    return ModuleUnits(graph, FlatParameters(module))


def test_the_share_left_is_what_torch_counts_of_smaller_layers() -> None:
    module = chain()
    units = units_of(module, torch.rand(2, 1, 8, 8))
    keep = torch.tensor([1, 0, 1, 0, 1, 1, 0, 0, 1]).bool()
    small = nn.Sequential(
        *(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(2 * 9, 3), nn.ReLU(), nn.Linear(3, 2)),
    )
    flops, weights = [], []
    for net in (small, module):
        with FlopCounterMode(display=False) as counter:
            net(torch.rand(1, 1, 8, 8))
        flops.append(counter.get_total_flops())
        weights.append(sum(p.numel() for p in net.parameters() if p.ndim > 1))
    assert units.left(keep, "flops") == pytest.approx(flops[0] / flops[1], rel=1e-12)
    assert units.left(keep, "weights") == pytest.approx(weights[0] / weights[1], rel=1e-12)
    assert units.left(keep, "units") == pytest.approx(5 / 9)
    kept = units.mask(keep)[: units.parameters.n_weights]
    assert float(kept.double().mean()) == pytest.approx(weights[0] / weights[1], rel=1e-12)


def test_a_weight_of_a_layer_that_is_called_twice_counts_once() -> None:
    units = units_of(Twice(), torch.rand(2, 3))
    values = torch.ones_like(units.parameters.values)
    # the four outputs of both layers are one set of units: what is called twice writes and reads
    assert units.n_units == 4
    assert units.sums(values, ("reads",)).tolist() == [4 + 2] * 4
    units.scale(values, torch.full((4,), 3.0), ("reads",))
    assert set(values.tolist()) == {1.0, 3.0}


@pytest.mark.parametrize("measure", ["weights", "flops", "units"])
@pytest.mark.parametrize("share", [0.35, 0.6, 1.0])
def test_a_choice_meets_the_target_with_the_least_slack(measure: str, share: float) -> None:
    torch.manual_seed(0)
    units = units_of(chain(), torch.rand(2, 1, 8, 8))
    scores = torch.rand(units.n_units)
    target = Target(measure, share)  # type: ignore[arg-type]
    keep = units.choose(scores, target)
    assert units.left(keep, measure) <= share
    for layer in range(2):
        of_layer = units.layer == layer
        assert keep[of_layer][scores[of_layer].argmax()]
    if not keep.all():
        removed = (~keep).nonzero().squeeze(1)
        more = keep.clone()
        more[removed[scores[removed].argmax()]] = True
        assert units.left(more, measure) > share


def test_an_unattainable_target_says_the_least_possible_share() -> None:
    units = units_of(chain(), torch.rand(2, 1, 8, 8))
    with pytest.raises(ValueError, match=r"target_units=0\.1 cannot be met.*0\.222.*0\.223 at lea"):
        units.check_target(Target("units", 0.1))
    # one filter of 9 weights, 9 inputs of one unit, 2 outputs
    least = (9 + 9 + 2) / (36 + 180 + 10)
    with pytest.raises(ValueError, match=re.escape(f"{least:.3g} of the weights")):
        units.check_target(Target("weights", 0.05))
    units.check_target(Target("weights", least))


def test_the_guard_keeps_the_best_unit_of_an_emptied_layer() -> None:
    units = units_of(chain(), torch.rand(2, 1, 8, 8))
    scores = torch.arange(9.0)
    keep = scores >= 4
    with pytest.warns(ConvergenceWarning, match="no unit of '0' would be left.*Lower alpha"):
        kept = units.guarded(keep, scores)
    assert kept.nonzero().squeeze(1).tolist() == [3, 4, 5, 6, 7, 8]
    assert units.guarded(torch.ones(9).bool(), scores).all()


def test_units_added_by_a_shortcut_are_removed_together() -> None:
    module = Residual()
    units = units_of(module, torch.rand(2, 2, 6, 6))
    assert units.n_units == 4 + 3
    keep = torch.ones(7).bool()
    keep[2] = False
    units.parameters.values.mul_(units.mask(keep))
    for layer in (module.stem, module.branch[3]):
        assert not layer.weight[2].any()
        assert layer.bias[2] == 0
        assert layer.weight[[0, 1, 3]].all()
    for weight in (module.branch[0].weight, module.head.weight):
        assert not weight[:, 2].any()
        assert weight[:, [0, 1, 3]].all()


def test_scores_are_compared_after_division_by_the_scale_of_their_layer() -> None:
    units = units_of(chain(), torch.rand(2, 1, 8, 8))
    scores = torch.tensor([3.0, 4.0, 0.0, 0.0, 30.0, 40.0, 0.0, 0.0, 0.0])
    expected = torch.tensor([3.0, 4.0, 0, 0, 3.0, 4.0, 0, 0, 0]) / 12.5**0.5
    torch.testing.assert_close(units.relative(scores), expected)
    ranks = units.ranks_in_layers(torch.tensor([4.0, 1, 3, 2, 0, 5, 1, 2, 3]))
    assert ranks.tolist() == [0.875, 0.125, 0.625, 0.375, 0.1, 0.9, 0.3, 0.5, 0.7]


def test_a_unit_is_in_use_while_something_makes_it_and_something_reads_it() -> None:
    module = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1))
    units = units_of(module, torch.rand(2, 2))
    with torch.no_grad():
        module[0].weight[0], module[0].bias[0] = 0.0, 0.0
        module[0].weight[1] = 0.0
        module[2].weight[:, 2] = 0.0
    assert units.in_use(units.parameters.values).tolist() == [False, True, False, True]
