"""The top of a useful grid of strengths."""

from __future__ import annotations

from typing import Any

from sklearn.base import clone

from sksparse.linear_model._convex_path import ConvexEstimatorMixin


def alpha_max(estimator: Any, X: Any, y: Any, sample_weight: Any = None) -> float:
    """Compute the smallest strength at which an estimator selects nothing.

    That is the smallest ``alpha`` at which the coefficients that minimise the objective of the
    estimator are zero, but for those that are never penalised. A grid for a search starts there,
    as ``numpy.geomspace(alpha_max(model, X, y), 1e-3 * alpha_max(model, X, y), 20)``.

    Parameters
    ----------
    estimator : estimator
        An estimator of the group lasso family, or :class:`OSCAR`, :class:`SLOPE` or
        :class:`GrOWL` and what chooses their strength, fitted or not; its ``alpha`` does not
        matter. It is not changed.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Features as the estimator gets them: in a pipeline, those that the steps before it make.
    y : array-like of shape (n_samples,) or (n_samples, n_targets)
        Targets.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights; an integer weight equals so many repetitions of the sample.

    Returns
    -------
    alpha_max : float
        The strength, in the units of ``alpha``, up to a share of 1e-10; 0, or rounding, where
        nothing is selected at any, as for a constant target. A path then starts at 1.

    Raises
    ------
    ValueError
        For an estimator without a convex penalty, and for bad data or parameters.

    See Also
    --------
    group_lasso_path : Fits from this strength down.
    slope_path : The same for sorted L1 norms.

    Notes
    -----
    It is the dual norm of the penalty at the gradient of the loss, at the fit of what is never
    penalised: the intercept, and groups of weight zero.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sksparse.linear_model import GroupLassoRegressor, alpha_max
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = GroupLassoRegressor(groups=[0, 0, 1, 1, 2, 2, 2, 2, 2, 2])
    >>> highest = alpha_max(model, X, y)
    >>> model.set_params(alpha=1.01 * highest).fit(X, y).selected_groups_.tolist()
    []
    >>> model.set_params(alpha=0.99 * highest).fit(X, y).selected_groups_.tolist()
    [1]
    """
    if not isinstance(estimator, ConvexEstimatorMixin):
        raise ValueError(
            f"{type(estimator).__name__} has no strength of a convex penalty: give an estimator of "
            "the group lasso family, OSCAR, SLOPE or GrOWL; of a pipeline, its last step, and X as "
            "the steps before it make it."
        )
    copy = clone(estimator)
    copy._validate_params()
    return copy._pose(X, y, sample_weight).task.alpha_max
