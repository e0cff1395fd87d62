"""Less dropout where pruning has already taken capacity away (Han et al., 2015)."""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd


def corrected_rate(rate: float, density: float) -> float:
    """``D_r = D_o sqrt(C_r / C_o)``, with the connections C that are left and that there were.

    Parameters
    ----------
    rate : float
        Probability of dropping a unit of the dense network.
    density : float
        Share of the connections of its layer that are left.

    Returns
    -------
    rate : float
        Probability of dropping a unit of the pruned network.

    Examples
    --------
    >>> round(corrected_rate(0.5, 0.08), 5)
    0.14142
    """
    return rate * math.sqrt(density)


class DropoutCorrection:
    """Adapts the dropout modules of a network to its masks, and restores them.

    A dropout module belongs to the next layer with prunable weights, in the order of the
    module, whose connections it drops; the last one to the layer before it.

    Parameters
    ----------
    module : torch.nn.Module
        The network.
    """

    def __init__(self, module: nn.Module) -> None:
        self._rates: list[tuple[_DropoutNd, float, str]] = []
        waiting: list[_DropoutNd] = []
        last = ""
        for name, part in module.named_modules():
            if isinstance(part, _DropoutNd):
                waiting.append(part)
            own = [n for n, p in part.named_parameters(name, recurse=False) if p.ndim >= 2]
            if own:
                last = own[0]
                self._rates += [(d, d.p, last) for d in waiting]
                waiting = []
        self._rates += [(d, d.p, last) for d in waiting]

    def adapt(self, masks: Mapping[str, Tensor]) -> None:
        """Set the rates that belong to the given masks, one for each prunable tensor by name."""
        for part, rate, name in self._rates:
            if name in masks:
                part.p = corrected_rate(rate, float(masks[name].mean()))

    def restore(self) -> None:
        """Set the rates back to what they were."""
        for part, rate, _ in self._rates:
            part.p = rate
