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
    n_falling : float, default=0.0
        Updates in which the density that is asked for falls from one to the target, by the same
        factor in each.
    """

    def __init__(
        self,
        start: float,
        target: float,
        n_updates: int,
        log_range: float = 12.0,
        n_falling: float = 0.0,
    ) -> None:
        self.strength = start
        self._target = target
        self._gain = log_range / max(1, n_updates)
        self._n_falling = n_falling
        self._n_done = 0

    def update(self, density: float) -> float:
        """Record a density and return the strength for the next updates."""
        self._n_done += 1
        is_falling = self._n_done < self._n_falling
        asked = self._target ** (self._n_done / self._n_falling) if is_falling else self._target
        error = math.log(max(density, 1e-12) / asked)
        self.strength *= math.exp(self._gain * min(1.0, max(-1.0, error)))
        return self.strength
