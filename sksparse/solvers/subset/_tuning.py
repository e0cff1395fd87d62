"""Numbers that tune the textbook solvers for least squares."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tuning:
    """How far the textbook solvers go at once; counts unless said otherwise.

    Parameters
    ----------
    per_step : int
        Features, numbers of features or strengths that one step of the outer loop works through: an
        interruption loses no more, and they do not use up ``max_iter``.
    first_capacity : int
        Columns for which forward selection first holds memory; doubled as they are used up.
    between_checks : float
        Multiplications of backward elimination between two checks for an interruption: about a
        tenth of a second.
    patience : int
        Numbers of features in a row without a better objective after which a path of splicing ends.
    most_new : int
        Columns that may join the support in a working set of coordinate descent: few, because each
        enlarges the Gram matrix, and the next pass finds the others.
    below_entry, below_last, below_still : float
        The next strength of coordinate descent, as a share of that at which another feature enters,
        or of the last one where this is less, so that the path does not go in tiny steps; and less
        still where the support did not change.
    stable_sweeps : int
        Sweeps over an unchanged support before its coefficients are solved for; doubled at every
        try.
    max_solves, max_sweeps : int
        How often they are, and sweeps before each: bounds that rounding alone can reach.
    coordinate_gain : float
        Largest gain, relative to the loss of the null model, that a coordinate may have left: above
        rounding.
    """

    per_step: int = 10
    first_capacity: int = 16
    between_checks: float = 1e8
    patience: int = 5
    most_new: int = 50
    below_entry: float = 0.99
    below_last: float = 0.97
    below_still: float = 0.8
    stable_sweeps: int = 3
    max_solves: int = 12
    max_sweeps: int = 10_000
    coordinate_gain: float = 1e-13


TUNING = Tuning()
