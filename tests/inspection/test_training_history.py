"""What the history shows is what was recorded."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError

from sksparse.inspection import TrainingHistoryDisplay
from sksparse.neural_network import SparseMLPClassifier


def history(*phases: tuple[str, int], scored: bool = False) -> list[dict]:
    epochs = [name for name, length in phases for _ in range(length)]
    return [
        {"epoch": i, "phase": name, "loss": 1 / i, "sparsity": i / 100, "seconds": 0.1}
        | ({"valid_score": 0.5 + i / 100} if scored else {})
        for i, name in enumerate(epochs, start=1)
    ]


@pytest.mark.parametrize("scored", [False, True])
def test_the_lines_are_the_recorded_values(scored: bool) -> None:
    records = history(("train", 4), ("prune", 3), ("retrain", 5), scored=scored)
    display = TrainingHistoryDisplay(records).plot()
    keys = ["loss", "valid_score", "sparsity"] if scored else ["loss", "sparsity"]
    assert list(display.lines_) == keys
    for ax, (key, line) in zip(display.axes_, display.lines_.items(), strict=True):
        assert line.axes is ax
        np.testing.assert_array_equal(line.get_xdata(), np.arange(1, 13))
        np.testing.assert_array_equal(line.get_ydata(), [record[key] for record in records])
    labels = [ax.get_ylabel() for ax in display.axes_]
    assert labels == [key.replace("valid_score", "validation score") for key in keys]


def test_an_epoch_without_a_validation_score_is_a_gap() -> None:
    records = history(("train", 2), scored=True) + history(("more", 1))
    line = TrainingHistoryDisplay(records).plot().lines_["valid_score"]
    np.testing.assert_array_equal(np.isnan(line.get_ydata()), [False, False, True])


def test_phases_are_named_and_shaded_in_turn() -> None:
    display = TrainingHistoryDisplay(history(("train", 10), ("prune", 20), ("retrain", 30))).plot()
    assert display.phases_ == [("train", 1, 10), ("prune", 11, 30), ("retrain", 31, 60)]
    names = {text.get_text(): text.xy[0] for text in display.axes_[0].texts}
    assert names == {"train": 5.5, "prune": 20.5, "retrain": 45.5}
    for ax in display.axes_:
        (band,) = ax.patches
        assert (band.get_x(), band.get_width()) == (10.5, 20.0)


def test_a_phase_that_comes_again_is_a_phase_of_its_own() -> None:
    display = TrainingHistoryDisplay(history(("a", 1), ("b", 1), ("a", 2))).plot()
    assert display.phases_ == [("a", 1, 1), ("b", 2, 2), ("a", 3, 4)]


def test_names_of_short_phases_are_tilted() -> None:
    display = TrainingHistoryDisplay(history(("train", 1), ("prune", 1), ("retrain", 60))).plot()
    assert {text.get_rotation() for text in display.axes_[0].texts} == {35.0}


def test_one_epoch_is_visible() -> None:
    display = TrainingHistoryDisplay(history(("train", 1))).plot()
    assert display.lines_["loss"].get_marker() == "."


@pytest.mark.filterwarnings("ignore:Of the .* are the same for all training rows")
@pytest.mark.parametrize("early_stopping", [False, True])
def test_from_estimator_draws_the_history(early_stopping: bool) -> None:
    X, y = load_iris(return_X_y=True)
    net = SparseMLPClassifier(
        (6,), target_sparsity=0.8, max_iter=6, tol=10.0, early_stopping=early_stopping
    ).fit(X, y)
    display = TrainingHistoryDisplay.from_estimator(net, loss_scale="linear", linewidth=3)
    np.testing.assert_array_equal(
        display.lines_["loss"].get_ydata(), [epoch["loss"] for epoch in net.history_]
    )
    assert ("valid_score" in display.lines_) == early_stopping
    assert display.axes_[0].get_yscale() == "linear"
    assert display.lines_["sparsity"].get_linewidth() == 3
    assert [name for name, _, _ in display.phases_] == list(
        dict.fromkeys(epoch["phase"] for epoch in net.history_)
    )


def test_it_is_drawn_on_given_axes() -> None:
    figure, axes = plt.subplots(2, 1)
    display = TrainingHistoryDisplay(history(("train", 3))).plot(axes)
    assert list(display.axes_) == list(axes)
    assert display.figure_ is figure


def test_no_epochs_and_no_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="history has no epoch"):
        TrainingHistoryDisplay([]).plot()
    with pytest.raises(NotFittedError):
        TrainingHistoryDisplay.from_estimator(SparseMLPClassifier())
