"""Arrays as entries of a header and streams of bytes, without loss of a bit."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from sksparse.coding._adaptive import decode_matrix, encode_matrix
from sksparse.coding._errors import DamagedFileError
from sksparse.coding._gaps import decode_gaps, encode_gaps
from sksparse.coding._huffman import fixed_lengths, huffman_lengths, read_codes, write_codes
from sksparse.coding._levels import (
    TYPES,
    Levels,
    check_levels,
    find_levels,
    is_zero,
    read_levels,
    type_name,
)

#: How levels and positions can be coded.
CODINGS = ("none", "huffman", "adaptive")
#: Bits of the codes of gaps that are tried.
_WIDTHS = range(1, 9)
#: Dimensions of an array at most, and entries on an axis.
_MOST_AXES, _LONGEST = 8, 1 << 40


@dataclass(frozen=True)
class EncodedArray:
    """An array as it stands in a file.

    Parameters
    ----------
    entry : dict
        What the header says of it.
    streams : list of bytes
        Its bytes, in the order in which they stand in the file.
    """

    entry: dict[str, Any]
    streams: list[bytes] = field(default_factory=list)

    @property
    def nbytes(self) -> int:
        """Bytes of the streams."""
        return sum(map(len, self.streams))


def encode_array(array: NDArray[Any], coding: str = "auto", *, share: bool = True) -> EncodedArray:
    """An array as an entry of a header and streams.

    Parameters
    ----------
    array : ndarray
        Of floats, integers, or booleans.
    coding : {"auto", "adaptive", "huffman", "none"}, default="auto"
        How positions and levels are coded; "auto" takes what is shortest.
    share : bool, default=True
        Whether numbers that occur several times are stored once. Otherwise each is stored, and
        only where they stand is coded.

    Returns
    -------
    encoded : EncodedArray
        The shorter of this and of the array as it is.
    """
    array = np.ascontiguousarray(array).reshape(array.shape)
    array = array.astype(array.dtype.newbyteorder("<"), copy=False)
    common = {"shape": list(array.shape), "type": type_name(array.dtype)}
    plain = EncodedArray({**common, "coding": "raw"}, [array.tobytes()])
    if array.size == 0:
        return plain
    levels = find_levels(array) if share else None
    made = [plain]
    for name in CODINGS if coding == "auto" else (coding,):
        entry, streams = _encode_values(array, name) if levels is None else _ENCODERS[name](levels)
        made.append(EncodedArray({**common, "coding": name, **entry}, streams))
    # an entry costs about so much in the header
    return min(made, key=lambda one: one.nbytes + 8 * (one is not plain))


def decode_array(entry: dict[str, Any], streams: list[bytes]) -> NDArray[Any]:
    """The reverse of ``encode_array``, for an entry that ``check_entry`` accepted.

    Raises
    ------
    DamagedFileError
        Where streams do not fit the entry.
    """
    dtype, shape = TYPES[entry["type"]], tuple(entry["shape"])
    if entry["coding"] == "raw":
        if len(streams[0]) != dtype.itemsize * math.prod(shape):
            raise DamagedFileError(f"an array of shape {shape} has {len(streams[0])} bytes")
        array = np.frombuffer(bytearray(streams[0]), dtype=dtype)
    elif "levels" not in entry:
        array = _decode_values(entry, streams, dtype, math.prod(shape))
    else:
        labels = _DECODERS[entry["coding"]](entry, streams[1:])
        if labels.size and int(labels.max()) > entry["levels"]["n"]:
            raise DamagedFileError("an entry has a level that there is not")
        array = read_levels(entry["levels"], streams[0], dtype)[labels]
    if dtype.kind == "b" and array.size and array.view(np.uint8).max() > 1:
        raise DamagedFileError("an array of booleans holds other numbers")
    return array.reshape(shape)


def check_entry(entry: Any) -> int:
    """Refuse an entry that ``encode_array`` does not write.

    Parameters
    ----------
    entry : object
        What was read from JSON.

    Returns
    -------
    n_bytes : int
        The most memory that its array takes while it is decoded.

    Raises
    ------
    DamagedFileError
        Where anything of it is not as it is written.
    """
    if type(entry) is not dict or entry.get("coding") not in list(_KEYS):
        raise DamagedFileError("an array is coded in an unknown way")
    coding: str = entry["coding"]
    shape, sizes = entry.get("shape"), entry.get("sizes")
    needed, n_streams = _KEYS[coding]["levels" in entry]
    if set(entry) != {"shape", "type", "coding", "sizes", *needed}:
        raise DamagedFileError(f"an array coded as {coding!r} has other entries than it must have")
    if type(entry["type"]) is not str or entry["type"] not in TYPES:
        raise DamagedFileError("an array has an unknown type")
    if not _are_counts(shape, _MOST_AXES) or not _are_counts(sizes, n_streams):
        raise DamagedFileError("the shape or the sizes of an array are no counts")
    if len(sizes) != n_streams:
        raise DamagedFileError(f"an array coded as {coding!r} has {len(sizes)} streams")
    if "levels" in entry:
        check_levels(entry["levels"])
    size = math.prod(shape)
    if size == 0 and coding != "raw":
        raise DamagedFileError("an array without entries is coded")
    if "gap" in entry:
        _check_gaps(entry["gap"], size)
    return _memory(entry, size)


def _memory(entry: dict[str, Any], size: int) -> int:
    """Bytes of the array, its labels, the codes of its gaps, and what predicts its rows."""
    n_bytes = size * TYPES[entry["type"]].itemsize
    if entry["coding"] == "raw":
        return n_bytes
    if entry["coding"] == "adaptive":
        return n_bytes + 10 * size + 40 * sum(_matrix_shape(tuple(entry["shape"])))
    return n_bytes + 2 * size + 40 * (entry["gap"][1] or size)


def _are_counts(values: Any, most: int) -> TypeGuard[list[int]]:
    is_list = type(values) is list and len(values) <= most
    return is_list and all(type(n) is int and 0 <= n <= _LONGEST for n in values)


def _check_gaps(gap: Any, size: int) -> None:
    """A width of 0 says that nothing is zero; each code stands for one entry at least."""
    is_pair = _are_counts(gap, 2) and len(gap) == 2
    if not is_pair or gap[0] not in (0, *_WIDTHS) or gap[1] > size:
        raise DamagedFileError("the gaps of an array are out of bounds")


def _matrix_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    rows = shape[0] if len(shape) > 1 else 1
    return rows, math.prod(shape) // rows if rows else 0


def _block(shape: tuple[int, ...]) -> int:
    """Columns that belong together: a kernel of a convolution, or a stretch of a row."""
    kernel = math.prod(shape[2:])
    return kernel if kernel > 1 else 16


def _bits_of(n_levels: int) -> int:
    return max(n_levels - 1, 0).bit_length()


def _encode_adaptive(levels: Levels) -> tuple[dict[str, Any], list[bytes]]:
    shape = levels.labels.shape
    matrix = levels.labels.reshape(_matrix_shape(shape))
    stream = encode_matrix(matrix, _bits_of(levels.entry["n"]), _block(shape))
    return {"levels": levels.entry}, [levels.table, stream]


def _decode_adaptive(entry: dict[str, Any], streams: list[bytes]) -> NDArray[Any]:
    shape = tuple(entry["shape"])
    bits = _bits_of(entry["levels"]["n"])
    return decode_matrix(streams[0], _matrix_shape(shape), bits, _block(shape)).ravel()


def _encode_fixed(levels: Levels) -> tuple[dict[str, Any], list[bytes]]:
    """Gaps and labels in as many bits each."""
    labels = levels.labels.ravel()
    gap, codes = _shortest_gaps(labels == 0, lambda codes, width: len(codes) * width)
    coded = write_codes(codes, fixed_lengths(1 << gap[0]))
    numbers = write_codes(labels[labels > 0] - 1, fixed_lengths(levels.entry["n"]))
    return {"levels": levels.entry, "gap": gap}, [levels.table, coded, numbers]


def _decode_fixed(entry: dict[str, Any], streams: list[bytes]) -> NDArray[Any]:
    size = math.prod(entry["shape"])
    width, n_codes = entry["gap"]
    places = _read_gaps(streams[0], fixed_lengths(1 << width), width, n_codes, size)
    labels = np.zeros(size, dtype=np.int16)
    labels[places] = read_codes(streams[1], fixed_lengths(entry["levels"]["n"]), len(places)) + 1
    return labels


def _encode_huffman(levels: Levels) -> tuple[dict[str, Any], list[bytes]]:
    """Gaps and labels in Huffman codes; the lengths of the codes have four bits each."""
    labels = levels.labels.ravel()
    gap, codes = _shortest_gaps(labels == 0, _huffman_bits)
    streams = [levels.table]
    numbers = labels[labels > 0] - 1
    for symbols, n in ((codes, 1 << gap[0]), (numbers, levels.entry["n"])):
        lengths = huffman_lengths(np.bincount(symbols, minlength=n))
        streams += [_pack_lengths(lengths, symbols), write_codes(symbols, lengths)]
    return {"levels": levels.entry, "gap": gap}, streams


def _decode_huffman(entry: dict[str, Any], streams: list[bytes]) -> NDArray[Any]:
    size, n_levels = math.prod(entry["shape"]), entry["levels"]["n"]
    width, n_codes = entry["gap"]
    lengths, alone = _unpack_lengths(streams[0], 1 << width)
    places = _read_gaps(streams[1], lengths, width, n_codes, size, alone)
    lengths, alone = _unpack_lengths(streams[2], n_levels)
    labels = np.zeros(size, dtype=np.int16)
    labels[places] = read_codes(streams[3], lengths, len(places)) + alone + 1
    return labels


def _encode_values(array: NDArray[Any], coding: str) -> tuple[dict[str, Any], list[bytes]]:
    """Numbers as they are, and where they stand."""
    mask = ~is_zero(array)
    values = array[mask].tobytes()
    if coding == "adaptive":
        matrix = mask.astype(np.int16).reshape(_matrix_shape(array.shape))
        return {}, [encode_matrix(matrix, 0, _block(array.shape)), values]
    if coding == "none":
        gap, codes = _shortest_gaps(~mask.ravel(), lambda codes, width: len(codes) * width)
        return {"gap": gap}, [b"", write_codes(codes, fixed_lengths(1 << gap[0])), values]
    gap, codes = _shortest_gaps(~mask.ravel(), _huffman_bits)
    lengths = huffman_lengths(np.bincount(codes, minlength=1 << gap[0]))
    return {"gap": gap}, [_pack_lengths(lengths, codes), write_codes(codes, lengths), values]


def _decode_values(
    entry: dict[str, Any], streams: list[bytes], dtype: np.dtype[Any], size: int
) -> NDArray[Any]:
    values = streams[-1]
    if entry["coding"] == "adaptive":
        shape = tuple(entry["shape"])
        matrix = decode_matrix(streams[0], _matrix_shape(shape), 0, _block(shape))
        places = np.flatnonzero(matrix)
    else:
        width, n_codes = entry["gap"]
        lengths, alone = fixed_lengths(1 << width), 0
        if entry["coding"] == "huffman":
            lengths, alone = _unpack_lengths(streams[0], 1 << width)
        elif streams[0]:
            raise DamagedFileError("codes of one length have a table of lengths")
        places = _read_gaps(streams[1], lengths, width, n_codes, size, alone)
    if len(values) != len(places) * dtype.itemsize:
        raise DamagedFileError(f"{len(places)} numbers have {len(values)} bytes")
    array = np.zeros(size, dtype=dtype)
    array[places] = np.frombuffer(values, dtype=dtype)
    return array


def _shortest_gaps(
    zero: NDArray[np.bool_], n_bits: Callable[[NDArray[np.int64], int], float]
) -> tuple[list[int], NDArray[np.int64]]:
    """The width of the codes and their number, and the codes; none where nothing is zero."""
    if not zero.any():
        return [0, 0], np.zeros(0, dtype=np.int64)
    places = np.flatnonzero(~zero)
    tried = {width: encode_gaps(places, width) for width in _WIDTHS}
    width = min(tried, key=lambda width: n_bits(tried[width], width))
    return [width, len(tried[width])], tried[width]


def _huffman_bits(codes: NDArray[np.int64], width: int) -> float:
    counts = np.bincount(codes, minlength=1 << width)
    return float(counts @ huffman_lengths(counts)) + 4 * len(counts)


def _read_gaps(
    stream: bytes, lengths: NDArray[np.int64], width: int, n_codes: int, size: int, alone: int = 0
) -> NDArray[np.int64]:
    if width == 0:
        if stream or n_codes:
            raise DamagedFileError("an array without zeros has gaps")
        return np.arange(size)
    return decode_gaps(read_codes(stream, lengths, n_codes) + alone, width, size)


def _pack_lengths(lengths: NDArray[np.int64], symbols: NDArray[Any]) -> bytes:
    """Lengths of codes, four bits each; one of 1 for a symbol that stands alone."""
    lengths = lengths.copy()
    if len(symbols) and not lengths.any():
        lengths[symbols[0]] = 1
    pairs = np.append(lengths, 0)[: 2 * ((len(lengths) + 1) // 2)].reshape(-1, 2)
    return (pairs[:, 0] * 16 + pairs[:, 1]).astype(np.uint8).tobytes()


def _unpack_lengths(stream: bytes, n: int) -> tuple[NDArray[np.int64], int]:
    """Lengths of codes; and the symbol that stands alone, whose length is zero then."""
    if len(stream) != (n + 1) // 2:
        raise DamagedFileError(f"the lengths of {n} codes have {len(stream)} bytes")
    packed = np.frombuffer(stream, dtype=np.uint8)
    lengths = np.stack([packed >> 4, packed & 15], axis=1).ravel()[:n].astype(np.int64)
    used = np.flatnonzero(lengths)
    if len(used) == 1:
        return np.zeros(n, dtype=np.int64), int(used[0])
    return lengths, 0


#: For each coding, without and with levels: what its entry has besides, and its streams.
_KEYS: dict[str, tuple[tuple[set[str], int], tuple[set[str], int]]] = {
    "raw": ((set(), 1), (set(), 0)),
    "none": (({"gap"}, 3), ({"levels", "gap"}, 3)),
    "huffman": (({"gap"}, 3), ({"levels", "gap"}, 5)),
    "adaptive": ((set(), 2), ({"levels"}, 2)),
}
_ENCODERS = {"none": _encode_fixed, "huffman": _encode_huffman, "adaptive": _encode_adaptive}
_DECODERS = {"none": _decode_fixed, "huffman": _decode_huffman, "adaptive": _decode_adaptive}
