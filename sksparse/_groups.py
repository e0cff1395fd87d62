"""Groups of features as the user gives them, resolved to the columns of X."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils._param_validation import StrOptions

from sksparse._columns import ColumnFinder, groups_by_prefix, is_many, names_given, needs_names
from sksparse._typing import Array, Indices, Mask
from sksparse._validation import _short

#: What the ``groups`` parameter of an estimator may be, for its parameter constraints.
GROUP_FORMS: list[Any] = ["array-like", Mapping, callable, StrOptions({"prefix"}), None]
#: The same for its ``overlap``.
OVERLAP_FORMS: list[Any] = [StrOptions({"error", "latent"})]


@dataclass(frozen=True)
class Groups:
    """Groups of features as the user named them.

    Groups that overlap are solved as a partition of *latent* columns: a feature that is in several
    groups has a column for each of them, and its coefficient is the sum of theirs.

    Parameters
    ----------
    names : ndarray of shape (n_groups,)
        Labels, positions in the list, or keys of the dict, in that order.
    labels : ndarray of shape (n_latent,)
        Number of each latent column's group, among the groups that hold a feature.
    filled : ndarray of shape (n_filled,)
        Positions in ``names`` of the groups that hold a feature.
    n_features : int
        Number of features.
    columns : ndarray of shape (n_latent,) or None
        The feature of each latent column, group after group. None where the groups are a partition
        of the features, which then are the latent columns themselves.
    """

    names: Any
    labels: Indices
    filled: Indices
    n_features: int
    columns: Indices | None = None

    @classmethod
    def from_positions(cls, names: Any, positions: Indices) -> Groups:
        """A partition, from the position in ``names`` of each feature's group."""
        counts = np.bincount(positions, minlength=len(names))
        numbers = np.cumsum(counts > 0) - 1
        labels = numbers[positions].astype(np.intp)
        return cls(names, labels, np.flatnonzero(counts), len(labels))

    @classmethod
    def from_members(cls, names: Any, members: list[Indices], n_features: int) -> Groups:
        """Groups from the features of each, every feature in one of them at least."""
        columns = np.concatenate(members).astype(np.intp)
        positions = np.repeat(np.arange(len(members)), [len(m) for m in members])
        if len(columns) == n_features:
            labels = np.empty(n_features, dtype=np.intp)
            labels[columns] = positions
            return cls.from_positions(names, labels)
        latent = cls.from_positions(names, positions)
        return cls(names, latent.labels, latent.filled, n_features, columns)

    @property
    def root_sizes(self) -> Array:
        """Square root of the number of features of each group that holds one."""
        return np.sqrt(np.bincount(self.labels))

    def members(self) -> list[Indices]:
        """The features of each of ``names``."""
        columns = np.arange(self.n_features) if self.columns is None else self.columns
        positions = self.filled[self.labels]
        order = np.argsort(positions, kind="stable")
        cuts = np.cumsum(np.bincount(positions, minlength=len(self.names)))
        return np.split(columns[order], cuts[:-1])

    def of_encoded(self, sources: Indices) -> Groups:
        """The groups of the columns that features are encoded as.

        Parameters
        ----------
        sources : ndarray of shape (n_encoded,)
            The feature of each column.
        """
        order = np.argsort(sources, kind="stable")
        cuts = np.searchsorted(sources[order], np.arange(self.n_features + 1))
        made = [order[cuts[j] : cuts[j + 1]] for j in range(self.n_features)]
        none = np.empty(0, dtype=np.intp)
        members = [np.concatenate([none, *(made[j] for j in group)]) for group in self.members()]
        return Groups.from_members(self.names, members, len(sources))

    def latent(self, values: Any) -> Any:
        """Values of the features, or the columns of X themselves, for the latent columns."""
        return values if self.columns is None else values[..., self.columns]

    def coef(self, latent: Array) -> Array:
        """Coefficients of the features, from those of the latent columns along the last axis."""
        if self.columns is None:
            return latent
        coef = np.zeros((*latent.shape[:-1], self.n_features), dtype=latent.dtype)
        np.add.at(coef.T, self.columns, latent.T)
        return coef

    def features(self, latent: Mask) -> Mask:
        """Mask of the features that have a latent column of a mask of these."""
        if self.columns is None:
            return latent
        mask = np.zeros(self.n_features, dtype=bool)
        mask[self.columns[latent]] = True
        return mask


def check_groups(
    groups: Any,
    n_features: int,
    feature_names: Any,
    *,
    skip_missing: bool = False,
    overlap: str = "error",
) -> Groups:
    """Resolve the ``groups`` parameter.

    Parameters
    ----------
    groups : None, "prefix", array-like of shape (n_features,), list, dict or callable
        None puts every feature in a group of its own, which has its name; "prefix" those whose
        names are the same up to the last underscore together. An array-like has the label of each
        feature. A list has the columns of each group, or names of raw columns, each with a group of
        its own. A dict maps a name to columns. A callable takes the names of the features and
        returns one of these.
    n_features : int
        Number of features.
    feature_names : ndarray of shape (n_features,) or None
        Names of the features, where X had them.
    skip_missing : bool, default=False
        Whether to leave out of a group the names of columns that X lacks.
    overlap : {"error", "latent"}, default="error"
        Whether a feature may be in several groups.

    Raises
    ------
    ValueError
        Where a column is unknown, in no group, or in two that may not overlap.
    """
    if groups is None:
        names = np.arange(n_features) if feature_names is None else feature_names
        return Groups.from_positions(names, np.arange(n_features))
    if callable(groups):
        groups = groups(needs_names(feature_names, "a function"))
        if groups is None or callable(groups):
            raise ValueError(
                f"The function given for groups must return groups; it returned {groups!r}."
            )
    if isinstance(groups, str):
        return _from_prefixes(groups, feature_names)
    if not isinstance(groups, Mapping):
        plain = isinstance(groups, np.ndarray) and groups.dtype.kind in "biufU"
        groups = groups.tolist() if plain else list(groups)
        if _are_labels(groups, n_features, feature_names):
            return _from_labels(groups)
        groups = _named(groups, n_features)
    names = np.fromiter(groups, dtype=object, count=len(groups))
    given = frozenset[str]() if feature_names is None else names_given(groups.values())
    finder = ColumnFinder(n_features, feature_names, given, skip_missing)
    members = [finder.find(columns, group) for group, columns in groups.items()]
    _refuse_empty(groups, members, skip_missing)
    counts = np.bincount(np.concatenate([*members, []]).astype(np.intp), minlength=n_features)
    if not counts.all():
        left = finder.shown(np.flatnonzero(counts == 0).tolist())
        raise ValueError(
            f"groups are incomplete: no group holds column(s) {_short(left)}; every feature "
            "belongs to a group, so add a group of one for each feature on its own."
        )
    if counts.max() > 1:
        _refuse_repetitions(groups, members, finder, overlap)
    return Groups.from_members(names, [np.array(m, dtype=np.intp) for m in members], n_features)


def _from_prefixes(groups: str, feature_names: Any) -> Groups:
    if groups != "prefix":
        raise ValueError(
            f"groups={groups!r} is not known; the one string is 'prefix', for columns whose names "
            "are the same up to the last underscore."
        )
    names, positions = groups_by_prefix(needs_names(feature_names, "'prefix'"))
    return Groups.from_positions(np.array(names, dtype=object), np.array(positions, dtype=np.intp))


def _are_labels(groups: list[Any], n_features: int, feature_names: Any) -> bool:
    """Whether a list has the label of each feature, rather than the columns of each group.

    A tuple is a label where there is one entry for each feature, and columns otherwise. Names of
    all columns, each once, are their groups; as labels they would be the same groups.
    """
    kinds = set(map(type, groups))
    first = (next(g for g in groups if type(g) is kind) for kind in kinds - {tuple})
    if len(groups) != n_features or any(is_many(g) for g in first):
        return False
    # sets of labels need them to be hashable, which is checked later
    strings = all(issubclass(kind, str) for kind in kinds)
    if feature_names is None or not strings or len(set(groups)) < n_features:
        return True
    finder = ColumnFinder(n_features, feature_names, frozenset(groups), skip_missing=True)
    return sorted(j for g in groups for j in finder.find(g, g)) != list(range(n_features))


def _from_labels(groups: list[Any]) -> Groups:
    if all(kind is int or issubclass(kind, np.integer) for kind in set(map(type, groups))):
        # as below, and faster
        names, positions = np.unique(np.asarray(groups), return_inverse=True)
        return Groups.from_positions(names, positions)
    try:
        first = list(dict.fromkeys(groups))
    except TypeError as error:
        raise ValueError(
            f"groups must hold labels that are hashable, such as names, numbers and tuples; got "
            f"{_short(groups)}."
        ) from error
    if any(is_missing(g) for g in first):
        raise ValueError(
            f"groups must hold a label for each feature, none missing; got {_short(groups)}."
        )
    try:
        ordered = sorted(first)
    except TypeError:
        # labels of several kinds cannot be compared
        ordered = first
    numbers = {label: number for number, label in enumerate(ordered)}
    positions = np.array([numbers[label] for label in groups], dtype=np.intp)
    return Groups.from_positions(_as_array(ordered), positions)


def _as_array(labels: list[Any]) -> Any:
    """Labels as an array: of numbers or strings where all are, else of objects."""
    same = len({isinstance(label, str) for label in labels}) == 1
    if same and not any(is_many(label) for label in labels):
        array = np.asarray(labels)
        if array.ndim == 1 and array.dtype.kind in "biufUM":
            return array
    return np.fromiter(labels, dtype=object, count=len(labels))


def is_missing(label: Any) -> bool:
    """Whether a value is None, NaN or the missing value of a table."""
    try:
        return label is None or bool(label != label)
    except TypeError:
        # a missing value of pandas is neither true nor false
        return True


def _named(groups: list[Any], n_features: int) -> dict[Any, Any]:
    """A list of the columns of each group, or of raw columns, as a dict."""
    if groups and all(isinstance(g, str) for g in groups):
        if len(set(groups)) < len(groups):
            twice = next(g for k, g in enumerate(groups) if g in groups[:k])
            raise ValueError(
                f"groups must hold a label for each of the {n_features} features, or names of raw "
                f"columns, each once; got {len(groups)} names, {twice!r} more than once."
            )
        return {g: g for g in groups}
    if groups and all(is_many(g) for g in groups):
        return dict(enumerate(groups))
    raise ValueError(
        f"groups must hold one label per feature ({n_features}), the columns of each group, or be "
        f"a dict of name -> columns; got {len(groups)} entries: {_short(groups)}."
    )


def _refuse_empty(groups: Mapping[Any, Any], members: list[list[int]], skip_missing: bool) -> None:
    """Every group has columns, unless they are missing."""
    for (name, columns), found in zip(groups.items(), members, strict=True):
        if not found and (not skip_missing or np.size(columns) == 0):
            raise ValueError(f"groups: group {name!r} is empty; leave it out.")


def _refuse_repetitions(
    groups: Mapping[Any, Any], members: list[list[int]], finder: ColumnFinder, overlap: str
) -> None:
    """No column is twice in a group, or in two groups unless this is asked for."""
    owner: dict[int, Any] = {}
    for name, found in zip(groups, members, strict=True):
        if len(set(found)) < len(found):
            twice = next(j for k, j in enumerate(found) if j in found[:k])
            raise ValueError(
                f"groups: column {finder.shown([twice])[0]!r} is in group {name!r} twice; name it "
                "once."
            )
        for j in found if overlap == "error" else ():
            if j in owner:
                raise ValueError(
                    f"groups overlap: column {finder.shown([j])[0]!r} is in groups {owner[j]!r} "
                    f"and {name!r}; leave it in one of them, or set overlap='latent'."
                )
            owner[j] = name
