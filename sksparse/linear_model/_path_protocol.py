"""The protocol of paths: what a family of models offers to be fitted along a grid.

A family derives from :class:`PathTask` and says how it is fitted along a grid and at one point of
it. Cross-validation (:mod:`sksparse.linear_model._cross_validation`) and the estimators that
choose a point (:mod:`sksparse.linear_model._path_search`) use nothing but this.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any, NamedTuple, Self

import numpy as np

from sksparse._fit_tasks import fit_tasks
from sksparse._interrupts import check, worth_keeping
from sksparse._progress import Progress
from sksparse._typing import Array, Indices, Mask
from sksparse.losses import Loss
from sksparse.solvers import Design, Solution, Status, cut_short


class Tuning(NamedTuple):
    """What is held in memory at once.

    Parameters
    ----------
    predictions : int
        Numbers in the predictors of several fits.
    copied : int
        Numbers in columns of X in float64.
    columns : int
        Columns that are read at once at least.
    """

    predictions: int = 2**25
    copied: int = 2**22
    columns: int = 256


TUNING = Tuning()


@dataclass(frozen=True)
class Grid:
    """The points of a path, the sparsest model first: limits or strengths, the other is None.

    Parameters
    ----------
    max_features : ndarray of shape (n_points,) or None
        Limits on the number of features, increasing.
    alphas : ndarray of shape (n_points,) or None
        Strengths of the penalty, decreasing.
    """

    max_features: Indices | None = None
    alphas: Array | None = None

    @property
    def points(self) -> Any:
        """The limits, or else the strengths."""
        return self.alphas if self.max_features is None else self.max_features

    def part(self, at: Any) -> Grid:
        """Some of the points."""
        if self.max_features is None:
            return Grid(alphas=self.points[at])
        return Grid(max_features=self.max_features[at])

    def __len__(self) -> int:
        return len(self.points)

    def __str__(self) -> str:
        name = "alpha" if self.max_features is None else "max_features"
        return f"{name} {self.points[0]:.3g} to {self.points[-1]:.3g}"


@dataclass(frozen=True)
class PathFits:
    """The fits along a grid.

    Parameters
    ----------
    coefs : ndarray of shape (n_outputs, n_features, n_points)
        Coefficients.
    intercepts : ndarray of shape (n_outputs, n_points)
        Intercepts.
    optimality : ndarray of shape (n_points,)
        Certificates; nan where there is none.
    gaps : ndarray of shape (n_points,)
        Duality gaps; nan where there is none.
    message : str
        Why the first fit that did not converge did not; empty if all did.
    interrupted : bool
        Whether the grid was left early, from the keyboard.
    """

    coefs: Array
    intercepts: Array
    optimality: Array
    gaps: Array
    message: str
    interrupted: bool

    @classmethod
    def of(cls, solutions: list[Solution]) -> PathFits:
        """Collect solutions."""
        return cls(
            coefs=np.stack([np.atleast_2d(found.coef) for found in solutions], axis=-1),
            intercepts=np.stack([np.atleast_1d(found.intercept) for found in solutions], axis=-1),
            optimality=np.array([found.certificate.value for found in solutions]),
            gaps=np.array([found.gap for found in solutions]),
            message=next((found.message for found in solutions if found.message), ""),
            interrupted=any(found.status is Status.INTERRUPTED for found in solutions),
        )

    def __len__(self) -> int:
        return len(self.optimality)

    def with_part(self, at: Indices, part: PathFits) -> PathFits:
        """A copy in which the fits at some points are replaced by those of ``part``."""
        coefs, intercepts = self.coefs.copy(), self.intercepts.copy()
        optimality, gaps = self.optimality.copy(), self.gaps.copy()
        at = at[: len(part)]
        coefs[..., at], intercepts[:, at] = part.coefs, part.intercepts
        optimality[at], gaps[at] = part.optimality, part.gaps
        return PathFits(
            coefs, intercepts, optimality, gaps, self.message or part.message, self.interrupted
        )

    def part(self, at: Indices) -> PathFits:
        """Some of the fits."""
        return replace(
            self,
            coefs=self.coefs[..., at],
            intercepts=self.intercepts[:, at],
            optimality=self.optimality[at],
            gaps=self.gaps[at],
        )

    def at(self, point: int) -> tuple[Any, Any]:
        """Coefficients and intercept of one fit, as a solver takes and returns them."""
        coef, intercept = self.coefs[..., point], self.intercepts[:, point]
        return (coef[0], float(intercept[0])) if len(coef) == 1 else (coef, intercept)

    def each(self) -> list[tuple[Array, Array]]:
        """Coefficients of shape (n_outputs, n_features) and intercepts of every fit."""
        return list(zip(np.moveaxis(self.coefs, -1, 0), self.intercepts.T, strict=True))

    @property
    def used(self) -> Mask:
        """Which feature each fit uses, shape (n_features, n_points)."""
        return (self.coefs != 0.0).any(axis=0)


@dataclass(frozen=True)
class RegularizationPath:
    """The fits of a path, in order of increasing number of features.

    Parameters
    ----------
    n_features : ndarray of shape (n_points,)
        Number of features that each fit has chosen.
    alphas : ndarray of shape (n_points,)
        Strengths of the penalty, decreasing.
    coefs : ndarray of shape (n_features, n_points) or (n_outputs, n_features, n_points)
        Coefficients, in the float type of the features.
    intercepts : ndarray of shape (n_points,) or (n_outputs, n_points)
        Intercepts.
    losses : ndarray of shape (n_points,)
        Weighted mean loss of each fit, without the penalty.
    optimality : ndarray of shape (n_points,)
        What `optimality_` says of a single fit; nan where it was not computed.
    """

    n_features: Indices
    alphas: Array
    coefs: Array
    intercepts: Array
    losses: Array
    optimality: Array


@dataclass(frozen=True, kw_only=True)
class PathTask(ABC):
    """Data and parameters of a family, to be fitted at the points of a grid.

    Parameters
    ----------
    design : Design
        Features.
    loss : Loss
        Data term.
    fit_intercept : bool
        Whether an intercept is fitted.
    """

    design: Design
    loss: Loss
    fit_intercept: bool

    @abstractmethod
    def fit_along(self, grid: Grid) -> PathFits:
        """The fits along a grid, each as if its point had been asked for alone."""

    @abstractmethod
    def refit(self, grid: Grid, fits: PathFits, point: int) -> Solution:
        """The fit of one point with its certificate; ``fits`` of a path are a start."""

    @abstractmethod
    def path(self, grid: Grid, fits: PathFits) -> RegularizationPath:
        """The path that is returned to the user, in the float type of the features."""

    def common_results(self, fits: PathFits, losses: Array) -> dict[str, Any]:
        """Fields of a :class:`RegularizationPath` that do not depend on the family."""
        dtype, one = self.design.dtype, len(fits.coefs) == 1
        return {
            "n_features": self.n_features(fits),
            "coefs": (fits.coefs[0] if one else fits.coefs).astype(dtype),
            "intercepts": (fits.intercepts[0] if one else fits.intercepts).astype(dtype),
            "losses": losses,
            "optimality": fits.optimality,
        }

    def with_loss(self, loss: Loss) -> Self:
        """The same task for another loss, or other weights of the samples."""
        return replace(self, loss=loss)

    def n_features(self, fits: PathFits) -> Indices:
        """Number of features that each fit has chosen."""
        return np.count_nonzero(fits.used, axis=0)

    def losses(self, fits: PathFits, weights: Array | None = None) -> Array:
        """Data term of each fit, shape (n_points,), for other weights where they are given."""
        loss = self.loss if weights is None else self.loss.with_weights(weights)
        width = max(TUNING.predictions // (self.design.n_samples * len(fits.coefs)), 1)
        parts = [slice(start, start + width) for start in range(0, len(fits), width)]
        return np.concatenate([self._losses(loss, fits, part) for part in parts])

    def _losses(self, loss: Loss, fits: PathFits, points: slice) -> Array:
        z = self._predictor(fits.coefs[..., points])
        z += fits.intercepts[:, points]
        return np.array([value_at(loss, z[..., k]) for k in range(z.shape[-1])])

    def _predictor(self, coefs: Array) -> Array:
        """Predictor without intercepts, shape (n_samples, n_outputs, n_points)."""
        m, _, n_points = coefs.shape
        used = np.flatnonzero((coefs != 0.0).any(axis=(0, 2)))
        flat = coefs[:, used].transpose(1, 0, 2).reshape(len(used), m * n_points)
        width = max(TUNING.copied // self.design.n_samples, TUNING.columns)
        # a row for each predictor, so that each of them is contiguous
        z = np.asarray(flat[:width].T @ self.design.columns(used[:width]).T)
        for start in range(width, len(used), width):
            part = slice(start, start + width)
            z += flat[part].T @ self.design.columns(used[part]).T
        return z.T.reshape(-1, m, n_points)


def value_at(loss: Loss, z: Array) -> float:
    """Value of a loss at a predictor of shape (n_samples, n_outputs)."""
    return loss.value(np.ascontiguousarray(z[:, 0] if loss.n_outputs == 1 else z))


def solve_along(
    alphas: Array, solve: Callable[[float, Solution | None], Solution], verbose: int = 0
) -> list[Solution]:
    """The solutions at decreasing strengths, or the first of them after an interruption.

    Parameters
    ----------
    alphas : ndarray of shape (n_points,)
        Strengths.
    solve : callable
        Takes a strength and the solution before it, None for the first.
    verbose : int, default=0
        What is written about the strengths; see :mod:`sksparse._progress`.
    """
    found: list[Solution] = []
    try:
        with (
            Progress("path", "strength", len(alphas), verbose=verbose) as progress,
            fit_tasks("strengths", len(alphas)) as strengths,
        ):
            for alpha in alphas:
                check()
                strengths.begin()
                found.append(solve(float(alpha), found[-1] if found else None))
                progress.step(_describe, alpha, found[-1])
                strengths.end()
                if found[-1].status is Status.INTERRUPTED:
                    break
    except KeyboardInterrupt:
        if not found or not worth_keeping():
            raise
    return found if len(found) == len(alphas) else cut_short(found, len(alphas))


def _describe(alpha: float, solution: Solution) -> str:
    used = np.count_nonzero(np.atleast_2d(solution.coef).any(axis=0))
    return f"alpha {alpha:.3g}, {used} features"


def is_count(alphas: Any) -> bool:
    """Whether ``alphas`` says how many strengths there shall be."""
    return isinstance(alphas, Integral) and not isinstance(alphas, bool)


def check_alphas(alphas: Any) -> Array:
    """Strengths as the user lists them, in decreasing order, each once.

    Raises
    ------
    ValueError
        Where one cannot be used.
    """
    try:
        values = np.asarray(alphas, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"alphas={alphas!r} must be numbers.") from error
    flags = np.asarray(alphas).dtype == bool
    if (
        flags
        or values.ndim != 1
        or not values.size
        or not np.all(np.isfinite(values) & (values >= 0))
    ):
        raise ValueError(
            f"alphas={alphas!r} must be a list of strengths, finite and non-negative, or how many "
            "to try."
        )
    return np.unique(values)[::-1].copy()
