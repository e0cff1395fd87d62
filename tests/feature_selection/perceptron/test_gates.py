"""Random gates on inputs: their distributions, and derivatives by where they are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from input_methods import loss_of, method_of, slope_by_differences
from scipy.stats import norm

from sksparse.feature_selection.perceptron._gates import ConcreteGates, GaussianGates

KINDS = [GaussianGates, ConcreteGates]


@pytest.mark.parametrize("kind", KINDS)
def test_odds_are_those_of_drawn_gates(kind: type, seed: int) -> None:
    method = method_of(kind, [0, 1, 2, 3])
    location = torch.tensor([-1.0, -0.3, 0.2, 0.9]).double()
    torch.manual_seed(seed)
    gates = method.draw(location, 40_000)
    assert gates.min() >= 0
    assert gates.max() <= 1
    probability = torch.sigmoid(method.log_odds(location)).numpy()
    share = (gates > 0).double().mean(dim=0).numpy()
    error = np.sqrt(probability * (1 - probability) / len(gates))
    assert (abs(share - probability) < 5 * error).all()


def test_probabilities_in_closed_form() -> None:
    location = torch.linspace(-3, 3, 13).double()
    gaussian = method_of(GaussianGates, [0]).log_odds(location)
    expected = norm.cdf((location.numpy() + 0.5) / 0.5)
    np.testing.assert_allclose(torch.sigmoid(gaussian), expected, rtol=1e-10)
    # stretched to (-0.1, 1.1), with temperature 2/3
    concrete = method_of(ConcreteGates, [0]).log_odds(location)
    expected = 1 / (1 + np.exp(2 / 3 * np.log(0.1 / 1.1) - location.numpy()))
    np.testing.assert_allclose(torch.sigmoid(concrete), expected, rtol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_those_of_differences(kind: type) -> None:
    method = method_of(kind, [0, 1, 1, 2, 3], [1.0, 2.0, 2.0, 0.5, 0.0], strength=0.7)
    with torch.no_grad():
        method.location.copy_(torch.tensor([0.2, -0.1, -0.1, 0.4, 0.3]))
    data = (torch.randn(30, 5).double(), torch.randn(30, 2).double(), torch.rand(30).double())
    loss_of(method, *data).backward()
    slopes = slope_by_differences(method, method.location, *data)
    assert method.location.grad is not None
    np.testing.assert_allclose(method.location.grad, slopes, rtol=1e-5, atol=1e-8)
    # those of a group are moved alike, and one that costs nothing has no gate
    assert method.location.grad[1] == method.location.grad[2] != 0
    assert method.location.grad[4] == 0


@pytest.mark.parametrize("kind", KINDS)
def test_the_penalty_is_the_mean_of_costs_and_probabilities(kind: type) -> None:
    groups, costs = [0, 1, 1, 2], [1.0, 2.0, 2.0, 0.0]
    data = (torch.randn(30, 4).double(), torch.randn(30, 2).double())
    with_penalty = loss_of(method_of(kind, groups, costs, strength=0.7), *data)
    method = method_of(kind, groups, costs, strength=0.0)
    is_open = torch.sigmoid(method.log_odds(torch.zeros(1).double()))
    expected = loss_of(method, *data) + 0.7 * (1.0 + 2.0 + 0.0) / 3 * is_open
    np.testing.assert_allclose(with_penalty.detach(), expected.detach(), rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_gates_of_a_group_are_one(kind: type) -> None:
    method = method_of(kind, [0, 1, 1, 2], [1.0, 1.0, 1.0, 0.0])
    seen = []
    method.network.first.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    X = torch.ones(50, 4).double()
    method.forward(X)
    gated = seen[0]
    assert (gated[:, 1] == gated[:, 2]).all()
    assert (gated[:, 3] == 1).all()
    assert len(gated[:, 0].unique()) > 10
    # nothing is random once training is over
    method.network.eval()
    assert (method.forward(X) == method.forward(X)).all()
