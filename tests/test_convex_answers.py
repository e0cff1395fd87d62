"""Group lasso and OSCAR on data that hide a wrong answer: scales, constants, offsets, restarts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.special import expit, xlogy
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import StandardScaler

from sksparse import OSCAR, GroupLassoSelector

GROUPS = np.arange(12) // 3
MODELS = {
    "lasso": lambda alpha: GroupLassoSelector(alpha, loss="squared"),
    "group": lambda alpha: GroupLassoSelector(alpha, groups=GROUPS, loss="squared"),
    "sparse group": lambda alpha: GroupLassoSelector(
        alpha, groups=GROUPS, l1_ratio=0.4, loss="squared"
    ),
    "logistic": lambda alpha: GroupLassoSelector(alpha, groups=GROUPS, loss="logistic"),
    "poisson": lambda alpha: GroupLassoSelector(alpha, groups=GROUPS, loss="poisson"),
    "oscar": lambda alpha: OSCAR(alpha, ranks="all"),
}
SQUARED = sorted(set(MODELS) - {"logistic", "poisson"})


def data(rng: np.random.Generator, n: int = 100) -> tuple[np.ndarray, np.ndarray]:
    X = rng.standard_normal((n, 12))
    return X, X[:, :3] @ [3.0, -2.0, 1.5] + rng.standard_normal(n)


def target(name: str, y: np.ndarray) -> np.ndarray:
    if name == "poisson":
        return np.floor(np.exp(0.3 * y)).astype(int)
    return (y > 0).astype(int) if name == "logistic" else y


def penalty(model: Any, w: np.ndarray) -> float:
    """Of the docstrings, in plain numpy; its strength included."""
    if isinstance(model, OSCAR):
        p = len(w)
        pairs = sum(max(abs(w[i]), abs(w[j])) for i in range(p) for j in range(i))
        l1 = (1 - model.pairwise) * np.abs(w).sum()
        return model.alpha * (l1 + model.pairwise / (p - 1) * pairs)
    labels = np.arange(len(w)) if model.groups is None else np.asarray(model.groups)
    factors = model.penalty_weights
    norms = 0.0
    for number, g in enumerate(np.unique(labels)):
        factor = np.sqrt((labels == g).sum()) if factors is None else factors[number]
        norms += factor * np.linalg.norm(w[labels == g])
    return model.alpha * ((1 - model.l1_ratio) * norms + model.l1_ratio * np.abs(w).sum())


def objective(model: Any, X: Any, y: np.ndarray) -> float:
    w = model.coef_.astype(float)
    X = X.toarray() if sp.issparse(X) else X
    z = np.asarray(X, dtype=float) @ w + float(model.intercept_)
    if hasattr(model, "classes_"):
        y = (y == model.classes_[1]).astype(float)
        loss = np.mean(np.logaddexp(0.0, z) - y * z)
    elif getattr(model, "loss", "") == "poisson":
        loss = np.mean(np.exp(z) - y * z + xlogy(y, y) - y)
    else:
        loss = 0.5 * np.mean((y - z) ** 2)
    return float(loss) + penalty(model, w)


@pytest.mark.parametrize("scale", [1e4, 1e7, 1e8, 1e-5])
@pytest.mark.parametrize("name", MODELS)
def test_one_column_of_another_scale_hides_no_other(
    name: str, scale: float, rng: np.random.Generator
) -> None:
    X, y = data(rng)
    X[:, 10] *= scale
    y = target(name, y)
    model = MODELS[name](0.05)
    if hasattr(model, "groups"):
        # within one group, Euclidean norms make such features useless to each other
        model.set_params(groups=np.where(np.arange(12) == 10, 9, GROUPS))
    model.fit(X, y)
    assert np.all(model.coef_[:3] != 0)
    assert 0.0 <= model.dual_gap_ <= 1e-4 * objective(model, X, y)
    # The certificate, again: a gradient as a correlation with what is left.
    z = X @ model.coef_ + model.intercept_
    means = {"logistic": expit, "poisson": np.exp}.get(name, np.asarray)
    residual = y - means(z)
    assert abs(residual.mean()) <= 1e-10 * residual.std()


@pytest.mark.parametrize("exponent", [266, 531, -299, -531, -664, 900])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_features_times_a_power_of_two_give_the_same_model(
    name: str, sparse: bool, exponent: int, rng: np.random.Generator
) -> None:
    X, y = data(rng)
    y = target(name, y)
    reference = MODELS[name](0.05).fit(X, y)
    far = X * 2.0**exponent
    model = MODELS[name](np.ldexp(0.05, exponent)).fit(sp.csc_array(far) if sparse else far, y)
    np.testing.assert_allclose(np.ldexp(model.coef_, exponent), reference.coef_, atol=1e-9)
    assert model.intercept_ == pytest.approx(reference.intercept_)


@pytest.mark.parametrize("name", ["group", "oscar"])
def test_huge_features_at_an_ordinary_alpha_are_least_squares(
    name: str, rng: np.random.Generator
) -> None:
    X, y = data(rng)
    model = MODELS[name](0.05).fit(X * 1e80, y)
    np.testing.assert_allclose(1e80 * model.coef_, LinearRegression().fit(X, y).coef_, atol=1e-6)


@pytest.mark.parametrize("factor", [1e-160, 1e200])
@pytest.mark.parametrize("name", MODELS)
def test_one_column_beyond_float64_is_an_error(
    name: str, factor: float, rng: np.random.Generator
) -> None:
    X, y = data(rng)
    X[:, 4] *= factor
    with pytest.raises(ValueError, match=r"squares of some features.*Scale X"):
        MODELS[name](0.05).fit(X, target(name, y))


@pytest.mark.parametrize("factor", [1e-200, 1e160])
@pytest.mark.parametrize("name", SQUARED)
def test_targets_beyond_float64_are_an_error(
    name: str, factor: float, rng: np.random.Generator
) -> None:
    X, y = data(rng)
    with pytest.raises(ValueError, match=r"y spreads over .*Scale y"):
        MODELS[name](0.05).fit(X, y * factor)


@pytest.mark.parametrize("alpha", [0.05, 0.0])
@pytest.mark.parametrize("kind", ["C", "F", "csr", "float32"])
@pytest.mark.parametrize("name", MODELS)
def test_constant_columns_have_no_coefficient(
    name: str, kind: str, alpha: float, rng: np.random.Generator
) -> None:
    X, y = data(rng)
    X[:, 5], X[:, 7], X[:, 8] = 1.7e18, 1e6, 0.1
    y = target(name, y)
    given = {
        "C": np.ascontiguousarray,
        "F": np.asfortranarray,
        "csr": sp.csr_array,
        "float32": lambda X: X.astype(np.float32),
    }[kind](X)
    if name == "logistic" and alpha == 0.0:
        y = (rng.random(len(y)) < 0.5).astype(int)  # not separable
    model = MODELS[name](alpha).fit(given, y)
    assert not model.coef_[[5, 7, 8]].any()
    if isinstance(model, OSCAR):
        assert not set(np.concatenate(model.clusters_).tolist()) & {5, 7, 8}
    others = np.delete(np.arange(12), [5, 7, 8])
    if alpha == 0.0 and name in SQUARED:
        exact = LinearRegression().fit(X[:, others], y).coef_
        np.testing.assert_allclose(model.coef_[others], exact, atol=1e-3)


@pytest.mark.parametrize("levels", [2, 4, 16])
@pytest.mark.parametrize("pairwise", [0.0, 0.5, 1.0])
def test_oscar_on_a_balanced_category(
    levels: int, pairwise: float, rng: np.random.Generator
) -> None:
    code = np.arange(160) % levels
    X, y = np.eye(levels)[code], code + 0.1 * rng.standard_normal(160)
    model = OSCAR(0.01, pairwise=pairwise).fit(X, y)
    assert model.score(X, y) > 0.8
    assert model.dual_gap_ <= 1e-4 * objective(model, X, y)


def test_oscar_on_opposite_columns(rng: np.random.Generator) -> None:
    x = rng.standard_normal(50)
    model = OSCAR(0.1).fit(np.c_[x, -x], 2 * x)
    assert model.coef_[0] == -model.coef_[1] > 0.5


@pytest.mark.parametrize("offset", [1e4, 1e6])
@pytest.mark.parametrize("name", SQUARED)
def test_what_a_dominant_column_explains_changes_no_tolerance(
    name: str, offset: float, rng: np.random.Generator
) -> None:
    # Without an intercept, a column of ones explains the offset and all else is far smaller.
    X, y = data(rng)
    X[:, 3:6] = np.c_[np.ones((100, 1)), 0.1 * rng.standard_normal((100, 2))]
    model = MODELS[name](1e-3).set_params(fit_intercept=False).fit(X, y + offset)
    assert np.all(model.coef_[:3] != 0)
    assert model.dual_gap_ <= 1e-4 * objective(model, X, y + offset)


@pytest.mark.parametrize("alpha", [1e-3, 1e-2, 0.1])
@pytest.mark.parametrize("l1_ratio", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("loss", ["logistic", "squared", "poisson"])
def test_raw_features_converge(loss: str, l1_ratio: float, alpha: float) -> None:
    X, y = load_breast_cancer(return_X_y=True)
    model = GroupLassoSelector(alpha, np.arange(30) // 10, l1_ratio=l1_ratio, loss=loss).fit(X, y)
    assert 0.0 <= model.dual_gap_ <= 1e-4 * objective(model, X, y)
    assert model.n_iter_ < 20
    oscar = OSCAR(alpha).fit(X, y)
    assert 0.0 <= oscar.dual_gap_ <= 1e-4 * objective(oscar, X, y)


def test_a_logistic_fit_can_start_from_another() -> None:
    X, y = load_breast_cancer(return_X_y=True)
    cold = GroupLassoSelector(0.02).fit(X, y)
    warm = GroupLassoSelector(0.02, warm_start=True).fit(X, y).fit(X, y)
    np.testing.assert_allclose(
        X @ warm.coef_ + warm.intercept_, X @ cold.coef_ + cold.intercept_, atol=1e-2
    )
    assert objective(warm, X, y) == pytest.approx(objective(cold, X, y), rel=1e-4)


@pytest.mark.filterwarnings("ignore:No group is selected:UserWarning")
@pytest.mark.parametrize("n_seeds", [20])
def test_a_warm_start_far_away_finds_the_intercept(n_seeds: int, seed: int) -> None:
    for number in range(n_seeds):
        rng = np.random.default_rng([seed, number])
        X, y = rng.standard_normal((80, 6)) + 1.0, np.arange(80) % 5 == 0
        model = GroupLassoSelector(0.003, warm_start=True).fit(X, y)
        model.set_params(alpha=10.0).fit(X, y)
        assert not model.coef_.any()
        assert model.intercept_ == pytest.approx(np.log(0.2 / 0.8), abs=1e-8)
        assert model.dual_gap_ == pytest.approx(0.0, abs=1e-10)


@pytest.mark.parametrize("factor", [1e4, 1e9, 1e80])
@pytest.mark.parametrize("name", ["group", "logistic", "poisson", "oscar"])
def test_a_start_from_features_of_other_units(
    name: str, factor: float, rng: np.random.Generator
) -> None:
    X, y = data(rng)
    y = target(name, y)
    model = MODELS[name](0.05).set_params(warm_start=True).fit(X, y)
    model.set_params(alpha=0.05 * factor).fit(X * factor, y)
    cold = MODELS[name](0.05 * factor).fit(X * factor, y)
    np.testing.assert_allclose(model.coef_ * factor, cold.coef_ * factor, atol=1e-3)


@pytest.mark.parametrize("name", ["lasso", "oscar"])
def test_tiny_features_next_to_a_huge_constant(name: str, rng: np.random.Generator) -> None:
    X, y = data(rng)
    reference = MODELS[name](0.05).fit(X[:, :11], y)
    far = np.ldexp(X, -300)
    far[:, 11] = 1.7e18
    model = MODELS[name](np.ldexp(0.05, -300))
    if name == "oscar":
        # its weights count all features
        reference = MODELS[name](0.05).fit(np.where(np.arange(12) == 11, 0.0, X), y)
    model.fit(far, y)
    np.testing.assert_allclose(np.ldexp(model.coef_[:11], -300), reference.coef_[:11], atol=1e-5)


@pytest.mark.parametrize("loss", ["squared", "logistic"])
@pytest.mark.parametrize("n_seeds", [10])
def test_the_gap_bounds_the_error_when_free_groups_differ_in_scale(
    loss: str, n_seeds: int, seed: int
) -> None:
    for number in range(n_seeds):
        rng = np.random.default_rng([seed, number])
        X = rng.standard_normal((60, 6))
        y = X[:, 0] + X[:, 3] + rng.standard_normal(60)
        y = y if loss == "squared" else (y > 0).astype(int)
        scale = np.array([1e-4, 1e4, 1.0, 1.0, 1.0, 1.0])
        factors = [0.0, 0.0, 1.0, 1.0, 1.0, 1.0]
        options = {"loss": loss, "penalty_weights": factors}
        near = GroupLassoSelector(0.05, tol=1e-10, **options).fit(X, y)
        rough = GroupLassoSelector(0.05, tol=0.05, **options).fit(X * scale, y)
        fine = GroupLassoSelector(0.05, **options).fit(X * scale, y)
        optimum = objective(near, X, y)
        for model in (rough, fine):
            excess = objective(model, X * scale, y) - optimum
            assert -1e-8 <= excess <= model.dual_gap_ + 1e-8
        assert fine.dual_gap_ <= 1e-4 * optimum


def test_groups_that_separate_the_classes_have_no_gap(rng: np.random.Generator) -> None:
    X = rng.standard_normal((40, 3))
    y = (X[:, 0] > 0).astype(int)
    model = GroupLassoSelector(0.1, penalty_weights=[0.0, 1.0, 1.0], max_iter=5)
    with pytest.warns(ConvergenceWarning, match="Remedy"):
        model.fit(X, y)


@pytest.mark.parametrize("offset", [1e6, 1e9])
@pytest.mark.parametrize("name", MODELS)
def test_columns_far_from_zero(name: str, offset: float, rng: np.random.Generator) -> None:
    X, y = data(rng)
    y = target(name, y)
    near = MODELS[name](0.05).fit(X, y)
    far = MODELS[name](0.05).fit(X + offset * (np.arange(12) % 2), y)
    np.testing.assert_allclose(far.coef_, near.coef_, atol=1e-5)


@pytest.mark.parametrize("name", SQUARED)
def test_float32_columns_far_from_zero(name: str, rng: np.random.Generator) -> None:
    X, y = data(rng)
    X = (X + 1000.0 * (np.arange(12) % 2)).astype(np.float32)
    double = MODELS[name](0.05).fit(X.astype(float), y)
    single = MODELS[name](0.05).fit(X, y)
    np.testing.assert_allclose(single.coef_, double.coef_, atol=1e-3)


@pytest.mark.parametrize("codes", [np.arange(3), np.array([7, 2, 5]), np.array(["a", "b", "c"])])
def test_more_than_two_classes_have_a_loss_of_their_own(codes: np.ndarray) -> None:
    X, y = load_wine(return_X_y=True)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    with pytest.raises(ValueError, match=r"two classes.*loss='multinomial'"):
        GroupLassoSelector(0.1, loss="logistic").fit(X, codes[y])
    model = GroupLassoSelector(0.1).fit(X, codes[y])
    assert model.coef_.shape == (3, 13)
    assert model.classes_.tolist() == np.unique(codes).tolist()
    if codes.dtype.kind == "i":
        same = GroupLassoSelector(0.1).fit(X, codes[y].astype(float))
        np.testing.assert_array_equal(same.coef_, model.coef_)
        assert not hasattr(GroupLassoSelector(0.1, loss="squared").fit(X, codes[y]), "classes_")


def test_whole_numbers_of_many_values_are_quantities(rng: np.random.Generator) -> None:
    X = rng.standard_normal((200, 4))
    y = np.round(100 * X[:, 0])
    assert not hasattr(GroupLassoSelector(0.1).fit(X, y), "classes_")


def test_min_features_keeps_the_next_groups(rng: np.random.Generator) -> None:
    X, y = data(rng)
    X = StandardScaler().fit_transform(X)
    y = X[:, 0] + 0.5 * X[:, 4] + 0.1 * rng.standard_normal(100)
    with pytest.warns(UserWarning, match="min_features=1"):
        GroupLassoSelector(100.0, GROUPS).fit(X, y)
    one = GroupLassoSelector(100.0, GROUPS, min_features=1).fit(X, y)
    assert one.selected_groups_.tolist() == [0]
    assert one.transform(X).shape == (100, 3)
    assert not one.coef_.any()
    two = GroupLassoSelector(100.0, GROUPS, min_features=4).fit(X, y)
    assert two.selected_groups_.tolist() == [0, 1]
    enough = GroupLassoSelector(0.1, GROUPS, min_features=2).fit(X, y)
    plain = GroupLassoSelector(0.1, GROUPS).fit(X, y)
    np.testing.assert_array_equal(enough.get_support(), plain.get_support())
    with pytest.warns(UserWarning, match="min_features=13 is more than X has, n_features=12"):
        every = GroupLassoSelector(100.0, GROUPS, min_features=13).fit(X, y)
    assert every.get_support().all()
