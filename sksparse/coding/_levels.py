"""The different numbers of an array that are not zero: its levels, and which entry has which."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sksparse.coding._errors import DamagedFileError

#: Types of arrays in a file, all little-endian.
TYPES: dict[str, np.dtype[Any]] = {
    "f2": np.dtype("<f2"),
    "f4": np.dtype("<f4"),
    "f8": np.dtype("<f8"),
    "i4": np.dtype("<i4"),
    "i8": np.dtype("<i8"),
    "u1": np.dtype("u1"),
    "b1": np.dtype("?"),
}
#: An array with more different numbers has its numbers stored one by one.
MOST_LEVELS = 256
#: Exponents of two of the steps of a grid.
_EXPONENTS = range(-126, 128)


@dataclass(frozen=True)
class Levels:
    """Levels as they are stored.

    Parameters
    ----------
    entry : dict
        For the header: ``{"n": number, "type": type}`` for a table, ``{"n": number, "low": first,
        "exponent": e}`` for a grid, whose levels are ``(low + i) * 2 ** e``.
    table : bytes
        The levels of a table; empty for a grid.
    labels : ndarray of int16
        0 for the entries that are zero, and one more than the number of its level for others.
    """

    entry: dict[str, Any]
    table: bytes
    labels: NDArray[np.int16]


def type_name(dtype: np.dtype[Any]) -> str:
    """The name in a file of a type."""
    known = {wanted: name for name, wanted in TYPES.items()}
    if dtype not in known:
        raise ValueError(f"Arrays of dtype {dtype} cannot be stored; there is {', '.join(TYPES)}.")
    return known[dtype]


def is_zero(array: NDArray[Any]) -> NDArray[np.bool_]:
    """Which entries are zeros without a sign: others would not come back as they were."""
    zero: NDArray[np.bool_] = _bits(array) == 0
    return zero


def find_levels(array: NDArray[Any]) -> Levels | None:
    """The levels of an array, to the bit; None where there are more than 256."""
    bits = _bits(array)
    distinct, place = np.unique(bits, return_inverse=True)
    has_zero = int(len(distinct) > 0 and distinct[0] == 0)
    if len(distinct) - has_zero > MOST_LEVELS:
        return None
    levels = distinct[has_zero:].view(array.dtype)
    order = np.argsort(levels, kind="stable")
    rank = np.zeros(len(distinct), dtype=np.int16)
    rank[np.flatnonzero(distinct != 0)[order]] = np.arange(1, len(levels) + 1)
    levels, labels = levels[order], rank[place].reshape(array.shape)
    table = _table(levels)
    grid = _grid(levels)
    # a grid has no table, but levels that are not in use cost bits of each label
    if grid is not None and grid["n"] <= 2 * len(levels):
        steps = np.rint(np.ldexp(levels.astype(np.float64), -grid["exponent"]))
        of_level = np.zeros(len(levels) + 1, dtype=np.int16)
        of_level[1:] = steps.astype(np.int64) - grid["low"] + 1
        return Levels(grid, b"", of_level[labels])
    name = type_name(table.dtype)
    return Levels({"n": len(levels), "type": name}, table.tobytes(), labels)


def read_levels(entry: dict[str, Any], table: bytes, dtype: np.dtype[Any]) -> NDArray[Any]:
    """A zero and the levels, in the type of the array: what labels point to."""
    n = entry["n"]
    if "exponent" in entry:
        steps = np.arange(entry["low"], entry["low"] + n, dtype=np.float64)
        levels = np.ldexp(steps, entry["exponent"])
        if table:
            raise DamagedFileError("a grid of levels has a table")
    else:
        kind = TYPES[entry["type"]]
        if len(table) != n * kind.itemsize:
            raise DamagedFileError(f"a table of {n} levels has {len(table)} bytes")
        levels = np.frombuffer(table, dtype=kind)
    values = np.zeros(n + 1, dtype=dtype)
    with np.errstate(all="ignore"):
        values[1:] = levels.astype(dtype)
    return values


def check_levels(entry: Any) -> None:
    """Refuse what ``find_levels`` does not write."""
    n = entry.get("n") if type(entry) is dict else None
    if type(n) is not int or not 0 <= n <= MOST_LEVELS:
        raise DamagedFileError("an array has no count of levels from 0 to 256")
    if set(entry) == {"n", "low", "exponent"}:
        low, exponent = entry["low"], entry["exponent"]
        is_grid = type(low) is int and type(exponent) is int
        if not is_grid or abs(low) > 1 << 30 or exponent not in _EXPONENTS:
            raise DamagedFileError("a grid of levels is out of bounds")
    elif set(entry) != {"n", "type"} or entry["type"] not in list(TYPES):
        raise DamagedFileError("levels are neither a table nor a grid")


def _bits(array: NDArray[Any]) -> NDArray[Any]:
    return array.view(np.dtype(f"u{array.dtype.itemsize}"))


def _table(levels: NDArray[Any]) -> NDArray[Any]:
    """Levels in the shortest type of floats that holds them to the bit."""
    if levels.dtype.kind == "f":
        for name in ("f2", "f4"):
            with np.errstate(over="ignore", under="ignore", invalid="ignore"):
                short = levels.astype(TYPES[name])
            if np.array_equal(_bits(short.astype(levels.dtype)), _bits(levels)):
                return short
    return levels


def _grid(levels: NDArray[Any]) -> dict[str, int] | None:
    """Levels as whole numbers of a power of two, where they are few of them."""
    if levels.dtype.kind != "f" or len(levels) == 0 or not np.isfinite(levels).all():
        return None
    values = levels.astype(np.float64)
    if (values == 0).any():
        return None  # a negative zero
    # the lowest bit that is set in any of them
    mantissa, exponent = np.frexp(values)
    whole = np.ldexp(mantissa, 53).astype(np.int64)
    step = int(np.min(exponent - 53 + np.log2(whole & -whole).astype(np.int64)))
    low, high = (math.ldexp(float(end), -step) for end in (values[0], values[-1]))
    if high - low >= MOST_LEVELS or abs(low) > 1 << 30 or step not in _EXPONENTS:
        return None
    return {"n": int(high - low) + 1, "low": int(low), "exponent": step}
