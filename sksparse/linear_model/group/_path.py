"""Linear models of grouped features along a path of strengths."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sklearn.utils._param_validation import StrOptions, validate_params

from sksparse.linear_model._convex_path import fit_path
from sksparse.linear_model.group._classifier import GroupLassoClassifier
from sksparse.linear_model.group._options import (
    GRID_CONSTRAINTS,
    GROUP_CONSTRAINTS,
    LOSS_CONSTRAINTS,
)
from sksparse.linear_model.group._regression import REGRESSION_LOSSES
from sksparse.linear_model.group._regressor import GroupLassoRegressor
from sksparse.linear_model.group._task import GroupLassoPath

_CLASSES = ("logistic", "multinomial")


@validate_params(
    {
        **GROUP_CONSTRAINTS,
        **GRID_CONSTRAINTS,
        **LOSS_CONSTRAINTS,
        "loss": [StrOptions({*REGRESSION_LOSSES, *_CLASSES})],
        "class_weight": [dict, StrOptions({"balanced"}), None],
    },
    prefer_skip_nested_validation=True,
)
def group_lasso_path(
    X: Any,
    y: Any,
    groups: Any = None,
    *,
    loss: str = "squared",
    alphas: Any = 100,
    eps: float = 1e-3,
    l1_ratio: float = 0.0,
    l2: float = 0.0,
    penalty_weights: Any = None,
    missing_columns: str = "error",
    overlap: str = "error",
    positive: Any = False,
    bounds: Any = None,
    epsilon: float = 1.35,
    ties: str = "breslow",
    class_weight: Any = None,
    relax: bool = False,
    adaptive: Any = None,
    sample_weight: Any = None,
    fit_intercept: bool = True,
    max_iter: int = 100,
    tol: float = 1e-6,
    verbose: int = 0,
) -> GroupLassoPath:
    """Compute the group lasso at decreasing strengths of its penalty.

    For each ``alpha``, minimises the objective of :class:`GroupLassoRegressor` or, for classes, of
    :class:`GroupLassoClassifier`.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Features, float32 or float64, dense in any memory order or sparse; other types are
        converted. Never modified.
    y : array-like of shape (n_samples,) or (n_samples, n_targets)
        Targets, as in :class:`GroupLassoRegressor`; classes, of any type, for the log loss.
    groups : array-like of shape (n_features,), list, dict, "prefix", callable or None, default=None
        The groups of the features, as in :class:`GroupLassoRegressor`; names are those of the
        columns of a DataFrame.
    loss : {"squared", "huber", "poisson", "cox", "logistic", "multinomial"}, default="squared"
        The loss of a sample: "logistic" for two classes, "multinomial" for any number.
    alphas : int or array-like of float, default=100
        Strengths, or how many: these are spaced evenly in the logarithm from the smallest one at
        which nothing is selected down.
    eps : float, default=1e-3
        The smallest strength of such a grid, as a share of the largest.
    l1_ratio : float, default=0.0
        Share of the L1 norm, from 0 (group lasso) to 1 (lasso).
    l2 : float, default=0.0
        Strength of a ridge penalty, non-negative.
    penalty_weights : array-like of shape (n_groups,), default=None
        Factor of each group's norm, in the order of ``path.groups``. Zero means never penalised, by
        either norm, and always kept. None is the square root of the group's size.
    missing_columns : {"error", "ignore"}, default="error"
        What to do where ``groups`` names a column that X lacks.
    overlap : {"error", "latent"}, default="error"
        Whether a feature may be in several groups, as in :class:`GroupLassoRegressor`.
    positive : bool or array-like of shape (n_features,), default=False
        Features whose coefficient must not be negative, all or by a boolean mask.
    bounds : pair of float or array-like of shape (n_features,), default=None
        Lower and upper bounds of the coefficients, as in :class:`GroupLassoRegressor`.
    epsilon : float, default=1.35
        For ``loss="huber"``, the residual, in units of y, from which on the loss is linear.
    ties : {"breslow", "efron"}, default="breslow"
        For ``loss="cox"``, how events at the same time count.
    class_weight : dict or "balanced", default=None
        For classes, factors on the sample weights by class; "balanced" gives all the same total.
    relax : bool, default=False
        Fit once more, without the group penalty and the L1 norm, the features that are selected at
        each strength.
    adaptive : "ridge", estimator or None, default=None
        A pilot fit that says how much each group costs, as in :class:`GroupLassoRegressor`.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights; an integer weight equals so many repetitions of the sample.
    fit_intercept : bool, default=True
        Whether to fit an intercept, which is never penalised.
    max_iter : int, default=100
        Largest number of passes over the features for one strength.
    tol : float, default=1e-6
        As in :class:`GroupLassoRegressor`.
    verbose : int, default=0
        1 writes the first and last point, and in between at most a line a second; 2 writes each.

    Returns
    -------
    path : GroupLassoPath
        Coefficients, intercepts, losses, duality gaps, and norms of the groups.

    Raises
    ------
    ValueError
        For bad data or parameters; names the argument, its value and the remedy.

    Warns
    -----
    ConvergenceWarning
        When a fit did not reach ``tol``, a refit has no minimum, or the path was interrupted from
        the keyboard after a second or more. It is then shorter.

    See Also
    --------
    GroupLassoRegressorCV : Chooses among the fits of a path.
    alpha_max : The first strength of the grid.
    sksparse.inspection.RegularizationPathDisplay : Draws a path, by groups.

    Notes
    -----
    Every strength starts from the solution before it. The order of ``alphas`` does not matter.

    References
    ----------
    .. [1] M. Yuan and Y. Lin (2006). "Model selection and estimation in regression with grouped
       variables". Journal of the Royal Statistical Society B 68, 49-67.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sksparse.linear_model import group_lasso_path
    >>> X, y = load_diabetes(return_X_y=True)
    >>> groups = ["who", "who", "body", "body", *["blood"] * 6]
    >>> path = group_lasso_path(X, y, groups, alphas=6, eps=0.05)
    >>> path.groups.tolist()
    ['blood', 'body', 'who']
    >>> (path.group_norms > 0).sum(axis=0).tolist()
    [0, 1, 2, 2, 3, 3]
    """
    model = _model(
        loss,
        {"epsilon": epsilon, "ties": ties},
        {"class_weight": class_weight},
        groups=groups,
        l1_ratio=l1_ratio,
        l2=l2,
        penalty_weights=penalty_weights,
        missing_columns=missing_columns,
        overlap=overlap,
        positive=positive,
        bounds=bounds,
        relax=relax,
        adaptive=adaptive,
        fit_intercept=fit_intercept,
        max_iter=max_iter,
        tol=tol,
        verbose=verbose,
    )
    task = replace(model._pose(X, y, sample_weight).task, eps=eps)
    if loss == "logistic" and task.loss.n_outputs > 1:
        raise ValueError(
            f"loss='logistic' is for two classes, and y has {task.loss.n_outputs}; give "
            "loss='multinomial'."
        )
    return fit_path(task, alphas)


def _model(
    loss: str, of_losses: dict[str, Any], of_classes: dict[str, Any], **options: Any
) -> GroupLassoRegressor | GroupLassoClassifier:
    """The estimator of one strength whose objective is meant."""
    if loss in _CLASSES:
        return GroupLassoClassifier(**of_classes, **options)
    return GroupLassoRegressor(loss=loss, **of_losses, **options)
