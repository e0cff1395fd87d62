"""Matrices of small numbers, most of them zero, as streams of an adaptive arithmetic coder."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sksparse.coding._errors import DamagedFileError

#: Bits of the numbers at most.
MOST_BITS = 8
#: Bytes of one decision at most, and of the end.
_WORST, _END = 13 / 8, 16


def encode_matrix(labels: NDArray[np.int16], bits: int, block: int = 16) -> bytes:
    """A matrix of zeros and of numbers from 1 to ``2 ** bits`` as a stream.

    Parameters
    ----------
    labels : ndarray of shape (n_rows, n_columns)
        The matrix.
    bits : int
        Bits of the numbers, 0 to 8: what is not zero is 1 where there are none.
    block : int, default=16
        Columns that belong together, such as those of one kernel.

    Returns
    -------
    stream : bytes
        Without its length, which the decoder does not need.
    """
    n_used = int(np.count_nonzero(labels))
    data = np.empty(int(_WORST * (labels.size + n_used * bits)) + _END, dtype=np.uint8)
    n = _run(labels.copy(), data, False, bits, block)
    return data[:n].tobytes()


def decode_matrix(stream: bytes, shape: tuple[int, int], bits: int, block: int) -> NDArray[Any]:
    """The reverse of ``encode_matrix``.

    Parameters
    ----------
    stream : bytes
        What it returned.
    shape : tuple of (int, int)
        Rows and columns.
    bits, block : int
        As they were given to it.

    Returns
    -------
    labels : ndarray of shape `shape`
        The matrix, of int16.

    Raises
    ------
    DamagedFileError
        Where the stream does not end where the last entry was decoded.
    """
    labels = np.zeros(shape, dtype=np.int16)
    n_read = _run(labels, np.frombuffer(bytearray(stream), dtype=np.uint8), True, bits, block)
    # the decoder is four bytes ahead, of which the encoder wrote one at most
    if len(stream) not in (n_read - 4, n_read - 3):
        raise DamagedFileError(f"a stream of {len(stream)} bytes should have {n_read - 3}")
    return labels


def _run(
    labels: NDArray[Any], data: NDArray[np.uint8], decoding: bool, bits: int, block: int
) -> int:
    # numba is imported where it is first needed
    from sksparse._kernels.coding.adaptive import Model, code_matrix, model_size, start_weights

    n_rows, n_columns = labels.shape
    size = model_size(n_rows, n_columns, bits, block)
    stretch, squash = logistic_tables()
    model = Model(
        probability=np.full(size, 1 << 21, dtype=np.int64),
        seen=np.zeros(size, dtype=np.int64),
        chosen=np.zeros(8, dtype=np.int64),
        logits=np.zeros(8, dtype=np.int64),
        weights=start_weights(bits),
        stretch=stretch,
        squash=squash,
    )
    work = np.zeros(4, dtype=np.int64), np.zeros(3, dtype=np.int64)
    last = np.zeros(n_columns, dtype=np.int64)
    return int(code_matrix(labels, data, decoding, bits, block, work[0], model, work[1], last))


@cache
def logistic_tables() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Logits of probabilities, and probabilities of logits, as the coder knows them.

    None of the numbers that are rounded is closer to a half than a thousand times what the
    libraries of different machines differ by, so that the tables are the same everywhere.
    """
    p = (np.arange(1 << 16) + 0.5) / (1 << 16)
    logits = np.arange(-3072, 3073) / 256
    stretch = np.rint(256 * np.log(p / (1 - p))).astype(np.int64)
    squash = np.rint((1 << 16) / (1 + np.exp(-logits))).astype(np.int64)
    return stretch, squash
