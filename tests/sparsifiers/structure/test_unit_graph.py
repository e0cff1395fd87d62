"""Which layers a module connects, and what is refused where that is not known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sksparse.neural_network import SparseNetClassifier
from sksparse.sparsifiers import (
    BayesianGroups,
    GroupShrinkage,
    GrOWL,
    HardConcrete,
    IsingDropout,
    OscarShrinkage,
    SparseGroupShrinkage,
    Sparsifier,
    TargetedDropout,
)
from sksparse.sparsifiers.parameters._flat_parameters import FlatParameters
from sksparse.sparsifiers.structure._unit_graph import UnitGraph, connections

N_ROWS = 80

pytestmark = [
    pytest.mark.filterwarnings("ignore:The objective still fell"),
    pytest.mark.filterwarnings("ignore:Of the .* are the same for all training rows"),
]


class Residual(nn.Linear):
    def forward(self, X: Tensor) -> Tensor:
        return X + super().forward(X)


class MyReLU(nn.ReLU):
    pass


# --- what is connected ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "between",
    [
        [nn.ReLU()],
        [nn.BatchNorm1d(4), nn.Tanh(), nn.Dropout(0.5)],
        [nn.Identity(), nn.Sequential(nn.PReLU(4), nn.Mish())],
    ],
)
def test_units_of_linear_layers_are_followed(between: list[nn.Module]) -> None:
    module = nn.Sequential(nn.Linear(3, 4), *between, nn.Linear(4, 2))
    (found,) = connections(module)
    assert found.first is module[0]
    assert found.second is module[-1]


def test_channels_are_followed_into_convolutions_and_linear_layers() -> None:
    module = nn.Sequential(
        *(nn.Conv1d(1, 4, 3), nn.BatchNorm1d(4), nn.MaxPool1d(2), nn.Conv1d(4, 6, 3), nn.ReLU()),
        *(nn.Flatten(), nn.BatchNorm1d(12), nn.Linear(12, 5), nn.Sequential(nn.Linear(5, 2))),
    )
    assert [(c.n_units, len(c.second.weight)) for c in connections(module)] == [
        (4, 6),
        (6, 5),
        (5, 2),
    ]
    assert UnitGraph(module, FlatParameters(module)).is_one_chain


shared, tied = nn.Linear(4, 4), nn.Linear(4, 4)
tied.weight = shared.weight
frozen = nn.Linear(4, 4)
frozen.weight.requires_grad_(False)


@pytest.mark.parametrize(
    "module",
    [
        nn.LSTM(3, 4),
        nn.Sequential(nn.Linear(4, 4), nn.Softmax(dim=1), nn.Linear(4, 4)),
        nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 4)),
        nn.Sequential(nn.Linear(4, 4), MyReLU(), nn.Linear(4, 4)),
        nn.Sequential(shared, nn.ReLU(), shared),
        nn.Sequential(shared, nn.ReLU(), tied),
        nn.Sequential(nn.Linear(4, 4), nn.ReLU(), frozen),
        nn.Sequential(Residual(4, 4), nn.ReLU(), nn.Linear(4, 4)),
        # a pool over the units, positions that are read as units, and other ways to flatten
        nn.Sequential(nn.Linear(4, 4), nn.MaxPool1d(3, 1, 1), nn.Linear(4, 4)),
        nn.Sequential(nn.Conv1d(1, 2, 3), nn.ReLU(), nn.Linear(4, 2)),
        nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(2), nn.Conv1d(2, 2, 3)),
        nn.Sequential(nn.Conv1d(4, 4, 3), nn.ReLU(), nn.Conv1d(4, 4, 3, groups=4)),
        nn.Sequential(nn.Conv1d(4, 4, 3), nn.ReLU(), nn.ConvTranspose1d(4, 4, 3)),
    ],
)
def test_what_is_not_understood_is_not_connected(module: nn.Module) -> None:
    assert connections(module) == []


def test_convolutions_before_a_chain_do_not_hide_it() -> None:
    layers = [nn.Conv1d(1, 2, 3), nn.Softmax(2), nn.Linear(4, 2), nn.ReLU(), nn.Linear(2, 2)]
    (found,) = connections(nn.Sequential(*layers))
    assert found.first is layers[2]
    assert found.second is layers[4]


# --- what methods of units make of it ---------------------------------------------------------


@pytest.fixture(scope="module")
def images() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N_ROWS, 1, 8, 8)).astype(np.float32)
    return X, (X[:, 0, :4].mean(axis=(1, 2)) > 0).astype(int)


def convolutions() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()),
        *(nn.MaxPool2d(2), nn.Conv2d(16, 8, 3, padding=1), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(128, 2)),
    )


class Skipping(nn.Module):
    """A residual connection around its second layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.last = nn.Linear(256, 2)

    def forward(self, X: Tensor) -> Tensor:
        hidden = torch.relu(self.first(X))
        result: Tensor = self.last((hidden + self.second(hidden)).flatten(1))
        return result


def fit(images: Any, module: nn.Module, sparsifier: Sparsifier, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    net = SparseNetClassifier(
        module, sparsifier=sparsifier, max_iter=12, random_state=0, device="cpu", **options
    )
    trained: nn.Module = net.fit(*images).module_
    return trained


REMOVE_UNITS = [
    (GroupShrinkage(), {"alpha": 0.05}),
    (GroupShrinkage(granularity="output"), {"target_sparsity": 0.8}),
    (GroupShrinkage(granularity="output"), {"alpha": 0.05}),
    (GroupShrinkage(granularity="input"), {"alpha": 0.05}),
    (SparseGroupShrinkage(granularity="output"), {"alpha": 0.05}),
    (OscarShrinkage(granularity="output"), {"alpha": 0.02}),
    (OscarShrinkage(granularity="input"), {"target_sparsity": 0.8}),
    (GrOWL(), {"target_sparsity": 0.8}),
    (BayesianGroups(), {"target_sparsity": 0.8}),
    (TargetedDropout(granularity="unit"), {"target_sparsity": 0.8}),
]


@pytest.mark.parametrize("sparsifier, options", REMOVE_UNITS)
def test_nothing_reads_a_filter_that_is_removed(
    images: Any, sparsifier: Sparsifier, options: dict[str, Any]
) -> None:
    module = fit(images, convolutions(), sparsifier, **options)
    n_removed = 0
    for connection in connections(module):
        has_inputs = connection.entering(connection.first.weight).any(1)
        is_read = connection.leaving(connection.second.weight).any(2).any(0)
        torch.testing.assert_close(has_inputs, is_read)
        n_removed += int((~is_read).sum())
    assert n_removed > 0


BY_OUTPUTS = [
    GroupShrinkage(),
    GroupShrinkage(granularity="output"),
    SparseGroupShrinkage(),
    OscarShrinkage(granularity="output"),
    IsingDropout(),
]


@pytest.mark.parametrize("sparsifier", BY_OUTPUTS)
def test_a_module_whose_units_are_unknown_is_refused_before_training(
    images: Any, sparsifier: Sparsifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[None] = []
    monkeypatch.setattr(torch.optim.Adam, "step", lambda *args, **kwargs: calls.append(None))
    with pytest.raises(ValueError, match=r"'first.weight' \(Conv2d\).*(granularity|Choose)"):
        fit(images, Skipping(), sparsifier)
    assert calls == []


@pytest.mark.parametrize(
    "sparsifier",
    [
        GroupShrinkage(granularity="input"),
        OscarShrinkage(granularity="input"),
        GrOWL(),
        BayesianGroups(),
        TargetedDropout(granularity="unit"),
        HardConcrete(granularity="output"),
    ],
)
def test_groups_of_weights_need_no_chain(images: Any, sparsifier: Sparsifier) -> None:
    module = fit(images, Skipping(), sparsifier, target_sparsity=0.5)
    weights = [p for p in module.parameters() if p.ndim > 1]
    n_zeros = sum(int((w == 0).sum()) for w in weights)
    assert n_zeros / sum(w.numel() for w in weights) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    "sparsifier",
    [
        GroupShrinkage(granularity="input"),
        GrOWL(),
        HardConcrete(granularity="input"),
        BayesianGroups(),
        TargetedDropout(granularity="unit"),
    ],
)
@pytest.mark.parametrize(
    "layer",
    [nn.Conv2d(4, 4, 3, groups=2), nn.ConvTranspose2d(4, 4, 3)],
    ids=["grouped", "transposed"],
)
def test_layers_without_an_axis_of_units_are_refused(
    images: Any, sparsifier: Sparsifier, layer: nn.Module
) -> None:
    module = nn.Sequential(nn.Conv2d(1, 4, 3), layer, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(ValueError, match=r"'1.weight' \(Conv.*not on an axis"):
        fit(images, nn.Sequential(*module, nn.Linear(4, 2)), sparsifier)
