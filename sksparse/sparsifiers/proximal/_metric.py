"""The step of a proximal operator that belongs to a step of the optimiser.

An optimiser minimises the loss, and the proximal operator of the penalty is applied every few
updates. Under gradient descent the step of the prox is that of the gradient, over one minus the
momentum: only then is the limit stationary for the objective. Adam divides the gradient of every
number by its root mean square; the prox is taken in the same metric, or the penalty would be
stronger for numbers with small gradients. The mean squares are estimated from the gradients of the
batches at which the prox is taken, and averaged over what is shrunk together: a group or a tensor.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sksparse.sparsifiers._task import Task
from sksparse.sparsifiers.proximal._groups import LEAST_DIVISOR

#: Share of its mean squared gradients that Adam keeps in an update.
_MEMORY = 0.999


class ProxMetric:
    """Mean squared gradients, and steps of the prox in the metric of the optimiser.

    Parameters
    ----------
    task : Task
        What the estimator asks for, with its optimiser.
    like : torch.Tensor of shape (n,)
        What is shrunk.
    """

    def __init__(self, task: Task, like: Tensor) -> None:
        self._task = task
        self._sums = torch.zeros_like(like)
        self._share_seen = 0.0

    def observe(self, gradient: Tensor, n_updates: int) -> None:
        """Average the gradient of the last of some updates in."""
        kept = _MEMORY**n_updates
        self._sums.lerp_(gradient.square(), 1 - kept)
        self._share_seen = kept * self._share_seen + 1 - kept

    def squares(self) -> Tensor:
        """The mean squared gradients, flat."""
        return self._sums / max(self._share_seen, LEAST_DIVISOR)

    def keep(self, kept: Tensor) -> None:
        """Go on with some of the numbers, by their positions."""
        self._sums = self._sums[kept]

    def step(self, strength: Tensor | float, squares: Tensor, step: float) -> Tensor:
        """The step of the prox times the strength, where gradients have these mean squares.

        Under gradient descent that is the step that a constant gradient would make. Under Adam it
        is divided by the root mean square like the gradient of the loss, but by no less than
        half the strength: a weight without other gradients shrinks by twice the learning rate in
        an update. A zero weight stays zero while its gradients are smaller than the strength,
        because Adam moves it by about the learning rate.

        Parameters
        ----------
        strength : float or torch.Tensor
            Strength of the penalty per root of a weight.
        squares : torch.Tensor
            Means of ``squares`` over the weights that are shrunk together.
        step : float
            The sum of the learning rates since the last prox.

        Returns
        -------
        step : torch.Tensor
            In the shape of `squares`.
        """
        strength = torch.as_tensor(strength, dtype=squares.dtype, device=squares.device)
        if not self._task.is_adaptive:
            return (step / (1 - self._task.momentum) * strength).expand_as(squares).clone()
        size = torch.maximum(squares.sqrt(), 0.5 * strength).clamp_(min=LEAST_DIVISOR)
        return step * strength / size
