"""What a run found, as arrays: fitted selectors hold it without torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sksparse._typing import Array, Indices


@dataclass(frozen=True)
class InputPath:
    """What one run found.

    Parameters
    ----------
    order : ndarray of shape (n_groups,)
        The groups of features, those that left first at the beginning.
    n_features : ndarray of shape (n_counts,)
        Numbers of features that the network was scored with, falling.
    scores, errors : ndarray of shape (n_counts,)
        Its scores for the validation rows, and their standard errors.
    n_epochs : int
        Epochs of the run.
    losses : ndarray of shape (n_counts,)
        Its mean losses for the validation rows.
    is_complete : bool, default=True
        Whether the run was not interrupted.
    evidence : float, default=inf
        By how many standard errors of the score the best network was better than a constant;
        infinite where its loss was far less, or where this cannot be told.
    """

    order: Indices
    n_features: Indices
    scores: Array
    errors: Array
    n_epochs: int
    losses: Array
    is_complete: bool = True
    evidence: float = np.inf

    def at(self, n_features: Indices) -> tuple[Array, Array]:
        """Scores and errors at other numbers of features, in between on a logarithmic scale."""
        ends = np.log(self.n_features[::-1])
        scores, errors = (
            np.interp(np.log(n_features), ends, values[::-1])
            for values in (self.scores, self.errors)
        )
        return scores, errors
