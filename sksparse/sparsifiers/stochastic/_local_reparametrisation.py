"""Noise of Gaussian weights, drawn where layers compute instead of in the weights.

What a linear layer computes from Gaussian weights is Gaussian itself. To draw that for every row
(local reparametrisation: Kingma, Salimans & Welling, 2015) gives gradients of
far less variance than weights that all rows of a batch share, and costs one more product.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from sksparse.sparsifiers.parameters._flat_parameters import FlatParameters
from sksparse.sparsifiers.structure._weight_graph import CONVOLUTIONS

#: Under the root, whose slope at zero is infinite.
_EPSILON = 1e-8

#: From the name of a tensor and a number of rows to factors of its input units, one row each.
InputFactors = Callable[[str, int], Tensor]


class LocalNoise:
    """Hooks that add the noise of its weights to what a layer computes while it trains.

    Linear and convolution layers are handled; ``shared`` names the other tensors, whose noise a
    method has to write into the weights.

    Parameters
    ----------
    module : torch.nn.Module
        The network; its weights are the means.
    parameters : FlatParameters
        Its parameters.
    variance : torch.Tensor of shape (n_weights,)
        Variances of the weights, read in every forward pass.
    input_factors : callable, default=None
        Returns factors of shape (n_rows, n_input_units) for what enters a layer; None for 1.

    Attributes
    ----------
    gradient : torch.Tensor of shape (n_weights,)
        Gradient of the loss by the variances, added up in backward passes.
    shared : dict of str to slice
        The tensors that are not handled, with their place among all weights.
    """

    def __init__(
        self,
        module: nn.Module,
        parameters: FlatParameters,
        variance: Tensor,
        input_factors: InputFactors | None = None,
    ) -> None:
        self.gradient = torch.zeros_like(variance)
        self.shared: dict[str, slice] = {}
        self._input_factors = input_factors
        self._handles: list[Any] = []
        values, slopes = parameters.by_tensor(variance), parameters.by_tensor(self.gradient)
        start = 0
        for name, weight in parameters.tensors.items():
            layer = module.get_submodule(name.rpartition(".")[0])
            if is_handled(layer):
                leaf = values[name].detach().requires_grad_()
                leaf.grad = slopes[name]
                if input_factors is not None:
                    self._handles.append(layer.register_forward_pre_hook(self._scale(name)))
                self._handles.append(layer.register_forward_hook(_add_noise(leaf)))
            else:
                self.shared[name] = slice(start, start + weight.numel())
            start += weight.numel()

    def remove(self) -> None:
        """Leave the layers as they were."""
        for handle in self._handles:
            handle.remove()

    def _scale(self, name: str) -> Callable[..., Any]:
        def hook(layer: nn.Module, args: tuple[Tensor]) -> tuple[Tensor] | None:
            if not layer.training:
                return None
            (x,) = args
            factors = self._input_factors(name, len(x))  # type: ignore[misc]
            shape = [len(x), *[1] * (x.ndim - 1)]
            shape[-1 if isinstance(layer, nn.Linear) else 1] = factors.shape[1]
            return (x * factors.view(shape),)

        return hook


def is_handled(layer: nn.Module) -> bool:
    """Whether a layer is certain to compute with its weights through its own forward."""
    # a subclass may be used by its owner without being called, as in attention
    kind = type(layer)
    return kind is nn.Linear or (kind in CONVOLUTIONS and getattr(layer, "groups", 1) == 1)


def _add_noise(variance: Tensor) -> Callable[..., Any]:
    def hook(layer: Any, args: tuple[Tensor], output: Tensor) -> Tensor:
        if not layer.training:
            return output
        squares = args[0].square()
        if isinstance(layer, nn.Linear):
            total = functional.linear(squares, variance)
        else:
            total = layer._conv_forward(squares, variance, None)
        deviation = total.add(_EPSILON).sqrt()
        return output + deviation * torch.randn_like(deviation)

    return hook
