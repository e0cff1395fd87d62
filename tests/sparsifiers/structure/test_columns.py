"""Columns of layers: what else goes with them, and what is then left, against ``compact``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sksparse.compression import compact
from sksparse.module_graph import ModuleGraph
from sksparse.sparsifiers.parameters._flat_parameters import FlatParameters
from sksparse.sparsifiers.structure._columns import Columns
from sksparse.sparsifiers.structure._target import Target


class Shortcut(nn.Module):
    """A layer beside a shortcut, read by two layers whose units stand side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.beside = nn.Linear(9, 8), nn.Linear(8, 8)
        self.left, self.right = nn.Linear(8, 5), nn.Linear(8, 4)
        self.last = nn.Linear(9, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.first(x))
        h = h + torch.relu(self.beside(h))
        both = torch.cat([self.left(h).tanh(), self.right(h).tanh()], 1)
        out: Tensor = self.last(both)
        return out


class Stacked(nn.Module):
    """Two recurrent layers."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.last = nn.LSTM(5, 6, 2, batch_first=True), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.lstm(x)
        out: Tensor = self.last(states[:, -1])
        return out


def images() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(2, 5, 3), nn.BatchNorm2d(5), nn.ReLU(), nn.Conv2d(5, 4, 2), nn.ReLU()),
        *(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 7), nn.ReLU(), nn.Linear(7, 3)),
    )


CASES: dict[str, tuple[Any, tuple[int, ...]]] = {
    "shortcut": (Shortcut, (9,)),
    "recurrent": (Stacked, (4, 5)),
    "images": (images, (2, 7, 7)),
}


def make(name: str, **options: bool) -> tuple[nn.Module, Tensor, FlatParameters, Columns]:
    torch.manual_seed(0)
    build, shape = CASES[name]
    module = build().double().eval()
    X = torch.randn(6, *shape, dtype=torch.float64)
    parameters = FlatParameters(module)
    picture = ModuleGraph(module, X)
    return (
        module,
        X,
        parameters,
        Columns(parameters, picture, drops_features=X.ndim == 2, **options),
    )


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("seed", range(4))
def test_what_goes_with_columns_is_what_compact_takes_out(name: str, seed: int) -> None:
    module, X, parameters, columns = make(name)
    keep = torch.from_numpy(np.random.default_rng(seed).random(columns.n_units) < 0.2 + 0.15 * seed)
    keep = columns.guarded(keep, torch.rand(columns.n_units), warns=False)
    mask, dense = columns.mask(keep), parameters.values.clone()
    with torch.no_grad():
        parameters.weights.mul_(columns.spread(keep))
        expected = module(X)
        parameters.values.copy_(dense * mask)
        assert not columns.sums(parameters.weights)[~keep].any()
        torch.testing.assert_close(module(X), expected, atol=1e-12, rtol=0)
    assert columns.count(keep) == int(torch.count_nonzero(parameters.weights))
    assert columns.left(keep, "weights") == pytest.approx(
        columns.count(keep) / len(parameters.weights)
    )
    result = compact(module, X)
    share = result.multiply_adds[0] / result.multiply_adds[1]
    assert columns.left(keep, "flops") == pytest.approx(share)


def test_a_target_is_met_to_one_column() -> None:
    for name in CASES:
        _, _, _, columns = make(name)
        scores = torch.rand(columns.n_units)
        for measure in ("weights", "flops"):
            keep = columns.choose(scores, Target(measure, 0.4))  # type: ignore[arg-type]
            assert columns.left(keep, measure) <= 0.4
            best = scores.masked_fill(keep, -1.0).argmax()
            keep[best] = True
            assert columns.left(keep, measure) > 0.4


def test_positions_are_columns_of_filters() -> None:
    _, _, parameters, columns = make("images", positions=True)
    shapes = [w.shape for w in parameters.tensors.values()]
    assert columns.n_units == sum(shape[1:].numel() for shape in shapes)
    keep = torch.ones(columns.n_units, dtype=torch.bool)
    keep[:17] = False
    views = parameters.by_tensor(columns.mask(keep)[: len(parameters.weights)])
    first = views["0.weight"]
    assert not first.flatten(1)[:, :17].any()
    assert first[:, 1, 2, 2].all()
    # a channel that no position reads
    keep[:] = True
    keep[18 + 4 : 18 + 8] = False
    gone = {n for n, part in parameters.all_by_name(columns.mask(keep)).items() if not part.all()}
    assert gone == {"0.weight", "0.bias", "1.weight", "1.bias", "3.weight"}


def test_without_a_picture_columns_are_all_that_goes() -> None:
    _, _, parameters, _ = make("images")
    columns = Columns(parameters, None)
    keep = torch.zeros(columns.n_units, dtype=torch.bool)
    mask = columns.mask(keep)
    assert not mask[: len(parameters.weights)].any()
    assert mask[len(parameters.weights) :].all()
