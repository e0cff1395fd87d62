"""A perceptron that can lose inputs while it is trained."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class InputNetwork(nn.Module):
    """Hidden layers of rectified units, with dropout on the inputs and on the units.

    Parameters
    ----------
    n_inputs, n_outputs : int
        Inputs and outputs.
    hidden : sequence of int
        Units of the hidden layers.
    dropout : pair of float
        Rates on the inputs and on the hidden units.
    """

    def __init__(
        self, n_inputs: int, n_outputs: int, hidden: Sequence[int], dropout: tuple[float, float]
    ) -> None:
        super().__init__()
        self.n_outputs = n_outputs
        self.dropout_inputs, rate = dropout
        self.first = nn.Linear(n_inputs, hidden[0])
        rest: list[nn.Module] = [nn.ReLU(), nn.Dropout(rate)]
        for n_in, n_out in pairwise(hidden):
            rest += [nn.Linear(n_in, n_out), nn.ReLU(), nn.Dropout(rate)]
        self.rest = nn.Sequential(*rest, nn.Linear(hidden[-1], n_outputs))

    @property
    def weight(self) -> nn.Parameter:
        """The weights of the inputs, a column for each."""
        weight: nn.Parameter = self.first.weight  # type: ignore[assignment]
        return weight

    def forward(self, X: Tensor) -> Tensor:
        """The outputs."""
        if self.dropout_inputs and self.training:
            X = F.dropout(X, self.dropout_inputs)
        outputs: Tensor = self.rest(self.first(X))
        return outputs


def keep_columns(parameter: nn.Parameter, kept: Tensor, optimizer: torch.optim.Optimizer) -> None:
    """Go on with some columns of a parameter, and with what the optimiser remembers of them."""
    parameter.data = parameter.data[..., kept].contiguous()
    parameter.grad = None
    state = optimizer.state.get(parameter, {})
    for name, value in state.items():
        # step counts have no columns
        if value.ndim:
            state[name] = value[..., kept].contiguous()
