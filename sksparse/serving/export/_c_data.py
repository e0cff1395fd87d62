"""Numbers as constants of C."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

import numpy as np

from sksparse._typing import Array, Indices

#: Distinct weights of a layer up to which they stand in a codebook.
_LARGEST_CODEBOOK = 256


class Constants:
    """The constant arrays of a file.

    Parameters
    ----------
    prefix : str
        What their names begin with.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.lines: list[str] = []

    def floats(self, values: Array, what: str) -> str:
        """An array of floats; its name."""
        return self._add("float", map(as_float, np.ravel(values).tolist()), what)

    def indices(self, values: Indices, what: str) -> str:
        """An array of whole numbers in the smallest type that holds them; its name."""
        low, high = int(np.min(values, initial=0)), int(np.max(values, initial=0))
        sign, most = ("", high) if low < 0 else ("u", high // 2)
        bits = next(
            bits for bits in (8, 16, 32) if most < 2 ** (bits - 1) and -low <= 2 ** (bits - 1)
        )
        return self._add(f"{sign}int{bits}_t", map(str, np.ravel(values).tolist()), what)

    def weights(self, values: Array, what: str) -> str:
        """Weights, by a codebook where there are few; the expression for number ``k``."""
        book, codes = np.unique(np.ravel(values), return_inverse=True)
        # a code takes a quarter of a float
        if len(book) > _LARGEST_CODEBOOK or 4 * len(book) + len(codes) >= 4 * len(codes):
            return f"{self.floats(values, what)}[k]"
        name = self.floats(book, f"the codebook of {what}")
        return f"{name}[{self.indices(codes, f'the codes of {what}')}[k]]"

    def _add(self, kind: str, values: Iterable[str], what: str) -> str:
        name = f"{self._prefix}_data{len(self.lines)}"
        numbers = list(values) or ["0"]
        body = textwrap.fill(", ".join(numbers), 98, initial_indent="  ", subsequent_indent="  ")
        self.lines.append(
            f"/* {what} */\nstatic const {kind} {name}[{len(numbers)}] = {{\n{body}\n}};"
        )
        return name


def as_float(value: float) -> str:
    """A number as a constant of type float, which is read back as the same."""
    text = f"{value:.9g}"
    return f"{text}f" if "." in text or "e" in text else f"{text}.0f"
