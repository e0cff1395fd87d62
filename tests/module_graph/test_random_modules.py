"""Random modules: what the picture says about them is true of what they compute."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from sksparse.module_graph import ModuleGraph
from tests.helpers.random_modules import Case, random_module

CASES = [random_module(seed) for seed in range(60)]


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


def output(module: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        return module(x)


def positions(graph: ModuleGraph, module: nn.Module, units: np.ndarray, roles: tuple[str, ...]):
    """Views of everything that belongs to units, as (tensor, index)."""
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    for slot in graph.slots:
        if slot.role in roles:
            here = torch.from_numpy(np.flatnonzero(np.isin(slot.units, units)))
            yield tensors[slot.tensor].data, slot.axis, here


def fill(tensor: Tensor, axis: int, here: Tensor, value: float | None) -> None:
    part = tensor.index_select(axis, here)
    new = torch.rand_like(part) + 0.5 if value is None else torch.full_like(part, value)
    tensor.index_copy_(axis, here, new)


def removed_units(graph: ModuleGraph, seed: int) -> np.ndarray:
    """About half of the units that may go, one of each layer left."""
    rng = np.random.default_rng(seed)
    stay = {int(layer.units[0]) for layer in graph.layers}
    candidates = [u for u in np.flatnonzero(graph.removable).tolist() if u not in stay]
    return np.array([u for u in candidates if rng.random() < 0.5], dtype=np.intp)


def test_a_random_module_is_followed(case: Case) -> None:
    graph = ModuleGraph(case.module, case.example)
    assert not graph.obstacles
    assert graph.removable.any()


def test_flops_are_those_that_torch_counts(case: Case) -> None:
    with FlopCounterMode(display=False) as counter:
        output(case.module, case.example)
    graph = ModuleGraph(case.module, case.example)
    assert graph.flops() * len(case.example) == pytest.approx(counter.get_total_flops(), rel=1e-12)


def test_without_its_columns_nothing_depends_on_a_unit(case: Case) -> None:
    """With what reads some units at zero, what makes and scales them does not matter."""
    graph = ModuleGraph(case.module, case.example)
    units = removed_units(graph, 0)
    masked = copy.deepcopy(case.module)
    for place in positions(graph, masked, units, ("reads",)):
        fill(*place, 0.0)
    changed = copy.deepcopy(masked)
    for place in positions(graph, changed, units, ("writes", "scales")):
        fill(*place, None)
    for place in positions(graph, changed, units, ("reads",)):
        fill(*place, 0.0)
    assert torch.equal(output(changed, case.example), output(masked, case.example))


def test_each_unit_matters(case: Case) -> None:
    """What makes a unit reaches the outputs: units are neither imagined nor out of reach."""
    graph = ModuleGraph(case.module, case.example)
    before = output(case.module, case.example)
    moved = 0
    some = np.flatnonzero(graph.removable)[::3]
    for unit in some:
        changed = copy.deepcopy(case.module)
        for place in positions(graph, changed, np.array([unit]), ("writes",)):
            fill(*place, None)
        moved += not torch.equal(output(changed, case.example), before)
    # a ReLU may be off for all rows
    assert moved >= 0.5 * len(some)
