"""What perceptrons of layers with few parameters share: how they are built and described."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from numbers import Integral, Real
from typing import Any

from sklearn.utils._param_validation import Interval, StrOptions
from torch import nn

from sksparse._typing import Array
from sksparse._validation import check_layer_sizes
from sksparse.layers._base import CompressedLinear
from sksparse.neural_network._modules import ACTIVATIONS, build_mlp, dropout_rates
from sksparse.neural_network._regression import RestoredOutputs
from sksparse.neural_network.fitted._size import Size
from sksparse.neural_network.training._standardisation import Standardisation


class CompressedPerceptron(RestoredOutputs):
    """Linear layers of few parameters with an activation between them.

    Nothing of it is pruned: the options of sparsifiers have fixed values.
    """

    _parameter_constraints: dict = {
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "share": [Interval(Real, 0, 1, closed="right")],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "dropout": ["array-like", Interval(Real, 0, 1, closed="left")],
        "batch_norm": ["boolean"],
    }

    sparsifier = alpha = granularity = None
    target_sparsity = target_flops = target_units = None
    compact = compact_during = False

    @property
    def coefs_(self) -> list[Array]:
        """The weight matrices of shape (units in, units out) that the values stand for."""
        return [weight.T for weight, _ in self._dense_layers()]

    @property
    def intercepts_(self) -> list[Array]:
        """The bias vectors, one for each weight matrix."""
        return [bias for _, bias in self._dense_layers()]

    def _dense_layers(self) -> Iterator[tuple[Array, Array]]:
        for layer in self._network.module.children():
            if isinstance(layer, CompressedLinear):
                weight, bias = layer.dense()
            elif isinstance(layer, nn.Linear):
                weight, bias = layer.weight, layer.bias
            else:
                continue
            yield weight.detach().numpy().copy(), bias.detach().numpy().copy()

    @abstractmethod
    def _linear(self, n_in: int, n_out: int, *, number: int, is_last: bool) -> nn.Module:
        """The linear layer with a number, that of the inputs being zero."""

    def _build_module(self, n_features: int, n_outputs: int) -> nn.Module:
        hidden = check_layer_sizes(self.hidden_layer_sizes)
        rates = dropout_rates(self.dropout, len(hidden))
        numbers = iter(range(len(hidden) + 1))

        def linear(n_in: int, n_out: int) -> nn.Module:
            number = next(numbers)
            return self._linear(n_in, n_out, number=number, is_last=number == len(hidden))

        widths = [n_features, *hidden, n_outputs]
        return build_mlp(widths, self.activation, rates, batch_norm=self.batch_norm, linear=linear)

    def _describe(
        self, module: nn.Module, scaling: Standardisation | None, size: Size
    ) -> dict[str, Any]:
        learned = sum(p.numel() for p in module.parameters())
        made = [layer for layer in module.children() if isinstance(layer, CompressedLinear)]
        own = sum(p.numel() for layer in made for p in layer.parameters())
        return {
            **super()._describe(module, scaling, size),
            "n_parameters_": learned,
            "n_dense_parameters_": learned - own + sum(layer.n_dense_parameters for layer in made),
            "n_stored_": learned - own + sum(layer.n_stored for layer in made),
        }

    def _n_dense_parameters(self) -> int:
        found: int = self.n_dense_parameters_
        return found
