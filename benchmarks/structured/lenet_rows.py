"""The rows of LeNet-5: dense, and with single weights removed."""

from __future__ import annotations

from functools import partial
from typing import Any

from sksparse.neural_network import SparseNetClassifier
from sksparse.sparsifiers import DynamicSurgery, Magnitude

from .lenet import model
from .rows import Limit, Row

#: Compression, and the error in per cent that is asked for.
ASKED = {12: 0.75, 100: 0.80, 200: 0.95, 280: 1.0}
PUBLISHED = {12: "Han 2015: 0.77 %", 100: "Guo 2016: 0.91 % at 108x", 280: "Molchanov 2017: 0.75 %"}


def magnitude(seed: int, compression: float) -> SparseNetClassifier:
    """Gradual magnitude pruning with a small L1 penalty until the mask is final."""
    return model(
        seed,
        sparsifier=Magnitude(train_fraction=0.05, sparsify_fraction=0.7, l1=3e-5),
        target_sparsity=1 - 1 / compression,
    )


def surgery(seed: int, compression: float) -> SparseNetClassifier:
    """Dynamic network surgery."""
    return model(
        seed,
        sparsifier=DynamicSurgery(train_fraction=0.1, sparsify_fraction=0.6),
        target_sparsity=1 - 1 / compression,
    )


def unstructured(make: Any, compression: int) -> Row:
    """A row at a compression."""
    # the target is met to within one weight
    limits = (Limit("error", ASKED[compression]), Limit("compression", compression - 0.1, True))
    note = PUBLISHED.get(compression, "")
    return Row(partial(make, compression=compression), limits, note=note)


DENSE = {
    "LeNet-5, dense": Row(
        lambda seed: model(seed, sparsifier=None), (Limit("error", 0.66),), note="measured before"
    )
}
WEIGHTS = {
    f"LeNet-5, {name}, {compression}x": unstructured(make, compression)
    for name, make in (("magnitude", magnitude), ("surgery", surgery))
    for compression in ASKED
}
