"""Layers of low rank and their bases, after the checks of the paper's construction."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch

from sksparse.layers import LowRankLinear
from sksparse.layers._bases import (
    choose,
    identity_basis,
    kernel_basis,
    orthonormal_basis,
    squared_exponential,
)


def test_all_inputs_without_a_ridge_are_the_identity() -> None:
    kernel = squared_exponential((4, 5), 1.0)
    np.testing.assert_allclose(kernel_basis(kernel, np.arange(20), 0.0), np.eye(20), atol=1e-9)


def test_chosen_weights_are_reproduced_as_the_ridge_vanishes(rng: np.random.Generator) -> None:
    kernel = squared_exponential((6, 6), 1.5)
    chosen = choose(36, 9, rng)
    weights = rng.normal(size=9)
    errors = []
    for ridge in (1e-2, 1e-4, 1e-6, 1e-8):
        predicted = kernel_basis(kernel, chosen, ridge) @ weights
        errors.append(np.abs(predicted[chosen] - weights).max())
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-4


def test_predictions_are_those_of_kernel_ridge_regression(rng: np.random.Generator) -> None:
    from sklearn.kernel_ridge import KernelRidge

    places = np.array([[i, j] for i in range(5) for j in range(4)], dtype=float)
    chosen = choose(20, 8, rng)
    weights = rng.normal(size=8)
    model = KernelRidge(kernel="rbf", gamma=1 / (2 * 1.3**2), alpha=0.1)
    expected = model.fit(places[chosen], weights).predict(places)
    basis = kernel_basis(squared_exponential((5, 4), 1.3), chosen, 0.1)
    np.testing.assert_allclose(basis @ weights, expected, atol=1e-9)


def test_smooth_fields_are_recovered_from_a_quarter_of_their_pixels(
    rng: np.random.Generator,
) -> None:
    kernel = squared_exponential((28, 28), 4.0)
    values, vectors = np.linalg.eigh(kernel)
    draw = vectors @ (np.sqrt(values.clip(min=0))[:, None] * rng.normal(size=(784, 5)))
    chosen = choose(784, 196, rng)
    predicted = kernel_basis(kernel, chosen, 1e-8) @ draw[chosen]
    assert np.linalg.norm(predicted - draw) < 0.05 * np.linalg.norm(draw)


def test_simple_bases(rng: np.random.Generator) -> None:
    chosen = choose(7, 3, rng)
    np.testing.assert_array_equal(
        identity_basis(7, chosen) @ [1, 2, 3], np.bincount(chosen, [1, 2, 3], 7)
    )
    basis = orthonormal_basis(9, 4, rng)
    np.testing.assert_allclose(basis.T @ basis, np.eye(4), atol=1e-12)


def test_inputs_that_vary_are_chosen_first(rng: np.random.Generator) -> None:
    varies = np.array([True, False, True, False, True])
    np.testing.assert_array_equal(choose(5, 3, rng, varies), [0, 2, 4])
    assert set(choose(5, 4, rng, varies)) > {0, 2, 4}


@pytest.mark.parametrize("n_columns", [1, 2, 3])
def test_outputs_are_those_of_the_dense_layer(n_columns: int, rng: Any) -> None:
    layer = LowRankLinear(8, 7, rank=3, n_columns=n_columns).double()
    layer.bias.data.normal_()
    X = torch.from_numpy(rng.normal(size=(5, 8)))
    weight, bias = layer.dense()
    assert weight.shape == (7, 8)
    torch.testing.assert_close(layer(X), X @ weight.T + bias)
    # the units of a column are combinations of its basis
    start = 0
    for basis, values in zip(layer.basis, layer.values.tensor_split(n_columns), strict=True):
        rows = weight[start : start + len(values)]
        torch.testing.assert_close(rows, values @ basis.T)
        start += len(values)


def test_the_gradient_is_that_of_the_weights_in_the_basis(rng: Any) -> None:
    layer = LowRankLinear(8, 6, rank=3).double()
    X, slopes = (torch.from_numpy(rng.normal(size=(4, n))) for n in (8, 6))
    layer(X).backward(slopes)
    torch.testing.assert_close(layer.values.grad, slopes.T @ X @ layer.basis[0])


def test_what_is_learned_and_stored() -> None:
    layer = LowRankLinear(8, 6, rank=3, n_columns=2)
    assert sum(p.numel() for p in layer.parameters()) == 3 * 6 + 6
    assert layer.n_dense_parameters == 6 * 9
    assert layer.n_stored == 3 * 6 + 6 + 2 * 8 * 3
    chosen = torch.from_numpy(np.eye(8)[:, :3])
    layer.set_basis(chosen.expand(2, 8, 3))
    assert layer.n_stored == 3 * 6 + 6 + 2 * 3
    X = torch.ones(2, 8)
    for made in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(made(X), layer(X))


def test_new_bases_give_weights_of_the_scale_of_glorot() -> None:
    layer = LowRankLinear(400, 300, rank=100)
    layer.set_basis(50 * layer.basis)
    weight, _ = layer.dense()
    assert float(weight.detach().square().mean()) == pytest.approx(2 / 700, rel=0.1)


@pytest.mark.parametrize(
    "changes",
    [{"in_features": 0}, {"rank": 0}, {"rank": 9}, {"n_columns": 0}, {"n_columns": 7}],
)
def test_numbers_out_of_range_are_named(changes: dict[str, int]) -> None:
    numbers = {"in_features": 8, "out_features": 6, "rank": 3, "n_columns": 1, **changes}
    (name,) = changes
    with pytest.raises(ValueError, match=rf"^{name}=.* of LowRankLinear must be"):
        LowRankLinear(**numbers)


def test_bases_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^basis of shape \(8, 3\) must have"):
        LowRankLinear(8, 6, rank=3).set_basis(torch.zeros(8, 3))
