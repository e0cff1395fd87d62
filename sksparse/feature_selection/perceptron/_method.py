"""What tells the inputs that matter from those that do not, while a network is trained."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from sksparse.feature_selection.perceptron._network import InputNetwork

#: Predictions, targets and weights (None where all are 1) to the mean of the weighted losses.
Criterion = Callable[[Tensor, Tensor, Tensor | None], Tensor]


class InputMethod(ABC):
    """How inputs are scored in one training run; the base class trains on the loss alone.

    The engine calls, in each update, :meth:`loss`, then :meth:`after_backward` with gradients in
    place, then :meth:`after_step`. When inputs leave, it keeps the columns of the first layer and
    of what :meth:`column_parameters` names, and calls :meth:`keep`.

    Penalties are means over the groups that are left: the strength on each of them grows while
    others leave.

    Parameters
    ----------
    network : InputNetwork
        The network, with all its inputs.
    n_updates : int
        Updates of the whole run.
    strength : float or None
        The strength of the method's penalty, where it has one; None is its own.
    penalty_weights : torch.Tensor of shape (n_inputs,)
        What it costs to keep an input, relative to the others; 0 for those that always stay.
    group_of : torch.Tensor of shape (n_inputs,)
        The group of each input, whose inputs leave together.

    Attributes
    ----------
    places : torch.Tensor of shape (n_inputs,)
        The group of each input, counted among those that are left.
    sizes : torch.Tensor of shape (n_groups_left,)
        Number of inputs of the groups that are left.
    costs : torch.Tensor of shape (n_groups_left,)
        Penalty weights of the groups that are left.
    """

    #: Strength of the penalty where the user leaves it; None where there is no penalty.
    default_strength: ClassVar[float | None] = None
    #: How far Adam may move the parameters of the method in a run, without weight decay; None is
    #: as far as those of the network, with the same decay.
    reach: ClassVar[float | None] = None
    #: Share of the updates after which the first inputs leave.
    first: ClassVar[float] = 0.1

    def __init__(
        self,
        network: InputNetwork,
        n_updates: int,
        strength: float | None,
        penalty_weights: Tensor,
        group_of: Tensor,
    ) -> None:
        self.network = network
        self.n_updates = n_updates
        self.strength = (self.default_strength or 0.0) if strength is None else strength
        self.penalty_weights = penalty_weights
        self.group_of = group_of
        self._count_groups()

    def _count_groups(self) -> None:
        _, self.places, sizes = torch.unique(self.group_of, return_inverse=True, return_counts=True)
        self.sizes = sizes.to(self.penalty_weights)
        self.costs = torch.zeros_like(self.sizes)
        self.costs[self.places] = self.penalty_weights

    @property
    def strengths(self) -> Tensor:
        """The strength of the penalty on each group that is left."""
        return self.strength / len(self.costs) * self.costs

    def group_sums(self, values: Tensor) -> Tensor:
        """For each group that is left, the sum over its inputs."""
        return values.new_zeros(len(self.costs)).index_add(0, self.places, values)

    def group_means(self, values: Tensor) -> Tensor:
        """For each group that is left, the mean over its inputs."""
        return self.group_sums(values) / self.sizes

    def column_parameters(self) -> list[nn.Parameter]:
        """Parameters beyond the network, which are learned with it, a column for each input."""
        return []

    def forward(self, X: Tensor) -> Tensor:
        """The outputs, in training or evaluation as the network is."""
        outputs: Tensor = self.network(X)
        return outputs

    def loss(self, X: Tensor, y: Tensor, weight: Tensor | None, criterion: Criterion) -> Tensor:
        """What is differentiated: the loss of a batch, and penalties that are smooth."""
        return criterion(self.forward(X), y, weight)

    def after_backward(self) -> None:  # noqa: B027
        """Gradients are there."""

    def after_step(self, rate: float) -> None:  # noqa: B027
        """Weights have been updated with this learning rate."""

    @abstractmethod
    def scores(self) -> Tensor:
        """For each input a score, not negative; groups have the sums of their inputs'."""

    def keep(self, kept: Tensor) -> None:
        """Only these inputs stay."""
        self.penalty_weights = self.penalty_weights[kept]
        self.group_of = self.group_of[kept]
        self._count_groups()
