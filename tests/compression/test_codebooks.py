"""Codebooks of networks: how many levels, and how they are trained."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from sksparse.compression import CompressedNetwork, compress
from sksparse.compression.codebooks._choice import change_of, choose_bits
from sksparse.compression.codebooks._fine_tuning import grouped_gradient
from tests.helpers.compressed_models import LABELS, network, y, y_values

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def test_the_gradient_by_a_level_is_the_sum_of_those_by_its_weights(
    rng: np.random.Generator,
) -> None:
    labels = torch.from_numpy(rng.integers(0, 5, (7, 6)))
    levels = torch.from_numpy(rng.standard_normal(5)).requires_grad_()
    rows = torch.from_numpy(rng.standard_normal((9, 6)))
    weight = levels[labels].detach().requires_grad_()
    torch.tanh(rows @ weight.T).square().sum().backward()
    assert weight.grad is not None
    grouped = grouped_gradient(weight.grad, labels, 5)
    by_hand = [float(weight.grad[labels == k].sum()) for k in range(5)]
    np.testing.assert_allclose(grouped.numpy(), by_hand, rtol=1e-12)
    torch.tanh(rows @ levels[labels].T).square().sum().backward()
    assert levels.grad is not None
    np.testing.assert_allclose(grouped.numpy(), levels.grad.numpy(), rtol=1e-12)


@pytest.mark.parametrize("name", ["classes", "labels", "values", "shifted values", "module"])
def test_training_of_levels_lowers_the_loss_and_keeps_zeros(name: str) -> None:
    model, features = network(name)
    targets = {
        "classes": y,
        "labels": LABELS,
        "values": y_values,
        "shifted values": 1e8 + y_values,
        "module": 100 * y_values + 5,
    }[name]
    before = compress(model, features, bits=2)
    after = compress(
        model, features, targets, bits=2, max_iter=20, batch_size=32, learning_rate_init=0.01
    )

    def loss(small: CompressedNetwork) -> float:
        outputs = torch.from_numpy(small.outputs(features))
        if name == "classes":
            return float(functional.cross_entropy(outputs, torch.from_numpy(targets)))
        if name == "labels":
            wanted = torch.from_numpy(targets).double()
            return float(functional.binary_cross_entropy_with_logits(outputs, wanted))
        return float(np.mean(((outputs.numpy() - targets) / targets.std(axis=0)) ** 2))

    # steps of vectors and half precision are rounded behind the training
    assert loss(after) < loss(before)
    for key, tensor in after.tensors.items():
        if tensor.ndim > 1:
            assert ((tensor == 0) == (before.tensors[key] == 0)).all()
            assert len(np.unique(tensor[tensor != 0])) <= 4


def test_training_is_reproducible() -> None:
    model, features = network("classes")
    first, second = (compress(model, features, y, bits=2)._data for _ in range(2))
    assert first == second


def test_bits_are_the_fewest_within_the_tolerance() -> None:
    """Changes that add up in squares, each halved by a bit: compared with all choices."""
    sizes, unit = {"a": 1000, "b": 100, "c": 10}, {"a": 0.4, "b": 1.0, "c": 2.0}

    def noise(bits: Any) -> float:
        return float(np.sqrt(sum((unit[name] * 2.0**-b) ** 2 for name, b in bits.items())))

    found = choose_bits(sizes, noise, 0.1)
    assert noise(found) <= 0.1
    fewest = min(
        sum(sizes[name] * b for name, b in zip(sizes, bits, strict=True))
        for bits in np.ndindex(9, 9, 9)
        if min(bits) > 0 and noise(dict(zip(sizes, bits, strict=True))) <= 0.1
    )
    assert sum(sizes[name] * b for name, b in found.items()) <= 1.1 * fewest


def test_tolerance_bounds_the_change() -> None:
    model, features = network("classes")
    exact = compress(model, bits=None).outputs(features)
    sizes = []
    for tolerance in (0.3, 0.1, 0.03):
        small = compress(model, features, bits="auto", tolerance=tolerance)
        assert change_of(small.outputs(features), exact) < 1.2 * tolerance
        sizes.append(small.nbytes)
    assert sizes == sorted(sizes)
