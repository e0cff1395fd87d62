"""Folds of a classifier: what to do where a part lacks a class."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from sksparse._typing import Array
from sksparse.linear_model._classes import log_loss
from sksparse.linear_model._cross_validation import Fold
from sksparse.losses import Loss


class ClassSearchMixin:
    """What a search of a classifier compares: the log loss, on the classes that a fold knows."""

    _loss_name = "log loss"
    _error_per_loss = 1.0

    classes_: Any
    score_path_: Array

    def _usable(self, folds: list[Fold], loss: Loss) -> list[Fold]:
        return with_known_classes(folds, self.classes_, loss.y) if folds else folds

    def _store_losses(self, errors: Array) -> None:
        self.score_path_ = -errors


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
            stacklevel=5,
        )
    return kept


def _restricted(fold: Fold, known: Any, codes: Array, test: Array, scored: Any) -> Fold:
    # a sample of another class has no weight, so its code does not matter
    among = np.minimum(np.searchsorted(known, codes), len(known) - 1).astype(np.float64)
    loss = log_loss(among, fold.train)
    return fold._replace(test=test, rows=fold.rows[scored], loss=loss, classes=known)
