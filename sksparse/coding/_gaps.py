"""Where the entries of a sparse array stand: how many zeros are before each, in few bits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sksparse.coding._errors import DamagedFileError


def encode_gaps(positions: ArrayLike, width: int) -> NDArray[np.int64]:
    """Increasing positions as codes of the gaps between them.

    A code below ``2 ** width - 1`` is a gap: so many zeros, and then an entry. The code
    ``2 ** width - 1`` is a filler: so many zeros, and no entry. A gap of just ``2 ** width - 1``
    is therefore a filler and a gap of zero.

    Parameters
    ----------
    positions : array-like of shape (n,)
        Positions of the entries, from 0 on.
    width : int
        Bits of a code, 1 to 16.

    Returns
    -------
    codes : ndarray of shape (n_codes,)
        As many as entries and fillers.

    Raises
    ------
    ValueError
        Where the positions do not increase, or `width` is not as said.

    Examples
    --------
    >>> from sksparse.coding import encode_gaps
    >>> encode_gaps([0, 3, 7], width=2)
    array([0, 2, 3, 0])
    """
    places = np.asarray(positions, dtype=np.int64)
    if not 1 <= width <= 16:
        raise ValueError(f"width={width!r} must be 1 to 16 bits.")
    gaps = np.diff(places, prepend=-1) - 1
    if places.ndim != 1 or (gaps < 0).any():
        raise ValueError("positions must be numbers from 0 on, each larger than the one before.")
    filler = (1 << width) - 1
    n_fillers, left = np.divmod(gaps, filler)
    codes = np.full(len(places) + int(n_fillers.sum()), filler, dtype=np.int64)
    codes[np.cumsum(n_fillers + 1) - 1] = left
    return codes


def decode_gaps(codes: NDArray[Any], width: int, size: int) -> NDArray[np.int64]:
    """The reverse of ``encode_gaps``.

    Parameters
    ----------
    codes : ndarray of shape (n_codes,)
        What it returned.
    width : int
        Bits of a code.
    size : int
        The array has so many entries, zeros included.

    Returns
    -------
    positions : ndarray of shape (n,)
        The positions.

    Raises
    ------
    DamagedFileError
        Where a position is outside of the array, or a filler stands last.

    Examples
    --------
    >>> import numpy as np
    >>> from sksparse.coding import decode_gaps
    >>> decode_gaps(np.array([0, 2, 3, 0]), width=2, size=8)
    array([0, 3, 7])
    """
    filler = (1 << width) - 1
    is_entry = codes != filler
    ends = np.cumsum(codes + is_entry)
    if len(codes) and (ends[-1] > size or not is_entry[-1]):
        raise DamagedFileError(f"gaps lead beyond an array of {size} entries")
    positions: NDArray[np.int64] = ends[is_entry] - 1
    return positions
