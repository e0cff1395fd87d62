"""A layer that adds a number to each unit."""

from __future__ import annotations

from torch import Tensor, nn


class Shift(nn.Module):
    """Adds a number to each unit: what is left of a branch that emits constants.

    ``compact`` puts it where a residual branch was removed and nothing on the other side
    has a bias.

    Parameters
    ----------
    values : torch.Tensor of shape (n_units,)
        What is added.
    ndim : int, default=2
        Number of axes of the inputs.
    axis : int, default=1
        Their axis of units.

    Attributes
    ----------
    values : torch.nn.Parameter
        Of a shape that broadcasts against the inputs.

    Examples
    --------
    >>> import torch
    >>> from sksparse.compression import Shift
    >>> shift = Shift(torch.tensor([1.0, 2.0]), ndim=4)
    >>> shift(torch.zeros(1, 2, 1, 1)).flatten()
    tensor([1., 2.], grad_fn=<ViewBackward0>)
    """

    def __init__(self, values: Tensor, ndim: int = 2, axis: int = 1) -> None:
        super().__init__()
        self.values = nn.Parameter(values.view(-1, *[1] * (ndim - 1 - axis)).clone())

    def reset_parameters(self) -> None:
        """Add nothing."""
        nn.init.zeros_(self.values)

    def forward(self, input: Tensor) -> Tensor:
        """The inputs with the numbers added.

        Parameters
        ----------
        input : torch.Tensor
            With units on the axis that was named.

        Returns
        -------
        output : torch.Tensor of the same shape
        """
        return input + self.values
