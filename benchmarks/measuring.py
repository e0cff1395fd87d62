"""Seconds that a solver takes to an accuracy: the loosest of its tolerances that reaches it.

It needs nothing but NumPy, so that peers in an interpreter of their own are measured by it too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

#: What is asked of a single fit and of a path: a kind of error and its largest value.
SINGLE_TARGETS = {"1e-4": ("gap", 1e-4), "1e-6": ("gap", 1e-6)}
PATH_TARGETS = {"gap": ("gap", 1e-6), "mean": ("mean", 1e-6)}

Answer = tuple[np.ndarray, np.ndarray]
#: Takes a problem, strengths and a tolerance.
Fit = Callable[[Any, np.ndarray, float], Answer]
#: Half decades, which every solver goes through.
LADDER = np.logspace(0, -18, 37)
#: A call is repeated until so many seconds are spent, or so often; a search along the ladder
#: of longer calls than the last does not look whether a looser tolerance would do for another seed.
LONG, REPETITIONS, VERY_LONG = 2.5, 5, 4.0


@dataclass
class Trial:
    """What came of a tolerance."""

    tol: float
    seconds: list[float]
    errors: dict[str, float]


class Ladder:
    """The trials of one solver on one problem.

    Parameters
    ----------
    problem : JudgedProblem
        The problem.
    alphas : ndarray
        Strengths: one for a single fit, many for a path.
    fit : callable
        The solver.
    reference : ndarray, default=None
        Objectives close to the least ones, for the mean accuracy.
    """

    def __init__(
        self, problem: Any, alphas: np.ndarray, fit: Fit, reference: np.ndarray | None = None
    ) -> None:
        self.problem = problem
        self.alphas = alphas
        self.fit = fit
        self.reference = reference
        self.trials: dict[int, Trial] = {}

    def at(self, rung: int) -> Trial:
        """Fit at a tolerance of the ladder, once, and judge the answer."""
        if rung not in self.trials:
            tol = float(LADDER[rung])
            seconds, answer = cpu_seconds(self.fit, self.problem, self.alphas, tol)
            self.trials[rung] = Trial(tol, [seconds], self._errors(answer))
        return self.trials[rung]

    def _errors(self, answer: Answer) -> dict[str, float]:
        coefs, intercepts = answer
        missing = len(self.alphas) - coefs.shape[1]
        # a solver that ends early, or whose numbers do, has not reached anything
        if missing or not (np.isfinite(coefs).all() and np.isfinite(intercepts).all()):
            return {"gap": np.inf, "mean": np.inf}
        objectives, gaps = self.problem.judge(self.alphas, coefs, intercepts)
        errors = {"gap": float(np.max(gaps / objectives))}
        if self.reference is not None:
            errors["mean"] = float(np.mean(objectives / self.reference - 1))
        return errors

    def loosest(self, kind: str, target: float, hint: int | None) -> int | None:
        """The first rung with an error of at most a target; bisection, from a hint if there is one.

        None where the end of the ladder does not reach it.
        """
        if hint is not None and self.at(hint).errors[kind] <= target:
            low, high = -1, hint
            if sum(self.at(hint).seconds) > VERY_LONG or hint == 0:
                return hint
            if self.at(hint - 1).errors[kind] > target:
                return hint
            high = hint - 1
        else:
            low, high = (-1 if hint is None else hint), None
        while high is None:
            step = 4 if hint is None else 1
            if low == len(LADDER) - 1:
                return None
            rung = min(low + step, len(LADDER) - 1)
            if self.at(rung).errors[kind] <= target:
                high = rung
            else:
                low = rung
        while high - low > 1:
            middle = (low + high) // 2
            if self.at(middle).errors[kind] <= target:
                high = middle
            else:
                low = middle
        return high

    def measure(
        self, targets: dict[str, tuple[str, float]], hints: dict[str, Any]
    ) -> dict[str, Any]:
        """For each target its seconds, tolerance and errors; hints are updated."""
        result = {}
        for name, (kind, target) in targets.items():
            rung = self.loosest(kind, target, hints.get(name))
            if rung is None:
                best = min(trial.errors[kind] for trial in self.trials.values())
                result[name] = {"seconds": None, "error": best}
                continue
            hints[name] = rung
            trial = self.at(rung)
            while len(trial.seconds) < REPETITIONS and sum(trial.seconds) < LONG:
                trial.seconds.append(cpu_seconds(self.fit, self.problem, self.alphas, trial.tol)[0])
            result[name] = {
                "seconds": round(float(np.median(trial.seconds)), 5),
                "tol": float(f"{trial.tol:.1e}"),
                "error": float(f"{trial.errors[kind]:.1e}"),
            }
        return result


def measure_seeds(
    problems: Iterable[Any], fit: Fit, references: Iterable[np.ndarray], *, path: bool
) -> list[dict[str, Any]]:
    """What a solver does on several data sets of a kind; the first shows where to search."""
    hints: dict[str, int] = {}
    results = []
    for problem, reference in zip(problems, references, strict=True):
        if path:
            ladder = Ladder(problem, problem.path, fit, reference)
            results.append(ladder.measure(PATH_TARGETS, hints))
        else:
            results.append(Ladder(problem, problem.single, fit).measure(SINGLE_TARGETS, hints))
    return results


def cpu_seconds(call: Callable[..., Any], *arguments: Any) -> tuple[float, Any]:
    """Seconds of the processor, and what the call returned."""
    start = time.process_time()
    returned = call(*arguments)
    return time.process_time() - start, returned
