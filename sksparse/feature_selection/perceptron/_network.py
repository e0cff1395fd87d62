"""A perceptron that can lose inputs while it is trained, and the features that it reads."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from scipy import sparse
from torch import Tensor, nn
from torch.nn import functional as F

from sksparse._typing import Array

#: Rows that are moved together when columns leave a table.
_CHUNK = 4096


class InputNetwork(nn.Module):
    """Hidden layers of rectified units, with dropout on the inputs and on the units.

    Parameters
    ----------
    n_inputs, n_outputs : int
        Inputs and outputs.
    hidden : sequence of int
        Units of the hidden layers.
    dropout : pair of float
        Rates on the inputs and on the hidden units.
    """

    def __init__(
        self, n_inputs: int, n_outputs: int, hidden: Sequence[int], dropout: tuple[float, float]
    ) -> None:
        super().__init__()
        self.dropout_inputs, rate = dropout
        widths = [n_inputs, *hidden]
        layers: list[nn.Module] = []
        for n_in, n_out in zip(widths[:-1], widths[1:], strict=True):
            layers += [nn.Linear(n_in, n_out), nn.ReLU()]
            if rate:
                layers.append(nn.Dropout(rate))
        self.first = layers[0]
        self.rest = nn.Sequential(*layers[1:], nn.Linear(widths[-1], n_outputs))

    def forward(self, X: Tensor) -> Tensor:
        """The outputs."""
        if self.dropout_inputs and self.training:
            X = F.dropout(X, self.dropout_inputs)
        return self.rest(self.first(X))


def keep_columns(parameter: nn.Parameter, kept: Tensor, optimizer: torch.optim.Optimizer) -> None:
    """Go on with some columns of a parameter, and with what the optimiser remembers of them."""
    parameter.data = parameter.data[..., kept].contiguous()
    parameter.grad = None
    state = optimizer.state.get(parameter, {})
    for name, value in state.items():
        # step counts have no columns
        if value.ndim:
            state[name] = value[..., kept].contiguous()


class DenseInputs:
    """Rows of features in float32, of which columns leave for good, in the same memory.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_features)
        Features, float32 and contiguous; overwritten when columns leave.
    """

    def __init__(self, X: Array) -> None:
        self._memory = torch.from_numpy(X)
        self._X = self._memory

    def take(self, rows: Tensor) -> Tensor:
        """The given rows."""
        return self._X.index_select(0, rows)

    select = take

    def keep(self, kept: Tensor) -> None:
        """Only these columns stay."""
        n_rows, flat = len(self._X), self._memory.view(-1)
        narrow = flat[: n_rows * len(kept)].view(n_rows, len(kept))
        for start in range(0, n_rows, _CHUNK):
            # what is written lies before what is still to be read
            narrow[start : start + _CHUNK] = self._X[start : start + _CHUNK, kept]
        self._X = narrow


class SparseInputs:
    """The same of a CSR matrix, of which only the batch in use is dense.

    Parameters
    ----------
    X : csr_array of shape (n_rows, n_features)
        Features, float32.
    """

    def __init__(self, X: sparse.csr_array) -> None:
        self._X = X

    def take(self, rows: Tensor) -> Tensor:
        return torch.from_numpy(self._X[rows.numpy()].toarray())

    select = take

    def keep(self, kept: Tensor) -> None:
        self._X = self._X[:, kept.numpy()]
