"""The problems, who solves them, and what is said of their times."""

from __future__ import annotations

import json
import os
import pickle
import tempfile
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import racing
from benchmarks.judged import LOWEST, N_POINTS, SINGLE, standardised
from benchmarks.processes import in_process
from benchmarks.racing import Goal, Solvers
from benchmarks.report import Report

from .ours import ours
from .problems import GroupProblem, draw
from .rivals import rivals

N_SEEDS = 3


@dataclass(frozen=True)
class Race:
    """A kind of problem: a planted one, or the lasso on a file of the data folder."""

    shape: tuple[int, int] = (0, 0)
    sizes: tuple[int, int] = (1, 1)
    l1_ratio: float = 0.0
    logistic: bool = False
    file: str = ""

    def problems(self, report: Report) -> list[GroupProblem]:
        """The data sets."""
        if self.file:
            return [lasso_of(report.load(self.file))]
        planted = [
            draw(self.shape, self.sizes, seed, logistic=self.logistic) for seed in range(N_SEEDS)
        ]
        return [replace(problem, l1_ratio=self.l1_ratio) for problem in planted]


GROUP = {
    "1000x5000": Race((1000, 5000), (5, 10)),
    "500x20000": Race((500, 20_000), (10, 10)),
    "50000x500": Race((50_000, 500), (5, 5)),
}
SPARSE = {f"{name}, sparse group": replace(kind, l1_ratio=0.5) for name, kind in GROUP.items()}
LOGISTIC = {"1000x5000, logistic": Race((1000, 5000), (5, 5), logistic=True)}
LASSO = {f"{name}, lasso": Race(file=f"{name}.npz") for name in ("leukemia", "isolet")}
RACES = GROUP | SPARSE | LOGISTIC | LASSO
#: Family, its rows, the peers that count, and what is asked of ours.
GOALS = (
    Goal("group lasso", tuple(GROUP), ("adelie", "adelie, covariance"), "adelie"),
    Goal("group lasso", tuple(GROUP), ("celer", "skglm"), "celer and skglm"),
    Goal("sparse group lasso", tuple(SPARSE), ("skglm",), "skglm"),
    Goal("logistic", tuple(LOGISTIC), ("adelie", "skglm"), "the fastest of adelie and skglm"),
    Goal(
        "lasso",
        tuple(LASSO),
        ("sklearn", "celer", "skglm"),
        "the fastest of sklearn, celer and skglm",
    ),
)


def lasso_of(data: Any) -> GroupProblem:
    """The lasso with classes for numbers."""
    X, y = standardised(data)
    return GroupProblem(X, y, np.ones(X.shape[1], dtype=np.int64))


def solvers_of(problem: GroupProblem) -> Solvers:
    """Ours, and who else solves such a problem in this interpreter."""
    return lambda path: {"ours": ours, **rivals(problem, path=path)}


def warm_up() -> None:
    """Compile, so that no measured fit does."""
    kinds: list[Any] = []
    for shape in ((60, 120), (600, 60)):
        problem = draw(shape, (5, 5), 0)
        lasso = replace(problem, sizes=np.ones(shape[1], dtype=np.int64))
        kinds += [problem, replace(problem, l1_ratio=0.5), lasso]
        kinds += [draw(shape, (5, 5), 0, logistic=True)]
    for kind in kinds:
        for path in (False, True):
            racing.warm_up(kind, solvers_of(kind)(path).values(), path=path)


def race(kind: Race, report: Report) -> dict[str, Any]:
    """Seconds of everybody, by kind of fit, solver and seed."""
    problems = kind.problems(report)
    references = racing.least_objectives(problems, ours)
    result = {"default": racing.largest_gaps(problems, ours)}
    result |= racing.race(problems, solvers_of(problems[0]), references)
    if not kind.file and kind.l1_ratio == 0 and "ADELIE_PYTHON" in os.environ:
        for name, measured in adelie(kind, problems, references).items():
            solver, which = name.split("; ")
            result[which][solver] = measured
    return result


def adelie(kind: Race, problems: list[GroupProblem], references: list[np.ndarray]) -> Any:
    """What adelie does, by name and kind of fit, in its own interpreter."""
    listed = [{f.name: getattr(p, f.name) for f in fields(p)} for p in problems]
    common = {"problems": listed, "references": references, "fit": "naive"}
    tasks = {
        "adelie; single": common | {"path": False},
        "adelie; path": common | {"path": True},
    }
    if kind.shape[0] > kind.shape[1]:
        tasks["adelie, covariance; path"] = common | {"path": True, "fit": "covariance"}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "tasks.pickle"
        file.write_bytes(pickle.dumps(tasks))
        python = os.environ["ADELIE_PYTHON"]
        done = in_process(python, "groups/adelie_fits.py", str(file), limit=1800)
    done.check_returncode()
    return json.loads(done.stdout.splitlines()[-1])


def describe_races(report: Report, merged: dict[str, Any]) -> None:
    """The tables, and what they say in ratios."""
    report.note(
        f"One thread, processor time, median of up to five calls after a warm-up, for {N_SEEDS} "
        "data sets each. Planted problems: normal features whose correlation falls by half from "
        "one to the next, ten groups with normal coefficients, a signal of ten times the variance "
        "of the noise, an intercept; factors of groups are the roots of their sizes, 5 to 10 "
        "features each in 1000x5000, 10 in 500x20000, 5 in the others; the share of the L1 norm in "
        "the sparse group lasso is .5. leukemia and isolet have the classes for numbers and groups "
        f"of one. A single fit is at a strength of 1/{SINGLE:.0f} of the one that selects nothing, "
        f"a path has {N_POINTS} strengths down to 1/{LOWEST:.0f} of it. Everybody solves the same "
        "objective on the same arrays in Fortran order, at the loosest of its own tolerances (half "
        "decades) that reaches the accuracy, which one function in plain NumPy judges. Ours are "
        "`GroupLassoRegressor`, `GroupLassoClassifier` and `group_lasso_path`; skglm is called at "
        "its solvers, without its checks and copies, for the sparse group lasso on centred data "
        "made before; adelie in covariance mode gets its matrix within the time."
    )
    racing.describe(report, merged, GOALS)
