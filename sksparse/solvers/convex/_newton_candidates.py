"""Candidates of a path of a curved loss, solved by proximal Newton steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sksparse._typing import Array, Indices, Mask
from sksparse.losses import ConjugateLoss
from sksparse.solvers._problem import Problem
from sksparse.solvers.convex._base import root_mean_square
from sksparse.solvers.convex._path_candidates import Candidates
from sksparse.solvers.convex._proximal_newton import NewtonModels, newton_descent
from sksparse.solvers.convex._working_set import Place, WorkingSet


class ByNewton(Candidates):
    """Gradients are a product of X with the derivatives of the loss at all points."""

    def __init__(
        self,
        problem: Problem,
        null_gradient: Array,
        working: Callable[[Indices], WorkingSet],
        always: Indices,
    ) -> None:
        self._models = NewtonModels(problem.centred)
        # of the points that were checked last
        self._places: list[Place] = []
        self._derivatives: list[Array] = []
        super().__init__(problem, null_gradient, working, always)

    def _renew(self) -> None:
        super()._renew()
        self._live, self._inner = self.units, self._working
        self._kept = np.arange(len(self.features))

    def minimise(self, alpha: float, coef: Array, tol: float, live: Mask) -> Array:
        problem = self.problem.with_alpha(alpha)
        self._restrict(self.units[live[self.units]])
        start = self._place(coef)
        result = np.zeros_like(coef)
        end = newton_descent(problem, start, self._inner, self._models, tol)
        result[..., self._kept] = end.coef
        return result

    def _restrict(self, live: Indices) -> None:
        """Leave the candidates that are not live, and zero, out of the models."""
        if np.array_equal(live, self._live):
            return
        self._live, self._inner = live, self._over(live)
        self._kept = np.flatnonzero(np.isin(self.features, self._inner.features))

    def _place(self, coef: Array) -> Place:
        """Coefficients of the live candidates with the best intercept."""
        problem, level, coef = self.problem, self.problem.null_intercept, coef[..., self._kept]
        z = self._models.columns(self._inner.features).matvec(coef) + level
        if problem.free_intercept:
            shift = problem.loss.best_shift(z)
            z, level = z + shift, level + shift
        return Place(coef, z, level)

    def gradients(self, coefs: Array) -> tuple[Array, Array]:
        problem = self.problem
        self._places = [self._place(coef) for coef in coefs]
        self._derivatives = [problem.sample_gradient(place.z) for place in self._places]
        gradients = problem.centred.rmatvec(np.column_stack(self._derivatives))
        losses = np.array([problem.loss.excess(place.z) for place in self._places])
        return gradients.reshape(len(coefs), *problem.null_coef.shape), losses

    def loss_gap(self, point: int, share: float) -> float:
        loss = self.problem.loss
        if not isinstance(loss, ConjugateLoss):
            raise TypeError(f"{type(loss).__name__} has no conjugate, which paths need.")
        return loss.fenchel_gap(self._places[point].z, share * self._derivatives[point])

    def residual(self, point: int) -> float:
        return root_mean_square(self._derivatives[point], self.problem.loss.weights)

    def level(self, point: int) -> Any:
        return self._places[point].level
