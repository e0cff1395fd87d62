"""Files that nobody should trust: one error, no code that runs, no memory to speak of."""

from __future__ import annotations

import json
import tracemalloc
import zlib

import numpy as np
import pytest
from numpy.typing import NDArray

from sksparse.coding._arrays import encode_array
from sksparse.coding._container import _HEAD, MAGIC, read_container, write_container
from sksparse.coding._errors import DamagedFileError
from sksparse.serving import Operation, Program
from sksparse.serving._compressed import (
    CompressedLinearModel,
    CompressedModel,
    CompressedNetwork,
    loads,
)
from sksparse.serving._head import Head
from tests.helpers.damaged_files import damaged, parts, signed, text_of, with_text

#: What a damaged file may take at most while it is read, in bytes.
MEMORY = 1 << 22


def sparse(rng: np.random.Generator, *shape: int, density: float = 0.3) -> NDArray[np.float32]:
    """An array with five levels."""
    values = rng.choice(np.float32([-1.0, -0.5, 0.25, 0.5, 2.0]), shape)
    return np.where(rng.random(shape) < density, values, np.float32(0))


def network(rng: np.random.Generator, coding: str) -> bytes:
    """A small network of convolutions and linear layers in a file."""
    program = Program(
        (1, 6, 6),
        (
            Operation("conv2d", (0,), 1, {"weight": "0.weight", "bias": "0.bias"}),
            Operation("activation", (1,), 2, options={"name": "relu"}),
            Operation("max_pool2d", (2,), 3, options={"kernel": (2, 2), "stride": (2, 2)}),
            Operation("reshape", (3,), 4, options={"shape": (12,)}),
            Operation("linear", (4,), 5, {"weight": "3.weight"}),
        ),
        5,
    )
    tensors = {
        "0.weight": sparse(rng, 3, 1, 3, 3),
        "0.bias": np.float32([0.5, -0.25, 1.0]),
        "3.weight": sparse(rng, 3, 12),
    }
    head = Head("softmax", (1, 6, 6), np.array(["a", "b", "c"]))
    encoded = {name: encode_array(tensor, coding) for name, tensor in tensors.items()}
    return CompressedNetwork._write({"program": program.to_json()}, head, encoded, 999)._data


def perceptron(rng: np.random.Generator, coding: str) -> bytes:
    """A regressor that reads some columns."""
    program = Program((3,), (Operation("linear", (0,), 1, {"weight": "w", "bias": "b"}),), 1)
    head = Head(
        "identity",
        (5,),
        names=("u", "v", "x", "y", "z"),
        columns=np.array([0, 2, 3]),
        input_shift=np.zeros(5),
        input_scale=np.ones(5),
        output_shift=np.ones(2),
    )
    arrays = {"w": sparse(rng, 2, 3), "b": np.zeros(2, dtype=np.float32), **head.arrays()}
    encoded = {name: encode_array(array, coding) for name, array in arrays.items()}
    return CompressedNetwork._write({"program": program.to_json()}, head, encoded, 40)._data


def linear(rng: np.random.Generator, coding: str) -> bytes:
    """A linear model with exact numbers."""
    coef = np.where(rng.random((3, 200)) < 0.05, rng.standard_normal((3, 200)), 0.0)
    head = Head("softmax", (200,), np.arange(3))
    arrays = {"coef": coef, "intercept": rng.standard_normal(3)}
    encoded = {name: encode_array(array, coding, share=False) for name, array in arrays.items()}
    return CompressedLinearModel._write({}, head, encoded, 4824)._data


@pytest.fixture
def files(rng: np.random.Generator) -> list[bytes]:
    """Files of each kind and coding."""
    made = [
        make(rng, coding)
        for make in (network, perceptron, linear)
        for coding in ("none", "huffman", "adaptive")
    ]
    for data in made:
        assert isinstance(loads(data), CompressedModel)
    return made


def survives(data: bytes) -> bool:
    """Whether a file is read; if not, with the one error that is documented."""
    try:
        model = loads(data, max_bytes=MEMORY)
    except DamagedFileError:
        return False
    # what is read also predicts, unless the values of the program are large
    if isinstance(model, CompressedNetwork) and model.predictor.output_shape[0] > 100:
        return True
    with np.errstate(all="ignore"):
        model.outputs(np.zeros((1, *model.head.row_shape), dtype=np.float32))
    return True


def test_damaged_files_raise_one_error(files: list[bytes], rng: np.random.Generator) -> None:
    read = [survives(data) for data in damaged(files, rng, 6000)]
    # both sides are tested: what is refused, and decoders that take what they are given
    assert 0.02 < np.mean(read) < 0.9


@pytest.mark.slow
def test_very_many_damaged_files_raise_one_error(files: list[bytes], seed: int) -> None:
    for data in damaged(files, np.random.default_rng([seed, 1]), 1_000_000):
        survives(data)


def test_damaged_files_take_little_memory(files: list[bytes], rng: np.random.Generator) -> None:
    survives(files[0])
    for data in damaged(files, rng, 400):
        tracemalloc.start()
        survives(data)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 4 * MEMORY


def test_every_prefix_of_a_file_is_refused(files: list[bytes]) -> None:
    for data in files[::4]:
        assert not any(survives(data[:n]) for n in range(len(data)))
        assert not survives(data + b"\0")


def test_every_flipped_bit_is_noticed(files: list[bytes]) -> None:
    for at in range(8 * len(files[2])):
        changed = bytearray(files[2])
        changed[at // 8] ^= 1 << at % 8
        assert not survives(bytes(changed))


@pytest.mark.parametrize("claimed", [2**13, 2**20, 2**40])
def test_an_array_that_claims_much_memory_is_refused_before_it_is_made(claimed: int) -> None:
    encoded = encode_array(np.zeros((2, 64)), "adaptive")
    data = write_container({}, {"a": encoded})
    document = json.loads(text_of(data))
    document["arrays"]["a"]["shape"] = [claimed, 2**10]
    tracemalloc.start()
    with pytest.raises(DamagedFileError, match=r"more than the .* give max_bytes="):
        read_container(with_text(data, json.dumps(document).encode()), max_bytes=1 << 20)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_a_header_that_unpacks_to_much_is_refused_before_it_is() -> None:
    packed = zlib.compressobj(9, zlib.DEFLATED, -15)
    header = packed.compress(b" " * (1 << 26)) + packed.flush()
    data = signed((MAGIC, 1, 0, len(header), 1 << 26, 0), header, b"")
    tracemalloc.start()
    with pytest.raises(DamagedFileError, match=r"header of .* bytes claims"):
        loads(data)
    # nor where it claims less than there is
    with pytest.raises(DamagedFileError, match="another length"):
        loads(signed((MAGIC, 1, 0, len(header), 1000, 0), header, b""))
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


@pytest.mark.parametrize(
    "text, reason",
    [
        (b"[" * 5000, "no JSON"),
        (b'{"meta":{},"arrays":{"a":NaN}}', "no JSON"),
        (b'{"meta":{},"arrays":{"a":' + b"9" * 5000 + b"}}", "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b"[]", "other parts"),
        (b'{"meta":[],"arrays":{}}', "other kinds"),
        (b'{"meta":{},"arrays":{"a":{"coding":[]}}}', "unknown way"),
        (b'{"meta":{},"arrays":{}}', "unknown kind"),
    ],
)
def test_headers_that_are_none(files: list[bytes], text: bytes, reason: str) -> None:
    with pytest.raises(DamagedFileError, match=reason):
        loads(with_text(files[0], text, b""))


def test_a_newer_version_is_named(files: list[bytes]) -> None:
    head, header, payload = parts(files[0])
    with pytest.raises(DamagedFileError, match="version 2, and this package reads version 1"):
        loads(signed((MAGIC, 2, *head[2:]), header, payload))


def test_long_labels_of_many_classes_are_refused(files: list[bytes]) -> None:
    data = next(d for d in files if b'"a","b","c"' in text_of(d))
    long = text_of(data).replace(b'"a","b"', b'"' + b"a" * 1_000_000 + b'","b"')
    with pytest.raises(DamagedFileError, match=r"label is too long|claims"):
        loads(with_text(data, long))


def test_the_head_is_as_it_is_documented(files: list[bytes]) -> None:
    data = files[0]
    assert data[:8] == b"\x89SKS\r\n\x1a\n"
    assert int.from_bytes(data[8:10], "little") == 1
    assert data[10:12] == b"\0\0"
    header_size, text_size = (int.from_bytes(data[k : k + 4], "little") for k in (12, 16))
    payload_size = int.from_bytes(data[20:28], "little")
    assert len(data) == 32 + header_size + payload_size == _HEAD.size + header_size + payload_size
    assert int.from_bytes(data[28:32], "little") == zlib.crc32(data[8:28] + data[32:])
    assert len(text_of(data)) == text_size
