"""A perceptron that can lose inputs while it is trained."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


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
        rate_of_inputs, rate = dropout
        self.drop_inputs = Dropout(rate_of_inputs)
        self.first = nn.Linear(n_inputs, hidden[0])
        rest: list[nn.Module] = [nn.ReLU(), Dropout(rate)]
        for n_in, n_out in pairwise(hidden):
            rest += [nn.Linear(n_in, n_out), nn.ReLU(), Dropout(rate)]
        self.rest = nn.Sequential(*rest, nn.Linear(hidden[-1], n_outputs))

    @property
    def weight(self) -> nn.Parameter:
        """The weights of the inputs, a column for each."""
        weight: nn.Parameter = self.first.weight  # type: ignore[assignment]
        return weight

    def forward(self, X: Tensor) -> Tensor:
        """The outputs."""
        outputs: Tensor = self.rest(self.first(self.drop_inputs(X)))
        return outputs


class Dropout(nn.Module):
    """Dropout with uniform numbers, which torch draws three times as fast as those of Bernoulli.

    Parameters
    ----------
    rate : float
        Share that is dropped in training; the rest is scaled up.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, X: Tensor) -> Tensor:
        """The values, some of which are zero in training."""
        if not (self.rate and self.training):
            return X
        return X * torch.rand_like(X).ge_(self.rate).div_(1 - self.rate)


def keep_columns(parameter: nn.Parameter, kept: Tensor, optimizer: torch.optim.Optimizer) -> None:
    """Go on with some columns of a parameter, and with what the optimiser remembers of them."""
    parameter.data = parameter.data[..., kept].contiguous()
    parameter.grad = None
    state = optimizer.state.get(parameter, {})
    for name, value in state.items():
        # step counts have no columns
        if value.ndim:
            state[name] = value[..., kept].contiguous()
