"""The display shows what the fitted attributes say."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import same_color
from sklearn.datasets import load_diabetes, load_iris
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from sksparse.inspection import RegularizationPathDisplay
from sksparse.linear_model import OSCAR, OSCARCV, L0ClassifierCV, L0RegressorCV, l0_path, oscar_path

COEFS = np.array([[0.0, 2.0, 1.0, 1.0], [0.0, 0.0, -3.0, -2.0], [0.0] * 4, [0.0, 0.0, 0.0, 9.0]])


@pytest.fixture(scope="module")
def diabetes() -> tuple[pd.DataFrame, pd.Series]:
    return load_diabetes(return_X_y=True, as_frame=True)


def legend(display: RegularizationPathDisplay) -> list[str]:
    return [text.get_text() for text in display.ax_.get_legend().get_texts()]


def test_lines_are_the_coefficients_without_idle_zeros() -> None:
    display = RegularizationPathDisplay(COEFS, [0, 1, 2, 3], chosen=2.0).plot()
    assert legend(display) == ["x1", "x0"]
    assert len(display.lines_) == 3
    nan = np.nan
    expected = [[nan, 0.0, -3.0, -2.0], [0.0, 2.0, 1.0, 1.0], [nan, nan, 0.0, 9.0]]
    for line, values in zip(display.lines_, expected, strict=True):
        np.testing.assert_array_equal(line.get_xdata(), [0, 1, 2, 3])
        np.testing.assert_array_equal(line.get_ydata(), values)
    assert same_color(display.lines_[2].get_color(), "0.75")
    assert display.curve_ is display.curve_ax_ is None
    assert display.ax_.get_xlabel() == "number of features"
    # 9 belongs to a larger model than the chosen one.
    assert display.ax_.get_ylim()[1] < 9.0
    assert display.ax_.get_ylim()[0] < -3.0
    (mark,) = display.chosen_lines_
    assert list(mark.get_xdata()) == [2.0, 2.0]


def test_without_a_choice_all_is_in_sight() -> None:
    display = RegularizationPathDisplay(COEFS, [0, 1, 2, 3], feature_names=list("abcd")).plot()
    assert legend(display) == ["d", "b", "a"]
    assert display.ax_.get_ylim()[1] > 9.0
    assert display.chosen_lines_ == []
    assert RegularizationPathDisplay(COEFS, range(4)).plot(n_names=0).ax_.get_legend() is None


def test_penalties_fall_on_a_logarithmic_axis() -> None:
    points = [np.inf, 10.0, 1.0, 0.1]
    display = RegularizationPathDisplay(COEFS, points, xaxis="alpha", curve=[4, 3, 2, 1]).plot()
    assert display.ax_.get_xscale() == display.curve_ax_.get_xscale() == "log"
    left, right = display.ax_.get_xlim()
    assert left > right
    # What has no place on it is left out.
    np.testing.assert_array_equal(display.curve_.get_xdata(), points[1:])
    np.testing.assert_array_equal(display.curve_.get_ydata(), [3, 2, 1])


@pytest.mark.parametrize("points", [[0.0], [0.02, 0.0], [0.02, 0.019, 0.0], [5.0, 0.5, 0.05, 0.0]])
def test_a_strength_of_zero_has_a_place(points: list[float]) -> None:
    coefs = COEFS[:, -len(points) :]
    curve = np.arange(len(points))
    display = RegularizationPathDisplay(
        coefs, points, xaxis="alpha", curve=curve, chosen=0.0
    ).plot()
    display.figure_.canvas.draw()
    for panel in (display.ax_, display.curve_ax_):
        left, right = panel.get_xlim()
        assert left > points[0]
        assert right < 0.0
        # nothing below zero has a tick
        ticks = [tick for tick in panel.get_xticks() if right <= tick <= left]
        assert min(ticks) == 0.0
        assert len(ticks) > 1 or points == [0.0]
    assert len(display.lines_[0].get_xdata()) == len(points)
    assert [line.get_xdata()[0] for line in display.chosen_lines_] == [0.0, 0.0]
    assert legend(display) == ["x3", "x1", "x0"]


def test_one_strength_stands_in_the_middle() -> None:
    display = RegularizationPathDisplay(COEFS[:, -1:], [0.3], xaxis="alpha", chosen=0.3).plot()
    display.figure_.canvas.draw()
    place = display.ax_.transAxes.inverted().transform(display.ax_.transData.transform((0.3, 0.0)))
    assert place[0] == pytest.approx(0.5)
    assert [text.get_text() for text in display.ax_.get_xticklabels()] == ["0.3"]


def test_several_outputs_are_drawn_as_a_norm() -> None:
    display = RegularizationPathDisplay(np.stack([3 * COEFS, 4 * COEFS]), range(4)).plot()
    np.testing.assert_allclose(display.lines_[0].get_ydata()[-1], 45.0)
    assert display.ax_.get_ylabel() == "norm of the coefficients"


def test_errors_of_a_cross_validation(diabetes: tuple[pd.DataFrame, pd.Series]) -> None:
    X, y = diabetes
    model = L0RegressorCV(max_features=6, cv=4).fit(X, y)
    display = RegularizationPathDisplay.from_estimator(model)
    np.testing.assert_array_equal(display.curve_.get_xdata(), np.arange(7))
    mean = model.mse_path_.mean(axis=1)
    np.testing.assert_allclose(display.curve_.get_ydata(), mean)
    half = model.mse_path_.std(axis=1, ddof=1) / 2
    (band,) = display.band_.get_paths()
    assert band.vertices[:, 1].max() == pytest.approx((mean + half).max())
    assert band.vertices[:, 1].min() == pytest.approx((mean - half).min())
    assert display.curve_ax_.get_ylabel() == "mean squared error"
    assert [line.get_xdata()[0] for line in display.chosen_lines_] == [model.n_features_] * 2
    assert set(legend(display)) == set(model.get_feature_names_out())
    assert display.figure_ is display.ax_.figure is display.curve_ax_.figure


def test_a_criterion_and_penalties(diabetes: tuple[pd.DataFrame, pd.Series]) -> None:
    X, y = diabetes
    model = L0RegressorCV(alphas=8).fit(X, y)
    display = RegularizationPathDisplay.from_estimator(model)
    assert display.curve_ax_.get_ylabel() == "EBIC"
    assert display.ax_.get_xlabel() == "alpha"
    np.testing.assert_allclose(display.curve_.get_ydata(), model.criterion_path_)
    assert display.chosen_lines_[0].get_xdata()[0] == model.alpha_
    sizes = RegularizationPathDisplay.from_estimator(model, xaxis="n_features")
    np.testing.assert_array_equal(sizes.curve_.get_xdata(), model.n_features_path_)


def test_a_classifier_in_a_pipeline_and_a_search() -> None:
    X, y = load_iris(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), L0ClassifierCV(cv=3, l2=0.01, scoring="accuracy"))
    search = GridSearchCV(pipeline, {"l0classifiercv__l2": [0.01]}, cv=2).fit(X, y)
    names = [f"f{j}" for j in range(4)]
    display = RegularizationPathDisplay.from_estimator(search, feature_names=names)
    assert display.curve_ax_.get_ylabel() == "accuracy"
    assert set(legend(display)) <= set(names)
    model = search.best_estimator_[-1].set_params(scoring=None).fit(X, y)
    display = RegularizationPathDisplay.from_estimator(model)
    assert display.curve_ax_.get_ylabel() == "mean log likelihood"


def test_a_path_alone(diabetes: tuple[pd.DataFrame, pd.Series]) -> None:
    X, y = diabetes
    path = l0_path(X, y, max_features=4)
    display = RegularizationPathDisplay.from_path(path, feature_names=X.columns, n_names=2)
    np.testing.assert_allclose(display.curve_.get_ydata(), path.losses)
    assert len(display.lines_) == np.count_nonzero(path.coefs.any(axis=1))
    assert len(legend(display)) == 2
    display = RegularizationPathDisplay.from_path(l0_path(X, y, alphas=4), markersize=9)
    assert display.ax_.get_xlabel() == "alpha"
    assert display.lines_[0].get_markersize() == 9


def test_it_is_drawn_where_asked(diabetes: tuple[pd.DataFrame, pd.Series]) -> None:
    X, y = diabetes
    model = L0RegressorCV(max_features=3).fit(X, y)
    axes = plt.subplots(2)[1]
    display = RegularizationPathDisplay.from_estimator(model, ax=axes)
    assert [display.curve_ax_, display.ax_] == list(axes)
    _, (left, right) = plt.subplots(1, 2)
    display = RegularizationPathDisplay.from_estimator(model, ax=left)
    assert display.figure_ is right.figure
    assert len(display.figure_.axes) == 4
    with pytest.raises(ValueError, match="ax holds 3 axes, but 2 panels"):
        display.plot(plt.subplots(3)[1])


def test_a_model_without_features(diabetes: tuple[pd.DataFrame, pd.Series]) -> None:
    X, y = diabetes
    display = RegularizationPathDisplay.from_estimator(
        L0RegressorCV().fit(X, np.random.default_rng(0).permutation(y))
    )
    assert display.chosen == 0.0
    assert display.ax_.get_legend() is None


@pytest.mark.parametrize(
    "options, message",
    [
        ({"xaxis": "size"}, "xaxis='size' is unknown"),
        ({"points": [0, 1]}, "one entry for each column"),
        ({"curve": [1.0]}, "one entry for each column"),
        ({"coefs": [1.0, 2.0]}, "one entry for each column"),
        ({"group_norms": {"a": [1.0]}}, "one entry for each column"),
        ({"groups": "ab"}, "groups has 2 labels, and there are 4 features"),
        ({"feature_names": ["a", "b"]}, "feature_names has 2 names"),
        ({"points": [np.nan] * 4}, "no finite entry"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(options: dict[str, Any], message: str) -> None:
    arrays = {"coefs": COEFS, "points": range(4), **options}
    with pytest.raises(ValueError, match=message):
        RegularizationPathDisplay(**arrays).plot()


def test_what_has_no_path_is_refused(diabetes: tuple[pd.DataFrame, pd.Series]) -> None:
    X, y = diabetes
    with pytest.raises(
        TypeError, match=r"Ridge keeps no path .*: give a fitted L0RegressorCV, Gro"
    ):
        RegularizationPathDisplay.from_estimator(Ridge().fit(X, y))
    with pytest.raises(TypeError, match=r"OSCAR keeps no path .*fitted OSCARCV, or .* oscar_path"):
        RegularizationPathDisplay.from_estimator(make_pipeline(OSCAR()).fit(X, y))
    with pytest.raises(TypeError, match=r"L0RegressorCV is not a path .*from_estimator"):
        RegularizationPathDisplay.from_path(L0RegressorCV(max_features=1).fit(X, y))
    with pytest.raises(TypeError, match="L0Path is a path and no estimator: give it to from_path"):
        RegularizationPathDisplay.from_estimator(l0_path(X, y, max_features=1))
    with pytest.raises(TypeError, match="ndarray is not a path"):
        RegularizationPathDisplay.from_path(COEFS)
    path = SimpleNamespace(coefs=COEFS, alphas=[4, 3, 2, 1], sizes=None, losses=[4, 3, 2, 1])
    with pytest.raises(ValueError, match="xaxis='k' is unknown"):
        RegularizationPathDisplay.from_path(path, xaxis="k")


def test_a_missing_matplotlib_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "matplotlib", None)
        with pytest.raises(ImportError, match=r"PathDisplay.plot requires matplotlib"):
            RegularizationPathDisplay(COEFS, range(4)).plot()


def test_strengths_of_a_convex_family(diabetes: tuple[pd.DataFrame, pd.Series]) -> None:
    X, y = diabetes
    model = OSCARCV(alphas=6, cv=3).fit(X, y)
    display = RegularizationPathDisplay.from_estimator(model, n_names=2)
    assert display.ax_.get_xlabel() == "alpha"
    assert display.curve_ax_.get_ylabel() == "mean squared error"
    np.testing.assert_allclose(display.curve_.get_ydata(), model.mse_path_.mean(axis=1))
    np.testing.assert_allclose(display.chosen_lines_[0].get_xdata(), model.alpha_)
    path = oscar_path(X, y, alphas=6)
    alone = RegularizationPathDisplay.from_path(path)
    np.testing.assert_allclose(alone.curve_.get_ydata(), path.losses)
    assert alone.ax_.get_xlabel() == "alpha"


def test_names_come_through_a_pipeline_of_arrays(diabetes: tuple[pd.DataFrame, pd.Series]) -> None:
    X, y = diabetes
    model = make_pipeline(StandardScaler(), L0RegressorCV(max_features=3)).fit(X, y)
    display = RegularizationPathDisplay.from_estimator(model)
    assert set(legend(display)) == set(model.get_feature_names_out())
    unnamed = make_pipeline(FunctionTransformer(np.asarray), L0RegressorCV(max_features=3))
    display = RegularizationPathDisplay.from_estimator(unnamed.fit(X.to_numpy(), y))
    assert set(legend(display)) <= {f"x{j}" for j in range(10)}


def test_a_long_name_leaves_room_for_the_plot() -> None:
    names = ["short", "the first of two long names, number 1", "b", "c"]
    display = RegularizationPathDisplay(COEFS, range(4), feature_names=names).plot()
    assert legend(display) == ["c", "the first of two…names, number 1", "short"]
