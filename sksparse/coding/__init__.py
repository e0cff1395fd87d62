"""Sparse arrays in few bytes: codebooks, gaps, entropy coders, and the file that holds them.

What is coded comes back to the bit. ``kmeans_1d`` is the only step that changes numbers, and it is
taken before. The file is described byte by byte in :doc:`/file_format`.
"""

from __future__ import annotations

from sksparse.coding._gaps import decode_gaps, encode_gaps
from sksparse.coding._huffman import huffman_lengths
from sksparse.coding._kmeans import kmeans_1d

__all__ = ["decode_gaps", "encode_gaps", "huffman_lengths", "kmeans_1d"]
