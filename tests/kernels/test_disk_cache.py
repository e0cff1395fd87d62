"""Broken cache files, or no directory for them: fits work, and warn."""

from __future__ import annotations

import importlib
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from numba.core.dispatcher import Dispatcher

import sksparse
from sksparse._kernels import _compiled

KERNELS = Path(_compiled.__file__).parent

# What needs one kernel, and fits that use all that can be reached from outside.
ONE = "SortedL1(np.array([2.0, 1.0])).prox(y[:2], 0.5).tolist()"
MANY = """[
    *[L0Regressor(max_features=2, solver=solver).fit(X, y).coef_.tolist() for solver in (
        "auto", "swap", "splicing", "cd", "forward", "backward", "iht", "exact")],
    L0Regressor(max_features=2, positive=True).fit(X, y).coef_.tolist(),
    L0Regressor(max_features=2, l2=0.1, solver="exact").fit(W, y).coef_.tolist(),
    L0Regressor(max_features=2, effort=2).fit(W, y).coef_.tolist(),
    L0Classifier(max_features=2).fit(X, y > 0).coef_.tolist(),
    L0Classifier(max_features=2, l1=0.01).fit(X, y > 0).coef_.tolist(),
    GroupLassoSelector(0.1).fit(X, y).coef_.tolist(),
    GroupLassoSelector(0.1).fit(scipy.sparse.csc_matrix(X), y).coef_.tolist(),
    GroupLassoSelector(0.1, l1_ratio=0.5, loss="logistic").fit(X, y > 0).coef_.tolist(),
    OSCAR(alpha=0.5).fit(X, y).coef_.tolist(),
]"""
ESTIMATORS = """
from sksparse.feature_selection import GroupLassoSelector
from sksparse.linear_model import OSCAR, L0Classifier, L0Regressor
"""
SCRIPT = """
import json, sys, warnings
import numpy as np, scipy.sparse
from sksparse.penalties import SortedL1
%s
rng = np.random.default_rng(0)
X, W = rng.standard_normal((40, 5)), rng.standard_normal((40, 160))
y = X[:, 0] - X[:, 1] + 0.5 * rng.standard_normal(40)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    answer = %s
print(json.dumps([answer, [[w.category.__name__, str(w.message)] for w in caught]]))
"""


def run(fits: str, **environment: str) -> tuple[object, list[tuple[str, str]]]:
    """What an expression gives in a process of its own, and its warnings."""
    script = SCRIPT % (ESTIMATORS if fits == MANY else "", fits)
    path = str(Path(sksparse.__file__).parents[1])
    answer = subprocess.run(
        [sys.executable, "-P", "-c", script],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path, **environment},
    )
    assert answer.returncode == 0, answer.stderr[-2000:]
    coefs, warned = json.loads(answer.stdout)
    return coefs, [tuple(each) for each in warned]


def truncate(folder: Path, suffix: str, share: Callable[[int], float]) -> list[Path]:
    """Cut the files of a kind to a share of their length, which may differ between them."""
    files = sorted(folder.rglob(f"*{suffix}"))
    assert files, "nothing was cached, so this test breaks nothing"
    for number, file in enumerate(files):
        data = file.read_bytes()
        file.write_bytes(data[: int(share(number) * len(data))])
    return files


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, object]:
    """A cache that one process has filled, and the answer of its fit."""
    folder = tmp_path_factory.mktemp("filled")
    answer, warned = run(ONE, NUMBA_CACHE_DIR=str(folder))
    assert warned == []
    return folder, answer


@pytest.mark.parametrize("share", [0.0, 0.5])
@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
def test_truncated_files_are_named_and_replaced(
    filled: tuple[Path, object], tmp_path: Path, suffix: str, share: float
) -> None:
    folder = tmp_path / "cache"
    shutil.copytree(filled[0], folder)
    broken = truncate(folder, suffix, lambda number: share)
    answer, warned = run(ONE, NUMBA_CACHE_DIR=str(folder))
    assert answer == filled[1]
    assert {category for category, _ in warned} == {"RuntimeWarning"}
    assert all("compiled again" in text and "NUMBA_CACHE_DIR" in text for _, text in warned)
    named = {file for file in broken for _, text in warned if str(file) in text}
    # what a broken index lists is forgotten with it; every kernel has an index of its own
    assert named == set(broken)
    assert run(ONE, NUMBA_CACHE_DIR=str(folder)) == (answer, [])


def test_files_of_another_version_are_replaced_without_a_word(
    filled: tuple[Path, object], tmp_path: Path
) -> None:
    folder = tmp_path / "cache"
    shutil.copytree(filled[0], folder)
    for file in folder.rglob("*.nbi"):
        # the version of numba stands first, then the index: here with a type that is gone
        with file.open("rb") as stream:
            version = pickle.load(stream)
        gone = b"csksparse._kernels._compiled\nNoSuchType\n."
        file.write_bytes(pickle.dumps(version) + gone)
    assert run(ONE, NUMBA_CACHE_DIR=str(folder)) == (filled[1], [])
    assert run(ONE, NUMBA_CACHE_DIR=str(folder)) == (filled[1], [])


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
def test_no_kernel_trips_over_a_truncated_file(tmp_path: Path, suffix: str) -> None:
    folder = str(tmp_path)
    expected, _ = run(MANY, NUMBA_CACHE_DIR=folder)
    truncate(tmp_path, suffix, lambda number: 0.0 if number % 2 else 0.5)
    answer, warned = run(MANY, NUMBA_CACHE_DIR=folder)
    assert answer == expected
    assert "RuntimeWarning" in {category for category, _ in warned}
    answer, warned = run(MANY, NUMBA_CACHE_DIR=folder)
    assert answer == expected
    assert "RuntimeWarning" not in {category for category, _ in warned}


def test_every_kernel_has_the_forgiving_cache() -> None:
    names = [path.stem for path in KERNELS.glob("*.py") if not path.stem.startswith("_")]
    functions = [
        function
        for name in names
        for function in vars(importlib.import_module(f"sksparse._kernels.{name}")).values()
        if isinstance(function, Dispatcher)
    ]
    assert len(functions) >= len(names)
    assert {type(function._cache) for function in functions} == {_compiled.ForgivingCache}


def test_without_a_place_for_files_fits_work_and_say_so_once(
    filled: tuple[Path, object], tmp_path: Path
) -> None:
    # A file where each directory should be: nobody can write there, not even root.
    (tmp_path / "file").write_text("")
    package = tmp_path / "sksparse"
    shutil.copytree(KERNELS.parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "_kernels" / "__pycache__").write_text("")
    nowhere = {name: str(tmp_path / "file" / "cache") for name in ("HOME", "XDG_CACHE_HOME")}
    answer, warned = run(ONE, NUMBA_CACHE_DIR="", PYTHONPATH=str(tmp_path), **nowhere)
    assert answer == filled[1]
    assert len(warned) == 1
    assert warned[0][0] == "RuntimeWarning"
    assert "NUMBA_CACHE_DIR" in warned[0][1]


def test_a_disk_that_fills_up_does_not_end_a_fit(
    filled: tuple[Path, object], tmp_path: Path
) -> None:
    full = (
        "(os := __import__('os'), caching := __import__('numba').core.caching, "
        "setattr(caching.IndexDataCacheFile, '_save_data', "
        f"lambda *_: os.write(os.open('/dev/full', os.O_WRONLY), b'1')), {ONE})[-1]"
    )
    if not Path("/dev/full").exists():
        pytest.skip("needs a device that is always full")
    answer, warned = run(full, NUMBA_CACHE_DIR=str(tmp_path))
    assert answer == filled[1]
    assert {category for category, _ in warned} == {"RuntimeWarning"}
    assert all("No space left" in text and "NUMBA_CACHE_DIR" in text for _, text in warned)
