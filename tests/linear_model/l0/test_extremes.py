"""Features and targets whose squares leave the range of float64."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from sksparse.linear_model import L0Classifier, L0ClassifierCV, L0Regressor, L0RegressorCV, l0_path

SOLVERS = ("auto", "swap", "splicing", "cd", "forward", "backward", "iht", "exact")
FACTORS = (1e-300, 1e-200, 1e-160, 1e-90, 1e80, 1e150, 1e200)


def problem(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((60, 9)) + 1.0
    return X, X[:, 1] - X[:, 4] + 0.3 * rng.standard_normal(60)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("columns", [slice(None), [4], [0]])
def test_the_scale_of_features_does_not_matter(
    seed: int, solver: str, factor: float, columns: object
) -> None:
    X, y = problem(seed)
    scales = np.ones(9)
    scales[columns] = factor
    for options in ({"max_features": 2}, {"alpha": 0.02}):
        base = L0Regressor(solver=solver, **options).fit(X, y)
        model = L0Regressor(solver=solver, **options).fit(X * scales, y)
        np.testing.assert_allclose(model.coef_ * scales, base.coef_, rtol=1e-7)
        assert model.intercept_ == pytest.approx(base.intercept_)
        again = L0Regressor(solver=solver, warm_start=True, **options).fit(X * scales, y)
        np.testing.assert_allclose(again.fit(X * scales, y).coef_, model.coef_, rtol=1e-9)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("factor", FACTORS)
def test_the_scale_of_targets_does_not_matter_for_a_number_of_features(
    seed: int, solver: str, factor: float
) -> None:
    X, y = problem(seed)
    base = L0Regressor(solver=solver, max_features=2).fit(X, y)
    model = L0Regressor(solver=solver, max_features=2).fit(X, y * factor)
    np.testing.assert_allclose(model.coef_ / factor, base.coef_, rtol=1e-7)
    assert model.intercept_ / factor == pytest.approx(base.intercept_)
    if 1e-100 < factor < 1e100:
        penalised = L0Regressor(solver=solver, alpha=0.02 * factor**2).fit(X, y * factor)
        np.testing.assert_array_equal(penalised.coef_ != 0, base.coef_ != 0)


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("form", [sp.csc_array, np.asfortranarray])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_other_forms_signs_and_intercepts(
    seed: int, factor: float, form: type, fit_intercept: bool
) -> None:
    X, y = problem(seed)
    for options in ({"max_features": 2}, {"max_features": 2, "positive": np.arange(9) < 4}):
        base = L0Regressor(fit_intercept=fit_intercept, **options).fit(X, y)
        model = L0Regressor(fit_intercept=fit_intercept, **options).fit(form(X * factor), y)
        np.testing.assert_allclose(model.coef_ * factor, base.coef_, rtol=1e-6)


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("name", ["ridge", "lasso", "cv", "path", "classes", "classes cv"])
def test_all_others_are_right_or_say_so(seed: int, factor: float, name: str) -> None:
    X, y = problem(seed)
    classes = (y > 0).astype(int)
    fits = {
        "ridge": lambda X: L0Regressor(max_features=2, l2=1e-3).fit(X, y).coef_,
        "lasso": lambda X: L0Regressor(max_features=2, l1=1e-3).fit(X, y).coef_,
        "cv": lambda X: L0RegressorCV(max_features=[2]).fit(X, y).coef_,
        "path": lambda X: l0_path(X, y, max_features=[2]).coefs[:, 0],
        "classes": lambda X: L0Classifier(max_features=2, l2=0.0).fit(X, classes).coef_,
        "classes cv": lambda X: L0ClassifierCV(max_features=[2], l2=0.0).fit(X, classes).coef_,
    }
    expected = np.flatnonzero(fits[name](X).ravel())
    if 1e-120 < factor < 1e120:
        found = np.flatnonzero(fits[name](X * factor).ravel())
        # norms have a scale: they forbid the coefficients of small features
        assert found.tolist() in (expected.tolist(), [])
        assert found.size or name in ("ridge", "lasso")
    elif factor not in (1e150,):
        with pytest.raises(ValueError, match=r"float64\. Scale X"):
            fits[name](X * factor)


def test_coefficients_beyond_all_numbers_are_refused(seed: int) -> None:
    X, y = problem(seed)
    for x_factor, y_factor in ((1e-200, 1e150), (1e200, 1e-200)):
        with pytest.raises(ValueError, match="outside the range of float64"):
            L0Regressor(max_features=2).fit(X * x_factor, y * y_factor)
