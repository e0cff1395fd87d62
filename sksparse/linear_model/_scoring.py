"""Scores of the fits of a fold by a scorer of scikit-learn, in place of the loss."""

from __future__ import annotations

import warnings
from copy import copy
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy import sparse
from sklearn.utils.validation import _check_method_params

from sksparse._typing import Array
from sksparse.linear_model._base import Attributes, attributes_in, count_chosen
from sksparse.linear_model._classes import class_attributes
from sksparse.linear_model._cross_validation import Fold
from sksparse.linear_model._path_protocol import PathFits
from sksparse.linear_model._routing import takes
from sksparse.losses import Loss


class Readout(Protocol):
    """How the coefficients of the columns that a solver sees become fitted attributes."""

    def attributes(self, plain: Attributes) -> Attributes:
        """Fitted attributes of the family, from how those of coefficients of X are made."""

    def of_columns(self, coef: Array) -> Array:
        """Coefficients of columns that make those of features of X, on the last axis."""


@dataclass(frozen=True)
class CountedFeatures:
    """The columns are those of X, and what is chosen is counted.

    Parameters
    ----------
    penalty_weights : array-like of shape (n_features,) or None, default=None
        As of the estimator.
    """

    penalty_weights: Any = None

    def attributes(self, plain: Attributes) -> Attributes:
        """The attributes, and the number of features chosen."""
        return lambda coef, intercept: {
            "n_features_": count_chosen(coef, self.penalty_weights),
            **plain(coef, intercept),
        }

    def of_columns(self, coef: Array) -> Array:
        """The same."""
        return coef


@dataclass(frozen=True)
class NegativeScores:
    """Negative scores of the fits of a fold on its test samples: errors, of which less is better.

    Parameters
    ----------
    scoring : str or callable
        What the user calls the scorer.
    scorer : callable
        As in scikit-learn.
    model : estimator
        One that is not fitted, of the family that fits one point.
    X, y : array-like
        All samples.
    options : dict
        Options of the scorer, for all samples.
    readout : Readout
        What coefficients mean.
    classes : ndarray of shape (n_classes,) or None, default=None
        All classes, of a classifier.
    """

    scoring: Any
    scorer: Any
    model: Any
    X: Any
    y: Any
    options: dict[str, Any]
    readout: Readout
    classes: Any = None

    def __call__(self, fits: PathFits, fold: Fold) -> Array:
        points = [fits.at(point) for point in range(len(fits))]
        return -self._numbers(self._score(points, fold))

    def check(self, folds: list[Fold], loss: Loss) -> None:
        """Refuse a score that is not defined on the test samples of a fold, before any work."""
        for fold in folds:
            simple = self._simple_model(fold, loss)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    scores, reason = self._score([simple], fold), ""
                except (TypeError, ValueError) as error:
                    scores, reason = [np.nan], f" ({error})"
            if np.isnan(self._numbers(scores)).any():
                raise ValueError(
                    f"scoring={self.scoring!r} is not defined on the test samples of {fold.name}"
                    f"{self._content(fold)}{reason}; {self._remedy(reason)}."
                )

    def _simple_model(self, fold: Fold, loss: Loss) -> tuple[Array, Any]:
        """A model with predictions that differ, as correlations need, or probabilities that do."""
        coef = np.zeros(self.X.shape[1])
        if self.classes is None:
            largest = abs(self.X[fold.rows]).max(axis=0)
            size = np.ravel(largest.toarray() if sparse.issparse(largest) else largest)
            # no prediction is far from the best constant, whatever the scale of a column
            np.divide(1.0, len(coef) * size, out=coef, where=size > 0)
            coef, constant = self.readout.of_columns(coef), fold.training_loss(loss).best_constant()
            return (coef if loss.n_outputs == 1 else np.tile(coef, (loss.n_outputs, 1))), constant
        coef, known = self.readout.of_columns(coef), len(self._classes_of(fold))
        return (coef, 1.0) if known == 2 else (np.tile(coef, (known, 1)), np.arange(known))

    def _content(self, fold: Fold) -> str:
        if self.classes is None:
            return ""
        return f", which hold the classes {np.unique(self.y[fold.rows]).tolist()}"

    def _remedy(self, reason: str) -> str:
        if "pos_label" in reason:
            return (
                "give classes 0 and 1, or make_scorer with the pos_label that is meant, or another "
                "scoring (None is the loss of the model)"
            )
        splits = "fewer folds" if self.classes is None else "stratified splits, fewer folds"
        return f"give {splits}, or another scoring (None is the loss of the model)"

    def _classes_of(self, fold: Fold) -> Any:
        return self.classes if fold.classes is None else self.classes[fold.classes]

    def _score(self, points: list[tuple[Array, Any]], fold: Fold) -> list[Any]:
        X, y = self.X[fold.rows], self.y[fold.rows]
        options = _check_method_params(self.X, self.options, indices=fold.rows)
        scorer = self._scorer_of(fold)
        return [scorer(self._fitted(*point, fold), X, y, **options) for point in points]

    def _numbers(self, scores: list[Any]) -> Array:
        try:
            return np.array([float(score) for score in scores])
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"scoring={self.scoring!r} must return a number; got {scores[0]!r}."
            ) from error

    def _scorer_of(self, fold: Fold) -> Any:
        probabilities = getattr(self.scorer, "_response_method", "") == "predict_proba"
        if self.classes is None or not probabilities or not takes(self.scorer, "labels"):
            return self.scorer
        # a test part may lack a class
        scorer = copy(self.scorer)
        scorer._kwargs = {"labels": self._classes_of(fold), **scorer._kwargs}
        return scorer

    def _fitted(self, coef: Array, intercept: Any, fold: Fold) -> Any:
        double = np.dtype(np.float64)
        if self.classes is None:
            plain = attributes_in(double)
        else:
            plain = class_attributes(self._classes_of(fold), double)
        model = copy(self.model)
        attributes = self.readout.attributes(plain)(coef, intercept)
        model._adopt({"n_features_in_": self.X.shape[1], **attributes})
        return model
