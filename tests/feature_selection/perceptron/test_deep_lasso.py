"""The penalty on derivatives of the outputs with respect to the inputs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from input_methods import loss_of, method_of, slope_by_differences
from torch.autograd.functional import jacobian

from sksparse.feature_selection.perceptron._deep_lasso import DeepLasso
from sksparse.neural_network.training._objectives import WeightedSquaredError


def squared_derivatives(method: DeepLasso, X: torch.Tensor) -> torch.Tensor:
    """For each row and input the sum over the outputs, from the whole Jacobian."""
    slopes = jacobian(lambda rows: method.network(rows).sum(dim=0), X)
    return slopes.square().sum(dim=0)


@pytest.mark.parametrize("is_weighted", [False, True])
def test_the_penalty_is_that_of_the_jacobian(is_weighted: bool) -> None:
    method = method_of(DeepLasso, [0, 1, 1, 2], [1.0, 2.0, 2.0, 0.0], n_outputs=1, strength=0.7)
    X, y = torch.randn(30, 4).double(), torch.randn(30, 1).double()
    weight = torch.rand(30).double() if is_weighted else None
    squares = squared_derivatives(method, X)
    mean = (squares * (1.0 if weight is None else weight[:, None])).mean(dim=0)
    norms = torch.stack([mean[0], mean[1] + mean[2], mean[3]]).sqrt()
    penalty = 0.7 / 3 * (norms[0] + 2.0 * np.sqrt(2) * norms[1])
    expected = WeightedSquaredError()(method.network(X), y, weight) + penalty
    loss = loss_of(method, X, y, weight)
    np.testing.assert_allclose(loss.detach(), expected.detach(), rtol=1e-12)
    # the running mean begins at zero
    np.testing.assert_allclose(method.scores(), 0.01 * mean, rtol=1e-10)


def test_random_signs_sum_the_outputs_on_average(seed: int) -> None:
    method = method_of(DeepLasso, [0, 1, 2], n_outputs=3)
    X = torch.randn(2, 3).double()
    torch.manual_seed(seed)
    rows = X.repeat(20_000, 1).requires_grad_()
    found = method._squared_derivatives(rows, method.network(rows), None).detach()
    exact = squared_derivatives(method, X).mean(dim=0)
    np.testing.assert_allclose(found, exact, rtol=0.05)


@pytest.mark.parametrize("n_outputs", [1, 2])
def test_gradients_are_those_of_differences(n_outputs: int) -> None:
    method = method_of(DeepLasso, [0, 1, 1, 2], n_outputs=n_outputs, strength=0.7)
    data = (torch.randn(30, 4).double(), torch.randn(30, n_outputs).double())
    loss_of(method, *data).backward()
    weight = method.network.weight
    assert weight.grad is not None
    slopes = slope_by_differences(method, weight, *data)
    np.testing.assert_allclose(weight.grad, slopes, rtol=1e-4, atol=1e-7)


def test_derivatives_of_zero_have_no_slope() -> None:
    method = method_of(DeepLasso, [0, 1])
    with torch.no_grad():
        method.network.weight.zero_()
    loss_of(method, torch.randn(9, 2).double(), torch.randn(9, 2).double()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in method.network.parameters())
