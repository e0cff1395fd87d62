"""Classes that features separate: the default ridge, its units, and warnings without one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from sksparse.inspection import RegularizationPathDisplay
from sksparse.linear_model import L0Classifier, L0ClassifierCV, l0_path

SOLVERS = ["auto", "swap", "forward"]


def wide(rng: np.random.Generator, n: int, p: int) -> tuple[np.ndarray, np.ndarray]:
    """Correlated features, many more than samples, of which five matter."""
    X = rng.standard_normal((n, p)) + 0.5 * rng.standard_normal((n, 1))
    return X, (rng.random(n) < expit(1.5 * X[:, :5].sum(axis=1))).astype(int)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_default_uses_the_features_asked_for(
    rng: np.random.Generator, solver: str, n_classes: int
) -> None:
    X, y = wide(rng, 60, 900)
    if n_classes == 3:
        y = np.digitize(X[:, :5].sum(axis=1), [-1.5, 1.5])
    model = L0Classifier(max_features=10, solver=solver).fit(X, y)
    assert model.get_support().sum() == 10
    # fewer than three units of log odds for a standard deviation, and no certainty
    assert np.abs(model.coef_ * X.std(axis=0)).max() < 3.0
    assert model.predict_proba(X).max() < 0.9999
    path = l0_path(X, y, loss="log", max_features=12)
    np.testing.assert_array_equal(path.n_features, np.arange(13))


def test_the_default_predicts_better_than_no_ridge(seed: int) -> None:
    losses = []
    for draw in range(5):
        rng = np.random.default_rng([seed, draw])
        X, y = wide(rng, 1060, 400)
        for l2 in ("auto", 0.0):
            model = L0Classifier(max_features=8, l2=l2)
            if l2 == 0.0:
                with pytest.warns(ConvergenceWarning, match="separate"):
                    model.fit(X[:60], y[:60])
            else:
                model.fit(X[:60], y[:60])
            losses.append(log_loss(y[60:], model.predict_proba(X[60:])))
    default, without = np.array(losses).reshape(5, 2).T
    assert np.all(default < without)
    assert default.mean() < 1.5 * np.log(2)


def test_a_held_out_path_stays_sane(rng: np.random.Generator) -> None:
    X, y = wide(rng, 60, 400)
    model = L0ClassifierCV(max_features=10, cv=5).fit(X, y)
    assert model.score_path_.mean(axis=1).min() > -1.5
    np.testing.assert_array_equal(model.n_features_path_, np.arange(11))


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("shape", [(40, 60), (200, 6)])
def test_the_objective_is_the_documented_one(
    rng: np.random.Generator, fit_intercept: bool, n_classes: int, shape: tuple[int, int]
) -> None:
    n, p = shape
    X = rng.standard_normal(shape) * rng.uniform(0.1, 10.0, p) + 1.0
    z = X[:, :3] / X[:, :3].std(axis=0) @ rng.standard_normal((3, n_classes))
    y = np.argmax(z + rng.gumbel(size=z.shape), axis=1)
    weights = rng.integers(1, 4, n).astype(float)
    model = L0Classifier(max_features=3, fit_intercept=fit_intercept).fit(X, y, weights)
    s, used = weights / weights.sum(), model.get_support(indices=True)
    n = weights.sum()
    assert model.l2_ == pytest.approx(np.log(4 * p / n) / n if p >= n else 1e-8)
    centre = s @ X if fit_intercept else 0.0
    ridge = model.l2_ * (s @ (X - centre) ** 2)[used]
    m = 1 if n_classes == 2 else n_classes

    def objective(theta: np.ndarray) -> float:
        w, b = theta[: m * len(used)].reshape(m, -1), theta[m * len(used) :] * fit_intercept
        z = (X[:, used] / X[:, used].std(axis=0)) @ w.T + b
        scaled = w / X[:, used].std(axis=0)
        if m == 1:
            losses = np.logaddexp(0.0, z[:, 0]) - y * z[:, 0]
        else:
            losses = np.logaddexp.reduce(z, axis=1) - z[np.arange(len(y)), y]
        return float(s @ losses + 0.5 * np.sum(ridge * scaled**2))

    found = np.append(model.coef_[:, used] * X[:, used].std(axis=0), model.intercept_)
    best = minimize(objective, np.zeros(found.size), method="BFGS", options={"gtol": 1e-9})
    assert objective(found) <= best.fun + 1e-9


def test_the_scale_of_features_does_not_matter(rng: np.random.Generator) -> None:
    X, y = wide(rng, 50, 120)
    scales = 10.0 ** rng.uniform(-6, 6, 120)
    plain = L0Classifier(max_features=4).fit(X, y)
    scaled = L0Classifier(max_features=4).fit(X * scales, y)
    np.testing.assert_array_equal(plain.get_support(), scaled.get_support())
    np.testing.assert_allclose(scaled.coef_ * scales, plain.coef_, rtol=1e-5)
    sparse = L0Classifier(max_features=4).fit(sp.csc_array(X), y)
    np.testing.assert_allclose(sparse.coef_, plain.coef_, rtol=1e-5)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_samples_decide_alone_where_they_are_many(rng: np.random.Generator, n_classes: int) -> None:
    X = rng.standard_normal((300, 40))
    z = X[:, :4] @ rng.standard_normal((4, n_classes))
    y = np.argmax(z + rng.gumbel(size=z.shape), axis=1)
    default = L0Classifier(max_features=4).fit(X, y)
    exact = L0Classifier(max_features=4, l2=0).fit(X, y)
    np.testing.assert_array_equal(default.get_support(), exact.get_support())
    np.testing.assert_allclose(default.coef_, exact.coef_, rtol=1e-4, atol=1e-5)
    assert exact.l2_ == 0.0
    used = exact.get_support()
    reference = LogisticRegression(C=np.inf, tol=1e-9, max_iter=5000).fit(X[:, used], y)
    np.testing.assert_allclose(
        default.predict_proba(X), reference.predict_proba(X[:, used]), atol=1e-4
    )


def test_counts_are_repetitions_and_other_weights_have_no_scale(
    rng: np.random.Generator,
) -> None:
    X, y = wide(rng, 40, 150)
    counts = rng.integers(0, 3, 40)
    options = {"max_features": 4}
    weighted = L0Classifier(**options).fit(X, y, counts)
    repeated = L0Classifier(**options).fit(np.repeat(X, counts, axis=0), np.repeat(y, counts))
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, rtol=1e-6)
    weights = rng.uniform(0.5, 1.5, 40)
    one = L0Classifier(**options).fit(X, y, weights / weights.sum())
    other = L0Classifier(**options).fit(X, y, 17.3 * weights)
    np.testing.assert_allclose(one.coef_, other.coef_, rtol=1e-6)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_separation_without_a_ridge_warns_with_the_remedy(
    rng: np.random.Generator, solver: str, n_classes: int
) -> None:
    X = rng.standard_normal((60, 30))
    y = np.digitize(X[:, 4], [0.0] if n_classes == 2 else [-0.5, 0.5])
    with pytest.warns(ConvergenceWarning, match=r"separate the classes.*Remedy: a positive l2"):
        L0Classifier(max_features=3, l2=0.0, solver=solver).fit(X, y)
    with pytest.warns(ConvergenceWarning, match="separate the classes at [0-9]+ of 4 points"):
        l0_path(X, y, loss="log", max_features=3, l2=0.0)
    with pytest.warns(ConvergenceWarning, match="separate"):
        L0ClassifierCV(max_features=3, l2=0.0, cv=3).fit(X, y)
    L0Classifier(max_features=3, l2=1e-3, solver=solver).fit(X, y)
    L0Classifier(max_features=3, solver=solver).fit(X[:25], y[:25])


def test_separation_in_part_warns_as_well(rng: np.random.Generator) -> None:
    X = rng.standard_normal((200, 3))
    X[:, 1] = 0.0
    X[:9, 1] = 1.0
    y = (X[:, 0] + rng.standard_normal(200) > 0).astype(int)
    # all nine samples of this level are of one class
    y[:9] = 1
    with pytest.warns(ConvergenceWarning, match="at least in part"):
        L0Classifier(max_features=3, l2=0.0).fit(X, y)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_level_of_one_class_is_noticed(
    rng: np.random.Generator, fit_intercept: bool, n_classes: int
) -> None:
    levels = rng.integers(0, 4, 300)
    X = np.column_stack((np.eye(4)[levels], rng.standard_normal((300, 2))))
    y = np.argmax(
        X[:, 4:] @ rng.standard_normal((2, n_classes)) + rng.gumbel(size=(300, n_classes)), axis=1
    )
    y[levels == 2] = 1
    with pytest.warns(ConvergenceWarning, match="at least in part"):
        L0Classifier(max_features=6, l2=0.0, fit_intercept=fit_intercept).fit(X, y)
    L0Classifier(max_features=6, fit_intercept=fit_intercept).fit(X, y)


def test_strong_features_are_not_taken_for_separating_ones(rng: np.random.Generator) -> None:
    X = rng.standard_t(1.5, (2000, 2))
    y = (rng.random(2000) < expit(2.0 * X[:, 0])).astype(int)
    model = L0Classifier(max_features=2, l2=0.0).fit(X, y)
    assert np.abs(model.decision_function(X)).max() > 15.0


def test_coefficients_keep_their_meaning_by_default(rng: np.random.Generator) -> None:
    X = rng.standard_normal((400, 5))
    y = (X[:, 0] > X[:, 1]).astype(int)
    model = L0Classifier(max_features=2).fit(X, y)
    assert model.l2_ == pytest.approx(np.log(4.0) / 400)
    assert np.abs(model.coef_).max() < 10.0


@pytest.mark.parametrize("cv", [None, 4])
@pytest.mark.parametrize("grid", [{"max_features": 6}, {"alphas": 5}])
def test_a_list_of_l2_is_searched_with_the_numbers_of_features(
    rng: np.random.Generator, cv: Any, grid: dict[str, Any]
) -> None:
    X, y = wide(rng, 80, 60)
    strengths = [1.0, 1e-3, 0.05]
    model = L0ClassifierCV(l2=strengths, cv=cv, criterion="bic", **grid).fit(X, y)
    table = model.criterion_path_ if cv is None else -model.score_path_.mean(axis=2)
    assert table.shape == (3, len(model.n_features_path_))
    chosen, point = np.unravel_index(np.argmin(table), table.shape)
    assert model.l2_ == strengths[chosen]
    assert model.n_features_ == model.n_features_path_[point]
    alone = L0ClassifierCV(l2=model.l2_, cv=cv, criterion="bic", **grid).fit(X, y)
    np.testing.assert_array_equal(alone.coef_path_, model.coef_path_)
    if cv is not None:
        np.testing.assert_allclose(alone.score_path_, model.score_path_[chosen])
    RegularizationPathDisplay.from_estimator(model)


def test_degrees_of_freedom_are_effective_where_ridges_are_compared(
    rng: np.random.Generator,
) -> None:
    X, y = wide(rng, 90, 8)
    model = L0ClassifierCV(max_features=[3], l2=[0.0, 0.2], criterion="aic").fit(X, y)
    for l2, value in zip(model.l2, model.criterion_path_[:, 0], strict=True):
        path = l0_path(X, y, loss="log", max_features=[3], l2=l2)
        used = np.flatnonzero(path.coefs[:, 0])
        p = expit(X @ path.coefs[:, 0] + path.intercepts[0])
        A = np.column_stack((X[:, used], np.ones(90)))
        H = (A * (p * (1 - p))[:, None]).T @ A / 90
        R = np.diag([l2] * 3 + [0.0])
        df = np.trace(np.linalg.solve(H + R, H)) - 1
        assert value == pytest.approx(180 * path.losses[0] + 2 * df, rel=1e-8)
    assert model.criterion_path_[0, 0] == pytest.approx(
        180 * l0_path(X, y, loss="log", max_features=[3], l2=0.0).losses[0] + 6
    )


@pytest.mark.parametrize("l2", [[], [-1.0], [np.nan], ["auto", 1.0], [[1.0]], -0.5, "none"])
def test_strengths_that_cannot_be_meant(rng: np.random.Generator, l2: Any) -> None:
    X, y = wide(rng, 40, 6)
    with pytest.raises(ValueError, match="l2"):
        L0ClassifierCV(l2=l2).fit(X, y)


@pytest.mark.parametrize("n_classes", [2, 3, 4])
def test_paths_without_an_intercept(rng: np.random.Generator, n_classes: int) -> None:
    X = rng.standard_normal((120, 6))
    y = np.argmax(X[:, :n_classes] + rng.gumbel(size=(120, n_classes)), axis=1)
    path = l0_path(X, y, loss="log", fit_intercept=False)
    assert not path.intercepts.any()
    assert path.losses[0] == pytest.approx(np.log(n_classes))
    for options in ({}, {"cv": 3}, {"alphas": 3}, {"criterion": "bic", "l2": [0.01, 0.1]}):
        model = L0ClassifierCV(fit_intercept=False, **options).fit(X, y)
        assert not model.intercept_.any()
        assert model.predict_proba(X).shape == (120, n_classes)
    kept = l0_path(
        X, y, loss="log", fit_intercept=False, max_features=[0], penalty_weights=[0.0] + [1.0] * 5
    )
    reference = LogisticRegression(C=np.inf, tol=1e-9, fit_intercept=False).fit(X[:, :1], y)
    assert kept.losses[0] == pytest.approx(log_loss(y, reference.predict_proba(X[:, :1])), rel=1e-6)


@pytest.mark.parametrize("positive", [True, [True, False]])
def test_signs_are_for_two_classes_and_tags_say_so(positive: Any) -> None:
    for estimator in (L0Classifier, L0ClassifierCV):
        assert estimator().__sklearn_tags__().classifier_tags.multi_class
        assert not estimator(positive=positive).__sklearn_tags__().classifier_tags.multi_class
