"""Groups of features as the user gives them, turned into a partition of the columns of X."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sksparse._typing import Array, Indices
from sksparse._validation import _short

_NO_NAMES = (
    "X has no column names: give positions, which one_hot_groups has as well, or a DataFrame "
    "(set_output of transformers)"
)


@dataclass(frozen=True)
class Groups:
    """Groups of features as the user named them.

    Parameters
    ----------
    names : ndarray of shape (n_groups,)
        Labels, positions in the list, or keys of the dict, in that order.
    labels : ndarray of shape (n_features,)
        Number of each feature's group, among the groups that hold a feature.
    filled : ndarray of shape (n_filled,)
        Positions in ``names`` of the groups that hold a feature.
    """

    names: Any
    labels: Indices
    filled: Indices

    @classmethod
    def from_positions(cls, names: Any, positions: Indices) -> Groups:
        """Groups from the position in ``names`` of each feature's group."""
        counts = np.bincount(positions, minlength=len(names))
        numbers = np.cumsum(counts > 0) - 1
        return cls(names, numbers[positions].astype(np.intp), np.flatnonzero(counts))

    @property
    def root_sizes(self) -> Array:
        """Square root of the number of features of each group that holds one."""
        return np.sqrt(np.bincount(self.labels))


def check_groups(
    groups: Any, n_features: int, feature_names: Any, *, skip_missing: bool = False
) -> Groups:
    """Resolve the ``groups`` parameter to a partition of the features.

    Parameters
    ----------
    groups : None, array-like of shape (n_features,), list of index lists, or dict
        None puts every feature in a group of its own. A dict maps a name to columns, given as
        positions or as names.
    n_features : int
        Number of features.
    feature_names : ndarray of shape (n_features,) or None
        Names of the features, where X had them.
    skip_missing : bool, default=False
        Whether to leave out of a group the names of columns that X lacks.

    Raises
    ------
    ValueError
        Where a column is unknown, in two groups or in none.
    """
    if groups is None:
        return Groups.from_positions(np.arange(n_features), np.arange(n_features))
    if isinstance(groups, Mapping):
        names = np.fromiter(groups, dtype=object, count=len(groups))
        positions = _from_members(groups, n_features, feature_names, skip_missing)
        return Groups.from_positions(names, positions)
    groups = list(groups)
    if groups and all(np.ndim(g) == 1 for g in groups):
        members = dict(enumerate(groups))
        positions = _from_members(members, n_features, feature_names, skip_missing)
        return Groups.from_positions(np.arange(len(groups)), positions)
    if len(groups) != n_features or any(np.ndim(g) != 0 for g in groups):
        raise ValueError(
            f"groups must hold one label per feature ({n_features}), index lists, or be a dict of "
            f"name -> columns; got {len(groups)} entries: {_short(groups)}."
        )
    if len({isinstance(g, str) for g in groups}) > 1 or any(g is None or g != g for g in groups):
        raise ValueError(
            f"groups must hold labels of one kind, all names or all numbers, none missing; got "
            f"{_short(groups)}."
        )
    names, positions = np.unique(np.asarray(groups), return_inverse=True)
    return Groups.from_positions(names, positions)


def _from_members(
    members: Mapping[Any, Any], n_features: int, feature_names: Any, skip_missing: bool
) -> Indices:
    labels = np.full(n_features, -1, dtype=np.intp)
    known = {} if feature_names is None else {n: j for j, n in enumerate(feature_names)}
    for number, (name, columns) in enumerate(members.items()):
        columns = (
            list(columns) if np.iterable(columns) and not isinstance(columns, str) else [columns]
        )
        if not columns:
            raise ValueError(f"groups: group {name!r} is empty; leave it out.")
        for column in columns:
            if skip_missing and known and isinstance(column, str) and column not in known:
                continue
            j = _position(column, name, n_features, known)
            if labels[j] >= 0:
                other = list(members)[labels[j]]
                raise ValueError(
                    f"groups overlap: column {column!r} is in groups {other!r} and {name!r}; "
                    "every feature belongs to exactly one group."
                )
            labels[j] = number
    missing = np.flatnonzero(labels < 0)
    if missing.size:
        left = [feature_names[j] if known else int(j) for j in missing]
        raise ValueError(
            f"groups are incomplete: no group holds column(s) {_short(left)}; every feature "
            "belongs to exactly one group, so add a group of one for each feature on its own."
        )
    return labels


def _position(column: Any, group: Any, n_features: int, known: dict[Any, int]) -> int:
    if isinstance(column, str):
        if column not in known:
            names = f"the columns are {_short(list(known))}" if known else _NO_NAMES
            raise ValueError(
                f"groups: unknown column {column!r} in group {group!r}; {names}. If it encodes a "
                "category that these samples lack, give the encoder its categories, or set "
                "missing_columns='ignore'."
            )
        return known[column]
    if isinstance(column, (bool, np.bool_)) or not isinstance(column, (int, np.integer)):
        raise ValueError(
            f"groups: column {column!r} in group {group!r} is neither a position nor a name; give "
            "integers, or column names of a DataFrame."
        )
    if not 0 <= column < n_features:
        raise ValueError(
            f"groups: column {column!r} in group {group!r} is out of range; positions go from 0 "
            f"to {n_features - 1}. Where samples may lack columns, give names and a DataFrame."
        )
    return int(column)
