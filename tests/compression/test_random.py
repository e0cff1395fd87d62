"""Random modules with random zeros: compacted equals masked."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from sksparse.compression import compact
from sksparse.module_graph import ModuleGraph
from tests.helpers.compacted import assert_equal_states, off, others_like, taken
from tests.helpers.random_modules import Case, random_module


def damage(case: Case, seed: int) -> None:
    """Zero rows, columns, scales and some biases of random units, each tensor by itself."""
    rng = np.random.default_rng(seed)
    parameters = dict(case.module.named_parameters())
    share = rng.choice([0.15, 0.45, 0.45, 0.9])
    with torch.no_grad():
        for slot in ModuleGraph(case.module, case.example).slots:
            is_bias = "bias" in slot.tensor.rpartition(".")[2]
            if slot.tensor not in parameters or rng.random() < (0.7 if is_bias else 0.3):
                continue
            units = np.unique(slot.units)
            chosen = units[rng.random(len(units)) < share]
            positions = torch.from_numpy(np.flatnonzero(np.isin(slot.units, chosen)))
            parameters[slot.tensor].index_fill_(slot.axis, positions, 0.0)


def check(seed: int) -> bool:
    """Whether something was removed from one of them."""
    case = random_module(seed, n_parts=1 + seed % 4)
    if not ModuleGraph(case.module, case.example).is_followed:
        return False
    damage(case, seed)
    result = compact(case.module, case.example)
    for features in (case.example, *others_like(case.example)):
        assert off(case.module, features, result) <= 1e-12, case.name
    small = taken(case.example, result)
    assert_equal_states(compact(result.module, small).module, result.module)
    return result.parameters[0] < result.parameters[1]


@pytest.mark.parametrize("start", range(0, 20, 10))
def test_random_modules(start: int) -> None:
    assert sum(map(check, range(start, start + 10))) >= 5


@pytest.mark.slow
@pytest.mark.parametrize("start", range(1000, 1400, 50))
def test_many_random_modules(start: int) -> None:
    assert sum(map(check, range(start, start + 50))) >= 30


def test_what_is_alive_stays() -> None:
    for seed in range(5):
        case = random_module(seed)
        result = compact(case.module, case.example)
        assert result.parameters[0] == result.parameters[1], case.name
        assert isinstance(result.module, nn.Sequential)
