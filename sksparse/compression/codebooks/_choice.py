"""How many bits each layer needs for outputs that hardly change."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from sksparse._typing import Array

#: Bits that are tried for a layer.
TRIED = range(1, 9)

#: Takes bits by layer, returns the change of the outputs as a share of their deviation.
Noise = Callable[[Mapping[str, int]], float]


def choose_bits(sizes: Mapping[str, int], noise: Noise, tolerance: float) -> dict[str, int]:
    """The fewest bits with which the outputs change by no more than a tolerance.

    Squares of the changes by several layers are taken to add up. From eight bits each, the layer
    that saves most for what it adds loses a bit, as long as the sum is within the tolerance; then
    layers gain bits again until the change by all of them together is.

    Parameters
    ----------
    sizes : mapping of str to int
        Weights of each layer that are not zero.
    noise : callable
        Takes bits of some layers, the others being as they are, and returns the change.
    tolerance : float
        What it may be at most.

    Returns
    -------
    bits : dict of str to int
        For each layer; eight for all where that is not enough either.
    """
    alone = {name: [noise({name: bits}) ** 2 for bits in TRIED] for name in sizes}
    chosen = dict.fromkeys(sizes, TRIED[-1])

    def added(name: str) -> float:
        """What a bit less adds, for a weight that is spared it."""
        at = chosen[name] - TRIED[0]
        return (alone[name][at - 1] - alone[name][at]) / max(sizes[name], 1)

    while True:
        total = sum(alone[name][chosen[name] - TRIED[0]] for name in sizes)
        room = [
            name
            for name in sizes
            if chosen[name] > TRIED[0] and total + added(name) * max(sizes[name], 1) <= tolerance**2
        ]
        if not room:
            break
        chosen[min(room, key=added)] -= 1
    while noise(chosen) > tolerance:
        short = [name for name in sizes if chosen[name] < TRIED[-1]]
        if not short:
            break
        gains = {
            name: (alone[name][chosen[name] - TRIED[0]] - alone[name][chosen[name] + 1 - TRIED[0]])
            / max(sizes[name], 1)
            for name in short
        }
        chosen[max(gains, key=lambda name: gains[name])] += 1
    return chosen


def change_of(outputs: Array, reference: Array) -> float:
    """The root mean square of a change, as a share of the deviation over rows.

    Parameters
    ----------
    outputs, reference : ndarray of shape (n_rows, n_outputs)
        With the change and without.

    Returns
    -------
    share : float
        Zero where nothing changed.
    """
    changed = float(np.square(outputs - reference, dtype=np.float64).mean())
    around: NDArray[np.float64] = reference - reference.mean(axis=0, dtype=np.float64)
    return float(np.sqrt(changed / max(float(np.square(around).mean()), np.finfo(float).tiny)))
