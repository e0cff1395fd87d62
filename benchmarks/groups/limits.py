"""First fits, data that others fail on, and memory."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.processes import in_process, outcomes
from benchmarks.report import Report

from . import failures, first_fits, memory

N_ROWS = int(os.environ.get("GROUPS_MEMORY_ROWS", "2500000"))


def all_first_fits() -> dict[str, Any]:
    """Extra seconds by kind of fit."""
    return {name: first_fits.measure(name) for name in first_fits.KINDS}


def all_failures() -> dict[str, Any]:
    """Outcomes by solver and case."""
    found = {}
    for solver in failures.SOLVERS:
        python = os.environ.get("ADELIE_PYTHON") if solver == "adelie" else sys.executable
        if python is not None:
            found[solver] = outcomes(python, "groups/failures.py", solver, failures.CASES)
    return found


def fit_from_file() -> dict[str, Any]:
    """Seconds, memory and gap of a fit on a file."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file, alpha = memory.write(folder, N_ROWS)
        done = in_process(sys.executable, "groups/memory.py", str(file), repr(alpha), limit=3000)
        done.check_returncode()
        result = json.loads(done.stdout.splitlines()[-1])
        answer = np.load(folder / "answer.npz")
        gap = memory.relative_gap(folder, alpha, answer["coef"], float(answer["intercept"]))
        size = file.stat().st_size / 1e9
    return result | {"gap": float(f"{gap:.1e}"), "rows": N_ROWS, "size": round(size, 2)}


LIMITS = {"first fits": all_first_fits, "failures": all_failures, "memory": fit_from_file}


def describe_limits(report: Report, merged: dict[str, Any]) -> None:
    """A table for each."""
    if "first fits" in merged:
        report.note(
            "Seconds that the first fit of a process costs more than the median of the ones that "
            "follow, with all caches on disk; five processes, of skglm two:"
        )
        kinds = merged["first fits"]
        rows = [[name, f"{k['median']:.2f}", f"{k['largest']:.2f}"] for name, k in kinds.items()]
        report.table(["fit", "median", "largest"], rows)
    if "failures" in merged:
        report.note("Data that users have, 100 x 40 with groups of four, tolerances by default:")
        solvers = merged["failures"]
        rows = [[case, *(solvers[s][case] for s in solvers)] for case in failures.CASES]
        report.table(["case", *solvers], rows)
    if "memory" in merged:
        kept = merged["memory"]
        report.note(
            f"A read-only file of float32, {kept['rows']} x {memory.N_FEATURES} "
            f"({kept['size']:.1f} GB): `GroupLassoRegressor` takes {kept['seconds']:.0f} s and at "
            f"most {kept['memory']:.0f} MB of memory beyond the page cache, of which "
            f"{kept['before']:.0f} MB before the fit; relative gap {kept['gap']:.0e}."
        )
