"""The problems, who solves them, and what is said of their times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarks import racing
from benchmarks.judged import LOWEST, N_POINTS, SINGLE, standardised
from benchmarks.measuring import Fit
from benchmarks.racing import Goal, Solvers
from benchmarks.report import Report

from .ours import group_solver, ours
from .problems import SortedProblem, draw, weights_of
from .rivals import skglm, sortedl1

N_SEEDS = 3
SHAPES = {
    "200x1000": (200, 1000),
    "200x5000": (200, 5000),
    "200x20000": (200, 20_000),
    "10000x500": (10_000, 500),
}
WIDEST, WEIGHTS = "200x20000", ("OSCAR", "BH")


@dataclass(frozen=True)
class Race:
    """A kind of problem: a planted one, or one on a file of the data folder.

    The steps of skglm take all features, so that only some of its fits take less than minutes; for
    the log loss it has no intercept.
    """

    weights: str
    shape: tuple[int, int] = (0, 0)
    logistic: bool = False
    file: str = ""
    skglm: tuple[bool, ...] = ()

    def problems(self, report: Report) -> list[SortedProblem]:
        """The data sets."""
        if self.file:
            X, y = standardised(report.load(self.file))
            return [SortedProblem(X, y, weights_of(self.weights, X.shape[1]))]
        return [
            draw(self.shape, self.weights, seed, logistic=self.logistic) for seed in range(N_SEEDS)
        ]


SQUARED = {f"{s}, {kind}": Race(kind, SHAPES[s]) for s in SHAPES for kind in WEIGHTS}
SQUARED |= {f"{s}, OSCAR": Race("OSCAR", SHAPES[s], skglm=(False,)) for s in SHAPES if s != WIDEST}
SQUARED |= {"200x1000, OSCAR": Race("OSCAR", SHAPES["200x1000"], skglm=(False, True))}
GENES = {
    f"{name}, {kind}": Race(kind, file=f"{name}.npz")
    for name in ("leukemia", "colon")
    for kind in WEIGHTS
}
LOGISTIC = {f"500x5000, logistic, {kind}": Race(kind, (500, 5000), True) for kind in WEIGHTS}
LASSO = {
    f"{s}, all weights equal": Race("lasso", SHAPES[s])
    for s in ("200x1000", "200x5000", "10000x500")
}
RACES = SQUARED | GENES | LOGISTIC | LASSO
GOALS = (
    Goal("squared loss, planted", tuple(SQUARED), ("sortedl1",), "sortedl1"),
    Goal("squared loss, genes", tuple(GENES), ("sortedl1",), "sortedl1"),
    Goal("squared loss", tuple(SQUARED | GENES), ("sortedl1",), "sortedl1"),
    Goal("squared loss", tuple(SQUARED | GENES), ("skglm",), "skglm, where it was run"),
    Goal("logistic", tuple(LOGISTIC), ("sortedl1",), "sortedl1"),
    Goal("lasso", tuple(LASSO), ("our group solver",), "our solver of groups, of one feature each"),
)


def solvers_of(kind: Race) -> Solvers:
    """Ours, and who else solves such a problem, for paths or single fits."""

    def named(path: bool) -> dict[str, Fit]:
        if kind.weights == "lasso":
            return {"ours": ours, "our group solver": group_solver}
        slow = {"skglm": skglm} if path in kind.skglm else {}
        return {"ours": ours, "sortedl1": sortedl1} | slow

    return named


def warm_up() -> None:
    """Compile, so that no measured fit does."""
    shapes = ((60, 120), (600, 60))
    kinds = [Race(weights, shape) for shape in shapes for weights in ("OSCAR", "lasso")]
    for kind in (*kinds, Race("OSCAR", shapes[0], True)):
        problem = draw(kind.shape, kind.weights, 0, logistic=kind.logistic)
        for path in (False, True):
            racing.warm_up(problem, solvers_of(kind)(path).values(), path=path)
    racing.warm_up(draw(shapes[0], "OSCAR", 0), [skglm], path=False)


def race(kind: Race, report: Report) -> dict[str, Any]:
    """Seconds of everybody, by kind of fit, solver and seed."""
    problems = kind.problems(report)
    references = racing.least_objectives(problems, ours)
    result = {"default": racing.largest_gaps(problems, ours)}
    return result | racing.race(problems, solvers_of(kind), references)


def describe_races(report: Report, merged: dict[str, Any]) -> None:
    """The tables, and what they say in ratios."""
    report.note(
        f"One thread, processor time, median of up to five calls after a warm-up, for {N_SEEDS} "
        "data sets each. Planted problems: normal features whose correlation is .6 to the power of "
        "their distance, four blocks of ten features with the coefficients 3, -2, 2 and -1, a "
        "signal of ten times the variance of the noise, an intercept. leukemia and colon have "
        "standardised genes and the classes for numbers. OSCAR: weights that fall linearly from 5 "
        "to 1; BH: quantiles of the normal distribution at q = .1. A single fit is at a strength "
        f"of 1/{SINGLE:.0f} of the one that selects nothing, a path has {N_POINTS} strengths down "
        f"to 1/{LOWEST:.0f} of it. Everybody solves the same objective on the same arrays in "
        "Fortran order, at the loosest of its own tolerances (half decades) that reaches the "
        "accuracy, which one function in plain NumPy judges. Ours are `SLOPE`, `SLOPEClassifier` "
        "and `slope_path`; sortedl1 is its `Slope` without scaling and without the rules that end "
        "a path early; skglm is its FISTA on centred data made before, warm along a path, where it "
        "does not take minutes."
    )
    racing.describe(report, merged, GOALS)
