"""Numbers that tune the search for least squares."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tuning:
    """How far and among how many columns is searched; counts unless said otherwise.

    Parameters
    ----------
    max_moves : int
        Moves by rank-one updates after which a support is factorised afresh, before rounding adds
        up.
    max_rounds : int
        Rounds of so many moves; more would be rounding that goes in circles.
    max_sweeps : int
        Sweeps of a coordinate descent that only proposes a support.
    sweep_tol : float
        Change of the coefficients of unit-length columns at which such a descent ends.
    samples_per_feature : int
        With so many samples for each feature forward selection is a good start for one number of
        features; with fewer there are many local optima, and supports of all numbers that improve
        each other are a better one.
    most_new : int
        Columns that join the working set at once when a pass over all says that they gain: few,
        because each enlarges the Gram matrix, and a further pass finds the others.
    few_first, few_per_feature : int
        With so many samples, columns of the first working set: so many, and so many for each
        feature that is wanted.
    few_new : int
        Columns that then join, and one more for each feature that is wanted, in the order of their
        correlations with the residual.
    few_rounds : int
        How often they do.
    long_first, long_per_feature, long_beyond : int
        Long supports are searched among so many columns at first, or so many times the features
        that may be wanted, or so many more than these, which bounds the Gram matrix.
    overshoot : int
        Features that a forward selection beyond the limit takes above twice the support: a few
        for small supports, of which twice is not far.
    block_ends : tuple of int
        Numbers of features at which the blocks end that are searched together: each about twice
        the one before, and numbers that people ask for.
    block_new, block_new_per_feature : int
        Columns that may join the working set of a block: so many, and so many for each feature at
        its end, since short blocks need fewer.
    most_exchanged : int
        Features that one random exchange replaces at most: with more it would be a new start.
    """

    max_moves: int = 64
    max_rounds: int = 100
    max_sweeps: int = 200
    sweep_tol: float = 1e-7
    samples_per_feature: int = 20
    most_new: int = 60
    few_first: int = 40
    few_per_feature: int = 3
    few_new: int = 20
    few_rounds: int = 2
    long_first: int = 300
    long_per_feature: int = 8
    long_beyond: int = 1000
    overshoot: int = 10
    block_ends: tuple[int, ...] = (4, 8, 16, 32, 50, 100)
    block_new: int = 16
    block_new_per_feature: int = 12
    most_exchanged: int = 4

    @property
    def longest(self) -> int:
        """Features up to which blocks are searched; longer supports grow by forward selection."""
        return self.block_ends[-1]


TUNING = Tuning()
