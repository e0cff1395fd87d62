"""Which layers of an ``nn.Sequential`` follow each other, and what constant units emit there."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
LAYERS = (nn.Linear, *CONVOLUTIONS)

# Functions of single units, known by their exact types: a subclass may compute anything.
_ACTIVATIONS = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU),
    *(nn.Mish, nn.Tanh, nn.Sigmoid, nn.Softplus, nn.Hardtanh, nn.Hardsigmoid, nn.Hardswish),
)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_INERT = (nn.Identity, nn.Dropout, nn.AlphaDropout)
# Functions of single channels, at several positions each: a constant channel stays constant.
_OF_CHANNELS = (
    *(nn.Dropout1d, nn.Dropout2d, nn.Dropout3d),
    *(nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d),
    *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
    *(nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d),
)
_BETWEEN = (*_ACTIVATIONS, *_NORMS, *_INERT, *_OF_CHANNELS, nn.Flatten)


def flat_layers(module: nn.Module) -> list[nn.Module]:
    """The parts of nested ``nn.Sequential`` modules, in order."""
    if type(module) is not nn.Sequential:
        return [module]
    return [part for child in module for part in flat_layers(child)]


@dataclass(frozen=True)
class Connection:
    """Two layers, of which the second reads the output units of the first.

    Parameters
    ----------
    first, second : torch.nn.Linear or convolution
        The layers.
    between : tuple of torch.nn.Module
        Functions of single units that the outputs of the first pass before they enter the second.
    after : torch.nn.Module or None
        What the outputs of the second enter.
    """

    first: Any
    second: Any
    between: tuple[nn.Module, ...]
    after: nn.Module | None

    @property
    def n_units(self) -> int:
        """Number of the output units of the first layer."""
        return len(self.first.weight)

    def entering(self, first: Tensor) -> Tensor:
        """A tensor like the weights of the first layer, one row for each unit."""
        return first.view(self.n_units, -1)

    def leaving(self, second: Tensor) -> Tensor:
        """One like those of the second, of shape (n_outputs, n_units, n_weights_between)."""
        return second.view(len(second), self.n_units, -1)

    def constants(self) -> Tensor:
        """What each input of the second layer is when nothing enters the units but their bias."""
        width = self.second.weight.shape[1] // self.n_units
        bias = self.first.bias
        value = self.first.weight.new_zeros(1, self.n_units)
        if bias is not None:
            value = value + bias.detach()
        for module in self.between:
            if isinstance(module, _NORMS):
                value = _normalised(value, module)
            elif type(module) in _ACTIVATIONS:
                value = module(value)
            elif type(module) is nn.Flatten and len(value[0]) == self.n_units:
                value = value.repeat_interleave(width, dim=1)
        return value[0]

    def add_to_outputs(self, shift: Tensor) -> bool:
        """Add numbers to the outputs of the second layer, if there is a parameter for it."""
        if self.second.bias is not None:
            self.second.bias.add_(shift)
            return True
        if isinstance(self.after, _NORMS):
            if self.after.running_mean is not None:
                self.after.running_mean.sub_(shift)
            return True
        return False


def connections(module: nn.Module) -> list[Connection]:
    """The connections of a module, in the order in which data pass through them.

    Parameters
    ----------
    module : torch.nn.Module
        Any module; only those that are ``nn.Sequential`` at the top have connections.

    Returns
    -------
    found : list of Connection
        Possibly empty.
    """
    uses = Counter(id(p) for _, p in module.named_parameters(remove_duplicate=False))
    stages = flat_layers(module)
    found = []
    first: Any = None
    between: list[Any] = []
    for stage, after in pairwise([*stages, None]):
        if _is_followed(stage, uses):
            if first is not None and _reads(first, between, stage):
                found.append(Connection(first, stage, tuple(between), after))
            first, between = stage, []
        elif type(stage) in _BETWEEN:
            between.append(stage)
        else:
            first = None
    return found


def _is_followed(stage: Any, uses: Counter[int]) -> bool:
    """Whether a stage is a trained layer whose parameters are used nowhere else."""
    if type(stage) not in LAYERS or not stage.weight.requires_grad:
        return False
    return all(uses[id(p)] == 1 for p in stage.parameters())


def _reads(first: Any, between: list[nn.Module], second: Any) -> bool:
    """Whether the input units of the second layer are the output units of the first."""
    n_inputs = second.weight.shape[1]
    n_values, has_channels = len(first.weight), type(first) in CONVOLUTIONS
    for module in between:
        if isinstance(module, nn.Flatten):
            if (module.start_dim, module.end_dim) != (1, -1):
                return False
            if has_channels and n_inputs % n_values == 0:
                n_values = n_inputs
            has_channels = False
        elif not _treats_units_alone(module, n_values, has_channels=has_channels):
            return False
    is_ungrouped = getattr(second, "groups", 1) == 1
    return is_ungrouped and n_values == n_inputs and has_channels == (type(second) in CONVOLUTIONS)


def _treats_units_alone(module: nn.Module, n_values: int, *, has_channels: bool) -> bool:
    """Whether a module reads so many units where the layer before writes them."""
    if isinstance(module, _NORMS):
        return bool(module.num_features == n_values)
    return has_channels or not isinstance(module, _OF_CHANNELS)


def _normalised(value: Tensor, norm: Any) -> Tensor:
    """Constant units after batch normalisation in evaluation mode."""
    if norm.running_mean is None:
        # by the mean and the deviation of the batch
        value = torch.zeros_like(value)
        return value if norm.bias is None else value + norm.bias.detach()
    return functional.batch_norm(
        value, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps
    )
