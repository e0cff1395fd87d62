"""Stability selection: halves, votes and paths by hand, estimators of every kind, bad input."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
from scipy import sparse
from sklearn import config_context
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.ensemble import ExtraTreesClassifier, RandomForestRegressor
from sklearn.exceptions import ConvergenceWarning, UnsetMetadataPassedError
from sklearn.feature_selection import RFE, SelectFromModel, SelectKBest, f_regression
from sklearn.linear_model import (
    Lasso,
    LassoCV,
    LinearRegression,
    LogisticRegression,
    MultiTaskLasso,
    Ridge,
)
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from sksparse.feature_selection import GroupLassoSelector, InfFS, StabilitySelection
from sksparse.feature_selection.stability._bounds import error_bound
from sksparse.feature_selection.stability._halves import complementary_halves
from sksparse.linear_model import OSCAR, L0Classifier, L0Regressor

FEW: dict[str, Any] = {"n_resamples": 2, "alphas": 3}
# in checks there may be nothing to find
nothing_found = pytest.mark.filterwarnings("ignore:No features were selected:UserWarning")


@nothing_found
@parametrize_with_checks(
    [
        StabilitySelection(Lasso(), **FEW),
        StabilitySelection(Ridge(), assumption="r-concave", max_features="all", **FEW),
    ]
)
def test_contract(estimator: Any, check: Any) -> None:
    check(estimator)


@nothing_found
@pytest.mark.slow
@parametrize_with_checks(
    [
        StabilitySelection(**FEW),
        StabilitySelection(LogisticRegression(), **FEW),
        StabilitySelection(L0Classifier(max_features=2), **FEW),
        StabilitySelection(RandomForestRegressor(3), **FEW),
    ]
)
def test_contract_of_other_estimators(estimator: Any, check: Any) -> None:
    check(estimator)


class Records(RegressorMixin, BaseEstimator):
    """Uses the columns whose means are positive; remembers what it was given.

    The first column holds the number of the sample.
    """

    seen: list[tuple[Any, Any, Any]] = []

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Records:
        self.seen.append((X[:, 0].astype(int), y, sample_weight))
        self.coef_ = np.maximum(X.mean(axis=0) - self.alpha, 0.0)
        return self


class Soft(BaseEstimator):
    """Coefficients that do not depend on the data, less alpha."""

    def __init__(self, alpha: float = 1.0, unfinished: bool = False, talks: bool = False) -> None:
        self.alpha = alpha
        self.unfinished = unfinished
        self.talks = talks

    def fit(self, X: Any, y: Any = None) -> Soft:
        full = np.arange(X.shape[1], 0.0, -1.0)
        self.coef_ = np.maximum(full - self.alpha, 0.0)
        if self.unfinished:
            warnings.warn("far off", ConvergenceWarning, stacklevel=2)
        if self.talks:
            warnings.warn("by the way", UserWarning, stacklevel=2)
        return self


@pytest.fixture
def table(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Twelve features, of which three matter."""
    X = rng.standard_normal((120, 12))
    return X, X[:, [1, 4, 6]] @ [2.0, -1.5, 1.0] + 0.5 * rng.standard_normal(120)


@pytest.mark.parametrize("counts", [[20], [21], [7, 9], [2, 2], [5, 4, 2, 2], [1, 3], [2, 9, 4]])
def test_halves_are_disjoint_and_balanced(counts: list[int], rng: np.random.Generator) -> None:
    strata = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    n = len(strata)
    drawn = np.zeros((2, n))
    for seed in range(200):
        halves = complementary_halves(strata, np.random.RandomState(seed))
        first, second = halves
        assert len(first) == len(second) == n // 2
        assert len({*first, *second}) == 2 * (n // 2)
        sizes = [np.bincount(strata[half], minlength=len(counts)) for half in halves]
        assert np.abs(sizes[0] - sizes[1]).max() <= 1
        if min(counts) > 1:
            assert min(map(min, sizes)) >= 1
        for half, row in zip(halves, drawn, strict=True):
            row[half] += 1
    # no sample is always in the same half
    assert drawn.min() > 0
    assert drawn.max() < 200


def test_votes_are_those_of_disjoint_pairs(rng: np.random.Generator) -> None:
    X = np.column_stack([np.arange(31), rng.standard_normal((31, 6)) + 0.1])
    y = rng.standard_normal(31)
    Records.seen = []
    alphas = [0.2, 0.0]
    select = StabilitySelection(
        Records(), alphas=alphas, max_features="all", threshold=0.6, n_resamples=5, random_state=1
    ).fit(X, y)
    halves = [rows for rows, *_ in Records.seen[::2]]
    assert len(Records.seen) == 2 * 2 * 5
    for (rows, targets, _), (again, *_) in zip(Records.seen[::2], Records.seen[1::2], strict=True):
        np.testing.assert_array_equal(rows, again)  # both strengths see one half
        np.testing.assert_array_equal(targets, y[rows])
    for one, two in zip(halves[::2], halves[1::2], strict=True):
        assert len({*one, *two}) == 30
    masks = np.array([[X[rows].mean(axis=0) > alpha for rows in halves] for alpha in alphas])
    np.testing.assert_allclose(select.stability_path_, masks.mean(axis=1))
    np.testing.assert_allclose(select.selection_probabilities_, masks.mean(axis=1).max(axis=0))
    assert select.mean_features_ == masks.any(axis=0).sum(axis=1).mean()
    np.testing.assert_array_equal(select.support_, select.selection_probabilities_ >= 0.6 - 1e-9)
    assert select.n_features_ == select.support_.sum()
    assert select.error_bound_ == error_bound(select.mean_features_, 7, 6, 5, "unimodal")


def test_a_path_ends_at_its_most_features() -> None:
    X = np.random.RandomState(0).standard_normal((20, 5))
    select = StabilitySelection(
        Soft(), alphas=[0.5, 4.5, 2.5, 0.1], max_features=4, n_resamples=3
    ).fit(X)
    np.testing.assert_array_equal(select.alphas_, [4.5, 2.5, 0.5, 0.1])
    # of the two that enter at 0.5 the larger one, and nothing afterwards
    expected = [[1, 0, 0, 0, 0], [1, 1, 1, 0, 0], [1, 1, 1, 1, 0], [1, 1, 1, 1, 0]]
    np.testing.assert_array_equal(select.stability_path_, expected)
    assert select.mean_features_ == select.max_features_ == 4


def test_equals_are_chosen_by_lot() -> None:
    X = np.random.RandomState(0).standard_normal((20, 30))
    same = StabilitySelection(
        Ridge(), importance_getter=lambda model: np.ones(30), max_features=10, random_state=0
    ).fit(X, X[:, 0])
    # a third of the halves each; first come, first served would be all or nothing
    assert same.selection_probabilities_.min() > 0.1
    assert same.selection_probabilities_.max() < 0.6


@pytest.mark.parametrize("assumption", ["none", "unimodal", "r-concave"])
def test_one_of_three_follows_from_the_other_two(assumption: str) -> None:
    X = np.random.RandomState(0).standard_normal((20, 40))
    common: dict[str, Any] = {"alphas": [30.0], "assumption": assumption, "n_resamples": 10}

    def fit(**options: Any) -> StabilitySelection:
        return StabilitySelection(Soft(), **common, **options).fit(X)

    plain = fit()
    assert plain.threshold_ == 0.75
    assert plain.error_bound_ <= 1.0
    assert fit(threshold=0.75, error_bound=1.0).max_features_ == plain.max_features_
    more = fit(max_features=plain.max_features_ + 1)
    assert more.threshold_ == 0.75
    assert more.error_bound_ > 1.0
    follows = fit(max_features=plain.max_features_, error_bound=plain.error_bound_)
    assert follows.threshold_ <= 0.75
    assert follows.error_bound_ <= plain.error_bound_
    given = fit(threshold=0.9, max_features=5)
    assert given.error_bound_ == error_bound(5, 40, 18, 10, assumption)
    tight = fit(threshold=0.9, error_bound=2.0)
    assert tight.error_bound_ <= 2.0
    assert error_bound(tight.max_features_ + 1, 40, 18, 10, assumption) > 2.0
    estimated = fit(max_features="all", error_bound=5.0)
    assert estimated.mean_features_ == 10
    assert estimated.max_features_ == 40
    assert estimated.error_bound_ <= 5.0


@pytest.mark.parametrize(
    "estimator, options",
    [
        (None, {}),
        (Lasso(), {}),
        (make_pipeline(StandardScaler(), Lasso()), {}),
        (LassoCV(cv=3), {}),
        (Ridge(), {}),
        (RandomForestRegressor(10, max_depth=4), {}),
        (L0Regressor(max_features=3), {}),
        (OSCAR(), {"alphas": [1.0, 0.5]}),
        (GroupLassoSelector(loss="squared"), {"alphas": 5}),
        (SelectFromModel(LinearRegression()), {"importance_getter": "estimator_.coef_"}),
        (SelectKBest(f_regression, k=2), {}),
        (RFE(LinearRegression(), n_features_to_select=2), {}),
        (
            L0Regressor(),
            {"strength": "max_features", "alphas": [1, 2, 3]},
        ),
    ],
    ids=lambda each: type(each).__name__,
)
def test_regressors_and_selectors_find_what_matters(
    estimator: Any, options: dict[str, Any], table: Any
) -> None:
    X, y = table
    select = StabilitySelection(
        estimator, n_resamples=5, max_features=3, random_state=0, **options
    ).fit(X, y)
    found = set(select.get_support(indices=True))
    assert 1 in found
    assert found <= {1, 4, 6}
    assert select.mean_features_ <= 3


@pytest.mark.parametrize(
    "estimator, options",
    [
        (None, {"alphas": 5}),
        (LogisticRegression(), {}),
        (
            LinearSVC(penalty="l1", dual=False),
            {"strength": "C", "alphas": np.geomspace(0.01, 1, 6)},
        ),
        (LinearSVC(), {}),
        (ExtraTreesClassifier(20), {}),
        (L0Classifier(max_features=2), {"alphas": None}),
    ],
    ids=lambda each: type(each).__name__,
)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_classifiers_find_what_matters(
    estimator: Any, options: dict[str, Any], n_classes: int, table: Any
) -> None:
    X, y = table
    edges = [0.0] if n_classes == 2 else [-1.5, 1.5]
    names = np.array(["ash", "elm", "oak"])[np.digitize(y, edges)]
    select = StabilitySelection(
        estimator, n_resamples=5, max_features=3, random_state=0, **options
    ).fit(X, names)
    found = set(select.get_support(indices=True))
    assert 1 in found
    assert found <= {1, 4, 6}


def test_two_implementations_of_the_lasso_agree(table: Any) -> None:
    X, y = table
    options: dict[str, Any] = {"alphas": np.geomspace(2.0, 0.1, 7), "random_state": 3}
    theirs = StabilitySelection(Lasso(tol=1e-10), n_resamples=4, **options).fit(X, y)
    ours = StabilitySelection(n_resamples=4, **options).fit(X, y)
    np.testing.assert_array_equal(ours.stability_path_, theirs.stability_path_)
    assert 0.0 < ours.stability_path_.mean() < 1.0


def test_several_targets_and_survival_times(rng: np.random.Generator) -> None:
    X = rng.standard_normal((80, 6))
    Y = X[:, [0, 0]] + 0.3 * rng.standard_normal((80, 2))
    select = StabilitySelection(MultiTaskLasso(), max_features=1, random_state=0, **FEW).fit(X, Y)
    assert select.get_support(indices=True).tolist() == [0]
    times = np.empty(80, dtype=[("event", bool), ("time", float)])
    times["event"], times["time"] = True, rng.exponential(np.exp(-2.0 * X[:, 3]))
    cox = GroupLassoSelector(loss="cox")
    select = StabilitySelection(cox, max_features=1, random_state=0, **FEW).fit(X, times)
    assert select.get_support(indices=True).tolist() == [3]


def test_without_targets(rng: np.random.Generator) -> None:
    X = rng.standard_normal((40, 6)) * [1, 1, 9, 1, 1, 1]
    select = StabilitySelection(InfFS(), max_features=1, random_state=0, **FEW).fit(X)
    assert select.get_support(indices=True).tolist() == [2]


def test_tables_with_categories(rng: np.random.Generator) -> None:
    frame = pd.DataFrame({f"x{j}": rng.standard_normal(90) for j in range(4)})
    frame["colour"] = rng.choice(["red", "blue", "grey"], 90)
    y = 3.0 * (frame["colour"] == "red") + 0.3 * rng.standard_normal(90)
    inside = GroupLassoSelector(encode="auto", loss="squared")
    select = StabilitySelection(inside, max_features=1, random_state=0, **FEW).fit(frame, y)
    assert select.get_feature_names_out().tolist() == ["colour"]


@pytest.mark.parametrize("estimator", [None, Lasso(), RandomForestRegressor(3, max_depth=3)])
def test_neither_order_nor_form_of_the_samples_matters(
    estimator: Any, table: Any, rng: np.random.Generator
) -> None:
    X, y = table
    X = np.where(np.abs(X) > 0.4, X, 0.0)
    select = StabilitySelection(estimator, n_resamples=3, alphas=4, random_state=0)
    expected = clone(select).fit(X, y).stability_path_
    order = rng.permutation(len(X))
    frame = pd.DataFrame(X, columns=[f"x{j}" for j in range(12)], index=order)
    forms = [(X[order], y[order]), (np.asfortranarray(X), y.tolist()), (frame, pd.Series(y))]
    if not isinstance(estimator, RandomForestRegressor):  # whose trees differ on sparse data
        forms += [(sparse.csr_array(X), y), (sparse.coo_matrix(X), y)]
    for features, targets in forms:
        found = clone(select).fit(features, targets)
        np.testing.assert_array_equal(found.stability_path_, expected)
    found = clone(select).fit(frame, y)
    assert found.feature_names_in_.tolist() == frame.columns.tolist()
    assert found.get_feature_names_out().tolist() == frame.columns[found.support_].tolist()


@pytest.mark.parametrize("estimator", [None, Lasso(), RandomForestRegressor(3, max_depth=3)])
def test_whole_weights_are_repetitions(
    estimator: Any, table: Any, rng: np.random.Generator
) -> None:
    X, y = table
    weights = rng.integers(0, 4, len(X))
    select = StabilitySelection(estimator, n_resamples=3, alphas=4, random_state=0)
    weighted = clone(select).fit(X, y, sample_weight=weights)
    repeated = clone(select).fit(np.repeat(X, weights, axis=0), np.repeat(y, weights))
    np.testing.assert_array_equal(weighted.stability_path_, repeated.stability_path_)


def test_other_weights_are_handed_on(rng: np.random.Generator) -> None:
    X = np.column_stack([np.arange(30), rng.standard_normal((30, 3))])
    weights = np.where(np.arange(30) < 6, 0.0, rng.uniform(0.5, 1.5, 30))
    Records.seen = []
    StabilitySelection(Records(), alphas=None, n_resamples=3).fit(X, X[:, 1], weights)
    for rows, _, given in Records.seen:
        np.testing.assert_array_equal(given, weights[rows])
        assert rows.min() >= 6
        assert len(rows) == 12
    with pytest.raises(ValueError, match=r"sample_weight: the fit of estimator, Soft, takes none"):
        StabilitySelection(Soft(), n_resamples=2).fit(X, None, weights)
    pipeline = make_pipeline(StandardScaler(), Records())
    with pytest.raises(ValueError, match=r"of a pipeline give it to a step"):
        StabilitySelection(pipeline, alphas=None).fit(X, X[:, 1], weights)
    Records.seen = []
    scaled = StabilitySelection(make_pipeline(Records()), alphas=None, n_resamples=2)
    scaled.fit(X, X[:, 1], records__sample_weight=weights + 0.5)
    for rows, _, given in Records.seen:
        np.testing.assert_array_equal(given, weights[rows] + 0.5)


def test_metadata_is_routed_to_the_estimator(rng: np.random.Generator) -> None:
    X = np.column_stack([np.arange(30), rng.standard_normal((30, 3))])
    weights = rng.uniform(0.5, 1.5, 30)
    with config_context(enable_metadata_routing=True):
        plain = StabilitySelection(Records(), alphas=None, n_resamples=2)
        with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
            plain.fit(X, X[:, 1], sample_weight=weights)
        inside = make_pipeline(StandardScaler(), Records().set_fit_request(sample_weight=True))
        inside[0].set_fit_request(sample_weight=False)
        Records.seen = []
        with pytest.warns(UserWarning, match="give an estimator that selects more"):
            StabilitySelection(inside, alphas=None, n_resamples=2).fit(
                X, X[:, 1], sample_weight=weights
            )
        assert all(set(given) <= set(weights) for *_, given in Records.seen)
        lasso = StabilitySelection(max_features=1, random_state=0, **FEW)
        lasso.fit(X[:, 1:], X[:, 1], sample_weight=weights)
        assert lasso.get_support(indices=True).tolist() == [0]


def test_seeds_make_it_reproducible(table: Any) -> None:
    X, y = table
    forest = RandomForestRegressor(3, max_depth=3)

    def path(seed: Any) -> Any:
        select = StabilitySelection(forest, n_resamples=4, max_features=3, random_state=seed)
        return select.fit(X, y).stability_path_

    np.testing.assert_array_equal(path(0), path(0))
    np.testing.assert_array_equal(path(np.random.RandomState(5)), path(np.random.RandomState(5)))
    assert not np.array_equal(path(0), path(1))
    assert forest.random_state is None


def test_jobs_change_nothing(table: Any) -> None:
    X, y = table
    select = StabilitySelection(Lasso(), n_resamples=4, alphas=4, random_state=0)
    alone = clone(select).fit(X, y)
    with parallel_config(backend="threading"):
        together = clone(select).set_params(n_jobs=2).fit(X, y)
    np.testing.assert_array_equal(alone.stability_path_, together.stability_path_)


def test_an_automatic_grid_begins_where_features_enter(table: Any) -> None:
    X, y = table
    select = StabilitySelection(Lasso(), alphas=6, eps=0.1, n_resamples=2).fit(X, y)
    at = np.abs((X - X.mean(axis=0)).T @ (y - y.mean())).max() / len(y) * np.sqrt(2.0)
    # below, a little, where a coefficient is still too small for the tolerance of the fit
    assert 0.97 * at <= select.alphas_[0] <= 1.2 * at
    np.testing.assert_allclose(select.alphas_[-1], 0.1 * select.alphas_[0])
    assert len(select.alphas_) == len(select.stability_path_) == 6
    # a strength that makes no difference makes no grid
    for estimator in (Ridge(), L0Regressor(max_features=2)):
        select = StabilitySelection(estimator, n_resamples=2).fit(X, y)
        assert select.alphas_ is None
        assert select.stability_path_.shape == (1, 12)
    with pytest.warns(UserWarning, match="None of the 4 halves selected any feature"):
        select.set_params(estimator=Lasso()).fit(X, np.ones(120))
    assert select.alphas_ is None


def test_copies_share_their_selections(rng: np.random.Generator) -> None:
    X = rng.standard_normal((100, 8))
    X[:, 1] = X[:, 0]
    select = StabilitySelection(RandomForestRegressor(5), max_features=1, random_state=0)
    select.fit(X, X[:, 0] + 0.1 * rng.standard_normal(100))
    assert not select.support_.any()
    assert select.selection_probabilities_[:2].sum() == pytest.approx(1.0)


def test_it_is_stored_searched_and_chained(table: Any) -> None:
    X, y = table
    pipeline = make_pipeline(
        StabilitySelection(Lasso(), n_resamples=3, alphas=4, random_state=0), LinearRegression()
    )
    grid = {
        "stabilityselection__max_features": [1, 3],
        "stabilityselection__estimator__fit_intercept": [True, False],
    }
    search = GridSearchCV(pipeline, grid, cv=2).fit(X, y)
    assert search.best_params_["stabilityselection__max_features"] == 3
    model = search.best_estimator_[0]
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.transform(X), model.transform(X))
    assert again.get_params(deep=False).keys() == model.get_params(deep=False).keys()


def test_a_failed_fit_leaves_the_one_before(table: Any) -> None:
    X, y = table
    select = StabilitySelection(Lasso(), n_resamples=2, alphas=3).fit(X, y)
    before = select.selection_probabilities_
    with pytest.raises(ValueError, match="NaN"):
        select.fit(np.where(X > 2, np.nan, X), y)
    assert select.selection_probabilities_ is before


def test_warnings_of_fits_are_shown_once() -> None:
    X = np.random.RandomState(0).standard_normal((20, 5))
    options: dict[str, Any] = {"alphas": [9.0, 3.5], "n_resamples": 3, "max_features": 4}
    with pytest.warns(ConvergenceWarning, match="12 fits.* did not converge.*far off") as found:
        StabilitySelection(Soft(unfinished=True), **options).fit(X)
    assert len(found) == 1
    with pytest.warns(UserWarning, match="by the way") as found:
        StabilitySelection(Soft(talks=True), **options).fit(X)
    assert len(found) == 1
    assert found[0].filename == __file__
    options["alphas"] = [9.0]
    with pytest.warns(UserWarning, match="None of the 6 halves") as found:
        StabilitySelection(Soft(talks=True), **options).fit(X)
    assert len(found) == 1


def test_halves_that_select_nothing_warn(table: Any) -> None:
    X, y = table
    selector = StabilitySelection(Lasso(), alphas=[1e13, 1e12], n_resamples=2, random_state=0)
    with pytest.warns(UserWarning, match=r"None of the 4 halves .* the last of them, 1e\+12"):
        selector.fit(X, y)
    assert not selector.get_support().any()


def test_an_error_that_is_out_of_reach_afterwards_warns() -> None:
    X = np.random.RandomState(0).standard_normal((20, 5))
    select = StabilitySelection(
        Soft(), alphas=[0.5], max_features="all", error_bound=0.1, n_resamples=3
    )
    with pytest.warns(UserWarning, match=r"error_bound=0\.1 is not kept: with 5 features"):
        select.fit(X)
    assert select.threshold_ == 1.0
    with pytest.warns(UserWarning, match="max_features=9 is more than X has, n_features=5"):
        select.set_params(max_features=9, error_bound=None).fit(X)
    assert select.max_features_ == 5


def test_progress_counts_pairs(table: Any, capfd: pytest.CaptureFixture[str]) -> None:
    StabilitySelection(Lasso(), n_resamples=3, alphas=3, verbose=2).fit(*table)
    lines = capfd.readouterr().out.splitlines()
    assert [f"[StabilitySelection] pair {k}/3, " in line for k, line in enumerate(lines, 1)] == [
        True
    ] * 3
    assert "features a half" in lines[-1]


BAD: list[tuple[dict[str, Any], str]] = [
    ({"threshold": 0.5}, r"'threshold'.*Got 0\.5"),
    ({"threshold": 1.01}, r"'threshold'.*Got 1\.01"),
    ({"n_resamples": 1}, r"'n_resamples'.*Got 1"),
    ({"max_features": 0}, r"'max_features'.*Got 0"),
    ({"max_features": "some"}, r"'max_features'.*Got 'some'"),
    ({"error_bound": 0.0}, r"'error_bound'.*Got 0"),
    ({"assumption": "normal"}, r"'assumption'.*Got 'normal'"),
    ({"estimator": 3}, r"'estimator'.*Got 3"),
    ({"eps": 1.0}, r"'eps'.*Got 1\.0"),
    ({"alphas": []}, r"alphas=\[\] must be numbers"),
    ({"alphas": [[1.0]]}, r"must be numbers, the values of 'alpha'"),
    ({"alphas": [1.0, np.nan]}, r"must be finite"),
    ({"alphas": ["a"]}, r"must be numbers"),
    ({"strength": "C"}, r"strength='C' is no parameter of estimator, Lasso; give one of"),
    ({"strength": "max_iter"}, r"alphas=20 makes a grid.*values of 'max_iter' themselves"),
    ({"estimator": LinearRegression(), "alphas": [1.0]}, r"LinearRegression, does not have"),
    (
        {"threshold": 0.8, "max_features": 2, "error_bound": 1.0},
        r"threshold=0\.8, max_features=2 and error_bound=1\.0: one follows",
    ),
    (
        {"max_features": 9, "error_bound": 0.01},
        r"error_bound=0\.01 is out of reach of max_features=9: even threshold=1",
    ),
    ({"error_bound": 1e-4}, r"error_bound=0\.0001 is out of reach at threshold=0\.75: a single"),
    (
        {"estimator": make_pipeline(PolynomialFeatures(2), Lasso(0.1)), "alphas": None},
        r"Pipeline says of 91 columns which ones it uses, and X has 12",
    ),
    (
        {"estimator": RFE(LinearRegression(), n_features_to_select=8), "max_features": 3},
        r"RFE selects more than max_features=3 features from half",
    ),
]


@pytest.mark.parametrize("options, message", BAD, ids=[message for _, message in BAD])
def test_bad_parameters_are_refused(options: dict[str, Any], message: str, table: Any) -> None:
    with pytest.raises(ValueError, match=message):
        StabilitySelection(**{"estimator": Lasso(), **options}).fit(*table)


def test_bad_data_are_refused(table: Any) -> None:
    X, y = table
    select = StabilitySelection(Lasso(), **FEW)
    with pytest.raises(ValueError, match=r"3 sample\(s\).*minimum of 4"):
        select.fit(X[:3], y[:3])
    with pytest.raises(ValueError, match=r"3 sample\(s\) with positive weight.*minimum of 4"):
        select.fit(X, y, sample_weight=np.arange(120) < 3)
    with pytest.raises(ValueError, match=r"3 sample\(s\) with positive weight"):
        select.fit(pd.DataFrame(X[:3]).rename(columns=str), y[:3])
    with pytest.raises(ValueError, match="requires y to be passed"):
        select.fit(X)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        select.fit(X, y[:-1])
    classify = StabilitySelection(LogisticRegression(), **FEW)
    with pytest.raises(ValueError, match=r"two classes .* got 1 class\(es\): \[1\]"):
        classify.fit(X, np.ones(120, dtype=int))
    with pytest.raises(ValueError, match=r"1 sample of class 'b'.* give at least two"):
        classify.fit(X, ["b"] + ["a", "c"] * 59 + ["a"])
    with pytest.raises(ValueError, match="Unknown label type"):
        classify.fit(X, y)
    with pytest.raises(ValueError, match="at least two values"):
        StabilitySelection(**FEW).fit(X, np.ones(120))
    with pytest.raises(
        ValueError, match="KNeighborsClassifier has none of coef_, feature_importances_, get_supp"
    ):
        StabilitySelection(KNeighborsClassifier(), **FEW).fit(X, y > 0)


def test_features_of_small_units_have_a_grid_and_numpy_is_left_alone() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 6))
    select = StabilitySelection(n_resamples=2, error_bound=2.0)
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    select.fit(np.ldexp(X, -100), np.ldexp(X[:, 1], -40))
    assert select.get_support(indices=True).tolist() == [1]
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002
