"""OSCAR: sparse regression that finds clusters of correlated features."""

from __future__ import annotations

from numbers import Real
from typing import Any, ClassVar

import numpy as np
from sklearn.utils._param_validation import Interval

from sksparse._typing import Array, Indices
from sksparse._validation import check_data, check_target_scale
from sksparse.linear_model._base import FIT_CONSTRAINTS, SparseLinearRegressor, attributes_in
from sksparse.linear_model._convex_path import ConvexEstimatorMixin, ConvexTask, Posed
from sksparse.losses import Squared
from sksparse.penalties import SortedL1, oscar_weights
from sksparse.solvers import Design, Solution, SortedDescent


class OSCAR(SparseLinearRegressor, ConvexEstimatorMixin[ConvexTask]):
    """Linear regression that selects features and ties the coefficients of correlated ones.

    Minimises over coefficients w of p features and intercept b, with s the sample weights::

        1 / (2 sum_i s_i) * sum_i s_i (y_i - x_i w - b)^2
            + alpha * (1 - pairwise) * ||w||_1
            + alpha * pairwise / (p - 1) * sum_{j < k} max(|w_j|, |w_k|)

    The pairwise term makes coefficients of correlated features exactly equal in magnitude, so that
    the features form clusters. The whole penalty is a sorted L1 norm whose largest weight is
    ``alpha``, whatever ``pairwise``; in the notation of the literature ``l1 = alpha * (1 -
    pairwise)`` and ``l2 = alpha * pairwise / (p - 1)``.

    Parameters
    ----------
    alpha : float, default=0.1
        Strength of the penalty, non-negative. As in :class:`sklearn.linear_model.Lasso` it is in
        units of the target times the feature. Nothing is selected above twice the largest
        covariance of a feature with the target; without the pairwise term, above that covariance.
    pairwise : float, default=0.5
        Share of the pairwise term, from 0 (the lasso) to 1 (only the pairwise term). Larger
        values tie more coefficients.
    fit_intercept : bool, default=True
        Whether to fit an intercept, which is never penalised.
    max_iter : int, default=100
        Largest number of passes over the features; each solves the problem over a working set.
    tol : float, default=1e-6
        The fit stops when the optimality conditions hold up to ``tol`` and the duality gap is at
        most ``max(1e-4, 10 * tol)`` of the objective; a fit that gets no further also when the gap
        alone is at most ``tol`` of the objective. Violations are correlations: the gradient,
        divided by the standard deviation of its feature and the root mean square of the residuals,
        so that neither scales nor what a strong feature explains matter. For float32 features it is
        at least 1.2e-5.
    warm_start : bool, default=False
        Start from the coefficients of the previous fit.
    verbose : int, default=0
        1 writes the first and last pass, and in between at most a line a second; 2 writes each.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,)
        Coefficients, in the float type of the features.
    intercept_ : float
        Intercept.
    n_features_ : int
        Number of features with a coefficient that is not zero.
    support_ : ndarray of shape (n_features,)
        Mask of the features in use, as ``get_support()`` returns it.
    clusters_ : list of ndarray
        Positions of the features that share one non-zero magnitude, largest magnitude first. Its
        length is an unbiased estimate of the degrees of freedom.
    dual_gap_ : float
        Duality gap, computed from the answer and the objective alone: the objective is at most this
        far above its minimum; nan when ``alpha`` is 0.
    optimality_ : float
        Largest violation of the optimality conditions, as a correlation; see ``tol``.
    n_iter_ : int
        Number of passes.
    n_features_in_ : int
        Number of features seen in fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, where X had them.

    Warns
    -----
    ConvergenceWarning
        When ``tol`` is not reached, or an interruption from the keyboard ends the fit with the
        last complete iterate; names the value reached and the remedy.

    See Also
    --------
    OSCARCV : A strength that the data choose.
    oscar_path : Many strengths.
    sksparse.feature_selection.GroupLassoSelector : Groups known beforehand.
    L0Regressor : Fewest features, no shrinkage.

    Notes
    -----
    Standardise the features first: clusters are formed by magnitude. Equal columns get equal
    coefficients, opposite columns opposite ones, constant columns zero.

    The solver alternates coordinate descent over clusters [3]_, accelerated proximal gradient
    steps, whose proximal operator is exact (pooling of adjacent violators), and the exact solution
    of the linear system that holds while signs, order and ties stay.

    References
    ----------
    .. [1] H. D. Bondell and B. J. Reich (2008). "Simultaneous regression shrinkage, variable
       selection, and supervised clustering of predictors with OSCAR". Biometrics 64, 115-123.
    .. [2] M. Bogdan, E. van den Berg, C. Sabatti, W. Su and E. J. Candès (2015). "SLOPE - adaptive
       variable selection via convex optimization". Annals of Applied Statistics 9, 1103-1140.
    .. [3] J. Larsson, Q. Klopfenstein, M. Massias and J. Wallin (2023). "Coordinate descent for
       SLOPE". AISTATS, PMLR 206, 4802-4821.

    Examples
    --------
    Three features measure one thing, a fourth another, and two are noise:

    >>> import numpy as np
    >>> from sksparse.linear_model import OSCAR
    >>> rng = np.random.default_rng(0)
    >>> cause = rng.standard_normal((200, 2))
    >>> noise = rng.standard_normal((200, 6))
    >>> X = np.c_[cause[:, [0, 0, 0]], cause[:, 1], np.zeros((200, 2))] + 0.2 * noise
    >>> y = 3 * cause[:, 0] + cause[:, 1]
    >>> model = OSCAR(alpha=0.2, pairwise=0.8).fit(X, y)
    >>> [cluster.tolist() for cluster in model.clusters_]
    [[0, 1, 2], [3]]
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **FIT_CONSTRAINTS,
        "pairwise": [Interval(Real, 0, 1, closed="both")],
    }

    _n_fit_levels = 1

    clusters_: list[Indices]
    dual_gap_: float
    n_features_: int
    optimality_: float

    def __init__(
        self,
        alpha: float = 0.1,
        *,
        pairwise: float = 0.5,
        fit_intercept: bool = True,
        max_iter: int = 100,
        tol: float = 1e-6,
        warm_start: bool = False,
        verbose: int = 0,
    ) -> None:
        self.alpha = alpha
        self.pairwise = pairwise
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol
        self.warm_start = warm_start
        self.verbose = verbose

    def _solve(self, design: Design, loss: Squared, start: Array | None) -> Solution:
        return _task(self, design, loss).solve(self.alpha, start)

    def _pose(self, X: Any, y: Any, sample_weight: Any) -> Posed[ConvexTask]:
        return pose_oscar(self, X, y, sample_weight)

    def _store(self, solution: Solution) -> None:
        self.clusters_ = clusters_of(self.coef_)
        self.n_features_ = int(np.count_nonzero(self.coef_))
        self.dual_gap_ = solution.gap
        self.optimality_ = solution.certificate.value


def pose_oscar(model: Any, X: Any, y: Any, sample_weight: Any) -> Posed[ConvexTask]:
    """The task that data and the validated parameters of an estimator describe."""
    X, y, weights = check_data(model, X, y, sample_weight, y_numeric=True)
    return Posed(X, y, _task(model, Design(X), Squared(y, weights)), attributes_in(X.dtype))


def _task(model: Any, design: Design, loss: Squared) -> ConvexTask:
    check_target_scale(loss.y)
    return ConvexTask(
        design=design,
        loss=loss,
        fit_intercept=model.fit_intercept,
        penalty=SortedL1(oscar_weights(design.n_features, model.pairwise)),
        solver=SortedDescent,
        max_iter=model.max_iter,
        tol=model.tol,
        verbose=int(model.verbose),
    )


def clusters_of(coef: Array) -> list[Indices]:
    """Positions that share a non-zero magnitude, largest magnitude first."""
    used = np.flatnonzero(coef)
    order = used[np.argsort(-np.abs(coef[used]), kind="stable")]
    cuts = np.flatnonzero(np.diff(np.abs(coef[order]))) + 1
    return np.split(order, cuts) if order.size else []
