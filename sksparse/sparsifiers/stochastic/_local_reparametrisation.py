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
from sksparse.sparsifiers.stochastic._per_sample_gates import CONVOLUTIONS, RowFactors

#: Under the root, whose slope at zero is infinite.
_EPSILON = 1e-8


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
    factors : RowFactors, default=None
        Random factors of what enters the layers; None for 1.
    convolutions : bool, default=True
        Whether convolutions are handled as well as linear layers.

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
        factors: RowFactors | None = None,
        *,
        convolutions: bool = True,
    ) -> None:
        self.gradient = torch.zeros_like(variance)
        self.shared: dict[str, slice] = {}
        self._factors = factors
        self._handles: list[Any] = []
        values, slopes = parameters.by_tensor(variance), parameters.by_tensor(self.gradient)
        start = 0
        for name, weight in parameters.tensors.items():
            layer = module.get_submodule(name.rpartition(".")[0])
            if is_handled(layer, convolutions=convolutions):
                leaf = values[name].detach().requires_grad_()
                leaf.grad = slopes[name]
                if factors is not None and factors.has(name):
                    self._handles.append(layer.register_forward_pre_hook(_scale(factors, name)))
                self._handles.append(layer.register_forward_hook(_add_noise(leaf)))
            else:
                self.shared[name] = slice(start, start + weight.numel())
            start += weight.numel()

    def remove(self) -> None:
        """Leave the layers as they were."""
        if self._factors is not None:
            self._factors.remove()
        for handle in self._handles:
            handle.remove()


def is_handled(layer: nn.Module, *, convolutions: bool) -> bool:
    """Whether a layer is certain to compute with its weights through its own forward."""
    # a subclass may be used by its owner without being called, as in attention
    kind = type(layer)
    if kind in CONVOLUTIONS:
        return convolutions and getattr(layer, "groups", 1) == 1
    return kind is nn.Linear


def _scale(factors: RowFactors, name: str) -> Callable[..., Any]:
    def hook(layer: nn.Module, args: tuple[Tensor]) -> tuple[Tensor] | None:
        return (factors.multiply(name, args[0], layer),) if layer.training else None

    return hook


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
