"""Proximal Newton steps on a working set, for losses other than the squared one.

A quadratic model of the loss is minimised together with the penalty, and a line search takes the
largest share of the step that lowers the objective (Lee, Sun and Saunders, 2014). The gradient is
that of the iterate in every step; the curvatures, and what is computed from them, are kept until
they have changed much. Where steps are short of a Newton step, because curvatures are old or only
bounds, iterates are combined (Anderson, 1965).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sksparse._interrupts import check
from sksparse._typing import Array, Indices
from sksparse.losses import Loss
from sksparse.solvers._centred import CentredColumns, CentredDesign
from sksparse.solvers._column_store import ColumnStore
from sksparse.solvers._problem import Problem
from sksparse.solvers.convex._base import ConvexIterate
from sksparse.solvers.convex._quadratic_model import quadratic_from_columns
from sksparse.solvers.convex._working_set import Place, WorkingModel, WorkingSet


@dataclass(frozen=True)
class Tuning:
    """When curvatures are renewed, and how far each model is minimised.

    Parameters
    ----------
    steps : int
        Steps on one working set.
    changed : float
        Share of the curvatures' sum by which they may differ from those of the model, where they
        do not jump.
    floor : float
        Curvatures below this share of the largest are raised to it, which keeps models bounded.
    inner : float
        A model is minimised to this share of the violations of the step before.
    largest_gram, gram_share : int, float
        Columns up to which a model forms a Gram matrix, and the share of the samples up to which.
    copied : int
        Numbers that kept copies of columns may have: more are read again from X.
    memory : int
        Iterates that are combined.
    jitter : float
        Share of the trace that is added to the system of a combination.
    halvings : int
        Halvings of a step.
    rounding : float
        Objectives this close, as a share, are equal.
    patience, better : int, float
        Steps in a row after which it ends, if the objective falls by no more than rounding of the
        loss without features, and violations do not become ``better`` times as large.
    """

    steps: int = 50
    changed: float = 0.1
    floor: float = 1e-8
    inner: float = 0.1
    largest_gram: int = 600
    gram_share: float = 0.25
    copied: int = 2**26
    memory: int = 6
    jitter: float = 1e-12
    halvings: int = 30
    rounding: float = 8.0 * float(np.finfo(np.float64).eps)
    patience: int = 10
    better: float = 0.9


TUNING = Tuning()


class NewtonModels:
    """Models of a loss over changing working sets, which keep columns and curvatures.

    Parameters
    ----------
    centred : CentredDesign
        Features around their means.
    """

    def __init__(self, centred: CentredDesign) -> None:
        self.centred = centred
        design = centred.design
        self._store = ColumnStore(design.n_features, design.n_samples)
        self._features: Indices = np.empty(0, dtype=np.intp)
        self._columns: CentredColumns | None = None
        self._curvature: Array = np.empty(0)
        self._model: WorkingModel | None = None

    def columns(self, features: Indices) -> CentredColumns:
        """The columns of a working set."""
        if self._columns is None or not np.array_equal(features, self._features):
            self._features, self._columns = features, self._copies(features)
            self._model = None
        return self._columns

    def _copies(self, features: Indices) -> CentredColumns:
        """Columns out of the store, where copies of dense ones do not take too much memory."""
        design, store = self.centred.design, self._store
        new = store.missing(features)
        total = len(store) + len(new)
        if design.is_sparse or design.n_samples * store.capacity(total) > TUNING.copied:
            return self.centred.columns(features)
        if new.size:
            fresh = store.append(new)
            self.centred.write_rows(new, store.matrix[fresh])
        in_order = np.array_equal(store.features[: len(features)], features)
        rows = slice(len(features)) if in_order else store.position[features]
        return CentredColumns(store.matrix[rows].T, np.zeros(len(features)))

    def at(
        self, problem: Problem, working: WorkingSet, gradient: Array, place: Place
    ) -> WorkingModel:
        """The model around an iterate, with curvatures from there or nearby."""
        columns, curvature = self.columns(working.features), _curvature(problem.loss, place.z)
        known, tolerated = self._model, TUNING.changed
        if problem.loss.curvature_jumps:
            tolerated = 0.0
        if known is None or _distance(curvature, self._curvature) > tolerated:
            quadratic = quadratic_from_columns(
                columns,
                gradient,
                curvature,
                place.coef,
                centre=problem.centres,
                gram=working.needs_gram or _forms_gram(*columns.matrix.shape),
            )
            self._curvature = curvature
            self._model = known = working.model(quadratic, float(curvature.sum()))
        else:
            known.quadratic.move_to(
                columns, gradient, self._curvature, place.coef, centre=problem.centres
            )
        return known

    @property
    def curvature(self) -> Array:
        """Curvature of each sample in the model."""
        return self._curvature


def models_of(problem: Problem, known: NewtonModels | None) -> NewtonModels:
    """What is ``known``, if it is of the features of a problem, or nothing yet."""
    if known is not None and known.centred is problem.centred:
        return known
    return NewtonModels(problem.centred)


def solve_newton(
    problem: Problem, state: ConvexIterate, working: WorkingSet, models: NewtonModels, tol: float
) -> None:
    """Improve an iterate until violations over the working set are at most ``tol``.

    Features outside of the working set must be zero.
    """
    features = working.features
    before = Place(state.coef[..., features], state.z, state.level)
    after = newton_descent(problem, before, working, models, tol, least=1)
    state.progress = after is not before
    state.coef[..., features] = after.coef
    state.z, state.level = after.z, after.level


def newton_descent(
    problem: Problem,
    place: Place,
    working: WorkingSet,
    models: NewtonModels,
    tol: float,
    *,
    least: int = 0,
) -> Place:
    """Where violations over the working set are at most ``tol``, or the last place before.

    Parameters
    ----------
    problem : Problem
        Loss, penalty and strength.
    place : Place
        Where to begin, within the bounds.
    working : WorkingSet
        The working set; other features are zero.
    models : NewtonModels
        Columns and curvatures that are known.
    tol : float
        Largest violation.
    least : int, default=0
        Steps to try at least, whatever the violations.
    """
    columns = models.columns(working.features)
    value, history = _value(problem, working, place), list[tuple[Place, Array]]()
    idle, smallest, lowest = 0, np.inf, value
    for step in range(TUNING.steps):
        check()
        inner = columns.rmatvec(problem.sample_gradient(place.z))
        inner = inner + working.penalty.ridge * place.coef
        left = working.violation(place.coef, inner, problem.alpha)
        if left == 0.0 or (step >= least and left <= tol):
            break
        fell = lowest - value > TUNING.rounding * problem.null_excess
        idle = 0 if fell or left < TUNING.better * smallest else idle + 1
        smallest, lowest = min(smallest, left), min(lowest, value)
        if idle > TUNING.patience:
            break
        end = _model_minimum(problem, working, models, place, max(TUNING.inner * left, 0.1 * tol))
        found = _line_search(problem, working, place, end, value)
        if found is None:
            break
        history.append((found[0], (found[0].coef - place.coef).ravel()))
        del history[: -TUNING.memory]
        place, value = found
        combined = _combination(working, columns, history)
        if combined is not None:
            reached = _value(problem, working, combined)
            if reached < value:
                place, value = combined, reached
        ahead = working.newton_end(problem, columns, place)
        if ahead is not None:
            reached = _value(problem, working, ahead)
            if reached < value:
                place, value = ahead, reached
                history.clear()
    return place


def _model_minimum(
    problem: Problem, working: WorkingSet, models: NewtonModels, place: Place, tol: float
) -> Place:
    """Where the model around an iterate is least, to a tolerance for its violations."""
    gradient = problem.loss.gradient(place.z)
    model = models.at(problem, working, gradient, place)
    coef = model.minimise(problem.alpha, place.coef, tol)
    move, shift = models.columns(working.features).matvec(coef - place.coef), 0.0 * place.level
    if problem.free_intercept:
        shift = -(gradient.sum(axis=0) + models.curvature @ move) / models.curvature.sum()
    return Place(coef, place.z + (move + shift), place.level + shift)


def _value(problem: Problem, working: WorkingSet, place: Place) -> float:
    return problem.loss.excess(place.z) + working.cost(place.coef, problem.alpha)


def _line_search(
    problem: Problem, working: WorkingSet, before: Place, end: Place, value: float
) -> tuple[Place, float] | None:
    """The largest tried share of a step that does not raise the objective, if there is one."""
    # Close to the optimum a good step changes the objective by less than its rounding.
    bound = value + TUNING.rounding * (abs(value) + abs(problem.loss.lower_bound))
    share, place = 1.0, end
    for _ in range(TUNING.halvings):
        found = _value(problem, working, place)
        if found <= bound:
            return place, found
        share *= 0.5
        place = _combined([before, end], np.array([1.0 - share, share]))
    return None


def _combination(
    working: WorkingSet, columns: CentredColumns, history: list[tuple[Place, Array]]
) -> Place | None:
    """The affine combination of ends in which their steps cancel best, if it is feasible.

    Each end comes with the step that led there.
    """
    steps = np.array([step for _, step in history])
    system = steps @ steps.T
    trace = float(np.trace(system))
    if len(steps) == 1 or not trace > 0.0:
        return None
    system[np.diag_indices_from(system)] += TUNING.jitter * trace
    weights = np.linalg.solve(system, np.ones(len(system)))
    place = _combined([end for end, _ in history], weights / weights.sum())
    coef = working.admitted(place.coef, history[-1][0].coef)
    if coef is None or coef is place.coef:
        return None if coef is None else place
    return Place(coef, place.z + columns.matvec(coef - place.coef), place.level)


def _combined(places: list[Place], weights: Array) -> Place:
    """Affine combination of iterates: coefficients, predictors and levels move together."""
    # number by number, so that coefficients that are tied in all of them stay so in every bit
    parts = zip(*places, strict=True)
    return Place(*(_affine(part, weights) for part in parts))


def _affine(parts: tuple[Array, ...], weights: Array) -> Array:
    """Affine combination of arrays; a number that is the same in all, such as a bound, stays."""
    combined = sum(w * x for w, x in zip(weights, parts, strict=True))
    same = np.all([x == parts[0] for x in parts[1:]], axis=0)
    return np.where(same, parts[0], combined)


def _forms_gram(n_samples: int, n_columns: int) -> bool:
    return n_columns <= min(TUNING.largest_gram, TUNING.gram_share * n_samples)


def _curvature(loss: Loss, z: Array) -> Array:
    curvature = loss.curvature(z)
    return np.maximum(curvature, TUNING.floor * curvature.max())


def _distance(a: Array, b: Array) -> float:
    """Distance of curvatures, as a share of their sum."""
    return float(np.abs(a - b).sum() / b.sum())
