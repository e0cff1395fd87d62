"""The bars are what is left of each layer, and the filters those of the first layer."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import Ridge
from torch import nn

from sksparse.inspection import FilterDisplay, LayerSizesDisplay
from sksparse.neural_network import SparseMLPClassifier, SparseNetClassifier

LAYERS = {
    "0": {"units": (8, 20), "parameters": (208, 520), "flops": (230400, 576000)},
    "last": {"units": (10, 10), "parameters": (1400, 5010), "flops": (2800, 10020)},
}


def test_bars_are_the_numbers_that_are_left() -> None:
    display = LayerSizesDisplay(LAYERS).plot()
    assert len(display.axes_) == 3
    for measure, bars in zip(("units", "parameters", "flops"), display.bars_, strict=True):
        widths = [bar.get_width() for bar in bars]
        assert widths == [LAYERS[name][measure][0] for name in LAYERS]
        assert display.dense_[measure].tolist() == [LAYERS[name][measure][1] for name in LAYERS]
    assert display.axes_[0].get_title() == "Units\n18 of 30 left (60 %)"
    assert [t.get_text() for t in display.axes_[0].get_yticklabels()] == ["0", "last"]
    plt.close("all")


def test_a_panel_for_each_measure_on_given_axes_and_scales() -> None:
    _, ax = plt.subplots()
    display = LayerSizesDisplay(LAYERS).plot(ax, measures=["flops"], log=True, color="k")
    assert display.axes_.tolist() == [ax]
    assert ax.get_xscale() == "log"
    plt.close("all")


@pytest.mark.parametrize(
    "layers, measures, message",
    [
        ({}, ["units"], "at least one layer"),
        ({"a": {"units": (1, 2)}}, ["flops"], "'a' has no 'flops'"),
        (LAYERS, ["weights"], "must name some of"),
        (LAYERS, [], "must name some of"),
    ],
)
def test_layers_without_what_is_drawn_are_refused(layers, measures, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LayerSizesDisplay(layers).plot(measures=measures)


def test_a_model_without_layers_is_refused() -> None:
    with pytest.raises(TypeError, match="Ridge has no layer_sizes_"):
        LayerSizesDisplay.from_estimator(Ridge().fit([[0.0], [1.0]], [0.0, 1.0]))


def test_filters_stand_in_the_order_of_their_norms_and_zeros_are_blank(
    rng: np.random.Generator,
) -> None:
    filters = rng.normal(size=(7, 3, 4))
    filters[2] = 0.0
    display = FilterDisplay(filters).plot()
    assert display.n_left_ == 6
    norms = np.linalg.norm(filters, axis=(1, 2))[display.order_]
    assert np.all(np.diff(norms) <= 0)
    shown = display.image_.get_array()
    np.testing.assert_array_equal(shown[:3, :4], filters[display.order_[0]])
    assert shown.mask.sum() == shown.size - 6 * 12
    low, high = display.image_.get_clim()
    assert low == -high == -np.abs(filters).max()
    plt.close("all")


def test_filters_of_a_convolution_and_rows_of_a_perceptron() -> None:
    X, y = load_digits(return_X_y=True)
    X, y = X[:200] / 16, y[:200]
    module = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(108, 10))
    net = SparseNetClassifier(module, sparsifier=None, max_iter=2, tol=10.0, random_state=0)
    net.fit(X.reshape(-1, 1, 8, 8), y)
    shown = FilterDisplay.from_estimator(net)
    weight = net.module_[0].weight.detach().numpy()
    np.testing.assert_array_equal(shown.filters, weight[:, 0])
    with pytest.raises(ValueError, match="channel=1 is not among"):
        FilterDisplay.from_estimator(net, channel=1)
    mlp = SparseMLPClassifier((5,), sparsifier=None, max_iter=2, tol=10.0, random_state=0).fit(X, y)
    rows = FilterDisplay.from_estimator(mlp, image_shape=(8, 8))
    np.testing.assert_array_equal(rows.filters, mlp.coefs_[0].T.reshape(5, 8, 8))
    with pytest.raises(ValueError, match="image_shape=None does not fit"):
        FilterDisplay.from_estimator(mlp)
    with pytest.raises(ValueError, match="must be of shape"):
        FilterDisplay(np.zeros((2, 3))).plot()
    plt.close("all")
