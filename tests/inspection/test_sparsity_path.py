"""What the path shows are the scores of the fits it names."""

from __future__ import annotations

import sys
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import load_iris
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import Ridge
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler

from sksparse.inspection import (
    SparsityPathDisplay,
    SparsityPatternDisplay,
    TrainingHistoryDisplay,
)
from sksparse.neural_network import SparseMLPClassifier, SparseMLPRegressor

QUICK = {"max_iter": 5, "tol": 10.0, "random_state": 0}
FOLDS = StratifiedKFold(3, shuffle=True, random_state=0)


class Rounded(ClassifierMixin, BaseEstimator):
    """A stand-in for a network: quick, and not quite as sparse as asked."""

    def __init__(self, *, sparsifier: Any = "l0", target_sparsity: float | None = None) -> None:
        self.sparsifier = sparsifier
        self.target_sparsity = target_sparsity

    def fit(self, X: Any, y: Any) -> Rounded:
        self.classes_ = np.unique(y)
        self.sparsity_ = 0.0 if self.sparsifier is None else self.target_sparsity - 0.01
        return self

    def score(self, X: Any, y: Any) -> float:
        return 1.0 - self.sparsity_ + X.shape[0] / 1000 + float(np.mean(y)) / 100


def points(display: SparsityPathDisplay) -> tuple[np.ndarray, np.ndarray]:
    line = display.errorbar_.lines[0]
    return line.get_xdata(), line.get_ydata()


def bars(display: SparsityPathDisplay) -> np.ndarray:
    """Lower and upper end of every error bar."""
    (segments,) = display.errorbar_.lines[2]
    return np.array([segment[:, 1] for segment in segments.get_segments()])


def test_arrays_are_drawn_as_they_are_in_the_order_of_sparsity() -> None:
    display = SparsityPathDisplay([0.9, 0.5], [0.7, 0.8], [0.01, 0.02], baseline=0.85).plot()
    x, y = points(display)
    np.testing.assert_array_equal(x, [0.5, 0.9])
    np.testing.assert_array_equal(y, [0.8, 0.7])
    np.testing.assert_allclose(bars(display), [[0.78, 0.82], [0.69, 0.71]])
    assert list(display.baseline_.get_ydata()) == [0.85, 0.85]
    assert display.ax_.get_xlabel() == "sparsity"
    assert display.ax_.get_ylabel() == "score"
    assert display.ax_.get_legend() is None


def test_compression_is_how_many_times_fewer_weights_are_left() -> None:
    display = SparsityPathDisplay([0.5, 0.9, 0.99, 1.0], [4, 3, 2, 1]).plot(xaxis="compression")
    np.testing.assert_allclose(points(display)[0], [2, 10, 100, np.nan])
    assert display.ax_.get_xscale() == "log"
    assert display.ax_.xaxis.get_major_formatter()(20, None) == "20×"


@pytest.mark.filterwarnings("ignore:Of the .* are the same for all training rows")
def test_points_are_the_scores_of_a_cross_validation() -> None:
    X, y = load_iris(return_X_y=True)
    net = SparseMLPClassifier((6,), **QUICK)
    display = SparsityPathDisplay.from_estimator(
        net, X, y, sparsities=[0.5, 0.8], cv=FOLDS, baseline="dense"
    )
    expected = [
        cross_val_score(clone(net).set_params(target_sparsity=s), X, y, cv=FOLDS)
        for s in (0.5, 0.8)
    ]
    np.testing.assert_array_equal(display.scores_, expected)
    x, y_drawn = points(display)
    np.testing.assert_allclose(x, [0.5, 0.8], atol=0.01)
    np.testing.assert_allclose(y_drawn, np.mean(expected, axis=1))
    half = np.std(expected, axis=1, ddof=1) / np.sqrt(3)
    np.testing.assert_allclose(np.diff(bars(display)).ravel(), 2 * half)
    dense = cross_val_score(clone(net).set_params(sparsifier=None), X, y, cv=FOLDS)
    np.testing.assert_allclose(display.baseline_.get_ydata(), dense.mean())
    names = {text.get_text() for text in display.ax_.get_legend().get_texts()}
    assert names == {"SparseMLPClassifier", "dense"}
    assert display.ax_.get_ylabel() == "accuracy"


def test_the_sparsity_drawn_is_the_one_reached() -> None:
    X, y = load_iris(return_X_y=True)
    display = SparsityPathDisplay.from_estimator(Rounded(), X, y, sparsities=[0.5, 0.9], cv=3)
    np.testing.assert_allclose(points(display)[0], [0.49, 0.89])


def test_test_samples_give_one_score_without_a_bar() -> None:
    X, y = load_iris(return_X_y=True)
    display = SparsityPathDisplay.from_estimator(
        Rounded(), X, y, X_test=X[:20], y_test=y[:20], sparsities=[0.5, 0.9], baseline=0.3
    )
    np.testing.assert_allclose(points(display)[1], [0.53, 0.13])
    assert display.error is None
    assert display.baseline_.get_ydata()[0] == 0.3


def test_the_parameter_is_found_in_a_pipeline_and_frames_and_sparse_matrices_split() -> None:
    X, y = load_iris(return_X_y=True)
    model = make_pipeline(MaxAbsScaler(), Rounded())
    for data in (pd.DataFrame(X), sparse.csr_array(X)):
        display = SparsityPathDisplay.from_estimator(
            model, data, y, sparsities=[0.5], cv=3, baseline="dense"
        )
        assert display.sparsity == pytest.approx([0.49])
        assert display.name == "Rounded"
        assert display.baseline == pytest.approx(display.score[0] + 0.49)


def test_several_methods_come_on_one_axes() -> None:
    X, y = load_iris(return_X_y=True)
    _, ax = plt.subplots()
    for name in ("one", "two"):
        SparsityPathDisplay.from_estimator(Rounded(), X, y, cv=3, name=name, ax=ax)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["one", "two"]
    colours = {container.lines[0].get_color() for container in ax.containers}
    assert len(colours) == 2


def test_another_estimator_is_a_baseline_on_the_same_folds() -> None:
    X, y = load_iris(return_X_y=True)
    display = SparsityPathDisplay.from_estimator(
        Rounded(), X, y, sparsities=[0.5], cv=FOLDS, baseline=DummyClassifier()
    )
    expected = cross_val_score(DummyClassifier(), X, y, cv=FOLDS)
    assert display.baseline == pytest.approx(expected.mean())
    assert display.baseline_.get_label() == "DummyClassifier"


@pytest.mark.parametrize(
    "scoring, label",
    [(None, "R²"), ("neg_mean_squared_error", "negative mean squared error")],
)
def test_a_regression_is_scored_as_asked(scoring: str | None, label: str) -> None:
    X = load_iris().data
    net = SparseMLPRegressor((6,), **QUICK)
    display = SparsityPathDisplay.from_estimator(
        net, X[:, 1:], X[:, 0], sparsities=[0.5], cv=2, scoring=scoring
    )
    expected = cross_val_score(
        net.set_params(target_sparsity=0.5), X[:, 1:], X[:, 0], cv=2, scoring=scoring
    )
    np.testing.assert_array_equal(display.scores_[0], expected)
    assert display.ax_.get_ylabel() == label


@pytest.mark.parametrize(
    "options, message",
    [
        ({"sparsities": []}, "at least one"),
        ({"sparsities": [0.5, 1.0]}, "from 0 to below 1"),
        ({"X_test": [[1.0]]}, "X_test and y_test belong together"),
        ({"X_test": [[1.0]], "y_test": [1], "cv": 3}, "give one of the two"),
        ({"baseline": "dence"}, "baseline='dence' is unknown"),
        ({"cv": 3, "xaxis": "density"}, "xaxis='density' is unknown"),
    ],
)
def test_what_cannot_be_meant_is_refused(options: dict[str, Any], message: str) -> None:
    X, y = load_iris(return_X_y=True)
    with pytest.raises(ValueError, match=message):
        SparsityPathDisplay.from_estimator(Rounded(), X, y, **options)


def test_an_estimator_without_a_sparsity_is_refused() -> None:
    X, y = load_iris(return_X_y=True)
    with pytest.raises(ValueError, match="Ridge has no parameter target_sparsity"):
        SparsityPathDisplay.from_estimator(Ridge(), X, y)


@pytest.mark.parametrize(
    "arrays, message",
    [
        (([0.5, 0.9], [1.0]), "of one length"),
        (([0.5], [1.0], [0.1, 0.2]), "of one length"),
        (([50.0], [1.0]), "between 0 and 1"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(arrays: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SparsityPathDisplay(*arrays).plot()


@pytest.mark.parametrize(
    "draw, caller",
    [
        (SparsityPathDisplay([0.5], [1.0]).plot, "SparsityPathDisplay.plot"),
        (SparsityPatternDisplay([np.eye(2)]).plot, "SparsityPatternDisplay.plot"),
        (TrainingHistoryDisplay([]).plot, "TrainingHistoryDisplay.plot"),
    ],
)
def test_a_missing_matplotlib_is_named(
    monkeypatch: pytest.MonkeyPatch, draw: Any, caller: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "matplotlib", None)
        with pytest.raises(ImportError, match=f"{caller} requires matplotlib"):
            draw()
