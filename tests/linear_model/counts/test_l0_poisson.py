"""Best subsets of counts, against exhaustive search and scikit-learn."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.special import xlogy
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import PoissonRegressor
from sklearn.metrics import d2_tweedie_score, mean_poisson_deviance
from sklearn.model_selection import KFold
from sklearn.utils.estimator_checks import parametrize_with_checks

from sksparse import L0PoissonRegressor, L0PoissonRegressorCV
from sksparse.inspection import RegularizationPathDisplay
from sksparse.linear_model import l0_path

BOTH = [L0PoissonRegressor(), L0PoissonRegressorCV()]


@parametrize_with_checks(
    [
        *BOTH,
        L0PoissonRegressor(solver="forward", warm_start=True),
        L0PoissonRegressorCV(cv=2, alphas=5, scoring="r2"),
    ]
)
@pytest.mark.filterwarnings("ignore:No features were selected:UserWarning")
def test_sklearn_contract(estimator: object, check: object) -> None:
    check(estimator)


def make_data(rng: np.random.Generator, n: int = 150, p: int = 8) -> tuple[np.ndarray, np.ndarray]:
    X = rng.standard_normal((n, p)) + 0.5 * rng.standard_normal((n, 1))
    return X, rng.poisson(np.exp(0.5 + X[:, [1, 3, 5]] @ [0.6, -0.4, 0.3]))


def half_deviance(y: np.ndarray, z: np.ndarray, weights: np.ndarray | None = None) -> float:
    return float(np.average(np.exp(z) - y * z + xlogy(y, y) - y, weights=weights))


def reference(X: np.ndarray, y: np.ndarray, alpha: float = 0.0) -> PoissonRegressor:
    return PoissonRegressor(alpha=alpha, tol=1e-9, max_iter=10_000).fit(X, y)


@pytest.mark.parametrize("l2", [0.0, 0.1])
@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_equals_exhaustive_search(size: int, l2: float, rng: np.random.Generator) -> None:
    X, y = make_data(rng)
    model = L0PoissonRegressor(max_features=size, l2=l2).fit(X, y)

    def objective(z: np.ndarray, w: np.ndarray) -> float:
        return half_deviance(y, z) + 0.5 * l2 * float(w @ w)

    fits = [(s, reference(X[:, s], y, l2)) for s in combinations(range(8), size)]
    values = [objective(X[:, s] @ m.coef_ + m.intercept_, m.coef_) for s, m in fits]
    support, best = fits[int(np.argmin(values))]
    np.testing.assert_array_equal(model.get_support(indices=True), support)
    np.testing.assert_allclose(model.coef_[list(support)], best.coef_, atol=1e-5)
    assert model.intercept_ == pytest.approx(best.intercept_, abs=1e-5)
    assert model.optimality_ <= 1e-8


@pytest.mark.parametrize("solver", ["auto", "swap", "forward", "backward"])
def test_solvers_end_at_maximum_likelihood(solver: str, rng: np.random.Generator) -> None:
    X, y = make_data(rng)
    model = L0PoissonRegressor(0.02, solver=solver).fit(X, y)
    support = model.get_support()
    assert support[[1, 3]].all()
    np.testing.assert_allclose(model.coef_[support], reference(X[:, support], y).coef_, atol=1e-5)


def test_predictions_and_score_are_those_of_scikit_learn(rng: np.random.Generator) -> None:
    X, y = make_data(rng)
    weights = rng.random(len(y))
    model = L0PoissonRegressor(max_features=8).fit(X, y)
    theirs = reference(X, y)
    np.testing.assert_allclose(model.predict(X), theirs.predict(X), rtol=1e-4)
    for given in (None, weights):
        assert model.score(X, y, given) == pytest.approx(
            d2_tweedie_score(y, model.predict(X), sample_weight=given, power=1)
        )
    assert model.score(X, np.zeros(len(y))) == 0.0
    with pytest.raises(ValueError, match="y >= 0"):
        model.score(X, y - 5.0)


def test_weights_repetitions_sparse_and_float32(rng: np.random.Generator) -> None:
    X, y = make_data(rng)
    X = np.where(np.abs(X) < 0.3, 0.0, X)
    counts = rng.integers(0, 4, len(y))
    model = L0PoissonRegressor(0.02)
    weighted = clone(model).fit(X, y, sample_weight=counts)
    repeated = clone(model).fit(np.repeat(X, counts, axis=0), np.repeat(y, counts))
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, atol=1e-8)
    dense = clone(model).fit(X, y)
    for form in (sp.csr_array, sp.csc_array):
        np.testing.assert_allclose(clone(model).fit(form(X), y).coef_, dense.coef_, atol=1e-8)
    single = clone(model).fit(X.astype(np.float32), y)
    assert single.coef_.dtype == single.predict(X.astype(np.float32)).dtype == np.float32
    np.testing.assert_allclose(single.coef_, dense.coef_, atol=1e-3)


def test_exposure_is_a_weight(rng: np.random.Generator) -> None:
    X, _ = make_data(rng, 300)
    hours = rng.uniform(0.5, 4.0, 300)
    counts = rng.poisson(hours * np.exp(0.3 + 0.5 * X[:, 2]))
    model = L0PoissonRegressor(max_features=1).fit(X, counts / hours, sample_weight=hours)
    assert model.get_support(indices=True).tolist() == [2]
    # the score equations of the counts with the offset log(hours)
    left = counts - hours * model.predict(X)
    assert abs(left.sum()) <= 1e-8 * counts.sum()
    assert abs(left @ X[:, 2]) <= 1e-6 * counts.sum()


@pytest.mark.parametrize("level", [1.0, 1e6])
def test_a_category_without_counts_warns(level: float, rng: np.random.Generator) -> None:
    category = np.arange(200) % 4
    X = np.column_stack((np.eye(4)[category][:, :3], rng.standard_normal((200, 3))))
    means = level * np.exp(1.0 + 0.5 * X[:, 4])
    y = rng.poisson(np.where(category == 1, 0.0, means))
    with pytest.warns(ConvergenceWarning, match=r"single out samples with y = 0.*a positive l2"):
        model = L0PoissonRegressor(0.01).fit(X, y)
    assert model.coef_[1] < -10.0
    assert np.all(np.isfinite(model.coef_))
    with pytest.warns(ConvergenceWarning, match=r"single out samples with y = 0 at \d of"):
        l0_path(X, y, max_features=3, loss="poisson")
    bounded = L0PoissonRegressor(0.01, l2=1e-3).fit(X, y)
    assert -30.0 < bounded.coef_[1] < -1.0


def test_rare_counts_and_zeros_that_have_a_mean_do_not_warn(rng: np.random.Generator) -> None:
    X = np.column_stack((np.arange(4000) % 2, rng.standard_normal(4000)))
    y = rng.poisson(np.where(X[:, 0] > 0, 0.02, 200.0))
    assert y[X[:, 0] > 0].any()
    model = L0PoissonRegressor(max_features=1).fit(X, y)
    rate = y[X[:, 0] > 0].mean() / y[X[:, 0] == 0].mean()
    assert model.coef_[0] == pytest.approx(np.log(rate), abs=1e-6)


@pytest.mark.parametrize("estimator", BOTH)
def test_targets_without_a_fit_are_refused(estimator: object, rng: np.random.Generator) -> None:
    X, y = make_data(rng)
    with pytest.raises(ValueError, match=r"The Poisson loss needs y >= 0.*smallest y of -2"):
        clone(estimator).fit(X, y - y.min() - 2)
    with pytest.raises(ValueError, match="y is zero for every sample with a positive weight"):
        clone(estimator).fit(X, 0 * y)
    with pytest.raises(ValueError, match="y is zero for every sample with a positive weight"):
        clone(estimator).fit(X, y, sample_weight=(y == 0).astype(float))


def test_a_constant_count_has_no_features(rng: np.random.Generator) -> None:
    model = L0PoissonRegressor().fit(rng.standard_normal((30, 4)), np.full(30, 7))
    assert not model.coef_.any()
    assert model.predict(np.zeros((1, 4)))[0] == pytest.approx(7.0)
    assert model.score(np.zeros((2, 4)), [7, 7]) in {0.0, 1.0}


@pytest.mark.parametrize("criterion", ["aic", "bic", "ebic"])
def test_criteria_are_those_of_the_likelihood(criterion: str, rng: np.random.Generator) -> None:
    X, y = make_data(rng)
    n, p = X.shape
    model = L0PoissonRegressorCV(max_features=4, criterion=criterion).fit(X, y)
    for k in range(5):
        z = X @ model.coef_path_[:, k] + model.intercept_path_[k]
        per_feature = {"aic": 2.0, "bic": np.log(n), "ebic": np.log(n) + 2 * np.log(p)}[criterion]
        value = n * mean_poisson_deviance(y, np.exp(z)) + k * per_feature
        assert model.criterion_path_[k] == pytest.approx(value)
    assert model.n_features_ == np.argmin(model.criterion_path_)
    display = RegularizationPathDisplay.from_estimator(model)
    assert display is not None


def test_cross_validation_by_hand(rng: np.random.Generator) -> None:
    X, y = make_data(rng)
    folds = list(KFold(4, shuffle=True, random_state=0).split(X))
    model = L0PoissonRegressorCV(max_features=[0, 1, 3], cv=folds).fit(X, y)
    assert model.deviance_path_.shape == (3, 4)
    for f, (train, test) in enumerate(folds):
        path = l0_path(X[train], y[train], max_features=[0, 1, 3], loss="poisson")
        for k in range(3):
            means = np.exp(X[test] @ path.coefs[:, k] + path.intercepts[k])
            expected = mean_poisson_deviance(y[test], means)
            assert model.deviance_path_[k, f] == pytest.approx(expected)
    assert model.n_features_ == [0, 1, 3][int(np.argmin(model.deviance_path_.mean(axis=1)))]
    again = L0PoissonRegressor(max_features=max(model.n_features_, 1)).fit(X, y)
    np.testing.assert_allclose(model.coef_, again.coef_, atol=1e-8)
    RegularizationPathDisplay.from_estimator(model)


def test_noise_is_not_chosen_and_signals_are(rng: np.random.Generator) -> None:
    X = rng.standard_normal((300, 40))
    rare, many = rng.poisson(0.1, 300), rng.poisson(np.exp(2.0 + 0.3 * X[:, 4]))
    assert L0PoissonRegressorCV().fit(X, rare).n_features_ <= 1
    assert L0PoissonRegressorCV().fit(X, many).get_support(indices=True)[0] == 4
    strengths = L0PoissonRegressorCV(alphas=20, cv=5, selection="1se").fit(X, many)
    assert strengths.get_support()[4]


def test_a_fold_of_zeros_is_named(rng: np.random.Generator) -> None:
    X = rng.standard_normal((20, 2))
    y = (np.arange(20) >= 10).astype(float)
    with pytest.raises(ValueError, match="fold 2/2 trains on samples with y = 0 alone"):
        L0PoissonRegressorCV(cv=KFold(2)).fit(X, y)


def test_path_at_strengths_is_the_single_fits(rng: np.random.Generator) -> None:
    X, y = make_data(rng)
    path = l0_path(X, y, alphas=[0.1, 0.02, 0.005], loss="poisson")
    for k, alpha in enumerate(path.alphas):
        np.testing.assert_allclose(
            path.coefs[:, k], L0PoissonRegressor(alpha).fit(X, y).coef_, atol=1e-8
        )
        z = X @ path.coefs[:, k] + path.intercepts[k]
        assert path.losses[k] == pytest.approx(half_deviance(y, z))


def test_kept_features_signs_and_a_warm_start(rng: np.random.Generator) -> None:
    X, y = make_data(rng)
    kept = np.where(np.arange(8) == 0, 0.0, 1.0)
    model = L0PoissonRegressor(max_features=1, penalty_weights=kept, warm_start=True).fit(X, y)
    scores = [reference(X[:, [0, j]], y).score(X[:, [0, j]], y) for j in range(1, 8)]
    assert model.get_support(indices=True).tolist() == [0, 1 + int(np.argmax(scores))]
    assert np.array_equal(model.fit(X, y).coef_, model.coef_)
    positive = L0PoissonRegressor(0.01, positive=True).fit(X, y)
    assert positive.coef_.min() >= 0.0
    assert not positive.coef_[3]
