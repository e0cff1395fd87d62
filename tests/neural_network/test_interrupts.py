"""Ctrl-C, as a real signal in a process of its own, while a network is trained."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import os, pickle, signal, sys, threading, warnings
import numpy as np
from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import Callback
from torch import nn
from sksparse import _interrupts
from sksparse.neural_network import *

name = sys.argv[1]


class Press(Callback):
    # a thread sends the signal while the main thread trains
    def __init__(self, moments):
        self.moments = moments

    def __deepcopy__(self, memo):
        return self

    def press(self, net, moment):
        done = sum("loss" in epoch for epoch in net.history)
        if (moment, done) in self.moments:
            self.moments.remove((moment, done))
            thread = threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGINT))
            thread.start()
            thread.join()

    def on_batch_end(self, net, **_):
        self.press(net, "batch")

    def on_train_end(self, net, **_):
        self.press(net, "end")


def network(n_features, n_outputs):
    return nn.Sequential(nn.Linear(n_features, 12), nn.Tanh(), nn.Linear(12, n_outputs))


X = np.random.default_rng(0).normal(size=(200, 6))
y = (X[:, 0] > 0).astype(int) if "Classifier" in name else X[:, 0] + 5
first = network if "Net" in name else (12,)


def make(*moments, **options):
    options = {"target_sparsity": 0.5, "max_iter": 400, "random_state": 0, "tol": 0.0, **options}
    options["sparsifier"] = "magnitude"
    return globals()[name](first, callbacks=[Press(list(moments))], **options)


def begin(long):
    _interrupts.LONG = long
    _interrupts._watch.kept = -_interrupts.SOON


def is_raised(call):
    try:
        call()
    except KeyboardInterrupt:
        return signal.getsignal(signal.SIGINT) is signal.default_int_handler
    return False


# one signal in a long fit: the network is finished, and said to be interrupted
begin(long=0.0)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    model = make(("batch", 3)).fit(X, y)
assert [w.category for w in caught] == [ConvergenceWarning], caught
assert "interrupted after 3 epochs" in str(caught[0].message)
assert model.n_iter_ == 3
assert model.sparsity_ == 0.5
assert np.isfinite(model.predict(X).astype(float)).all()
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

# another one soon after, in a loop of fits
assert is_raised(lambda: make(("batch", 3)).fit(X, y))
# a second one in the same fit
begin(long=0.0)
assert is_raised(lambda: make(("batch", 2), ("batch", 400), ("end", 2)).fit(X, y))
# before there is an answer
begin(long=0.0)
assert is_raised(lambda: make(("batch", 0)).fit(X, y))
# in a short fit
begin(long=1e9)
assert is_raised(lambda: make(("batch", 3)).fit(X, y))

# partial_fit has no answer before its epoch is over, and a failed call changes nothing
begin(long=0.0)
options = {"classes": [0, 1]} if "Classifier" in name else {}
model = make(max_iter=3)
model.partial_fit(X, y, **options)
before = pickle.dumps(model.module_.state_dict()), model.n_iter_
model.set_params(callbacks=[Press([("batch", 0)])])
assert is_raised(lambda: model.partial_fit(X, y))
assert (pickle.dumps(model.module_.state_dict()), model.n_iter_) == before
assert not is_raised(lambda: model.set_params(callbacks=None).partial_fit(X, y))


# a callback that raises the exception itself ends training, however short it was
class Stop(Callback):
    def on_epoch_end(self, net, **_):
        raise KeyboardInterrupt


begin(long=1e9)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    make().set_params(callbacks=[Stop()]).fit(X, y)
assert "interrupted after 1 epochs" in str(caught[0].message)
print("as promised")
"""


@pytest.mark.parametrize(
    "name",
    ["SparseMLPClassifier", "SparseMLPRegressor", "SparseNetClassifier", "SparseNetRegressor"],
)
def test_real_signals(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, name],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "as promised" in done.stdout
