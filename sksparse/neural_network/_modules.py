"""The multilayer perceptron that the estimators build."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from numbers import Real

import numpy as np
from torch import nn

#: The activations by their scikit-learn names, and relatives.
ACTIVATIONS: dict[str, type[nn.Module]] = {
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "identity": nn.Identity,
    "logistic": nn.Sigmoid,
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}


def glorot_linear(n_in: int, n_out: int) -> nn.Linear:
    """A linear layer with Glorot's initial weights.

    As in scikit-learn; they give the weights of all layers comparable scales, without which one
    ranking of magnitudes over all layers would empty some of them.
    """
    layer = nn.Linear(n_in, n_out)
    nn.init.xavier_uniform_(layer.weight)
    return layer


def dropout_rates(dropout: float | Sequence[float], n_hidden: int) -> list[float]:
    """The rates of the inputs and of each hidden layer, from what the user gave.

    Raises
    ------
    ValueError
        Where these are not probabilities below 1, or not as many.
    """
    if isinstance(dropout, Real):
        return [0.0, *[float(dropout)] * n_hidden]
    rates = [float(rate) for rate in np.asarray(dropout)]
    if len(rates) != n_hidden + 1 or not all(0 <= rate < 1 for rate in rates):
        raise ValueError(
            f"dropout={dropout!r} must be one probability below 1, or {n_hidden + 1} of "
            f"them: for the inputs and each of the {n_hidden} hidden layers."
        )
    return rates


def build_mlp(
    widths: Sequence[int],
    activation: str,
    dropout: Sequence[float] = (),
    *,
    batch_norm: bool = False,
    linear: Callable[[int, int], nn.Module] = glorot_linear,
) -> nn.Sequential:
    """A multilayer perceptron: linear maps with an activation between them.

    Parameters
    ----------
    widths : sequence of int
        Units of every layer, inputs first.
    activation : str
        One of ``ACTIVATIONS``.
    dropout : sequence of float, default=()
        Probability with which a unit is dropped, for the inputs and each hidden layer; the
        layers that are not named drop none.
    batch_norm : bool, default=False
        Whether to normalise what enters the activations over the batch.
    linear : callable, default=glorot_linear
        Takes the numbers of inputs and of outputs and returns a linear map; called for one after
        the other, that of the inputs first.

    Returns
    -------
    module : torch.nn.Sequential
        The network.
    """
    layers: list[nn.Module] = []
    rates = [*dropout, *[0.0] * len(widths)]
    for rate, (n_in, n_out) in zip(rates, pairwise(widths), strict=False):
        if rate > 0:
            layers.append(nn.Dropout(rate))
        layers.append(linear(n_in, n_out))
        if batch_norm:
            layers.append(nn.BatchNorm1d(n_out))
        layers.append(ACTIVATIONS[activation]())
    # the outputs are neither normalised nor activated
    return nn.Sequential(*layers[: -2 if batch_norm else -1])
