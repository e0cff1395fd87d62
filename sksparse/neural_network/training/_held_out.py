"""The rows that decide when to stop: given by the user, or set aside by groups or at random."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.model_selection import GroupShuffleSplit
from sklearn.utils import check_consistent_length, column_or_1d

from sksparse._typing import Array, Indices

#: Draws of groups until every class is left to learn from.
_DRAWS = 20


@dataclass(frozen=True)
class Validation:
    """What ``fit`` was told about validation rows, as it was passed.

    Parameters
    ----------
    X, y, sample_weight
        The rows themselves.
    groups
        Groups of the training rows, which are set aside as a whole.
    """

    X: Any = None
    y: Any = None
    sample_weight: Any = None
    groups: Any = None

    def check(self, *, early_stopping: bool) -> None:
        """Refuse what does not go together."""
        given = [
            name
            for name, value in (
                ("X_val", self.X),
                ("y_val", self.y),
                ("sample_weight_val", self.sample_weight),
                ("groups", self.groups),
            )
            if value is not None
        ]
        if given and not early_stopping:
            raise ValueError(
                f"{', '.join(given)} given, but early_stopping=False has no use for validation "
                "rows; set early_stopping=True."
            )
        if (self.X is None) != (self.y is None):
            have, lack = ("X_val", "y_val") if self.y is None else ("y_val", "X_val")
            raise ValueError(f"{have} is given without {lack}; give both or neither.")
        if self.X is None and self.sample_weight is not None:
            raise ValueError("sample_weight_val is given without X_val and y_val; give these too.")
        if self.X is not None and self.groups is not None:
            raise ValueError(
                "groups say which rows to set aside, and X_val and y_val are given instead; give "
                "one or the other."
            )


@dataclass(frozen=True)
class HeldOut:
    """Validation rows as the trainer takes them: features, encoded targets and weights."""

    X: Any
    y: Indices | Array
    weight: Array


def split_groups(
    groups: Any, labels: Indices | None, weight: Array, fraction: float, seed: int
) -> tuple[Array, Array]:
    """Weights of the rows to learn from and of those to validate with, of different groups.

    Parameters
    ----------
    groups : array-like of shape (n_samples,)
        The group of each row.
    labels : ndarray of shape (n_samples,) or None
        Their classes; None for a regression.
    weight : ndarray of shape (n_samples,)
        Weights of the rows.
    fraction : float
        Share of the groups to validate with.
    seed : int
        Seed of the draw.
    """
    groups = column_or_1d(groups)
    check_consistent_length(groups, weight)
    rows = np.flatnonzero(weight > 0)
    n_groups = len(np.unique(groups[rows]))
    n_valid = math.ceil(fraction * n_groups)
    if n_valid >= n_groups:
        raise ValueError(
            f"validation_fraction={fraction!r} cannot set any of {n_groups} groups aside and keep "
            "others to learn from; give more groups, or X_val and y_val."
        )
    draws = GroupShuffleSplit(_DRAWS, test_size=n_valid, random_state=seed)
    for learn, check in draws.split(rows, groups=groups[rows]):
        if labels is None or np.isin(labels[rows], labels[rows[learn]]).all():
            parts = np.zeros((2, len(weight)))
            parts[0, rows[learn]], parts[1, rows[check]] = weight[rows[learn]], weight[rows[check]]
            return parts[0], parts[1]
    raise ValueError(
        f"Of {_DRAWS} draws of {n_valid} among {n_groups} groups none leaves samples of every "
        "class to learn from; lower validation_fraction, or give X_val and y_val."
    )
