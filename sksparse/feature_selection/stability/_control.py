"""Threshold, number of features and error: which of the three follows from the other two."""

from __future__ import annotations

from typing import NamedTuple

from sksparse.feature_selection.stability._bounds import (
    error_bound,
    fewest_votes,
    most_features,
    votes_needed,
)

#: What is asked for where nothing else says it.
THRESHOLD, ERROR = 0.75, 1.0


class Control(NamedTuple):
    """What is known before the resampling.

    Parameters
    ----------
    threshold, error : float or None
        What was asked for, with the defaults; None where it follows.
    limit : int or None
        Most features selected from half of the samples; None for no limit.
    n_features, n_pairs : int
        Number of features of X, and of pairs of halves.
    assumption : str
        That of the bound.
    """

    threshold: float | None
    limit: int | None
    error: float | None
    n_features: int
    n_pairs: int
    assumption: str

    def settle(self, mean_selected: float, n_pairs: int) -> tuple[float, float]:
        """Threshold and bound, after the resampling.

        Parameters
        ----------
        mean_selected : float
            How many features a half selected on average; it takes the place of a missing limit.
        n_pairs : int
            How many pairs were drawn, fewer where it was interrupted.
        """
        q = mean_selected if self.limit is None else self.limit
        threshold = self.threshold
        if threshold is None:
            assert self.error is not None
            votes = fewest_votes(q, self.error, self.n_features, self.n_pairs, self.assumption)
            threshold = min(votes / (2 * self.n_pairs), 1.0)
        votes = votes_needed(threshold, n_pairs)
        return threshold, error_bound(q, self.n_features, votes, n_pairs, self.assumption)

    def check_reach(self) -> None:
        """Raise where even the largest threshold does not bound the error of so many features."""
        if self.limit is None or self.error is None:
            return
        best = self.settle(0.0, self.n_pairs)[1]
        if best <= self.error:
            return
        most = most_features(
            self.error, self.n_features, 2 * self.n_pairs, self.n_pairs, self.assumption
        )
        remedy = f"max_features of at most {most}, or " if most else ""
        raise ValueError(
            f"error_bound={self.error:g} is out of reach of max_features={self.limit}: even "
            f"threshold=1 bounds the error by {best:.3g}. Give {remedy}a larger error_bound."
        )


def resolve(
    threshold: float | None,
    max_features: int | str | None,
    error: float | None,
    n_features: int,
    n_pairs: int,
    assumption: str,
) -> Control:
    """Tell which of the three follows, and compute it where that is possible beforehand.

    Raises
    ------
    ValueError
        Where all three are given, or two cannot be met.
    """
    n_given = sum(value is not None for value in (threshold, max_features, error))
    if n_given == 3:
        raise ValueError(
            f"threshold={threshold}, max_features={max_features!r} and error_bound={error}: one "
            "follows from the other two; give two of them, and None for the third."
        )
    if threshold is None and (max_features is None or error is None):
        threshold = THRESHOLD
    common = (n_features, n_pairs, assumption)
    if max_features == "all":
        return Control(threshold, None, error, *common)
    if max_features is not None:
        control = Control(threshold, min(int(max_features), n_features), error, *common)
        control.check_reach()
        return control
    assert threshold is not None
    error = ERROR if error is None else error
    votes = votes_needed(threshold, n_pairs)
    limit = most_features(error, n_features, votes, n_pairs, assumption)
    if not limit:
        least = error_bound(1, n_features, votes, n_pairs, assumption)
        raise ValueError(
            f"error_bound={error:g} is out of reach at threshold={threshold:g}: a single feature "
            f"selected from each half, of {n_features}, bounds the error by {least:.3g}. Give a "
            "larger error_bound or threshold."
        )
    return Control(threshold, limit, error, *common)
