"""How often features are selected, and what the fits warn of."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np

from sksparse._typing import Array, Indices


class Messages(NamedTuple):
    """What fits warned of.

    Parameters
    ----------
    unfinished : list of str
        One for each fit that did not converge.
    others : list of Warning
        Other warnings of fits that selected something.
    """

    unfinished: list[str]
    others: list[Warning]

    def add(self, messages: Messages) -> None:
        """Add those of other fits."""
        self.unfinished.extend(messages.unfinished)
        self.others.extend(messages.others)

    def show_others(self) -> None:
        """Issue the first warning of each kind, as one of the caller of the caller."""
        for first in {type(other): other for other in reversed(self.others)}.values():
            warnings.warn(first, stacklevel=3)


class Votes(NamedTuple):
    """What the halves of some pairs selected.

    Parameters
    ----------
    counts : ndarray of shape (n_strengths, n_features)
        How many halves selected each feature at each strength.
    n_features : int
        Sum over the halves of the number of features selected at any strength.
    messages : Messages
        What the fits warned of.
    """

    counts: Indices
    n_features: int
    messages: Messages


class Tally:
    """The votes of all halves so far.

    Parameters
    ----------
    n_strengths, n_features : int
        How many there are of each.
    """

    def __init__(self, n_strengths: int, n_features: int) -> None:
        self.n_pairs = 0
        self.messages = Messages([], [])
        self._counts = np.zeros((n_strengths, n_features), dtype=np.intp)
        self._n_selected = 0

    def add(self, votes: Votes) -> None:
        """Count those of a pair."""
        self.n_pairs += 1
        self.messages.add(votes.messages)
        self._counts += votes.counts
        self._n_selected += votes.n_features

    @property
    def shares(self) -> Array:
        """Share of the halves that select each feature, at each strength."""
        return self._counts / (2 * self.n_pairs)

    @property
    def mean_features(self) -> float:
        """How many features a half selects, on average."""
        return self._n_selected / (2 * self.n_pairs)

    def describe(self) -> str:
        """For a line of progress."""
        n_frequent = int((self._counts.max(axis=0) > self.n_pairs).sum())
        return f"{self.mean_features:.4g} features a half, {n_frequent} in most of them"

    def unfinished(self, n_pairs: int) -> str:
        """Why the answer is not the one that was asked for; empty where it is."""
        parts = []
        if self.n_pairs < n_pairs:
            parts.append(
                f"interrupted after {self.n_pairs} of {n_pairs} pairs, which alone are counted"
            )
        if self.messages.unfinished:
            parts.append(
                f"{len(self.messages.unfinished)} fits to halves did not converge, the first of "
                f"them says: {self.messages.unfinished[0]}"
            )
        return "Stability selection: " + "; ".join(parts) if parts else ""
