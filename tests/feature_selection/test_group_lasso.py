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
from sksparse.linear_model import alpha_max


@parametrize_with_checks(
    [
        GroupLassoSelector(),
        GroupLassoSelector(loss="squared", warm_start=True),
        GroupLassoSelector(loss="logistic"),
        GroupLassoSelector(loss="poisson"),
        GroupLassoSelector(l1_ratio=0.5),
        GroupLassoSelector(loss="logistic", l1_ratio=0.5),
        GroupLassoSelector(l1_ratio=1.0),
        GroupLassoSelector(loss="multinomial"),
        GroupLassoSelector(loss="huber", l2=0.1),
        GroupLassoSelector(loss="cox"),
        GroupLassoSelector(loss="squared", bounds=(-9, 9)),
        GroupLassoSelector(1e-4, loss="squared", adaptive="ridge", min_features=1),
        GroupLassoSelector(loss="squared", groups=[slice(None), slice(0, 2)], overlap="latent"),
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


def norms_by_hand(W: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Norm of each group over all outputs."""
    W = np.atleast_2d(W)
    return np.array([np.linalg.norm(W[:, groups == g]) for g in np.unique(groups)])


def block_violation(
    W: np.ndarray, gradient: np.ndarray, groups: np.ndarray, alpha: float, l2: float = 0.0
) -> float:
    """How far a group lasso with weights sqrt(size) is from optimal, the gradient being the loss's.

    Rows are outputs.
    """
    W, gradient = np.atleast_2d(W), np.atleast_2d(gradient)
    worst = 0.0
    for g in np.unique(groups):
        w, d, t = W[:, groups == g], gradient[:, groups == g], alpha * np.sqrt(np.sum(groups == g))
        excess = np.linalg.norm(d) - t
        if w.any():
            excess = np.linalg.norm(d + l2 * w + t * w / np.linalg.norm(w))
        worst = max(worst, excess)
    return worst


GROUPS_OF_THREE = np.repeat([0, 1, 2, 3], 3)


@pytest.fixture
def tall(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    X = StandardScaler().fit_transform(rng.standard_normal((150, 12)) @ rng.random((12, 12)))
    z = X[:, :3].sum(axis=1) + rng.standard_normal(150)
    return X, z / z.std()


def test_several_classes_have_one_group_over_all_of_them(
    tall: tuple[np.ndarray, np.ndarray],
) -> None:
    X, z = tall
    names = np.array(["low", "mid", "top"])
    y = names[np.digitize(z, [-0.5, 0.5])]
    model = fitted(X, y, alpha=0.05, groups=GROUPS_OF_THREE)
    assert model.classes_.tolist() == ["low", "mid", "top"]
    assert model.coef_.shape == (3, 12)
    assert model.intercept_.shape == (3,)
    p = np.exp(X @ model.coef_.T + model.intercept_)
    p /= p.sum(axis=1, keepdims=True)
    gradient = (p - (y[:, None] == names)).T @ X / len(y)
    assert block_violation(model.coef_, gradient, GROUPS_OF_THREE, 0.05) < 1e-6
    np.testing.assert_allclose(model.group_norms_, norms_by_hand(model.coef_, GROUPS_OF_THREE))
    np.testing.assert_allclose(model.feature_importances_, np.linalg.norm(model.coef_, axis=0))
    assert model.support_.tolist() == (model.group_norms_ > 0)[GROUPS_OF_THREE].tolist()
    assert model.coef_.any()
    # whole numbers are classes as well; two of several are the log loss of two outputs
    numbers = fitted(X, np.searchsorted(names, y), alpha=0.05, groups=GROUPS_OF_THREE)
    np.testing.assert_allclose(numbers.coef_, model.coef_, atol=1e-8)
    two = fitted(X, z > 0, alpha=0.05, loss="multinomial")
    np.testing.assert_allclose(two.coef_[0], -two.coef_[1], atol=1e-8)


def test_several_targets_have_one_group_over_all_of_them(
    tall: tuple[np.ndarray, np.ndarray], rng: np.random.Generator
) -> None:
    X, z = tall
    Y = np.column_stack((z, X[:, 0] - z, rng.standard_normal(150)))
    model = fitted(X, Y, alpha=0.2, groups=GROUPS_OF_THREE, loss="squared", l2=0.1)
    residual = X @ model.coef_.T + model.intercept_ - Y
    gradient = residual.T @ X / len(Y)
    assert block_violation(model.coef_, gradient, GROUPS_OF_THREE, 0.2, 0.1) < 1e-6
    one = fitted(X, Y[:, :1], alpha=0.1, loss="squared")
    np.testing.assert_array_equal(one.coef_, fitted(X, Y[:, 0], alpha=0.1).coef_)
    with pytest.raises(ValueError, match="y should be a 1d array"):
        fitted(X, Y)


def test_huber_loss(tall: tuple[np.ndarray, np.ndarray], rng: np.random.Generator) -> None:
    X, z = tall
    y = np.where(rng.random(150) < 0.1, 30.0, z)
    for epsilon in (0.5, 1.35):
        model = fitted(
            X, y, alpha=0.05, groups=GROUPS_OF_THREE, loss="huber", epsilon=epsilon, tol=1e-9
        )
        residual = X @ model.coef_ + model.intercept_ - y
        score = np.clip(residual, -epsilon, epsilon)
        assert abs(score.mean()) < 1e-6
        assert block_violation(model.coef_, X.T @ score / 150, GROUPS_OF_THREE, 0.05) < 1e-5


@pytest.mark.parametrize("ties", ["breslow", "efron"])
def test_survival_times(
    tall: tuple[np.ndarray, np.ndarray], ties: str, rng: np.random.Generator
) -> None:
    X, z = tall
    times, events = np.ceil(4.0 * rng.exponential(np.exp(-z))), rng.random(150) < 0.7
    structured = np.array(
        list(zip(events, times, strict=True)), dtype=[("dead", "?"), ("months", "f8")]
    )
    params: dict[str, Any] = {"alpha": 0.03, "groups": GROUPS_OF_THREE, "loss": "cox"}
    model = fitted(X, structured, ties=ties, **params)
    frame = pd.DataFrame({"time": times, "event": events})
    for y in (frame, np.column_stack((times, events))):
        np.testing.assert_array_equal(fitted(X, y, ties=ties, **params).coef_, model.coef_)
    # the partial likelihood, event after event
    risk, gradient = np.exp(X @ model.coef_), np.zeros(12)
    for t in np.unique(times[events]):
        dead = np.flatnonzero(events & (times == t))
        for k in range(len(dead)):
            share = k / len(dead) if ties == "efron" else 0.0
            mass = risk * (times >= t)
            mass[dead] *= 1.0 - share
            gradient += mass @ X / mass.sum()
        gradient -= X[dead].sum(axis=0)
    assert block_violation(model.coef_, gradient / 150, GROUPS_OF_THREE, 0.03) < 1e-6
    assert model.coef_.any()
    with pytest.raises(ValueError, match="no event"):
        fitted(X, np.column_stack((times, np.zeros(150))), **params)


def test_signs_and_bounds(tall: tuple[np.ndarray, np.ndarray]) -> None:
    X, z = tall
    mask = np.arange(12) % 2 == 0
    positive = fitted(X, -z, alpha=0.01, groups=GROUPS_OF_THREE, positive=mask)
    assert positive.coef_[mask].min() >= 0.0
    assert positive.coef_[~mask].min() < 0.0
    upper = np.full(12, 0.1)
    box = fitted(X, z, alpha=0.01, bounds=(-0.2, upper))
    assert -0.2 <= box.coef_.min() < box.coef_.max() == pytest.approx(0.1)
    with pytest.raises(ValueError, match="lower <= 0 <= upper"):
        fitted(X, z, bounds=(0.1, 1.0))


def test_overlapping_groups_are_sums_of_their_parts(tall: tuple[np.ndarray, np.ndarray]) -> None:
    X, z = tall
    groups = {"a": range(5), "b": range(3, 9), "c": range(8, 12)}
    columns = np.concatenate([np.array(g) for g in groups.values()])
    labels = np.repeat([0, 1, 2], [len(g) for g in groups.values()])
    for l1_ratio in (0.0, 0.4):
        params: dict[str, Any] = {"alpha": 0.05, "l1_ratio": l1_ratio, "tol": 1e-10}
        model = fitted(X, z, groups=groups, overlap="latent", **params)
        # columns written twice, by hand
        copied = fitted(X[:, columns], z, groups=labels, **params)
        by_hand = np.zeros(12)
        np.add.at(by_hand, columns, copied.coef_)
        # the parts need not be unique, what they make of X is
        np.testing.assert_allclose(X @ model.coef_, X @ by_hand, atol=1e-6)
        kept = np.unique(columns[copied.get_support()])
        assert model.get_support(indices=True).tolist() == kept.tolist()
        assert model.selected_groups_.tolist() == list(
            np.array(list("abc"))[np.unique(labels[copied.get_support()])]
        )
        sparse_model = fitted(sp.csc_array(X), z, groups=groups, overlap="latent", **params)
        np.testing.assert_allclose(X @ sparse_model.coef_, X @ model.coef_, atol=1e-6)
    model.set_params(warm_start=True, alpha=0.04).fit(X, z)
    cold = fitted(X, z, groups=groups, overlap="latent", **{**params, "alpha": 0.04})
    np.testing.assert_allclose(X @ model.coef_, X @ cold.coef_, atol=1e-5)
    with pytest.raises(ValueError, match=r"column 3 is in groups 'a' and 'b'.*overlap='latent'"):
        fitted(X, z, groups=groups)
    fitted(X, z, groups=groups, overlap="latent", positive=True)
    with pytest.raises(ValueError, match="bounds other than zero are not defined"):
        fitted(X, z, groups=groups, overlap="latent", bounds=(-1, 1))


def test_adaptive_groups(tall: tuple[np.ndarray, np.ndarray]) -> None:
    X, z = tall
    pilot = Lasso(0.1).fit(X, z)
    norms = norms_by_hand(pilot.coef_, GROUPS_OF_THREE)
    used = norms > 0
    model = fitted(X, z, alpha=0.02, groups=GROUPS_OF_THREE, adaptive=Lasso(0.1), tol=1e-10)
    weights = np.where(used, np.sqrt(3.0) / np.where(used, norms, 1.0), 1e6)
    by_hand = fitted(X, z, alpha=0.02, groups=GROUPS_OF_THREE, penalty_weights=weights, tol=1e-10)
    np.testing.assert_allclose(model.coef_, by_hand.coef_, atol=1e-6)


@pytest.mark.parametrize("l1_ratio", [0.0, 0.5, 1.0])
def test_features_asked_for_are_whole_groups(
    tall: tuple[np.ndarray, np.ndarray], l1_ratio: float
) -> None:
    X, z = tall
    model = fitted(X, z, alpha=50.0, groups=GROUPS_OF_THREE, l1_ratio=l1_ratio, min_features=4)
    assert model.n_features_ == model.get_support().sum() == 6
    assert not model.coef_.any()
    # those that enter first
    smaller = fitted(X, z, groups=GROUPS_OF_THREE, l1_ratio=l1_ratio, max_groups=1)
    assert smaller.selected_groups_[0] in model.selected_groups_.tolist()


def test_fitted_attributes_are_those_of_the_last_fit(tall: tuple[np.ndarray, np.ndarray]) -> None:
    X, z = tall
    model = fitted(X, z > 0, alpha=0.05)
    assert model.classes_.tolist() == [False, True]
    assert model.set_params(loss="squared").fit(X, z) is model
    assert not hasattr(model, "classes_")
    model.set_params(encode="auto").fit(X, z)
    assert hasattr(model, "encoder_")
    assert not hasattr(model.set_params(encode=None).fit(X, z), "encoder_")


def test_a_deviance_without_a_minimum_ends_soon_and_says_so() -> None:
    # without a penalty, zero counts are fitted better and better
    rng = np.random.default_rng(1)
    X = rng.standard_normal((8, 200)) * 10.0 ** rng.uniform(-3.0, 3.0, 200)
    y = [0.0, 0.0, 0.7, 0.7, 15.6, 11.5, 0.03, 14.8]
    model = GroupLassoSelector(0.0, np.arange(200) // 9, loss="poisson")
    with pytest.warns(ConvergenceWarning, match="the Poisson deviance has no minimum"):
        model.fit(X, y)
    assert model.n_iter_ < model.max_iter // 4


def test_what_a_newcomer_meets_names_its_remedy(tall: tuple[np.ndarray, np.ndarray]) -> None:
    X, z = tall
    table = pd.DataFrame({"city": np.where(X[:, 0] > 0, "Oslo", "Lima"), "size": X[:, 1]})
    with pytest.raises(ValueError, match=r"\['city'\] hold no numbers. .*set encode='auto'"):
        fitted(table, z)
    with pytest.raises(ValueError, match=r"1d array for loss='auto'.*loss='squared' takes several"):
        fitted(X, np.column_stack((z, z)))
    top = alpha_max(GroupLassoSelector(encode="auto"), table, z)
    assert fitted(table, z, encode="auto", alpha=0.999 * top).n_features_ == 1
    with pytest.warns(UserWarning, match="give a smaller alpha, min_features=1"):
        fitted(table, z, encode="auto", alpha=1.001 * top)
