"""Units that leave the network while it is trained, as the estimators offer it."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import sklearn
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback, Checkpoint, EarlyStopping, Freezer
from torch import nn

from sksparse.neural_network import (
    SparseMLPClassifier,
    SparseMLPRegressor,
    SparseNetClassifier,
)
from sksparse.sparsifiers import SPARSIFIERS

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

FAST: dict[str, Any] = {
    "hidden_layer_sizes": (30, 20),
    "max_iter": 12,
    "learning_rate_init": 0.01,
    "random_state": 0,
    "device": "cpu",
}


class Sizes(Callback):
    """Notes the number of parameters in every epoch, and that callbacks see the module as it is."""

    def __init__(self, sizes: list[int]) -> None:
        self.sizes = sizes

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        self.sizes.append(sum(p.numel() for p in net.module_.parameters()))
        assert sum(v.numel() for v in net.module_.state_dict().values()) == self.sizes[-1]


@pytest.mark.parametrize("name", ["filters", "group", "product_gates"])
def test_the_network_shrinks(digits: Any, name: str) -> None:
    X, y = digits
    sizes: list[int] = []
    model = SparseMLPClassifier(
        sparsifier=name,
        granularity="unit",
        target_flops=0.3,
        compact_during=True,
        callbacks=[Sizes(sizes)],
        **FAST,
    ).fit(X, y)
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 0.5 * sizes[0]
    assert model.flops_ <= 0.3 * model.dense_flops_ + 1
    assert sizes[-1] >= sum(p.numel() for p in model.module_.parameters())
    assert model.dense_n_units_ == {"0": 30, "2": 20}
    assert model.history_[-1]["sparsity"] == pytest.approx(model.sparsity_, abs=1e-6)
    assert model.score(X, y) > 0.8
    same = clone(model).set_params(callbacks=None).fit(X, y)
    np.testing.assert_array_equal(same.predict_proba(X), model.predict_proba(X))


def test_removal_alone_changes_no_prediction(digits: Any) -> None:
    X, y = digits
    options: dict[str, Any] = {"sparsifier": "filters", "target_units": 0.4, **FAST, "max_iter": 6}
    during = SparseMLPClassifier(compact_during=True, **options).fit(X, y)
    large = SparseMLPClassifier(**options).fit(X, y)
    assert during.n_units_ == large.n_units_
    np.testing.assert_allclose(during.predict_proba(X), large.predict_proba(X), atol=1e-3)
    for before, after in zip(large.history_, during.history_, strict=True):
        assert after["sparsity"] == pytest.approx(before["sparsity"], abs=1e-9)
    during.partial_fit(X, y)
    assert during.n_units_ == large.n_units_


@pytest.mark.parametrize("name", ["magnitude", "oscar", None])
def test_methods_of_single_weights_are_refused(digits: Any, name: str) -> None:
    model = SparseMLPClassifier(sparsifier=name, compact_during=True, **FAST)
    with pytest.raises(ValueError, match=r"compact_during=True needs a method that takes whole"):
        model.fit(*digits)
    assert not hasattr(model, "module_")


def test_granularities_a_sparsifier_does_not_have_are_refused(digits: Any) -> None:
    for name, sparsifier in SPARSIFIERS.items():
        model = SparseMLPClassifier(sparsifier=name, granularity="magic", **FAST)
        with pytest.raises(ValueError, match=r"granularity='magic'") as error:
            model.fit(*digits)
        assert all(repr(one) in str(error.value) for one in sparsifier.granularities)


@pytest.mark.parametrize("name", ["target_flops", "target_units"])
def test_single_weights_have_no_units_to_count(digits: Any, name: str) -> None:
    model = SparseMLPClassifier(sparsifier="magnitude", granularity="weight", **FAST)
    with pytest.raises(ValueError, match=rf"{name}=0\.5 .*granularity='unit'"):
        model.set_params(**{name: 0.5}).fit(*digits)


def test_a_search_over_granularities(digits: Any) -> None:
    model = SparseMLPClassifier(sparsifier="l0", compact=True, **{**FAST, "max_iter": 5})
    grid = {"granularity": [None, "input", "unit"], "alpha": [1e-5, 1e-3]}
    search = GridSearchCV(model, grid, cv=2, error_score="raise").fit(*digits)
    assert search.best_score_ > 0.5
    assert len(search.cv_results_["params"]) == 6
    assert search.best_estimator_.n_units_.keys() == {"0", "2"}


def test_sample_weights_are_routed_through_a_search(digits: Any) -> None:
    X, y = digits
    weight = np.where(y < 5, 1.0, 0.2)
    with sklearn.config_context(enable_metadata_routing=True):
        model = SparseMLPClassifier(sparsifier="l0", alpha=1e-4, compact=True, **FAST)
        model.set_params(max_iter=4).set_fit_request(sample_weight=True)
        model.set_score_request(sample_weight=True)
        search = GridSearchCV(model, {"granularity": ["input", "unit"]}, cv=2, error_score="raise")
        search.fit(X, y, sample_weight=weight)
    best = clone(model).set_params(**search.best_params_)
    np.testing.assert_array_equal(
        best.fit(X, y, sample_weight=weight).predict_proba(X), search.predict_proba(X)
    )
    unweighted = best.fit(X, y).predict_proba(X)
    assert np.abs(unweighted - search.predict_proba(X)).max() > 1e-3


@pytest.mark.parametrize(
    "callback",
    [
        Checkpoint(monitor="train_loss_best", load_best=True, f_params=None),
        EarlyStopping(monitor="train_loss", load_best=True),
    ],
    ids=["Checkpoint", "EarlyStopping"],
)
def test_weights_of_larger_networks_are_not_loaded(digits: Any, callback: Callback) -> None:
    options: dict[str, Any] = {**FAST, "sparsifier": "filters", "callbacks": [callback]}
    with pytest.raises(ValueError, match=r"load_best=True .*compact_during=False"):
        SparseMLPClassifier(compact_during=True, **options).fit(*digits)


def test_frozen_layers_stay_as_they_are(digits: Any) -> None:
    X, y = digits

    def network(n_features: int, n_outputs: int) -> nn.Module:
        return nn.Sequential(
            nn.Linear(n_features, 30), nn.ReLU(), nn.Linear(30, 20), nn.ReLU(), nn.Linear(20, 10)
        )

    seen: list[torch.Tensor] = []

    class Watch(Callback):
        def on_train_begin(self, net: Any, **kwargs: Any) -> None:
            seen.append(net.module_[0].weight.detach().clone())

        def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
            seen.append(net.module_[0].weight.detach().clone())

    options = {name: value for name, value in FAST.items() if name != "hidden_layer_sizes"}
    model = SparseNetClassifier(
        network,
        sparsifier="filters",
        target_units=0.4,
        compact_during=True,
        callbacks=[Watch(), Freezer("0.weight")],
        **options,
    ).fit(X, y)
    rows = {tuple(row.tolist()) for row in seen[0]}
    assert len(seen[-1]) < 30
    assert all(tuple(row.tolist()) in rows for row in seen[-1] if row.any())
    assert all(p.requires_grad for p in model.module_.parameters())


def test_the_best_epoch_is_returned_though_it_was_larger(diabetes: Any) -> None:
    X, y = diabetes[0], 1e6 + 30 * diabetes[1]
    model = SparseMLPRegressor(
        sparsifier="filters",
        target_flops=0.3,
        compact_during=True,
        ema_decay=0.9,
        early_stopping=True,
        solver="sgd",
        **{**FAST, "max_iter": 20},
    ).fit(X[:300], y[:300], X_val=X[300:], y_val=y[300:])
    last = model.history_[-1]["phase"]
    best = max(epoch["valid_score"] for epoch in model.history_ if epoch["phase"] == last)
    assert model.score(X[300:], y[300:]) == pytest.approx(best, abs=1e-5)
    assert sum(model.n_units_.values()) < 40


SCRIPT = """
import os, pickle, signal, threading, warnings
import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sksparse import _interrupts
from sksparse.neural_network import SparseMLPClassifier
from sksparse.neural_network.fitted import _size
from sksparse.neural_network.training import _trainer

X = np.random.default_rng(0).normal(size=(200, 6))
y = (X[:, 0] > 0).astype(int)
calls = {"compact": 0, "take_out": 0}
press_at = {}


def pressing(name, function):
    # a thread sends the signal while the main thread is about to do the work
    def pressed(*args, **kwargs):
        calls[name] += 1
        if press_at.get(name) == calls[name]:
            thread = threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGINT))
            thread.start()
            thread.join()
        return function(*args, **kwargs)
    return pressed


_size.compact = pressing("compact", _size.compact)
_trainer.take_out = pressing("take_out", _trainer.take_out)


def make():
    return SparseMLPClassifier(
        (20, 10), sparsifier="filters", target_units=0.4, compact_during=True, max_iter=10, tol=0.0,
        random_state=0,
    )


def fit(long, model=None, **at):
    _interrupts.LONG = long
    _interrupts._watch.kept = -_interrupts.SOON
    press_at.clear(), press_at.update(at)
    calls.update(compact=0, take_out=0)
    model = make() if model is None else model
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X, y)
    assert any("interrupted" in str(w.message) for w in caught) == bool(at), caught
    return model


def is_raised(*args, **kwargs):
    try:
        fit(*args, **kwargs)
    except KeyboardInterrupt:
        return signal.getsignal(signal.SIGINT) is signal.default_int_handler
    return False


whole = fit(0.0)
assert calls["compact"] == 2 and calls["take_out"] > 5
# at the end, in a long fit: the network is complete
late = fit(0.0, compact=2)
assert (late.predict_proba(X) == whole.predict_proba(X)).all()
# between epochs: it is made sparse as it stands, and small
early = fit(0.0, take_out=5)
assert early.n_iter_ < 10
assert sum(early.n_units_.values()) <= 12
assert sum(p.numel() for p in early.module_.parameters()) < 20 * 7
# in a short fit, and before there is an answer
assert is_raised(1e9, compact=2)
assert is_raised(1e9, take_out=5)
assert is_raised(0.0, compact=1)
# a fit that is broken off leaves the one before as it was, whatever had been taken out
before = pickle.dumps(whole)
assert is_raised(1e9, model=whole.set_params(random_state=1), compact=2)
assert is_raised(1e9, model=whole, take_out=8)
assert pickle.dumps(whole.set_params(random_state=0)) == before
assert (whole.predict_proba(X) == late.predict_proba(X)).all()
print("as promised")
"""


def test_real_signals() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "as promised" in done.stdout
