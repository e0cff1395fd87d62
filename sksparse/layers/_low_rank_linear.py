"""A linear layer whose weights are expanded in a fixed basis (Denil et al., 2013)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sksparse.layers._base import CompressedLinear


class LowRankLinear(CompressedLinear):
    r"""A linear layer whose weights are expanded in a fixed basis, of which it learns the factors.

    The outputs are divided into columns of about equal number. Column :math:`j` computes
    :math:`V_j U_j^T x + b_j` with a fixed basis :math:`U_j` of `rank` vectors, and learns
    :math:`V_j` and the biases. So ``rank * out_features`` weights are learned instead of
    ``in_features * out_features``, however many columns there are.

    It may stand in any module, in place of ``torch.nn.Linear``.

    Parameters
    ----------
    in_features : int
        Number of inputs n.
    out_features : int
        Number of outputs.
    rank : int
        Vectors in each basis, from 1 to `in_features`.
    n_columns : int, default=1
        Number of bases, from 1 to `out_features`.

    Attributes
    ----------
    values : torch.nn.Parameter of shape (out_features, rank)
        The factors V, the rows of one column after the other.
    bias : torch.nn.Parameter of shape (out_features,)
        The biases.
    basis : torch.Tensor of shape (n_columns, in_features, rank)
        The bases: random orthonormal vectors, until others are set.

    Raises
    ------
    ValueError
        When a number is out of its range.

    References
    ----------
    M. Denil, B. Shakibi, L. Dinh, M. Ranzato and N. de Freitas, "Predicting parameters in deep
    learning", NIPS 2013.

    Examples
    --------
    >>> import torch
    >>> from sksparse.layers import LowRankLinear
    >>> layer = LowRankLinear(20, 10, rank=5)
    >>> layer(torch.ones(4, 20)).shape
    torch.Size([4, 10])
    >>> sum(p.numel() for p in layer.parameters())
    60
    """

    basis: Tensor

    def __init__(self, in_features: int, out_features: int, rank: int, n_columns: int = 1) -> None:
        super().__init__(in_features, out_features)
        for name, value, most in (
            ("in_features", in_features, math.inf),
            ("out_features", out_features, math.inf),
            ("rank", rank, in_features),
            ("n_columns", n_columns, out_features),
        ):
            if not 1 <= value <= most:
                raise ValueError(
                    f"{name}={value!r} of LowRankLinear must be an integer from 1"
                    + (f" to {most}." if most < math.inf else ".")
                )
        self.values = nn.Parameter(torch.empty(out_features, rank))
        self.bias = nn.Parameter(torch.zeros(out_features))
        self.register_buffer("basis", torch.empty(n_columns, in_features, rank))
        self.set_basis(torch.stack([nn.init.orthogonal_(part.clone()) for part in self.basis]))

    @torch.no_grad()
    def set_basis(self, basis: Tensor) -> None:
        """Take other bases, and draw new factors.

        Parameters
        ----------
        basis : torch.Tensor of shape (n_columns, in_features, rank)
            The bases.

        Raises
        ------
        ValueError
            When they are of another shape.
        """
        if basis.shape != self.basis.shape:
            raise ValueError(
                f"basis of shape {tuple(basis.shape)} must have the shape "
                f"{tuple(self.basis.shape)}: (n_columns, in_features, rank)."
            )
        self.basis.copy_(basis)
        # the weights get the mean square of Glorot's initialisation
        bound = math.sqrt(6 / (self.in_features + self.out_features))
        for values, part in zip(self._by_column(self.values), self.basis, strict=True):
            square = float(part.double().square().sum())
            scale = math.sqrt(self.in_features / square) if square > 0 else 1.0
            values.uniform_(-bound * scale, bound * scale)

    def _by_column(self, tensor: Tensor) -> tuple[Tensor, ...]:
        return tensor.tensor_split(len(self.basis))

    @property
    def n_stored(self) -> int:
        """Numbers that a file has to hold: the parameters, and what is not zero in the bases."""
        learned = self.values.numel() + self.bias.numel()
        return learned + int(torch.count_nonzero(self.basis))

    def dense(self) -> tuple[Tensor, Tensor]:
        """The weight of shape (out_features, in_features) and the bias that it stands for."""
        parts = zip(self._by_column(self.values), self.basis, strict=True)
        return torch.cat([values @ basis.T for values, basis in parts]), self.bias

    def forward(self, x: Tensor) -> Tensor:
        """The outputs for inputs of shape (..., in_features)."""
        columns = zip(
            self.basis, self._by_column(self.values), self._by_column(self.bias), strict=True
        )
        return torch.cat([F.linear(x @ u, v, b) for u, v, b in columns], dim=-1)

    def extra_repr(self) -> str:
        """What ``repr`` shows."""
        n_columns, _, rank = self.basis.shape
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, rank={rank}, "
            f"n_columns={n_columns}"
        )
