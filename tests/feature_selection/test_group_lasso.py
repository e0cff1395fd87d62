"""GroupLassoSelector through its public interface."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Lasso, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from sksparse.feature_selection import GroupLassoSelector, one_hot_groups


@parametrize_with_checks(
    [
        GroupLassoSelector(),
        GroupLassoSelector(loss="squared", warm_start=True),
        GroupLassoSelector(loss="logistic"),
        GroupLassoSelector(loss="poisson"),
        GroupLassoSelector(l1_ratio=0.5),
        GroupLassoSelector(loss="logistic", l1_ratio=0.5),
        GroupLassoSelector(l1_ratio=1.0),
    ]
)
def test_sklearn_contract(estimator: GroupLassoSelector, check: object) -> None:
    check(estimator)


@pytest.fixture(scope="module")
def diabetes() -> tuple[pd.DataFrame, pd.Series]:
    return load_diabetes(return_X_y=True, as_frame=True)


def fitted(X: object, y: object, **params: object) -> GroupLassoSelector:
    return GroupLassoSelector(**{"tol": 1e-10, **params}).fit(X, y)


@pytest.mark.parametrize("alpha", [0.01, 0.1, 1.0])
def test_groups_of_one_are_the_lasso(diabetes: tuple, alpha: float) -> None:
    X, y = diabetes
    theirs = Lasso(alpha=alpha, tol=1e-14, max_iter=1_000_000).fit(X, y)
    for params in ({}, {"groups": list("abcdefghij")}, {"l1_ratio": 1.0}):
        ours = fitted(X, y, alpha=alpha, tol=1e-12, **params)
        np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-6)
        assert ours.intercept_ == pytest.approx(theirs.intercept_, abs=1e-9)


def test_logistic_groups_of_one_are_l1_logistic_regression() -> None:
    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    ours = fitted(X, y, alpha=0.02)
    # scikit-learn sums the loss and does not divide by the number of samples.
    theirs = LogisticRegression(
        l1_ratio=1.0, C=1 / (0.02 * len(y)), solver="saga", tol=1e-10, max_iter=100_000
    ).fit(X, y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_[0], atol=1e-4)
    assert ours.intercept_ == pytest.approx(theirs.intercept_[0], abs=1e-4)
    np.testing.assert_array_equal(ours.classes_, [0, 1])


def test_orthonormal_groups_have_a_closed_form(rng: np.random.Generator) -> None:
    n, alpha = 60, 0.02
    X = np.linalg.qr(rng.standard_normal((n, 9)))[0]
    y = X @ rng.standard_normal(9) * 3
    groups = np.repeat([0, 1, 2], 3)
    model = fitted(X, y, alpha=alpha, groups=groups, fit_intercept=False)
    for g in range(3):
        c = X[:, groups == g].T @ y
        shrink = max(1 - n * alpha * np.sqrt(3) / np.linalg.norm(c), 0.0)
        np.testing.assert_allclose(model.coef_[groups == g], shrink * c, atol=1e-8)


@pytest.mark.parametrize("loss", ["squared", "logistic", "poisson"])
@pytest.mark.parametrize("l1_ratio", [0.0, 0.3])
def test_optimality_conditions_by_hand(
    loss: str, l1_ratio: float, rng: np.random.Generator
) -> None:
    n, alpha, tol = 80, 0.05, 1e-8
    X = StandardScaler().fit_transform(rng.standard_normal((n, 12)) @ rng.random((12, 12)))
    y = X[:, :3].sum(axis=1) + rng.standard_normal(n)
    y = StandardScaler().fit_transform(y[:, None])[:, 0]
    if loss != "squared":
        y = (y > 0).astype(int) if loss == "logistic" else rng.poisson(np.exp(0.5 * y))
    groups = np.repeat([0, 1, 2, 3], 3)
    model = fitted(X, y, alpha=alpha, groups=groups, l1_ratio=l1_ratio, loss=loss, tol=tol)
    z = X @ model.coef_ + model.intercept_
    mean = {"squared": z, "logistic": 1 / (1 + np.exp(-z)), "poisson": np.exp(z)}[loss]
    gradient = X.T @ (mean - y) / n
    assert abs(np.mean(mean - y)) < 10 * tol
    assert model.coef_.any()
    assert not model.coef_.all()
    group_alpha, l1_alpha = alpha * (1 - l1_ratio) * np.sqrt(3), alpha * l1_ratio
    for g in range(4):
        w, d = model.coef_[groups == g], gradient[groups == g]
        soft = np.sign(d) * np.maximum(np.abs(d) - l1_alpha, 0)
        if not w.any():
            assert np.linalg.norm(soft) <= group_alpha + tol
            continue
        full = d + l1_alpha * np.sign(w) + group_alpha * w / np.linalg.norm(w)
        np.testing.assert_allclose(full[w != 0], 0.0, atol=10 * tol)
        assert np.all(np.abs(d[w == 0]) <= l1_alpha + tol)


def test_largest_useful_alpha(diabetes: tuple) -> None:
    X, y = diabetes
    groups = np.repeat([0, 1], 5)
    centred = y - y.mean()
    norms = [np.linalg.norm(X.T.to_numpy()[groups == g] @ centred) for g in (0, 1)]
    top = max(norms) / len(y) / np.sqrt(5)
    with pytest.warns(UserWarning, match="No group is selected at alpha"):
        empty = fitted(X, y, alpha=top * 1.0001, groups=groups)
    with pytest.warns(UserWarning, match="No features were selected"):
        assert empty.transform(X).shape[1] == 0
    assert fitted(X, y, alpha=top * 0.999, groups=groups).transform(X).shape[1] == 5


def test_the_three_ways_to_name_groups_agree(diabetes: tuple) -> None:
    X, y = diabetes
    by_label = fitted(X, y, alpha=0.3, groups=["body"] * 4 + ["blood"] * 6)
    by_list = fitted(X, y, alpha=0.3, groups=[range(4), np.arange(4, 10)])
    by_name = fitted(
        X, y, alpha=0.3, groups={"body": list(X.columns[:4]), "blood": [4, 5, 6, 7, 8, "s6"]}
    )
    for other in (by_list, by_name):
        np.testing.assert_allclose(other.coef_, by_label.coef_, rtol=1e-6)
    assert by_label.groups_.tolist() == ["blood", "body"]
    assert by_list.groups_.tolist() == [0, 1]
    assert by_name.groups_.tolist() == ["body", "blood"]
    assert set(by_name.selected_groups_) == set(by_label.selected_groups_)


def test_whole_groups_are_kept_even_with_a_dead_column(rng: np.random.Generator) -> None:
    X = rng.standard_normal((50, 4))
    X[:, 1] = 2.0
    y = X[:, 0]
    whole = fitted(X, y, alpha=0.05, groups=[[0, 1], [2, 3]])
    assert abs(whole.coef_[1]) < 1e-12
    assert whole.get_support().tolist() == [True, True, False, False]
    single = fitted(X, y, alpha=0.05, groups=[[0, 1], [2, 3]], l1_ratio=0.2)
    assert single.get_support().tolist() == [True, False, False, False]
    assert single.selected_groups_.tolist() == [0]


@pytest.mark.parametrize("loss", ["squared", "logistic", "poisson"])
def test_groups_of_weight_zero_are_kept_and_not_shrunk(loss: str, rng: np.random.Generator) -> None:
    X = rng.standard_normal((100, 6))
    y = (X[:, 0] + rng.standard_normal(100) > 0).astype(int)
    model = fitted(
        X, y, alpha=100.0, groups=[[0, 5], [1, 2], [3, 4]], penalty_weights=[1, 0, 1], loss=loss
    )
    assert model.get_support(indices=True).tolist() == [1, 2]
    assert model.selected_groups_.tolist() == [1]
    if loss == "squared":
        exact = np.linalg.lstsq(np.c_[X[:, 1:3], np.ones(100)], y, rcond=None)[0]
        np.testing.assert_allclose(model.coef_[1:3], exact[:2], atol=1e-9)
    assert abs(model.dual_gap_) < 1e-9


def test_gap_is_honest(rng: np.random.Generator) -> None:
    X = rng.standard_normal((60, 40))
    y = (X[:, :4].sum(axis=1) > 0).astype(int)
    rough = fitted(X, y, alpha=0.02, groups=np.arange(40) // 4, tol=0.1)
    fine = fitted(X, y, alpha=0.02, groups=np.arange(40) // 4, tol=1e-10)

    def objective(model: GroupLassoSelector) -> float:
        z = X @ model.coef_ + model.intercept_
        norms = np.linalg.norm(model.coef_.reshape(-1, 4), axis=1).sum() * 2
        return float(np.mean(np.logaddexp(0, z) - y * z)) + 0.02 * norms

    excess = objective(rough) - objective(fine)
    assert 0 <= excess <= rough.dual_gap_
    assert abs(fine.dual_gap_) < 1e-8


def test_weights_repeat_and_drop_rows(rng: np.random.Generator) -> None:
    X = rng.standard_normal((40, 8))
    y = (X[:, 0] + 0.5 * rng.standard_normal(40) > 0).astype(int)
    counts = rng.integers(0, 4, 40)
    for loss in ("squared", "logistic", "poisson"):
        params = {"alpha": 0.02, "groups": np.arange(8) // 2, "loss": loss, "tol": 1e-10}
        weighted = GroupLassoSelector(**params).fit(X, y, sample_weight=counts)
        rows = np.repeat(np.arange(40), counts)
        repeated = GroupLassoSelector(**params).fit(X[rows], y[rows])
        np.testing.assert_allclose(weighted.coef_, repeated.coef_, atol=1e-7)


def test_sparse_float32_and_read_only_inputs(diabetes: tuple) -> None:
    X, y = diabetes[0].to_numpy(), diabetes[1].to_numpy()
    X = np.where(np.abs(X) > 0.03, X, 0.0)
    reference = fitted(X, y, alpha=0.2, groups=np.arange(10) // 2)
    locked = X.copy(order="F")
    locked.flags.writeable = False
    for other in (locked, sp.csr_matrix(X), sp.csc_array(X)):
        np.testing.assert_allclose(
            fitted(other, y, alpha=0.2, groups=np.arange(10) // 2).coef_,
            reference.coef_,
            atol=1e-5,
        )
    single = GroupLassoSelector(alpha=0.2, groups=np.arange(10) // 2).fit(X.astype(np.float32), y)
    assert single.coef_.dtype == np.float32
    assert single.transform(X.astype(np.float32)).dtype == np.float32
    np.testing.assert_allclose(single.coef_, reference.coef_, rtol=1e-3, atol=1e-2)


def test_selector_surface(diabetes: tuple) -> None:
    X, y = diabetes
    model = fitted(X, y, alpha=0.7).set_output(transform="pandas")
    kept = model.transform(X)
    assert list(kept.columns) == list(model.get_feature_names_out())
    pd.testing.assert_frame_equal(kept, X[kept.columns])
    back = model.set_output(transform="default").inverse_transform(kept.to_numpy())
    np.testing.assert_array_equal(back[:, model.get_support()], kept.to_numpy())
    assert not back[:, ~model.get_support()].any()


def test_counts_of_samples_that_a_category_singles_out(rng: np.random.Generator) -> None:
    category = np.arange(120) % 4
    X = np.column_stack((np.eye(4)[category], rng.standard_normal(120)))
    y = rng.poisson(np.where(category == 1, 0.0, np.exp(1.0 + 0.5 * X[:, 4])))
    model = fitted(X, y, alpha=0.01, groups=[[0, 1, 2, 3], [4]], loss="poisson", tol=1e-8)
    assert model.selected_groups_.tolist() == [0, 1]
    assert model.coef_[1] < -1.0
    assert 0.0 <= model.dual_gap_ <= 1e-6
    assert not hasattr(model, "classes_")


def test_rates_of_an_exposure_equal_counts_of_its_parts(rng: np.random.Generator) -> None:
    X, exposure = rng.standard_normal((80, 6)), rng.integers(1, 6, 80)
    counts = rng.poisson(exposure * np.exp(X[:, 0]))
    model = GroupLassoSelector(0.05, loss="poisson", tol=1e-10)
    model.fit(X, counts / exposure, sample_weight=exposure)
    rows = np.repeat(np.arange(80), exposure)
    # the counts of each unit of exposure, however they fall among the units of a sample
    parts = np.concatenate(
        [rng.multinomial(c, np.full(e, 1 / e)) for c, e in zip(counts, exposure, strict=True)]
    )
    apart = fitted(X[rows], parts, alpha=0.05, loss="poisson")
    np.testing.assert_allclose(model.coef_, apart.coef_, atol=1e-7)


@pytest.mark.parametrize(
    "y, message",
    [
        (np.arange(40.0) - 1.0, "The Poisson loss needs y >= 0.*smallest y of -1"),
        (np.zeros(40), "y is zero for every sample"),
        (np.array(["a", "b"] * 20), "loss='poisson' needs numeric targets"),
    ],
)
def test_counts_that_are_none_are_refused(
    y: np.ndarray, message: str, rng: np.random.Generator
) -> None:
    with pytest.raises(ValueError, match=message):
        GroupLassoSelector(loss="poisson").fit(rng.standard_normal((40, 3)), y)


def test_string_classes() -> None:
    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    names = np.array(["malignant", "benign"])[y]
    by_name, by_number = fitted(X, names, alpha=0.05), fitted(X, 1 - y, alpha=0.05)
    assert by_name.classes_.tolist() == ["benign", "malignant"]
    np.testing.assert_allclose(by_name.coef_, by_number.coef_, atol=1e-8)


def test_separable_classes_converge(rng: np.random.Generator) -> None:
    X = rng.standard_normal((30, 50))
    y = (X[:, 0] > 0).astype(int)
    model = fitted(X, y, alpha=1e-3, tol=1e-6)
    assert model.optimality_ <= 1e-6


def test_one_sample_per_class() -> None:
    model = fitted(np.array([[0.0, 1.0], [1.0, 1.0]]), ["a", "b"], alpha=0.01)
    assert model.get_support().tolist() == [True, False]


def test_budget_that_runs_out_warns(rng: np.random.Generator) -> None:
    X = rng.standard_normal((100, 200))
    y = X[:, :50].sum(axis=1)
    with pytest.warns(ConvergenceWarning, match="increase max_iter=1"):
        GroupLassoSelector(alpha=0.01, max_iter=1).fit(X, y)


def test_one_hot_columns_enter_and_leave_together(rng: np.random.Generator) -> None:
    X = pd.DataFrame(
        {
            "city": rng.choice(["Bonn", "Lima", "Oslo"], 200),
            "noise": rng.choice(["u", "v"], 200),
            "size": rng.standard_normal(200),
        }
    )
    y = 2.0 * (X["city"] == "Oslo") + X["size"] + 0.1 * rng.standard_normal(200)
    encode = make_column_transformer(
        (OneHotEncoder(sparse_output=False), ["city", "noise"]),
        remainder="passthrough",
        verbose_feature_names_out=False,
    ).set_output(transform="pandas")
    groups = one_hot_groups(encode.fit(X))
    model = make_pipeline(encode, GroupLassoSelector(alpha=0.05, groups=groups))
    model.set_output(transform="pandas").fit(X, y)
    assert model[-1].selected_groups_.tolist() == ["city", "size"]
    assert model.transform(X).columns.tolist() == ["city_Bonn", "city_Lima", "city_Oslo", "size"]


@pytest.mark.parametrize("form", [np.asarray, sp.csc_array])
@pytest.mark.parametrize("level", [1e-6, 3.7, 1e6])
def test_constant_counts_are_fitted_exactly(
    rng: np.random.Generator, form: Callable[[Any], Any], level: float
) -> None:
    X = np.column_stack((np.ones(40), rng.standard_normal((40, 3))))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No group is selected")
        for alpha in (1e-30, 0.1):
            model = GroupLassoSelector(alpha=alpha, groups=[0, 0, 1, 1], loss="poisson")
            model.fit(form(X), np.full(40, level))
            assert np.all(np.abs(model.coef_) <= 1e-8)
            assert model.intercept_ == pytest.approx(np.log(level))
