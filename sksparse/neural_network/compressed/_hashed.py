"""What the perceptrons of hashed weights share."""

from __future__ import annotations

import torch
from torch import nn

from sksparse.layers._hashed_linear import HashedLinear
from sksparse.neural_network.compressed._perceptron import CompressedPerceptron


class HashedPerceptron(CompressedPerceptron):
    """Every layer is hashed, that of the outputs included."""

    def _linear(self, n_in: int, n_out: int, *, number: int, is_last: bool) -> nn.Module:
        n_values = max(1, round(self.share * n_out * (n_in + 1)))
        return HashedLinear(n_in, n_out, n_values, seed=int(torch.randint(2**32, ())))
