"""What the pattern shows are the weights themselves."""

from __future__ import annotations

import re
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.collections import PathCollection
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sksparse.inspection import SparsityPatternDisplay
from sksparse.neural_network import SparseMLPClassifier

QUICK = {"target_sparsity": 0.8, "max_iter": 5, "tol": 10.0, "random_state": 0}


def matrices(rng: np.random.Generator, *widths: int, density: float = 0.3) -> list[np.ndarray]:
    return [rng.normal(size=s) * (rng.random(s) < density) for s in pairwise(widths)]


def test_each_panel_shows_a_weight_matrix_with_zeros_left_out(rng: np.random.Generator) -> None:
    coefs = matrices(rng, 12, 7, 3)
    display = SparsityPatternDisplay(coefs).plot()
    assert len(display.artists_) == len(display.axes_) == 2
    for coef, image in zip(coefs, display.artists_, strict=True):
        shown = image.get_array()
        np.testing.assert_array_equal(shown.filled(0), coef)
        np.testing.assert_array_equal(shown.mask, coef == 0)
        assert image.cmap.get_bad().tolist() == [1, 1, 1, 1]
        low, high = image.get_clim()
        assert low == -high


def test_no_weight_is_as_pale_as_a_zero_and_the_sign_is_a_colour(
    rng: np.random.Generator,
) -> None:
    (image,) = SparsityPatternDisplay(matrices(rng, 6, 5)).plot().artists_
    red, _, blue, _ = image.to_rgba(np.linspace(*image.get_clim(), 257)).T
    assert np.all(red[129:] > blue[129:])
    assert np.all(red[:128] < blue[:128])
    assert np.all(np.minimum(red, blue) < 0.9)


def test_titles_give_the_densities() -> None:
    coefs = [np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -2.0]]), np.array([[1.0], [0.0], [3.0]])]
    display = SparsityPatternDisplay(coefs).plot()
    assert display.densities_ == pytest.approx([1 / 3, 2 / 3])
    titles = [ax.get_title() for ax in display.axes_]
    assert titles == [
        "Weights of layer 1\n33.3 % of 6 left",
        "Weights of layer 2\n66.7 % of 3 left",
    ]


def test_the_input_mask_counts_the_weights_that_leave_each_pixel(
    rng: np.random.Generator,
) -> None:
    coefs = matrices(rng, 12, 7, 3)
    coefs[0][4] = 0
    display = SparsityPatternDisplay(coefs, image_shape=(3, 4)).plot()
    assert len(display.axes_) == 3
    shown = display.artists_[0].get_array()
    np.testing.assert_array_equal(shown.filled(0), (coefs[0] != 0).sum(axis=1).reshape(3, 4))
    assert shown.mask[1, 0]
    read = np.count_nonzero(coefs[0].any(axis=1))
    assert f"{read} of 12 are read" in display.axes_[0].get_title()


def test_a_large_matrix_has_a_mark_for_each_weight(rng: np.random.Generator) -> None:
    (coef,) = matrices(rng, 300, 20, density=0.02)
    (marks,) = SparsityPatternDisplay([coef]).plot().artists_
    assert isinstance(marks, PathCollection)
    rebuilt = np.zeros_like(coef)
    columns, rows = marks.get_offsets().astype(int).T
    rebuilt[rows, columns] = marks.get_array()
    np.testing.assert_array_equal(rebuilt, coef)
    assert marks.axes.get_ylim() == (299.5, -0.5)


def test_a_large_matrix_with_most_weights_left_is_an_image(rng: np.random.Generator) -> None:
    coef = rng.normal(size=(300, 100))
    (image,) = SparsityPatternDisplay([coef]).plot().artists_
    np.testing.assert_array_equal(image.get_array().filled(0), coef)


def test_a_network_without_weights_is_drawn() -> None:
    display = SparsityPatternDisplay([np.zeros((4, 3))], image_shape=(2, 2)).plot()
    assert display.axes_[1].get_title() == "Weights\n0 % of 12 left"


@pytest.mark.filterwarnings("ignore:Of the .* are the same for all training rows")
@pytest.mark.parametrize("wrap", [False, "pipeline", "search"])
def test_from_estimator_finds_the_network(wrap: bool | str) -> None:
    X, y = load_iris(return_X_y=True)
    net = model = SparseMLPClassifier((6,), **QUICK)
    if wrap:
        model = make_pipeline(StandardScaler(), net)
    if wrap == "search":
        model = GridSearchCV(model, {"sparsemlpclassifier__target_sparsity": [0.5]}, cv=2)
    model.fit(X, y)
    fitted = model.best_estimator_[-1] if wrap == "search" else model[-1] if wrap else model
    display = SparsityPatternDisplay.from_estimator(model, (2, 2), image_cmap="magma")
    for coef, image in zip(fitted.coefs_, display.artists_[1:], strict=True):
        np.testing.assert_array_equal(image.get_array().filled(0), coef)
    assert display.artists_[0].cmap.name == "magma"
    assert display.densities_ == pytest.approx(list(fitted.density_by_layer_.values()))


def test_one_axes_is_divided_and_several_are_used_as_they_are(rng: np.random.Generator) -> None:
    coefs = matrices(rng, 5, 4, 3)
    figure, (left, right) = plt.subplots(1, 2)
    display = SparsityPatternDisplay(coefs).plot(left)
    assert display.figure_ is figure
    assert not left.axison
    edge = right.get_position().x0
    assert all(ax.get_position().x1 < edge for ax in display.axes_)
    _, given = plt.subplots(2, 1)
    assert list(SparsityPatternDisplay(coefs).plot(given).axes_) == list(given)


def test_the_wrong_number_of_axes_is_refused(rng: np.random.Generator) -> None:
    _, axes = plt.subplots(1, 3)
    with pytest.raises(ValueError, match="ax holds 3 axes, but 2 panels are drawn"):
        SparsityPatternDisplay(matrices(rng, 5, 4, 3)).plot(axes)
    with pytest.raises(ValueError, match="placed by hand"):
        SparsityPatternDisplay(matrices(rng, 5, 4, 3)).plot(plt.figure().add_axes((0, 0, 1, 1)))


@pytest.mark.parametrize("shape", [(3, 5), (-3, -4), (12,), (2, 2, 3), 12, (3.0, 4.0)])
def test_an_image_shape_that_does_not_fit_is_refused(
    rng: np.random.Generator, shape: object
) -> None:
    message = f"image_shape={re.escape(repr(shape))} does not fit the 12 inputs"
    with pytest.raises(ValueError, match=message):
        SparsityPatternDisplay(matrices(rng, 12, 3), image_shape=shape).plot()


def test_no_matrices_are_refused() -> None:
    with pytest.raises(ValueError, match="coefs must hold at least one matrix"):
        SparsityPatternDisplay([]).plot()


def test_an_unfitted_network_is_refused() -> None:
    with pytest.raises(NotFittedError):
        SparsityPatternDisplay.from_estimator(SparseMLPClassifier())


def test_a_search_without_refit_is_refused() -> None:
    X, y = load_iris(return_X_y=True)
    search = GridSearchCV(Ridge(), {"alpha": [1.0]}, cv=2, refit=False).fit(X, y)
    with pytest.raises(NotFittedError, match="refit=True"):
        SparsityPatternDisplay.from_estimator(search)


def test_an_estimator_without_matrices_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Ridge has no coefs_: .*SparsityPatternDisplay"):
        SparsityPatternDisplay.from_estimator(Ridge().fit([[0.0], [1.0]], [0.0, 1.0]))
