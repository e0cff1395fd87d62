"""What every compaction must satisfy."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import torch
from torch import Tensor, nn

from sksparse.compression import CompactResult, compact
from sksparse.neural_network.fitted._storage import as_arrays, as_tensors


def checked(
    module: nn.Module, example: Tensor, tolerance: float = 1e-12, **options: Any
) -> CompactResult:
    """Compact a module in double precision, and check all that is promised.

    The outputs are those of the module for other features and numbers of rows, its own weights
    are left alone, a second compaction changes nothing, and copies and pickles compute the same.
    """
    before = {name: t.clone() for name, t in module.state_dict().items()}
    result = compact(module, example, **options)
    assert all(torch.equal(t, before[name]) for name, t in module.state_dict().items())
    for features in (example, *others_like(example)):
        assert off(module, features, result) <= tolerance
    small = taken(example, result)
    assert [part.training for part in module.modules()][:1] == [result.module.training]
    again = compact(result.module, small, **options)
    assert_equal_states(again.module, result.module)
    assert again.parameters[0] == again.parameters[1] == result.parameters[0]
    assert all(kept == dense for kept, dense in again.widths.values())
    with torch.no_grad():
        outputs = result.module(small)
        for copied in copies(result.module):
            assert torch.equal(copied(small), outputs)
    return result


def others_like(example: Tensor) -> list[Tensor]:
    """Other features of the same kind; none for tokens."""
    if not example.is_floating_point():
        return [example.flip(0)]
    generator = torch.Generator().manual_seed(1)
    shape = (len(example) + 2, *example.shape[1:])
    return [3 * torch.randn(shape, generator=generator, dtype=example.dtype)]


def taken(features: Tensor, result: CompactResult) -> Tensor:
    """The features that the small module takes."""
    if len(result.kept_inputs) == result.n_inputs:
        return features
    return features[:, torch.from_numpy(result.kept_inputs)]


def off(module: nn.Module, features: Tensor, result: CompactResult) -> float:
    """The largest difference of outputs, relative to the outputs."""
    with torch.no_grad():
        masked, small = module(features), result.module(taken(features, result))
    return float((masked - small).abs().max() / (masked.abs().max() + 1e-3))


def copies(module: nn.Module) -> list[nn.Module]:
    """The module in all the ways in which estimators keep it."""
    return [
        copy.deepcopy(module),
        pickle.loads(pickle.dumps(module)),
        as_tensors(pickle.loads(pickle.dumps(as_arrays(module)))),
    ]


def assert_equal_states(first: nn.Module, second: nn.Module) -> None:
    states = first.state_dict(), second.state_dict()
    assert list(states[0]) == list(states[1])
    for name, tensor in states[0].items():
        assert torch.equal(tensor, states[1][name]), name
