"""The display shows the score of each number of features, and what came how far."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import same_color
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from sksparse.feature_selection import InfFS, SparseMLPSelector
from sksparse.inspection import RankingDisplay

COUNTS, SCORES, ERRORS = [4, 2, 1], [0.9, 0.8, 0.6], [0.05, 0.1, 0.1]
RANKING, IMPORTANCES = np.array([3, 1, 2, 1]), np.array([0.0, 1.0, 0.3, 0.6])


def display(**options: Any) -> RankingDisplay:
    return RankingDisplay(
        COUNTS, SCORES, ERRORS, ranking=RANKING, importances=IMPORTANCES, **options
    )


def test_scores_with_their_errors_and_the_number_that_is_kept() -> None:
    drawn = display().plot()
    np.testing.assert_array_equal(drawn.line_.get_xdata(), COUNTS)
    np.testing.assert_array_equal(drawn.line_.get_ydata(), SCORES)
    assert drawn.axes_[0].get_legend().get_texts()[0].get_text() == "2 kept"
    band = drawn.axes_[0].collections[0].get_paths()[0].vertices
    assert band[:, 1].min() == pytest.approx(0.5)
    assert band[:, 1].max() == pytest.approx(0.95)
    plt.close(drawn.figure_)


def test_best_features_are_named_and_those_kept_are_darker() -> None:
    drawn = display(names=list("abcd")).plot(n_shown=3)
    assert drawn.order_.tolist() == [1, 3, 2, 0]
    assert [label.get_text() for label in drawn.axes_[1].get_yticklabels()] == ["b", "d", "c"]
    assert [bar.get_width() for bar in drawn.bars_] == [1.0, 0.6, 0.3]
    assert [same_color(bar.get_facecolor(), "C0") for bar in drawn.bars_] == [True, True, False]
    assert drawn.image_ is None
    plt.close(drawn.figure_)


def test_pixels_are_an_image_with_those_kept_marked() -> None:
    drawn = display().plot(image_shape=(2, 2))
    np.testing.assert_array_equal(drawn.image_.get_array(), IMPORTANCES.reshape(2, 2))
    marked = drawn.axes_[1].collections[0].get_offsets()
    assert sorted(map(tuple, marked.tolist())) == [(1.0, 0.0), (1.0, 1.0)]
    assert drawn.bars_ is None
    plt.close(drawn.figure_)
    with pytest.raises(ValueError, match=r"image_shape=\(3, 3\) does not fit 4 features"):
        display().plot(image_shape=(3, 3))


def test_a_fitted_selector_is_drawn_out_of_a_pipeline_and_others_are_refused() -> None:
    X, y = load_iris(return_X_y=True, as_frame=True)
    selector = SparseMLPSelector(2, max_iter=5, random_state=0)
    drawn = RankingDisplay.from_estimator(make_pipeline(selector).fit(X, y))
    shown = {label.get_text() for label in drawn.axes_[1].get_yticklabels()}
    assert shown == set(X.columns)
    plt.close(drawn.figure_)
    for other in (InfFS(2).fit(X), LogisticRegression(max_iter=500).fit(X, y)):
        with pytest.raises(TypeError, match="SparseMLPSelector"):
            RankingDisplay.from_estimator(other)
