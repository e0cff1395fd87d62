"""Gates of units that are drawn anew for every row of a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from sksparse.sparsifiers.parameters._flat_parameters import FlatParameters, UnitGates
from sksparse.sparsifiers.structure._weight_graph import LAYERS


class LocalGates:
    """Hooks that multiply what enters (or leaves) each layer by the gates of its units.

    Parameters
    ----------
    module : torch.nn.Module
        The network, whose prunable tensors belong to linear and convolution layers.
    parameters : FlatParameters
        Its parameters.
    units : UnitGates
        Its units.
    gate : callable
        Called with the slice of the units, the number of rows and ``training``; returns
        gates of shape (n_rows, n_units).
    granularity : {"input", "output"}
        Which units have gates.
    """

    def __init__(
        self,
        module: nn.Module,
        parameters: FlatParameters,
        units: UnitGates,
        gate: Callable[..., Tensor],
        granularity: str,
    ) -> None:
        self._gate = gate
        self._handles: list[Any] = []
        start = 0
        for name, count in zip(parameters.tensors, units.counts, strict=True):
            layer = module.get_submodule(name.rpartition(".")[0])
            if not isinstance(layer, LAYERS) or getattr(layer, "groups", 1) > 1:
                raise ValueError(
                    f"gate_samples='local' cannot gate {name!r} of a {type(layer).__name__}: it "
                    "works on linear layers and ungrouped convolutions; use gate_samples='shared'."
                )
            part = slice(start, start + count)
            start += count
            if granularity == "input":
                self._handles.append(layer.register_forward_pre_hook(self._gate_input(part)))
            else:
                self._handles.append(layer.register_forward_hook(self._gate_output(part)))

    def remove(self) -> None:
        """Leave the layers as they were."""
        for handle in self._handles:
            handle.remove()

    def _gate_input(self, part: slice) -> Callable[..., Any]:
        def hook(layer: nn.Module, args: tuple[Tensor]) -> tuple[Tensor]:
            return (args[0] * self._shaped(part, args[0], layer),)

        return hook

    def _gate_output(self, part: slice) -> Callable[..., Any]:
        def hook(layer: nn.Module, _: Any, output: Tensor) -> Tensor:
            gates = self._shaped(part, output, layer)
            bias: Any = layer.bias
            if bias is None:
                return output * gates
            bias = bias.view(-1, *[1] * (output.ndim - 2 if layer_axis(layer) == 1 else 0))
            return (output - bias) * gates + bias

        return hook

    def _shaped(self, part: slice, values: Tensor, layer: nn.Module) -> Tensor:
        gates = self._gate(part, len(values), training=layer.training)
        shape = [len(values), *[1] * (values.ndim - 1)]
        shape[layer_axis(layer)] = gates.shape[1]
        return gates.view(shape)


def layer_axis(layer: nn.Module) -> int:
    """The axis of the units in what enters and leaves a layer."""
    return -1 if isinstance(layer, nn.Linear) else 1
