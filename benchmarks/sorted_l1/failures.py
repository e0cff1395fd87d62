"""Data at the limits: whether a fit ends, and with the right answer.

``python failures.py SOLVER CASE ...`` fits them and prints what came of each.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np

SOLVERS = ("ours", "sortedl1")
CASES = (
    "X = identity",
    "y = 0",
    "constant y",
    "duplicated and negated columns",
    "one feature",
    "200 x 100000",
)
#: The tolerance of everybody, which the relative duality gap is held to.
TOL = 1e-6


def data_of(case: str) -> tuple[np.ndarray, np.ndarray]:
    """Features and targets."""
    rng = np.random.default_rng(0)
    n, p = (200, 100_000) if case == "200 x 100000" else (100, 40)
    X = np.asfortranarray(rng.standard_normal((n, p)))
    if case == "X = identity":
        X = np.asfortranarray(np.eye(n))
    elif case == "duplicated and negated columns":
        X[:, 20:30], X[:, 30:] = X[:, :10], -X[:, :10]
    elif case == "one feature":
        X = X[:, :1]
    y = X[:, 0] * 3 + rng.standard_normal(n)
    if case == "y = 0":
        y = np.zeros(n)
    elif case == "constant y":
        y = np.full(n, 3.0)
    return X, y


def outcome(fit: Any, case: str) -> str:
    """What came of a case."""
    from benchmarks.sorted_l1.problems import SortedProblem, weights_of

    X, y = data_of(case)
    problem = SortedProblem(X, y, weights_of("OSCAR", X.shape[1]))
    # where nothing is ever selected, any strength will do
    alpha = problem.alpha_max / 20 if np.ptp(y) > 0 else 0.1
    start = time.process_time()
    try:
        coefs, intercepts = fit(problem, np.array([alpha]), TOL)
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:60]}"
    seconds = time.process_time() - start
    if not (np.isfinite(coefs).all() and np.isfinite(intercepts).all()):
        return "coefficients are NaN"
    objectives, gaps = problem.judge(np.array([alpha]), coefs, intercepts)
    gap = float(gaps[0] / max(objectives[0], 1e-12))
    words = [f"gap {max(gap, 0.0):.0e}", f"{seconds:.2g} s"]
    if case == "duplicated and negated columns":
        apart = np.ptp(coefs.reshape(4, 10)[[0, 2, 3]] * np.array([[1], [1], [-1]]), axis=0).max()
        words.append(f"apart by {apart:.0e}" if apart > 0 else "tied")
    return f"{'right' if gap <= TOL else 'wrong'}: {', '.join(words)}"


def main(solver: str, cases: list[str]) -> None:
    """Print the outcomes of cases, a line each, after a fit that compiles."""
    from benchmarks.sorted_l1 import ours, problems, rivals

    fit = {"ours": ours.ours, "sortedl1": rivals.sortedl1}[solver]
    fit(problems.draw((60, 120), "OSCAR", 0), np.array([0.1]), TOL)
    for case in cases:
        print(f"{case}: {outcome(fit, case)}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
