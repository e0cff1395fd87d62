"""Columns of X as the user points at them: positions, names, masks, slices, patterns, functions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from sksparse._validation import _short

# What imputers of scikit-learn put before the name of a column with missing values.
_INDICATOR = "missingindicator_"
_NO_NAMES = (
    "X has no column names: give positions, which one_hot_groups has as well, or a DataFrame "
    "(set_output of transformers)"
)


def is_many(columns: Any) -> bool:
    """Whether what the user gave can stand for several columns; a name or a position cannot."""
    listed = np.iterable(columns) and not isinstance(columns, str | bytes | Mapping)
    return listed or isinstance(columns, slice | re.Pattern) or callable(columns)


def needs_names(names: Any, what: str) -> Any:
    """Names of the columns, which a way to give groups depends on."""
    if names is None:
        raise ValueError(f"groups: {what} needs the names of the columns; {_NO_NAMES}.")
    return names


@dataclass(frozen=True)
class ColumnFinder:
    """Finds the columns that the user means.

    Parameters
    ----------
    n_features : int
        Number of columns of X.
    names : ndarray of shape (n_features,) or None
        Their names, where X has them.
    raw_names : frozenset of str
        All names that the user gives. Those that X lacks may be of columns that an encoder has made
        others of.
    skip_missing : bool
        Whether what fits no column is left out.
    """

    n_features: int
    names: Any
    raw_names: frozenset[str]
    skip_missing: bool

    def find(self, columns: Any, group: Any) -> list[int]:
        """Positions of the columns of one group, in the order given.

        Raises
        ------
        ValueError
            Where something is not a column of X.
        """
        if isinstance(columns, re.Pattern):
            names = needs_names(self.names, f"the pattern of group {group!r}")
            found = [j for j, name in enumerate(names) if columns.search(name)]
            return self._some(found, f"pattern {columns.pattern!r}", group)
        if callable(columns):
            chosen = columns(needs_names(self.names, f"the function of group {group!r}"))
            if callable(chosen):
                raise ValueError(f"groups: the function of group {group!r} returned a function.")
            return self._some(self.find(chosen, group), "function", group)
        if isinstance(columns, slice):
            return self._some(self._slice(columns, group), f"{columns}", group)
        plain = isinstance(columns, np.ndarray) and columns.dtype.kind in "iu"
        several = columns.tolist() if plain else list(columns) if is_many(columns) else [columns]
        kinds = set(map(type, several))
        if kinds and kinds <= {bool, np.bool_}:
            return self._mask(several, group)
        if all(kind is int or issubclass(kind, np.integer) for kind in kinds):
            wrong = [c for c in several if not 0 <= c < self.n_features]
            return self._one(wrong[0], group) if wrong else [int(c) for c in several]
        return [j for column in several for j in self._one(column, group)]

    def _some(self, found: list[int], what: str, group: Any) -> list[int]:
        if not (found or self.skip_missing):
            raise ValueError(
                f"groups: the {what} of group {group!r} fits no column; the columns are "
                f"{_short(self.shown(range(self.n_features)))}."
            )
        return found

    def shown(self, positions: Iterable[int]) -> list[Any]:
        """Columns as a message shows them."""
        return [j if self.names is None else str(self.names[j]) for j in positions]

    def _slice(self, columns: slice, group: Any) -> list[int]:
        """Positions, or names from one to another, the last included as in scikit-learn."""
        start, stop = columns.start, columns.stop
        if isinstance(stop, str):
            stop = self._named(stop, group) + 1
        if isinstance(start, str):
            start = self._named(start, group)
        return list(range(self.n_features))[start : stop : columns.step]

    def _named(self, name: str, group: Any) -> int:
        needs_names(self.names, f"the slice of group {group!r}")
        if name not in self._positions:
            raise self._unknown(name, group)
        return self._positions[name]

    def _mask(self, mask: list[Any], group: Any) -> list[int]:
        if len(mask) != self.n_features:
            raise ValueError(
                f"groups: the mask of group {group!r} has {len(mask)} entries; give one for each "
                f"of the {self.n_features} columns."
            )
        return np.flatnonzero(mask).tolist()

    def _one(self, column: Any, group: Any) -> list[int]:
        if isinstance(column, re.Pattern | slice) or callable(column):
            return self.find(column, group)
        if isinstance(column, str):
            if column in self._positions:
                return [self._positions[column]]
            encoded = self._encoded.get(column, [])
            if encoded or (self.skip_missing and self.names is not None):
                return encoded
            raise self._unknown(column, group)
        if isinstance(column, bool | np.bool_) or not isinstance(column, int | np.integer):
            raise ValueError(
                f"groups: column {column!r} in group {group!r} is neither a position nor a name; "
                "give integers, or column names of a DataFrame."
            )
        if not 0 <= column < self.n_features:
            raise ValueError(
                f"groups: column {column!r} in group {group!r} is out of range; positions go from "
                f"0 to {self.n_features - 1}. Where samples may lack columns, give names and a "
                "DataFrame."
            )
        return [int(column)]

    def _unknown(self, column: str, group: Any) -> ValueError:
        every = _short(self.shown(range(self.n_features)))
        known = f"the columns are {every}" if self._positions else _NO_NAMES
        return ValueError(
            f"groups: unknown column {column!r} in group {group!r}, and no column is named after "
            f"it; {known}. If it encodes a category that these samples lack, give the encoder its "
            "categories, or set missing_columns='ignore'."
        )

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {} if self.names is None else {name: j for j, name in enumerate(self.names)}

    @cached_property
    def _encoded(self) -> dict[str, list[int]]:
        """Columns that are named after raw ones, which the user named and X lacks.

        A column goes to the longest name that fits, whatever columns there are besides: so it is
        the same in every fold.
        """
        missing = self.raw_names.difference(self._positions)
        encoded: dict[str, list[int]] = {}
        for name, j in self._positions.items() if missing else ():
            if name in self.raw_names:
                continue
            fitting = sorted(missing.intersection(_stems(name)), key=lambda raw: (len(raw), raw))
            if len(fitting) > 1 and len(fitting[-1]) == len(fitting[-2]):
                raise ValueError(
                    f"groups: column {name!r} may be of {fitting[-2]!r} or of {fitting[-1]!r}; "
                    "rename one of them, or give the names of the columns themselves."
                )
            if fitting:
                encoded.setdefault(fitting[-1], []).append(j)
        return encoded


def _stems(name: str) -> Iterator[str]:
    """Names that a raw column may have had.

    Encoders put ``_`` and a category behind it, column transformers and unions their name and
    ``__`` before it, and imputers ``missingindicator_``.
    """
    start = 0
    while start >= 0:
        yield name[start:]
        if name.startswith(_INDICATOR, start):
            yield name[start + len(_INDICATOR) :]
        end = name.find("_", start)
        while end >= 0:
            yield name[start:end]
            end = name.find("_", end + 1)
        following = name.find("__", start)
        start = -1 if following < 0 else following + 2


def names_given(columns: Iterable[Any]) -> frozenset[str]:
    """All names in what the user gave for the groups."""
    each = (c for one in columns for c in (one if _is_plain(one) else [one]))
    return frozenset(column for column in each if isinstance(column, str))


def _is_plain(columns: Any) -> bool:
    """Whether columns are listed one by one."""
    by_rule = isinstance(columns, re.Pattern | slice | str) or callable(columns)
    return is_many(columns) and not by_rule


def groups_by_prefix(names: Any) -> tuple[list[str], list[int]]:
    """Group columns by what stands before the last underscore of their names.

    ``<transformer>__``, which all columns of a column transformer or union have, is no part of a
    prefix, but columns of two transformers are never grouped. A name without an underscore is a
    prefix itself.

    Returns
    -------
    prefixes : list of str
        Names of the groups, in the order of their first columns.
    positions : list of int
        Position in ``prefixes`` of each column's group.

    Raises
    ------
    ValueError
        Where another underscore would give other groups.
    """
    split = _transformers_apart([str(name) for name in names])
    coarse = [(made_by, rest.split("_")[0]) for made_by, rest in split]
    fine = [(made_by, rest.rpartition("_")[0] or rest) for made_by, rest in split]
    finer: dict[tuple[str, str], tuple[str, str]] = {}
    for name, outer, inner in zip(names, coarse, fine, strict=True):
        if finer.setdefault(outer, inner) != inner:
            other = _other(outer[1], inner[1], finer[outer][1])
            raise ValueError(
                f"groups='prefix' is ambiguous: {name!r} may belong to {outer[1]!r} or to "
                f"{other!r}. Give the names of the raw columns, as in "
                f"groups=[{outer[1]!r}, ...]: columns go to the longest that they begin with."
            )
    numbers = {key: number for number, key in enumerate(dict.fromkeys(fine))}
    prefixes = [prefix for _, prefix in numbers]
    if len(set(prefixes)) < len(prefixes):
        prefixes = [made_by + prefix for made_by, prefix in numbers]
    return prefixes, [numbers[key] for key in fine]


def _other(outer: str, *inner: str) -> str:
    """A prefix that is not the outer one."""
    return next(prefix for prefix in inner if prefix != outer)


def _transformers_apart(names: list[str]) -> list[tuple[str, str]]:
    """Names split behind the transformer that made the column, where all have one."""
    if not all("__" in name for name in names):
        return [("", name) for name in names]
    parts = [name.partition("__") for name in names]
    return [(f"{made_by}__", rest) for made_by, _, rest in parts]
