"""Our fits against those of others on the same problems, and the tables of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from .judged import JudgedProblem
from .measuring import LADDER, Fit, Ladder, measure_seeds
from .report import Report

#: The tolerance of our paths whose objectives stand for the least ones, and our default.
TIGHT, DEFAULT = 1e-9, 1e-6
#: Kind of fit, its target, and the title of the table of times.
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
#: For a kind of fit, a path or not, the solvers by name.
Solvers = Callable[[bool], Mapping[str, Fit]]


class Goal(NamedTuple):
    """What is asked of ours."""

    family: str
    rows: tuple[str, ...]
    peers: tuple[str, ...]
    against: str


def least_objectives(problems: list[Any], ours: Fit) -> list[np.ndarray]:
    """Objectives along the paths, close to the least ones."""
    return [p.judge(p.path, *ours(p, p.path, TIGHT))[0] for p in problems]


def largest_gaps(problems: list[Any], ours: Fit) -> dict[str, float]:
    """Largest relative gaps at our default tolerance, of single fits and of paths."""
    rung = int(np.argmin(np.abs(LADDER - DEFAULT)))
    return {
        "single": max(_gap(Ladder(p, p.single, ours), rung) for p in problems),
        "path": max(_gap(Ladder(p, p.path, ours), rung) for p in problems),
    }


def _gap(ladder: Ladder, rung: int) -> float:
    return float(f"{ladder.at(rung).errors['gap']:.1e}")


def race(problems: list[Any], solvers: Solvers, references: list[np.ndarray]) -> dict[str, Any]:
    """Seconds of everybody, by kind of fit, solver and seed."""
    return {
        kind: {
            name: measure_seeds(problems, fit, references, path=path)
            for name, fit in solvers(path).items()
        }
        for kind, path in (("single", False), ("path", True))
    }


def warm_up(problem: JudgedProblem, fits: Iterable[Fit], *, path: bool) -> None:
    """Compile, so that no measured fit does."""
    for fit in fits:
        fit(problem, problem.path[::20] if path else problem.single, 1e-4)


def describe(report: Report, merged: dict[str, Any], aims: tuple[Goal, ...]) -> None:
    """The tables, and what they say in ratios."""
    for which, target, title in TABLES:
        report.note(title)
        report.table(*table(merged, which, target))
    report.note(
        "How many times faster ours is, geometric mean and least over all problems and data sets:"
    )
    report.table(["family", "against", *(which for which, _, _ in KINDS)], goals(merged, aims))
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


def goals(merged: dict[str, Any], aims: tuple[Goal, ...]) -> list[list[str]]:
    """Geometric means and least ratios of the fastest of some peers to ours."""
    rows = []
    for goal in aims:
        cells = []
        for _, which, target in KINDS:
            logs: list[float] = []
            for name in goal.rows:
                if name in merged:
                    logs += log_ratios(merged[name][which], goal.peers, target)
            ratio = f"{np.exp(np.mean(logs)):.2f} ({np.exp(min(logs)):.2f})" if logs else "–"
            cells.append(ratio)
        rows.append([goal.family, goal.against, *cells])
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
