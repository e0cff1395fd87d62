"""GroupLassoRegressor against closed forms, scikit-learn, and its own symmetries."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.optimize import lsq_linear
from sklearn.base import clone
from sklearn.linear_model import (
    ElasticNet,
    Lasso,
    MultiTaskElasticNet,
    MultiTaskLasso,
    PoissonRegressor,
    Ridge,
)

from sksparse.linear_model import GroupLassoRegressor, alpha_max

LABELS = np.array([2, 0, 1, 2, 1, 0, 2, 1, 3])


@pytest.fixture
def problem(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Nine correlated features in four groups that are not contiguous."""
    X = rng.standard_normal((60, 9)) + 0.7 * rng.standard_normal((60, 1))
    return X, X[:, [1, 5]] @ [1.5, -1.0] + 0.4 * X[:, 3] + 0.5 * rng.standard_normal(60)


def orthonormal(rng: np.random.Generator) -> np.ndarray:
    """Centred columns with ``X^T X = n I``."""
    Z = rng.standard_normal((50, 9))
    return np.sqrt(50) * np.linalg.qr(Z - Z.mean(axis=0))[0]


@pytest.mark.parametrize("l1_ratio", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("l2", [0.0, 0.5])
def test_closed_form_of_orthonormal_groups(
    rng: np.random.Generator, l1_ratio: float, l2: float
) -> None:
    X = orthonormal(rng)
    y = X @ rng.standard_normal(9) + rng.standard_normal(50)
    z = X.T @ (y - y.mean()) / 50
    alpha, expected = 0.4, np.zeros(9)
    for g in range(4):
        part = z[g == LABELS]
        part = np.sign(part) * np.maximum(np.abs(part) - alpha * l1_ratio, 0.0)
        threshold = alpha * (1 - l1_ratio) * np.sqrt(np.sum(g == LABELS))
        norm = np.linalg.norm(part)
        if norm > threshold:
            expected[g == LABELS] = (1 - threshold / norm) * part / (1 + l2)
    model = GroupLassoRegressor(alpha, LABELS, l1_ratio=l1_ratio, l2=l2, tol=1e-12).fit(X, y)
    np.testing.assert_allclose(model.coef_, expected, atol=1e-9)
    assert model.intercept_ == pytest.approx(y.mean())
    norms = [np.linalg.norm(expected[g == LABELS]) for g in range(4)]
    np.testing.assert_allclose(model.group_norms_, norms, atol=1e-9)
    assert model.selected_groups_.tolist() == [g for g in range(4) if norms[g] > 0]


@pytest.mark.parametrize("l2", [0.0, 0.2])
@pytest.mark.parametrize("positive", [False, True])
def test_groups_of_one_are_the_lasso(problem: Any, l2: float, positive: bool) -> None:
    X, y = problem
    model = GroupLassoRegressor(0.1, l2=l2, positive=positive, tol=1e-12).fit(X, y)
    if l2:
        theirs = ElasticNet(0.1 + l2, l1_ratio=0.1 / (0.1 + l2), positive=positive)
    else:
        theirs = Lasso(0.1, positive=positive)
    theirs.set_params(tol=1e-12, max_iter=100_000).fit(X, y)
    np.testing.assert_allclose(model.coef_, theirs.coef_, atol=1e-6)
    assert model.intercept_ == pytest.approx(theirs.intercept_, abs=1e-6)


def test_groups_of_one_for_several_targets_are_the_multi_task_lasso(problem: Any) -> None:
    X, y = problem
    Y = np.c_[y, X[:, 2] - y, X[:, 7]]
    model = GroupLassoRegressor(0.2, tol=1e-12).fit(X, Y)
    theirs = MultiTaskLasso(0.2, tol=1e-12, max_iter=100_000).fit(X, Y)
    assert model.coef_.shape == (3, 9)
    np.testing.assert_allclose(model.coef_, theirs.coef_, atol=1e-6)
    np.testing.assert_allclose(model.intercept_, theirs.intercept_, atol=1e-6)
    np.testing.assert_allclose(model.predict(X), theirs.predict(X), atol=1e-5)
    assert model.score(X, Y) == pytest.approx(theirs.score(X, Y), abs=1e-6)
    ridged = GroupLassoRegressor(0.2, l2=0.2, tol=1e-12).fit(X, Y)
    theirs = MultiTaskElasticNet(0.4, l1_ratio=0.5, tol=1e-12, max_iter=100_000).fit(X, Y)
    np.testing.assert_allclose(ridged.coef_, theirs.coef_, atol=1e-6)


def test_without_a_penalty_it_is_ridge_regression(problem: Any) -> None:
    X, y = problem
    model = GroupLassoRegressor(0.0, LABELS, l2=0.3, tol=1e-12).fit(X, y)
    np.testing.assert_allclose(model.coef_, Ridge(0.3 * 60).fit(X, y).coef_, atol=1e-7)
    counts = np.round(np.exp(0.3 * y))
    model = GroupLassoRegressor(0.0, LABELS, loss="poisson", l2=0.3, tol=1e-12).fit(X, counts)
    theirs = PoissonRegressor(alpha=0.3, tol=1e-12, solver="newton-cholesky").fit(X, counts)
    np.testing.assert_allclose(model.coef_, theirs.coef_, atol=1e-6)
    np.testing.assert_allclose(model.predict(X), theirs.predict(X), rtol=1e-5)
    assert model.score(X, counts) == pytest.approx(theirs.score(X, counts), abs=1e-6)


def test_bounds_without_a_penalty_are_bounded_least_squares(problem: Any) -> None:
    X, y = problem
    lower, upper = -0.3 - np.arange(9) / 20, np.where(np.arange(9) % 3, 0.5, np.inf)
    model = GroupLassoRegressor(0.0, LABELS, bounds=(lower, upper), tol=1e-10).fit(X, y)
    centred = X - X.mean(axis=0)
    expected = lsq_linear(centred, y - y.mean(), (lower, upper), tol=1e-12)
    np.testing.assert_allclose(model.coef_, expected.x, atol=1e-5)
    assert (expected.active_mask != 0).any()
    mask = np.arange(9) < 5
    model = GroupLassoRegressor(0.0, LABELS, positive=mask, bounds=(-1, None)).fit(X, y)
    lower = np.where(mask, 0.0, -1.0)
    expected = lsq_linear(centred, y - y.mean(), (lower, np.inf), tol=1e-12)
    np.testing.assert_allclose(model.coef_, expected.x, atol=1e-4)


def test_huber_is_least_squares_for_small_residuals_and_resists_outliers(problem: Any) -> None:
    X, y = problem
    options: dict[str, Any] = {"alpha": 0.05, "groups": LABELS, "tol": 1e-10}
    wide = GroupLassoRegressor(loss="huber", epsilon=1e3, **options).fit(X, y)
    squared = GroupLassoRegressor(**options).fit(X, y)
    np.testing.assert_allclose(wide.coef_, squared.coef_, atol=1e-6)
    spoilt = np.where(np.arange(60) % 10 == 0, 100.0, y)
    robust = GroupLassoRegressor(loss="huber", epsilon=0.5, **options).fit(X, spoilt)
    fooled = GroupLassoRegressor(**options).fit(X, spoilt)
    assert np.abs(robust.predict(X) - y).mean() < 0.2 * np.abs(fooled.predict(X) - y).mean()


@pytest.mark.parametrize("loss", ["squared", "huber", "poisson"])
@pytest.mark.parametrize("l1_ratio", [0.0, 0.5])
def test_the_order_of_columns_and_labels_does_not_matter(
    problem: Any, rng: np.random.Generator, loss: str, l1_ratio: float
) -> None:
    X, y = problem
    y = np.round(np.exp(0.3 * y))
    options: dict[str, Any] = {"loss": loss, "l1_ratio": l1_ratio, "tol": 1e-12}
    weights = np.array([0.5, 2.0, 1.0, 0.7])
    model = GroupLassoRegressor(0.05, LABELS, penalty_weights=weights, **options).fit(X, y)
    order, names = rng.permutation(9), rng.permutation(4)
    # label g becomes names[g], and weights stand in the order of labels
    other = GroupLassoRegressor(
        0.05, names[LABELS][order], penalty_weights=weights[np.argsort(names)], **options
    ).fit(X[:, order], y)
    np.testing.assert_allclose(other.coef_, model.coef_[order], atol=1e-7)
    np.testing.assert_allclose(other.group_norms_[names], model.group_norms_, atol=1e-7)


@pytest.mark.parametrize("loss", ["squared", "huber", "poisson"])
def test_whole_weights_are_repetitions(problem: Any, loss: str) -> None:
    X, y = problem
    y, weights = np.round(np.exp(0.3 * y)), np.arange(60) % 3
    options: dict[str, Any] = {"loss": loss, "tol": 1e-12, "adaptive": "ridge", "relax": True}
    weighted = GroupLassoRegressor(0.1, LABELS, **options).fit(X, y, sample_weight=weights)
    repeated = GroupLassoRegressor(0.1, LABELS, **options)
    repeated.fit(np.repeat(X, weights, axis=0), np.repeat(y, weights))
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, atol=1e-6)
    assert weighted.intercept_ == pytest.approx(repeated.intercept_, abs=1e-6)


FORMS: dict[str, Any] = {
    "csc": sp.csc_array,
    "csr": sp.csr_matrix,
    "fortran": np.asfortranarray,
    "float32": lambda X: X.astype(np.float32),
    "list": np.ndarray.tolist,
    "frame": lambda X: pd.DataFrame(X, columns=list("abcdefghi")),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("outputs", [1, 2])
def test_features_of_every_form_have_one_answer(problem: Any, form: str, outputs: int) -> None:
    X, y = problem
    X = np.where(np.abs(X) < 0.5, 0.0, X)
    Y = y if outputs == 1 else np.c_[y, -y + X[:, 0]]
    model = GroupLassoRegressor(0.1, LABELS, relax=True, tol=1e-10).fit(X, Y)
    other = clone(model).fit(FORMS[form](X), Y)
    tolerance = 1e-3 if form == "float32" else 1e-7
    np.testing.assert_allclose(other.coef_, model.coef_, atol=tolerance)
    assert other.coef_.dtype == (np.float32 if form == "float32" else np.float64)
    again = pickle.loads(pickle.dumps(other))
    np.testing.assert_array_equal(again.predict(FORMS[form](X)), other.predict(FORMS[form](X)))


@pytest.mark.parametrize("loss", ["squared", "huber", "poisson"])
def test_groups_without_weight_are_always_kept(problem: Any, loss: str) -> None:
    X, y = problem
    y = np.round(np.exp(0.3 * y))
    model = GroupLassoRegressor(
        0.1, LABELS, loss=loss, penalty_weights=[1, 1, 1, 0], l1_ratio=0.5, tol=1e-10
    )
    highest = alpha_max(model, X, y)
    none = clone(model).set_params(alpha=1.001 * highest).fit(X, y)
    assert none.selected_groups_.tolist() == [3]
    assert none.n_features_ == 1
    some = clone(model).set_params(alpha=0.999 * highest).fit(X, y)
    assert len(some.selected_groups_) == 2
    # nothing is charged for it
    alone = GroupLassoRegressor(0.0, loss=loss, tol=1e-10).fit(X[:, [8]], y)
    np.testing.assert_allclose(none.coef_[8], alone.coef_[0], atol=1e-4)


@pytest.mark.parametrize("l1_ratio, kept", [(0.0, [1, 5]), (1.0, [1])])
def test_whole_groups_are_kept_without_an_l1_norm(
    rng: np.random.Generator, l1_ratio: float, kept: list[int]
) -> None:
    X = orthonormal(rng)
    X[:, 5] = 3.0
    model = GroupLassoRegressor(0.3, LABELS, l1_ratio=l1_ratio).fit(X, 2.0 * X[:, 1])
    assert model.coef_[5] == 0.0
    assert model.get_support(indices=True).tolist() == kept
    assert model.n_features_ == len(kept)
    np.testing.assert_array_equal(model.transform(X), X[:, kept])


def test_groups_that_overlap_are_copies_of_columns(problem: Any) -> None:
    X, y = problem
    groups = [[0, 1, 2], [2, 3, 4, 5], [5, 6, 7, 8]]
    columns = np.concatenate(groups)
    labels = np.repeat([0, 1, 2], [3, 4, 4])
    model = GroupLassoRegressor(0.3, groups, overlap="latent", tol=1e-12).fit(X, y)
    copies = GroupLassoRegressor(0.3, labels, tol=1e-12).fit(X[:, columns], y)
    np.testing.assert_allclose(model.coef_, np.bincount(columns, copies.coef_), atol=1e-8)
    np.testing.assert_allclose(model.group_norms_, copies.group_norms_, atol=1e-8)
    np.testing.assert_array_equal(model.selected_groups_, copies.selected_groups_)
    kept = np.unique(columns[copies.support_])
    assert model.get_support(indices=True).tolist() == kept.tolist()
    assert 0 < len(kept) < 9
    again = model.set_params(warm_start=True).fit(X, y)
    np.testing.assert_allclose(again.coef_, np.bincount(columns, copies.coef_), atol=1e-6)
    with pytest.raises(ValueError, match="bounds other than zero"):
        clone(model).set_params(bounds=(-1, 1)).fit(X, y)


def test_a_warm_start_ends_where_a_cold_one_does(problem: Any) -> None:
    X, y = problem
    cold = GroupLassoRegressor(0.05, LABELS, tol=1e-10).fit(X, y)
    warm = GroupLassoRegressor(0.06, LABELS, tol=1e-10, warm_start=True).fit(X, y)
    warm.set_params(alpha=0.05).fit(X, y)
    np.testing.assert_allclose(warm.coef_, cold.coef_, atol=1e-8)
    # the shape of the coefficients may change in between
    warm.fit(X, np.c_[y, y])
    np.testing.assert_allclose(warm.coef_[0], warm.coef_[1], atol=1e-8)


def test_a_table_of_one_target_has_a_table_of_coefficients(problem: Any) -> None:
    X, y = problem
    vector = GroupLassoRegressor(0.1, LABELS).fit(X, y)
    table = GroupLassoRegressor(0.1, LABELS).fit(X, y[:, None])
    np.testing.assert_array_equal(table.coef_, vector.coef_[None])
    assert table.intercept_.shape == (1,)
    np.testing.assert_allclose(table.predict(X), vector.predict(X)[:, None])


def test_a_constant_target_selects_nothing(problem: Any) -> None:
    X, _ = problem
    for options in ({}, {"adaptive": "ridge"}, {"relax": True}, {"l1_ratio": 0.5}):
        model = GroupLassoRegressor(0.1, LABELS, **options).fit(X, np.full(60, 3.0))
        assert not model.coef_.any()
        assert model.intercept_ == pytest.approx(3.0)
        assert model.n_features_ == 0
    assert alpha_max(model, X, np.full(60, 3.0)) == pytest.approx(0.0, abs=1e-12)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"bounds": (1.0, 2.0)}, r"bounds=\(1.0, 2.0\) cannot be used: give a pair"),
    ({"bounds": (0.0,)}, "bounds=.* has 1 entries"),
    ({"bounds": ("a", 1)}, "are not numbers"),
    ({"bounds": (np.nan, 1)}, "cannot be used"),
    ({"bounds": (np.zeros(3), None)}, "cannot be used"),
    ({"positive": [0, 1]}, "positive must be True, False or a boolean mask"),
    ({"positive": np.ones(3, dtype=bool)}, r"positive must be .* shape \(9,\)"),
    ({"l1_ratio": 2.0}, "'l1_ratio'"),
    ({"l2": -1.0}, "'l2'"),
    ({"loss": "hinge"}, "'loss'"),
    ({"epsilon": 0.0}, "'epsilon'"),
    ({"adaptive": "lasso"}, "'adaptive'"),
    ({"penalty_weights": [1.0, 2.0]}, "one factor per group"),
    ({"groups": [0, 1]}, "groups"),
]


@pytest.mark.parametrize("options, message", REFUSED, ids=lambda value: str(value)[:40])
def test_bad_parameters_are_refused_and_the_fit_before_stays(
    problem: Any, options: dict[str, Any], message: str
) -> None:
    X, y = problem
    model = GroupLassoRegressor(0.1, LABELS).fit(X, y)
    before = {name: value for name, value in vars(model).items() if name.endswith("_")}
    model.set_params(**options)
    with pytest.raises(ValueError, match=message):
        model.fit(2.0 * X[:, :9], y)
    after = {name: value for name, value in vars(model).items() if name.endswith("_")}
    assert before.keys() == after.keys()
    np.testing.assert_array_equal(before["coef_"], after["coef_"])


@pytest.mark.parametrize("loss", ["huber", "poisson"])
def test_other_losses_have_one_target(problem: Any, loss: str) -> None:
    X, y = problem
    with pytest.raises(ValueError, match="y should be a 1d array"):
        GroupLassoRegressor(0.1, loss=loss).fit(X, np.c_[y, y])


def test_negative_counts_are_refused(problem: Any) -> None:
    with pytest.raises(ValueError, match="needs y >= 0"):
        GroupLassoRegressor(0.1, loss="poisson").fit(*problem)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_huber_fits_do_not_depend_on_the_unit_of_y(problem: Any, unit: float, dtype: type) -> None:
    X, y = problem[0].astype(dtype), problem[1]
    plain = GroupLassoRegressor(0.02, LABELS, loss="huber", epsilon=1.0).fit(X, y)
    other = GroupLassoRegressor(0.02 * unit, LABELS, loss="huber", epsilon=unit).fit(X, unit * y)
    assert plain.n_iter_ > 1
    np.testing.assert_allclose(other.coef_, unit * plain.coef_, rtol=0.01, atol=1e-3 * unit)
