"""How much of a dense network is to be left."""

from __future__ import annotations

import math
from collections.abc import Container
from dataclasses import dataclass
from typing import Literal

#: What a target counts.
Measure = Literal["weights", "flops", "units"]


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

    measure: Measure
    left: float

    @property
    def option(self) -> str:
        """How the user asked for it, for messages."""
        if self.measure == "weights":
            return f"target_sparsity={1 - self.left:g}"
        return f"target_{self.measure}={self.left:g}"

    def remedy(self, least: float) -> str:
        """What to ask for instead where no less than a share can be left, for messages."""
        if self.measure == "weights":
            return f"Ask for target_sparsity={math.floor(1e3 * (1 - least)) / 1e3:g} at most."
        return f"Ask for target_{self.measure}={math.ceil(1e3 * least) / 1e3:g} at least."

    def require_measure(self, measures: Container[str]) -> None:
        """Refuse a target that counts what a method does not remove.

        Parameters
        ----------
        measures : container of str
            What the method can be asked for.

        Raises
        ------
        ValueError
            It says what to do instead.
        """
        if self.measure in measures:
            return
        also = "target_flops or " if "flops" in measures else ""
        raise ValueError(
            f"{self.option} counts {self.measure}, which are not what this sparsifier removes with "
            f"these options; give {also}target_sparsity, or remove whole units: "
            "granularity='unit', where a sparsifier has it."
        )
