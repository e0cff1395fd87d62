"""Real signals to fits of classifiers: kept with a warning, or raised; never a SystemError."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

# The signal comes with a certain refit, so neither before the search nor after it.
_SCRIPT = """
import os, signal, sys, threading, time, warnings
import numpy as np
import sksparse._interrupts as interrupts
from sksparse.linear_model import L0Classifier, L0ClassifierCV, l0_path

interrupts.LONG = {long}
rng = np.random.default_rng(0)
X = rng.standard_normal((600, 900)) + 0.7 * rng.standard_normal((600, 1))
z = X[:, :40] @ rng.standard_normal(40)
y, y3 = (z + 3 * rng.standard_normal(600) > 0).astype(int), np.digitize(z, [-3, 3])
L0Classifier(max_features=2).fit(X[:60, :5], y[:60])

import sksparse.solvers.subset_newton._subset_fits as search
original, calls = search.refit, []

def refit(*args, **options):
    calls.append(None)
    if len(calls) == {at}:
        for _ in range({times}):
            os.kill(os.getpid(), signal.SIGINT)
    return original(*args, **options)

search.refit = refit
found = signal.getsignal(signal.SIGINT)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    try:
        fit = {fit}
        size = fit.n_features_in_ if hasattr(fit, "coef_") else len(fit.n_features)
        print("kept", size)
        print(all(w.category.__name__ == "ConvergenceWarning" for w in caught))
        print("interrupted" in "".join(str(w.message) for w in caught))
    except KeyboardInterrupt:
        print("raised")
print("restored", signal.getsignal(signal.SIGINT) is found)
"""

FITS = {
    "auto": "L0Classifier(max_features=30).fit(X, y)",
    "several": "L0Classifier(max_features=20).fit(X, y3)",
    "penalty": "L0Classifier(alpha=2e-3).fit(X, y)",
    "norm": "L0Classifier(max_features=30, l1=1e-3).fit(X, y)",
    "swap": "L0Classifier(max_features=30, solver='swap').fit(X, y)",
    "forward": "L0Classifier(max_features=40, solver='forward').fit(X, y)",
    "sizes": "l0_path(X, y, loss='log', max_features=40)",
    "penalties": "l0_path(X, y, loss='log', alphas=8)",
}
# Refits until there is something to keep, where the first dozen do not bring it or end the fit.
AT = {"swap": 5, "penalties": 400}
CHOICES = {
    "backward": "L0Classifier(max_features=3, solver='backward', l2=0.1).fit(X[:, :60], y)",
    "criterion": "L0ClassifierCV(max_features=40).fit(X, y)",
    "folds": "L0ClassifierCV(max_features=40, cv=4).fit(X, y)",
    "ridges": "L0ClassifierCV(max_features=20, l2=[0.01, 0.1], cv=3).fit(X, y)",
}


def run(fit: str, *, at: int, long: float, times: int = 1) -> list[str]:
    script = textwrap.dedent(_SCRIPT.format(fit=fit, at=at, long=long, times=times))
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not done.stderr.strip(), done.stderr
    return done.stdout.split("\n")


@pytest.mark.skipif(sys.platform == "win32", reason="os.kill sends no signals")
@pytest.mark.parametrize("name", FITS)
def test_a_long_fit_keeps_its_best_answer_and_warns(name: str) -> None:
    kept, only, said, restored, _ = run(FITS[name], at=AT.get(name, 12), long=0.0)
    assert kept.startswith("kept")
    assert (only, said, restored) == ("True", "True", "restored True")


@pytest.mark.skipif(sys.platform == "win32", reason="os.kill sends no signals")
@pytest.mark.parametrize("name", CHOICES)
def test_a_search_that_has_no_answer_yet_raises(name: str) -> None:
    assert run(CHOICES[name], at=12, long=0.0) == ["raised", "restored True", ""]


@pytest.mark.skipif(sys.platform == "win32", reason="os.kill sends no signals")
@pytest.mark.parametrize("name", ["auto", "forward", "penalties"])
def test_short_fits_and_second_signals_raise(name: str) -> None:
    at = AT.get(name, 12)
    assert run(FITS[name], at=at, long=600.0) == ["raised", "restored True", ""]
    assert run(FITS[name], at=at, long=0.0, times=2) == ["raised", "restored True", ""]
