"""Access of a run to the training data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sksparse.sparsifiers.parameters._flat_parameters import FlatParameters


@dataclass(frozen=True)
class Probe:
    """The training data, which a run may use when a phase begins.

    Parameters
    ----------
    module : torch.nn.Module
        The network.
    batches : callable
        Yields features, targets and weights (or None) of one batch after the other.
    criterion : callable
        The mean loss of predictions, targets and weights.
    """

    module: nn.Module
    batches: Callable[[], Iterator[tuple[Tensor, Tensor, Tensor | None]]]
    criterion: Callable[[Tensor, Tensor, Tensor | None], Tensor]

    def gradients(self, parameters: FlatParameters) -> Iterator[Tensor]:
        """The gradient of the mean loss of one batch after the other by all weights.

        Parameters
        ----------
        parameters : FlatParameters
            Those of the module. Each gradient is overwritten by the next.

        Yields
        ------
        gradient : torch.Tensor of shape (n_weights,)
            Dense, whatever the masks.
        """
        was_training = self.module.training
        self.module.eval()
        for X, y, weight in self.batches():
            parameters.zero_grad()
            with torch.enable_grad():
                self.criterion(self.module(X), y, weight).backward()
            yield parameters.weight_gradient
        parameters.zero_grad()
        self.module.train(was_training)
