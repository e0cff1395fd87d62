"""A linear layer whose weights share a few values, drawn by a hash (Chen et al., 2015)."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sksparse._hashing import signed_buckets
from sksparse.layers._base import CompressedLinear

#: Numbers of values and their negatives are stored as signed integers of 32 bits.
_MOST_VALUES = 2**30
_MOST_SEEDS = 2**32


class HashedLinear(CompressedLinear):
    r"""A linear layer whose weights and biases share a few values, drawn by a hash.

    It computes :math:`V [x; 1]` with the virtual matrix

    .. math:: V_{ij} = \xi(i, j) \, w_{h(i, j)}, \qquad i < m, \; j \le n

    of :math:`m` outputs and :math:`n` inputs, whose last column is the bias. Learned and stored are
    the values :math:`w`; which of them stands where, :math:`h`, and with which sign, :math:`\xi`,
    say two hashes (XXH32 of row and column under the seed), the same on every platform. The
    gradient by a value is the sum of the signed gradients at all its positions.

    It may stand in any module, in place of ``torch.nn.Linear``.

    Parameters
    ----------
    in_features : int
        Number of inputs n.
    out_features : int
        Number of outputs m.
    n_values : int
        Number of values that are stored, at least 1 and at most 2**30.
    seed : int, default=0
        Seed of the hashes, from 0 up to but not including 2**32. Layers of one network should have
        different ones.

    Attributes
    ----------
    values : torch.nn.Parameter of shape (1, n_values)
        The values. They have two dimensions, as weights have.

    Raises
    ------
    ValueError
        When a number is out of its range.

    References
    ----------
    W. Chen, J. Wilson, S. Tyree, K. Weinberger and Y. Chen, "Compressing neural networks with
    the hashing trick", ICML 2015.

    Examples
    --------
    >>> import torch
    >>> from sksparse.layers import HashedLinear
    >>> layer = HashedLinear(20, 10, n_values=15)
    >>> layer(torch.ones(4, 20)).shape
    torch.Size([4, 10])
    >>> sum(p.numel() for p in layer.parameters())
    15
    """

    def __init__(self, in_features: int, out_features: int, n_values: int, seed: int = 0) -> None:
        super().__init__(in_features, out_features)
        ranges = {
            "in_features": (in_features, 1, _MOST_SEEDS - 1),
            "out_features": (out_features, 1, _MOST_SEEDS),
            "n_values": (n_values, 1, _MOST_VALUES + 1),
            "seed": (seed, 0, _MOST_SEEDS),
        }
        for name, (value, least, end) in ranges.items():
            if not least <= value < end:
                raise ValueError(
                    f"{name}={value!r} of HashedLinear must be an integer from {least} to {end - 1}"
                )
        self.seed = seed
        # Glorot's bound for the virtual matrix
        bound = math.sqrt(6 / (in_features + out_features))
        self.values = nn.Parameter(torch.empty(1, n_values).uniform_(-bound, bound))
        self._buckets = _Buckets(out_features, in_features + 1, n_values, seed)

    @property
    def n_stored(self) -> int:
        """Numbers that a file has to hold, beside the shape and the seed."""
        return self.values.numel()

    def dense(self) -> tuple[Tensor, Tensor]:
        """The weight of shape (out_features, in_features) and the bias that it stands for."""
        buckets = self._buckets.on(self.values.device)
        weight, bias = _Spread.apply(self.values, *buckets)
        return weight, bias

    def forward(self, x: Tensor) -> Tensor:
        """The outputs for inputs of shape (..., in_features)."""
        weight, bias = self.dense()
        return F.linear(x, weight, bias)

    def extra_repr(self) -> str:
        """What ``repr`` shows."""
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"n_values={self.values.shape[1]}, seed={self.seed}"
        )


class _Spread(torch.autograd.Function):
    """Matrices of which every entry is one of a few values, or its negative.

    The same traced by autograd takes twice as long: its sums over the positions of a value are
    slower, and it copies the gradient of the matrix once more.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, *buckets: Tensor) -> tuple[Tensor, ...]:
        ctx.buckets = buckets
        ctx.n_values = values.shape[1]
        both = torch.cat([values, -values]).view(-1)
        return tuple(both.index_select(0, b.view(-1)).view(b.shape) for b in buckets)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        n = ctx.n_values
        both = gradients[0].new_zeros(2 * n)
        for buckets, gradient in zip(ctx.buckets, gradients, strict=True):
            both += torch.bincount(buckets.view(-1), gradient.reshape(-1), 2 * n)
        by_values = (both[:n] - both[n:]).view(1, n)
        return by_values, *[None] * len(gradients)


class _Buckets:
    """Which value stands at each position of weight and bias; found when it is first needed.

    Copies share it, and a pickle holds the four numbers it follows from.
    """

    def __init__(self, n_rows: int, n_columns: int, n_values: int, seed: int) -> None:
        self._numbers = (n_rows, n_columns, n_values, seed)
        self._found: dict[torch.device, tuple[Tensor, Tensor]] = {}

    def on(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Numbers of values and negatives on a device, for the weight and for the bias."""
        found = self._found.get(device)
        if found is None:
            buckets = torch.from_numpy(signed_buckets(*self._numbers)).to(device)
            found = buckets[:, :-1].contiguous(), buckets[:, -1].contiguous()
            self._found[device] = found
        return found

    def __deepcopy__(self, memo: dict[int, Any]) -> _Buckets:
        return self

    def __reduce__(self) -> tuple[type[_Buckets], tuple[int, ...]]:
        return _Buckets, self._numbers
