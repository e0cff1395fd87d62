"""Sparse arrays in few bytes: codebooks, gaps, entropy coders, and the file that holds them.

What is coded comes back to the bit. ``kmeans_1d`` is the only step that changes numbers, and it is
taken before.
"""

from __future__ import annotations

from sksparse.coding._arrays import EncodedArray, decode_array, encode_array
from sksparse.coding._errors import DamagedFileError
from sksparse.coding._gaps import decode_gaps, encode_gaps
from sksparse.coding._huffman import huffman_lengths
from sksparse.coding._kmeans import kmeans_1d

__all__ = [
    "DamagedFileError",
    "EncodedArray",
    "decode_array",
    "decode_gaps",
    "encode_array",
    "encode_gaps",
    "huffman_lengths",
    "kmeans_1d",
]
