"""Layers of few numbers among others: sizes, dead units, files."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits
from torch import nn

from sksparse.compression import compress
from sksparse.layers import HashedLinear, LowRankLinear
from sksparse.neural_network import SparseNetClassifier

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    X, y = load_digits(return_X_y=True)
    return X[:400].reshape(-1, 1, 8, 8) / 16, y[:400]


def network(layer: nn.Module) -> nn.Module:
    convolutions = [nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Conv2d(6, 4, 3), nn.ReLU(), nn.Flatten()]
    return nn.Sequential(*convolutions, layer, nn.ReLU(), nn.Linear(20, 10))


@pytest.mark.parametrize("layer", [HashedLinear(64, 20, 300), LowRankLinear(64, 20, rank=16)])
def test_sizes_and_files(layer: nn.Module, digits: Any) -> None:
    X, y = digits
    model = SparseNetClassifier(
        network(layer), sparsifier=None, max_iter=30, learning_rate_init=5e-3, random_state=0
    ).fit(X, y)
    assert model.score(X, y) > 0.8
    convolutions = 36 * 6 * 9 + 16 * 4 * 6 * 9
    assert model.flops_ == 2 * (convolutions + 64 * 20 + 20 * 10)
    small = compress(model, bits=None)
    np.testing.assert_allclose(small.predict_proba(X), model.predict_proba(X), atol=1e-5)


def test_units_around_them_are_removed_and_theirs_are_not(digits: Any) -> None:
    X, y = digits
    model = SparseNetClassifier(
        network(HashedLinear(64, 20, 300)),
        sparsifier="filters",
        target_flops=0.7,
        compact=True,
        max_iter=6,
        random_state=0,
    ).fit(X, y)
    assert model.module_[0].out_channels < 6
    assert model.module_[2].out_channels == 4
    assert model.module_[5].out_features == 20
    assert model.flops_ <= 0.7 * model.dense_flops_
    before = model.predict_proba(X)
    np.testing.assert_allclose(model.compacted().predict_proba(X), before, atol=1e-6)


def test_their_values_may_be_pruned(digits: Any) -> None:
    model = SparseNetClassifier(
        network(HashedLinear(64, 20, 300)),
        sparsifier="magnitude",
        target_sparsity=0.5,
        max_iter=10,
        random_state=0,
    ).fit(*digits)
    assert model.sparsity_ == pytest.approx(0.5, abs=1e-3)
    assert 0 < model.density_by_layer_["5.values"] < 1
