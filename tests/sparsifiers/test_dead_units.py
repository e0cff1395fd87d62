"""Dead units: found by paths, removed without a change of the output, replaced in masks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sksparse.sparsifiers.masks._keep import keep_largest
from sksparse.sparsifiers.parameters._flat_parameters import FlatParameters
from sksparse.sparsifiers.structure._dead_units import (
    keep_alive,
    links,
    live_weights,
    remove_dead_units,
)

pytestmark = pytest.mark.usefixtures("untraced")


def make_chain(*, batch_norm: bool = False) -> nn.Sequential:
    layers: list[nn.Module] = []
    for n_in, n_out in [(6, 8), (8, 7), (7, 5)]:
        layers += [nn.Linear(n_in, n_out), nn.Sigmoid(), nn.Dropout(0.5)]
        if batch_norm:
            layers.insert(-2, nn.BatchNorm1d(n_out))
    module = nn.Sequential(nn.Sequential(*layers), nn.Linear(5, 3))
    module(torch.randn(50, 6))
    return module.eval()


def live_by_paths(module: nn.Module) -> list[np.ndarray]:
    """Weights on paths from input to output, by counting the paths through each."""
    weights = [(w != 0).double().numpy() for w in FlatParameters(module).tensors.values()]
    into, out_of = [np.ones(weights[0].shape[1])], [np.ones(len(weights[-1]))]
    for w in weights:
        into.append(w @ into[-1])
    for w in reversed(weights):
        out_of.insert(0, w.T @ out_of[0])
    return [
        w * b[None, :] * a[:, None] > 0
        for w, b, a in zip(weights, into[:-1], out_of[1:], strict=True)
    ]


def prune(module: nn.Module, density: float) -> None:
    parameters = FlatParameters(module)
    parameters.weights.mul_(torch.rand(parameters.n_weights) < density)


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("density", [0.0, 0.1, 0.25, 1.0])
def test_the_output_is_unchanged(density: float, batch_norm: bool) -> None:
    module = make_chain(batch_norm=batch_norm).double()
    prune(module, density)
    X = torch.randn(20, 6).double()
    before, live = module(X), live_by_paths(module)
    remove_dead_units(module)
    torch.testing.assert_close(module(X), before, atol=1e-6, rtol=0)
    for w, expected in zip(FlatParameters(module).tensors.values(), live, strict=True):
        np.testing.assert_array_equal((w != 0).numpy(), expected)


@pytest.mark.parametrize("density", [0.0, 0.1, 0.25, 1.0])
def test_live_weights_lie_on_paths(density: float) -> None:
    module = make_chain()
    prune(module, density)
    parameters = FlatParameters(module)
    got = live_weights(parameters.weights != 0, parameters, links(module))
    expected = np.concatenate([live.ravel() for live in live_by_paths(module)])
    np.testing.assert_array_equal(got.numpy(), expected)


def test_a_constant_without_a_bias_to_go_to_stays() -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.Sigmoid(), nn.Linear(2, 1, bias=False))
    module[0].weight[0] = 0.0
    X = torch.randn(5, 2)
    before = module(X)
    remove_dead_units(module)
    torch.testing.assert_close(module(X), before)
    assert module[2].weight.all()


def test_other_modules_are_left_alone() -> None:
    class Residual(nn.Linear):
        def forward(self, X: Tensor) -> Tensor:
            return X + super().forward(X)

    shared = nn.Linear(4, 4)
    for module in (
        nn.LSTM(3, 4),
        nn.Sequential(nn.Linear(4, 4), nn.Softmax(dim=1), nn.Linear(4, 4)),
        nn.Sequential(nn.Conv1d(1, 2, 3), nn.Flatten(), nn.Linear(4, 2)),
        nn.Sequential(shared, nn.ReLU(), shared),
        nn.Sequential(Residual(4, 4), nn.ReLU(), nn.Linear(4, 4)),
    ):
        assert links(module) == []


def test_convolutions_before_a_chain_do_not_hide_it() -> None:
    layers = [nn.Conv1d(1, 2, 3), nn.Flatten(), nn.Linear(4, 2), nn.ReLU(), nn.Linear(2, 2)]
    (link,) = links(nn.Sequential(*layers))
    assert link.first is layers[2]
    assert link.second is layers[4]


@pytest.mark.parametrize("count", [0, 1, 4, 9, 20, 50, 100, 153, 154])
@pytest.mark.parametrize("seed", range(5))
def test_the_exact_number_is_kept_alive(count: int, seed: int) -> None:
    torch.manual_seed(seed)
    module = make_chain()
    parameters = FlatParameters(module)
    found = links(module)
    scores = torch.rand(parameters.n_weights)
    keep = keep_alive(scores, count, parameters, found)
    assert int(keep.sum()) == min(count, parameters.n_weights)
    if count >= 20:
        # fewer may only make up whole paths of four weights, and not every number is their sum
        assert torch.equal(live_weights(keep, parameters, found), keep)
    top = keep_largest(scores, min(count, len(scores)))
    if torch.equal(live_weights(top, parameters, found), top):
        assert torch.equal(keep, top)


def test_weights_of_score_zero_are_no_candidates() -> None:
    module = make_chain()
    parameters = FlatParameters(module)
    scores = torch.rand(parameters.n_weights) * (torch.rand(parameters.n_weights) < 0.5)
    count = int((scores > 0).sum()) - 20
    keep = keep_alive(scores, count, parameters, links(module))
    assert int(keep.sum()) == count
    assert (scores[keep] > 0).all()
