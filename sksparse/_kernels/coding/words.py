"""Codes of several bits, one after another, highest bit first."""

import numpy as np

from sksparse._kernels._compiled import njit


@njit(cache=True)
def write_words(symbols, codes, lengths, data):
    """Write the code of each symbol.

    Parameters
    ----------
    symbols : ndarray of shape (n,)
        Numbers of codes.
    codes, lengths : ndarray of shape (n_codes,)
        The codes, and how many bits each has, 16 at most.
    data : ndarray of bytes
        Zeros, with room for all bits.
    """
    at, waiting, n_waiting = 0, np.int64(0), 0
    for i in range(len(symbols)):
        length = lengths[symbols[i]]
        waiting = (waiting << length) | codes[symbols[i]]
        n_waiting += length
        while n_waiting >= 8:
            n_waiting -= 8
            data[at] = (waiting >> n_waiting) & 255
            at += 1
        waiting &= (1 << n_waiting) - 1
    if n_waiting > 0:
        data[at] = (waiting << (8 - n_waiting)) & 255


@njit(cache=True)
def read_words(data, counts, ordered, symbols):
    """Read canonical codes.

    Parameters
    ----------
    data : ndarray of bytes
        The stream.
    counts : ndarray of shape (n_lengths,)
        How many codes there are of each number of bits, from 0 on.
    ordered : ndarray of shape (n_codes,)
        The symbols of the codes, shortest codes first.
    symbols : ndarray of shape (n,)
        Filled in.

    Returns
    -------
    n_bits : int
        Bits that were read; -1 where the data end too early.
    """
    n_bits, most = 0, 8 * len(data)
    for i in range(len(symbols)):
        code, first, place = 0, 0, 0
        found = False
        for length in range(1, len(counts)):
            if n_bits >= most:
                return -1
            code |= (data[n_bits >> 3] >> (7 - (n_bits & 7))) & 1
            n_bits += 1
            if code - first < counts[length]:
                symbols[i] = ordered[place + code - first]
                found = True
                break
            place += counts[length]
            first = (first + counts[length]) << 1
            code <<= 1
        if not found:
            return -1
    return n_bits
