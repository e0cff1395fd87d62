"""What the multilayer perceptrons share: how they are built and described."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted
from torch import nn

from sksparse._selection import FeatureSelectorMixin
from sksparse._typing import Array, Mask
from sksparse._validation import check_layer_sizes
from sksparse.neural_network._modules import ACTIVATIONS, build_mlp, dropout_rates
from sksparse.neural_network._sized import SizedNet
from sksparse.neural_network.fitted import _report
from sksparse.neural_network.fitted._size import Size
from sksparse.neural_network.training._standardisation import (
    Standardisation,
    restore_outputs,
    standardise_outputs,
)


class PerceptronMixin(FeatureSelectorMixin, SizedNet):
    """Linear layers with an activation between them; selects the inputs in use."""

    _parameter_constraints: dict = {
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "dropout": ["array-like", Interval(Real, 0, 1, closed="left")],
        "batch_norm": ["boolean"],
    }

    _bias_left: Array

    @property
    def coefs_(self) -> list[Array]:
        """Weight matrices of shape (units in, units out), inputs first."""
        return [layer.weight.detach().numpy().T.copy() for layer in self._linear_layers()]

    @property
    def intercepts_(self) -> list[Array]:
        """Bias vectors, one for each weight matrix."""
        return [layer.bias.detach().numpy().copy() for layer in self._linear_layers()]

    def _linear_layers(self) -> list[nn.Linear]:
        return [layer for layer in self._network.module.children() if isinstance(layer, nn.Linear)]

    def _build_module(self, n_features: int, n_outputs: int) -> nn.Module:
        hidden = check_layer_sizes(self.hidden_layer_sizes)
        widths = [n_features, *hidden, n_outputs]
        rates = dropout_rates(self.dropout, len(hidden))
        return build_mlp(widths, self.activation, rates, batch_norm=self.batch_norm)

    def _set_start(self, module: nn.Module) -> None:
        last_linear(module).bias.data.zero_()

    def _standardise_outputs(self, module: nn.Module, scaling: Standardisation) -> None:
        standardise_outputs(last_linear(module), scaling, self._bias_left)

    def _restore_outputs(self, module: nn.Module, scaling: Standardisation) -> None:
        # what a bias in float32 cannot hold of a target far from zero
        left = restore_outputs(last_linear(module), scaling)
        self._bias_left = left if scaling.is_wide else np.zeros_like(left)

    def _predict_values(self, X: Any) -> Array:
        check_is_fitted(self)
        if not self._bias_left.any():
            return self._forward(X)
        return self._forward(X, double=True) + self._bias_left

    def _get_support_mask(self) -> Mask:
        check_is_fitted(self)
        live = _report.live_units(_report.path_matrices(self._network.module))[0]
        return self._network.size.spread(live)

    def _describe(
        self, module: nn.Module, scaling: Standardisation | None, size: Size
    ) -> dict[str, Any]:
        matrices = _report.path_matrices(module)
        return {
            "architecture_": tuple(int(units.sum()) for units in _report.live_units(matrices)),
            "feature_importances_": size.spread(_report.path_importances(matrices)),
        }


def last_linear(module: nn.Module) -> nn.Linear:
    """The output layer of a perceptron."""
    last = list(module.children())[-1]
    assert isinstance(last, nn.Linear)
    return last
