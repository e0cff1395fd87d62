"""The display shows the selection probabilities, what is kept, and the threshold."""

from __future__ import annotations

import sys
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import same_color
from sklearn.datasets import load_diabetes
from sklearn.ensemble import RandomForestRegressor
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Lasso
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sksparse.feature_selection import StabilitySelection
from sksparse.inspection import StabilityPathDisplay

PATH = np.array([[0.0, 0.2, 0.0, 0.0], [0.1, 1.0, 0.0, 0.5], [0.3, 1.0, 0.0, 0.8]])
ALPHAS = [10.0, 1.0, 0.1]


@pytest.fixture(scope="module")
def diabetes() -> Any:
    return load_diabetes(return_X_y=True, as_frame=True)


def legend(display: StabilityPathDisplay) -> list[str]:
    return [text.get_text() for text in display.ax_.get_legend().get_texts()]


def test_kept_features_are_coloured_and_named() -> None:
    display = StabilityPathDisplay(PATH, ALPHAS, threshold=0.75, feature_names=list("abcd")).plot()
    assert legend(display) == ["b", "d"]
    assert display.ax_.get_legend().get_title().get_text() == "2 kept"
    for line, feature in zip(display.lines_, [1, 3], strict=True):
        np.testing.assert_array_equal(line.get_xdata(), ALPHAS)
        np.testing.assert_array_equal(line.get_ydata(), PATH[:, feature])
    # a alone is selected but not kept, and c never selected
    np.testing.assert_array_equal(display.others_.get_ydata(), [0.0, 0.1, 0.3, np.nan])
    assert same_color(display.others_.get_color(), "0.75")
    assert list(display.threshold_line_.get_ydata()) == [0.75, 0.75]
    assert display.ax_.get_xlabel() == "alpha"
    assert display.ax_.get_ylabel() == "selection probability"
    assert display.ax_.xaxis_inverted()


def test_without_a_threshold_the_names_are_coloured() -> None:
    display = StabilityPathDisplay(PATH, ALPHAS).plot(n_names=2)
    assert legend(display) == ["x1", "x3"]
    assert display.threshold_line_ is None
    empty = StabilityPathDisplay(0.0 * PATH, ALPHAS, threshold=0.6).plot()
    assert empty.lines_ == []
    assert empty.others_ is None
    assert empty.ax_.get_legend() is None
    few = StabilityPathDisplay(PATH, ALPHAS, threshold=0.6).plot(n_names=1)
    assert legend(few) == ["x1"]
    assert len(few.lines_) == 2


def test_strengths_that_rise_run_to_the_right() -> None:
    display = StabilityPathDisplay(PATH, [0.1, 1.0, 10.0], strength_name="C").plot()
    assert not display.ax_.xaxis_inverted()
    assert display.ax_.get_xlabel() == "C"


def test_one_strength_is_a_ranking() -> None:
    display = StabilityPathDisplay(PATH[[2]], threshold=0.75).plot()
    assert [line.get_xdata().tolist() for line in display.lines_] == [[1], [2]]
    assert [line.get_ydata().tolist() for line in display.lines_] == [[1.0], [0.8]]
    np.testing.assert_array_equal(display.others_.get_ydata(), [0.3, 0.0])
    assert "most often selected first" in display.ax_.get_xlabel()


def test_from_an_estimator(diabetes: Any) -> None:
    X, y = diabetes
    select = StabilitySelection(Lasso(), n_resamples=3, alphas=5, random_state=0).fit(X, y)
    display = StabilityPathDisplay.from_estimator(select, lw=3, color="k")
    np.testing.assert_array_equal(display.stability_path, select.stability_path_)
    assert set(legend(display)) == set(select.get_feature_names_out())
    assert display.threshold == select.threshold_
    assert {line.get_linewidth() for line in display.lines_} == {3.0}
    pipeline = make_pipeline(StandardScaler().set_output(transform="pandas"), select).fit(X, y)
    figure, ax = plt.subplots()
    display = StabilityPathDisplay.from_estimator(pipeline, ax=ax)
    assert display.ax_ is ax
    assert display.figure_ is figure
    assert "bmi" in legend(display)
    names = [f"feature {j}" for j in range(10)]
    assert "feature 2" in legend(StabilityPathDisplay.from_estimator(select, feature_names=names))


def test_from_estimators_without_a_grid_and_of_named_strengths(diabetes: Any) -> None:
    X, y = diabetes
    forest = RandomForestRegressor(3, max_depth=3)
    select = StabilitySelection(forest, n_resamples=3, random_state=0).fit(X, y)
    display = StabilityPathDisplay.from_estimator(select)
    assert len(display.lines_) == select.n_features_
    named = StabilitySelection(
        make_pipeline(StandardScaler(), Lasso()), strength="lasso__alpha", alphas=[9.0, 3.0],
        n_resamples=3,
    ).fit(X, y)  # fmt: skip
    assert StabilityPathDisplay.from_estimator(named).ax_.get_xlabel() == "alpha"


@pytest.mark.parametrize(
    "path, alphas, message",
    [
        (PATH, [1.0, 2.0], r"a row for each of alphas.*\(3, 4\).*\(2,\)"),
        (PATH, None, r"one where there are none.*\(3, 4\).*None"),
        (PATH[0], [1.0], r"got shape \(4,\)"),
        (2.0 * PATH, ALPHAS, "lies between 0 and 2; give shares"),
    ],
)
def test_bad_arrays_are_refused(path: Any, alphas: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        StabilityPathDisplay(path, alphas).plot()


def test_bad_estimators_are_refused(diabetes: Any) -> None:
    X, y = diabetes
    with pytest.raises(TypeError, match="Lasso has no stability_path_: give a fitted Stability"):
        StabilityPathDisplay.from_estimator(Lasso().fit(X, y))
    with pytest.raises(NotFittedError):
        StabilityPathDisplay.from_estimator(StabilitySelection())
    with pytest.raises(ValueError, match="feature_names has 1 names"):
        StabilityPathDisplay(PATH, ALPHAS, feature_names=["a"]).plot()


def test_without_matplotlib_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match="matplotlib"):
        StabilityPathDisplay(PATH, ALPHAS).plot()
