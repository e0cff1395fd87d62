"""The protocol of paths, by a family that is nowhere in the package: ridge regression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold

from sksparse.linear_model import _path_protocol as protocol
from sksparse.linear_model._base import SparseRegressorMixin
from sksparse.linear_model._cross_validation import choose, make_folds
from sksparse.linear_model._path_protocol import (
    Grid,
    PathFits,
    PathTask,
    RegularizationPath,
    check_alphas,
    solve_along,
)
from sksparse.linear_model._path_search import PathSearch
from sksparse.losses import Multinomial, Squared
from sksparse.solvers import Certificate, Design, Solution, Status


def solution(coef: Any, intercept: Any = 0.0, status: Status = Status.CONVERGED) -> Solution:
    return Solution(coef, intercept, status, Certificate("exact", 0.0), 0.0, 1, "")


@dataclass(frozen=True, kw_only=True)
class RidgeTask(PathTask):
    """All that a family has to say."""

    def fit_along(self, grid: Grid) -> PathFits:
        return PathFits.of(solve_along(grid.points, lambda alpha, _: self._fit(alpha)))

    def refit(self, grid: Grid, fits: PathFits, point: int) -> Solution:
        return self._fit(float(grid.points[point]))

    def path(self, grid: Grid, fits: PathFits) -> RegularizationPath:
        return RegularizationPath(
            **self.common_results(fits, self.losses(fits)), alphas=grid.points[: len(fits)]
        )

    def _fit(self, alpha: float) -> Solution:
        model = Ridge(alpha, fit_intercept=self.fit_intercept)
        X = self.design.columns(np.arange(self.design.n_features))
        model.fit(X, self.loss.y, sample_weight=self.loss.weights)
        return solution(model.coef_, model.intercept_)


class RidgePathCV(SparseRegressorMixin, PathSearch[RidgeTask]):
    def __init__(self, alphas: Any, cv: Any, selection: str = "min") -> None:
        self.alphas, self.cv, self.selection = alphas, cv, selection
        self.n_jobs, self.verbose = None, 0

    def fit(self, X: Any, y: Any) -> RidgePathCV:
        weights = np.full(len(y), 1.0 / len(y))
        loss = Squared(y, weights)
        task = RidgeTask(design=Design(X), loss=loss, fit_intercept=True)
        grid = Grid(alphas=check_alphas(self.alphas))
        found = self._search([task], [grid], self._held_out(X, y, loss, None, {}))
        self.coef_, self.intercept_ = found.solution.coef, found.solution.intercept
        return self


@pytest.fixture
def problem(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    X = rng.standard_normal((50, 8))
    return X, X[:, 0] + 2.0 + rng.standard_normal(50)


def test_a_family_of_twenty_lines_is_cross_validated(
    problem: tuple[np.ndarray, np.ndarray],
) -> None:
    X, y = problem
    folds = KFold(5)
    model = RidgePathCV([0.01, 10.0, 0.3, 1.0], folds).fit(X, y)
    errors = np.empty((4, 5))
    for k, alpha in enumerate(model.alphas_):
        for f, (train, test) in enumerate(folds.split(X)):
            single = Ridge(alpha * len(train)).fit(X[train], y[train])
            errors[k, f] = np.mean((y[test] - single.predict(X[test])) ** 2)
    np.testing.assert_allclose(model.mse_path_, errors)
    assert model.alpha_ == model.alphas_[errors.mean(axis=1).argmin()]
    np.testing.assert_allclose(model.coef_, Ridge(model.alpha_ * 50).fit(X, y).coef_)
    np.testing.assert_array_equal(model.n_features_path_, 8)
    assert model.predict(X).shape == (50,)


@pytest.mark.parametrize("form", [np.asarray, sp.csc_array])
@pytest.mark.parametrize("limits", [{}, {"predictions": 400}, {"copied": 1}])
def test_losses_do_not_depend_on_how_much_is_held_at_once(
    problem: tuple[np.ndarray, np.ndarray],
    rng: np.random.Generator,
    monkeypatch: pytest.MonkeyPatch,
    form: Any,
    limits: dict[str, int],
) -> None:
    X = problem[0]
    weights, codes = rng.random(50), np.arange(50.0) % 3
    weights /= weights.sum()
    coefs, intercepts = rng.standard_normal((3, 8, 7)), rng.standard_normal((3, 7))
    coefs[:, :, 0] = 0.0
    loss = Multinomial(codes, np.full(50, 0.02))
    task = RidgeTask(design=Design(form(X)), loss=loss, fit_intercept=True)
    fits = PathFits.of([solution(coefs[..., k], intercepts[:, k]) for k in range(7)])
    monkeypatch.setattr(protocol, "TUNING", protocol.Tuning(columns=3)._replace(**limits))
    z = np.einsum("ij,mjk->kim", X, coefs) + intercepts.T[:, None, :]
    expected = [Multinomial(codes, weights).value(z[k]) for k in range(7)]
    np.testing.assert_allclose(task.losses(fits, weights), expected, rtol=1e-12)


def test_a_path_that_is_interrupted_keeps_what_it_has() -> None:
    def solve(alpha: float, before: Solution | None) -> Solution:
        assert (before is None) == (alpha == 3.0)
        if alpha == 1.0:
            raise KeyboardInterrupt
        return solution(np.array([alpha]))

    found = PathFits.of(solve_along(np.array([3.0, 2.0, 1.0, 0.5]), solve))
    np.testing.assert_array_equal(found.coefs, [[[3.0, 2.0]]])
    assert found.interrupted
    assert "after 2 of 4 points" in found.message
    with pytest.raises(KeyboardInterrupt):
        solve_along(np.array([1.0]), lambda *_: solve(1.0, solution(np.zeros(1))))


def test_fits_are_replaced_in_part(rng: np.random.Generator) -> None:
    coefs = rng.standard_normal((5, 3))
    fits = PathFits.of([solution(coef, float(k)) for k, coef in enumerate(coefs)])
    other = fits.with_part(np.array([3, 1, 0]), fits.part(np.array([4, 2])))
    np.testing.assert_array_equal(other.coefs[0].T, coefs[[0, 2, 2, 4, 4]])
    np.testing.assert_array_equal(other.intercepts[0], [0, 2, 2, 4, 4])
    np.testing.assert_array_equal(fits.coefs[0].T, coefs)
    coef, intercept = fits.at(3)
    np.testing.assert_array_equal(coef, coefs[3])
    assert intercept == 3.0


def test_grids_say_what_they_are() -> None:
    alphas, limits = Grid(alphas=np.array([2.0, 1.0])), Grid(max_features=np.array([1, 2, 3]))
    assert str(alphas) == "alpha 2 to 1"
    assert str(limits) == "max_features 1 to 3"
    np.testing.assert_array_equal(limits.part(np.array([0, 2])).points, [1, 3])
    np.testing.assert_array_equal(alphas.part(np.array([1])).alphas, [1.0])
    assert (len(alphas), len(limits)) == (2, 3)


def test_the_choice_is_the_least_error_or_the_sparsest_near_it() -> None:
    errors = np.array([[4.0, 4.2], [2.1, 2.4], [2.2, 2.2], [1.5, 2.5], [5.0, 5.0]])
    n_features = np.array([0, 3, 3, 5, 1])
    assert choose(errors, n_features, "min") == 3
    # one standard error is 0.5: the two of three features are near, and the better one is taken
    assert choose(errors, n_features, "1se") == 2
    assert choose(errors[:, :1], n_features, "1se") == 3


def test_folds_are_weights_of_the_samples() -> None:
    weights = np.array([0.1, 0.2, 0.3, 0.4])
    (fold,) = make_folds([(np.array([0, 0, 1]), np.array([False, False, True, True]))], weights)
    np.testing.assert_allclose(fold.train, [0.5, 0.5, 0.0, 0.0])
    np.testing.assert_allclose(fold.test, [0.0, 0.0, 3 / 7, 4 / 7])
    np.testing.assert_array_equal(fold.rows, [2, 3])
    with pytest.raises(ValueError, match="fold 1/1 has no test sample"):
        make_folds([([0, 1], [2])], np.array([0.5, 0.5, 0.0, 0.0]))
