"""The networks that the estimators build, and their losses."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

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


def build_mlp(widths: Sequence[int], activation: str) -> nn.Sequential:
    """A multilayer perceptron: linear maps with an activation between them.

    Glorot's initialisation, as in scikit-learn, gives the weights of all layers comparable
    scales, without which one ranking of magnitudes over all layers would empty some of them.
    """
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(widths):
        linear = nn.Linear(n_in, n_out)
        nn.init.xavier_uniform_(linear.weight)
        layers += [linear, ACTIVATIONS[activation]()]
    return nn.Sequential(*layers[:-1])


class WeightedCrossEntropy(nn.Module):
    """The log loss of logits, as the mean over a batch of weight times loss."""

    def forward(self, logits: Tensor, y: Tensor, weight: Tensor | None) -> Tensor:
        if weight is None:
            return F.cross_entropy(logits, y)
        return (F.cross_entropy(logits, y, reduction="none") * weight).mean()


def weighted_accuracy(logits: Tensor, y: Tensor, weight: Tensor) -> float:
    """The share of the weight of rows whose largest logit is that of their class."""
    hits = (logits.argmax(dim=1) == y).to(weight.dtype)
    return float((hits * weight).sum() / weight.sum())
