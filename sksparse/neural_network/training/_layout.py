"""How rows are given to a module: how many at once, and in which order in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

#: Rows that pass through a network at once where nothing is known of it, and at most.
PREDICT_ROWS = 4096
#: Bytes of the largest tensor between two layers. Measured on one core with 2 MiB of L2 and 32 MiB
#: of L3 cache: LeNet-5 in one batch of 2000 rows takes 1.7 times as long as in chunks of 8 MiB.
_LARGEST_TENSOR = 2**23
#: Differences by rounding between two orders in memory, relative to the largest output.
_ROUNDING = 1e-4


@dataclass(frozen=True)
class Layout:
    """What suits a module.

    Parameters
    ----------
    n_rows : int, default=4096
        Rows that are evaluated at once, so that what stands between the layers fits the cache.
    channels_last : bool, default=False
        Whether images are stored with the channels of a pixel side by side, in which torch's
        convolutions take two thirds of the time on a CPU.
    """

    n_rows: int = PREDICT_ROWS
    channels_last: bool = False

    def arrange(self, X: Tensor) -> Tensor:
        """The same rows in this order in memory."""
        if not self.channels_last or X.ndim != 4:
            return X
        # with one channel both orders are the same to torch, which then takes the slower one
        arranged = torch.empty_like(X, memory_format=torch.channels_last)
        return arranged.copy_(X)


#: Of a module of which nothing is known.
USUAL = Layout()


class _LargestResult(TorchFunctionMode):
    """Notes how much memory a result takes for each row."""

    def __init__(self, n_rows: int) -> None:
        super().__init__()
        self._n_rows = n_rows
        self.bytes_per_row = 1

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        # rows stand first, or second in sequences; other tensors are made of parameters
        if isinstance(result, Tensor) and self._n_rows in result.shape[:2]:
            size = result.numel() * result.element_size() // self._n_rows
            self.bytes_per_row = max(self.bytes_per_row, size)
        return result


def layout_of(module: nn.Module, X: Tensor) -> Layout:
    """What suits a module, found from a few rows.

    Parameters
    ----------
    module : torch.nn.Module
        The network, in evaluation mode.
    X : torch.Tensor of shape (n_rows, ...)
        A few rows of features.

    Returns
    -------
    layout : Layout
        The same for the same module and shape of rows on any machine: no times are taken.
    """
    with torch.no_grad():
        with _LargestResult(len(X)) as largest:
            expected = module(X)
        n_rows = max(1, min(PREDICT_ROWS, _LARGEST_TENSOR // largest.bytes_per_row))
        layout = Layout(n_rows, channels_last=True)
        images = X.ndim == 4 and X.device.type == "cpu"
        if images and any(isinstance(layer, nn.Conv2d) for layer in module.modules()):
            try:
                output = module(layout.arrange(X))
            except RuntimeError:
                # its code asks for the usual order, as `view` does
                return Layout(n_rows)
            scale = float(expected.abs().max())
            if torch.allclose(output, expected, rtol=0.0, atol=_ROUNDING * scale):
                return layout
    return Layout(n_rows)
