"""A real SIGINT, in a process of its own, while a best subset is searched."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

# The signal comes from another thread once the fit is inside what ``inside`` names. Passes over X
# are slowed down where a fit would be over before.
SCRIPT = """
import json, os, signal, sys, threading, time, warnings
import numpy as np
import sksparse._interrupts as interrupts
from sksparse.linear_model import L0Classifier, L0Regressor, L0RegressorCV, l0_path
from sksparse.solvers.branch_and_bound import _solver as _branch_and_bound
from sksparse.solvers.subset import _correlations
from sksparse.solvers.subset_newton import _columns as _subset_columns

interrupts.LONG, signals = {long}, {signals}
rng = np.random.default_rng(0)
X = rng.standard_normal((150, {p}))
y = X[:, :8].sum(axis=1) + 4.0 * rng.standard_normal(150)
classes = (y > 0).astype(int)
calls = []

def fire():
    for _ in range(signals):
        time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

def watched(owner, name, slow):
    function = getattr(owner, name)
    def call(*args, **options):
        calls.append(name)
        if len(calls) == {nth}:
            threading.Thread(target=fire, daemon=True).start()
        if slow and len(calls) >= {nth}:
            time.sleep(slow)
        return function(*args, **options)
    setattr(owner, name, call)

{watch}
handler = signal.getsignal(signal.SIGINT)
report = {{}}
try:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = {fit}
    report["warnings"] = [str(w.message) for w in caught]
    report["kinds"] = [w.category.__name__ for w in caught]
    report["used"] = int(np.count_nonzero(getattr(model, "coef_", 1)))
    report["gap"] = getattr(model, "gap_", None)
    report["points"] = len(model.losses) if hasattr(model, "losses") else None
except KeyboardInterrupt:
    report["raised"] = "KeyboardInterrupt"
except BaseException as error:
    report["raised"] = repr(error)
report["restored"] = signal.getsignal(signal.SIGINT) is handler
report["fired"] = len(calls) >= {nth}
print(json.dumps(report))
"""
PRODUCTS = 'watched(_correlations.Correlations, "products", 0.2)'
MEASURED = 'watched(_correlations.Correlations, "residual_correlations", 0.2)'
PASSES = 'watched(_subset_columns.SubsetColumns, "all_products", 0.2)'
EXPANDED = 'watched(_branch_and_bound.{}, "expand", 0.0)'
# No code asks whether a signal has arrived.
UNHEARD = """
for module in list(sys.modules.values()):
    if getattr(module, "check", None) is interrupts.check and module is not interrupts:
        module.check = lambda: None
"""


def run(
    fit: str, watch: str, *, p: int = 60, nth: int = 2, signals: int = 1, long: float = 0.0
) -> dict[str, Any]:
    script = SCRIPT.format(fit=fit, watch=watch, p=p, nth=nth, signals=signals, long=long)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True
    )
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert report["fired"]
    assert report["restored"]
    return report


@pytest.mark.parametrize(
    "fit, kind, p",
    [
        ("L0Regressor(alpha=0.02, solver='exact', gap=0).fit(X, y)", "Perspective", 90),
        ("L0Regressor(max_features=12, solver='exact', l2=.1).fit(X, y)", "Perspective", 400),
        ("L0Regressor(max_features=12, solver='exact').fit(X, y)", "Leaps", 150),
    ],
)
def test_the_exact_search_keeps_its_answer_and_gap(fit: str, kind: str, p: int) -> None:
    report = run(fit, EXPANDED.format(kind), p=p)
    assert report["kinds"] == ["ConvergenceWarning"], report
    assert "interrupted" in report["warnings"][0]
    assert "relative gap" in report["warnings"][0]
    assert report["used"] >= 1
    assert 0.0 < report["gap"] <= 1.0


@pytest.mark.slow
@pytest.mark.parametrize(
    "fit, watch",
    [
        ("L0Regressor(max_features=20, solver='forward').fit(X, y)", PRODUCTS),
        ("L0Regressor(alpha=0.01, solver='splicing').fit(X, y)", PRODUCTS),
        ("L0Regressor(alpha=0.01, solver='iht').fit(X, y)", PRODUCTS),
        ("L0Classifier(max_features=9, l2=0.01).fit(X, classes)", PASSES),
        ("L0Regressor(max_features=9, l1=0.01).fit(X, y)", PASSES),
    ],
)
def test_a_fit_keeps_its_last_complete_iterate_or_raises(fit: str, watch: str) -> None:
    report = run(fit, watch)
    if "raised" in report:
        assert report["raised"] == "KeyboardInterrupt"
    else:
        assert report["kinds"] == ["ConvergenceWarning"], report
        assert "interrupted" in report["warnings"][0]


@pytest.mark.slow
@pytest.mark.parametrize(
    "fit, watch",
    [
        ("L0Regressor(max_features=20, solver='cd').fit(X, y)", PRODUCTS),
        ("L0Regressor(max_features=40, effort=3).fit(X, y)", MEASURED),
        ("L0RegressorCV(cv=20, max_features=20).fit(X, y)", MEASURED),
        ("L0RegressorCV(alphas=30).fit(X, y)", MEASURED),
    ],
)
def test_what_has_no_answer_yet_raises(fit: str, watch: str) -> None:
    assert run(fit, watch)["raised"] == "KeyboardInterrupt"


@pytest.mark.parametrize(
    "fit, watch",
    [
        ("l0_path(X, y, max_features=50)", MEASURED),
        ("l0_path(X, y, alphas=np.geomspace(1, 1e-3, 40))", MEASURED),
        ("l0_path(X, classes, loss='log', l2=0.01, max_features=50)", PASSES),
    ],
)
def test_a_path_keeps_its_points(fit: str, watch: str) -> None:
    report = run(fit, watch, nth=3)
    assert report["kinds"] == ["ConvergenceWarning"], report
    assert "interrupted" in report["warnings"][0]
    assert 1 <= report["points"] < 50


@pytest.mark.parametrize("options", [{"long": 1e9}, {"signals": 2}])
def test_a_short_fit_and_a_second_signal_raise(options: dict[str, Any]) -> None:
    watch = EXPANDED.format("Perspective") + ("\n" + UNHEARD if "signals" in options else "")
    fit = "L0Regressor(alpha=0.02, solver='exact', gap=0).fit(X, y)"
    assert run(fit, watch, p=90, **options)["raised"] == "KeyboardInterrupt"
