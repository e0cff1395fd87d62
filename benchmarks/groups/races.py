"""The problems, who solves them, and the tables of their times."""

from __future__ import annotations

import json
import os
import pickle
import tempfile
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import Report

from .measuring import LADDER, Fit, Ladder, measure_seeds
from .ours import ours
from .problems import LOWEST, N_POINTS, SINGLE, GroupProblem, draw
from .processes import in_process
from .rivals import rivals

N_SEEDS = 3
#: The tolerance of our paths whose objectives stand for the least ones, and our default.
TIGHT, DEFAULT = 1e-9, 1e-6


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
    ("group lasso", GROUP, ("adelie", "adelie, covariance"), "adelie"),
    ("group lasso", GROUP, ("celer", "skglm"), "celer and skglm"),
    ("sparse group lasso", SPARSE, ("skglm",), "skglm"),
    ("logistic", LOGISTIC, ("adelie", "skglm"), "the fastest of adelie and skglm"),
    ("lasso", LASSO, ("sklearn", "celer", "skglm"), "the fastest of sklearn, celer and skglm"),
)
TABLES = (
    ("single", "1e-4", "Single fit, to a relative gap of 1e-4; milliseconds, seed by seed:"),
    ("single", "1e-6", "Single fit, to a relative gap of 1e-6:"),
    ("path", "gap", "Path, to a relative gap of at most 1e-6 at every strength:"),
    (
        "path",
        "mean",
        "Path, to objectives that are above the least ones by 1e-6 in the mean over the strengths:",
    ),
)
#: Headings of the ratios.
KINDS = (
    ("single, gap 1e-4", "single", "1e-4"),
    ("single, gap 1e-6", "single", "1e-6"),
    ("path, maximal gap", "path", "gap"),
    ("path, mean accuracy", "path", "mean"),
)


def lasso_of(data: Any) -> GroupProblem:
    """The lasso with classes for numbers; features that vary are standardised."""
    X = np.asarray(data["X"], dtype=np.float64)
    y = np.unique(data["y"], return_inverse=True)[1].astype(np.float64)
    X = X[:, X.std(axis=0) > 0]
    X = np.asfortranarray((X - X.mean(axis=0)) / X.std(axis=0))
    return GroupProblem(X, y, np.ones(X.shape[1], dtype=np.int64))


def warm_up() -> None:
    """Compile, so that no measured fit does."""
    for shape in ((60, 120), (600, 60)):
        problem = draw(shape, (5, 5), 0)
        lasso = replace(problem, sizes=np.ones(shape[1], dtype=np.int64))
        logistic = draw(shape, (5, 5), 0, logistic=True)
        for kind in (problem, replace(problem, l1_ratio=0.5), lasso, logistic):
            for path in (False, True):
                alphas = kind.path[::20] if path else kind.single
                for fit in (ours, *rivals(kind, path=path).values()):
                    fit(kind, alphas, 1e-4)


def race(kind: Race, report: Report) -> dict[str, Any]:
    """Seconds of everybody, by kind of fit, solver and seed."""
    problems = kind.problems(report)
    references, default = [], {"single": 0.0, "path": 0.0}
    for problem in problems:
        coefs, intercepts = ours(problem, problem.path, TIGHT)
        references.append(problem.judge(problem.path, coefs, intercepts)[0])
        for name, alphas in (("single", problem.single), ("path", problem.path)):
            rung = int(np.argmin(np.abs(LADDER - DEFAULT)))
            error = Ladder(problem, alphas, ours).at(rung).errors["gap"]
            default[name] = max(default[name], float(f"{error:.1e}"))
    result: dict[str, Any] = {"default": default}
    for path in (False, True):
        solvers: dict[str, Fit] = {"ours": ours, **rivals(problems[0], path=path)}
        result["path" if path else "single"] = {
            name: measure_seeds(problems, fit, references, path=path)
            for name, fit in solvers.items()
        }
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
        done = in_process(python, "adelie_fits.py", str(file), limit=1800)
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
    for which, target, title in TABLES:
        report.note(title)
        report.table(*table(merged, which, target))
    report.note(
        "How many times faster ours is, geometric mean and least over all problems and data sets:"
    )
    report.table(["family", "against", *(which for which, _, _ in KINDS)], goals(merged))
    report.note(
        "Largest relative gap of ours at the default `tol=1e-6`: "
        + "; ".join(
            f"{name}: {row['default']['single']:.1e} single, {row['default']['path']:.1e} path"
            for name, row in merged.items()
        )
        + "."
    )


def table(merged: dict[str, Any], which: str, target: str) -> tuple[list[str], list[list[str]]]:
    """Milliseconds of everybody at one target."""
    names = list(dict.fromkeys(name for row in merged.values() for name in row[which]))
    rows = [
        [problem, *(cell(row[which].get(name), target) for name in names)]
        for problem, row in merged.items()
    ]
    return ["problem", *names], rows


def cell(measured: list[dict[str, Any]] | None, target: str) -> str:
    """Milliseconds for each seed."""
    if measured is None:
        return "–"
    return ", ".join(
        f"not reached ({m[target]['error']:.0e})"
        if m[target]["seconds"] is None
        else f"{1e3 * m[target]['seconds']:.0f}"
        if m[target]["seconds"] >= 0.1
        else f"{1e3 * m[target]['seconds']:.1f}"
        for m in measured
    )


def goals(merged: dict[str, Any]) -> list[list[str]]:
    """Geometric means and least ratios of the fastest of some peers to ours."""
    rows = []
    for family, names, peers, title in GOALS:
        cells = []
        for _, which, target in KINDS:
            logs: list[float] = []
            for name in names:
                if name in merged:
                    logs += log_ratios(merged[name][which], peers, target)
            ratio = f"{np.exp(np.mean(logs)):.2f} ({np.exp(min(logs)):.2f})" if logs else "–"
            cells.append(ratio)
        rows.append([family, title, *cells])
    return rows


def log_ratios(
    row: dict[str, list[dict[str, Any]]], peers: tuple[str, ...], target: str
) -> list[float]:
    """Logarithms of the time of the fastest peer over ours, for each seed."""
    logs = []
    for seed, mine in enumerate(row["ours"]):
        times = [row[peer][seed][target]["seconds"] for peer in peers if peer in row]
        reached = [seconds for seconds in times if seconds is not None]
        if reached and mine[target]["seconds"] is not None:
            logs.append(float(np.log(min(reached) / mine[target]["seconds"])))
    return logs
