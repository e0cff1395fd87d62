"""Sparse networks by default settings on tabular data, against dense and linear models.

Repeated stratified cross-validation; regression is on shuffled folds. Features are
standardised in a pipeline, the target of the regression as well.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LassoCV, LogisticRegression
from sklearn.model_selection import RepeatedKFold, RepeatedStratifiedKFold
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import LabelEncoder, StandardScaler

from sksparse.neural_network import SparseMLPClassifier, SparseMLPRegressor
from sksparse.sparsifiers import SPARSIFIERS

from .report import Report

N_FOLDS, N_REPEATS = 5, 2
#: With more features than this there are fewer folds.
WIDE, N_WIDE_FOLDS = 500, 3
SPARSITIES = (0.9, 0.95)


def run(report: Report) -> None:
    """All methods on all data sets; ``--rows`` names data sets."""
    sets = dict(datasets(report))
    merged = report.merge({}, sets)
    for name in sets if report.rows is None else report.rows:
        X, y, is_regression = sets[name]
        result = {
            method: evaluate(make, X, y, is_regression)
            for method, make in models(is_regression).items()
        }
        print(name, result, flush=True)
        merged = report.merge({name: result}, sets)
    report.note(
        "Mean test accuracy in percent (R² x 100 for diabetes) and its standard error over "
        f"{N_REPEATS} repetitions of {N_FOLDS} folds ({N_WIDE_FOLDS} with more than {WIDE} "
        "features), default settings throughout, one hidden layer of 100."
    )
    methods = list(models(False))
    for caption, cell in (
        ("Score:", lambda mean, error, _: f"{100 * mean:.1f} ± {100 * error:.1f}"),
        ("Median seconds of a fit:", lambda mean, error, seconds: f"{seconds:.2f}"),
    ):
        report.note(caption)
        rows = [
            [m, *(cell(*merged[name][m]) if m in merged[name] else "–" for name in merged)]
            for m in methods
        ]
        report.table(["model", *merged], rows)
    within = {
        method: sum(is_within(merged[name], method) for name in merged if method in merged[name])
        for method in methods
        if "90 %" in method
    }
    report.note(
        "Data sets on which a method at 90 % is within one standard error of the dense "
        f"network or better, of {len(merged)}: "
        + ", ".join(f"{m.removesuffix(', 90 %')} {n}" for m, n in within.items())
        + "."
    )


def is_within(results: dict[str, Any], method: str) -> bool:
    """Whether a method is no more than a standard error worse than scikit-learn's network."""
    mean, error, _ = results["dense MLP"]
    return bool(results[method][0] >= mean - max(error, results[method][1]))


def datasets(report: Report) -> Iterator[tuple[str, tuple[np.ndarray, np.ndarray, bool]]]:
    """Name, and features, targets and whether it is a regression."""
    for name, load in (
        ("breast cancer", load_breast_cancer),
        ("digits", load_digits),
        ("wine", load_wine),
    ):
        yield name, (*load(return_X_y=True), False)
    yield "diabetes", (*load_diabetes(return_X_y=True), True)
    if report.data is None:
        return
    for name in ("isolet", "pcmac", "leukemia"):
        data = report.load(f"{name}.npz")
        yield name, (data["X"].astype(np.float32), data["y"].astype(int), False)
    yield "mice protein", (*mice_protein(report), False)


def mice_protein(report: Report) -> tuple[np.ndarray, np.ndarray]:
    """Expression of 77 proteins, missing values replaced by the mean of their column."""
    if report.data is None:
        raise SystemExit("mice_protein.csv: name its folder with --data DIR")
    table = np.genfromtxt(report.data / "mice_protein.csv", delimiter=",", dtype=str, skip_header=1)
    X = np.genfromtxt(
        report.data / "mice_protein.csv", delimiter=",", skip_header=1, usecols=range(1, 78)
    )
    return np.where(np.isnan(X), np.nanmean(X, axis=0), X), LabelEncoder().fit_transform(
        table[:, -1]
    )


def models(is_regression: bool) -> dict[str, Callable[[int], BaseEstimator]]:
    """The models by name, each from a seed."""
    network = SparseMLPRegressor if is_regression else SparseMLPClassifier
    dense = MLPRegressor if is_regression else MLPClassifier
    boosting = HistGradientBoostingRegressor if is_regression else HistGradientBoostingClassifier

    def linear(seed: int) -> BaseEstimator:
        if is_regression:
            return LassoCV()
        return LogisticRegression(l1_ratio=1.0, solver="saga", tol=1e-2, random_state=seed)

    found: dict[str, Callable[[int], Any]] = {
        "dense MLP": lambda seed: dense(hidden_layer_sizes=(100,), random_state=seed),
        "L1 linear": linear,
        "gradient boosting": lambda seed: boosting(random_state=seed),
        "sksparse dense": lambda seed: network(sparsifier=None, random_state=seed),
    }
    for sparsity in SPARSITIES:
        for name in SPARSIFIERS:
            if name is not None:
                found[f"{name}, {100 * sparsity:.0f} %"] = lambda seed, n=name, s=sparsity: network(
                    sparsifier=n, target_sparsity=s, random_state=seed
                )
    return found


def evaluate(
    make: Callable[[int], BaseEstimator], X: np.ndarray, y: np.ndarray, is_regression: bool
) -> tuple[float, float, float]:
    """Mean score, its standard error, and the median seconds of a fit."""
    kind = RepeatedKFold if is_regression else RepeatedStratifiedKFold
    n_folds = N_WIDE_FOLDS if X.shape[1] > WIDE else N_FOLDS
    scores, seconds = [], []
    splits = kind(n_splits=n_folds, n_repeats=N_REPEATS, random_state=0).split(X, y)
    for seed, (train, test) in enumerate(splits):
        model = make_pipeline(StandardScaler(), make(seed))
        if is_regression:
            model = TransformedTargetRegressor(model, transformer=StandardScaler())
        start = time.perf_counter()
        with warnings.catch_warnings():
            # Defaults are compared; whether they end early is part of that.
            warnings.simplefilter("ignore")
            model.fit(X[train], y[train])
        seconds.append(time.perf_counter() - start)
        scores.append(model.score(X[test], y[test]))
    error = np.std(scores, ddof=1) / np.sqrt(len(scores))
    return float(np.mean(scores)), float(error), median(seconds)
