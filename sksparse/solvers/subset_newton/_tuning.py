"""Numbers that tune best-subset searches for any smooth loss."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tuning:
    """How much is searched and how exactly fits are refined; counts unless said otherwise.

    Parameters
    ----------
    trial, final : float
        Newton steps of a trial, and of an answer, end when they expect to gain this share of the
        loss: what is then left is about its square.
    nothing, noise, finest : float
        Rounding of a loss, of the square root of a gain in units of that of the null loss, and of
        the square root of the null loss.
    max_moves : int
        Moves in one model; more would be rounding that goes in circles.
    max_rounds : int
        Models around one another in one search.
    n_promising : int
        Single moves with a predicted gain that are refitted: the first that lowers the objective is
        taken, and moves beyond these hardly ever do.
    n_unpromising : int
        Moves that are refitted although the model, which is not exact, predicts no gain.
    few_features : int
        Up to so many features all adds and drops are refitted, and a swap for each.
    few_pairs : int
        All single moves are tried where there are at most so many pairs of a feature in use and
        another.
    first_rank : int
        Features for which distinct samples are counted first; later counts double the number
        needed.
    overshoot : int
        Features that a forward selection beyond the limit takes above a multiple of the support.
    faint : float
        A ridge that is a smaller share of a squared length does not distinguish collinear columns.
    least_curvature : float
        Share of the mean curvature that a feature of the support has at least, so that it can leave
        once the samples on which it varies are fitted perfectly.
    first, first_per_feature : int
        Columns of the first working set, or so many times the features that may be wanted.
    first_numbers : int
        Numbers that the first working set holds at most (half a gigabyte), unless the features that
        are wanted need more.
    most_new : int
        Columns that join a working set at once.
    path_first, path_new : int
        On a path, columns of the first working set, and columns that join at a checkpoint.
    path_promising : int
        On a path, single moves that are refitted for each number of features, times the effort.
    path_gain, path_little : float
        On a path, the smallest predicted gain that is refitted once a number of features is
        reached, as a share of the null loss, or of ``path_little`` times the loss of the best
        feature alone where that is less, since one feature may explain nearly all.
    path_beyond, path_longest : int
        For a strength, supports are grown to twice the best one and so many features more, and to
        ``path_longest`` at most.
    path_checkpoints : tuple of int
        Numbers of features at which a path passes over all columns.
    certified : int
        Features that are entered, in the certificate, to see by how much the objective falls.
    halvings : int
        Lengths, each half the one before, at which such a feature is entered.
    refit_steps, refit_halvings : int
        Newton steps of a refit, and halvings of one step, at most.
    refit_more : float
        After the first Newton step, the following ones together gain at most so many times what the
        second-order model expects of one, unless the loss has no minimum.
    refit_jitter : float
        Added to the diagonal of its matrix, as a share of it: rounding must not make it indefinite.
    refit_sweeps, refit_patterns : int
        Coordinate sweeps between two systems on a pattern of zeros, and patterns in one step.
    refit_rounding : float
        Newton steps that expect to gain less than this share of the value are taken without a
        check, whose result would be rounding.
    refit_flat : float
        Where the loss is saturated, a long step that gains less than this share of the value is
        refused.
    refit_longest : float
        Predictors move by no more than this in a step: where a loss is flat, steps would overflow.
    per_step : int
        Features that enter or leave in one step of the stepwise rules, or half of those in use: an
        interruption loses no more.
    """

    trial: float = 1e-7
    final: float = 1e-13
    nothing: float = 1e-20
    noise: float = 1e-14
    finest: float = 1e-11
    max_moves: int = 1000
    max_rounds: int = 200
    n_promising: int = 30
    n_unpromising: int = 5
    few_features: int = 30
    few_pairs: int = 200
    first_rank: int = 32
    overshoot: int = 5
    faint: float = 1e-4
    least_curvature: float = 1e-12
    first: int = 300
    first_per_feature: int = 8
    first_numbers: int = 2**26
    most_new: int = 200
    path_first: int = 200
    path_new: int = 100
    path_promising: int = 3
    path_gain: float = 3e-4
    path_little: float = 10.0
    path_beyond: int = 4
    path_longest: int = 100
    path_checkpoints: tuple[int, ...] = tuple(2**e for e in range(2, 30))
    certified: int = 3
    halvings: int = 12
    refit_steps: int = 100
    refit_halvings: int = 40
    refit_more: float = 3.0
    refit_jitter: float = 1e-13
    refit_sweeps: int = 20
    refit_patterns: int = 100
    refit_rounding: float = 1e-11
    refit_flat: float = 1e-7
    refit_longest: float = 1e4
    per_step: int = 10


TUNING = Tuning()
