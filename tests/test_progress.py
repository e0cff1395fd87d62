"""One channel for progress: when lines are written, and that nothing else writes."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import sksparse
from sksparse import _progress
from sksparse._progress import Progress
from sksparse.linear_model import L0Regressor, L0RegressorCV

PACKAGE = Path(sksparse.__file__).parent


class Clock:
    """Seconds that pass only where a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(_progress, "perf_counter", clock)
    return clock


def run(clock: Clock, seconds: float, n: int, **options: int) -> None:
    with Progress("Model", "epoch", **options) as progress:
        for k in range(1, n + 1):
            clock.now += seconds
            progress.step("loss {}".format, k)


def numbers(text: str) -> list[int]:
    return [int(line.rsplit(" ", 1)[1]) for line in text.splitlines()]


def test_silence_unless_asked(clock: Clock, capfd: pytest.CaptureFixture[str]) -> None:
    def refuse() -> str:
        raise AssertionError("text is made for nobody")

    progress = Progress("Model", "epoch", 3)
    progress.step(refuse)
    progress.say("something")
    progress.flush()
    assert capfd.readouterr() == ("", "")


def test_a_line_says_how_far_and_how_long(clock: Clock, capfd: pytest.CaptureFixture[str]) -> None:
    run(clock, 2.0, 2, total=5, verbose=1)
    first, second = capfd.readouterr().out.splitlines()
    assert first == "[Model] epoch 1/5, 2.0 s, 8.0 s left: loss 1"
    assert second == "[Model] epoch 2/5, 4.0 s, 6.0 s left: loss 2"


def test_fast_loops_write_a_line_a_second(clock: Clock, capfd: pytest.CaptureFixture[str]) -> None:
    run(clock, 0.25, 10, total=10, verbose=1)
    assert numbers(capfd.readouterr().out) == [1, 5, 9, 10]


def test_the_last_line_of_a_loop_that_ends_early_is_written(
    clock: Clock, capfd: pytest.CaptureFixture[str]
) -> None:
    run(clock, 0.1, 7, total=100, verbose=1)
    assert numbers(capfd.readouterr().out) == [1, 7]
    run(clock, 0.1, 7, verbose=1)
    out = capfd.readouterr().out
    assert numbers(out) == [1, 7]
    assert "left" not in out


def test_more_verbosity_writes_every_unit(clock: Clock, capfd: pytest.CaptureFixture[str]) -> None:
    run(clock, 0.01, 6, total=6, verbose=2)
    assert numbers(capfd.readouterr().out) == [1, 2, 3, 4, 5, 6]


def test_a_time_limit_bounds_what_is_left(clock: Clock, capfd: pytest.CaptureFixture[str]) -> None:
    progress = Progress("Search", "node", verbose=1, time_limit=10.0)
    progress.say("begins")
    clock.now += 4.0
    progress.step("gap {}".format, 0.5, done=17)
    assert capfd.readouterr().out.splitlines() == [
        "[Search] 0.0 s: begins",
        "[Search] node 17, 4.0 s, at most 6.0 s left: gap 0.5",
    ]


def test_nothing_else_in_the_package_writes() -> None:
    found = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print")
        or (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tqdm"))
        or (isinstance(node, ast.Import) and any(a.name.startswith("tqdm") for a in node.names))
    ]
    assert {place.split(":")[0] for place in found} == {"_progress.py"}


SILENT = """
import numpy as np, sksparse
for room in ("inspection", "losses", "penalties", "solvers", "sparsifiers"):
    getattr(sksparse, room)
rng = np.random.default_rng(0)
X = rng.standard_normal((40, 5))
score = X[:, 0] + 0.1 * rng.standard_normal(40)
targets = {"Classifier": (score > 0).astype(int), "Poisson": rng.poisson(np.exp(score / 2))}
from torch import nn
for name in sksparse.__all__:
    y = next((y for part, y in targets.items() if part in name), score)
    is_network = any(part in name for part in ("SparseMLP", "SparseNet", "Hashed", "LowRank"))
    options = {"max_iter": 3, "tol": 1e9} if is_network else {}
    if name == "SparseMLPSelector":
        options = {"max_iter": 3}
    if "SparseNet" in name:
        options["module"] = lambda p, k: nn.Linear(p, k)
    kind = getattr(sksparse, name)
    if "verbose" in kind._get_param_names():
        options["verbose"] = 0
    kind(**options).fit(X, y).get_params()
"""


def test_import_and_fits_are_silent() -> None:
    run = subprocess.run([sys.executable, "-c", SILENT], capture_output=True, text=True)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_the_exact_search_speaks_before_it_searches(
    rng: np.random.Generator, capfd: pytest.CaptureFixture[str]
) -> None:
    X = rng.standard_normal((40, 12))
    y = X[:, :3].sum(axis=1) + rng.standard_normal(40)
    L0Regressor(max_features=3, solver="exact", verbose=1).fit(X, y)
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].startswith("[BranchAndBound] 0.0 s: ")
    assert any("bound" in line and "gap" in line for line in lines[1:])


def test_a_search_counts_its_folds(
    rng: np.random.Generator, capfd: pytest.CaptureFixture[str]
) -> None:
    X = rng.standard_normal((40, 5))
    L0RegressorCV(max_features=2, cv=3, verbose=2).fit(X, X[:, 0] + rng.standard_normal(40))
    out = capfd.readouterr().out
    assert all(f"[L0RegressorCV] fold {k}/3, " in out for k in (1, 2, 3))
    assert "[L0RegressorCV] fold 4" not in out
    assert "chose" in out
