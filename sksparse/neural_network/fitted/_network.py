"""The module of a fit, and how it predicts for features of either precision."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sksparse._typing import Array
from sksparse.neural_network.fitted._numpy_layers import numpy_layers
from sksparse.neural_network.fitted._size import Size
from sksparse.neural_network.fitted._storage import as_arrays, as_tensors, with_tensors
from sksparse.neural_network.training._data import shared_tensor
from sksparse.neural_network.training._layout import PREDICT_ROWS, USUAL, Layout

#: What computes the outputs for a block of rows.
Runner = Callable[[Array], Array]


class FittedNetwork:
    """A fitted module, and what it is converted to for its predictions.

    What was converted is kept as long as nobody outside can change the module. Once it was handed
    out its weights may change at any time, in ways that leave no trace, so that it is converted
    for each prediction anew.

    Parameters
    ----------
    module : torch.nn.Module
        The module, on the CPU and in evaluation mode.
    is_shared : bool, default=False
        Whether others hold the module already.
    layout : Layout, default=USUAL
        How rows are given to the module on the CPU.
    size : Size
        What the module takes of X, and what it was.
    """

    def __init__(
        self, module: nn.Module, *, is_shared: bool = False, layout: Layout = USUAL, size: Size
    ) -> None:
        self.module = module
        self.layout = layout
        self.size = size
        self._is_shared = is_shared
        self._runners: dict[tuple[Any, ...], Runner] = {}

    def share(self) -> nn.Module:
        """The module, for others to look at and to change."""
        self._is_shared = True
        self._runners.clear()
        return self.module

    def runner(self, dtype: np.dtype[Any], n_dims: int, device: torch.device) -> Runner:
        """A function from rows to outputs.

        Parameters
        ----------
        dtype : numpy.dtype
            Precision of the rows and of the outputs, float32 or float64.
        n_dims : int
            Dimensions of an array of rows.
        device : torch.device
            Where to compute.

        Returns
        -------
        runner : callable
            Takes an array of rows of X, returns one of outputs.
        """
        key = dtype, n_dims, device
        runner = self._runners.get(key)
        if runner is None:
            layout = self.layout if device.type == "cpu" else USUAL
            runner = _make_runner(self.module, dtype, n_dims, device, layout)
            if self.size.columns is not None:
                runner = _on_columns(runner, self.size)
            if not self._is_shared:
                self._runners[key] = runner
        return runner

    def rows_at_once(self, device: torch.device) -> int:
        """Rows for one call of a runner."""
        return self.layout.n_rows if device.type == "cpu" else PREDICT_ROWS

    def __getstate__(self) -> dict[str, Any]:
        return {"module": as_arrays(self.module), "layout": self.layout, "size": self.size}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(  # type: ignore[misc]
            as_tensors(state["module"]), layout=state["layout"], size=state["size"]
        )


def _on_columns(runner: Runner, size: Size) -> Runner:
    return lambda rows: runner(size.pick(rows))


def _make_runner(
    module: nn.Module, dtype: np.dtype[Any], n_dims: int, device: torch.device, layout: Layout
) -> Runner:
    # whoever was handed the module may have trained it further
    module.eval()
    # NumPy's calls take a fraction of the time of torch's, which shows where there is one row
    layers = numpy_layers(module, dtype) if device.type == "cpu" and n_dims == 2 else None
    if layers is not None:
        return layers
    converted = _converted(module, getattr(torch, dtype.name), device)

    def run(rows: Array) -> Array:
        with torch.inference_mode():
            outputs: Array = converted(layout.arrange(shared_tensor(rows).to(device))).cpu().numpy()
        return outputs

    if dtype == np.float32:
        return run
    single = _make_runner(module, np.dtype(np.float32), n_dims, device, layout)

    def run_or_as_trained(rows: Array) -> Array:
        try:
            return run(rows)
        except RuntimeError:
            # it computes with tensors in float32 that are neither parameters nor buffers
            return single(rows.astype(np.float32)).astype(dtype)

    return run_or_as_trained


def _converted(module: nn.Module, dtype: torch.dtype, device: torch.device) -> nn.Module:
    if dtype == torch.float32 and device.type == "cpu":
        return module
    if any(isinstance(part, torch.jit.ScriptModule) for part in module.modules()):
        # their parameters are not in Python
        return copy.deepcopy(module).to(device, dtype)

    def convert(tensor: Tensor) -> Tensor:
        return tensor.detach().to(device, dtype if tensor.is_floating_point() else None)

    made: nn.Module = with_tensors(module, Tensor, convert)
    return made
