"""Methods that score inputs, on small networks in float64."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sksparse.feature_selection.perceptron._method import InputMethod
from sksparse.feature_selection.perceptron._network import InputNetwork, keep_columns
from sksparse.neural_network.training._objectives import WeightedSquaredError


def method_of(
    kind: Any,
    group_of: list[int],
    costs: list[float] | None = None,
    n_outputs: int = 2,
    strength: float | None = None,
    n_updates: int = 100,
) -> Any:
    """A method with a network without dropout; costs are those of the inputs."""
    torch.manual_seed(0)
    n_inputs = len(group_of)
    network = InputNetwork(n_inputs, n_outputs, (5,), (0.0, 0.0)).double()
    weights = torch.ones(n_inputs) if costs is None else torch.tensor(costs)
    return kind(network, n_updates, strength, weights.double(), torch.tensor(group_of))


def loss_of(method: InputMethod, X: Tensor, y: Tensor, weight: Tensor | None = None) -> Tensor:
    """The loss of a batch, with the same random numbers in each call."""
    torch.manual_seed(1)
    return method.loss(X, y, weight, WeightedSquaredError())


def slope_by_differences(method: InputMethod, parameter: nn.Parameter, *data: Any) -> Tensor:
    """Central differences of the loss."""
    values, step = parameter.data.view(-1), 1e-6
    slopes = torch.empty_like(values)
    for i, value in enumerate(values.tolist()):
        ends = []
        for side in (step, -step):
            values[i] = value + side
            ends.append(float(loss_of(method, *data).detach()))
        values[i] = value
        slopes[i] = (ends[0] - ends[1]) / (2 * step)
    return slopes.view_as(parameter)


def keep_inputs(method: InputMethod, kept: Tensor) -> None:
    """What the engine does when the other inputs leave."""
    columns = [method.network.weight, *method.column_parameters()]
    optimizer = torch.optim.AdamW(columns)
    for parameter in columns:
        keep_columns(parameter, kept, optimizer)
    method.keep(kept)
