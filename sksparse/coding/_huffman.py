"""Huffman codes: lengths from frequencies, canonical codes from lengths, streams of codes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sksparse.coding._errors import DamagedFileError

#: Bits of a code at most.
MOST_BITS = 15


def huffman_lengths(counts: ArrayLike, most: int = MOST_BITS) -> NDArray[np.int64]:
    """The lengths of the codes of a shortest prefix code.

    Parameters
    ----------
    counts : array-like of shape (n_symbols,)
        How often each symbol occurs.
    most : int, default=15
        Bits of a code at most.

    Returns
    -------
    lengths : ndarray of shape (n_symbols,)
        Bits of the code of each symbol. Symbols that do not occur have none, and so has a symbol
        that occurs alone.

    Raises
    ------
    ValueError
        Where there are more symbols than codes of so many bits.

    Notes
    -----
    L. L. Larmore and D. S. Hirschberg, "A fast algorithm for optimal length-limited Huffman codes",
    J. ACM, 1990: in each of `most` rounds the cheapest items are packed in pairs, and a symbol has
    as many bits as it has items among the cheapest ``2 n - 2`` of the last round.

    Examples
    --------
    >>> from sksparse.coding import huffman_lengths
    >>> huffman_lengths([50, 0, 20, 15, 15])
    array([1, 0, 2, 3, 3])
    """
    frequency = np.asarray(counts, dtype=np.int64)
    used = np.flatnonzero(frequency)
    lengths = np.zeros(len(frequency), dtype=np.int64)
    if len(used) > 1 << most:
        raise ValueError(f"{len(used)} symbols need codes of more than most={most} bits.")
    if len(used) < 2:
        return lengths
    single: list[tuple[int, tuple[int, ...]]]
    single = sorted((int(frequency[s]), (int(s),)) for s in used)
    packed = single
    for _ in range(most - 1):
        pairs = zip(packed[0::2], packed[1::2], strict=False)
        packed = sorted(single + [(a[0] + b[0], a[1] + b[1]) for a, b in pairs])
    for _, symbols in packed[: 2 * len(used) - 2]:
        # a symbol may be in an item several times
        np.add.at(lengths, list(symbols), 1)
    return lengths


def canonical_codes(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """The codes that follow from their lengths: shorter ones and lower symbols first."""
    codes = np.zeros(len(lengths), dtype=np.int64)
    code, before = 0, 0
    for symbol in _in_order(lengths):
        code <<= int(lengths[symbol]) - before
        codes[symbol], before = code, int(lengths[symbol])
        code += 1
    return codes


def fixed_lengths(n_symbols: int) -> NDArray[np.int64]:
    """The lengths of codes that all have as few bits as tell so many symbols apart."""
    return np.full(n_symbols, max(n_symbols - 1, 0).bit_length(), dtype=np.int64)


def write_codes(symbols: NDArray[Any], lengths: NDArray[np.int64]) -> bytes:
    """Symbols as a stream of their canonical codes; the last byte is filled up with zeros."""
    n_bits = int(lengths[symbols].sum())
    if n_bits == 0:
        return b""
    from sksparse._kernels.coding.words import write_words

    data = np.zeros((n_bits + 7) // 8, dtype=np.uint8)
    write_words(symbols.astype(np.int64), canonical_codes(lengths), lengths, data)
    return data.tobytes()


def read_codes(stream: bytes, lengths: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """The reverse of ``write_codes``.

    Parameters
    ----------
    stream : bytes
        What it returned.
    lengths : ndarray of shape (n_symbols,)
        As they were given to it; all zero for one symbol, which is 0 then.
    n : int
        Number of symbols.

    Returns
    -------
    symbols : ndarray of shape (n,)
        The symbols.

    Raises
    ------
    DamagedFileError
        Where there can be no such code, or the stream does not end with the last symbol.
    """
    symbols = np.zeros(n, dtype=np.int64)
    n_bits = 0
    if lengths.any() and n:
        from sksparse._kernels.coding.words import read_words

        counts = np.bincount(lengths)
        counts[0] = 0
        if (counts * 2.0 ** -np.arange(len(counts))).sum() > 1:
            raise DamagedFileError("the lengths of a code are those of no code")
        data = np.frombuffer(bytearray(stream), dtype=np.uint8)
        n_bits = int(read_words(data, counts, _in_order(lengths), symbols))
    if n_bits < 0 or len(stream) != (n_bits + 7) // 8:
        raise DamagedFileError(f"a stream of {len(stream)} bytes does not hold {n} codes")
    return symbols


def _in_order(lengths: NDArray[np.int64]) -> NDArray[np.intp]:
    used = np.flatnonzero(lengths)
    return used[np.argsort(lengths[used], kind="stable")]
