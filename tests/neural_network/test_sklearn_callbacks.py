"""Callbacks of scikit-learn see the epochs of a training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from small_networks import classifier, regressor

callback = pytest.importorskip("sklearn.callback")

pytestmark = pytest.mark.filterwarnings("ignore:The objective still fell")


class Watch:
    """Notes the tasks of a fit, and stops after some epochs."""

    def __init__(self, stop_after: int = 1000) -> None:
        self.stop_after = stop_after
        self.events: list[tuple[str, str]] = []
        self.predicted: list[np.ndarray] = []

    def setup(self, estimator: Any, context: Any) -> None:
        self.events.append(("setup", context.task_name))

    def teardown(self, estimator: Any, context: Any) -> None:
        self.events.append(("teardown", context.task_name))

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        self.events.append(("begin", context.task_name))

    def on_fit_task_end(
        self, estimator: Any, context: Any, *, X: Any, y: Any, fitted_estimator: Any
    ) -> bool:
        self.events.append(("end", context.task_name))
        if context.max_subtasks == 0:
            self.predicted.append(fitted_estimator.predict(X))
        return len(self.predicted) >= self.stop_after


@pytest.mark.parametrize("sparsifier", [None, "oscar", "l0"])
@pytest.mark.parametrize("make", [classifier, regressor])
def test_epochs_are_tasks_with_a_fitted_estimator(digits: Any, make: Any, sparsifier: Any) -> None:
    X, y = digits
    X = X + 1e5 * (np.arange(64) == 3)
    watch = Watch()
    model = make(sparsifier=sparsifier, max_iter=4).set_callbacks(watch).fit(X, y)
    assert len(watch.predicted) == 4
    assert watch.events[0] == ("setup", "fit")
    assert watch.events[-1] == ("teardown", "fit")
    np.testing.assert_array_equal(watch.predicted[-1], model.predict(X))
    alone = make(sparsifier=sparsifier, max_iter=4).fit(X, y)
    np.testing.assert_array_equal(alone.predict(X), model.predict(X))
    assert alone.history_[-1]["loss"] == model.history_[-1]["loss"]


def test_scores_are_monitored(digits: Any) -> None:
    X, y = digits
    monitor = callback.ScoringMonitor(scoring="accuracy")
    model = classifier(max_iter=3).set_callbacks(monitor).fit(X, y)
    scores = [row["accuracy"] for row in monitor.get_logs().data if "accuracy" in row]
    assert scores[-1] == model.score(X, y)
    assert len(scores) >= 3


@pytest.mark.filterwarnings("ignore:Training was interrupted after 2 epochs")
def test_a_callback_may_stop_a_training(digits: Any) -> None:
    model = classifier(max_iter=10, target_sparsity=0.5).set_callbacks(Watch(stop_after=2))
    model.fit(*digits)
    assert model.n_iter_ == 2
    assert model.sparsity_ == 0.5
