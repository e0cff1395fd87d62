"""Streams of data, and the options of training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import Callback
from small_networks import classifier, regressor
from torch import nn

from sksparse.neural_network import (
    SparseMLPClassifier,
    SparseMLPRegressor,
    SparseNetClassifier,
)
from sksparse.sparsifiers import OscarShrinkage

pytestmark = pytest.mark.filterwarnings("ignore:The objective still fell")


# --- streams ----------------------------------------------------------------------------------


def test_partial_fit_continues_and_keeps_zeros(digits: Any) -> None:
    X, y = digits
    model = classifier(target_sparsity=0.7).fit(X[:300], y[:300])
    zeros = [w == 0 for w in model.coefs_]
    n_epochs = model.n_iter_
    before = model.score(X[300:], y[300:])
    for _ in range(20):
        model.partial_fit(X[300:], y[300:])
    assert all((w[z] == 0).all() for w, z in zip(model.coefs_, zeros, strict=True))
    assert model.sparsity_ == pytest.approx(0.7, abs=1e-3)
    assert model.score(X[300:], y[300:]) > before
    assert model.n_iter_ == n_epochs + 20
    assert [e["epoch"] for e in model.history_] == list(range(1, model.n_iter_ + 1))


def test_partial_fit_from_the_start_trains_a_dense_network(digits: Any) -> None:
    X, y = digits
    model = classifier()
    with pytest.raises(ValueError, match="classes=None in the first call"):
        model.partial_fit(X, y)
    for _ in range(40):
        model.partial_fit(X, y, classes=np.arange(10))
    assert model.score(X, y) > 0.9
    assert model.sparsity_ == 0
    with pytest.raises(ValueError, match="not among the classes"):
        model.partial_fit(X, y + 1)
    model.partial_fit(X[y < 3], y[y < 3])
    assert len(model.classes_) == 10


def test_the_optimiser_is_remembered_between_calls(diabetes: Any) -> None:
    X, y = diabetes
    model = regressor(sparsifier=None, solver="sgd", learning_rate_init=0.01)
    steps = []
    for _ in range(3):
        before = model.coefs_[0] if hasattr(model, "module_") else None
        model.partial_fit(X, y)
        if before is not None:
            steps.append(np.abs(model.coefs_[0] - before).max())
    assert steps[0] > 0
    state = model._optimizer_states["sgd"]["state"]
    assert state[0]["momentum_buffer"].abs().max() > 0


# --- options of training ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"solver": "sgd", "learning_rate_init": 0.05},
        {"learning_rate": "constant", "learning_rate_init": 0.01},
        {"learning_rate": "cosine", "learning_rate_init": 0.01},
        {"learning_rate": "step", "learning_rate_init": 0.01},
        {"dropout": 0.1},
        {"dropout": [0.1, 0.2]},
        {"batch_norm": True},
        {"ema_decay": 0.9},
        {"max_grad_norm": 1.0},
        {"early_stopping": True, "ema_decay": 0.9, "batch_norm": True},
    ],
)
@pytest.mark.parametrize("sparsifier", ["l0", "magnitude"])
def test_options_train_sparse_networks(digits: Any, sparsifier: str, options: Any) -> None:
    X, y = digits
    model = classifier(sparsifier=sparsifier, target_sparsity=0.7, max_iter=40, **options)
    model.fit(X, y)
    assert model.score(X, y) > 0.9
    assert model.sparsity_ == pytest.approx(0.7, abs=1e-3)
    assert np.isfinite(model.loss_)


def rates_of(**options: Any) -> list[float]:
    """The learning rate of each epoch, seen by a callback."""
    seen: list[float] = []

    class Watch(Callback):  # type: ignore[misc]
        def on_epoch_end(self, net: Any, **_: Any) -> None:
            seen.append(net.optimizer_.param_groups[0]["lr"])

        def __deepcopy__(self, memo: Any) -> Watch:
            return self

    X, y = load_digits(return_X_y=True)
    options = {"learning_rate_init": 0.01, "sparsifier": None, "max_iter": 8, **options}
    SparseMLPClassifier((5,), callbacks=[Watch()], **options).fit(X[:100], y[:100])
    return seen


@pytest.mark.filterwarnings("ignore:Of the .* are the same for all training rows")
def test_schedules() -> None:
    assert rates_of(learning_rate="constant") == [0.01] * 8
    steps = [0.01] * 4 + [0.001] * 2 + [0.0001] * 2
    np.testing.assert_allclose(rates_of(learning_rate="step"), steps)
    cosine = 0.005 * (1 + np.cos(np.pi * np.arange(8) / 8))
    np.testing.assert_allclose(rates_of(learning_rate="cosine"), cosine)


def test_a_moving_average_is_what_is_returned(digits: Any) -> None:
    """With a constant gradient direction the average lags behind the last weights."""
    X, y = digits
    last = classifier(sparsifier=None, max_iter=5).fit(X, y)
    average = classifier(sparsifier=None, max_iter=5, ema_decay=0.999).fit(X, y)
    start = classifier(sparsifier=None, max_iter=1, learning_rate_init=1e-12).fit(X, y)
    moved = np.abs(last.coefs_[0] - start.coefs_[0]).mean()
    moved_average = np.abs(average.coefs_[0] - start.coefs_[0]).mean()
    assert 0 < moved_average < 0.95 * moved


def test_clipped_gradients_make_sgd_steps_no_longer_than_the_rate(digits: Any) -> None:
    X, y = digits[0] * 100, digits[1]
    options: dict[str, Any] = {"solver": "sgd", "momentum": 0.0, "weight_decay": 0.0}
    options |= {"sparsifier": None, "learning_rate": "constant", "batch_size": 600, "max_iter": 1}
    start = classifier(learning_rate_init=1e-12, **options).fit(X, y)
    moved = classifier(learning_rate_init=0.1, max_grad_norm=0.5, **options).fit(X, y)
    steps = [a - b for a, b in zip(moved.coefs_, start.coefs_, strict=True)]
    steps += [a - b for a, b in zip(moved.intercepts_, start.intercepts_, strict=True)]
    length = np.sqrt(sum(np.sum(step**2) for step in steps))
    assert length == pytest.approx(0.05, rel=1e-3)


def test_normalised_units_keep_their_importances(digits: Any) -> None:
    X, y = digits
    X = X * np.where(np.arange(64) == 20, 1e-3, 1.0)
    model = classifier(batch_norm=True, target_sparsity=0.5).fit(X, y)
    assert model.feature_importances_.sum() == pytest.approx(1)
    assert len(model.coefs_) == len(model.intercepts_) == 2
    assert len(model.architecture_) == 3


def test_a_callback_may_end_training(digits: Any) -> None:
    class Stop(Callback):  # type: ignore[misc]
        def on_batch_end(self, net: Any, **_: Any) -> None:
            if len(net.history) == 3:
                raise KeyboardInterrupt

    with pytest.warns(ConvergenceWarning, match="interrupted after 2 epochs"):
        model = classifier(callbacks=[Stop()], target_sparsity=0.5).fit(*digits)
    assert model.sparsity_ == 0.5
    assert clone(model).callbacks is not None


@pytest.mark.parametrize("moment", ["on_train_begin", "on_train_end"])
def test_an_interrupt_outside_the_epochs_leaves_a_network(digits: Any, moment: str) -> None:
    class Stop(Callback):  # type: ignore[misc]
        pass

    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    setattr(Stop, moment, interrupt)
    with pytest.warns(ConvergenceWarning, match="interrupted after"):
        model = classifier(callbacks=[Stop()], target_sparsity=0.5, max_iter=3).fit(*digits)
    assert model.sparsity_ == 0.5


@pytest.mark.parametrize(
    "parameters, words",
    [
        ({"dropout": [0.1]}, "dropout=.*2 of them"),
        ({"dropout": 1.0}, "dropout"),
        ({"learning_rate": "adaptive"}, "learning_rate"),
        ({"solver": "lbfgs"}, "solver"),
        ({"ema_decay": 1.0}, "ema_decay"),
        ({"max_grad_norm": 0.0}, "max_grad_norm"),
        ({"teacher": 3}, "teacher"),
        ({"temperature": 0.0}, "temperature"),
        ({"distill_weight": 1.5}, "distill_weight"),
    ],
)
def test_bad_parameters_are_named(digits: Any, parameters: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        classifier(**parameters).fit(*digits)


def test_regression_starts_at_the_mean_of_the_targets(diabetes: Any) -> None:
    X, y = diabetes
    model = regressor(target_sparsity=0.5).fit(X, y + 1e3)
    centred = regressor(target_sparsity=0.5).fit(X, y)
    assert model.score(X, y + 1e3) > centred.score(X, y) - 0.05


def test_a_small_rate_scales_the_automatic_ones_down(digits: Any) -> None:
    slow, usual = (
        classifier(target_sparsity=0.5, learning_rate_init=rate, max_iter=5).fit(*digits)
        for rate in (1e-5, 1e-3)
    )
    assert slow.loss_ > 2 * usual.loss_


def test_a_teacher_without_a_share_changes_nothing(digits: Any) -> None:
    X, y = digits
    teacher = RandomForestClassifier(5, random_state=0).fit(X, y)
    alone = classifier(max_iter=3).fit(X, y)
    ignored = classifier(max_iter=3, teacher=teacher, distill_weight=0.0).fit(X, y)
    np.testing.assert_array_equal(alone.predict_proba(X), ignored.predict_proba(X))


def test_what_cannot_be_trained_is_named(digits: Any) -> None:
    X, y = digits
    with pytest.raises(ValueError, match=r"class_weight=\{0: -1\}"):
        classifier(class_weight={0: -1}).fit(X, y)
    with pytest.raises(ValueError, match="callbacks holds 3"):
        classifier(callbacks=[3]).fit(X, y)
    with pytest.raises(ValueError, match="at least 2 rows in a batch"):
        classifier(batch_norm=True, batch_size=1).fit(X, y)
    normed = nn.utils.parametrizations.weight_norm(nn.Linear(64, 10))
    with pytest.raises(ValueError, match=r"parametrised.*parametrize\.remove_parametrizations"):
        SparseNetClassifier(normed).fit(X, y)


def test_every_output_keeps_weights(digits: Any) -> None:
    X, y = digits
    model = SparseMLPClassifier(
        (30,),
        sparsifier=OscarShrinkage(granularity="unit"),
        target_sparsity=0.7,
        max_iter=60,
        tol=1e-2,
        random_state=0,
    ).fit(X, y)
    assert (model.coefs_[-1] != 0).any(axis=0).all()
    assert model.score(X, y) > 0.9


def test_a_few_more_rows_do_not_change_what_alpha_means(digits: Any) -> None:
    """The prox divides by gradients of the last batch, which must not be a small one."""
    X, y = digits
    options: dict[str, Any] = {"alpha": 1e-3, "max_iter": 60, "tol": 1e-2, "random_state": 0}
    few, more = (SparseMLPClassifier((30,), **options).fit(X[:n], y[:n]) for n in (1490, 1493))
    assert more.sparsity_ == pytest.approx(few.sparsity_, abs=0.1)


def test_weights_of_classes_that_are_all_zero_are_named(digits: Any) -> None:
    with pytest.raises(ValueError, match=r"class_weight=.* is zero for every class"):
        SparseMLPClassifier(class_weight=dict.fromkeys(range(10), 0.0)).fit(*digits)


def test_targets_beyond_float32_are_named(diabetes: Any) -> None:
    X, y = diabetes
    with pytest.raises(ValueError, match="y has values beyond the range of float32"):
        SparseMLPRegressor().fit(X, y * 1e45)
