"""Clusters of a path: features that are tied are one line."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_iris
from sklearn.preprocessing import scale

from sksparse.inspection import RegularizationPathDisplay
from sksparse.linear_model import (
    OSCARCV,
    SLOPEClassifier,
    SLOPEClassifierCV,
    oscar_path,
    slope_path,
)

POINTS = [4.0, 2.0, 1.0, 0.5]
# three features that are one at strong penalties, one of them with the other sign; one that joins
COEFS = np.array(
    [
        [0.0, 1.0, 2.0, 3.0],
        [0.0, -1.0, -2.0, -2.5],
        [0.0, 1.0, 1.5, 2.0],
        [0.0, 0.0, 1.5, 1.0],
        [0.0, 0.0, 0.0, 0.0],
    ]
)
nan = np.nan


def legend(display: RegularizationPathDisplay) -> list[str]:
    return [text.get_text() for text in display.ax_.get_legend().get_texts()]


def drawn(display: RegularizationPathDisplay) -> list[tuple[str, list[float]]]:
    return [(line.get_color(), line.get_ydata().tolist()) for line in display.lines_]


def same(found: list[Any], expected: list[Any]) -> None:
    assert sorted(map(repr, found)) == sorted(map(repr, expected))


def display_of(**options: Any) -> RegularizationPathDisplay:
    arrays = {"coefs": COEFS, "points": POINTS, "xaxis": "alpha", **options}
    return RegularizationPathDisplay(**arrays)


def test_features_are_one_line_while_they_are_tied() -> None:
    display = display_of(chosen=1.0).plot(show="clusters")
    assert legend(display) == ["2 tied: x0, x1", "2 tied: x2, x3"]
    assert display.ax_.get_legend().get_title().get_text() == "chosen clusters"
    assert display.ax_.get_ylabel() == "magnitude of the coefficients"
    same(
        drawn(display),
        [
            # all three while they are one, then the two that are left, then each of them
            ("C0", [0.0, 1.0, nan, nan]),
            ("C0", [nan, 1.0, 2.0, nan]),
            ("C0", [nan, nan, 2.0, 3.0]),
            ("C0", [nan, nan, 2.0, 2.5]),
            # the third leaves them, the fourth comes from zero: they meet at one point
            ("C1", [nan, 1.0, 1.5, 2.0]),
            ("C1", [nan, 0.0, 1.5, 1.0]),
        ],
    )


def test_a_line_is_the_wider_the_more_features_are_tied() -> None:
    display = display_of(chosen=1.0).plot(show="clusters")
    widths = {
        (line.get_color(), *np.isfinite(line.get_ydata())): line.get_linewidth()
        for line in display.lines_
    }
    three = widths["C0", True, True, False, False]
    two = widths["C0", False, True, True, False]
    one = widths["C0", False, False, True, True]
    assert three > two > one
    # the legend shows a cluster as wide as it is at the chosen point
    shown = [handle.get_linewidth() for handle in display.ax_.get_legend().get_lines()]
    assert shown == [two, two]
    display = display_of(chosen=1.0).plot(show="clusters", linewidth=1.0)
    assert {line.get_linewidth() for line in display.lines_} == {1.0}
    assert display.ax_.get_legend().get_lines()[0].get_linewidth() == 1.0
    many = display_of(coefs=np.ones((500, 4))).plot(show="clusters")
    assert many.lines_[0].get_linewidth() < 10
    assert len(many.lines_) == 1


def test_clusters_without_a_choice_are_those_of_the_last_point() -> None:
    display = display_of(feature_names=list("abcde")).plot(show="clusters", n_names=2)
    assert legend(display) == ["a", "b"]
    colours = [colour for colour, _ in drawn(display)]
    # what is tied at stronger penalties has the colour of the largest of as many
    assert set(colours) == {"C0", "C1", "0.75"}
    three = [0.0, 1.0, nan, nan]
    assert ("C0", repr(three)) in [(colour, repr(heights)) for colour, heights in drawn(display)]


def test_ties_decide_what_is_drawn_unless_there_are_groups() -> None:
    assert display_of().plot().ax_.get_ylabel() == "magnitude of the coefficients"
    assert display_of().plot(show="coefficients").ax_.get_ylabel() == "coefficient"
    untied = display_of(coefs=COEFS + 0.1 * np.arange(5)[:, None] * (COEFS != 0))
    assert untied.plot().ax_.get_ylabel() == "coefficient"
    assert legend(untied.plot(show="clusters")) == ["x0", "x1", "x2", "x3"]
    grouped = display_of(groups=list("aabbc"))
    assert legend(grouped.plot()) == ["a", "b"]
    assert grouped.ax_.get_ylabel() == "coefficient"


def test_features_unused_at_the_chosen_point_are_grey() -> None:
    coefs = np.array([[0.0, 1.0, 2.0], [1.0, 0.5, 0.0], [1.0, 0.5, 0.0]])
    display = RegularizationPathDisplay(coefs, [3.0, 2.0, 1.0], xaxis="alpha").plot()
    assert legend(display) == ["x0"]
    same(drawn(display), [("C0", [0.0, 1.0, 2.0]), ("0.75", [1.0, 0.5, 0.0, nan])])


def test_norms_of_several_outputs_are_tied_up_to_rounding() -> None:
    angles = np.linspace(0.0, 3.0, 6)
    turned = np.stack([np.cos(angles), np.sin(angles)])[:, :, None] * [[1.0, 3.0]]
    for kind in (np.float64, np.float32):
        display = RegularizationPathDisplay(turned.astype(kind), [2.0, 1.0], xaxis="alpha").plot()
        assert len(display.lines_) == 1
        np.testing.assert_allclose(display.lines_[0].get_ydata(), [1.0, 3.0], rtol=1e-6)
        assert display.ax_.get_ylabel() == "norm of the coefficients"
    apart = turned * (1.0 + 1e-9 * np.arange(6))[:, None]
    display = RegularizationPathDisplay(apart, [2.0, 1.0], xaxis="alpha").plot(show="clusters")
    assert len(display.lines_) == 6


def test_one_point_and_nothing_in_use() -> None:
    display = display_of(coefs=COEFS[:, [2]], points=[1.0]).plot()
    assert legend(display) == ["2 tied: x0, x1", "2 tied: x2, x3"]
    assert [line.get_ydata().tolist() for line in display.lines_] == [[2.0], [1.5]]
    empty = display_of(coefs=np.zeros((3, 4))).plot(show="clusters")
    assert empty.lines_ == []
    assert empty.ax_.get_legend() is None


def test_a_long_list_of_members_is_cut_to_two_lines() -> None:
    names = [f"measurement number {j}" for j in range(40)]
    display = display_of(coefs=np.ones((40, 4)), feature_names=names).plot()
    (name,) = legend(display)
    first, second = name.split("\n")
    assert first == "40 tied: measurement number 0,"
    assert second.startswith("measurement number 1")
    assert second.endswith("…")
    assert max(len(first), len(second)) <= 36
    # of many clusters one line each
    coefs = np.outer(np.repeat(np.arange(8.0, 0.0, -1.0), 5), np.ones(4))
    display = display_of(coefs=coefs, feature_names=names).plot(n_names=7)
    assert legend(display)[0] == "5 tied: measurement number 0, …"
    assert len(legend(display)) == 7


def test_what_has_no_name_is_one_line_for_each_width() -> None:
    coefs = np.array([[3.0, 3.0], [1.0, 1.0], [2.0, 1.5], [2.0, 1.5], [1.0, 0.5]])
    display = RegularizationPathDisplay(coefs, [2.0, 1.0], xaxis="alpha").plot(n_names=1)
    same(
        drawn(display),
        [
            ("C0", [3.0, 3.0]),
            ("0.75", [1.0, 1.0, nan, 1.0, 0.5, nan]),
            ("0.75", [2.0, 1.5, nan]),
        ],
    )


def test_every_line_of_a_fitted_path_is_a_tie() -> None:
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    path = oscar_path(scale(X), y, pairwise=0.9, alphas=25)
    display = RegularizationPathDisplay.from_path(path, feature_names=X.columns)
    found: dict[tuple[int, float], int] = {}
    for line in display.lines_:
        heights = line.get_ydata()
        for point in np.flatnonzero(np.nan_to_num(heights)):
            found[point, heights[point]] = 1
    expected = {
        (point, magnitude)
        for point, column in enumerate(np.abs(path.coefs).T)
        for magnitude in np.unique(column[column > 0])
    }
    assert set(found) == expected
    # fewer than one for each feature and stretch, since most are tied somewhere
    assert any(line.get_linewidth() > 2.5 for line in display.lines_)


def test_a_search_shows_its_clusters() -> None:
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    model = OSCARCV(pairwise=0.9, alphas=20, cv=3, selection="1se").fit(X / X.std(), y)
    display = RegularizationPathDisplay.from_estimator(model)
    expected = [
        X.columns[cluster[0]] if len(cluster) == 1 else f"{len(cluster)} tied"
        for cluster in model.clusters_
    ]
    for name, start in zip(legend(display), expected, strict=True):
        assert name.startswith(start)


def test_classes_are_drawn_by_the_norms_of_their_features() -> None:
    X, y = load_iris(return_X_y=True)
    X = scale(np.c_[X, X[:, :2]])
    path = slope_path(X, y, loss="multinomial", lambdas="oscar", pairwise=0.9, alphas=8, eps=0.05)
    display = RegularizationPathDisplay.from_path(path)
    assert display.ax_.get_ylabel() == "norm of the coefficients"
    # copies are never apart
    assert not {"x0", "x1", "x4", "x5"} & set(legend(display))
    at_end = [len(name.split(",")) for name in legend(display)]
    assert len(at_end) == path.n_clusters[-1]
    assert sum(at_end) == path.n_features[-1]
    model = SLOPEClassifierCV(alphas=8, cv=3).fit(X, y == 1)
    display = RegularizationPathDisplay.from_estimator(model)
    assert len(legend(display)) == model.n_clusters_
    assert display.curve_ax_.get_ylabel() == "mean log likelihood"
    with pytest.raises(TypeError, match="fitted SLOPEClassifierCV, or give what slope_path"):
        RegularizationPathDisplay.from_estimator(SLOPEClassifier().fit(X, y))


def test_clusters_are_offered_by_name() -> None:
    with pytest.raises(ValueError, match=r"show='ties' is unknown; give one of .*'clusters'"):
        display_of().plot(show="ties")
