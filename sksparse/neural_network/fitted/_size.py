"""What a fitted network takes of X, and how large it was before units were taken out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sksparse._typing import Indices
from sksparse.compression import CompactResult, compact
from sksparse.module_graph import LayerCost, ModuleGraph
from sksparse.sparsifiers import prunable_tensors


@dataclass(frozen=True)
class DenseSize:
    """A network before units were taken out.

    Parameters
    ----------
    shapes : dict of str to tuple of int
        The shapes of all parameters.
    weights : dict of str to int
        Number of weights in each prunable tensor.
    units : dict of str to int
        Number of units in each hidden layer.
    writers : dict of str to list of str
        For each hidden layer all layers that write some of its units, which go by the name of
        another one where the first is removed.
    multiply_adds : float
        Multiplications by weights for one row.
    costs : tuple of LayerCost
        Units, parameters and FLOPs of each layer.
    """

    shapes: dict[str, tuple[int, ...]]
    weights: dict[str, int]
    units: dict[str, int]
    writers: dict[str, list[str]]
    multiply_adds: float
    costs: tuple[LayerCost, ...]

    @classmethod
    def of(cls, module: nn.Module, result: CompactResult, example: Tensor) -> DenseSize:
        """The size of a module, of which the result of ``compact`` on an example is known."""
        graph = ModuleGraph(module, example)
        return cls(
            costs=graph.costs(),
            shapes={name: tuple(p.shape) for name, p in module.named_parameters()},
            weights={name: w.numel() for name, w in prunable_tensors(module).items()},
            units={name: dense for name, (_, dense) in result.widths.items()},
            writers={
                name: [
                    slot.layer
                    for slot in graph.slots
                    if slot.role == "writes" and np.isin(layer.units, slot.units).any()
                ]
                for name, layer in zip(result.widths, graph.layers, strict=True)
            },
            multiply_adds=result.multiply_adds[1],
        )


@dataclass(frozen=True)
class Size:
    """What a network takes of X, and what it was before units were taken out.

    Parameters
    ----------
    row_shape : tuple of int
        The shape of one row of X.
    columns : ndarray or None, default=None
        The columns of X that the network takes; None for all.
    dense : DenseSize or None, default=None
        Before units were taken out; None where none were.
    """

    row_shape: tuple[int, ...]
    columns: Indices | None = None
    dense: DenseSize | None = None

    def pick(self, X: Any) -> Any:
        """The columns of X that the network takes."""
        return X if self.columns is None else X[:, self.columns]

    def spread(self, values: np.ndarray) -> np.ndarray:
        """One value for each column of X, from those of the columns that the network takes."""
        if self.columns is None:
            return values
        spread = np.zeros(self.row_shape[0], dtype=values.dtype)
        spread[self.columns] = values
        return spread

    def example(self, device: Any = None) -> Tensor:
        """Rows of zeros as the network takes them."""
        return self.pick(torch.zeros(2, *self.row_shape, device=device))

    def shapes(self, module: nn.Module) -> dict[str, tuple[int, ...]]:
        """The shapes of the parameters of the network that is asked for."""
        if self.dense is not None:
            return self.dense.shapes
        return {name: tuple(p.shape) for name, p in module.named_parameters()}

    def weights(self, module: nn.Module) -> dict[str, int]:
        """The number of weights in each prunable tensor of the network that is asked for."""
        if self.dense is not None:
            return self.dense.weights
        return {name: w.numel() for name, w in prunable_tensors(module).items()}

    def left(self, module: nn.Module) -> dict[str, float]:
        """The share of the weights, FLOPs and units of the dense network that a module has."""
        if self.dense is None:
            return dict.fromkeys(("weights", "flops", "units"), 1.0)
        now = DenseSize.of(module, self.measure(module), self.example())
        return {
            "weights": sum(now.weights.values()) / sum(self.dense.weights.values()),
            "flops": now.multiply_adds / self.dense.multiply_adds,
            "units": sum(now.units.values()) / max(1, sum(self.dense.units.values())),
        }

    def measured(self, module: nn.Module) -> Size:
        """The same with the sizes of a module that is about to be compacted.

        Raises
        ------
        ValueError
            Where it cannot be followed which units of the layers belong together.
        """
        if self.dense is not None:
            return self
        device = next(module.parameters()).device
        result = compact(module, self.example(device), inputs=False)
        return Size(
            self.row_shape, self.columns, DenseSize.of(module, result, self.example(device))
        )

    def measure(self, module: nn.Module) -> CompactResult:
        """What would be left of a module without its dead units."""
        return compact(module, self.example())

    def dense_of(self, module: nn.Module, result: CompactResult) -> DenseSize:
        """The size of the dense network, where the result of ``measure`` is known."""
        if self.dense is not None:
            return self.dense
        return DenseSize.of(module, result, self.example())

    def n_units(self, module: nn.Module) -> dict[str, int]:
        """Units of each hidden layer of the dense network that are not dead."""
        result = self.measure(module)
        dense, left = self.dense_of(module, result), result.widths
        return {
            name: next((left[other][0] for other in (name, *others) if other in left), 0)
            for name, others in dense.writers.items()
        }

    def layer_sizes(self, module: nn.Module) -> dict[str, dict[str, tuple[float, float]]]:
        """Units, parameters and FLOPs of each layer without dead units, and in the dense network.

        Where a layer became several, as recurrent layers do, their sums are those of the layer.
        """
        result = self.measure(module)
        example = self.example()
        if len(result.kept_inputs) < result.n_inputs:
            example = example[:, torch.from_numpy(result.kept_inputs)]
        small = ModuleGraph(result.module, example).costs()
        dense = {cost.name: cost for cost in self.dense_of(module, result).costs}
        sizes = {}
        for name, cost in dense.items():
            parts = [c for c in small if c.name == name or c.name.startswith(f"{name}.")]
            sizes[name] = {
                measure: (sum(getattr(part, measure) for part in parts), getattr(cost, measure))
                for measure in ("units", "parameters", "flops")
            }
        return sizes

    def compacted(self, module: nn.Module) -> tuple[nn.Module, Size]:
        """The module without its dead units, and its size.

        Parameters
        ----------
        module : torch.nn.Module
            On the CPU, in evaluation mode; left as it is.
        """
        result = self.measure(module)
        dense = self.dense_of(module, result)
        columns = self.columns
        if len(result.kept_inputs) < result.n_inputs:
            known = np.arange(self.row_shape[0]) if columns is None else columns
            columns = known[result.kept_inputs]
        return result.module.eval(), Size(self.row_shape, columns, dense)
