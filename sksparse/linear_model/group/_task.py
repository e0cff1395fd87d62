"""Fits of grouped features: adapted to a pilot fit, and relaxed, where that is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np

from sksparse._typing import Array, Indices, Mask
from sksparse.linear_model._convex_path import ConvexPath, ConvexTask
from sksparse.linear_model._path_protocol import Grid, PathFits
from sksparse.linear_model._separation import separation_message
from sksparse.linear_model.group._model import GroupModel
from sksparse.losses import Loss
from sksparse.penalties import L0
from sksparse.solvers import BlockDescent, Design, Problem, Solution

# Tolerance of the fit of groups that are never penalised, at which others would enter.
_EXACT = 1e-12

#: Takes the task without adaptation, for a loss; coefficients of the features of X.
Pilot = Callable[["GroupTask"], Array]


class Answer(NamedTuple):
    """A refit.

    Parameters
    ----------
    coef, intercept
        As a solver has them.
    message : str
        Text of a warning, or empty.
    """

    coef: Array
    intercept: Any
    message: str


@dataclass(frozen=True)
class GroupLassoPath(ConvexPath):
    """The fits of a group lasso at decreasing strengths of its penalty.

    Parameters
    ----------
    n_features : ndarray of shape (n_points,)
        Number of features that each fit keeps, those of groups that are always kept included.
    alphas : ndarray of shape (n_points,)
        Strengths of the penalty, decreasing.
    coefs : ndarray of shape (n_features, n_points) or (n_outputs, n_features, n_points)
        Coefficients, in the float type of the features; the latter shape for several targets or
        more than two classes.
    intercepts : ndarray of shape (n_points,) or (n_outputs, n_points)
        Intercepts.
    losses : ndarray of shape (n_points,)
        Weighted mean loss of each fit, without the penalty.
    optimality : ndarray of shape (n_points,)
        Largest violation of the optimality conditions of each fit, as a correlation.
    dual_gaps : ndarray of shape (n_points,)
        Duality gap of each fit, in units of the objective; nan where no bound is known.
    groups : ndarray of shape (n_groups,)
        Names of the groups.
    labels : ndarray of shape (n_features,)
        Position in ``groups`` of each feature's group, the first of several.
    alpha_max : float
        The smallest strength at which no group is selected that is penalised.
    group_norms : ndarray of shape (n_groups, n_points)
        Euclidean norm of the coefficients of each group.
    """

    groups: Any
    labels: Indices
    alpha_max: float
    group_norms: Array


@dataclass(frozen=True, kw_only=True)
class GroupTask(ConvexTask):
    """A linear model of grouped features, to be fitted at one strength or at many.

    Parameters
    ----------
    design, loss, fit_intercept, penalty, solver, max_iter, tol, verbose, eps
        As in :class:`ConvexTask`.
    model : GroupModel
        Groups and what they cost, adapted where there is a pilot.
    base : GroupModel
        The same, not adapted.
    pilot : callable or None
        The pilot fit that adapts it.
    relax : bool
        Whether what a fit keeps is fitted once more, without the penalty.
    """

    model: GroupModel
    base: GroupModel
    pilot: Pilot | None
    relax: bool

    @classmethod
    def of(
        cls,
        design: Design,
        loss: Loss,
        model: GroupModel,
        *,
        pilot: Pilot | None = None,
        **options: Any,
    ) -> Self:
        """The task for a loss, adapted by its pilot.

        Parameters
        ----------
        design : Design
            The columns that solvers see, as ``model.design`` makes them.
        loss : Loss
            Data term.
        model : GroupModel
            Groups and what they cost, not adapted.
        pilot : callable or None, default=None
            The pilot fit.
        **options : dict
            Further fields.
        """
        task = cls(
            design=design,
            loss=loss,
            penalty=model.penalty(),
            solver=BlockDescent,
            model=model,
            base=model,
            pilot=pilot,
            **options,
        )
        return task._adapted()

    def with_loss(self, loss: Loss) -> Self:
        plain = replace(self, loss=loss, model=self.base, penalty=self.base.penalty())
        return plain._adapted()

    def _adapted(self) -> Self:
        if self.pilot is None:
            return self
        model = self.base.adapted(self.pilot(self))
        return replace(self, model=model, penalty=model.penalty())

    def _null_fit(self) -> tuple[Array, Any]:
        if not self.model.forced.any():
            return super()._null_fit()
        return self._forced_fit.coef, self._forced_fit.intercept

    @cached_property
    def _forced_fit(self) -> Solution:
        """The fit of groups that are never penalised alone."""
        # what enters next follows from its gradient, so that has to be exact
        exact = replace(self, tol=min(self.tol, _EXACT))
        return exact.free_fit(self.model.forced, self.model.l2)

    def free_fit(self, columns: Mask, ridge: float, start: Array | None = None) -> Solution:
        """The fit of some columns for which nothing is charged but a ridge.

        Parameters
        ----------
        columns : ndarray of shape (n_columns,)
            The columns; coefficients of others are zero.
        ridge : float
            Strength of the ridge.
        start : ndarray or None, default=None
            Coefficients of all columns to start from.
        """
        # all columns are not copied
        every = bool(columns.all())
        design = self.design if every else self.design.select(np.flatnonzero(columns))
        penalty = self.model.free_penalty(columns, ridge)
        part = Problem(design, self.loss, penalty, 0.0, self.fit_intercept)
        begin = None if start is None else start[..., columns]
        found = self._solver(None).solve(part, begin)
        coef = self._unit_problem.null_coef
        coef[..., columns] = found.coef
        return replace(found, coef=coef)

    def solve(self, alpha: float, coef: Array | None = None) -> Solution:
        found = super().solve(alpha, self._start() if coef is None else coef)
        message = self._without_minimum(alpha, found.coef, found.intercept) or found.message
        if not self.relax:
            return replace(found, message=message)
        answer = self._relaxed(found.coef, found.intercept)
        message = message or answer.message
        return replace(found, coef=answer.coef, intercept=answer.intercept, message=message)

    def start_from(self, coef: Array) -> Array | None:
        return self.model.start(coef, self.loss.n_outputs)

    def _start(self) -> Array | None:
        """The fit of what is never penalised: where nothing else enters, it is the answer."""
        return self._forced_fit.coef if self.model.forced.any() else None

    def _without_selection(self, grid: Grid, fits: PathFits) -> PathFits:
        """The fits, with the exact ones at strengths that select nothing but what is forced."""
        if not self.model.forced.any():
            return fits
        high = np.flatnonzero(grid.points[: len(fits)] >= self.alpha_max)
        if not high.size:
            return fits
        found = [super(GroupTask, self).solve(float(a), self._start()) for a in grid.points[high]]
        return fits.with_part(high, PathFits.of(found))

    def fit_along(self, grid: Grid) -> PathFits:
        fits = self._without_selection(grid, super().fit_along(grid))
        last = len(fits) - 1
        message = self._without_minimum(float(grid.points[last]), *fits.at(last))
        fits = replace(fits, message=message or fits.message)
        if not self.relax:
            return fits
        kept, answers = None, list[Answer]()
        for point in range(len(fits)):
            coef, intercept = fits.at(point)
            before, kept = kept, self.model.kept(coef)
            same = before is not None and np.array_equal(before, kept)
            answers.append(answers[-1] if same else self._relaxed(coef, intercept))
        return replace(
            fits,
            coefs=np.stack([np.atleast_2d(answer.coef) for answer in answers], axis=-1),
            intercepts=np.stack([np.atleast_1d(a.intercept) for a in answers], axis=-1),
            message=next(filter(None, [fits.message, *(a.message for a in answers)]), ""),
        )

    def _relaxed(self, coef: Array, intercept: Any) -> Answer:
        """The refit of what a fit keeps."""
        kept = self.model.kept(coef)
        if not kept.any():
            return Answer(coef, intercept, "")
        found = self.free_fit(kept, self.model.l2, coef)
        message = self._separation(kept, found.coef, found.intercept) or found.message
        return Answer(found.coef, found.intercept, message)

    def _without_minimum(self, alpha: float, coef: Array, intercept: Any) -> str:
        """Text of a warning where a fit has no minimum: along what costs nothing the loss falls."""
        if alpha == 0.0:
            return self._separation(np.ones_like(self.model.forced), coef, intercept)
        if not self.loss.unbounded_if or not self.model.forced.any():
            return ""
        alone = self._forced_fit
        return self._separation(self.model.forced, alone.coef, alone.intercept)

    def _separation(self, free: Mask, coef: Array, intercept: Any) -> str:
        """Text of a warning where a fit of columns that cost nothing has no minimum."""
        if self.model.is_bounded(free):
            return ""
        ridge, fits = L0(l2=self.model.l2), [(coef, intercept)]
        return separation_message(self.design, self.loss, ridge, self.fit_intercept, fits)

    def n_features(self, fits: PathFits) -> Indices:
        kept = (self.model.groups.features(self.model.kept(coef)) for coef, _ in fits.each())
        return np.array([mask.sum() for mask in kept], dtype=np.intp)

    def path(self, grid: Grid, fits: PathFits) -> GroupLassoPath:
        results = self.common_results(fits, self.losses(fits))
        by_point = np.moveaxis(results["coefs"], -1, 0)
        results["coefs"] = np.moveaxis(self.model.groups.coef(by_point), 0, -1)
        norms = [self.model.group_norms(coef) for coef, _ in fits.each()]
        return GroupLassoPath(
            **results,
            alphas=grid.points[: len(fits)],
            dual_gaps=fits.gaps,
            groups=self.model.groups.names,
            labels=self.model.labels,
            alpha_max=self.alpha_max,
            group_norms=np.column_stack(norms),
        )
