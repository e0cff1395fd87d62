"""Arrays come back from their streams to the bit, whatever is in them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sksparse.coding._arrays import check_entry, decode_array, encode_array
from sksparse.coding._container import read_container, write_container

CODINGS = ("none", "huffman", "adaptive", "auto")


def there_and_back(array: NDArray[Any], coding: str, *, share: bool = True) -> int:
    """Code an array in a file and read it; the bytes of its streams."""
    data = write_container({"a": [1, "x"]}, {"array": encode_array(array, coding, share=share)})
    meta, found = read_container(data)
    read = decode_array(found["array"].entry, found["array"].streams)
    assert meta == {"a": [1, "x"]}
    assert (read.shape, read.dtype) == (array.shape, array.dtype)
    assert read.tobytes() == np.ascontiguousarray(array).tobytes()
    return found["array"].nbytes


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("n_levels", [1, 2, 3, 16, 17, 256, 257])
@pytest.mark.parametrize("density", [0.0, 0.02, 0.5, 1.0])
def test_random_patterns(
    coding: str, n_levels: int, density: float, rng: np.random.Generator
) -> None:
    for shape in ((1,), (301,), (20, 31), (6, 3, 5, 5)):
        for dtype in (np.float32, np.float64, np.float16, np.int64, np.bool_):
            levels = (50 * rng.standard_normal(n_levels)).astype(dtype)
            array = np.zeros(shape, dtype=dtype)
            kept = rng.random(shape) < density
            array[kept] = rng.choice(levels, int(kept.sum()))
            there_and_back(array, coding)


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("share", [True, False])
def test_gaps_at_every_boundary(coding: str, share: bool) -> None:
    for width in range(1, 9):
        filler = (1 << width) - 1
        for gap in (filler - 1, filler, filler + 1, 2 * filler, 3 * filler):
            for behind in (0, 1, gap):
                array = np.zeros(gap + 1 + behind, dtype=np.float32)
                array[gap] = 0.5
                there_and_back(array, coding, share=share)


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("share", [True, False])
def test_what_is_special(coding: str, share: bool, rng: np.random.Generator) -> None:
    for array in (
        np.float32([-0.0, 0.0, np.nan, -np.nan, np.inf, 1e-45, 3.4e38]),
        np.zeros(()),
        np.ones((), dtype=np.float32),
        np.zeros((0, 4)),
        np.zeros((3, 0, 2), dtype=np.int32),
        np.zeros(1),
        np.eye(7)[:, ::2],
        np.asfortranarray(rng.standard_normal((4, 5))),
        np.arange(5, dtype=">i4").astype(np.int32),
        np.uint8([0, 255, 3]),
        rng.integers(-127, 128, 50).astype(np.float32) / 64,
        np.float64([2.0**-140, 2.0**140, 0.0]),
    ):
        there_and_back(array, coding, share=share)


def test_types_that_cannot_be_stored_are_refused() -> None:
    with pytest.raises(ValueError, match="complex128 cannot be stored"):
        encode_array(np.zeros(2, dtype=complex))


def test_a_grid_of_levels_has_no_table(rng: np.random.Generator) -> None:
    vector = rng.integers(-30, 31, 200).astype(np.float32) / 512
    encoded = encode_array(vector, "adaptive")
    assert encoded.entry["levels"].keys() == {"n", "low", "exponent"}
    assert encoded.streams[0] == b""
    assert encoded.nbytes < 6.3 * 200 / 8


def test_levels_of_half_precision_are_stored_so(rng: np.random.Generator) -> None:
    levels = rng.standard_normal(16).astype(np.float16)
    array = rng.choice(levels, (30, 40)).astype(np.float32)
    encoded = encode_array(array, "none")
    assert encoded.entry["levels"] == {"n": 16, "type": "f2"}
    assert len(encoded.streams[0]) == 32
    # 4 bits each, and nothing for places where nothing is zero
    assert encoded.nbytes == 32 + 30 * 40 // 2


def test_the_rate_of_the_figure_of_the_paper() -> None:
    """16 weights of 32 bits in 4 clusters: 16 * 32 / (16 * 2 + 4 * 32) = 3.2."""
    levels = np.float32([2.1, -0.3, 1.7, 0.9])
    weights = levels[np.arange(16).reshape(4, 4) % 4]
    assert weights.nbytes / encode_array(weights, "none").nbytes == 3.2


@pytest.mark.parametrize("density", [0.002, 0.05, 0.3])
def test_the_adaptive_coder_reaches_the_entropy(density: float, rng: np.random.Generator) -> None:
    """Independent entries: within a twentieth, and what it learns costs a hundred bytes."""
    shape = (200, 300)
    share = np.array([0.4, 0.3, 0.2, 0.1])
    kept = rng.random(shape) < density
    array = np.where(kept, rng.choice(np.float32([-2, -1, 1, 2]), shape, p=share), np.float32(0))
    outcomes = np.append(density * share, 1 - density)
    entropy = -np.sum(outcomes * np.log2(outcomes)) * array.size / 8
    n = there_and_back(array.astype(np.float32), "adaptive")
    assert n < 1.08 * entropy + 160


def test_the_adaptive_coder_learns_dense_columns(rng: np.random.Generator) -> None:
    """Columns of which each third is ten times as dense as the next."""
    density = np.repeat([0.5, 0.05, 0.005], 100)
    mask = rng.random((200, 300)) < density
    entropy = -(density * np.log2(density) + (1 - density) * np.log2(1 - density)).sum() * 200 / 8
    n = there_and_back(mask, "adaptive")
    mean = density.mean()
    blind = -(mean * np.log2(mean) + (1 - mean) * np.log2(1 - mean)) * mask.size / 8
    assert n < 1.15 * entropy < 0.8 * blind


def test_auto_takes_what_is_shortest(rng: np.random.Generator) -> None:
    for density in (0.01, 0.3, 1.0):
        array = np.where(rng.random((30, 50)) < density, np.float32(0.5), np.float32(0))
        sizes = [encode_array(array, coding).nbytes for coding in CODINGS]
        assert sizes[-1] == min(sizes)


def test_every_entry_that_is_written_is_accepted(rng: np.random.Generator) -> None:
    for coding in CODINGS:
        encoded = encode_array(rng.choice([0.0, 1.0, 2.0], (5, 6)), coding)
        entry = {**encoded.entry, "sizes": [len(stream) for stream in encoded.streams]}
        assert check_entry(entry) >= 5 * 6 * 8
