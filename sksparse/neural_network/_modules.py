"""The multilayer perceptron that the estimators build."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

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


def build_mlp(
    widths: Sequence[int],
    activation: str,
    dropout: Sequence[float] = (),
    *,
    batch_norm: bool = False,
) -> nn.Sequential:
    """A multilayer perceptron: linear maps with an activation between them.

    Glorot's initialisation, as in scikit-learn, gives the weights of all layers comparable
    scales, without which one ranking of magnitudes over all layers would empty some of them.

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
        linear = nn.Linear(n_in, n_out)
        nn.init.xavier_uniform_(linear.weight)
        layers.append(linear)
        if batch_norm:
            layers.append(nn.BatchNorm1d(n_out))
        layers.append(ACTIVATIONS[activation]())
    # the outputs are neither normalised nor activated
    return nn.Sequential(*layers[: -2 if batch_norm else -1])
