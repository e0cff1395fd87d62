"""What every sparsifier promises, by name and with default options."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler
from torch import nn

from sksparse.neural_network import (
    SparseMLPClassifier,
    SparseMLPRegressor,
    SparseNetClassifier,
    SparseNetRegressor,
)
from sksparse.neural_network.training._trainer import PhasedNet
from sksparse.sparsifiers import SPARSIFIERS

pytestmark = [
    pytest.mark.filterwarnings("ignore:The objective still fell"),
    pytest.mark.parametrize("name", [name for name in SPARSIFIERS if name is not None]),
]

N_ROWS = 240
#: Coarse grids of strengths in the units of each method, per sample or as they are.
PER_SAMPLE = (0.1, 1.0, 10.0, 100.0)
GRIDS = {
    "gates": [a / N_ROWS for a in PER_SAMPLE],
    "l0": [a / N_ROWS for a in PER_SAMPLE],
    "variational": [a / N_ROWS for a in PER_SAMPLE],
    "bayesian": [a / N_ROWS for a in (0.1, 0.3, 1.0, 3.0, 10.0)],
    "targeted": [0.1, 0.4, 0.7, 0.95],
    "group": [1e-4, 1e-3, 1e-2, 1e-1],
    "sparse_group": [1e-4, 1e-3, 1e-2, 1e-1],
    "growl": [1e-4, 1e-3, 1e-2, 1e-1],
    "iss": [1e-4, 1e-3, 1e-2, 1e-1],
    "product_gates": [1e-4, 1e-3, 1e-2, 1e-1],
    "slimming": [1e-4, 1e-3, 1e-2, 1e-1],
    "ssl": [1e-4, 1e-3, 1e-2, 1e-1],
    "l1": [1e-3, 1e-2, 1e-1, 1.0],
    "oscar": [1e-5, 1e-4, 1e-3, 1e-2],
}
LEVELS = [0.1, 0.5, 1.0, 2.0, 4.0]
#: Methods of single weights, rows and columns meet a target to one in a hundred weights.
TOLERANCE = 0.01
#: Methods that remove whole units exceed it by less than one of them, and keep one of each layer.
WHOLE_UNITS = {name for name, kind in SPARSIFIERS.items() if kind.granularities == ("unit",)}
WHOLE_UNITS.add("product_gates")
#: The method that needs scales of batch normalisations.
BATCH_NORM = {"slimming"}
ONE_UNIT = 0.05


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    X, y = make_classification(
        N_ROWS, 12, n_informative=5, n_classes=3, class_sep=2.0, random_state=0
    )
    return StandardScaler().fit_transform(X), y


def make(name: str, **changes: Any) -> SparseMLPClassifier:
    options: dict[str, Any] = {
        "hidden_layer_sizes": (20, 10),
        "max_iter": 20,
        "random_state": 0,
        "device": "cpu",
        "learning_rate_init": 0.01,
        "batch_norm": name in BATCH_NORM,
    }
    return SparseMLPClassifier(sparsifier=name, **{**options, **changes})


def assert_met(
    name: str,
    found: float,
    target: float,
    *,
    tolerance: float = TOLERANCE,
    one_unit: float = ONE_UNIT,
) -> None:
    if name in WHOLE_UNITS:
        assert target - 1e-6 <= found <= target + one_unit
    else:
        assert found == pytest.approx(target, abs=tolerance)


def same(a: Any, b: Any) -> bool:
    return all(
        torch.equal(p, q)
        for p, q in zip(a.module_.parameters(), b.module_.parameters(), strict=True)
    )


@pytest.mark.filterwarnings("ignore:Of the .* are the same for all training rows")
@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.9, 0.99])
def test_target_is_met(data: Any, name: str, sparsity: float) -> None:
    if name in WHOLE_UNITS and sparsity == 0.99:
        with pytest.raises(ValueError, match="one unit left in each of the 2 layers"):
            make(name, target_sparsity=sparsity).fit(*data)
        return
    model = make(name, target_sparsity=sparsity).fit(*data)
    assert_met(name, model.sparsity_, sparsity)
    assert model.history_[-1]["sparsity"] == pytest.approx(model.sparsity_, abs=1e-6)
    assert model.predict(data[0]).shape == (N_ROWS,)
    assert model.n_iter_ <= 20


def test_it_still_learns(data: Any, name: str) -> None:
    X, y = data
    model = make(name, target_sparsity=0.7, max_iter=100).fit(X, y)
    assert model.score(X, y) > 0.8


@pytest.mark.parametrize("max_iter", [1, 2, 3])
def test_few_epochs_are_enough_to_meet_the_target(data: Any, name: str, max_iter: int) -> None:
    model = make(name, target_sparsity=0.8, max_iter=max_iter).fit(*data)
    assert_met(name, model.sparsity_, 0.8)


@pytest.mark.filterwarnings("ignore:Of the .* are the same for all training rows")
@pytest.mark.filterwarnings("ignore:alpha=.* asks for .* of the FLOPs")
@pytest.mark.filterwarnings("ignore:At this strength no (unit|input) of")
def test_a_larger_alpha_is_never_denser(data: Any, name: str) -> None:
    grid = GRIDS.get(name, LEVELS)
    found = [make(name, alpha=alpha, max_iter=60).fit(*data).sparsity_ for alpha in grid]
    assert found == sorted(found)
    assert found[-1] > found[0]


def test_no_strength_is_hardly_any_sparsity(data: Any, name: str) -> None:
    assert make(name, alpha=0.0).fit(*data).sparsity_ < 0.5


def test_the_default_strength_leaves_a_sparse_network(data: Any, name: str) -> None:
    model = make(name, max_iter=100).fit(*data)
    assert 0.05 < model.sparsity_ < 1
    assert model.score(*data) > 0.7


def test_nothing_of_the_scaffolding_is_left(data: Any, name: str) -> None:
    model = make(name, target_sparsity=0.7).fit(*data)
    modules = list(model.module_.modules())
    expected = [nn.Linear, nn.BatchNorm1d, nn.ReLU] * 2 + [nn.Linear]
    if name not in BATCH_NORM:
        expected = [layer for layer in expected if layer is not nn.BatchNorm1d]
    assert [type(m) for m in modules[1:]] == expected
    for module in modules:
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
        assert not module.training
    for p in model.module_.parameters():
        assert type(p) is nn.Parameter
        assert p.grad is None
        assert p.requires_grad
        assert p.untyped_storage().nbytes() == p.numel() * p.element_size()
    text = pickle.dumps(model.module_)
    assert b"sparsifiers" not in text
    assert same(pickle.loads(pickle.dumps(model)), model)


def test_one_seed_is_one_network(data: Any, name: str) -> None:
    first, second = (make(name, target_sparsity=0.7).fit(*data) for _ in range(2))
    assert same(first, second)
    assert not same(first, make(name, target_sparsity=0.7, random_state=1).fit(*data))


def test_early_stopping_returns_the_final_sparsity(data: Any, name: str) -> None:
    options: dict[str, Any] = {"early_stopping": True, "ema_decay": 0.9, "n_iter_no_change": 3}
    model = make(name, target_sparsity=0.8, max_iter=40, **options).fit(*data)
    assert_met(name, model.sparsity_, 0.8)


def test_an_interrupted_training_is_finished(
    data: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = PhasedNet._update_weights
    calls = []

    def interrupted(self: PhasedNet, *args: Any) -> float:
        calls.append(None)
        if len(calls) > 2:
            raise KeyboardInterrupt
        return original(self, *args)

    monkeypatch.setattr(PhasedNet, "_update_weights", interrupted)
    with pytest.warns(ConvergenceWarning, match="interrupted after 2 epochs"):
        model = make(name, target_sparsity=0.8).fit(*data)
    assert_met(name, model.sparsity_, 0.8)
    assert model.predict(data[0]).shape == (N_ROWS,)


def test_predictions_are_those_of_the_plain_module(data: Any, name: str) -> None:
    X = data[0].astype(np.float32)
    model = make(name, target_sparsity=0.8).fit(X, data[1])
    with torch.no_grad():
        logits = model.module_(torch.from_numpy(X))
    np.testing.assert_allclose(model.predict_proba(X), logits.softmax(dim=1).numpy(), atol=1e-6)


def test_regression_with_two_targets(data: Any, name: str) -> None:
    X, _ = data
    y = np.column_stack([X[:, 0] + X[:, 1], X[:, 2]])
    model = SparseMLPRegressor(
        (20,),
        sparsifier=name,
        target_sparsity=0.5,
        max_iter=60,
        random_state=0,
        batch_norm=name in BATCH_NORM,
    ).fit(X, y)
    assert_met(name, model.sparsity_, 0.5)
    assert model.score(X, y) > 0.5


def convolution(n_channels: int, n_outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(n_channels, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(24, n_outputs)
    )


def normalised(n_channels: int, n_outputs: int) -> nn.Module:
    first, *others = convolution(n_channels, n_outputs)
    return nn.Sequential(first, nn.BatchNorm1d(6), *others)


class Recurrent(nn.Module):
    def __init__(self, n_features: int, n_outputs: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(6, 8, batch_first=True)
        self.out = nn.Linear(8, n_outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.out(self.lstm(x)[0][:, -1])
        return result


def test_convolutions_and_recurrent_layers(data: Any, name: str) -> None:
    X, y = data
    options: dict[str, Any] = {"target_sparsity": 0.6, "max_iter": 5, "random_state": 0}
    factory = normalised if name in BATCH_NORM else convolution
    images = SparseNetClassifier(factory, sparsifier=name, **options)
    if name == "ising":
        # its states are those of the units of a perceptron, and it says so
        with pytest.raises(ValueError, match="linear layers"):
            images.fit(X.reshape(-1, 2, 6), y)
        return
    images.fit(X.reshape(-1, 2, 6), y)
    assert_met(name, images.sparsity_, 0.6, tolerance=0.02, one_unit=0.2)
    series = SparseNetRegressor(Recurrent, sparsifier=name, **options)
    if name in BATCH_NORM:
        with pytest.raises(ValueError, match="Recurrent has none"):
            series.fit(X.reshape(-1, 2, 6), X[:, 0])
        return
    series.fit(X.reshape(-1, 2, 6), X[:, 0])
    assert_met(name, series.sparsity_, 0.6, tolerance=0.02, one_unit=0.2)
