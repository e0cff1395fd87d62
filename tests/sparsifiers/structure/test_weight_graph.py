"""Which layers a module connects, and what is refused where that is not known."""

from __future__ import annotations

import copy
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
    Sparsifier,
    TargetedDropout,
)
from sksparse.sparsifiers.parameters._flat_parameters import FlatParameters
from sksparse.sparsifiers.structure._dead_units import live_weights
from sksparse.sparsifiers.structure._weight_graph import WeightGraph

N_ROWS = 80

pytestmark = [
    pytest.mark.filterwarnings("ignore:The objective still fell"),
    pytest.mark.filterwarnings("ignore:Of the .* are the same for all training rows"),
]


class MyReLU(nn.ReLU):
    pass


# --- what is followed --------------------------------------------------------------------------


def graph_of(module: nn.Module, *shape: int) -> WeightGraph:
    return WeightGraph(module, FlatParameters(module), torch.zeros(shape))


@pytest.mark.parametrize(
    "between",
    [
        [nn.ReLU()],
        [nn.BatchNorm1d(4), nn.Tanh(), nn.Dropout(0.5)],
        [nn.Identity(), nn.Sequential(nn.GELU(), nn.Mish())],
        [MyReLU()],
    ],
)
def test_units_of_linear_layers_are_followed(between: list[nn.Module]) -> None:
    module = nn.Sequential(nn.Linear(3, 4), *between, nn.Linear(4, 2))
    graph = graph_of(module, 2, 3)
    first, last = graph.links
    np.testing.assert_array_equal(first.made, last.read)
    assert graph.is_free[first.made].all()
    assert not graph.is_free[first.read].any()
    assert not graph.is_free[last.made].any()
    assert graph.enters_next() == [True, False]


def test_channels_are_followed_into_convolutions_and_linear_layers() -> None:
    module = nn.Sequential(
        *(nn.Conv1d(1, 4, 3), nn.BatchNorm1d(4), nn.MaxPool1d(2), nn.Conv1d(4, 6, 3), nn.ReLU()),
        *(nn.Flatten(), nn.BatchNorm1d(12), nn.Linear(12, 5), nn.Sequential(nn.Linear(5, 2))),
    )
    graph = graph_of(module, 2, 1, 10)
    assert [(len(x.read), len(np.unique(x.read)), len(x.made)) for x in graph.links] == [
        (1, 1, 4),
        (4, 4, 6),
        (12, 6, 5),
        (5, 5, 2),
    ]
    assert graph.enters_next() == [True, True, True, False]


def test_without_an_example_or_with_an_obstacle_nothing_is_known() -> None:
    module = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    for graph in (
        WeightGraph(module, FlatParameters(module), None),
        graph_of(Branching(), 2, 4),
    ):
        assert not graph.is_known
        assert graph.links == []
        keep = torch.rand(graph.parameters.n_weights) < 0.5
        assert torch.equal(live_weights(keep, graph), keep)


# --- residuals, tied and frozen weights -------------------------------------------------------


class Branching(nn.Module):
    """What it does depends on the data."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, X: Tensor) -> Tensor:
        hidden = self.first(X)
        result: Tensor = self.last(hidden if hidden.sum() > 0 else -hidden)
        return result


class Block(nn.Module):
    """A branch beside a shortcut, and one layer that is called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.twice = nn.Linear(3, 4), nn.Linear(4, 4)
        self.down, self.up = nn.Linear(4, 2), nn.Linear(2, 4)
        self.head = nn.Linear(4, 2)

    def forward(self, X: Tensor) -> Tensor:
        hidden = torch.relu(self.twice(torch.relu(self.twice(self.stem(X)))))
        hidden = hidden + self.up(torch.relu(self.down(hidden)))
        result: Tensor = self.head(hidden)
        return result


def live_by_gradients(module: nn.Module, shape: tuple[int, ...]) -> torch.Tensor:
    """Weights on a path: with magnitudes for weights, the output rises with them and the input."""
    twin = copy.deepcopy(module).double()
    for name, p in twin.named_parameters():
        p.data = torch.zeros_like(p) if "bias" in name else p.data.abs()
    twin(torch.ones(shape, dtype=torch.float64)).sum().backward()
    return torch.cat([(p.grad * p).flatten() > 0 for p in twin.parameters() if p.ndim > 1])


@pytest.mark.parametrize("density", [0.15, 0.3, 0.6])
@pytest.mark.parametrize("seed", range(5))
def test_live_weights_of_a_residual_module_lie_on_paths(density: float, seed: int) -> None:
    torch.manual_seed(seed)
    module = Block()
    graph = graph_of(module, 2, 3)
    keep = torch.rand(graph.parameters.n_weights) < density
    graph.parameters.weights.mul_(keep)
    live = live_weights(keep, graph)
    by_gradients = live_by_gradients(module, (1, 3))
    assert (live | ~by_gradients).all()
    # a unit of a shortcut counts as made by any of its writers, wherever it is read
    assert int((live & ~by_gradients).sum()) <= 0.2 * len(keep)


def test_a_layer_that_is_not_trained_keeps_what_it_reads() -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    module[2].requires_grad_(False)
    module[2].weight[:, 1] = 0.0
    graph = graph_of(module, 2, 3)
    keep = torch.ones(graph.parameters.n_weights, dtype=torch.bool)
    masks = graph.parameters.by_tensor(live_weights(keep, graph))
    assert masks["0.weight"].all(1).tolist() == [True, False, True, True]
    assert masks["4.weight"].all()


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
    (GroupShrinkage(granularity="unit"), {"target_sparsity": 0.8}),
    (GroupShrinkage(granularity="input"), {"alpha": 0.05}),
    (OscarShrinkage(granularity="unit"), {"target_sparsity": 0.8}),
    (GrOWL(), {"target_sparsity": 0.8}),
    (BayesianGroups(), {"target_sparsity": 0.8}),
    (TargetedDropout(granularity="unit"), {"target_sparsity": 0.8}),
]


@pytest.mark.parametrize("sparsifier, options", REMOVE_UNITS)
def test_nothing_reads_a_filter_that_is_removed(
    images: Any, sparsifier: Sparsifier, options: dict[str, Any]
) -> None:
    module = fit(images, convolutions(), sparsifier, **options)
    graph = WeightGraph(module, FlatParameters(module), torch.from_numpy(images[0][:2]))
    masks = graph.by_name(graph.parameters.weights != 0)
    reached, read = (find(masks)[:-1].numpy() for find in (graph.reached, graph.read))
    np.testing.assert_array_equal(reached, read)
    assert not read.all()


def test_ising_dropout_needs_a_chain_of_layers(images: Any) -> None:
    with pytest.raises(ValueError, match=r"'first.weight' \(Conv2d\).*Choose another"):
        fit(images, Skipping(), IsingDropout())


@pytest.mark.parametrize(
    "sparsifier",
    [
        GroupShrinkage(granularity="input"),
        GrOWL(),
        BayesianGroups(),
        HardConcrete(granularity="input"),
    ],
)
def test_groups_of_weights_need_no_chain(images: Any, sparsifier: Sparsifier) -> None:
    module = fit(images, Skipping(), sparsifier, target_sparsity=0.5)
    weights = [p for p in module.parameters() if p.ndim > 1]
    n_zeros = sum(int((w == 0).sum()) for w in weights)
    assert n_zeros / sum(w.numel() for w in weights) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("sparsifier", [GroupShrinkage(granularity="input"), GrOWL()])
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
