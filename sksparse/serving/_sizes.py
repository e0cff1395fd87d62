"""Bytes of the layers of a compressed model, stage by stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sksparse.coding._arrays import EncodedArray, decode_array, encode_array


class LayerSize(NamedTuple):
    """Bytes of a layer after each stage.

    Parameters
    ----------
    name : str
        The name of its tensor.
    shape : tuple of int
        The shape of the tensor.
    n_weights : int
        Its weights that are not zero.
    dense : int
        Bytes of all its numbers.
    pruned : int
        Bytes of those that are not zero, and of the gaps between them in codes of one length.
    quantised : int
        The same with the numbers of levels in place of weights, and their table.
    coded : int
        Bytes in the file.
    """

    name: str
    shape: tuple[int, ...]
    n_weights: int
    dense: int
    pruned: int
    quantised: int
    coded: int


def layer_sizes(encoded: Mapping[str, EncodedArray]) -> list[LayerSize]:
    """The sizes of arrays as they stand in a file, in its order."""
    sizes = []
    for name, array in encoded.items():
        values = decode_array(array.entry, array.streams)
        sizes.append(
            LayerSize(
                name,
                values.shape,
                int((values != 0).sum()),
                values.nbytes,
                encode_array(values, "none", share=False).nbytes,
                encode_array(values, "none").nbytes,
                array.nbytes,
            )
        )
    return sizes


def as_table(sizes: list[LayerSize], others: int, total: int) -> str:
    """The sizes as text: weights with their names, then all vectors, then the rest of the file."""
    rows: list[tuple[str, ...]]
    rows = [("layer", "shape", "weights", "dense", "pruned", "quantised", "coded")]
    large = [size for size in sizes if len(size.shape) > 1]
    vectors = [size for size in sizes if len(size.shape) < 2]
    for size in large:
        shape = " x ".join(map(str, size.shape))
        rows.append((size.name, shape, *map(str, size[2:])))
    if vectors:
        columns = zip(*(size[2:] for size in vectors), strict=True)
        rows.append(("vectors", "", *(str(sum(column)) for column in columns)))
    rows.append(("header", "", "", "", "", "", str(others)))
    columns = zip(*(size[2:] for size in sizes), strict=True)
    sums = [sum(column) for column in columns] or [0] * 5
    rows.append(("all", "", *map(str, sums[:-1]), str(total)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        f"{row[0]:<{widths[0]}}"
        + "".join(f"  {text:>{width}}" for text, width in zip(row[1:], widths[1:], strict=True))
        for row in rows
    )
