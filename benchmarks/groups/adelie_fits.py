"""adelie's fits, measured in its own interpreter, since it needs numpy < 2.

``python adelie_fits.py FILE`` reads tasks from a pickle and prints its results as JSON.
"""

from __future__ import annotations

import json
import pickle
import sys
from typing import Any

import numpy as np


def naive(problem: Any, alphas: np.ndarray, tol: float) -> Any:
    """grpnet on the features as they are."""
    import adelie

    kind = adelie.glm.binomial if problem.logistic else adelie.glm.gaussian
    target = np.where(problem.y > 0, 1.0, 0.0) if problem.logistic else problem.y
    further = {"irls_tol": tol, "adev_tol": 1.0}
    state = adelie.grpnet(problem.X, kind(target), **further, **options(problem, alphas, tol))
    return state.betas.toarray().T, np.asarray(state.intercepts)


def covariance(problem: Any, alphas: np.ndarray, tol: float) -> Any:
    """gaussian_cov on the covariance matrix, which is computed here."""
    import adelie

    n = len(problem.y)
    means = problem.X.mean(axis=0)
    level = problem.y.mean()
    A = np.asfortranarray(problem.X.T @ problem.X / n - np.outer(means, means))
    v = problem.X.T @ (problem.y - level) / n
    state = adelie.gaussian_cov(A, v, rdev_tol=0.0, **options(problem, alphas, tol))
    coefs = state.betas.toarray().T
    return coefs, level - means @ coefs


def options(problem: Any, alphas: np.ndarray, tol: float) -> dict[str, Any]:
    """What both take."""
    return {
        "groups": problem.starts,
        "penalty": problem.weights,
        "lmda_path": alphas,
        "tol": tol,
        "early_exit": False,
        "progress_bar": False,
        "n_threads": 1,
    }


def main(file: str) -> None:
    """Measure what the file lists, seed by seed."""
    from problems import GroupProblem

    from benchmarks.measuring import measure_seeds

    with open(file, "rb") as stream:
        tasks = pickle.load(stream)
    fits = {"naive": naive, "covariance": covariance}
    results = {}
    for name, task in tasks.items():
        problems = [GroupProblem(**fields) for fields in task["problems"]]
        kind = fits[task["fit"]]
        results[name] = measure_seeds(problems, kind, task["references"], path=task["path"])
    print(json.dumps(results))


if __name__ == "__main__":
    main(sys.argv[1])
