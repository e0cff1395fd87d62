"""OSCAR along a path: against single fits, and against a cross-validation written by hand."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LassoCV
from sklearn.metrics import mean_squared_error
from sklearn.model_selection import KFold
from sklearn.utils.estimator_checks import parametrize_with_checks

from sksparse.linear_model import OSCAR, OSCARCV, L0ClassifierCV, L0RegressorCV, oscar_path
from sksparse.linear_model import _convex_path as convex
from sksparse.linear_model.sorted_l1 import _base
from sksparse.solvers import GramCache, SortedDescent
from sksparse.solvers.convex import _squared_quadratics


@pytest.fixture
def problem(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    X = rng.standard_normal((60, 12)) + rng.standard_normal((60, 1))
    return X, X[:, :4].sum(axis=1) + rng.standard_normal(60)


@parametrize_with_checks(
    [OSCARCV(alphas=5), OSCARCV(alphas=3, pairwise=1.0, selection="1se", scoring="r2")]
)
@pytest.mark.filterwarnings("ignore:No features were selected:UserWarning")
def test_sklearn_contract(estimator: OSCARCV, check: Any) -> None:
    check(estimator)


@pytest.mark.parametrize("form", ["dense", "float32", "csc", "csr", "fortran"])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_every_strength_is_the_single_fit(
    problem: tuple[np.ndarray, np.ndarray], form: str, fit_intercept: bool
) -> None:
    X, y = problem
    make = {"float32": np.float32, "csc": sp.csc_array, "csr": sp.csr_array}
    X = make.get(form, np.asfortranarray if form == "fortran" else np.asarray)(X)
    weights = np.arange(60) % 3
    options = {"pairwise": 0.7, "fit_intercept": fit_intercept, "tol": 1e-10}
    path = oscar_path(X, y, alphas=8, sample_weight=weights, **options)
    assert path.coefs.dtype == path.intercepts.dtype == X.dtype
    tolerance = 1e-4 if form == "float32" else 1e-8
    for k, alpha in enumerate(path.alphas):
        single = OSCAR(alpha, **options).fit(X, y, sample_weight=weights)
        np.testing.assert_allclose(path.coefs[:, k], single.coef_, atol=tolerance)
        np.testing.assert_allclose(path.intercepts[k], single.intercept_, atol=10 * tolerance)
        assert path.n_features[k] == np.count_nonzero(single.coef_)
        left = weights @ (y - single.predict(X)) ** 2 / (2 * weights.sum())
        assert path.losses[k] == pytest.approx(left, rel=10 * tolerance)
        assert 0.0 <= path.dual_gaps[k] <= 1e-3 * path.losses[k]


def test_the_grid_starts_where_nothing_is_selected(
    problem: tuple[np.ndarray, np.ndarray],
) -> None:
    X, y = problem
    path = oscar_path(X, y, alphas=20)
    assert len(path.alphas) == 20
    np.testing.assert_allclose(np.diff(np.log(path.alphas)), np.log(1e-3) / 19)
    assert not OSCAR(1.0001 * path.alphas[0]).fit(X, y).coef_.any()
    # the gap of no features at all is quadratic in the share of the strength that is missing
    assert OSCAR(0.999 * path.alphas[0], tol=1e-9).fit(X, y).coef_.any()


def test_columns_of_any_scale_have_one_path(problem: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = problem
    path, huge = oscar_path(X, y, alphas=4), oscar_path(2.0**300 * X, y, alphas=4)
    np.testing.assert_allclose(huge.alphas, 2.0**300 * path.alphas, rtol=1e-12)
    np.testing.assert_allclose(2.0**300 * huge.coefs, path.coefs, atol=1e-7)


def test_a_constant_target_selects_nothing(problem: tuple[np.ndarray, np.ndarray]) -> None:
    path = oscar_path(problem[0], np.ones(60), alphas=3)
    assert not path.coefs.any()
    np.testing.assert_allclose(path.intercepts, 1.0)


def test_the_order_of_the_strengths_does_not_matter(
    problem: tuple[np.ndarray, np.ndarray], rng: np.random.Generator
) -> None:
    X, y = problem
    alphas = [1.0, 0.3, 0.1, 0.03]
    first = OSCARCV(alphas=alphas).fit(X, y)
    second = OSCARCV(alphas=rng.permutation(alphas + alphas[:2])).fit(X, y)
    np.testing.assert_array_equal(first.alphas_, alphas)
    for name in ("alphas_", "coef_path_", "mse_path_", "coef_", "alpha_"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


@pytest.mark.parametrize("selection", ["min", "1se"])
@pytest.mark.parametrize("weighted", [False, True])
def test_errors_and_choice_are_those_of_a_loop_by_hand(
    problem: tuple[np.ndarray, np.ndarray], selection: str, weighted: bool
) -> None:
    X, y = problem
    weights = np.arange(60) % 4 if weighted else np.ones(60)
    folds = KFold(4, shuffle=True, random_state=0)
    model = OSCARCV(alphas=7, cv=folds, selection=selection, tol=1e-10)
    model.fit(X, y, sample_weight=weights if weighted else None)
    errors = np.empty((7, 4))
    counts = np.empty(7)
    for k, alpha in enumerate(model.alphas_):
        single = OSCAR(alpha, tol=1e-10)
        counts[k] = np.count_nonzero(clone(single).fit(X, y, weights).coef_)
        for f, (train, test) in enumerate(folds.split(X)):
            single.fit(X[train], y[train], sample_weight=weights[train])
            predicted = single.predict(X[test])
            errors[k, f] = mean_squared_error(y[test], predicted, sample_weight=weights[test])
    np.testing.assert_allclose(model.mse_path_, errors, rtol=1e-7)
    means = errors.mean(axis=1)
    best = means.argmin()
    if selection == "1se":
        bound = means[best] + errors[best].std(ddof=1) / 2.0
        best = min(np.flatnonzero(means <= bound), key=lambda k: (counts[k], means[k]))
    assert model.alpha_ == model.alphas_[best]
    np.testing.assert_array_equal(model.n_features_path_, counts)
    chosen = OSCAR(model.alpha_, tol=1e-10).fit(X, y, sample_weight=weights)
    np.testing.assert_allclose(model.coef_, chosen.coef_, atol=1e-8)
    np.testing.assert_array_equal(model.coef_path_[:, best], model.coef_)
    assert [c.tolist() for c in model.clusters_] == [c.tolist() for c in chosen.clusters_]
    assert model.n_features_ == np.count_nonzero(model.coef_)


def test_without_the_pairwise_term_it_is_the_cross_validated_lasso() -> None:
    X, y = load_diabetes(return_X_y=True)
    ours = OSCARCV(pairwise=0.0, alphas=30, tol=1e-9).fit(X, y)
    theirs = LassoCV(alphas=ours.alphas_, cv=5, tol=1e-10, max_iter=100_000).fit(X, y)
    np.testing.assert_allclose(ours.mse_path_, theirs.mse_path_, rtol=1e-6)
    assert ours.alpha_ == theirs.alpha_
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-4)


def test_all_strengths_of_a_fold_share_one_gram_matrix(
    problem: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, given = [], []

    def counted(*args: Any, **options: Any) -> GramCache:
        made.append(GramCache(*args, **options))
        return made[-1]

    def noted(*args: Any, **options: Any) -> Any:
        given.append(options["gram"])
        return SortedDescent(*args, **options)

    def another(*_: Any, **__: Any) -> GramCache:
        raise AssertionError("a solver made a Gram matrix of its own")

    monkeypatch.setattr(convex, "GramCache", counted)
    monkeypatch.setattr(_squared_quadratics, "GramCache", another)
    monkeypatch.setattr(_base, "SortedDescent", noted)
    OSCARCV(alphas=6, cv=3).fit(*problem)
    # all samples and three folds; the last fit starts at the answer and needs none
    assert len(made) == 4
    assert [gram for gram in given if gram is not None] == made


def test_folds_run_side_by_side_to_the_same_answer(
    problem: tuple[np.ndarray, np.ndarray],
) -> None:
    X, y = problem
    one, two = OSCARCV(alphas=5).fit(X, y), OSCARCV(alphas=5, n_jobs=2).fit(X, y)
    np.testing.assert_array_equal(one.mse_path_, two.mse_path_)


def test_zero_is_least_squares_at_the_end_of_a_path(
    problem: tuple[np.ndarray, np.ndarray],
) -> None:
    X, y = problem
    path = oscar_path(X, y, alphas=[0.0, 0.1])
    expected = np.linalg.lstsq(np.c_[X, np.ones(60)], y)[0]
    np.testing.assert_allclose(path.coefs[:, 1], expected[:-1], rtol=1e-5)
    assert np.isnan(path.dual_gaps[1])


@pytest.mark.parametrize(
    "options, message",
    [
        ({"alphas": ["a"]}, "must be numbers"),
        ({"alphas": [-1.0]}, "finite and non-negative"),
        ({"alphas": []}, "finite and non-negative"),
        ({"cv": []}, "no splits"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    problem: tuple[np.ndarray, np.ndarray], options: dict[str, Any], message: str
) -> None:
    X, y = problem
    model = OSCARCV(alphas=2).fit(X, y)
    before = model.coef_
    with pytest.raises(ValueError, match=message):
        model.set_params(**options).fit(X, y)
    assert model.coef_ is before


def test_progress_is_printed_when_asked(
    problem: tuple[np.ndarray, np.ndarray], capsys: pytest.CaptureFixture[str]
) -> None:
    OSCARCV(alphas=3, cv=2).fit(*problem)
    assert capsys.readouterr().out == ""
    OSCARCV(alphas=3, cv=2, verbose=1).fit(*problem)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert re.match(r"\[OSCARCV\] fold 2/2, .* alpha .* least mean squared error", lines[2])
    assert re.match(r"\[OSCARCV\] .* chose ", lines[3])


def test_fits_that_do_not_converge_warn_once(rng: np.random.Generator) -> None:
    X = rng.standard_normal((100, 20))
    y = rng.poisson(np.exp(X[:, 0]))
    with pytest.warns(ConvergenceWarning, match="increase max_iter=1") as caught:
        OSCARCV(alphas=[0.0], max_iter=1, cv=2, tol=1e-12, loss="poisson").fit(X, y)
    assert len(caught) == 1


def test_an_interruption_leaves_the_earlier_fit(
    problem: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = problem
    model = OSCARCV(alphas=2, cv=2).fit(X, y)
    before = model.coef_

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(SortedDescent, "along", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X[:, :5], y)
    assert model.coef_ is before
    assert model.n_features_in_ == 12


@pytest.mark.parametrize("alphas", [None, True, [True, False]])
def test_what_is_no_number_of_strengths_is_refused(
    problem: tuple[np.ndarray, np.ndarray], alphas: Any
) -> None:
    with pytest.raises(ValueError, match=r"alphas.*(array-like|list of strengths).*"):
        OSCARCV(alphas=alphas).fit(*problem)
    if alphas is not None:
        for search in (L0RegressorCV, L0ClassifierCV):
            with pytest.raises(ValueError, match=r"alphas=.*True.*must be a list of strengths"):
                search(alphas=alphas).fit(problem[0], problem[1] > 0.0)


def test_constant_counts_select_nothing_and_prove_it(rng: np.random.Generator) -> None:
    X, y = rng.standard_normal((40, 5)), np.full(40, 3.0)
    model = OSCARCV(loss="poisson", alphas=3, cv=2).fit(X, y)
    assert not model.coef_.any()
    assert model.dual_gap_ == pytest.approx(0.0, abs=1e-20)
    np.testing.assert_allclose(model.predict(X), 3.0)
