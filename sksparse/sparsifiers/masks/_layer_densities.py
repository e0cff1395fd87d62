"""How many weights each layer keeps when layers are not compared with one another."""

from __future__ import annotations

import math
from collections.abc import Sequence


def apportion(quotas: Sequence[float], total: int, most: Sequence[int]) -> list[int]:
    """Whole numbers near the quotas, at most `most`, that sum to `total` (largest remainders).

    Parameters
    ----------
    quotas : sequence of float
        The shares before rounding; their sum is about `total`.
    total : int
        What is shared out, at most the sum of `most`.
    most : sequence of int
        The largest share of each.

    Returns
    -------
    counts : list of int
        The shares.
    """
    counts = [min(m, math.floor(q)) for q, m in zip(quotas, most, strict=True)]
    by_remainder = sorted(range(len(quotas)), key=lambda i: counts[i] - quotas[i])
    while (missing := total - sum(counts)) != 0:
        step = 1 if missing > 0 else -1
        for i in by_remainder[:: 1 if missing > 0 else -1]:
            if missing and 0 <= counts[i] + step <= most[i]:
                counts[i] += step
                missing -= step
    return counts


def uniform_counts(shapes: Sequence[Sequence[int]], total: int) -> list[int]:
    """The same share of every tensor, `total` weights together."""
    sizes = [math.prod(shape) for shape in shapes]
    return apportion([total * n / sum(sizes) for n in sizes], total, sizes)


def erdos_renyi_counts(shapes: Sequence[Sequence[int]], total: int) -> list[int]:
    """Densities in proportion to ``sum(shape) / prod(shape)``, none above 1 (ERK).

    A tensor that would get more than it has is kept whole, and the others share the rest.
    """
    sizes = [math.prod(shape) for shape in shapes]
    quotas = [0.0] * len(shapes)
    open_ = list(range(len(shapes)))
    left = float(total)
    while open_:
        unit = left / sum(sum(shapes[i]) for i in open_)
        full = [i for i in open_ if unit * sum(shapes[i]) >= sizes[i]]
        for i in full or open_:
            quotas[i] = float(sizes[i]) if full else unit * sum(shapes[i])
        left -= sum(sizes[i] for i in full)
        open_ = [i for i in open_ if i not in full] if full else []
    return apportion(quotas, total, sizes)
