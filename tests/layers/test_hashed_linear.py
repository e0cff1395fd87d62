"""Hashed layers: feature hashing, gradients by bucket, what is stored."""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from sksparse._hashing import hashed_matrix, signed_buckets
from sksparse.layers import HashedLinear
from sksparse.neural_network import SparseNetClassifier


@pytest.fixture
def layer() -> HashedLinear:
    torch.manual_seed(0)
    return HashedLinear(9, 7, n_values=13, seed=5).double()


def features(x: np.ndarray, i: int, n_values: int, seed: int) -> np.ndarray:
    """The hashed features of an input with its constant, for one output."""
    buckets = signed_buckets(i + 1, len(x) + 1, n_values, seed)[i]
    signs = np.where(buckets < n_values, 1.0, -1.0)
    return np.bincount(buckets % n_values, signs * np.append(x, 1.0), n_values)


def test_outputs_are_products_with_hashed_features(layer: HashedLinear, rng: Any) -> None:
    X = rng.normal(size=(4, 9))
    with torch.no_grad():
        found = layer(torch.from_numpy(X)).numpy()
    values = layer.values.detach().numpy()[0]
    expected = [[features(x, i, 13, 5) @ values for i in range(7)] for x in X]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_the_dense_layer_is_the_matrix_of_the_hash(layer: HashedLinear) -> None:
    weight, bias = (part.detach().numpy() for part in layer.dense())
    matrix = hashed_matrix(layer.values.detach().numpy()[0], 7, 10, 5)
    np.testing.assert_array_equal(np.column_stack([weight, bias]), matrix)


def test_gradients_are_sums_over_buckets(layer: HashedLinear, rng: Any) -> None:
    X, slopes = (torch.from_numpy(rng.normal(size=(4, n))) for n in (9, 7))
    layer(X).backward(slopes)
    by_position = slopes.numpy().T @ np.column_stack([X.numpy(), np.ones(4)])
    buckets = signed_buckets(7, 10, 13, 5)
    expected = [
        by_position[buckets == k].sum() - by_position[buckets == 13 + k].sum() for k in range(13)
    ]
    assert layer.values.grad is not None
    np.testing.assert_allclose(layer.values.grad.numpy()[0], expected, atol=1e-12)


def test_gradients_agree_with_finite_differences(layer: HashedLinear, rng: Any) -> None:
    X = torch.from_numpy(rng.normal(size=(3, 9))).requires_grad_()

    def outputs(values: torch.Tensor, X: torch.Tensor) -> Any:
        return torch.func.functional_call(layer, {"values": values}, (X,))

    assert torch.autograd.gradcheck(outputs, (layer.values, X))


def test_only_values_are_stored(layer: HashedLinear) -> None:
    assert [tuple(p.shape) for p in layer.parameters()] == [(1, 13)]
    assert layer.n_stored == 13
    assert layer.n_dense_parameters == 70
    X = torch.ones(2, 9, dtype=torch.float64)
    expected = layer(X)
    assert len(pickle.dumps(HashedLinear(1000, 1000, 10))) < 4000
    for made in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(made(X), expected)
    buffer = io.BytesIO()
    torch.save(layer.state_dict(), buffer)
    other = HashedLinear(9, 7, n_values=13, seed=5).double()
    other.load_state_dict(torch.load(io.BytesIO(buffer.getvalue())))
    assert torch.equal(other(X), expected)


def test_repr_says_what_it_follows_from(layer: HashedLinear) -> None:
    assert repr(layer) == "HashedLinear(in_features=9, out_features=7, n_values=13, seed=5)"


def test_initial_weights_have_the_scale_of_glorot() -> None:
    weight, _ = HashedLinear(300, 200, 5000).dense()
    assert float(weight.detach().square().mean()) == pytest.approx(2 / 500, rel=0.1)


@pytest.mark.parametrize(
    "changes",
    [{"in_features": 0}, {"out_features": 0}, {"n_values": 0}, {"seed": -1}, {"seed": 2**32}],
)
def test_numbers_out_of_range_are_named(changes: dict[str, int]) -> None:
    numbers = {"in_features": 3, "out_features": 2, "n_values": 4, "seed": 0, **changes}
    (name,) = changes
    with pytest.raises(ValueError, match=rf"^{name}=.* of HashedLinear must be"):
        HashedLinear(**numbers)


def test_it_may_stand_in_any_module(rng: Any) -> None:
    X = rng.normal(size=(200, 8)).astype(np.float32)
    y = (X[:, 0] * X[:, 1] > 0).astype(int)
    module = nn.Sequential(HashedLinear(8, 40, 60), nn.ReLU(), nn.Linear(40, 2))
    model = SparseNetClassifier(
        module, sparsifier=None, max_iter=60, learning_rate_init=0.02, tol=1e-2, random_state=0
    )
    model.set_params(device="cpu").fit(X, y)
    assert model.score(X, y) > 0.9
    assert pickle.loads(pickle.dumps(model)).score(X, y) == model.score(X, y)
