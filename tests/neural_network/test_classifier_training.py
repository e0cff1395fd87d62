"""What is said where SparseMLPClassifier cannot be fitted, and how a fit ends."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from small_networks import (
    NAMES,
    SPARSE_NAMES,
    make,
    weights_of,
)

from sksparse.neural_network import SparseMLPClassifier
from sksparse.neural_network.training._data import shared_tensor
from sksparse.neural_network.training._trainer import PhasedNet
from sksparse.sparsifiers import HardConcrete

pytestmark = pytest.mark.filterwarnings("ignore:The objective still fell")


# --- errors -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "parameters, words",
    [
        ({"sparsifier": "lottery-ticket"}, ["sparsifier", "lottery-ticket", "magnitude"]),
        ({"alpha": -1.0}, ["alpha", "-1.0"]),
        ({"target_sparsity": 1.0}, ["target_sparsity", "1.0"]),
        ({"target_sparsity": -0.1}, ["target_sparsity", "-0.1"]),
        ({"hidden_layer_sizes": (10, 0)}, ["hidden_layer_sizes", "(10, 0)", "positive"]),
        ({"hidden_layer_sizes": (2.5,)}, ["hidden_layer_sizes", "2.5"]),
        ({"hidden_layer_sizes": -3}, ["hidden_layer_sizes", "-3"]),
        ({"activation": "swoosh"}, ["activation", "swoosh"]),
        ({"batch_size": 0}, ["batch_size", "0"]),
        ({"learning_rate_init": 0.0}, ["learning_rate_init", "0.0"]),
        ({"class_weight": "heavy"}, ["class_weight", "heavy"]),
        ({"device": "abacus"}, ["device", "abacus"]),
        ({"sparsifier": None, "target_sparsity": 0.5}, ["target_sparsity=0.5"]),
        ({"sparsifier": HardConcrete(gamma=0.5)}, ["gamma", "0.5"]),
    ],
)
def test_bad_parameters_are_named(data: Any, parameters: Any, words: list[str]) -> None:
    options = {"hidden_layer_sizes": (16,), **parameters}
    with pytest.raises(ValueError, match=words[0]) as caught:
        SparseMLPClassifier(**options).fit(*data)
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize(
    "X, y, weight, words",
    [
        ([[1.0], [np.nan]], [0, 1], None, "NaN"),
        ([[1.0], [np.inf]], [0, 1], None, "infinity"),
        (np.empty((0, 2)), [], None, "0 sample"),
        ([1.0, 2.0], [0, 1], None, "2D array"),
        ([[1.0], [2.0], [3.0]], [0, 1], None, "inconsistent"),
        ([[1.0], [2.0]], ["a", "a"], None, "1 class, .'a'."),
        ([[1.0], [2.0]], [0, 1], [1.0, 0.0], "1 class"),
        ([[1.0], [2.0]], [0, 1], [0.0, 0.0], "sample_weight.*zero"),
        ([[1.0], [2.0]], [0, 1], [1.0, -2.0], "sample_weight.*-2"),
        ([[1.0], [2.0]], [0, 1], [1.0], "sample_weight"),
        ([[1.0], [2.0]], [0.5, 1.7], None, "continuous"),
    ],
)
def test_bad_data_is_named_and_leaves_the_earlier_fit_intact(
    data: Any, X: Any, y: Any, weight: Any, words: str
) -> None:
    model = make(max_iter=2).fit(*data)
    before = pickle.dumps(vars(model))
    with pytest.raises(ValueError, match=words):
        model.fit(X, y, sample_weight=weight)
    assert pickle.dumps(vars(model)) == before


def test_loss_that_is_not_finite_names_epoch_and_remedy(data: Any) -> None:
    X, y = data
    model = make(max_iter=2).fit(X, y)
    coefs = weights_of(model)
    model.set_params(learning_rate_init=1e38)
    with pytest.raises(FloatingPointError, match=r"epoch \d.*learning_rate_init=1e\+38.*lower"):
        model.fit(X[:, :5], y)
    assert model.n_features_in_ == 12
    for a, b in zip(weights_of(model), coefs, strict=True):
        np.testing.assert_array_equal(a, b)


def test_early_stopping_that_cannot_split_is_named() -> None:
    X = np.arange(8.0).reshape(4, 2)
    with pytest.raises(ValueError, match=r"early_stopping=True.*validation_fraction=0.1"):
        make(early_stopping=True).fit(X, [0, 1, 2, 3])


@pytest.mark.parametrize("counts", [(40, 40, 1), (100, 1, 1), (30, 30, 2), (3, 3, 3, 3, 3)])
def test_early_stopping_with_rare_classes_learns_all_of_them(counts: tuple[int, ...]) -> None:
    y = np.repeat(np.arange(len(counts)), counts)
    X = np.random.default_rng(0).normal(size=(len(y), 4)) + 6 * np.eye(5, 4)[y]
    model = make(None, early_stopping=True, max_iter=60, validation_fraction=0.1)
    with pytest.warns(UserWarning, match=r"of . classes have too few .* trained on"):
        model.fit(X, y)
    assert list(model.classes_) == list(range(len(counts)))
    assert model.score(X, y) > 0.9
    assert {"valid_score"} <= set(model.history_[0])


# --- training ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_early_stopping_keeps_the_best_of_the_last_phase(data: Any, name: Any) -> None:
    target = None if name is None else 0.8
    model = make(name, early_stopping=True, max_iter=60, target_sparsity=target).fit(*data)
    last = model.history_[-1]["phase"]
    scores = [e["valid_score"] for e in model.history_ if e["phase"] == last]
    assert model.score(*data) > 0.7
    assert max(scores) > 0.6
    assert target is None or model.sparsity_ == pytest.approx(target, abs=0.5 / 240)


def test_plateau_ends_training(data: Any) -> None:
    model = make(None, max_iter=500, n_iter_no_change=3, tol=10.0).fit(*data)
    assert model.n_iter_ == 5


def test_unfinished_training_warns(data: Any) -> None:
    with pytest.warns(ConvergenceWarning, match=r"tol=0.0001.*max_iter=3.*raise max_iter"):
        make(None, max_iter=3).fit(*data)


@pytest.mark.parametrize("name", SPARSE_NAMES)
def test_interrupt_leaves_a_finished_model(
    data: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = iter(range(100))
    original = PhasedNet._update_weights

    def interrupted(self: PhasedNet, *args: Any) -> float:
        if next(calls) == 3:
            raise KeyboardInterrupt
        return original(self, *args)

    monkeypatch.setattr(PhasedNet, "_update_weights", interrupted)
    model = make(name, target_sparsity=0.8)
    with pytest.warns(ConvergenceWarning, match="interrupted after 3 epochs.*warm_start"):
        model.fit(*data)
    assert model.sparsity_ == pytest.approx(0.8, abs=0.5 / 240)
    assert model.predict_proba(data[0]).shape == (240, 3)


def test_interrupt_in_the_first_epoch(data: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: PhasedNet, *args: Any) -> float:
        raise KeyboardInterrupt

    monkeypatch.setattr(PhasedNet, "_update_weights", interrupted)
    with pytest.warns(ConvergenceWarning, match="interrupted after 0 epochs"):
        model = make(target_sparsity=0.8).fit(*data)
    assert model.n_iter_ == 0
    assert np.isnan(model.loss_)
    assert model.predict(data[0]).shape == (240,)


@pytest.mark.parametrize("name", SPARSE_NAMES)
def test_warm_start_continues_from_the_earlier_weights(data: Any, name: str) -> None:
    X, y = data
    model = make(None, max_iter=80, warm_start=True).fit(X, y)
    model.set_params(sparsifier=name, target_sparsity=0.5, max_iter=10)
    cold = clone(model).fit(X, y)
    model.fit(X, y)
    assert model.history_[0]["loss"] < 0.9 * cold.history_[0]["loss"]
    assert model.sparsity_ == 0.5
    model.set_params(target_sparsity=0.8).fit(X, y)
    assert model.sparsity_ == pytest.approx(0.8, abs=0.5 / 240)
    with pytest.raises(ValueError, match=r"warm_start=True cannot continue.*classes"):
        model.fit(X, y + 1)
    with pytest.raises(ValueError, match=r"warm_start=True cannot continue.*units"):
        model.set_params(hidden_layer_sizes=(7,)).fit(X, y)


def test_verbose_prints_progress_and_silence_otherwise(data: Any, capsys: Any) -> None:
    make(max_iter=3).fit(*data)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""
    make(max_iter=3, verbose=1, early_stopping=True).fit(*data)
    last = capsys.readouterr().out.splitlines()[-1]
    assert all(word in last for word in ("epoch 3/3", " s", "loss", "score", "sparsity"))
    make(max_iter=3, verbose=2, early_stopping=True).fit(*data)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert all(word in lines[0] for word in ("epoch", "loss", "score", "sparsity"))


def test_float32_input_is_not_copied() -> None:
    X = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    assert shared_tensor(X).data_ptr() == X.ctypes.data
