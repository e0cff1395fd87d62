"""OSCAR and SLOPE along a path of strengths."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sklearn.utils._param_validation import StrOptions, validate_params

from sksparse.linear_model._convex_path import fit_path
from sksparse.linear_model.sorted_l1._options import (
    CLASS_CONSTRAINTS,
    LOSS_CONSTRAINTS,
    OSCAR_CONSTRAINTS,
    PATH_CONSTRAINTS,
    REGRESSION_LOSSES,
    SLOPE_CONSTRAINTS,
)
from sksparse.linear_model.sorted_l1._oscar import OSCAR
from sksparse.linear_model.sorted_l1._slope import SLOPE
from sksparse.linear_model.sorted_l1._slope_classifier import SLOPEClassifier
from sksparse.linear_model.sorted_l1._task import SLOPEPath

_CLASSES = ("logistic", "multinomial")


@validate_params(
    {**PATH_CONSTRAINTS, **OSCAR_CONSTRAINTS, **LOSS_CONSTRAINTS},
    prefer_skip_nested_validation=True,
)
def oscar_path(
    X: Any,
    y: Any,
    *,
    pairwise: float = 0.5,
    ranks: str | int = "auto",
    loss: str = "squared",
    alphas: Any = 100,
    eps: float = 1e-3,
    sample_weight: Any = None,
    fit_intercept: bool = True,
    max_iter: int = 100,
    tol: float = 1e-6,
    verbose: int = 0,
) -> SLOPEPath:
    """Compute OSCAR at decreasing strengths of its penalty.

    For each ``alpha``, minimises the objective of :class:`OSCAR`.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Features, float32 or float64, dense in any memory order or sparse; other types are
        converted. Never modified.
    y : array-like of shape (n_samples,)
        Targets.
    pairwise : float, default=0.5
        How far the weights fall, as a share of the largest: 0 is the lasso, 1 the pairwise term
        alone. Larger values tie more coefficients.
    ranks : {"auto", "all"} or int, default="auto"
        Over how many of the largest magnitudes the weights fall; further ones share the smallest
        weight. "all" is the number of features, as in the literature; "auto" is the same unless
        features outnumber the different samples with a weight: then half of the fall is over the
        first 10, and half over the rest.
    loss : {"squared", "poisson"}, default="squared"
        The loss of a sample: half the squared error, or half the Poisson deviance of counts with
        mean ``exp(x_i w + b)``.
    alphas : int or array-like of float, default=100
        Strengths, or how many: these are spaced evenly in the logarithm from the smallest one at
        which nothing is selected down.
    eps : float, default=1e-3
        The smallest strength of such a grid, as a share of the largest.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights; an integer weight equals so many repetitions of the sample.
    fit_intercept : bool, default=True
        Whether to fit an intercept, which is never penalised.
    max_iter : int, default=100
        Largest number of passes over the features for one strength.
    tol : float, default=1e-6
        As in :class:`OSCAR`.
    verbose : int, default=0
        1 writes the first and last point, and in between at most a line a second; 2 writes each.

    Returns
    -------
    path : SLOPEPath
        Coefficients, intercepts, losses, duality gaps, and numbers of clusters.

    Raises
    ------
    ValueError
        For bad data or parameters; names the argument, its value and the remedy.

    Warns
    -----
    ConvergenceWarning
        When a fit did not reach ``tol``, or the path was interrupted from the keyboard after a
        second or more. It is then shorter.

    See Also
    --------
    OSCARCV : Chooses among the fits of a path.
    OSCAR : One strength.
    slope_path : Other weights, and classes.
    sksparse.inspection.RegularizationPathDisplay : Draws a path.

    Notes
    -----
    Every strength starts from the solution before it. The order of ``alphas`` does not matter.

    References
    ----------
    .. [1] H. D. Bondell and B. J. Reich (2008). "Simultaneous regression shrinkage, variable
       selection, and supervised clustering of predictors with OSCAR". Biometrics 64, 115-123.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sksparse.linear_model import oscar_path
    >>> X, y = load_diabetes(return_X_y=True)
    >>> path = oscar_path(X, y, alphas=5)
    >>> path.n_features.tolist()
    [0, 6, 8, 10, 10]
    >>> path.n_clusters.tolist()
    [0, 5, 8, 9, 10]
    """
    model = OSCAR(
        pairwise=pairwise,
        ranks=ranks,
        loss=loss,
        fit_intercept=fit_intercept,
        max_iter=max_iter,
        tol=tol,
        verbose=verbose,
    )
    return _path(model, X, y, sample_weight, alphas, eps)


@validate_params(
    {
        **PATH_CONSTRAINTS,
        **SLOPE_CONSTRAINTS,
        **CLASS_CONSTRAINTS,
        "loss": [StrOptions({*REGRESSION_LOSSES, *_CLASSES})],
    },
    prefer_skip_nested_validation=True,
)
def slope_path(
    X: Any,
    y: Any,
    *,
    lambdas: Any = "bh",
    q: float = 0.1,
    pairwise: float = 0.5,
    ranks: str | int = "auto",
    loss: str = "squared",
    alphas: Any = 100,
    eps: float = 1e-3,
    class_weight: Any = None,
    sample_weight: Any = None,
    fit_intercept: bool = True,
    max_iter: int = 100,
    tol: float = 1e-6,
    verbose: int = 0,
) -> SLOPEPath:
    """Compute SLOPE at decreasing strengths of its penalty.

    For each ``alpha``, minimises the objective of :class:`SLOPE` or, for classes, of
    :class:`SLOPEClassifier`.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Features, float32 or float64, dense in any memory order or sparse; other types are
        converted. Never modified.
    y : array-like of shape (n_samples,)
        Targets; classes, of any type, for the log loss.
    lambdas : {"bh", "oscar", "lasso", "gaussian"} or array-like, default="bh"
        The weights: by Benjamini and Hochberg; falling evenly as those of :class:`OSCAR`; all 1;
        by Benjamini and Hochberg, corrected for the correlations by chance of Gaussian features.
        Or p weights, not negative, the largest first and positive, which are taken as they are.
    q : float, default=0.1
        Of "bh" and "gaussian": the share of false discoveries aimed at, between 0 and 1.
    pairwise : float, default=0.5
        Of "oscar": how far the weights fall, from 0 (the lasso) to 1.
    ranks : {"auto", "all"} or int, default="auto"
        Of "oscar": over how many of the largest magnitudes the weights fall, as in :class:`OSCAR`.
    loss : {"squared", "poisson", "logistic", "multinomial"}, default="squared"
        The loss of a sample: "logistic" for two classes, "multinomial" for any number.
    alphas : int or array-like of float, default=100
        Strengths, or how many: these are spaced evenly in the logarithm from the smallest one at
        which nothing is selected down.
    eps : float, default=1e-3
        The smallest strength of such a grid, as a share of the largest.
    class_weight : dict or "balanced", default=None
        For classes, factors on the sample weights by class; "balanced" gives all the same total.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights; an integer weight equals so many repetitions of the sample.
    fit_intercept : bool, default=True
        Whether to fit an intercept, which is never penalised.
    max_iter : int, default=100
        Largest number of passes over the features for one strength.
    tol : float, default=1e-6
        As in :class:`SLOPE`.
    verbose : int, default=0
        1 writes the first and last point, and in between at most a line a second; 2 writes each.

    Returns
    -------
    path : SLOPEPath
        Coefficients, intercepts, losses, duality gaps, and numbers of clusters.

    Raises
    ------
    ValueError
        For bad data or parameters; names the argument, its value and the remedy.

    Warns
    -----
    ConvergenceWarning
        When a fit did not reach ``tol``, or the path was interrupted from the keyboard after a
        second or more. It is then shorter.

    See Also
    --------
    SLOPECV : Chooses among the fits of a path.
    SLOPE : One strength.
    oscar_path : Weights that fall evenly.
    sksparse.inspection.RegularizationPathDisplay : Draws a path.

    Notes
    -----
    Every strength starts from the solution before it. The order of ``alphas`` does not matter.

    References
    ----------
    .. [1] M. Bogdan, E. van den Berg, C. Sabatti, W. Su and E. J. Candès (2015). "SLOPE - adaptive
       variable selection via convex optimization". Annals of Applied Statistics 9, 1103-1140.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sksparse.linear_model import slope_path
    >>> X, y = load_diabetes(return_X_y=True)
    >>> path = slope_path(X, y, alphas=5)
    >>> path.n_features.tolist()
    [0, 6, 8, 10, 10]
    """
    options = {
        "lambdas": lambdas,
        "q": q,
        "pairwise": pairwise,
        "ranks": ranks,
        "fit_intercept": fit_intercept,
        "max_iter": max_iter,
        "tol": tol,
        "verbose": verbose,
    }
    if loss not in _CLASSES:
        return _path(SLOPE(loss=loss, **options), X, y, sample_weight, alphas, eps)
    model = SLOPEClassifier(class_weight=class_weight, **options)
    return _path(model, X, y, sample_weight, alphas, eps, two=loss == "logistic")


def _path(
    model: OSCAR | SLOPE | SLOPEClassifier,
    X: Any,
    y: Any,
    sample_weight: Any,
    alphas: Any,
    eps: float,
    two: bool = False,
) -> SLOPEPath:
    """The path of an estimator of one strength; ``two`` refuses more classes than two."""
    task = replace(model._pose(X, y, sample_weight).task, eps=eps)
    if two and task.loss.n_outputs > 1:
        raise ValueError(
            f"loss='logistic' is for two classes, and y has {task.loss.n_outputs}; give "
            "loss='multinomial'."
        )
    path: SLOPEPath = fit_path(task, alphas)
    return path
