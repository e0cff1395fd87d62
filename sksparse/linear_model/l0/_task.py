"""A best-subset problem over a grid of sizes or of prices."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np

from sksparse._interrupts import check, worth_keeping
from sksparse._typing import Array, Indices, Mask
from sksparse.linear_model._separation import is_separated, separation_message
from sksparse.linear_model.l0._dominant import Remainder, hidden, nearly_all, solve_beyond
from sksparse.linear_model.l0._options import check_subset_penalty
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
    cut_short,
    subset_path,
)


@dataclass(frozen=True)
class Grid:
    """Sizes in increasing order, or prices in decreasing order: ever more features.

    Parameters
    ----------
    sizes : ndarray of shape (n_points,) or None
        Largest numbers of features.
    alphas : ndarray of shape (n_points,) or None
        Prices of a feature. One of the two is None.
    """

    sizes: Indices | None = None
    alphas: Array | None = None

    @property
    def points(self) -> Any:
        """The sizes or prices, whichever they are."""
        return self.alphas if self.sizes is None else self.sizes

    def __str__(self) -> str:
        name = "alpha" if self.sizes is None else "size"
        return f"{name} {self.points[0]:.3g} to {self.points[-1]:.3g}"


@dataclass(frozen=True)
class Points:
    """The fits over a grid.

    Parameters
    ----------
    coefs : ndarray of shape (n_outputs, n_features, n_points)
        Coefficients.
    intercepts : ndarray of shape (n_outputs, n_points)
        Intercepts.
    optimality : ndarray of shape (n_points,)
        Certificates; nan where there is none.
    message : str
        What kept the first fit that did not converge from it.
    interrupted : bool
        Whether the grid was left early, from the keyboard.
    """

    coefs: Array
    intercepts: Array
    optimality: Array
    message: str
    interrupted: bool

    @classmethod
    def of(cls, solutions: list[Solution]) -> Points:
        """Collect solutions."""
        return cls(
            coefs=np.stack([np.atleast_2d(found.coef) for found in solutions], axis=-1),
            intercepts=np.stack([np.atleast_1d(found.intercept) for found in solutions], axis=-1),
            optimality=np.array([found.certificate.value for found in solutions]),
            message=next((found.message for found in solutions if found.message), ""),
            interrupted=any(found.status is Status.INTERRUPTED for found in solutions),
        )

    def replaced(self, point: int, solution: Solution) -> Points:
        """The same with another fit at one point."""
        coefs, intercepts = self.coefs.copy(), self.intercepts.copy()
        optimality = self.optimality.copy()
        coefs[..., point], intercepts[:, point] = solution.coef, solution.intercept
        optimality[point] = solution.certificate.value
        return replace(self, coefs=coefs, intercepts=intercepts, optimality=optimality)

    def with_part(self, at: Indices, part: Points) -> Points:
        """The same with other fits at some points."""
        coefs, intercepts = self.coefs.copy(), self.intercepts.copy()
        optimality, found = self.optimality.copy(), len(part.optimality)
        coefs[..., at[:found]], intercepts[:, at[:found]] = part.coefs, part.intercepts
        optimality[at[:found]] = part.optimality
        return replace(
            self,
            coefs=coefs,
            intercepts=intercepts,
            optimality=optimality,
            message=self.message or part.message,
        )

    @property
    def used(self) -> Mask:
        """Which feature each point uses, shape (n_features, n_points)."""
        return (self.coefs != 0.0).any(axis=0)


@dataclass(frozen=True)
class SubsetTask:
    """Data, loss and rules, and how hard to try.

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
    verbose : int, default=0
        As in the solvers.
    """

    design: Design
    loss: Loss
    penalty: L0
    fit_intercept: bool
    effort: int
    max_iter: int
    tol: float
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
        return cls(Design(X), loss, penalty, **options)

    @cached_property
    def priced(self) -> Mask:
        """Features that are chosen, not just kept."""
        return ~self.penalty.free(self.design.n_features)

    @cached_property
    def null_loss(self) -> float:
        """Loss of the intercept alone."""
        return self._value(np.tile(self._constant, (self.design.n_samples, 1)), self.loss)

    @property
    def _constant(self) -> Any:
        """Intercepts of the model without features."""
        return np.broadcast_to(self._problem().null_intercept, self.loss.n_outputs)

    def distinct(self, most: int) -> int:
        """Number of different samples with a weight, at most ``most``."""
        return self._problem().distinct(most)

    def with_weights(self, weights: Array) -> SubsetTask:
        """The same task for other sample weights, with sum one."""
        return replace(self, loss=type(self.loss)(self.loss.y, weights))

    def fit(
        self, *, size: int | None = None, alpha: float = 0.0, start: Array | None = None
    ) -> Solution:
        """The fit with at most so many features, or else at a price."""
        if size == 0:
            return self._without_choice()
        problem = self._problem(alpha, None if size is None else int(size))
        if not self.loss.quadratic:
            return self._solve(problem, start)
        return solve_beyond(self._solve, problem, start)

    def over(self, grid: Grid) -> Points:
        """The fits over a grid, each as if its point had been asked alone."""
        points = self._over(grid)
        last = points.coefs[0, :, -1], points.intercepts[0, -1]
        if not self.loss.quadratic or not nearly_all(self._problem(), *last):
            return points
        return self._beyond_dominant(grid, points)

    def _beyond_dominant(self, grid: Grid, points: Points) -> Points:
        """The same fits, with what features that explain nearly all hide from them."""
        fits = [
            (
                self._problem(
                    0.0 if grid.alphas is None else float(grid.alphas[k]),
                    None if grid.sizes is None else int(grid.sizes[k]),
                ),
                points.coefs[0, :, k],
                float(points.intercepts[0, k]),
            )
            for k in range(len(points.optimality))
        ]
        found = {k: Remainder.of(*fit) for k, fit in enumerate(fits)}
        rests = {k: rest for k, rest in found.items() if rest is not None}
        messages = [points.message, *(hidden(*fits[k]) for k in found.keys() - rests.keys())]
        points = replace(points, message=next(filter(None, messages), ""))
        while rests and not points.interrupted:
            first = next(iter(rests.values()))
            # longer supports may do without what dominates a short one
            alike = [k for k, rest in rests.items() if np.all(rest.coef[first.coef != 0.0] != 0.0)]
            points = self._with_rest(grid, points, np.array(alike), first)
            rests = {k: rest for k, rest in rests.items() if k not in alike}
        return points

    def _with_rest(self, grid: Grid, points: Points, at: Indices, rest: Remainder) -> Points:
        """The fits with some replaced where what remains is explained better by itself."""
        if grid.alphas is not None:
            left, alphas = Grid(alphas=grid.alphas[at]), grid.alphas
        else:
            sizes = grid.points[at] - np.count_nonzero(rest.coef[self.priced])
            at, left = at[sizes > 0], Grid(sizes=sizes[sizes > 0])
            alphas = np.zeros(len(grid.points))
        if not at.size:
            return points
        penalty = replace(rest.penalty, max_features=None)
        found = replace(self, loss=rest.problem.loss, penalty=penalty).over(left)
        found = replace(
            found,
            coefs=found.coefs + rest.coef[None, :, None],
            intercepts=found.intercepts + rest.intercept,
        )
        whole = points.with_part(at, found)
        prices = alphas[: len(points.optimality)]
        values = [self.losses(each) + prices * self.costs(each) for each in (points, whole)]
        worse = values[0] < values[1]
        whole.coefs[..., worse] = points.coefs[..., worse]
        whole.intercepts[:, worse] = points.intercepts[:, worse]
        whole.optimality[worse] = points.optimality[worse]
        return replace(whole, interrupted=points.interrupted or found.interrupted)

    def _over(self, grid: Grid) -> Points:
        if grid.sizes is None:
            return Points.of(self._over_alphas(grid.points))
        null = [self._without_choice()] if grid.sizes[0] == 0 else []
        sizes = [int(size) for size in grid.sizes if size > 0]
        return Points.of(null + (self._over_sizes(sizes) if sizes else []))

    def losses(self, points: Points, weights: Array | None = None) -> Array:
        """Data term of each fit, shape (n_points,), for other weights where they are given."""
        loss = self.loss if weights is None else type(self.loss)(self.loss.y, weights)
        m, _, n_points = points.coefs.shape
        used = np.flatnonzero(points.used.any(axis=1))
        columns = self.design.columns(used)
        flat = points.coefs[:, used].transpose(1, 0, 2).reshape(len(used), m * n_points)
        z = np.asarray(columns @ flat).reshape(-1, m, n_points) + points.intercepts
        return np.array([self._value(z[..., k], loss) for k in range(n_points)])

    def norms(self, points: Points) -> Array:
        """What ``l1`` and ``l2`` add to the loss of each fit."""
        used = np.flatnonzero(points.used.any(axis=1))
        coefs, l1, l2 = points.coefs[:, used], self.penalty.l1, self.ridge(used)[:, None]
        # the square of a coefficient may be beyond the largest number
        ridge = 0.5 * (np.sqrt(l2) * coefs) ** 2
        return np.asarray(np.sum(l1 * np.abs(coefs) + ridge, (0, 1)))

    def ridge(self, features: Indices) -> Array:
        """Strength of the ridge on each of some features."""
        if self.penalty.scaled_l2 == 0.0:
            return np.full(len(features), self.penalty.l2)
        part = Design(self.design.X[:, features])
        weights, centre = self.loss.weights, self.fit_intercept
        means = part.means(weights) if centre else np.zeros(len(features))
        return self.penalty.l2 + self.penalty.scaled_l2 * part.variances(weights, means)

    def separation(self, points: Points) -> str:
        """Why the fits need a warning, if features separate the classes."""
        fits = zip(np.moveaxis(points.coefs, -1, 0), points.intercepts.T, strict=True)
        return separation_message(
            self.design, self.loss, self.penalty, self.fit_intercept, list(fits)
        )

    def is_separated(self, coef: Array, intercept: Any) -> bool:
        """Whether the features of a fit separate the classes."""
        answer = (coef, intercept)
        return is_separated(self.design, self.loss, self.penalty, self.fit_intercept, *answer)

    def costs(self, points: Points) -> Array:
        """Sum of the prices that each fit pays, in units of ``alpha``."""
        return np.asarray(self.penalty.factors(self.design.n_features) @ points.used)

    @staticmethod
    def _value(z: Array, loss: Loss) -> float:
        return loss.value(np.ascontiguousarray(z[:, 0] if loss.n_outputs == 1 else z))

    @property
    def _is_plain(self) -> bool:
        """Whether a Gram matrix tells the exact gain of every move."""
        return self.loss.quadratic and self.penalty.l1 == 0.0 and self.penalty.positive is None

    @property
    def _budget(self) -> dict[str, Any]:
        options = ("effort", "tol", "max_iter", "verbose")
        return {name: getattr(self, name) for name in options}

    def _problem(self, alpha: float = 0.0, size: int | None = None) -> Problem:
        penalty = replace(self.penalty, max_features=size)
        return Problem(self.design, self.loss, penalty, alpha, self.fit_intercept)

    def _solve(
        self,
        problem: Problem,
        start: Array | None = None,
        **known: Any,
    ) -> Solution:
        """``known`` is what prices share: ``data``, or ``sizes`` for other losses."""
        solver = SubsetDescent if self._is_plain else SubsetNewton
        return solver(**known, **self._budget).solve(problem, start)

    def _over_sizes(self, sizes: list[int]) -> list[Solution]:
        if self._is_plain:
            return subset_path(self._problem(), sizes, **self._budget)
        return SubsetNewton(**self._budget).path(self._problem(), sizes)

    def _over_alphas(self, alphas: Array) -> list[Solution]:
        known: dict[str, Any] = {}
        if self._is_plain:
            known["data"] = Correlations(self._problem(), self.penalty.l2)
        else:
            newton = SubsetNewton(**self._budget)
            known["sizes"] = newton.grown_sizes(self._problem())
        found: list[Solution] = []
        try:
            for alpha in alphas:
                check()
                found.append(self._solve(self._problem(float(alpha)), **known))
                if self.verbose:
                    used = np.count_nonzero(np.atleast_2d(found[-1].coef).any(axis=0))
                    print(f"[path] {len(found)}/{len(alphas)}: alpha {alpha:.3g}, {used} features")
                if found[-1].status is Status.INTERRUPTED:
                    break
        except KeyboardInterrupt:
            if not found or not worth_keeping():
                raise
        return found if len(found) == len(alphas) else cut_short(found, len(alphas))

    def _without_choice(self) -> Solution:
        """The fit on the features that are always kept."""
        free = np.flatnonzero(~self.priced)
        if not free.size:
            return self._null_solution()
        part = replace(
            self, design=Design(self.design.X[:, free]), penalty=self._free_penalty(free)
        )
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
