"""A best-subset problem along a grid of numbers of features or of strengths."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np

from sksparse._typing import Array, Indices, Mask
from sksparse.linear_model._path_protocol import (
    Grid,
    PathFits,
    PathTask,
    solve_along,
    value_at,
)
from sksparse.linear_model._separation import is_separated, separation_message
from sksparse.linear_model.l0._dominant import (
    ResidualProblem,
    explains_nearly_all,
    lost_gains_message,
    solve_with_dominant,
)
from sksparse.linear_model.l0._options import check_subset_penalty
from sksparse.linear_model.l0._path_result import L0Path, implied_alphas
from sksparse.losses import Loss
from sksparse.penalties import L0
from sksparse.solvers import (
    Certificate,
    Correlations,
    Design,
    Problem,
    Solution,
    Status,
    SubsetDescent,
    SubsetNewton,
    subset_path,
)

_NOT_CHECKED = (
    "The last fit was interrupted: the answer is that of the path, which was not checked against "
    "all features. Remedy: fit again and wait longer."
)


@dataclass(frozen=True, kw_only=True)
class SubsetTask(PathTask):
    """Data, loss and penalty of a best-subset problem, and the budget of its solvers.

    Parameters
    ----------
    design : Design
        Features.
    loss : Loss
        Data term.
    penalty : L0
        Norms, weights and bounds; its ``max_features`` is not used.
    fit_intercept : bool
        Whether an intercept is fitted.
    effort, max_iter : int
        As in the solvers.
    tol : float
        As in the solvers.
    sample_count : float
        How many samples the weights stand for.
    verbose : int, default=0
        As in the solvers.
    """

    penalty: L0
    effort: int
    max_iter: int
    tol: float
    sample_count: float
    verbose: int = 0

    @classmethod
    def of(cls, X: Any, loss: Loss, *, penalty_weights: Any, positive: Any, **options: Any) -> Self:
        """Check the parameters that describe a task.

        Raises
        ------
        ValueError
            Where one cannot be used.
        """
        norms = {name: options.pop(name, 0.0) for name in ("l1", "l2", "scaled_l2")}
        penalty = check_subset_penalty(
            X.shape[1],
            max_features=None,
            penalty_weights=penalty_weights,
            positive=positive,
            n_outputs=loss.n_outputs,
            **norms,
        )
        return cls(design=Design(X), loss=loss, penalty=penalty, **options)

    @cached_property
    def penalised(self) -> Mask:
        """Features with a positive penalty weight: these are chosen, the others always kept."""
        return ~self.penalty.free(self.design.n_features)

    @cached_property
    def null_loss(self) -> float:
        """Loss of the intercept alone."""
        return value_at(self.loss, np.tile(self._constant, (self.design.n_samples, 1)))

    @property
    def _constant(self) -> Any:
        """Intercepts of the model without features."""
        return np.broadcast_to(self._problem().null_intercept, self.loss.n_outputs)

    def distinct(self, most: int) -> int:
        """Number of different samples with a weight, at most ``most``."""
        return self._problem().distinct(most)

    def fit(
        self, *, max_features: int | None = None, alpha: float = 0.0, start: Array | None = None
    ) -> Solution:
        """The fit with at most so many features, or else at a strength."""
        if max_features == 0:
            return self._without_choice()
        problem = self._problem(alpha, max_features)
        if not self.loss.quadratic:
            return self._solve(problem, start)
        return solve_with_dominant(self._solve, problem, start)

    def refit(self, grid: Grid, fits: PathFits, point: int) -> Solution:
        """The fit of one point, checked against all features as those of a path are not."""
        if grid.max_features is None:
            found = self.fit(alpha=float(grid.points[point]))
        else:
            start = fits.at(point)[0]
            found = self.fit(max_features=int(grid.points[point]), start=start)
        if found.status is not Status.INTERRUPTED:
            return found
        coef, intercept = fits.at(point)
        return replace(found, coef=coef, intercept=intercept, message=_NOT_CHECKED)

    def fit_along(self, grid: Grid) -> PathFits:
        fits = self._fit_along(grid)
        last = fits.coefs[0, :, -1], fits.intercepts[0, -1]
        if not self.loss.quadratic or not explains_nearly_all(self._problem(), *last):
            return fits
        return self._search_residuals(grid, fits)

    def _search_residuals(self, grid: Grid, fits: PathFits) -> PathFits:
        """The same fits, or better ones of residual problems where features dominate."""
        answers = [(self._problem_at(grid, k), *fits.at(k)) for k in range(len(fits))]
        found = [ResidualProblem.of(*answer) for answer in answers]
        lost = [
            lost_gains_message(*answer)
            for answer, rest in zip(answers, found, strict=True)
            if rest is None
        ]
        fits = replace(fits, message=next(filter(None, [fits.message, *lost]), ""))
        rests = {k: rest for k, rest in enumerate(found) if rest is not None}
        while rests and not fits.interrupted:
            first = next(iter(rests.values()))
            # a feature that dominates a small support need not be in the larger ones
            alike = [k for k, rest in rests.items() if np.all(rest.coef[first.coef != 0.0] != 0.0)]
            fits = self._with_residual(grid, fits, np.array(alike), first)
            rests = {k: rest for k, rest in rests.items() if k not in alike}
        return fits

    def _problem_at(self, grid: Grid, point: int) -> Problem:
        if grid.max_features is None:
            return self._problem(float(grid.points[point]))
        return self._problem(max_features=int(grid.points[point]))

    def _with_residual(
        self, grid: Grid, fits: PathFits, at: Indices, rest: ResidualProblem
    ) -> PathFits:
        """The fits, some replaced by those of a residual problem where these are better."""
        if grid.alphas is not None:
            left, alphas = grid.part(at), grid.alphas
        else:
            limits = grid.points[at] - np.count_nonzero(rest.coef[self.penalised])
            at, left = at[limits > 0], Grid(max_features=limits[limits > 0])
            alphas = np.zeros(len(grid))
        if not at.size:
            return fits
        penalty = replace(rest.penalty, max_features=None)
        found = replace(self, loss=rest.problem.loss, penalty=penalty).fit_along(left)
        found = replace(
            found,
            coefs=found.coefs + rest.coef[None, :, None],
            intercepts=found.intercepts + rest.intercept,
        )
        whole = fits.with_part(at, found)
        alphas = alphas[: len(fits)]
        values = [self.losses(each) + alphas * self.costs(each) for each in (fits, whole)]
        worse = np.flatnonzero(values[0] < values[1])
        whole = whole.with_part(worse, fits.part(worse))
        return replace(whole, interrupted=fits.interrupted or found.interrupted)

    def _fit_along(self, grid: Grid) -> PathFits:
        if grid.max_features is None:
            return PathFits.of(self._at_strengths(grid.points))
        null = [self._without_choice()] if grid.points[0] == 0 else []
        limits = [int(limit) for limit in grid.points if limit > 0]
        return PathFits.of(null + (self._within_limits(limits) if limits else []))

    def path(self, grid: Grid, fits: PathFits) -> L0Path:
        losses = self.losses(fits)
        implied = implied_alphas(losses + self.norms(fits), self.costs(fits))
        return L0Path(
            **self.common_results(fits, losses),
            alphas=implied if grid.alphas is None else grid.alphas[: len(fits)],
            sizes=None if grid.max_features is None else grid.max_features[: len(fits)],
        )

    def n_features(self, fits: PathFits) -> Indices:
        return np.count_nonzero(fits.used[self.penalised], axis=0)

    def norms(self, fits: PathFits) -> Array:
        """What ``l1`` and ``l2`` add to the loss of each fit."""
        used = np.flatnonzero(fits.used.any(axis=1))
        coefs, l1, l2 = fits.coefs[:, used], self.penalty.l1, self.ridge(used)[:, None]
        # the square of a coefficient may be beyond the largest number
        ridge = 0.5 * (np.sqrt(l2) * coefs) ** 2
        return np.asarray(np.sum(l1 * np.abs(coefs) + ridge, (0, 1)))

    def ridge(self, features: Indices) -> Array:
        """Strength of the ridge on each of some features."""
        if self.penalty.scaled_l2 == 0.0:
            return np.full(len(features), self.penalty.l2)
        part = self.design.select(features)
        weights, centre = self.loss.weights, self.fit_intercept
        means = part.rmatvec(weights) if centre else np.zeros(len(features))
        return self.penalty.l2 + self.penalty.scaled_l2 * part.variances(weights, means)

    def separation(self, fits: PathFits) -> str:
        """Why the fits need a warning, if features separate the classes."""
        return separation_message(
            self.design, self.loss, self.penalty, self.fit_intercept, fits.each()
        )

    def is_separated(self, coef: Array, intercept: Any) -> bool:
        """Whether the features of a fit separate the classes."""
        answer = (coef, intercept)
        return is_separated(self.design, self.loss, self.penalty, self.fit_intercept, *answer)

    def costs(self, fits: PathFits) -> Array:
        """Sum of the penalty weights of the features that each fit uses."""
        return np.asarray(self.penalty.factors(self.design.n_features) @ fits.used)

    @property
    def _is_plain(self) -> bool:
        """Whether a Gram matrix tells the exact gain of every move."""
        return self.loss.quadratic and self.penalty.l1 == 0.0 and self.penalty.positive is None

    @property
    def _budget(self) -> dict[str, Any]:
        options = ("effort", "tol", "max_iter", "verbose")
        return {name: getattr(self, name) for name in options}

    def _problem(self, alpha: float = 0.0, max_features: int | None = None) -> Problem:
        penalty = replace(self.penalty, max_features=max_features)
        return Problem(self.design, self.loss, penalty, alpha, self.fit_intercept)

    def _solve(
        self,
        problem: Problem,
        start: Array | None = None,
        **known: Any,
    ) -> Solution:
        """``known`` is what strengths share: ``data``, or for other losses ``known_path``."""
        solver = SubsetDescent if self._is_plain else SubsetNewton
        return solver(**known, **self._budget).solve(problem, start)

    def _within_limits(self, limits: list[int]) -> list[Solution]:
        if self._is_plain:
            return subset_path(self._problem(), limits, **self._budget)
        return SubsetNewton(**self._budget).path(self._problem(), limits)

    def _at_strengths(self, alphas: Array) -> list[Solution]:
        known: dict[str, Any] = {}
        if self._is_plain:
            known["data"] = Correlations(self._problem(), self.penalty.l2)
        else:
            newton = SubsetNewton(**self._budget)
            known["known_path"] = newton.cardinality_path(self._problem())
        return solve_along(
            alphas,
            # without a warm start: a fit does not depend on the other strengths asked for
            lambda alpha, _: self._solve(self._problem(alpha), **known),
            self.verbose,
        )

    def _without_choice(self) -> Solution:
        """The fit on the features that are always kept."""
        free = np.flatnonzero(~self.penalised)
        if not free.size:
            return self._null_solution()
        part = replace(self, design=self.design.select(free), penalty=self._free_penalty(free))
        found = part._solve(part._problem())
        coef = np.zeros((*found.coef.shape[:-1], self.design.n_features))
        coef[..., free] = found.coef
        return replace(found, coef=coef)

    def _free_penalty(self, free: Indices) -> L0:
        positive = None if self.penalty.positive is None else self.penalty.positive[free]
        weights = np.zeros(len(free))
        return replace(self.penalty, penalty_weights=weights, positive=positive)

    def _null_solution(self) -> Solution:
        outputs = () if self.loss.n_outputs == 1 else (self.loss.n_outputs,)
        return Solution(
            coef=np.zeros((*outputs, self.design.n_features)),
            intercept=self._constant if outputs else self._problem().null_intercept,
            status=Status.CONVERGED,
            certificate=Certificate("no feature may enter", 0.0),
            gap=np.nan,
            n_iter=1,
            message="",
        )
