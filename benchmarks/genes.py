"""Classification of tissues by at most ten genes: accuracy against abess and the L1 norm."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.feature_selection import VarianceThreshold
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import RepeatedStratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from sksparse.linear_model import L0ClassifierCV

from .report import Report

DATA = ("leukemia", "colon")
MOST = 10
REPEATS, FOLDS = 4, 5


class FewestByL1(ClassifierMixin, BaseEstimator):
    """L1 logistic regression at the weakest strength that leaves at most so many features.

    Parameters
    ----------
    most : int
        Largest number of features.
    """

    def __init__(self, most: int) -> None:
        self.most = most

    def fit(self, X: Any, y: Any) -> FewestByL1:
        """Fit along the path of strengths, down to the limit."""
        self.classes_ = np.unique(y)
        self.model_ = None
        for C in np.geomspace(1e-3, 10, 60):
            model = LogisticRegression(l1_ratio=1.0, C=C, solver="liblinear").fit(X, y)
            if np.count_nonzero(model.coef_) > self.most:
                break
            self.model_ = model
        self.coef_ = self.model_.coef_
        return self

    def predict(self, X: Any) -> Any:
        """Classes."""
        return self.model_.predict(X)


def run(report: Report) -> None:
    """Measure both data sets."""
    results = {}
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in DATA if report.rows is None else report.rows:
            arrays = report.load(f"{name}.npz")
            results[name] = measure(arrays["X"].astype(np.float64), arrays["y"])
            print(name, results[name], flush=True)
    merged = report.merge(results, DATA)
    report.note(
        f"Accuracy in percent, its standard error, and the mean number of genes, over {REPEATS} "
        f"repetitions of {FOLDS} stratified folds; at most {MOST} genes, standardised in the fold."
    )
    rows = [
        [
            model,
            *(f"{s[0]:.1f} ± {s[1]:.1f}, {s[2]:.1f}" for s in (merged[n][model] for n in merged)),
        ]
        for model in merged[DATA[0]]
    ]
    report.table(["model", *merged], rows)


def models() -> dict[str, Any]:
    """What is compared."""
    import abess

    sizes = range(1, MOST + 1)
    return {
        "L0ClassifierCV, defaults": L0ClassifierCV(max_features=MOST),
        "L0ClassifierCV, l2=0.1": L0ClassifierCV(max_features=MOST, l2=0.1),
        "L0ClassifierCV, l2=0.1, cv=5": L0ClassifierCV(max_features=MOST, l2=0.1, cv=5),
        "abess, default": abess.LogisticRegression(support_size=sizes),
        "abess, cv=5": abess.LogisticRegression(support_size=sizes, cv=5),
        "L1, at most 10": FewestByL1(MOST),
    }


def measure(X: np.ndarray, y: np.ndarray) -> dict[str, list[float]]:
    """Accuracy, standard error and number of features of each model."""
    y = np.unique(y, return_inverse=True)[1]
    splits = list(
        RepeatedStratifiedKFold(n_splits=FOLDS, n_repeats=REPEATS, random_state=0).split(X, y)
    )
    found: dict[str, list[float]] = {}
    for name, model in models().items():
        scores, sizes = [], []
        for train, test in splits:
            # abess refuses constant columns
            pipeline = make_pipeline(VarianceThreshold(), StandardScaler(), model)
            pipeline.fit(X[train], y[train])
            scores.append(float(np.mean(pipeline.predict(X[test]) == y[test])))
            sizes.append(int(np.count_nonzero(pipeline[-1].coef_)))
        error = np.std(scores, ddof=1) / np.sqrt(len(scores))
        found[name] = [round(100 * float(np.mean(scores)), 2), round(100 * float(error), 2)]
        found[name].append(round(float(np.mean(sizes)), 1))
    return found
