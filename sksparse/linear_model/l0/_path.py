"""Best subsets along a grid of numbers of features or of penalties per feature."""

from __future__ import annotations

from dataclasses import replace
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions, validate_params
from sklearn.utils.validation import check_X_y

from sksparse._interrupts import interruptible
from sksparse._typing import Array
from sksparse._validation import check_weights, targets_of_one_type, warn_unless_converged
from sksparse.linear_model._classes import check_classes, log_loss
from sksparse.linear_model._criteria import sample_count
from sksparse.linear_model._path_protocol import Grid, PathFits
from sksparse.linear_model._ridge import Ridge, check_ridge
from sksparse.linear_model.l0._grid import check_limits, make_grid
from sksparse.linear_model.l0._path_result import L0Path
from sksparse.linear_model.l0._task import SubsetTask
from sksparse.losses import LOSSES, Loss

_LOSSES_OF_NUMBERS = {
    name for name, kind in LOSSES.items() if kind.exact_curvature and not kind.for_classes
}


@validate_params(
    {
        "max_features": [Interval(Integral, 0, None, closed="left"), "array-like", None],
        "alphas": [Interval(Integral, 1, None, closed="left"), "array-like", None],
        "loss": [StrOptions({"log", *_LOSSES_OF_NUMBERS})],
        "l1": [Interval(Real, 0, None, closed="left")],
        "l2": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "positive": ["boolean", "array-like"],
        "penalty_weights": ["array-like", None],
        "fit_intercept": ["boolean"],
        "effort": [Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
    },
    prefer_skip_nested_validation=True,
)
def l0_path(
    X: Any,
    y: Any,
    *,
    max_features: Any = None,
    alphas: Any = None,
    loss: str = "squared",
    l1: float = 0.0,
    l2: Any = "auto",
    positive: Any = False,
    penalty_weights: Any = None,
    sample_weight: Any = None,
    fit_intercept: bool = True,
    effort: int = 1,
    max_iter: int = 100,
    tol: float = 1e-8,
    verbose: int = 0,
) -> L0Path:
    """Compute the best subsets along increasing numbers of features.

    For each number of features k, or for each penalty per feature alpha, minimises over
    coefficients w and intercept b, with s the sample weights::

        1 / (sum_i s_i) * sum_i s_i loss(y_i, x_i w + b) + l1 * ||w||_1 + l2 / 2 * ||w||_2^2

    with at most k features, or plus ``alpha * sum_{j: w_j != 0} penalty_weights_j``. The loss is
    half the squared error, the log loss, or half the Poisson deviance.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Features, float32 or float64, dense in any memory order or sparse; other types are
        converted. Never modified.
    y : array-like of shape (n_samples,)
        Targets; classes for the log loss, counts or rates for the Poisson loss.
    max_features : int or array-like of int, default=None
        The largest number of features, all smaller ones included down to 0, or a list of numbers.
        None is ``n / (log(p) log(log(n)))`` for p features and n samples [1]_, weighted as in
        :class:`L0RegressorCV`, the logarithms at least 1, and at most 100, or two less than the
        samples with a weight. None ends at p, and more than X has stands for all of them, with a
        warning.
    alphas : int or array-like of float, default=None
        Penalties per feature to solve for instead of numbers of features, or how many: these are
        spaced evenly in the logarithm from the one at which the first feature enters down to a
        thousandth of it, or to the loss without features divided by n where that is more.
    loss : {"squared", "log", "poisson"}, default="squared"
        The loss.
    l1 : float, default=0.0
        Strength of an L1 norm, non-negative.
    l2 : float or "auto", default="auto"
        Strength of a ridge penalty, non-negative. "auto" is what it is in :class:`L0Classifier`
        for the log loss, and 0 for the others.
    positive : bool or array-like of shape (n_features,), default=False
        Features whose coefficient must not be negative, all or by a boolean mask.
    penalty_weights : array-like of shape (n_features,), default=None
        Factors on ``alpha``, non-negative. A feature with factor 0 is always kept and does not
        count for ``max_features``. None is 1 for all.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights; an integer weight equals so many repetitions of the sample.
    fit_intercept : bool, default=True
        Whether to fit an intercept, which is never penalised.
    effort : int, default=1
        How much is searched, as in :class:`L0Regressor` and :class:`L0Classifier`.
    max_iter : int, default=100
        Largest number of passes over the features for one point.
    tol : float, default=1e-8
        Gains below this share of the objective do not count.
    verbose : int, default=0
        1 writes the first and last point, and in between at most a line a second; 2 writes each.

    Returns
    -------
    path : L0Path
        Coefficients, intercepts and losses.

    Raises
    ------
    ValueError
        For bad data or parameters; names the argument, its value and the remedy.

    Warns
    -----
    ConvergenceWarning
        When a fit did not reach ``tol``, or features separate the classes (or single out samples
        with ``y = 0`` of the Poisson loss) and the ridge is 0, or so small that coefficients exceed
        100 per standard deviation, or the path was interrupted from
        the keyboard after a second or more. It is then shorter. Also when features leave less than
        1e-13 of a squared loss and norms or signs forbid to search the rest by itself.

    See Also
    --------
    L0RegressorCV : Chooses among the fits of a path.
    sksparse.inspection.RegularizationPathDisplay : Draws a path.
    sklearn.linear_model.lasso_path : The path of the lasso.

    Notes
    -----
    The fit at a point does not depend on the other points asked for. At an ``alpha`` it is that of
    :class:`L0Regressor` or :class:`L0Classifier`. Numbers of features share their work: the subset
    of each cardinality is a local optimum, proposed by smaller and larger ones, which are always
    computed, asked for or not. A fit of one number alone is checked against all features.

    References
    ----------
    .. [1] J. Zhu, C. Wen, J. Zhu, H. Zhang and X. Wang (2020). "A polynomial algorithm for
       best-subset selection problem". PNAS 117, 33117-33123.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sksparse.linear_model import l0_path
    >>> X, y = load_diabetes(return_X_y=True, as_frame=True)
    >>> path = l0_path(X, y, max_features=4)
    >>> for coef in path.coefs.T:
    ...     print(X.columns[coef != 0].tolist())
    []
    ['bmi']
    ['bmi', 's5']
    ['bmi', 'bp', 's5']
    ['bmi', 'bp', 's1', 's5']
    >>> (1 - path.losses / path.losses[0]).round(2).tolist()
    [0.0, 0.34, 0.46, 0.48, 0.49]
    """
    X, y = check_X_y(
        X,
        targets_of_one_type(y),
        accept_sparse="csc",
        dtype=[np.float64, np.float32],
        y_numeric=loss != "log",
    )
    check_limits(max_features, X.shape[1])
    counts = check_weights(sample_weight, X)
    ridge = Ridge() if loss != "log" and l2 == "auto" else check_ridge(l2, X.shape[1], counts)
    task = SubsetTask.of(
        X,
        _loss(loss, y, counts / counts.sum()),
        penalty_weights=penalty_weights,
        positive=positive,
        l1=l1,
        **ridge._asdict(),
        fit_intercept=fit_intercept,
        effort=int(effort),
        max_iter=max_iter,
        tol=tol,
        verbose=verbose,
        sample_count=sample_count(counts),
    )
    with interruptible():
        grid = make_grid(task, max_features, alphas)
        fits = task.fit_along(grid)
        stronger = l2 == "auto" and ridge.once_separated(task.sample_count)
        if stronger and loss == "log" and not fits.interrupted:
            fits = _refit_where_separated(task, stronger, grid, fits)
        path, message = task.path(grid, fits), fits.message or task.separation(fits)
    warn_unless_converged(message)
    return path


def _refit_where_separated(task: SubsetTask, ridge: Ridge, grid: Grid, fits: PathFits) -> PathFits:
    """The path with fits of a stronger ridge where features separate the classes."""
    again = np.flatnonzero([task.is_separated(*fit) for fit in fits.each()])
    if not again.size:
        return fits
    bounded = replace(task, penalty=replace(task.penalty, **ridge._asdict()))
    return fits.with_part(again, bounded.fit_along(grid.part(again)))


def _loss(name: str, y: Any, weights: Array) -> Loss:
    if name != "log":
        return LOSSES[name](y, weights)
    _, codes, weights = check_classes(y, weights, None)
    return log_loss(codes, weights)
