"""A strength that is adapted until the network has the density that was asked for."""

from __future__ import annotations

import math


class StrengthControl:
    """Raise a strength while the density is above its target, lower it while it is below.

    Each update multiplies the strength by ``exp(gain * log(density / target))``, with the
    logarithm clipped to one either way: integral control of the logarithms.

    Parameters
    ----------
    start : float
        The strength to begin with, positive.
    target : float
        The density to reach, positive.
    n_updates : int
        Updates that will be made.
    log_range : float, default=12.0
        By how much the logarithm of the strength can change in all updates.
    """

    def __init__(
        self, start: float, target: float, n_updates: int, log_range: float = 12.0
    ) -> None:
        self.strength = start
        self._target = target
        self._gain = log_range / max(1, n_updates)

    def update(self, density: float) -> float:
        """Record a density and return the strength for the next updates."""
        error = math.log(max(density, 1e-12) / self._target)
        self.strength *= math.exp(self._gain * min(1.0, max(-1.0, error)))
        return self.strength
