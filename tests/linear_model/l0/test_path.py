"""Paths of best subsets: refits, independence of the points, and what the grid is."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression, LogisticRegression

from sksparse.linear_model import L0Classifier, L0Regressor, l0_path
from sksparse.linear_model.l0._path_result import implied_alphas


@pytest.fixture
def problem(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Correlated features, so that subsets are not nested."""
    X = rng.standard_normal((60, 40)) + 1.5 * rng.standard_normal((60, 1))
    return X, X[:, :8] @ rng.standard_normal(8) + rng.standard_normal(60)


def supports(path: Any) -> list[list[int]]:
    return [np.flatnonzero(coef).tolist() for coef in path.coefs.T]


def test_fits_are_least_squares_on_their_features(problem: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = problem
    path = l0_path(X, y, max_features=10)
    np.testing.assert_array_equal(path.sizes, np.arange(11))
    np.testing.assert_array_equal(path.n_features, np.arange(11))
    assert path.coefs.shape == (40, 11)
    for k, used in enumerate(supports(path)):
        assert len(used) == k
        residual = y - y.mean()
        if used:
            fit = LinearRegression().fit(X[:, used], y)
            np.testing.assert_allclose(path.coefs[used, k], fit.coef_, rtol=1e-8)
            assert path.intercepts[k] == pytest.approx(fit.intercept_, rel=1e-8)
            residual = y - fit.predict(X[:, used])
        assert path.losses[k] == pytest.approx(0.5 * np.mean(residual**2), rel=1e-9)
    assert np.all(np.diff(path.losses) < 0)


def test_small_subsets_are_the_best_of_all_subsets(seed: int) -> None:
    equal = 0
    for draw in range(20):
        rng = np.random.default_rng([seed, draw])
        X = rng.standard_normal((30, 9)) + rng.standard_normal((30, 1))
        y = X[:, :4] @ rng.standard_normal(4) + rng.standard_normal(30)
        path = l0_path(X, y)
        best = []
        for k in range(1, 4):
            subsets = (X[:, list(subset)] for subset in combinations(range(9), k))
            errors = (y - LinearRegression().fit(Z, y).predict(Z) for Z in subsets)
            best.append(min(np.mean(error**2) for error in errors))
        equal += np.allclose(2 * path.losses[1:4], best, rtol=1e-9)
    assert equal >= 19


@pytest.mark.parametrize("make", [np.asarray, sp.csc_array])
@pytest.mark.parametrize("loss", ["squared", "log"])
@pytest.mark.parametrize("rules", [{}, {"penalty_weights": [0, 2] + [1] * 38}, {"positive": True}])
def test_an_answer_does_not_depend_on_the_others_asked(
    problem: tuple[np.ndarray, np.ndarray], make: Any, loss: str, rules: dict[str, Any]
) -> None:
    X, y = problem
    X = make(np.where(np.abs(X) > 0.3, X, 0.0))
    if loss == "log":
        y, rules = y > np.median(y), {"l2": 0.05, **rules}
    options = {"loss": loss, **rules}
    whole = l0_path(X, y, max_features=6, **options)
    for sizes in ([2], [1, 2], [2, 5], [5, 2]):
        part = l0_path(X, y, max_features=sizes, **options)
        np.testing.assert_array_equal(part.sizes, np.sort(sizes))
        for k, coef in zip(part.sizes, part.coefs.T, strict=True):
            np.testing.assert_array_equal(coef != 0, whole.coefs[:, k] != 0)
            np.testing.assert_allclose(coef, whole.coefs[:, k], rtol=1e-6, atol=1e-12)
    alphas = np.geomspace(0.2, 0.02, 4) * (y.var() if loss == "squared" else 1.0)
    whole = l0_path(X, y, alphas=alphas, **options)
    alone = l0_path(X, y, alphas=alphas[2:3], **options)
    np.testing.assert_allclose(alone.coefs[:, 0], whole.coefs[:, 2], rtol=1e-6, atol=1e-12)


def test_a_penalty_gives_the_fit_of_the_estimator(problem: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = problem
    alphas = y.var() * np.array([0.01, 0.1, 0.03])
    path = l0_path(X, y, alphas=alphas)
    np.testing.assert_array_equal(path.alphas, np.sort(alphas)[::-1])
    assert path.sizes is None
    for alpha, coef, value in zip(path.alphas, path.coefs.T, path.optimality, strict=True):
        np.testing.assert_allclose(coef, L0Regressor(alpha).fit(X, y).coef_, rtol=1e-9)
        assert value <= 1e-8
    y = y > np.median(y)
    path = l0_path(X, y, loss="log", alphas=[0.05])
    np.testing.assert_allclose(path.coefs.T, L0Classifier(0.05).fit(X, y).coef_, rtol=1e-6)


def test_a_grid_of_penalties_starts_where_the_first_feature_enters(
    problem: tuple[np.ndarray, np.ndarray],
) -> None:
    X, y = problem
    correlation = np.abs(np.corrcoef(X.T, y)[-1, :-1]).max()
    path = l0_path(X, y, alphas=6)
    assert path.alphas[0] == pytest.approx(0.5 * y.var() * correlation**2)
    ratios = path.alphas[1:] / path.alphas[:-1]
    np.testing.assert_allclose(ratios, ratios[0])
    assert l0_path(X, y, alphas=[1.01 * path.alphas[0]]).n_features == [0]
    assert l0_path(X, y, alphas=[0.99 * path.alphas[0]]).n_features >= [1]


def test_implied_alphas_give_the_same_numbers_of_features(
    problem: tuple[np.ndarray, np.ndarray],
) -> None:
    X, y = problem
    path = l0_path(X, y, max_features=8)
    values = path.losses[:, None] + path.alphas[None, :] * path.n_features[:, None]
    known = np.flatnonzero(np.isfinite(path.alphas))
    assert {0, 8} <= set(known)
    np.testing.assert_array_equal(values[:, known].argmin(axis=0), known)
    # A number without a penalty is beaten at every penalty.
    for k in np.setdiff1d(np.arange(9), known):
        penalties = np.linspace(0, 1, 2001) * 2 * path.losses[0]
        costs = path.losses[:, None] + penalties * path.n_features[:, None]
        assert not np.any(costs.argmin(axis=0) == k)


@pytest.mark.parametrize(
    "values, costs, expected",
    [
        ([4.0, 2.0, 1.0], [0, 1, 2], [4.0, 1.5, 0.5]),
        ([4.0, 3.9, 1.0], [0, 1, 2], [3.0, np.nan, 0.75]),
        ([4.0, 1.0, 1.0], [0, 2, 2], [3.0, 0.75, 0.75]),
        ([4.0, 1.5, 1.0], [0, 2, 2], [3.0, np.nan, 0.75]),
        ([4.0], [0], [0.0]),
    ],
)
def test_implied_alphas_by_hand(values: list, costs: list, expected: list) -> None:
    found = implied_alphas(np.array(values), np.array(costs, dtype=float))
    np.testing.assert_allclose(found, expected)


def test_kept_features_do_not_count(problem: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = problem
    weights = np.ones(40)
    weights[[30, 31]] = 0.0
    path = l0_path(X, y, max_features=3, penalty_weights=weights, l2=0.1)
    assert np.all(path.coefs[[30, 31]])
    np.testing.assert_array_equal(path.n_features, range(4))
    Z = X[:, [30, 31]] - X[:, [30, 31]].mean(axis=0)
    ridge = np.linalg.solve(Z.T @ Z / 60 + 0.1 * np.eye(2), Z.T @ y / 60)
    np.testing.assert_allclose(path.coefs[[30, 31], 0], ridge)
    signs = np.sign(ridge) > 0
    bounded = l0_path(X, y, max_features=[0], penalty_weights=weights, positive=True)
    np.testing.assert_array_equal(bounded.coefs[[30, 31], 0][~signs], 0.0)
    y = y > np.median(y)
    path = l0_path(X, y, max_features=[0], loss="log", penalty_weights=weights)
    fit = LogisticRegression(C=np.inf, tol=1e-10).fit(X[:, [30, 31]], y)
    np.testing.assert_allclose(path.coefs[[30, 31], 0], fit.coef_[0], rtol=1e-4)


def test_more_than_two_classes() -> None:
    X, y = load_iris(return_X_y=True)
    names = np.array(["a", "b", "c"])[y]
    path = l0_path(X, names, loss="log", l2=0.01)
    assert path.coefs.shape == (3, 4, 5)
    assert path.intercepts.shape == (3, 5)
    np.testing.assert_array_equal(path.n_features, range(5))
    assert path.losses[0] == pytest.approx(np.log(3))
    single = L0Classifier(max_features=2, l2=0.01).fit(X, names)
    np.testing.assert_allclose(path.coefs[..., 2], single.coef_, rtol=1e-5, atol=1e-9)


def test_weights_are_repetitions(
    problem: tuple[np.ndarray, np.ndarray], rng: np.random.Generator
) -> None:
    X, y = problem
    counts = rng.integers(0, 4, 60)
    weighted = l0_path(X, y, sample_weight=counts)
    repeated = l0_path(np.repeat(X, counts, axis=0), np.repeat(y, counts))
    k = min(weighted.coefs.shape[1], repeated.coefs.shape[1])
    np.testing.assert_allclose(weighted.coefs[:, :k], repeated.coefs[:, :k], rtol=1e-8)
    np.testing.assert_allclose(weighted.losses[:k], repeated.losses[:k], rtol=1e-8)


def test_forms_of_the_data(problem: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = problem
    X = np.where(np.abs(X) > 1, X, 0.0)
    reference = l0_path(X, y, max_features=4)
    wide = sp.csr_matrix(X)
    wide.indices, wide.indptr = wide.indices.astype(np.int64), wide.indptr.astype(np.int64)
    for form in (X.tolist(), np.asfortranarray(X), sp.csc_array(X), wide):
        np.testing.assert_allclose(
            l0_path(form, y, max_features=4).coefs, reference.coefs, rtol=1e-9
        )
    single = X.astype(np.float32)
    single.flags.writeable = False
    path = l0_path(single, y, max_features=4)
    assert path.coefs.dtype == path.intercepts.dtype == np.float32
    np.testing.assert_allclose(path.coefs, reference.coefs, rtol=1e-3)


def test_the_default_numbers_of_features(rng: np.random.Generator) -> None:
    y = rng.standard_normal(100)
    X = rng.standard_normal((100, 50))
    assert l0_path(X, y).sizes[-1] == int(100 / (np.log(50) * np.log(np.log(100))))
    assert l0_path(X[:, :3], y).sizes.tolist() == [0, 1, 2, 3]
    assert l0_path(X[:4, :10], y[:4]).sizes.tolist() == [0, 1]
    assert l0_path(X[:, :3], y, max_features=9).sizes.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("options", [{"max_features": 3}, {"alphas": 3}, {"loss": "log"}])
def test_progress_is_shown_when_asked(
    problem: tuple[np.ndarray, np.ndarray],
    capsys: pytest.CaptureFixture[str],
    options: dict[str, Any],
) -> None:
    X, y = problem
    y = y > np.median(y) if "loss" in options else y
    options = {"max_features": None if "alphas" in options else 3, **options}
    l0_path(X, y, **options)
    assert capsys.readouterr().out == ""
    l0_path(X, y, verbose=2, **options)
    assert len(capsys.readouterr().out.splitlines()) >= 3


def test_an_interruption_keeps_the_points_so_far(
    problem: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = problem
    reference = l0_path(X, y, alphas=[50.0, 1.0, 0.5, 0.2])
    from sksparse.solvers import SubsetDescent

    original, calls = SubsetDescent.step, []

    def step(self: Any, problem: Any, state: Any) -> None:
        calls.append(problem.alpha)
        if problem.alpha == 0.5:
            raise KeyboardInterrupt
        original(self, problem, state)

    monkeypatch.setattr(SubsetDescent, "step", step)
    with pytest.raises(KeyboardInterrupt):
        l0_path(X, y, alphas=[50.0, 1.0, 0.5, 0.2])
    calls.clear()
    monkeypatch.setattr("sksparse._interrupts.LONG", 0.0)
    with pytest.warns(ConvergenceWarning, match="interrupted"):
        path = l0_path(X, y, alphas=[50.0, 1.0, 0.5, 0.2])
    assert 0.2 not in calls
    np.testing.assert_array_equal(path.alphas, [50.0, 1.0])
    np.testing.assert_allclose(path.coefs, reference.coefs[:, :2], rtol=1e-9)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"loss": "hinge"}, "'loss'"),
        ({"max_features": -1}, "'max_features'"),
        ({"max_features": [41]}, r"max_features=\[41\] holds a number that is not from 0 to 40"),
        ({"max_features": []}, "list of numbers"),
        ({"alphas": 0}, "'alphas'"),
        ({"alphas": [np.nan]}, "finite and non-negative"),
        ({"alphas": 2, "max_features": 2}, "exclude each other"),
        ({"penalty_weights": np.ones(3)}, "one factor per feature"),
        ({"sample_weight": np.zeros(60)}, "[Ss]ample.weight"),
        ({"sample_weight": -np.ones(60)}, "sample_weight"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    problem: tuple[np.ndarray, np.ndarray], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        l0_path(*problem, **options)


def test_bad_targets(problem: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = problem
    with pytest.raises(ValueError, match="at least two classes"):
        l0_path(X, np.ones(60), loss="log")
    with pytest.raises(ValueError, match="Unknown label type"):
        l0_path(X, y, loss="log")
    with pytest.raises(ValueError, match="for two classes, and y has 3"):
        l0_path(X, np.arange(60) % 3, loss="log", positive=True)


def test_a_constant_column_never_enters(rng: np.random.Generator) -> None:
    X = np.c_[np.ones(30), rng.standard_normal((30, 3))]
    path = l0_path(X, X[:, 2] + 1.0)
    np.testing.assert_allclose(path.coefs[:, 1], [0, 0, 1, 0], atol=1e-12)
    assert not path.coefs[0].any()
