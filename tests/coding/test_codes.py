"""Gaps, Huffman codes, and the tables of the adaptive coder."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from sksparse.coding import decode_gaps, encode_gaps, huffman_lengths
from sksparse.coding._adaptive import decode_matrix, encode_matrix, logistic_tables
from sksparse.coding._errors import DamagedFileError
from sksparse.coding._huffman import canonical_codes, fixed_lengths, read_codes, write_codes


@pytest.mark.parametrize("width", range(1, 9))
def test_gaps_around_the_largest_code(width: int) -> None:
    filler = (1 << width) - 1
    expected = {
        filler - 1: [filler - 1],
        filler: [filler, 0],
        filler + 1: [filler, 1] if filler > 1 else [1, 1, 0],
        3 * filler: [filler, filler, filler, 0],
    }
    for gap, codes in expected.items():
        assert encode_gaps([gap], width).tolist() == codes
        assert decode_gaps(np.array(codes), width, gap + 1).tolist() == [gap]


def test_gaps_come_back(rng: np.random.Generator) -> None:
    for width, density in itertools.product(range(1, 9), (0.0, 0.01, 0.3, 1.0)):
        places = np.flatnonzero(rng.random(500) < density)
        assert decode_gaps(encode_gaps(places, width), width, 500).tolist() == places.tolist()


@pytest.mark.parametrize("codes, size", [([0, 3], 9), ([2, 2], 5), ([3, 3, 0], 6)])
def test_gaps_that_lead_out_of_the_array_are_refused(codes: list[int], size: int) -> None:
    with pytest.raises(DamagedFileError, match="beyond"):
        decode_gaps(np.array(codes), 2, size)


@pytest.mark.parametrize("places", [[3, 3], [4, 1], [-1]])
def test_positions_that_do_not_increase_are_refused(places: list[int]) -> None:
    with pytest.raises(ValueError, match="each larger"):
        encode_gaps(places, 3)
    with pytest.raises(ValueError, match="1 to 16"):
        encode_gaps([1], 0)


def mean_length(counts: np.ndarray, lengths: np.ndarray) -> float:
    return float(counts @ lengths / counts.sum())


def entropy(counts: np.ndarray) -> float:
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log2(share)).sum())


def test_huffman_lengths_are_within_a_bit_of_the_entropy(rng: np.random.Generator) -> None:
    for n in (1, 2, 3, 7, 32, 256):
        counts = rng.geometric(0.05, n) * rng.integers(0, 2, n)
        counts[0] = 3
        lengths = huffman_lengths(counts)
        used = counts > 0
        assert (lengths[~used] == 0).all()
        if used.sum() > 1:
            assert np.ldexp(1.0, -lengths[used]).sum() == 1
        found = entropy(counts)
        assert found - 1e-12 <= mean_length(counts, lengths) < found + 1


def test_no_prefix_code_is_shorter(rng: np.random.Generator) -> None:
    """All complete sets of lengths for five symbols."""
    complete = [
        lengths
        for lengths in itertools.product(range(1, 5), repeat=5)
        if sum(2.0**-length for length in lengths) == 1
    ]
    for _ in range(20):
        counts = rng.integers(1, 60, 5)
        best = min(counts @ np.array(lengths) for lengths in complete)
        assert counts @ huffman_lengths(counts) == best
        limited = [lengths for lengths in complete if max(lengths) <= 3]
        best = min(counts @ np.array(lengths) for lengths in limited)
        assert counts @ huffman_lengths(counts, most=3) == best


def test_lengths_are_limited() -> None:
    counts = np.int64(2) ** np.arange(40)
    lengths = huffman_lengths(counts)
    assert lengths.max() == 15
    assert np.ldexp(1.0, -lengths).sum() == 1
    with pytest.raises(ValueError, match="more than most=3"):
        huffman_lengths(np.ones(9), most=3)


def test_canonical_codes_are_no_prefix_of_each_other(rng: np.random.Generator) -> None:
    lengths = huffman_lengths(rng.geometric(0.03, 40))
    codes = canonical_codes(lengths)
    words = [f"{code:0{n}b}" for code, n in zip(codes, lengths, strict=True)]
    assert not any(a != b and b.startswith(a) for a in words for b in words)


@pytest.mark.parametrize("n_symbols", [1, 2, 5, 256])
def test_codes_come_back(n_symbols: int, rng: np.random.Generator) -> None:
    symbols = np.minimum(rng.geometric(0.2, 777) - 1, n_symbols - 1)
    huffman = huffman_lengths(np.bincount(symbols, minlength=n_symbols))
    for lengths in (huffman, fixed_lengths(n_symbols)):
        stream = write_codes(symbols, lengths)
        assert len(stream) == (lengths[symbols].sum() + 7) // 8
        assert read_codes(stream, lengths, len(symbols)).tolist() == symbols.tolist()


def test_streams_of_other_lengths_are_refused() -> None:
    lengths = np.array([1, 2, 2])
    stream = write_codes(np.array([2, 2, 2, 1, 0]), lengths)
    for damaged in (stream[:-1], stream + b"\0", b""):
        with pytest.raises(DamagedFileError, match="does not hold 5 codes"):
            read_codes(damaged, lengths, 5)
    with pytest.raises(DamagedFileError, match="those of no code"):
        read_codes(stream, np.array([1, 1, 2]), 5)


def test_the_tables_of_the_adaptive_coder_are_the_same_everywhere() -> None:
    """No number before rounding is so close to a half that a library could decide."""
    p = (np.arange(1 << 16) + 0.5) / (1 << 16)
    logits = np.arange(-3072, 3073) / 256
    for exact in (256 * np.log(p / (1 - p)), (1 << 16) / (1 + np.exp(-logits))):
        distance = np.abs(np.abs(exact - np.floor(exact)) - 0.5)
        assert distance.min() > 1e-9
    stretch, squash = logistic_tables()
    assert (np.diff(stretch) >= 0).all()
    assert (np.diff(squash) >= 0).all()
    # one is the inverse of the other
    middle = np.abs(stretch) < 1500
    assert np.abs(squash[stretch[middle] + 3072] - p[middle] * (1 << 16)).max() < 66


@pytest.mark.parametrize("bits", [0, 1, 4, 8])
def test_matrices_come_back(bits: int, rng: np.random.Generator) -> None:
    for shape in ((1, 1), (1, 50), (50, 1), (17, 23)):
        for density in (0.0, 0.1, 1.0):
            numbers = rng.integers(1, (1 << bits) + 1, shape)
            labels = np.where(rng.random(shape) < density, numbers, 0).astype(np.int16)
            for block in (1, 16, 25):
                stream = encode_matrix(labels, bits, block)
                read = decode_matrix(stream, shape, bits, block)
                assert read.tolist() == labels.tolist()


def test_streams_that_are_too_long_or_short_are_refused(rng: np.random.Generator) -> None:
    labels = rng.integers(0, 3, (30, 30)).astype(np.int16)
    stream = encode_matrix(labels, 1)
    with pytest.raises(DamagedFileError, match="should have"):
        decode_matrix(stream + b"\0", (30, 30), 1, 16)
    with pytest.raises(DamagedFileError, match="should have"):
        decode_matrix(b"", (30, 30), 1, 16)


def test_a_stream_that_was_written_long_ago_still_decodes() -> None:
    """The format does not change: these bytes are part of it."""
    labels = (np.arange(60).reshape(6, 10) % 7 % 4).astype(np.int16)
    assert encode_matrix(labels, 2, 5).hex() == STREAM
    assert decode_matrix(bytes.fromhex(STREAM), (6, 10), 2, 5).tolist() == labels.tolist()


#: What the coder of version 1 makes of that matrix.
STREAM = "99cb7b855ed9394077ac2c8add5dfd"
