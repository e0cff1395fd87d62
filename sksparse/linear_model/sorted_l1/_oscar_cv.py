"""OSCAR along a path of strengths, and with a strength that the data choose."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar

from sklearn.utils._param_validation import Interval, validate_params

from sksparse._typing import Array, Indices
from sksparse._validation import warn_unless_converged
from sksparse.linear_model._base import SparseRegressorMixin
from sksparse.linear_model._convex_path import (
    ConvexPath,
    ConvexSearch,
    ConvexTask,
    Posed,
    fit_path,
)
from sksparse.linear_model.sorted_l1._oscar import OSCAR, clusters_of, pose_oscar
from sksparse.solvers import Solution


@validate_params(
    {
        "pairwise": [Interval(Real, 0, 1, closed="both")],
        "alphas": [Interval(Integral, 1, None, closed="left"), "array-like"],
        "fit_intercept": ["boolean"],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
    },
    prefer_skip_nested_validation=True,
)
def oscar_path(
    X: Any,
    y: Any,
    *,
    pairwise: float = 0.5,
    alphas: Any = 100,
    sample_weight: Any = None,
    fit_intercept: bool = True,
    max_iter: int = 100,
    tol: float = 1e-6,
    verbose: int = 0,
) -> ConvexPath:
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
        Share of the pairwise term, from 0 (the lasso) to 1 (only the pairwise term).
    alphas : int or array-like of float, default=100
        Strengths, or how many: these are spaced evenly in the logarithm from the smallest one at
        which nothing is selected down to a thousandth of it.
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
    path : ConvexPath
        Coefficients, intercepts, losses and duality gaps.

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
    sksparse.inspection.RegularizationPathDisplay : Draws a path.

    Notes
    -----
    Every strength starts from the solution before it, and all use one Gram matrix of the features
    that were ever needed. The order of ``alphas`` does not matter.

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
    """
    model = OSCAR(
        pairwise=pairwise, fit_intercept=fit_intercept, max_iter=max_iter, tol=tol, verbose=verbose
    )
    return fit_path(pose_oscar(model, X, y, sample_weight).task, alphas)


class OSCARCV(SparseRegressorMixin, ConvexSearch[ConvexTask]):
    """OSCAR with a strength that is chosen by cross-validation.

    Minimises, over coefficients w and intercept b, the objective of :class:`OSCAR` at the ``alpha``
    of a grid whose fits predict held-out samples best.

    Parameters
    ----------
    pairwise : float, default=0.5
        Share of the pairwise term, from 0 (the lasso) to 1 (only the pairwise term). Larger
        values tie more coefficients.
    alphas : int or array-like of float, default=100
        Strengths to try, or how many: these are spaced evenly in the logarithm from the smallest
        one at which nothing is selected down to a thousandth of it.
    cv : int, splitter or iterable, default=5
        How to split for cross-validation, as in scikit-learn; None is 5.
    scoring : str or callable, default=None
        The score of the held-out samples, as in scikit-learn; the greatest is best. A callable is
        given X as an array. None is the mean squared error, of which the least is best.
        ``score`` is R^2 in any case.
    selection : {"min", "1se"}, default="min"
        The strength with the least mean error or the best mean score, or that with the fewest
        features among those within one standard error of it.
    fit_intercept : bool, default=True
        Whether to fit an intercept, which is never penalised.
    max_iter : int, default=100
        Largest number of passes over the features for one fit.
    tol : float, default=1e-6
        As in :class:`OSCAR`.
    n_jobs : int, default=None
        Folds at the same time; None is one, -1 as many as there are cores.
    verbose : int, default=0
        1 writes the folds, at most a line a second, and the choice; 2 each fold and its path.

    Attributes
    ----------
    alpha_ : float
        The strength chosen.
    coef_ : ndarray of shape (n_features,)
        Coefficients, in the float type of the features: :class:`OSCAR` on all samples with the
        strength chosen.
    intercept_ : float
        Intercept.
    support_ : ndarray of shape (n_features,)
        Mask of the features in use, as ``get_support()`` returns it.
    clusters_ : list of ndarray
        Positions of the features that share one non-zero magnitude, largest magnitude first.
    n_features_ : int
        Number of features chosen.
    alphas_ : ndarray of shape (n_points,)
        The strengths tried, decreasing.
    n_features_path_ : ndarray of shape (n_points,)
        Number of features at each strength, on all samples.
    mse_path_ : ndarray of shape (n_points, n_folds)
        Weighted mean squared error on the held-out samples; only without ``scoring``.
    score_path_ : ndarray of shape (n_points, n_folds)
        Score of the held-out samples; only with ``scoring``.
    coef_path_ : ndarray of shape (n_features, n_points)
        Coefficients at each strength, on all samples; those of the one chosen are `coef_`.
    intercept_path_ : ndarray of shape (n_points,)
        Intercept at each strength.
    dual_gap_ : float
        Duality gap of the last fit, as in :class:`OSCAR`.
    optimality_ : float
        Largest violation of the optimality conditions of the last fit, as in :class:`OSCAR`.
    n_iter_ : int
        Number of passes of the last fit, which starts from that of the path.
    n_features_in_ : int
        Number of features seen in fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, where X had them.

    Raises
    ------
    ValueError
        From fit, for bad data or parameters; names the argument, its value and the remedy.

    Warns
    -----
    ConvergenceWarning
        When a fit does not reach ``tol``; names the value reached and the remedy.

    See Also
    --------
    OSCAR : One strength.
    oscar_path : The fits alone.
    sksparse.inspection.RegularizationPathDisplay : Draws the path and the choice.

    Notes
    -----
    A fold costs a path. The samples outside it have weight zero, so X is not copied; all strengths
    of a fold use one Gram matrix of the features that were ever needed, and each starts from the
    solution before it.

    References
    ----------
    .. [1] H. D. Bondell and B. J. Reich (2008). "Simultaneous regression shrinkage, variable
       selection, and supervised clustering of predictors with OSCAR". Biometrics 64, 115-123.

    Examples
    --------
    Three features measure one thing, a fourth another, and two are noise:

    >>> import numpy as np
    >>> from sksparse.linear_model import OSCARCV
    >>> rng = np.random.default_rng(0)
    >>> cause = rng.standard_normal((200, 2))
    >>> noise = rng.standard_normal((200, 6))
    >>> X = np.c_[cause[:, [0, 0, 0]], cause[:, 1], np.zeros((200, 2))] + 0.2 * noise
    >>> y = 3 * cause[:, 0] + cause[:, 1]
    >>> model = OSCARCV(pairwise=0.8, selection="1se").fit(X, y)
    >>> [cluster.tolist() for cluster in model.clusters_]
    [[3], [0, 1, 2]]
    >>> round(model.score(X, y), 2)
    0.98
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **ConvexSearch._common_constraints,
        "alphas": [Interval(Integral, 1, None, closed="left"), "array-like"],
        "pairwise": [Interval(Real, 0, 1, closed="both")],
    }
    _of_one_point = OSCAR

    clusters_: list[Indices]
    mse_path_: Array

    def __init__(
        self,
        *,
        pairwise: float = 0.5,
        alphas: Any = 100,
        cv: Any = 5,
        scoring: Any = None,
        selection: str = "min",
        fit_intercept: bool = True,
        max_iter: int = 100,
        tol: float = 1e-6,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.pairwise = pairwise
        self.alphas = alphas
        self.cv = cv
        self.scoring = scoring
        self.selection = selection
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol
        self.n_jobs = n_jobs
        self.verbose = verbose

    def fit(self, X: Any, y: Any, sample_weight: Any = None, **params: Any) -> OSCARCV:
        """Choose a strength, and fit the model.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training features, float32 or float64, dense in any memory order or sparse; other
            types are converted. Never modified.
        y : array-like of shape (n_samples,)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights, used in fits and errors; an integer weight equals so many
            repetitions of the sample, all in the same folds.
        **params : dict
            Metadata for the splitter ``cv`` and for ``scoring``: ``groups``, an array-like of shape
            (n_samples,), for splitters such as ``GroupKFold``, or what they request where metadata
            routing of scikit-learn is enabled.

        Returns
        -------
        self : object
            The fitted estimator.
        """
        warn_unless_converged(self._choose_strength(X, y, sample_weight, params))
        return self

    def _pose(self, X: Any, y: Any, sample_weight: Any) -> Posed[ConvexTask]:
        return pose_oscar(self, X, y, sample_weight)

    def _store_solution(self, solution: Solution) -> None:
        super()._store_solution(solution)
        self.clusters_ = clusters_of(self.coef_)
