"""Steps of an optimiser that are longer or shorter for some of what it updates."""

from __future__ import annotations

import torch
from torch import Tensor


class LargerSteps:
    """Lets a tensor take larger steps than the optimiser gives it, or smaller ones.

    One group of parameters with one rate costs the optimiser half of what two do.

    Parameters
    ----------
    tensor : torch.Tensor
        What the optimiser updates.
    factor : float
        Factor on each of its steps.
    """

    def __init__(self, tensor: Tensor, factor: float) -> None:
        self._tensor = tensor
        self._before = torch.empty_like(tensor)
        self._factor = factor

    def remember(self) -> None:
        """Store the tensor before the step."""
        self._before.copy_(self._tensor)

    def extend(self) -> None:
        """Multiply the step by the factor."""
        torch.lerp(self._before, self._tensor, self._factor, out=self._tensor)
