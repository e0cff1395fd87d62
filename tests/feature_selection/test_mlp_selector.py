"""The selector that trains a perceptron: contract, rankings, groups, weights, bad input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from sksparse.feature_selection import SparseMLPSelector
from sksparse.feature_selection._path_selection import METHODS
from sksparse.feature_selection.perceptron import _methods

QUICK: dict[str, Any] = {"max_iter": 20, "hidden_layer_sizes": (16,), "random_state": 0}
#: Enough to find two features.
FINDS: dict[str, Any] = {"max_iter": 50, "learning_rate_init": 3e-3, "random_state": 0}


def product(
    seed: int = 0, n_samples: int = 600, n_features: int = 12
) -> tuple[np.ndarray, np.ndarray]:
    """Classes that are the sign of the product of features 2 and 5."""
    X = np.random.default_rng(seed).standard_normal((n_samples, n_features))
    return X, X[:, 2] * X[:, 5] > 0


@parametrize_with_checks(
    [
        SparseMLPSelector(max_iter=5, hidden_layer_sizes=(8,)),
        SparseMLPSelector(max_features=1, loss="squared", max_iter=5, hidden_layer_sizes=(8,)),
    ]
)
def test_contract(estimator: Any, check: Any) -> None:
    check(estimator)


def test_methods_by_name_are_all_there() -> None:
    assert set(METHODS) == set(_methods.METHODS)


def test_a_product_is_found() -> None:
    X, y = product()
    selector = SparseMLPSelector(max_features=2, **FINDS).fit(X, y)
    assert selector.get_support(indices=True).tolist() == [2, 5]
    assert selector.ranking_[[2, 5]].tolist() == [1, 1]
    assert sorted(selector.ranking_) == [1, 1, *range(2, 12)]
    # two features explain the classes and one does not
    by_count = dict(zip(selector.n_features_path_, selector.scores_path_, strict=True))
    assert by_count[2] > 0.9
    assert by_count[1] < 0.7


def test_one_path_answers_every_number_with_nested_sets() -> None:
    X, y = load_digits(return_X_y=True)
    order = SparseMLPSelector(max_features=1, max_iter=8, random_state=0).fit(X, y).ranking_
    for k in (3, 10, 30):
        fitted = SparseMLPSelector(max_features=k, max_iter=8, random_state=0).fit(X, y)
        assert set(fitted.get_support(indices=True)) == set(np.argsort(order, kind="stable")[:k])
        assert (fitted.ranking_ == np.maximum(order - k + 1, 1)).all()


def test_validation_chooses_the_number() -> None:
    X, y = product()
    for rule in ("auto", "1se"):
        fitted = SparseMLPSelector(rule, **FINDS).fit(X, y)
        best = fitted.scores_path_.max()
        at = fitted.scores_path_[fitted.n_features_path_ == fitted.n_features_]
        error = fitted.scores_error_path_[fitted.scores_path_.argmax()] if rule == "1se" else 0.0
        assert at >= best - error
        fewer = fitted.scores_path_[fitted.n_features_path_ < fitted.n_features_]
        assert (fewer < best - error).all()
        assert {2, 5} <= set(fitted.get_support(indices=True))


def test_regression_scores_are_shares_of_variance(rng: np.random.Generator) -> None:
    X = rng.standard_normal((400, 10))
    y = 1e6 + 1e3 * (X[:, 1] - 2 * X[:, 7])
    fitted = SparseMLPSelector(max_features=2, **FINDS).fit(X, y)
    assert fitted.get_support(indices=True).tolist() == [1, 7]
    assert 0.9 < fitted.scores_path_.max() <= 1
    twice = SparseMLPSelector(max_features=2, **FINDS).fit(X, np.column_stack([y, -y]))
    assert twice.get_support(indices=True).tolist() == [1, 7]


def test_several_labels(rng: np.random.Generator) -> None:
    X = rng.standard_normal((400, 10))
    y = np.column_stack([X[:, 1] > 0, X[:, 7] > 0]).astype(int)
    fitted = SparseMLPSelector(max_features=2, **FINDS).fit(X, y)
    assert fitted.get_support(indices=True).tolist() == [1, 7]


@pytest.mark.parametrize("scale", [1e-200, 1e-8, 1.0, 1e30, 1e300])
def test_units_of_the_features_do_not_matter(scale: float) -> None:
    X, _ = product(n_samples=200)
    y = X[:, 2] > 0
    factors = np.where(np.arange(12) % 3 == 0, scale, 1.0)
    plain, scaled = (
        SparseMLPSelector(max_features=4, **QUICK).fit(data, y) for data in (X, X * factors)
    )
    # powers of two are exact; others change the last bits in which training is chaotic
    assert plain.ranking_.shape == scaled.ranking_.shape
    exact = np.exp2(np.round(np.log2(factors)))
    same = SparseMLPSelector(max_features=4, **QUICK).fit(X * exact, y)
    assert (same.ranking_ == plain.ranking_).all()
    shifted = SparseMLPSelector(max_features=4, **QUICK).fit(X * exact + 0.0, y)
    assert (shifted.ranking_ == plain.ranking_).all()


def test_weights_are_repetitions_and_order_does_not_matter(rng: np.random.Generator) -> None:
    X, y = product(n_samples=150)
    weight = rng.integers(0, 4, len(y))
    weighted = SparseMLPSelector(max_features=4, **QUICK).fit(X, y, sample_weight=weight)
    order = rng.permutation(np.repeat(np.arange(len(y)), weight))
    repeated = SparseMLPSelector(max_features=4, **QUICK).fit(X[order], y[order])
    assert (weighted.ranking_ == repeated.ranking_).all()
    np.testing.assert_allclose(weighted.scores_path_, repeated.scores_path_)


def test_class_weights_multiply_sample_weights() -> None:
    X, y = product(n_samples=150)
    one = SparseMLPSelector(max_features=4, class_weight={False: 1, True: 3}, **QUICK).fit(X, y)
    two = SparseMLPSelector(max_features=4, **QUICK).fit(X, y, sample_weight=np.where(y, 3.0, 1.0))
    assert (one.ranking_ == two.ranking_).all()


def test_sparse_features_are_ranked_as_dense_ones_without_shift(rng: np.random.Generator) -> None:
    X = np.where(rng.random((300, 15)) < 0.7, 0.0, rng.standard_normal((300, 15)))
    y = X[:, 3] + X[:, 4] > 0.1
    dense = SparseMLPSelector(max_features=2, **FINDS).fit(X, y)
    for form in (sparse.csr_matrix, sparse.csc_array):
        fitted = SparseMLPSelector(max_features=2, **FINDS).fit(form(X), y)
        assert fitted.get_support(indices=True).tolist() == [3, 4]
    assert dense.get_support(indices=True).tolist() == [3, 4]


def test_constant_features_are_ranked_last() -> None:
    X, _ = product(n_samples=200)
    X[:, [0, 7]] = 3.0
    fitted = SparseMLPSelector(max_features=2, **QUICK).fit(X, X[:, 3] > 0)
    assert sorted(fitted.ranking_[[0, 7]]) == [10, 11]
    assert (fitted.feature_importances_[[0, 7]] == 0).all()
    assert fitted.n_features_path_[0] == 10


def test_duplicates_and_few_rows_have_a_ranking(rng: np.random.Generator) -> None:
    X = rng.standard_normal((12, 3))[:, [0, 0, 1, 1, 2]]
    fitted = SparseMLPSelector(max_features=2, **QUICK).fit(X, X[:, 0] > 0)
    assert sorted(fitted.ranking_) == [1, 1, 2, 3, 4]
    single = SparseMLPSelector(**QUICK).fit(X[:, :1], X[:, 0] > 0)
    assert single.get_support().tolist() == [True]


def test_groups_leave_together(rng: np.random.Generator) -> None:
    X, y = product()
    groups = [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    fitted = SparseMLPSelector(max_features=4, groups=groups, **FINDS).fit(X, y)
    assert fitted.selected_groups_.tolist() == [1, 2]
    assert (fitted.ranking_[::2] == fitted.ranking_[1::2]).all()
    assert sorted(fitted.ranking_[::2]) == [1, 1, 2, 3, 4, 5]
    frame = pd.DataFrame(X, columns=[f"{'abcdef'[j // 2]}_{j % 2}" for j in range(12)])
    named = SparseMLPSelector(max_features=4, groups="prefix", **FINDS).fit(frame, y)
    assert named.selected_groups_.tolist() == ["b", "c"]
    assert named.get_feature_names_out().tolist() == ["b_0", "b_1", "c_0", "c_1"]


def test_a_number_that_whole_groups_do_not_make_is_said() -> None:
    X, y = product()
    selector = SparseMLPSelector(max_features=5, groups=[0, 0, 1, 1, 2, 2] + [3] * 6, **QUICK)
    with pytest.warns(UserWarning, match=r"max_features=5 cannot be met .* \d+ features are kept"):
        selector.fit(X, y)
    assert selector.n_features_ in (2, 4, 6)


def test_groups_of_no_cost_always_stay() -> None:
    X, y = product()
    costs = np.ones(12)
    costs[9] = 0.0
    fitted = SparseMLPSelector(max_features=3, penalty_weights=costs, **FINDS).fit(X, y)
    assert fitted.get_support(indices=True).tolist() == [2, 5, 9]
    costs[9] = 1e9
    last = SparseMLPSelector(max_features=3, penalty_weights=costs, **QUICK).fit(X, y)
    assert last.ranking_.argmax() == 9


def test_repeats_are_aggregated_and_warm_start_adds_some() -> None:
    X, _ = product(n_samples=200)
    y = X[:, 2] > 0
    three = SparseMLPSelector(max_features=2, n_repeats=3, **QUICK).fit(X, y)
    assert -1 < three.stability_ <= 1
    alone = SparseMLPSelector(max_features=2, n_repeats=1, warm_start=True, **QUICK).fit(X, y)
    assert np.isnan(alone.stability_)
    first = alone._paths[0]
    alone.set_params(n_repeats=3).fit(X, y)
    assert alone._paths[0] is first
    assert (alone.ranking_ == three.ranking_).all()
    np.testing.assert_allclose(
        three.feature_importances_, alone.feature_importances_, rtol=0, atol=1e-12
    )


def test_grid_search_over_the_number_of_features() -> None:
    X, y = product()
    pipeline = make_pipeline(SparseMLPSelector(**FINDS), KNeighborsClassifier())
    grid = {"sparsemlpselector__max_features": [1, 2, 12]}
    search = GridSearchCV(pipeline, grid, cv=2).fit(X, y)
    assert search.best_params_ == {"sparsemlpselector__max_features": 2}


def test_the_path_ends_at_min_features() -> None:
    X, y = product()
    fitted = SparseMLPSelector(max_features=2, min_features=5, **QUICK).fit(X, y)
    assert fitted.n_features_path_[-1] == 5
    assert fitted.n_features_ == 2


X, Y = product(n_samples=40, n_features=6)
BAD: dict[str, tuple[dict[str, Any], Any, Any, str]] = {
    "one class": ({}, X, np.ones(40, dtype=int), "two values"),
    "nan": ({}, np.where(X[3, 2] == X, np.nan, X), Y, "NaN"),
    "nothing varies": ({}, np.ones((40, 3)), Y, "All 3 features of X are constant"),
    "none": ({"max_features": 0}, X, Y, "max_features"),
    "layers": ({"hidden_layer_sizes": (0,)}, X, Y, "hidden_layer_sizes"),
    "too few": ({"validation_fraction": 0.9}, X[:2], Y[:2], "validation_fraction"),
    "costs": ({"penalty_weights": [1.0]}, X, Y, "penalty_weights"),
    "class weights": ({"class_weight": "balanced"}, X, X[:, 0], "class_weight"),
    "groups": ({"groups": [[0, 1]]}, X, Y, "groups"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_leaves_an_earlier_fit(case: str) -> None:
    options, data, targets, message = BAD[case]
    fitted = SparseMLPSelector(max_features=2, max_iter=2, random_state=0).fit(X, Y)
    before = dict(vars(fitted))
    bad = clone(fitted).set_params(**options)
    vars(bad).update({name: value for name, value in before.items() if name.endswith("_")})
    with pytest.raises(ValueError, match=message):
        bad.fit(data, targets)
    assert (bad.ranking_ == fitted.ranking_).all()


def test_more_than_all_features_are_all_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="max_features=7 is more than X has"):
        fitted = SparseMLPSelector(max_features=7, max_iter=2, random_state=0).fit(X, Y)
    assert fitted.get_support().all()
