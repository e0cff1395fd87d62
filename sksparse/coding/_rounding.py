"""Arrays rounded to codebooks: tables of levels for weights, whole steps for vectors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sksparse.coding._kmeans import kmeans_1d

#: Types of codebooks.
CODEBOOK_TYPES: dict[str, np.dtype[Any]] = {"float16": np.dtype("<f2"), "float32": np.dtype("<f4")}
#: Bits of an entry of a vector at most.
_MOST_BITS = 8


@dataclass(frozen=True)
class RoundedArray:
    """An array whose entries that are not zero are levels.

    Parameters
    ----------
    levels : ndarray of shape (n_levels + 1,)
        Zero, and the levels.
    labels : ndarray
        The place in `levels` of each entry; in the shape of the array.
    """

    levels: NDArray[Any]
    labels: NDArray[np.int16]

    def array(self) -> NDArray[Any]:
        """The array."""
        values: NDArray[Any] = self.levels[self.labels]
        return values

    def with_levels(self, levels: NDArray[Any], codebook: str) -> RoundedArray:
        """The same with other levels, as a codebook of that type holds them."""
        return replace(self, levels=_stored(levels, self.levels.dtype, codebook))


def round_to_levels(
    array: NDArray[Any], bits: int, codebook: str, init: str = "optimal", random_state: Any = None
) -> RoundedArray:
    """An array whose entries are rounded to ``2 ** bits`` levels by k-means; zeros stay zero.

    Parameters
    ----------
    array : ndarray
        Finite floats.
    bits : int
        Bits of a level.
    codebook : {"float16", "float32"}
        The type of the levels.
    init, random_state
        As in :func:`kmeans_1d`.

    Returns
    -------
    rounded : RoundedArray
        Levels and labels.
    """
    kept = array != 0
    labels = np.zeros(array.shape, dtype=np.int16)
    if not kept.any():
        return RoundedArray(np.zeros(1, dtype=array.dtype), labels)
    levels, numbers = kmeans_1d(array[kept], 1 << bits, init=init, random_state=random_state)
    labels[kept] = numbers + 1
    return RoundedArray(_stored(np.append(0.0, levels), array.dtype, codebook), labels)


def round_to_steps(array: NDArray[Any], bits: int) -> NDArray[Any]:
    """A vector whose entries are whole numbers of steps, a power of two, in so many bits.

    Parameters
    ----------
    array : ndarray
        Finite floats.
    bits : int
        Bits of an entry with its sign; 8 where there are more.

    Returns
    -------
    rounded : ndarray
        In the shape and type of the array; no entry moves by more than half a step.
    """
    largest = float(np.abs(array).max(initial=0.0))
    if largest == 0:
        return array
    most = (1 << (min(bits, _MOST_BITS) - 1)) - 1
    exponent = int(np.ceil(np.log2(largest / most)))
    steps = np.rint(np.ldexp(array.astype(np.float64), -exponent))
    rounded: NDArray[Any] = np.ldexp(steps, exponent).astype(array.dtype)
    return rounded


def _stored(levels: NDArray[Any], dtype: np.dtype[Any], codebook: str) -> NDArray[Any]:
    """Levels as a codebook holds them; in single precision where half would lose one."""
    with np.errstate(over="ignore", under="ignore"):
        short = levels.astype(CODEBOOK_TYPES[codebook])
    is_lost = ~np.isfinite(short) | ((short == 0) & (levels != 0))
    return (levels if is_lost.any() else short).astype(dtype)
