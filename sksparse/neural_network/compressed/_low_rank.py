"""What the perceptrons of low rank share: the bases of their layers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor, nn

from sksparse._typing import Array
from sksparse.layers._bases import (
    choose,
    identity_basis,
    kernel_basis,
    orthonormal_basis,
    squared_exponential,
)
from sksparse.layers._low_rank_linear import LowRankLinear
from sksparse.neural_network._modules import glorot_linear
from sksparse.neural_network.compressed._perceptron import CompressedPerceptron
from sksparse.neural_network.training._data import Rows

#: Rows of which covariances are computed at once.
_ROWS_AT_ONCE = 2048


class LowRankPerceptron(CompressedPerceptron):
    """Every layer but that of the outputs has low rank."""

    _parameter_constraints: dict = {
        **CompressedPerceptron._parameter_constraints,
        "basis": [StrOptions({"identity", "random", "covariance", "squared_exponential"})],
        "hidden_basis": [StrOptions({"identity", "random", "covariance"})],
        "n_columns": [Interval(Integral, 1, None, closed="left")],
        "image_shape": ["array-like", None],
        "length_scale": [Interval(Real, 0, None, closed="neither")],
        "ridge": [Interval(Real, 0, None, closed="left")],
    }

    def _build_module(self, n_features: int, n_outputs: int) -> nn.Module:
        self._check_image(n_features)
        return super()._build_module(n_features, n_outputs)

    def _linear(self, n_in: int, n_out: int, *, number: int, is_last: bool) -> nn.Module:
        if is_last:
            return glorot_linear(n_in, n_out)
        if self.n_columns > n_out:
            raise ValueError(
                f"n_columns={self.n_columns!r} is more than the {n_out} units of a hidden layer; "
                "lower it, or widen the layers of hidden_layer_sizes."
            )
        rank = min(n_in, max(2, round(self.share * n_in)))
        return LowRankLinear(n_in, n_out, rank, self.n_columns)

    def _check_image(self, n_features: int) -> None:
        is_needed = self.basis == "squared_exponential"
        if is_needed != (self.image_shape is not None):
            raise ValueError(
                f"image_shape={self.image_shape!r} with basis={self.basis!r}: the shape of an "
                "image goes with basis='squared_exponential', and with no other one."
            )
        if not is_needed:
            return
        shape = np.asarray(self.image_shape)
        is_shape = shape.ndim == 1 and shape.dtype.kind in "iu" and bool((shape > 0).all())
        if not is_shape or math.prod(shape.tolist()) != n_features:
            raise ValueError(
                f"image_shape={self.image_shape!r} must be positive integers whose product is the "
                f"number of features, {n_features}."
            )

    def _prepare_module(self, module: nn.Module, train: Rows) -> None:
        """Give each layer its bases, that of the inputs first."""
        rng = np.random.default_rng(int(torch.randint(2**31, ())))
        module.eval()
        parts = list(module.children())
        kind = self.basis
        for number, layer in enumerate(parts):
            if isinstance(layer, LowRankLinear):
                before = nn.Sequential(*parts[:number])
                layer.set_basis(torch.from_numpy(self._bases(layer, kind, before, train, rng)))
                kind = self.hidden_basis

    def _bases(
        self,
        layer: LowRankLinear,
        kind: str,
        before: nn.Module,
        train: Rows,
        rng: np.random.Generator,
    ) -> Array:
        n_columns, n, rank = layer.basis.shape
        if kind == "random":
            return np.stack([orthonormal_basis(n, rank, rng) for _ in range(n_columns)])
        if kind == "identity":
            return np.stack([identity_basis(n, choose(n, rank, rng)) for _ in range(n_columns)])
        if kind == "covariance":
            kernel = covariance(before, train)
        else:
            kernel = squared_exponential(list(self.image_shape), self.length_scale)
        varies = np.diag(kernel) > 0
        chosen = [choose(n, rank, rng, varies) for _ in range(n_columns)]
        return np.stack([kernel_basis(kernel, part, self.ridge) for part in chosen])


@torch.no_grad()
def covariance(module: nn.Module, rows: Rows) -> Array:
    """The covariance of the outputs of a module over weighted rows."""

    def outputs() -> Iterator[tuple[Tensor, Any]]:
        for X, _, weight in rows.batches(_ROWS_AT_ONCE):
            values = module(X)
            yield values, values.new_ones(len(X)) if weight is None else weight

    total: Any = sum(weight.double().sum() for _, weight in outputs())
    mean: Any = sum(weight @ values for values, weight in outputs()) / total.float()
    products: Any = 0.0
    for values, weight in outputs():
        centred = values - mean
        products = products + ((centred * weight[:, None]).T @ centred).double()
    return np.asarray((products / total).cpu())
