"""Random modules: what the picture says about them is true of what they compute."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from sksparse.module_graph import ModuleGraph
from tests.helpers.graph_checks import changed, cut, fill, masked, output, places, some_units
from tests.helpers.random_modules import Case, random_module

CASES = [random_module(seed) for seed in range(24)]


@pytest.fixture(params=range(len(CASES)), ids=lambda seed: CASES[seed].name)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


def test_a_random_module_is_followed_and_left_as_it_is(case: Case) -> None:
    before = copy.deepcopy(case.module.state_dict())
    graph = ModuleGraph(case.module, case.example)
    assert not graph.obstacles
    assert graph.removable.any()
    after = case.module.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_flops_are_those_that_torch_counts(case: Case) -> None:
    with FlopCounterMode(display=False) as counter:
        output(case.module, case.example)
    graph = ModuleGraph(case.module, case.example)
    assert graph.flops() * len(case.example) == pytest.approx(counter.get_total_flops(), rel=1e-12)


def test_flops_of_the_units_that_are_kept_are_those_of_the_smaller_module(case: Case) -> None:
    graph = ModuleGraph(case.module, case.example)
    units = some_units(graph)
    keep = np.ones(graph.n_units, dtype=bool)
    keep[units] = False
    small = cut(graph, units, case.example)
    with FlopCounterMode(display=False) as counter:
        output(small, case.example)
    if graph.other_multiply_adds:
        return  # values of attention have units, and their products are counted as they were
    assert graph.flops(keep) * len(case.example) == counter.get_total_flops()
    n_parameters = sum(p.numel() for p in small.parameters())
    assert sum(cost.parameters for cost in graph.costs(keep)) == n_parameters


def test_without_its_columns_nothing_depends_on_a_unit(case: Case) -> None:
    """With what reads some units at zero, what makes and scales them does not matter."""
    graph = ModuleGraph(case.module, case.example)
    units = some_units(graph)
    before = output(masked(graph, units), case.example)
    assert torch.equal(output(changed(graph, units), case.example), before)


def test_a_module_without_units_is_the_masked_one(case: Case) -> None:
    graph = ModuleGraph(case.module, case.example)
    for seed in range(2):
        units = some_units(graph, seed)
        small = output(cut(graph, units, case.example), case.example)
        assert (small - output(masked(graph, units), case.example)).abs().max() < 1e-12


def test_each_unit_matters(case: Case) -> None:
    """What makes a unit reaches the outputs: units are not imagined."""
    graph = ModuleGraph(case.module, case.example)
    before = output(case.module, case.example)
    some = np.flatnonzero(graph.removable)[::3]
    moved = 0
    for unit in some:
        other = copy.deepcopy(case.module)
        for place in places(graph, other, np.array([unit]), "writes"):
            fill(*place, None)
        moved += not torch.equal(output(other, case.example), before)
    # a ReLU may be off for all rows
    assert moved >= 0.5 * len(some)


@pytest.mark.slow
def test_many_random_modules() -> None:
    for seed in range(24, 120):
        made = random_module(seed, n_parts=5)
        graph = ModuleGraph(made.module, made.example)
        assert not graph.obstacles, made.name
        units = some_units(graph, seed)
        before = output(masked(graph, units), made.example)
        assert torch.equal(output(changed(graph, units), made.example), before), made.name
        small = output(cut(graph, units, made.example), made.example)
        assert (small - before).abs().max() < 1e-10, made.name
        test_flops_are_those_that_torch_counts(made)
