"""Constants that steer branch and bound."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tuning:
    """Losses are in units of the null model's, coefficients in those of columns of unit length.

    Attributes
    ----------
    rounding, rounding_of_objective, rounding_of_products, least_rounding : float
        Two objectives are equal up to ``rounding``, or less where the best one is small:
        ``rounding_of_objective`` times it, but not less than products of coefficients leave,
        ``rounding_of_products`` times the square of their sum, and ``least_rounding``.
    null_loss_error : float
        Two computations of the null model's loss differ by less than this share, which covers
        sums over many samples.
    gap_beyond : float
        Rounding may leave a relative gap larger by this at most than what was asked for.
    max_refitted : int
        Columns up to which subsets may be searched by cardinality, with exact refits at a cost of
        their square a node.
    relaxation_gap_share : float
        Relaxations cost more a node than refits: they are preferred where the gap that is left at
        the root is below this share of the gap that the fit on all columns leaves.
    max_factorised : int
        Columns up to which their whole matrix of correlations is factorised, a dozen times.
    work : float
        Multiplications between two checks of the time, some hundredths of a second.
    depth : int
        Nodes that wait while one is followed to the end: twice as many rows are allocated.
    max_entering : int
        Columns that join the working set at once.
    nearly : float
        Columns that fall short of lowering a bound by less than this share of their penalty join it
        as well: the next nodes need them.
    max_active : int
        A node with more columns in use is not solved to the end: a valid bound is enough.
    barriers : tuple of float
        Weights of the barrier of the diagonal share; below the last the sum gains no digit.
    barrier_steps : int
        Newton steps at each weight.
    shortest_step : float
        Share of a Newton step below which it is given up.
    boundary_step : float
        Share of the longest possible step that is taken, to stay away from the boundary, and of
        the smallest eigenvalue that is started from.
    smallest_eigenvalue : float
        A matrix of correlations with a smaller one is singular up to rounding.
    barrier_gain : float
        Factor by which the smallest eigenvalue must exceed the share known already.
    diagonal_margin : float
        Share by which the diagonal is reduced, so that rounding cannot make a matrix indefinite.
    ridge_margin : float
        The same for a ridge, which is known to more digits.
    """

    rounding: float = 1e-9
    rounding_of_objective: float = 1e-5
    rounding_of_products: float = 5e-15
    least_rounding: float = 2e-14
    null_loss_error: float = 1e-12
    gap_beyond: float = 1e-4
    max_refitted: int = 150
    relaxation_gap_share: float = 0.5
    max_factorised: int = 600
    work: float = 5e7
    depth: int = 100
    max_entering: int = 500
    nearly: float = 0.2
    max_active: int = 2000
    barriers: tuple[float, ...] = (1e-1, 1e-2, 1e-3, 1e-4)
    barrier_steps: int = 3
    shortest_step: float = 1e-3
    boundary_step: float = 0.9
    smallest_eigenvalue: float = 1e-7
    barrier_gain: float = 1.1
    diagonal_margin: float = 1e-6
    ridge_margin: float = 1e-9


TUNING = Tuning()
