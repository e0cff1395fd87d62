"""How much of a dense network is to be left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Target:
    """How much of the dense network is to be left.

    Parameters
    ----------
    measure : {"weights", "flops", "units"}
        What is counted: prunable weights, multiplications for one row, or units between the
        layers.
    left : float
        The share that is left at most.
    """

    measure: Literal["weights", "flops", "units"]
    left: float

    @property
    def option(self) -> str:
        """How the user asked for it, for messages."""
        if self.measure == "weights":
            return f"target_sparsity={1 - self.left:g}"
        return f"target_{self.measure}={self.left:g}"
