"""Best subset: loss at the same number of features, and time, against abess, OMP and MCP.

Every competitor fits in this process, on one thread, on the same arrays; its support is refitted
by least squares or unpenalised logistic regression, and what counts is the loss of the refit.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from sksparse.linear_model import L0Classifier, L0Regressor, l0_path

from .report import Report
from .subset_problems import HARDER, LOGISTIC, REGRESSION, Planted

PROBLEMS = REGRESSION | HARDER | LOGISTIC
N_SEEDS = 5
LONGEST_PATH, LONGEST_LOGISTIC = 50, 30
#: Every so many numbers of features abess's path is evaluated.
ABESS_EVERY = 10
#: Seconds after which a call is not repeated.
LONG = 1.0


def run(report: Report) -> None:
    """Measure the problems that are asked for, or all."""
    results = {}
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warm_up()
        for name in PROBLEMS if report.rows is None else report.rows:
            results[name] = measure(PROBLEMS[name])
            print(name, results[name], flush=True)
    merged = report.merge(results, PROBLEMS)
    report.note(
        f"One thread, medians over {N_SEEDS} seeds of the best of three repetitions. X is "
        "standardised and C-contiguous; a pass is one product of X^T with a vector, the floor of "
        "any method. Excess is the loss of the refitted support above the best known loss at the "
        "same number of features, in percent; planted counts the seeds in which the planted "
        "support, or one of lower loss, is found."
    )
    report.note("One number of features, the planted one:")
    report.table(*single_table(merged))
    report.note(
        f"The path of 1 to {LONGEST_PATH} ({LONGEST_LOGISTIC}) features; excess is the mean over "
        "the path. `effort=2` shows what a longer search still finds. abess returns one point of "
        f"its path only: it is measured at every {ABESS_EVERY}th number of features, by shorter "
        "paths:"
    )
    report.table(*path_table(merged))
    report.note(ratios(merged))


def single_table(merged: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Times, excess and recovery at one number of features."""
    names = ["ours", "abess", "abess, full", "OMP", "MCP"]
    header = ["problem", "pass", *(f"{n}: time, worst excess, planted" for n in names)]
    header.append("passes of ours")
    rows = []
    for problem, result in merged.items():
        cells = []
        for name in names:
            if name not in result["excess"]:
                cells.append("–")
                continue
            worst, found = max(result["excess"][name]), result["planted"][name]
            cells.append(f"{1e3 * result['seconds'][name]:.1f} ms, {worst:.2f} %, {found}")
        floor = result["seconds"]["pass"]
        passes = f"{result['seconds']['ours'] / floor:.0f}"
        rows.append([problem, f"{1e3 * floor:.2f} ms", *cells, passes])
    return header, rows


def path_table(merged: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Times and mean excess along the path."""
    names = ["ours", "ours, effort=2", "abess", "abess, full", "OMP"]
    rows = []
    for problem, result in merged.items():
        cells = []
        for name in names:
            if name not in result["path"]:
                cells.append("–")
                continue
            seconds, excess = result["seconds"][f"path {name}"], result["path"][name]
            cells.append(f"{1e3 * seconds:.0f} ms, {np.mean(excess):.3f} %")
        rows.append([problem, *cells])
    return ["problem", *(f"{n}: time, mean excess" for n in names)], rows


def ratios(merged: dict[str, Any]) -> str:
    """How many times faster than abess and OMP, as geometric means over the problems."""
    parts = []
    for other in ("abess", "OMP"):
        for prefix, label in (("", "one number"), ("path ", "path")):
            both = [r["seconds"] for n, r in merged.items() if f"{prefix}{other}" in r["seconds"]]
            logs = [np.log(s[f"{prefix}{other}"] / s[f"{prefix}ours"]) for s in both]
            if logs:
                least = np.exp(min(logs))
                parts.append(f"{other}, {label}: {np.exp(np.mean(logs)):.1f} (least {least:.2f})")
    return "Times faster, geometric mean over the problems: " + "; ".join(parts) + "."


def warm_up() -> None:
    """Compile, so that no measured fit does."""
    for planted in (Planted((60, 120), 0.5, 3), Planted((60, 120), 0.5, 3, classes=True)):
        X, y, _ = planted.draw(0)
        for fit in (*singles(planted).values(), *paths(planted).values()):
            fit(X, y, 3)


def measure(planted: Planted) -> dict[str, Any]:
    """Times and losses of every competitor, seed by seed."""
    longest = LONGEST_LOGISTIC if planted.classes else LONGEST_PATH
    seconds: dict[str, list[float]] = {}
    losses: dict[str, list[Any]] = {}
    for seed in range(N_SEEDS):
        X, y, features = planted.draw(seed)
        refit = partial(refit_logistic if planted.classes else refit_squared, X, y)
        seconds.setdefault("pass", []).append(best_time(lambda: X.T @ y)[0])  # noqa: B023
        losses.setdefault("planted", []).append(refit(features))
        for name, fit in singles(planted).items():
            elapsed, support = best_time(partial(fit, X, y, planted.k))
            seconds.setdefault(name, []).append(elapsed)
            losses.setdefault(name, []).append(refit(support))
        for name, fit in paths(planted).items():
            elapsed, supports = best_time(partial(fit, X, y, longest))
            seconds.setdefault(f"path {name}", []).append(elapsed)
            if "abess" in name:
                # its path returns the largest number only: shorter paths give the others
                for k in range(ABESS_EVERY, longest, ABESS_EVERY):
                    supports |= fit(X, y, k)
            values = {k: refit(support) for k, support in supports.items()}
            losses.setdefault(f"path {name}", []).append(values)
    return {
        "seconds": {name: round(float(np.median(s)), 5) for name, s in seconds.items()},
        "excess": single_excess(losses, planted.k),
        "path": path_excess(losses),
        "planted": {
            name: int(
                sum(a <= b * (1 + 1e-9) for a, b in zip(ours, losses["planted"], strict=True))
            )
            for name, ours in losses.items()
            if not name.startswith("path") and name != "planted"
        },
    }


def best_time(call: Callable[[], Any], repetitions: int = 3) -> tuple[float, Any]:
    """Shortest time of several calls, fewer where they are long, and what the last returned."""
    times: list[float] = []
    while len(times) < repetitions and sum(times) < LONG:
        start = time.perf_counter()
        result = call()
        times.append(time.perf_counter() - start)
    return min(times), result


def single_excess(losses: dict[str, list[Any]], k: int) -> dict[str, list[float]]:
    """Percent above the best known loss at k, for each seed."""
    names = [n for n in losses if not n.startswith("path")]
    best = np.min([losses[n] for n in names], axis=0)
    paths = [losses[n] for n in losses if n.startswith("path")]
    best = [min([b, *(p[i].get(k, b) for p in paths)]) for i, b in enumerate(best)]
    return {n: [percent(a, b) for a, b in zip(losses[n], best, strict=True)] for n in names}


def path_excess(losses: dict[str, list[Any]]) -> dict[str, list[float]]:
    """Percent above the best known loss, mean over the path, for each seed."""
    paths = {n.removeprefix("path "): v for n, v in losses.items() if n.startswith("path")}
    excess: dict[str, list[float]] = {name: [] for name in paths}
    for seed in range(N_SEEDS):
        values = [path[seed] for path in paths.values()]
        best = {k: min(v[k] for v in values if k in v) for k in values[0]}
        for name, path in paths.items():
            parts = [percent(value, best[k]) for k, value in path[seed].items()]
            excess[name].append(round(float(np.mean(parts)), 5))
    return excess


def percent(loss: float, best: float) -> float:
    """Excess in percent."""
    return round(100 * (loss / best - 1), 6)


def refit_squared(X: np.ndarray, y: np.ndarray, support: Any) -> float:
    """Mean squared error of the least-squares fit on a support."""
    A = np.column_stack((X[:, support], np.ones(len(y))))
    residual = y - A @ np.linalg.lstsq(A, y)[0]
    return float(residual @ residual) / len(y)


def refit_logistic(X: np.ndarray, y: np.ndarray, support: Any) -> float:
    """Mean log loss of the unpenalised logistic regression on a support."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss

    model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10, max_iter=200)
    model.fit(X[:, support], y)
    return float(log_loss(y, model.predict_proba(X[:, support])))


def singles(planted: Planted) -> dict[str, Callable[..., Any]]:
    """Fits with k features; each returns a support."""
    if planted.classes:
        return {
            "ours": lambda X, y, k: L0Classifier(max_features=k).fit(X, y).get_support(True),
            "abess": partial(abess_single, "LogisticRegression", {}),
            "abess, full": partial(abess_single, "LogisticRegression", {"important_search": 0}),
        }
    return {
        "ours": lambda X, y, k: L0Regressor(max_features=k).fit(X, y).get_support(True),
        "abess": partial(abess_single, "LinearRegression", {}),
        "abess, full": partial(abess_single, "LinearRegression", {"important_search": 0}),
        "OMP": omp_single,
        "MCP": mcp_single,
    }


def paths(planted: Planted) -> dict[str, Callable[..., Any]]:
    """Fits with 1 to K features; each returns a list of supports."""
    loss = "log" if planted.classes else "squared"
    kind = "LogisticRegression" if planted.classes else "LinearRegression"
    ours = {
        "ours": partial(ours_path, loss, 1),
        "ours, effort=2": partial(ours_path, loss, 2),
        "abess": partial(abess_path, kind, {}),
    }
    if planted.classes:
        return ours
    return ours | {
        "abess, full": partial(abess_path, kind, {"important_search": 0}),
        "OMP": omp_path,
    }


def ours_path(loss: str, effort: int, X: np.ndarray, y: np.ndarray, longest: int) -> Any:
    """Supports of l0_path."""
    sizes = np.arange(1, longest + 1)
    path = l0_path(X, y, max_features=sizes, loss=loss, effort=effort)
    return {k: np.flatnonzero(coef) for k, coef in zip(sizes.tolist(), path.coefs.T, strict=True)}


def abess_single(kind: str, options: dict[str, Any], X: Any, y: Any, k: int) -> Any:
    """Support of abess at one number of features."""
    import abess

    return np.flatnonzero(getattr(abess, kind)(support_size=k, **options).fit(X, y).coef_)


def abess_path(kind: str, options: dict[str, Any], X: Any, y: Any, longest: int) -> Any:
    """The path of abess, of which it returns the chosen number only: here the largest."""
    import abess

    sizes = range(1, longest + 1)
    model = getattr(abess, kind)(support_size=sizes, ic_type="loss", **options)
    return {longest: np.flatnonzero(model.fit(X, y).coef_)}


def omp_single(X: Any, y: Any, k: int) -> Any:
    """Support of scikit-learn's orthogonal matching pursuit, which refits by itself."""
    from sklearn.linear_model import OrthogonalMatchingPursuit

    return np.flatnonzero(OrthogonalMatchingPursuit(n_nonzero_coefs=k).fit(X, y).coef_)


def omp_path(X: Any, y: Any, longest: int) -> Any:
    """Supports of its path."""
    from sklearn.linear_model import orthogonal_mp

    coefs = orthogonal_mp(X, y - y.mean(), n_nonzero_coefs=longest, return_path=True)
    return {k: np.flatnonzero(coef) for k, coef in enumerate(coefs.T, start=1)}


def mcp_single(X: Any, y: Any, k: int) -> Any:
    """The k largest coefficients where the path of skglm's MCP first has so many."""
    from skglm.estimators import MCPRegression

    model = MCPRegression(gamma=3.0, fit_intercept=True, warm_start=True)
    largest = np.abs(X.T @ (y - y.mean())).max() / len(y)
    for alpha in largest * np.geomspace(0.95, 0.01, 40):
        model.set_params(alpha=alpha).fit(X, y)
        if np.count_nonzero(model.coef_) >= k:
            break
    return np.argsort(-np.abs(model.coef_))[:k]
