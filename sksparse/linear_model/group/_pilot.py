"""Pilot fits, whose coefficients say how much each group costs (the adaptive group lasso)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.utils.validation import has_fit_parameter

from sksparse._typing import Array
from sksparse.linear_model._criteria import sample_count
from sksparse.linear_model.group._task import GroupTask, Pilot


@dataclass(frozen=True)
class RidgePilot:
    """The model with a ridge in place of the group penalty.

    The strength of the ridge is ``v p / n`` for p columns of mean variance v and n samples, that is
    best where features count alike and explain as much as the noise. It vanishes with more samples,
    as consistent pilots need.

    Parameters
    ----------
    n_samples : float
        Number of samples that the weights stand for.
    """

    n_samples: float

    def __call__(self, task: GroupTask) -> Array:
        n_columns = task.design.n_features
        strength = float(task.variances.mean()) * n_columns / self.n_samples
        every = np.ones(n_columns, dtype=np.bool_)
        return task.base.groups.coef(task.free_fit(every, task.base.l2 + strength).coef)


@dataclass(frozen=True)
class EstimatorPilot:
    """Another estimator, fitted on the samples that have a weight.

    Parameters
    ----------
    estimator : estimator
        It gets ``coef_`` from a fit; a copy is fitted.
    X, y : array-like
        All samples, as they were checked.
    """

    estimator: Any
    X: Any
    y: Any

    def __call__(self, task: GroupTask) -> Array:
        if is_classifier(self.estimator) and not task.loss.for_classes:
            raise ValueError(
                f"adaptive={self.estimator!r} is a classifier, and the targets are no classes: "
                "give a regressor, or adaptive='ridge'."
            )
        weights = task.loss.weights
        rows = np.flatnonzero(weights > 0.0)
        used = weights[rows]
        options = {}
        if has_fit_parameter(self.estimator, "sample_weight"):
            options["sample_weight"] = used * (len(used) / used.sum())
        elif np.ptp(used) > 1e-12 * used.max():
            raise ValueError(
                f"adaptive={self.estimator!r} takes no sample_weight in fit, and the samples have "
                "weights that differ: give an estimator that takes them, or adaptive='ridge'."
            )
        fitted = clone(self.estimator).fit(self.X[rows], self.y[rows], **options)
        return self._coef(fitted, task)

    def _coef(self, fitted: Any, task: GroupTask) -> Array:
        try:
            coef = np.asarray(fitted.coef_, dtype=np.float64)
        except (AttributeError, TypeError, ValueError) as error:
            raise ValueError(
                f"adaptive={self.estimator!r} has no array coef_ after its fit: give a linear "
                "model, or adaptive='ridge'."
            ) from error
        if coef.ndim not in (1, 2) or coef.shape[-1] != task.base.groups.n_features:
            raise ValueError(
                f"adaptive={self.estimator!r} has a coef_ of shape {coef.shape} for "
                f"{task.base.groups.n_features} features: give a linear model of all of them."
            )
        if not np.isfinite(coef).all():
            raise ValueError(
                f"adaptive={self.estimator!r} has coefficients that are not finite: give a model "
                "that is regularised, such as adaptive='ridge'."
            )
        return coef


def make_pilot(adaptive: Any, X: Any, y: Any, counts: Array) -> Pilot | None:
    """The pilot fit that the parameter ``adaptive`` names.

    Parameters
    ----------
    adaptive : None, "ridge" or estimator
        As the user passed it.
    X, y : array-like
        Data as they were checked.
    counts : ndarray of shape (n_samples,)
        Sample weights as they were given.
    """
    if adaptive is None:
        return None
    if isinstance(adaptive, str):
        return RidgePilot(sample_count(counts))
    return EstimatorPilot(adaptive, X, y)
