"""Files that are damaged in many ways, signed again where only what is inside is to be tested."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from sksparse.coding._container import _deflate, _inflate

HEAD = struct.Struct("<8sHHIIQI")


def signed(head: tuple[Any, ...], header: bytes, payload: bytes) -> bytes:
    """A file with the right checksum, whatever is in it."""
    magic, version, zeros, header_size, text_size, payload_size = head
    packed = HEAD.pack(magic, version, zeros, header_size, text_size, payload_size, 0)
    checksum = zlib.crc32(header + payload, zlib.crc32(packed[8:28]))
    return packed[:28] + struct.pack("<I", checksum) + header + payload


def parts(data: bytes) -> tuple[tuple[Any, ...], bytes, bytes]:
    """Head without checksum, header and payload of a file."""
    *head, _ = HEAD.unpack_from(data)
    end = HEAD.size + head[3]
    return tuple(head), data[HEAD.size : end], data[end:]


def with_text(data: bytes, text: bytes, payload: bytes | None = None) -> bytes:
    """The file with another header."""
    head, _, old = parts(data)
    payload = old if payload is None else payload
    header = _deflate(text, 9)
    return signed((*head[:3], len(header), len(text), len(payload)), header, payload)


def text_of(data: bytes) -> bytes:
    """The header of a file as text."""
    head, header, _ = parts(data)
    return _inflate(header, head[4])


def _flip(rng: np.random.Generator, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        if changed:
            changed[int(rng.integers(len(changed)))] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _replace(rng: np.random.Generator, data: bytes) -> bytes:
    at = int(rng.integers(len(data) + 1))
    length = int(rng.integers(1, 9))
    return data[:at] + rng.bytes(length) + data[at + length :]


def _cut(rng: np.random.Generator, data: bytes) -> bytes:
    return data[: int(rng.integers(len(data) + 1))]


def _remove(rng: np.random.Generator, data: bytes) -> bytes:
    at = int(rng.integers(len(data) + 1))
    return data[:at] + data[at + int(rng.integers(1, 9)) :]


def _insert(rng: np.random.Generator, data: bytes) -> bytes:
    at = int(rng.integers(len(data) + 1))
    return data[:at] + rng.bytes(int(rng.integers(1, 9))) + data[at:]


BYTE_CHANGES: list[Callable[[np.random.Generator, bytes], bytes]] = [
    _flip,
    _replace,
    _cut,
    _remove,
    _insert,
]

#: What may stand in the place of any value of the header.
STRANGE: list[Any] = [
    None,
    True,
    False,
    0,
    1,
    -1,
    2,
    255,
    256,
    257,
    2**15,
    2**31,
    2**40,
    2**63,
    10**30,
    -(10**30),
    1e300,
    -0.5,
    1.5,
    "",
    "raw",
    "adaptive",
    "huffman",
    "none",
    "f4",
    "f8",
    "b1",
    "linear",
    "x" * 600,
    [],
    [[]],
    [0],
    [1, 1],
    [2**20, 0],
    [0, 2**40],
    [2**20, 2**20],
    {},
    {"n": 3},
]


def _places(value: Any, found: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """All containers and keys in a header."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in list(items):
        found.append((value, key))
        if isinstance(item, (dict, list)):
            _places(item, found)
    return found


def _of_header(rng: np.random.Generator, data: bytes) -> bytes:
    document = json.loads(text_of(data))
    for _ in range(int(rng.integers(1, 3))):
        places = _places(document, [])
        container, key = places[int(rng.integers(len(places)))]
        other, other_key = places[int(rng.integers(len(places)))]
        move = int(rng.integers(5))
        if move == 0:
            del container[key]
        elif move == 1:
            container[key] = json.loads(json.dumps(other[other_key]))
        elif move == 2 and isinstance(container[key], int):
            container[key] += int(rng.integers(-3, 4))
        elif move == 3 and isinstance(container, dict):
            container[str(STRANGE[int(rng.integers(len(STRANGE)))])] = container[key]
        else:
            container[key] = json.loads(json.dumps(STRANGE[int(rng.integers(len(STRANGE)))]))
    return with_text(data, json.dumps(document).encode())


def _of_text(rng: np.random.Generator, data: bytes) -> bytes:
    return with_text(data, _change(rng, text_of(data)))


def _of_packed_header(rng: np.random.Generator, data: bytes) -> bytes:
    head, header, payload = parts(data)
    header = _change(rng, header)
    return signed((*head[:3], len(header), *head[4:]), header, payload)


def _of_head(rng: np.random.Generator, data: bytes) -> bytes:
    head, header, payload = parts(data)
    changed = list(head)
    place = int(rng.integers(1, 6))
    sizes = (2**16, 2**16, 2**32, 2**32, 2**63)
    changed[place] = int(rng.integers(sizes[place - 1]))
    return signed(tuple(changed), header, payload)


def _of_payload(rng: np.random.Generator, data: bytes) -> bytes:
    """The streams changed, their sizes in the header as before."""
    head, header, payload = parts(data)
    changed = (_flip if rng.random() < 0.5 else _replace)(rng, payload)[: len(payload)]
    return signed(head, header, changed.ljust(len(payload), b"\0"))


def _of_streams(rng: np.random.Generator, data: bytes) -> bytes:
    """One stream of another length, as the header says."""
    document = json.loads(text_of(data))
    payload, streams = parts(data)[2], []
    for entry in document["arrays"].values():
        for size in entry["sizes"]:
            streams.append(payload[:size])
            payload = payload[size:]
    chosen = int(rng.integers(len(streams)))
    streams[chosen] = _change(rng, streams[chosen])
    at = 0
    for entry in document["arrays"].values():
        entry["sizes"] = [len(s) for s in streams[at : at + len(entry["sizes"])]]
        at += len(entry["sizes"])
    return with_text(data, json.dumps(document).encode(), b"".join(streams))


def _change(rng: np.random.Generator, data: bytes) -> bytes:
    return BYTE_CHANGES[int(rng.integers(len(BYTE_CHANGES)))](rng, data)


CHANGES: list[Callable[[np.random.Generator, bytes], bytes]] = [
    _change,
    _of_head,
    _of_header,
    _of_header,
    _of_text,
    _of_packed_header,
    _of_payload,
    _of_payload,
    _of_streams,
    _of_streams,
]


def damaged(files: list[bytes], rng: np.random.Generator, n: int) -> Iterator[bytes]:
    """So many damaged files."""
    for _ in range(n):
        data = files[int(rng.integers(len(files)))]
        yield CHANGES[int(rng.integers(len(CHANGES)))](rng, data)
