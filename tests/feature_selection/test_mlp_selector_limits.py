"""The selector at the limits of its input: weights, costs, groups, divergence, interrupted runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from sksparse import _interrupts
from sksparse.feature_selection import SparseMLPSelector
from sksparse.feature_selection.perceptron._engine import PathTraining
from sksparse.feature_selection.perceptron._fit import Runs

QUICK: dict[str, Any] = {"max_iter": 3, "hidden_layer_sizes": (8,), "random_state": 0}
rng = np.random.default_rng(0)
X = rng.standard_normal((120, 8))
Y = X[:, 2] * X[:, 5] > 0


def fit(y: Any = Y, sample_weight: Any = None, **options: Any) -> SparseMLPSelector:
    return SparseMLPSelector(**QUICK | options).fit(X, y, sample_weight)


@pytest.mark.parametrize(
    "options",
    [
        {"penalty_weights": np.zeros(8)},
        {"penalty_weights": [0, 0, 0, 1, 1, 1, 1, 1]},
        {"groups": [0, 0, 0, 0, 0, 1, 1, 2]},
        {"groups": [0] * 8},
    ],
)
def test_each_number_of_features_is_scored_once(options: dict[str, Any]) -> None:
    fitted = fit(**options)
    assert (np.diff(fitted.n_features_path_) < 0).all()
    assert fitted.n_features_path_[0] == 8


def test_groups_of_no_cost_stay_where_fewer_are_asked_for() -> None:
    with pytest.warns(UserWarning, match="2 features are kept, all of those that cost nothing"):
        fitted = fit(penalty_weights=[0, 1, 0, 1, 1, 1, 1, 1], max_features=1)
    assert fitted.get_support(indices=True).tolist() == [0, 2]
    with pytest.warns(UserWarning, match="8 features are kept, all of the first one"):
        fit(groups=[0] * 8, max_features=3)


@pytest.mark.parametrize("factor", [2.0**1000, 2.0**-1000])
def test_scale_of_the_weights_does_not_matter(factor: float) -> None:
    weight = rng.integers(1, 4, len(X)) * 1.0
    plain, scaled = fit(sample_weight=weight), fit(sample_weight=weight * factor)
    assert (plain.ranking_ == scaled.ranking_).all()
    assert (plain.scores_path_ == scaled.scores_path_).all()
    with pytest.raises(ValueError, match="sample_weight reaches 1e\\+308"):
        fit(sample_weight=np.full(len(X), 1e308))


def test_one_row_may_have_nearly_all_the_weight() -> None:
    for heavy in (1e30, 1e100, 1e300):
        weight = np.arange(1.0, len(X) + 1)
        weight[7] = heavy
        assert np.isfinite(fit(sample_weight=weight).scores_path_).all()


def test_rows_of_classes_without_weight_do_not_count() -> None:
    data = X.copy()
    codes = np.arange(len(X)) % 3
    # feature 4 varies among the rows of class 0 alone
    data[codes > 0, 4] = 1.0
    some = SparseMLPSelector(class_weight={0: 0, 1: 1, 2: 1}, **QUICK).fit(data, codes)
    assert some.feature_importances_[4] == 0
    assert some.n_features_path_[0] == 7


BAD: dict[str, tuple[dict[str, Any], Any, type[Exception], str]] = {
    "no layer": ({"hidden_layer_sizes": ()}, Y, ValueError, "no hidden layer"),
    "tiny costs": ({"penalty_weights": [1e-300] + [1] * 7}, Y, ValueError, "reach from 1e-300"),
    "huge costs": ({"penalty_weights": [1e300] + [1] * 7}, Y, ValueError, "to 1e\\+300"),
    "one class left": ({"class_weight": {False: 0, True: 1}}, Y, ValueError, "single class"),
    "columns of classes": ({}, np.c_[np.arange(120) % 3, Y], ValueError, "columns of classes"),
    "their loss": ({"loss": "multinomial"}, np.c_[Y, ~Y] + 0, ValueError, "columns of classes"),
    "rate": ({"learning_rate_init": 1e30}, Y, FloatingPointError, "lower them"),
    "decay": ({"weight_decay": 1e5, "max_iter": 30}, X[:, 0], FloatingPointError, "lower them"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case: str) -> None:
    options, y, kind, message = BAD[case]
    with pytest.raises(kind, match=message):
        fit(y, **options)


def test_labels_may_be_sparse_and_targets_beyond_integers() -> None:
    labels = np.c_[Y, ~Y, X[:, 0] > 0].astype(int)
    dense, packed = fit(labels), fit(sparse.csr_matrix(labels))
    assert (dense.ranking_ == packed.ranking_).all()
    plain, scaled = fit(X[:, 0]), fit(np.ldexp(X[:, 0], 70))
    assert (plain.ranking_ == scaled.ranking_).all()


def test_warm_start_keeps_runs_of_the_same_options_and_shapes() -> None:
    warm = fit(warm_start=True)
    kept = warm._paths[0]
    assert warm.set_params(max_features=3).fit(X, Y)._paths[0] is kept
    assert warm.n_features_ == 3
    assert warm.set_params(method="attention").fit(X, Y)._paths[0] is not kept
    # the feature that came farthest has become constant
    data = X.copy()
    best = int(warm.feature_importances_.argmax())
    data[:, best] = 0.0
    warm.fit(data, Y)
    assert warm.feature_importances_[best] == 0
    assert warm.ranking_[best] == warm.ranking_.max()


def interrupt(monkeypatch: pytest.MonkeyPatch, cls: type, name: str, call: int) -> None:
    """The given call of a method is interrupted."""
    method, calls = getattr(cls, name), []

    def counted(self: Any, *arguments: Any) -> Any:
        calls.append(None)
        if len(calls) == call:
            raise KeyboardInterrupt
        return method(self, *arguments)

    monkeypatch.setattr(cls, name, counted)
    monkeypatch.setattr(_interrupts, "LONG", 0.0)


def test_runs_before_an_interrupted_one_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    two = fit(n_repeats=2)
    interrupt(monkeypatch, Runs, "run", 3)
    selector = SparseMLPSelector(n_repeats=4, warm_start=True, **QUICK)
    with pytest.warns(ConvergenceWarning, match="after 2 of 4 runs"):
        selector.fit(X, Y)
    assert (selector.ranking_ == two.ranking_).all()
    assert (selector.scores_path_ == two.scores_path_).all()
    assert len(selector.fit(X, Y)._paths) == 4


def test_an_interrupted_run_has_no_scores_and_is_run_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = fit()
    n_updates = one.n_iter_ * 9
    interrupt(monkeypatch, PathTraining, "_update", n_updates + n_updates // 2)
    selector = SparseMLPSelector(n_repeats=2, warm_start=True, **QUICK)
    with pytest.warns(ConvergenceWarning, match="Run 2 of 2 was interrupted"):
        selector.fit(X, Y)
    assert (selector.scores_path_ == one.scores_path_).all()
    assert all(path.is_complete for path in selector.fit(X, Y)._paths)
