"""Masks that leave every output a path, and what is said where too few weights are kept."""

from __future__ import annotations

from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import scale
from torch import nn

from sksparse.neural_network import (
    SparseMLPClassifier,
    SparseMLPRegressor,
    SparseNetClassifier,
)
from sksparse.sparsifiers import SPARSIFIERS, Magnitude, RigL
from sksparse.sparsifiers.parameters._flat_parameters import FlatParameters
from sksparse.sparsifiers.structure._paths import keep_paths
from sksparse.sparsifiers.structure._weight_graph import WeightGraph

#: Those that meet a number of weights; others remove whole units, and keep one of each layer.
NAMES = [
    name
    for name, kind in SPARSIFIERS.items()
    if name not in (None, "product_gates") and kind.granularities != ("unit",)
]
CONSTANT = "are the same for all training rows"

pytestmark = pytest.mark.filterwarnings("ignore:The objective still fell")


def reached(matrices: list[np.ndarray]) -> np.ndarray:
    """The outputs with a path from an input, by counting paths."""
    paths = np.ones(matrices[0].shape[0])
    for matrix in matrices:
        paths = (paths @ (matrix != 0) > 0).astype(float)
    return paths > 0


# --- the masks --------------------------------------------------------------------------------


def chain(widths: tuple[int, ...]) -> tuple[nn.Module, FlatParameters]:
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(widths):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    module = nn.Sequential(*layers[:-1])
    return module, FlatParameters(module)


def graph_of(
    module: nn.Module, parameters: FlatParameters, shape: tuple[int, ...] = ()
) -> WeightGraph:
    n_features = next(module.parameters()).shape[1]
    return WeightGraph(module, parameters, torch.zeros(shape or (2, n_features)))


def masks_of(keep: torch.Tensor, parameters: FlatParameters) -> list[np.ndarray]:
    return [mask.numpy().T for mask in parameters.by_tensor(keep).values()]


@pytest.mark.parametrize("widths", [(5, 3), (5, 4, 3), (4, 6, 5, 2), (7, 3, 3, 3, 4)])
@pytest.mark.parametrize("seed", range(10))
def test_every_output_has_a_path_where_the_number_allows_it(
    untraced: None, widths: tuple[int, ...], seed: int
) -> None:
    torch.manual_seed(seed)
    module, parameters = chain(widths)
    n, depth, n_outputs = parameters.n_weights, len(widths) - 1, widths[-1]
    for count in (0, 1, depth, depth + 1, depth + n_outputs - 1, depth + n_outputs + 2, n // 2, n):
        scores = torch.rand(n)
        keep = torch.zeros(n, dtype=torch.bool)
        keep[torch.randperm(n)[:count]] = True
        kept = keep_paths(keep, scores, graph_of(module, parameters))
        assert int(kept.sum()) == count
        before = reached(masks_of(keep, parameters))
        after = reached(masks_of(kept, parameters))
        if before.all():
            assert torch.equal(kept, keep)
        possible = max(0, min(n_outputs, count - depth + 1))
        assert after.sum() >= max(possible, before.sum() if possible == n_outputs else 0)


def test_as_few_weights_as_possible_are_exchanged(untraced: None) -> None:
    """Against all ways to exchange weights in a network small enough to try them."""
    torch.manual_seed(0)
    module, parameters = chain((2, 2, 2))
    for bits in product([False, True], repeat=parameters.n_weights):
        keep = torch.tensor(bits)
        count = int(keep.sum())
        if count < 3 or reached(masks_of(keep, parameters)).all():
            continue
        kept = keep_paths(keep, torch.rand(8), graph_of(module, parameters))
        least = min(
            int((keep & ~torch.tensor(other)).sum())
            for other in product([False, True], repeat=8)
            if sum(other) == count and reached(masks_of(torch.tensor(other), parameters)).all()
        )
        # paths are found one after the other, which may cost one exchange more
        assert int((keep & ~kept).sum()) <= least + 1


def test_channels_and_what_is_not_a_chain(untraced: None) -> None:
    module: nn.Module = nn.Sequential(nn.Conv1d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 2))
    parameters = FlatParameters(module)
    keep = torch.zeros(parameters.n_weights, dtype=torch.bool)
    keep[:5] = True
    graph = graph_of(module, parameters, (2, 2, 6))
    kept = keep_paths(keep, torch.rand(parameters.n_weights), graph)
    first, second = (mask.numpy() for mask in parameters.by_tensor(kept).values())
    assert int(kept.sum()) == 5
    channels = first.any(axis=(1, 2))
    assert (second.reshape(2, 3, 4).any(axis=2) & channels).any(axis=1).all()
    module = nn.LSTM(3, 4)
    parameters = FlatParameters(module)
    keep = torch.zeros(parameters.n_weights, dtype=torch.bool)
    assert keep_paths(keep, torch.rand(len(keep)), WeightGraph(module, parameters, None)) is keep


# --- networks ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tables() -> dict[str, Any]:
    X, y = make_classification(200, 20, n_informative=5, random_state=0)
    X, many = scale(X), make_classification(200, 20, n_informative=5, n_classes=4, random_state=0)
    targets = np.column_stack([X[:, 0] + X[:, 1], X[:, 2], X[:, 3]])
    return {
        "two classes": (SparseMLPClassifier, X, y),
        "four classes": (SparseMLPClassifier, scale(many[0]), many[1]),
        "targets": (SparseMLPRegressor, X, targets),
    }


CASES = [
    ("two classes", (6,), 3),
    ("two classes", (6,), 4),
    ("two classes", (5, 4, 3), 5),
    ("four classes", (6,), 7),
    ("four classes", (20, 10), 19),
    ("targets", (20, 10), 15),
    ("targets", (), 4),
]


@pytest.mark.filterwarnings(f"ignore:Of the .*{CONSTANT}")
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("table, hidden, count", CASES)
def test_no_output_is_cut_off(
    tables: Any, name: str, table: str, hidden: tuple[int, ...], count: int
) -> None:
    kind, X, y = tables[table]
    n_outputs = y.shape[1] if y.ndim == 2 else len(np.unique(y))
    widths = [X.shape[1], *hidden, n_outputs]
    n_weights = sum(a * b for a, b in pairwise(widths))
    model = kind(
        hidden, sparsifier=name, target_sparsity=1 - count / n_weights, max_iter=10, random_state=0
    ).fit(X, y)
    assert reached(model.coefs_).all()
    assert sum(int((w != 0).sum()) for w in model.coefs_) == count


@pytest.mark.parametrize("name", NAMES)
def test_fewer_weights_than_a_path_are_named(tables: Any, name: str) -> None:
    _, X, y = tables["two classes"]
    model = SparseMLPClassifier(
        (6,), sparsifier=name, target_sparsity=0.99, max_iter=5, random_state=0
    )
    with pytest.warns(
        ConvergenceWarning, match=rf"\[0, 1\] {CONSTANT}.*target_sparsity=0.99, which keeps 1 "
    ):
        model.fit(X, y)


def test_fewer_weights_than_outputs_serve_as_many_as_they_can(tables: Any) -> None:
    _, X, y = tables["four classes"]
    model = SparseMLPClassifier((6,), target_sparsity=1 - 3 / 144, max_iter=5, random_state=0)
    with pytest.warns(ConvergenceWarning, match=CONSTANT):
        model.fit(X, y)
    assert reached(model.coefs_).sum() == 2


@pytest.mark.parametrize(
    "name, alpha",
    [("magnitude", 50.0), ("l1", 2.0), ("oscar", 10.0), ("l0", 10.0), ("topk", 12.0)],
)
def test_a_strength_that_leaves_no_path_is_named(tables: Any, name: str, alpha: float) -> None:
    _, X, y = tables["targets"]
    model = SparseMLPRegressor((8,), sparsifier=name, alpha=alpha, max_iter=10, random_state=0)
    with pytest.warns(ConvergenceWarning, match=rf"{CONSTANT}.*lower alpha={alpha}"):
        model.fit(X, y)


def test_a_cut_module_of_ones_own_is_named(tables: Any) -> None:
    _, X, y = tables["two classes"]

    class Residual(nn.Module):
        def __init__(self, n_features: int, n_outputs: int) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(n_features, 8), nn.Linear(8, n_outputs)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            hidden = torch.tanh(self.first(x))
            result: torch.Tensor = self.last(hidden)
            return result

    model = SparseNetClassifier(Residual, target_sparsity=0.999, max_iter=5, random_state=0)
    with pytest.warns(ConvergenceWarning, match=CONSTANT):
        model.fit(X, y)


def test_what_is_constant_for_good_reason_is_not_named(tables: Any) -> None:
    _, X, y = tables["two classes"]
    SparseMLPRegressor((4,), target_sparsity=0.97, max_iter=5, random_state=0).fit(X, 0 * y + 3)
    SparseMLPClassifier((4,), max_iter=5, random_state=0).fit(np.ones((10, 3)), [0, 1] * 5)


@pytest.mark.parametrize("options", [{"scope": "layer"}, {"scope": "erdos_renyi"}])
@pytest.mark.parametrize("schedule", ["gradual", "iterative", "one_shot"])
def test_scopes_and_schedules_keep_paths(
    tables: Any, schedule: str, options: dict[str, Any]
) -> None:
    kind, X, y = tables["four classes"]
    sparsifier = Magnitude(schedule=schedule, **options)
    model = kind(
        (6,), sparsifier=sparsifier, target_sparsity=1 - 8 / 144, max_iter=12, random_state=0
    ).fit(X, y)
    assert reached(model.coefs_).all()
    assert sum(int((w != 0).sum()) for w in model.coefs_) == 8


@pytest.mark.filterwarnings(f"ignore:Of the .*{CONSTANT}")
def test_a_warm_start_from_a_cut_network(tables: Any) -> None:
    kind, X, y = tables["four classes"]
    for sparsifier in ("oscar", "magnitude", RigL()):
        model = kind((6,), target_sparsity=0.99, max_iter=5, random_state=0, warm_start=True)
        model.fit(X, y)
        model.set_params(target_sparsity=1 - 8 / 144, sparsifier=sparsifier).fit(X, y)
        assert reached(model.coefs_).all()
        assert sum(int((w != 0).sum()) for w in model.coefs_) == 8
