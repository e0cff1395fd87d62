"""How a model is to be compressed, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from sksparse.coding._arrays import CODINGS
from sksparse.coding._kmeans import INITS
from sksparse.coding._rounding import CODEBOOK_TYPES

#: Bits of a level at most.
MOST_BITS = 8

Bits = int | str | None


@dataclass(frozen=True)
class Options:
    """The arguments of :func:`sksparse.compression.compress` but for the model and the data."""

    bits: Bits | Mapping[str, Bits]
    coding: str
    codebook_dtype: str
    tolerance: float
    init: str
    max_iter: int
    learning_rate_init: float
    batch_size: int
    random_state: Any

    def __post_init__(self) -> None:
        by_layer = self.bits.values() if isinstance(self.bits, Mapping) else [self.bits]
        for bits in by_layer:
            if not (bits is None or bits == "auto" or _is_whole(bits, 1, MOST_BITS)):
                raise ValueError(
                    f'bits={self.bits!r} must be 1 to {MOST_BITS}, "auto", or None for weights as '
                    "they are; or a dict with one of these for each layer that shall have other "
                    "bits than the rest."
                )
        _need_one_of("coding", self.coding, ("auto", *CODINGS))
        _need_one_of("codebook_dtype", self.codebook_dtype, CODEBOOK_TYPES)
        _need_one_of("init", self.init, INITS)
        for name, least in (("max_iter", 0), ("batch_size", 1)):
            value = getattr(self, name)
            if not _is_whole(value, least, None):
                raise ValueError(f"{name}={value!r} must be a whole number from {least} on.")
        for name in ("tolerance", "learning_rate_init"):
            value = getattr(self, name)
            if not isinstance(value, Real) or not 0 < float(value) < float("inf"):
                raise ValueError(f"{name}={value!r} must be a number above 0.")

    def bits_of(self, names: list[str]) -> dict[str, Bits]:
        """The bits that are asked for each layer.

        Raises
        ------
        ValueError
            Where bits are given for a layer that there is not.
        """
        if not isinstance(self.bits, Mapping):
            return dict.fromkeys(names, self.bits)
        unknown = sorted(set(self.bits) - set(names))
        if unknown:
            raise ValueError(f"bits are given for {unknown}, but the layers are {names}.")
        return {name: self.bits.get(name, "auto") for name in names}


def _is_whole(value: Any, least: int, most: int | None) -> bool:
    is_whole = isinstance(value, Integral) and not isinstance(value, bool)
    return is_whole and least <= value and (most is None or value <= most)


def _need_one_of(name: str, value: Any, known: Any) -> None:
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"{name}={value!r} must be one of {', '.join(map(repr, known))}.")
