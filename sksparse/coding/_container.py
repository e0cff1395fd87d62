"""The file: a head of 32 bytes, a header in JSON, and the streams of the arrays.

``docs/file_format.rst`` describes it byte by byte.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from typing import Any, NoReturn

from sksparse.coding._arrays import EncodedArray, check_entry
from sksparse.coding._errors import DamagedFileError

MAGIC = b"\x89SKS\r\n\x1a\n"
VERSION = 1
#: Magic, version, zeros, bytes of the header as it stands, bytes of its text, of the streams, CRC.
_HEAD = struct.Struct("<8sHHIIQI")
#: What the checksum does not cover: the magic before, and itself behind.
_SUMMED = slice(8, 28)
#: A file may always ask for so much memory, and for so many times its own bytes.
_ALWAYS, _TIMES = 1 << 28, 1 << 10
#: The text of a header may be so many times longer than what stands in the file, and so much more.
_LONGER, _MORE = 64, 1 << 12
#: Objects take more memory than their text: it may have this share of what a file may ask for.
_SHARE = 64
#: What headers consist of, so that small ones are short. Part of version 1: it never changes.
_WORDS = (
    b'"affine""concatenate""add""select""avg_pool2d""max_pool2d""conv2d""reshape""stride":[1,1]'
    b'"padding":[0,0]"dilation":[1,1]"groups":1"kernel_size":[2,2]"shape":[-1]"inputs":["options":{'
    b'"name":"sigmoid"}},"name":"tanh"}},"feature_names":["target_shift":"target_scale":"raw","sizes'
    b'":["coding":"none","coding":"huffman","gap":[5,"levels":{"n":16,"low":-"exponent":-'
    b'"type":"f8""type":"i8""type":"b1","task":"regressor","link":"identity","task":"classifier",'
    b'"link":"sigmoid","link":"softmax","classes":[0,1,2,3,4,5,6,7,8,9],"dense_nbytes":'
    b'{"meta":{"program":{"input_shape":[784],"operations":[{"kind":"linear","tensors":{"weight":"0'
    b'.weight","bias":"0.bias"}},{"kind":"activation","options":{"name":"relu"}},{"kind":"linear","'
    b'tensors":{"weight":"2.weight","bias":"2.bias"}}]},"arrays":{"0.weight":{"shape":[300,784],"ty'
    b'pe":"f4","coding":"adaptive","levels":{"n":16,"type":"f2"},"sizes":[32,'
)


def write_container(meta: dict[str, Any], arrays: Mapping[str, EncodedArray]) -> bytes:
    """A file.

    Parameters
    ----------
    meta : dict
        What JSON can hold.
    arrays : mapping of str to EncodedArray
        The arrays by name.

    Returns
    -------
    data : bytes
        The whole file.
    """
    entries = {
        name: {**array.entry, "sizes": [len(stream) for stream in array.streams]}
        for name, array in arrays.items()
    }
    document = {"meta": meta, "arrays": entries}
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    header = _deflate(text, 9)
    if len(text) > _LONGER * len(header) + _MORE:
        header = _deflate(text, 0)
    payload = b"".join(stream for array in arrays.values() for stream in array.streams)
    head = [MAGIC, VERSION, 0, len(header), len(text), len(payload)]
    checksum = zlib.crc32(payload, zlib.crc32(header, zlib.crc32(_HEAD.pack(*head, 0)[_SUMMED])))
    return _HEAD.pack(*head, checksum) + header + payload


def read_container(
    data: bytes, max_bytes: int | None = None
) -> tuple[dict[str, Any], dict[str, EncodedArray]]:
    """The reverse of ``write_container``, for bytes that nobody has checked.

    Parameters
    ----------
    data : bytes
        The file.
    max_bytes : int, default=None
        Memory that the arrays may take while they are decoded. None allows 256 MiB, and for files
        of more than 256 KiB 1024 times their bytes.

    Returns
    -------
    meta : dict
        As it was given, but for tuples, which are lists.
    arrays : dict of str to EncodedArray
        The arrays, for ``decode_array``: what the header says of them is checked, and that they
        take no more memory than allowed; the streams are not.

    Raises
    ------
    DamagedFileError
        Where anything does not fit.
    """
    header, text_size, payload = _parts(data)
    allowed = max(_ALWAYS, _TIMES * len(data)) if max_bytes is None else max_bytes
    if text_size > min(_LONGER * len(header) + _MORE, allowed // _SHARE):
        raise DamagedFileError(f"its header of {len(header)} bytes claims {text_size} letters")
    document = _parse(_inflate(header, text_size))
    if type(document) is not dict or set(document) != {"meta", "arrays"}:
        raise DamagedFileError("its header has other parts than it must have")
    meta, entries = document["meta"], document["arrays"]
    if type(meta) is not dict or type(entries) is not dict:
        raise DamagedFileError("the parts of its header are of other kinds than they must be")
    needed = sum(map(check_entry, entries.values()))
    if needed > allowed:
        raise DamagedFileError(
            f"its arrays would take {needed} bytes of memory, more than the {allowed} that a file "
            f"of {len(data)} bytes may ask for; if you trust it, give max_bytes={needed}"
        )
    if sum(sum(entry["sizes"]) for entry in entries.values()) != len(payload):
        raise DamagedFileError("its streams have other sizes than the header says")
    arrays, at = {}, 0
    for name, entry in entries.items():
        streams = []
        for size in entry["sizes"]:
            streams.append(payload[at : at + size])
            at += size
        arrays[name] = EncodedArray(entry, streams)
    return meta, arrays


def _parts(data: bytes) -> tuple[bytes, int, bytes]:
    """Header, length of its text, and streams, of a file whose checksum is right."""
    if len(data) < _HEAD.size:
        raise DamagedFileError(f"it has {len(data)} bytes, fewer than its head of {_HEAD.size}")
    magic, version, zeros, header_size, text_size, payload_size, checksum = _HEAD.unpack_from(data)
    if magic != MAGIC:
        raise DamagedFileError("it does not begin as such files do")
    if version != VERSION or zeros:
        raise DamagedFileError(
            f"it has version {version}, and this package reads version {VERSION}; a newer package "
            "may read it"
        )
    wanted = _HEAD.size + header_size + payload_size
    if len(data) != wanted:
        raise DamagedFileError(f"it has {len(data)} bytes where its head says {wanted}")
    if zlib.crc32(data[_HEAD.size :], zlib.crc32(data[_SUMMED])) != checksum:
        raise DamagedFileError("its checksum does not fit")
    end = _HEAD.size + header_size
    return data[_HEAD.size : end], text_size, data[end:]


def _deflate(text: bytes, level: int) -> bytes:
    deflater = zlib.compressobj(level, zlib.DEFLATED, -15, zdict=_WORDS)
    return deflater.compress(text) + deflater.flush()


def _inflate(header: bytes, size: int) -> bytes:
    inflater = zlib.decompressobj(-15, zdict=_WORDS)
    try:
        text = inflater.decompress(header, size + 1)
    except zlib.error as error:
        raise DamagedFileError(f"its header cannot be unpacked ({error})") from None
    if len(text) != size or not inflater.eof or inflater.unused_data:
        raise DamagedFileError("its header has another length than its head says")
    return text


def _parse(text: bytes) -> Any:
    try:
        return json.loads(text.decode(), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise DamagedFileError(f"its header is no JSON ({type(error).__name__})") from None


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")
