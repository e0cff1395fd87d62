"""Groups of a path: one line each, or one colour for their coefficients."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_iris

from sksparse.inspection import RegularizationPathDisplay
from sksparse.linear_model import (
    GroupLassoClassifierCV,
    GroupLassoRegressor,
    GroupLassoRegressorCV,
    group_lasso_path,
)

POINTS = [4.0, 2.0, 1.0, 0.5]
COEFS = np.array(
    [
        [0.0, 0.0, 3.0, 3.0],
        [0.0, 1.0, 2.0, 2.0],
        [0.0, 0.0, -4.0, 4.0],
        [0.0, 0.0, 0.0, 1.0],
        [0.0, 0.0, 0.0, 0.0],
    ]
)
GROUPS = ["colour", "size", "colour", "day", "day"]


def legend(display: RegularizationPathDisplay) -> list[str]:
    return [text.get_text() for text in display.ax_.get_legend().get_texts()]


def display_of(coefs: np.ndarray = COEFS, **options: object) -> RegularizationPathDisplay:
    arrays = {"groups": GROUPS, "xaxis": "alpha", **options}
    return RegularizationPathDisplay(coefs, POINTS, **arrays)


def test_a_group_is_drawn_as_the_norm_of_its_coefficients() -> None:
    display = display_of().plot(show="groups")
    assert legend(display) == ["colour", "size", "day"]
    assert display.ax_.get_legend().get_title().get_text() == "groups"
    expected = [[np.nan, 0, 5, 5], [0, 1, 2, 2], [np.nan, np.nan, 0, 1]]
    for line, values in zip(display.lines_, expected, strict=True):
        np.testing.assert_array_equal(line.get_ydata(), values)
    assert display.ax_.get_ylabel() == "norm of the group's coefficients"
    assert len({line.get_color() for line in display.lines_}) == 3


def test_coefficients_of_a_group_share_a_colour_and_a_name() -> None:
    display = display_of(chosen=1.0).plot(show="coefficients", n_names=1)
    assert legend(display) == ["colour"]
    assert display.ax_.get_legend().get_title().get_text() == "chosen groups"
    colours = [line.get_color() for line in display.lines_]
    # two of the group in the legend, then the two others in use
    assert colours == ["C0", "C0", "0.75", "0.75"]
    np.testing.assert_array_equal(display.lines_[1].get_ydata(), [np.nan, 0, -4, 4])


def test_norms_of_several_outputs_are_those_of_the_block() -> None:
    display = display_of(np.stack([3 * COEFS, -4 * COEFS])).plot(show="groups")
    np.testing.assert_allclose(display.lines_[0].get_ydata()[2:], [25, 25])


def test_many_coefficients_are_drawn_by_group_unless_asked_for() -> None:
    coefs, groups = np.repeat(COEFS, 6, axis=0), np.repeat(GROUPS, 6)
    assert len(display_of(coefs, groups=groups).plot().lines_) == 3
    assert len(display_of(coefs, groups=groups).plot(show="coefficients").lines_) == 24
    assert len(display_of().plot().lines_) == 4


def test_groups_of_one_feature_each_are_features() -> None:
    display = display_of(groups=range(5), feature_names=list("abcde")).plot()
    assert legend(display) == ["c", "a", "b", "d"]
    assert display.ax_.get_legend().get_title().get_text() == "features"
    assert legend(display_of(groups=list("vwxyz")).plot(show="groups")) == ["x", "v", "w", "y"]


def test_labels_of_any_kind_name_groups() -> None:
    display = display_of(groups=[("a", 1), 2, ("a", 1), None, None]).plot(show="groups")
    assert legend(display) == ["('a', 1)", "2", "None"]


def test_of_overlapping_groups_the_norms_are_given() -> None:
    norms = {"all": np.linalg.norm(COEFS, axis=0), "first": np.abs(COEFS[0])}
    display = display_of(group_norms=norms).plot(show="groups")
    assert legend(display) == ["all", "first"]
    np.testing.assert_array_equal(display.lines_[1].get_ydata(), [np.nan, 0, 3, 3])
    assert legend(display_of(group_norms=norms).plot()) == ["colour", "size", "day"]
    ungrouped = display_of(groups=None, group_norms=norms).plot()
    assert legend(ungrouped) == ["x2", "x0", "x1", "x3"]


def test_unknown_and_missing_groups_are_refused() -> None:
    with pytest.raises(ValueError, match="show='norms' is unknown; give one of"):
        display_of().plot(show="norms")
    with pytest.raises(ValueError, match="show='groups' needs groups, and there are none: draw"):
        display_of(groups=None).plot(show="groups")


def test_a_path_says_its_groups() -> None:
    names, labels = np.array(["size", "colour", "day"], dtype=object), np.array([1, 0, 1, 2, 2])
    path = SimpleNamespace(
        coefs=COEFS, alphas=POINTS, losses=[4, 3, 2, 1], groups=names, labels=labels
    )
    display = RegularizationPathDisplay.from_path(path, show="groups")
    assert legend(display) == ["colour", "size", "day"]
    # of groups that overlap, the path knows the norms
    path.group_norms = np.abs(COEFS[:3])
    display = RegularizationPathDisplay.from_path(path, show="groups")
    assert legend(display) == ["day", "size", "colour"]


def test_a_search_is_drawn_by_group() -> None:
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    groups = {"person": ["age", "sex", "bmi", "bp"], "blood": [f"s{k}" for k in range(1, 7)]}
    model = GroupLassoRegressorCV(groups, alphas=8, cv=3).fit(X, y)
    display = RegularizationPathDisplay.from_estimator(model, show="groups")
    norms = dict(zip(model.groups_, model.group_norms_path_, strict=True))
    for name, line in zip(legend(display), display.lines_, strict=True):
        seen = np.isfinite(line.get_ydata())
        np.testing.assert_allclose(line.get_ydata()[seen], norms[name][seen])
        np.testing.assert_array_equal(norms[name][~seen], 0.0)
    np.testing.assert_allclose(display.curve_.get_ydata(), model.mse_path_.mean(axis=1))
    assert display.chosen == model.alpha_
    with pytest.raises(
        TypeError, match=r"GroupLassoRegressor keeps no path .*LassoRegressorCV, or"
    ):
        RegularizationPathDisplay.from_estimator(GroupLassoRegressor(1.0).fit(X, y))


def test_groups_of_several_classes_and_targets() -> None:
    X, y = load_iris(return_X_y=True)
    groups = ["sepal", "sepal", "petal", "petal"]
    model = GroupLassoClassifierCV(groups, alphas=6, cv=3, eps=0.05).fit(X, y)
    display = RegularizationPathDisplay.from_estimator(model, show="groups")
    block = np.linalg.norm(model.coef_path_[:, 2:], axis=(0, 1))
    assert legend(display)[0] == "petal"
    np.testing.assert_allclose(display.lines_[0].get_ydata(), block, atol=1e-12)
    assert display.curve_ax_.get_ylabel() == "mean log likelihood"
    path = group_lasso_path(X, np.column_stack([y, X[:, 0]]), groups, alphas=[0.1, 0.0])
    display = RegularizationPathDisplay.from_path(path)
    assert len(display.lines_) == 4
    assert display.ax_.get_ylabel() == "norm of the coefficients"


def test_a_path_of_overlapping_groups_has_norms_of_its_own() -> None:
    X, y = load_diabetes(return_X_y=True)
    groups = {"first": range(6), "last": range(4, 10)}
    path = group_lasso_path(X, y, groups, overlap="latent", alphas=5)
    display = RegularizationPathDisplay.from_path(path, show="groups")
    drawn = np.nan_to_num([line.get_ydata() for line in display.lines_])
    np.testing.assert_allclose(np.sort(drawn[:, -1]), np.sort(path.group_norms[:, -1]))
