"""Folds of a classifier: what to do where a part lacks a class."""

from __future__ import annotations

import warnings
from copy import copy
from dataclasses import dataclass
from inspect import signature
from typing import Any

import numpy as np

from sksparse._typing import Array
from sksparse.linear_model._classes import log_loss
from sksparse.linear_model._cross_validation import Fold
from sksparse.linear_model._path_protocol import PathFits
from sksparse.linear_model.l0._classifier import L0Classifier


def with_known_classes(folds: list[Fold], classes: Any, codes: Array) -> list[Fold]:
    """Folds whose test parts hold only classes that their training parts hold.

    A fold that trains on some classes only is fitted and scored on these; one that trains on a
    single class, or keeps no test sample, is left out. Both cases are reported in a warning.

    Raises
    ------
    ValueError
        Where no fold is left.
    """
    kept, reasons = [], []
    for fold in folds:
        known = np.unique(codes[fold.train > 0]).astype(np.intp)
        if len(known) == len(classes):
            kept.append(fold)
            continue
        missing = np.delete(classes, known).tolist()
        reasons.append(f"{fold.name} has no training sample of the classes {missing}")
        scored = np.isin(codes[fold.rows], known)
        test = np.where(np.isin(codes, known), fold.test, 0.0)
        if len(known) > 1 and test.any():
            kept.append(_restricted(fold, known, codes, test / test.sum(), scored))
        else:
            reasons[-1] += " and is left out"
    advice = "give stratified splits, fewer folds, or merge rare classes"
    if not kept:
        raise ValueError(f"cv: {'; '.join(reasons)}: {advice}.")
    if reasons:
        warnings.warn(
            f"cv: {'; '.join(reasons)}. Such a fold is fitted and scored on the other classes; "
            f"{advice}.",
            UserWarning,
            stacklevel=3,
        )
    return kept


def _restricted(fold: Fold, known: Any, codes: Array, test: Array, scored: Any) -> Fold:
    # a sample of another class has no weight, so its code does not matter
    among = np.minimum(np.searchsorted(known, codes), len(known) - 1).astype(np.float64)
    loss = log_loss(among, fold.train)
    return fold._replace(test=test, rows=fold.rows[scored], loss=loss, classes=known)


@dataclass(frozen=True)
class NegativeScores:
    """Negative scores of the fits of a fold on its test samples.

    Parameters
    ----------
    classes : ndarray of shape (n_classes,)
        All classes.
    scorer : callable
        As in scikit-learn.
    X, y : array-like
        All samples.
    weights : ndarray of shape (n_samples,) or None
        Sample weights as they were given.
    """

    classes: Any
    scorer: Any
    X: Any
    y: Any
    weights: Array | None

    def __call__(self, fits: PathFits, fold: Fold) -> Array:
        return -np.array([self._score(*fit, fold) for fit in fits.each()], dtype=np.float64)

    def check(self, folds: list[Fold]) -> None:
        """Refuse a score that is not defined on the test samples of a fold, before any work."""
        for fold in folds:
            known = len(self.classes if fold.classes is None else fold.classes)
            outputs = 1 if known == 2 else known
            # a model without features whose classes differ in probability
            coef, intercept = np.zeros((outputs, self.X.shape[1])), np.arange(1.0, outputs + 1.0)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    value, reason = self._score(coef, intercept, fold), ""
                except ValueError as error:
                    value, reason = np.nan, f" ({error})"
            if np.isnan(value):
                present = np.unique(self.y[fold.rows]).tolist()
                raise ValueError(
                    f"scoring={self.scorer!r} is not defined on the test samples of {fold.name}, "
                    f"which hold the classes {present}{reason}; give stratified splits, fewer "
                    "folds, or another scoring (None is the log loss)."
                )

    def _score(self, coef: Array, intercept: Array, fold: Fold) -> float:
        model = L0Classifier()
        model.classes_ = self.classes if fold.classes is None else self.classes[fold.classes]
        model.n_features_in_ = self.X.shape[1]
        model.coef_, model.intercept_ = coef, intercept
        options: dict[str, Any] = {}
        if self.weights is not None and self._takes("sample_weight"):
            options["sample_weight"] = self.weights[fold.rows]
        scorer = self.scorer
        if self._takes("labels") and getattr(scorer, "_response_method", "") == "predict_proba":
            # a test part may lack a class
            scorer = copy(scorer)
            scorer._kwargs = {"labels": model.classes_, **scorer._kwargs}
        return float(scorer(model, self.X[fold.rows], self.y[fold.rows], **options))

    def _takes(self, option: str) -> bool:
        function = getattr(self.scorer, "_score_func", self.scorer)
        return option in signature(function).parameters
