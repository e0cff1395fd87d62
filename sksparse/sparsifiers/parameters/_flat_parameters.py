"""The parameters of a module in one flat tensor, and their gradients in another.

Formulas over all weights then cost one call each, however many layers there are, and the
optimiser has one tensor to update. The module's own parameters become views.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


def prunable_tensors(module: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters of a module that may be pruned, by name.

    Parameters
    ----------
    module : torch.nn.Module
        Any module.

    Returns
    -------
    tensors : dict of str to torch.nn.Parameter
        The trainable parameters with at least two dimensions, in the order of the module.

    Examples
    --------
    >>> from torch import nn
    >>> from sksparse.sparsifiers import prunable_tensors
    >>> list(prunable_tensors(nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1))))
    ['0.weight', '2.weight']
    """
    return {n: p for n, p in module.named_parameters() if p.ndim >= 2 and p.requires_grad}


def numbers_for(
    name: str, values: Any, n: int, noun: str, *, least: float = 0.0, most: float = math.inf
) -> list[float]:
    """Several numbers, from one for all of them or a sequence.

    Parameters
    ----------
    name : str
        The option that is read, for the message.
    values : float or sequence of float
        What the user gave.
    n : int
        How many numbers there are to be.
    noun : str
        What they are for, in the plural, for the message.
    least, most : float
        The range of what is accepted.

    Returns
    -------
    numbers : list of float
    """
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except ValueError:
        # what is no number is out of range
        numbers = np.array(math.nan)
    if numbers.ndim == 0:
        numbers = numbers.repeat(n)
    in_range = (numbers >= least) & (numbers <= most)
    if numbers.shape != (n,) or not in_range.all():
        bounds = f" of at least {least}" if math.isinf(most) else f" from {least} to {most}"
        if math.isinf(least):
            bounds = ""
        raise ValueError(
            f"{name}={values!r} must be one number{bounds}, or one for each of the {n} {noun}."
        )
    return [float(number) for number in numbers]


class FlatParameters:
    """All trainable parameters of a module, prunable weights first, as one flat tensor.

    Parameters
    ----------
    module : torch.nn.Module
        Its parameters become views of ``values``, their gradients views of ``gradient``,
        until ``release``.

    Attributes
    ----------
    values : torch.Tensor of shape (n_parameters,)
        All of them, prunable weights first.
    names : list of str
        The names of all parameters, in the order of ``values``.
    tensors : dict of str to torch.nn.Parameter
        The prunable tensors, by name.
    weights, weight_gradient : torch.Tensor of shape (n_weights,)
        All prunable weights and the gradient of the loss by them.
    others, other_gradient : torch.Tensor
        The same for biases and the parameters of normalisation layers.
    """

    def __init__(self, module: nn.Module) -> None:
        self.tensors = prunable_tensors(module)
        if not self.tensors:
            raise ValueError(
                f"The module {type(module).__name__} has no trainable parameter of two or more "
                "dimensions, so there is nothing to make sparse; give a module with weights."
            )
        prunable = set(self.tensors)
        rest = {n: p for n, p in module.named_parameters() if p.requires_grad and n not in prunable}
        self.names = [*self.tensors, *rest]
        self._parameters = [*self.tensors.values(), *rest.values()]
        types = {(p.dtype, p.device) for p in self._parameters}
        if len(types) > 1:
            raise ValueError(
                "The parameters of the module have several types or devices, "
                f"{sorted(map(str, types))}; convert the module, for example with module.float()."
            )
        self.sizes = [w.numel() for w in self.tensors.values()]
        self.n_weights = sum(self.sizes)
        self.values = torch.cat([p.detach().reshape(-1) for p in self._parameters])
        self._gradient = torch.zeros_like(self.values)
        pieces = [p.numel() for p in self._parameters]
        self._views = [
            (p, value.view_as(p), slope.view_as(p))
            for p, value, slope in zip(
                self._parameters,
                self.values.split(pieces),
                self._gradient.split(pieces),
                strict=True,
            )
        ]
        for p, value, slope in self._views:
            p.data, p.grad = value, slope
        self.weights, self.others = self.values.tensor_split([self.n_weights])
        self.weight_gradient, self.other_gradient = self._gradient.tensor_split([self.n_weights])

    def zero_grad(self) -> None:
        """Set the gradients to zero in place, so that they stay views."""
        self._gradient.zero_()

    def reattach(self) -> None:
        """Copy what someone assigned to a parameter or its gradient, and make them views again."""
        for p, value, slope in self._views:
            if p.data_ptr() != value.data_ptr():
                value.copy_(p.data)
                p.data = value
            if p.grad is None:
                slope.zero_()
            elif p.grad.data_ptr() != slope.data_ptr():
                slope.copy_(p.grad)
            p.grad = slope

    def renewed(self, module: nn.Module) -> FlatParameters:
        """The same for a module of which some parameters have become smaller."""
        frozen = [p for p in self._parameters if not p.requires_grad]
        for p in self._parameters:
            p.grad = None
            p.requires_grad_(True)
        made = FlatParameters(module)
        for p in frozen:
            p.requires_grad_(False)
        return made

    def frozen(self) -> Tensor:
        """Which of all values belong to a parameter that requires no gradient now."""
        return torch.cat(
            [
                p.new_full((p.numel(),), not p.requires_grad, dtype=torch.bool)
                for p in self._parameters
            ]
        )

    def by_tensor(self, flat: Tensor) -> dict[str, Tensor]:
        """Views of a flat tensor over all weights in the shapes of the prunable tensors."""
        parts = flat.split(self.sizes)
        return {
            name: part.view(w.shape)
            for (name, w), part in zip(self.tensors.items(), parts, strict=True)
        }

    def all_by_name(self, flat: Tensor) -> dict[str, Tensor]:
        """Views of a flat tensor over all parameters, in their shapes and by their names."""
        parts = flat.split([p.numel() for p in self._parameters])
        return {
            name: part.view(p.shape)
            for name, p, part in zip(self.names, self._parameters, parts, strict=True)
        }

    def flatten(self, tensors: dict[str, Tensor]) -> Tensor:
        """The flat tensor over all weights that holds the given ones, by name."""
        return torch.cat([tensors[name].reshape(-1) for name in self.tensors])

    def per_tensor(
        self, name: str, values: Any, *, least: float = 0.0, most: float = math.inf
    ) -> Tensor:
        """One number for each prunable tensor, from one for all of them or a sequence.

        Parameters
        ----------
        name : str
            The option that is read, for the message.
        values : float or sequence of float
            What the user gave.
        least, most : float
            The range of what is accepted.

        Returns
        -------
        numbers : torch.Tensor of shape (n_tensors,)
            In the order of ``tensors``.
        """
        found = numbers_for(
            name, values, len(self.tensors), "weight tensors", least=least, most=most
        )
        return self.weights.new_tensor(found)

    def release(self) -> None:
        """Give every parameter memory of its own again, trainable and without a gradient."""
        for p in self._parameters:
            p.data = p.data.clone()
            p.grad = None
            p.requires_grad_(True)
        self._views.clear()


class UnitGates:
    """One number for each unit of a layer, spread over the weights that belong to it.

    Parameters
    ----------
    parameters : FlatParameters
        The weights.
    granularity : {"weight", "input", "shape"}
        Whether a unit is a single weight, an input unit (channel) of a tensor with all
        weights that leave it, or one position of the filters of a convolution, the same as an
        input unit where there are no positions.

    Attributes
    ----------
    sizes : torch.Tensor of shape (n_units,)
        Weights in each unit.
    layer : torch.Tensor of shape (n_units,)
        The number of the tensor that each unit belongs to.
    """

    def __init__(self, parameters: FlatParameters, granularity: str) -> None:
        self._parameters = parameters
        self._is_single = granularity == "weight"
        self._summed = {"weight": (), "input": (0, 2, 3, 4), "shape": (0,)}[granularity]
        tensors = list(parameters.tensors.values())
        self._shapes = [self._unit_shape(w) for w in tensors]
        self.counts = [math.prod(shape) for shape in self._shapes]
        like = parameters.weights
        self.sizes = torch.cat(
            [like.new_full((n,), w.numel() / n) for n, w in zip(self.counts, tensors, strict=True)]
        )
        self.layer = torch.arange(len(tensors), device=like.device).repeat_interleave(
            torch.tensor(self.counts, device=like.device)
        )

    def __len__(self) -> int:
        return len(self.sizes)

    def weight_views(self, weights: Tensor) -> list[Tensor]:
        """Views of a flat tensor over all weights with which ``unit_views`` broadcast."""
        if self._is_single:
            return [weights]
        return list(self._parameters.by_tensor(weights).values())

    def unit_views(self, units: Tensor) -> list[Tensor]:
        """Views of a tensor over all units that broadcast against ``weight_views``."""
        if self._is_single:
            return [units]
        parts = units.split(self.counts)
        return [part.view(shape) for part, shape in zip(parts, self._shapes, strict=True)]

    def spread(self, units: Tensor) -> Tensor:
        """The number of its unit at each weight, flat."""
        if self._is_single:
            return units
        tensors = self._parameters.tensors.values()
        views = zip(self.unit_views(units), tensors, strict=True)
        return torch.cat([view.expand_as(w).reshape(-1) for view, w in views])

    def gather(self, weights: Sequence[Tensor], *, out: Sequence[Tensor]) -> None:
        """Write the sum over the weights of each unit; both are views from above."""
        for source, target in zip(weights, out, strict=True):
            if self._is_single:
                target.copy_(source)
            else:
                axes = [i for i in self._summed if i < source.ndim]
                torch.sum(source, axes, keepdim=True, out=target)

    def _unit_shape(self, weight: Tensor) -> tuple[int, ...]:
        return tuple(1 if i in self._summed else n for i, n in enumerate(weight.shape))


def multiply(a: Sequence[Tensor], b: Sequence[Tensor], *, out: Sequence[Tensor]) -> None:
    """Write the products of tensors that broadcast."""
    for x, y, product in zip(a, b, out, strict=True):
        torch.mul(x, y, out=product)
