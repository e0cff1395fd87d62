"""Data that a user may well have, on which estimators of the group lasso fail.

``python failures.py SOLVER CASE ...`` fits them and prints what came of each; for adelie in its
own interpreter.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

SOLVERS = ("ours", "celer", "skglm", "adelie")
CASES = (
    "constant column",
    "group of zeros",
    "one feature",
    "float32 X",
    "integer X",
    "NaN in X",
    "y as a list",
    "integer y",
    "constant y",
    "pickling",
)
#: A fit is right where its relative duality gap is at most this.
RIGHT = 1e-2


def fit_ours(X: Any, y: Any, sizes: np.ndarray, alpha: float) -> Any:
    """Our estimator."""
    from sksparse.linear_model import GroupLassoRegressor

    return GroupLassoRegressor(alpha, np.repeat(np.arange(len(sizes)), sizes)).fit(X, y)


def fit_celer(X: Any, y: Any, sizes: np.ndarray, alpha: float) -> Any:
    """The one of celer."""
    from celer import GroupLasso

    return GroupLasso(sizes.tolist(), alpha=alpha, weights=np.sqrt(sizes)).fit(X, y)


def fit_skglm(X: Any, y: Any, sizes: np.ndarray, alpha: float) -> Any:
    """The one of skglm."""
    from skglm import GroupLasso

    return GroupLasso(sizes.tolist(), alpha=alpha, weights=np.sqrt(sizes)).fit(X, y)


def fit_adelie(X: Any, y: Any, sizes: np.ndarray, alpha: float) -> Any:
    """The one of adelie."""
    from adelie.sklearn import GroupElasticNet

    options = {"lmda_path": [alpha], "early_exit": False, "progress_bar": False}
    starts = np.concatenate(([0], np.cumsum(sizes)[:-1]))
    return GroupElasticNet().fit(X, y, groups=starts, **options)


def coefficients(model: Any) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients and intercept, as a path of one."""
    coef = model.coef_
    dense = coef if isinstance(coef, np.ndarray) else coef.toarray()
    return np.reshape(dense, (-1, 1)), np.reshape(model.intercept_, 1)


def outcome(fit: Callable[..., Any], case: str, problem: Any) -> str:
    """What came of a case: "right", or what went wrong."""
    X, y, sizes = data_of(case, problem)
    problem = replace(
        problem,
        X=np.asarray(X, dtype=np.float64),
        y=np.asarray(y, dtype=np.float64),
        sizes=sizes,
    )
    missing = case == "NaN in X"
    alpha = 0.1 if missing or case == "constant y" else float(problem.alpha_max / 4)
    try:
        model = fit(X, y, sizes, alpha)
        if case == "pickling":
            model = pickle.loads(pickle.dumps(model))
        answer = coefficients(model)
    except Exception as error:
        if missing and isinstance(error, ValueError):
            return "right: refused"
        return f"{type(error).__name__}: {str(error)[:60]}"
    if not (np.isfinite(answer[0]).all() and np.isfinite(answer[1]).all()):
        return "coefficients are NaN"
    if missing:
        return "fits as if nothing were missing"
    objectives, gaps = problem.judge(np.array([alpha]), *answer)
    relative = float(gaps[0] / max(objectives[0], 1e-12))
    return "right" if relative <= RIGHT else f"relative gap {relative:.1g}"


def data_of(case: str, problem: Any) -> tuple[Any, Any, np.ndarray]:
    """Features, targets and sizes of groups."""
    X, y, sizes = problem.X.copy(order="F"), problem.y, problem.sizes
    if case == "constant column":
        X[:, 3] = 1.0
    elif case == "group of zeros":
        X[:, : sizes[0]] = 0.0
    elif case == "one feature":
        X, sizes = X[:, :1], np.array([1])
    elif case == "float32 X":
        X = X.astype(np.float32, order="F")
    elif case == "integer X":
        X = np.round(10 * X).astype(int, order="F")
    elif case == "NaN in X":
        X[0, 0] = np.nan
    elif case == "y as a list":
        y = y.tolist()
    elif case == "integer y":
        y = np.round(10 * y).astype(int)
    elif case == "constant y":
        y = np.full(len(y), 3.0)
    return X, y, sizes


def main(solver: str, cases: list[str]) -> None:
    """Print the outcomes of cases, a line each."""
    from problems import draw

    fits = {"ours": fit_ours, "celer": fit_celer, "skglm": fit_skglm, "adelie": fit_adelie}
    for case in cases:
        result = outcome(fits[solver], case, draw((100, 40), (4, 4), 0))
        print(f"{case}: {result}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
