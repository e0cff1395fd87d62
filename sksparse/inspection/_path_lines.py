"""The lines of a path: for coefficients, groups or clusters, and which of them have a name."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sksparse._typing import Array, Indices, Mask
from sksparse.inspection._path_clusters import any_tied, magnitudes, named, strokes

_SHOWN = ("auto", "groups", "coefficients", "clusters")
# More coefficients than that are drawn as norms of their groups, unless they are asked for.
_MOST_COEFFICIENTS = 20
# The names of so many clusters have room for two lines each.
_FEW_NAMES = 6
# Characters of a name in a legend.
_WIDTH = 32


@dataclass(frozen=True)
class PathLines:
    """Lines to draw, and the names that they go by.

    Parameters
    ----------
    heights : ndarray of shape (n_lines, n_points)
        Heights; nan where nothing is drawn.
    owners : ndarray of shape (n_lines,)
        Position of each line's name; lines of one group or cluster share it. One beyond the
        names belongs to nobody.
    members : ndarray of shape (n_lines,)
        How many coefficients each line stands for where they are tied; one otherwise.
    names : list of str
        Names of features, groups or clusters.
    sizes : ndarray of shape (n_names,)
        Magnitude of what has each name at the point of reference.
    tied : ndarray of shape (n_names,)
        How many coefficients are tied there under each name; one otherwise.
    label : str
        What the heights are.
    kind : {"features", "groups", "clusters"}
        What the names are names of.
    """

    heights: Array
    owners: Indices
    members: Indices
    names: list[str]
    sizes: Array
    tied: Indices
    label: str
    kind: str

    def ranked(self, n_names: int) -> Indices:
        """The names for the legend: the largest in use at the point of reference first."""
        order = np.argsort(-self.sizes, kind="stable")
        return order[: max(min(n_names, int(np.count_nonzero(self.sizes))), 0)]

    def of(self, owner: int) -> Indices:
        """The lines of one name that are used at any point."""
        return np.flatnonzero((self.owners == owner) & self.used)

    @property
    def used(self) -> Mask:
        """Which lines are used at any point."""
        return np.asarray((np.nan_to_num(self.heights) != 0.0).any(axis=1), dtype=np.bool_)


def _whole(
    values: Array, owners: Indices, names: list[str], at: int, label: str, kind: str
) -> PathLines:
    """A line for each row, with a gap where it is used neither at a point nor at its neighbours."""
    used = np.pad(values != 0.0, ((0, 0), (1, 1)))
    heights = np.where(used[:, 1:-1] | used[:, :-2] | used[:, 2:], values, np.nan)
    sizes = np.sqrt(np.bincount(owners, values[:, at] ** 2, minlength=len(names)))
    each, tied = np.ones_like(owners), np.ones(len(names), dtype=np.intp)
    return PathLines(heights, owners, each, names, sizes, tied, label, kind)


def _clustered(values: Array, features: list[str], at: int, n_names: int, label: str) -> PathLines:
    """A line for each set of features while they are tied."""
    found = strokes(values, at)
    n_lines = 2 if min(n_names, len(found.clusters)) <= _FEW_NAMES else 1
    names = [named(cluster, features, n_lines) for cluster in found.clusters]
    sizes = np.array([values[cluster[0], at] for cluster in found.clusters])
    tied = np.array([len(cluster) for cluster in found.clusters], dtype=np.intp)
    return PathLines(
        found.heights, found.owners, found.members, names, sizes, tied, label, "clusters"
    )


def path_lines(
    coefs: Array,
    groups: Iterable[Hashable] | None,
    group_norms: Mapping[Hashable, Any] | None,
    feature_names: Any,
    show: str,
    at: int,
    n_names: int,
) -> PathLines:
    """What is drawn of a path.

    Parameters
    ----------
    coefs : ndarray of shape (n_features, n_points) or (n_outputs, n_features, n_points)
        Coefficients.
    groups, group_norms, feature_names
        As in :class:`~sksparse.inspection.RegularizationPathDisplay`.
    show : {"auto", "groups", "coefficients", "clusters"}
        What each line stands for.
    at : int
        The point of reference: what is large there has a name.
    n_names : int
        Most names in the legend.

    Raises
    ------
    ValueError
        Where ``show`` is unknown, or asks for groups and there are none, or lengths do not agree.
    """
    if show not in _SHOWN:
        raise ValueError(f"show={show!r} is unknown; give one of {list(_SHOWN)}.")
    values = np.linalg.norm(coefs, axis=0) if coefs.ndim == 3 else coefs
    features = names_of_features(feature_names, len(values))
    names, labels = _partition(groups, len(values))
    norms = _norms(group_norms, values, names, labels)
    if show == "groups" and not norms:
        raise ValueError(
            "show='groups' needs groups, and there are none: draw a path of the group lasso, give "
            "the display groups, one label per feature, or show='coefficients'."
        )
    # Of groups of one feature each, the features have the better names.
    grouped = 0 < len(names) < len(values)
    many = np.count_nonzero(values.any(axis=1)) > _MOST_COEFFICIENTS
    norm_of = "norm" if coefs.ndim == 3 else "magnitude"
    if show in ("auto", "clusters") and not (show == "auto" and names):
        tied = magnitudes(coefs)
        if show == "clusters" or any_tied(tied):
            return _clustered(tied, features, at, n_names, f"{norm_of} of the coefficients")
    if show == "groups" or (show == "auto" and grouped and many):
        label = "norm of the group's coefficients"
        heights = np.array([*norms.values()], dtype=np.float64).reshape(len(norms), -1)
        titles = [shortened(g) for g in norms]
        return _whole(heights, np.arange(len(norms)), titles, at, label, "groups")
    label = "norm of the coefficients" if coefs.ndim == 3 else "coefficient"
    if grouped:
        return _whole(values, labels, [shortened(g) for g in names], at, label, "groups")
    return _whole(values, np.arange(len(values)), features, at, label, "features")


def _partition(groups: Iterable[Hashable] | None, n_features: int) -> tuple[list[Any], Indices]:
    """The groups in the order of their first features, and the position of each feature's."""
    if groups is None:
        return [], np.arange(n_features)
    labels = list(groups)
    if len(labels) != n_features:
        raise ValueError(
            f"groups has {len(labels)} labels, and there are {n_features} features; give one for "
            "each, or None."
        )
    numbers: dict[Hashable, int] = {}
    positions = [numbers.setdefault(label, len(numbers)) for label in labels]
    return list(numbers), np.array(positions, dtype=np.intp)


def _norms(
    group_norms: Mapping[Hashable, Any] | None, values: Array, names: list[Any], labels: Indices
) -> dict[Any, Array]:
    """The norms of each group along the path, as given or from the coefficients."""
    if group_norms is not None:
        return dict(group_norms)
    squares = np.zeros((len(names), values.shape[1]))
    if names:
        np.add.at(squares, labels, values**2)
    return dict(zip(names, np.sqrt(squares), strict=True))


def names_of_features(feature_names: Any, n_features: int) -> list[str]:
    """A name for each feature, short enough for a picture; ``x0``, ``x1``, ... by default."""
    if feature_names is None:
        return [f"x{j}" for j in range(n_features)]
    names = [shortened(name) for name in np.asarray(feature_names)]
    if len(names) != n_features:
        raise ValueError(
            f"feature_names has {len(names)} names, and there are {n_features} features; give "
            "one for each, or None."
        )
    return names


def shortened(name: Any) -> str:
    """A name that leaves room for the plot: the middle of a long one is left out."""
    text = str(name)
    if len(text) <= _WIDTH:
        return text
    return f"{text[: _WIDTH // 2]}…{text[1 - _WIDTH // 2 :]}"
