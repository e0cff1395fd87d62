"""OSCAR with a strength that the data choose."""

from __future__ import annotations

from typing import Any, ClassVar

from sksparse._validation import warn_unless_converged
from sksparse.linear_model._loss_regression import LossSearchMixin
from sksparse.linear_model.sorted_l1._base import SortedSearch
from sksparse.linear_model.sorted_l1._options import (
    LOSS_CONSTRAINTS,
    OSCAR_CONSTRAINTS,
)
from sksparse.linear_model.sorted_l1._oscar import OSCAR
from sksparse.linear_model.sorted_l1._targets import SortedRegressorMixin


class OSCARCV(LossSearchMixin, SortedRegressorMixin, SortedSearch):
    """OSCAR with a strength that is chosen by cross-validation.

    Minimises the objective of :class:`OSCAR` at the ``alpha`` of a grid whose fits predict held-out
    samples best.

    Parameters
    ----------
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
        Strengths to try, or how many: these are spaced evenly in the logarithm from the smallest
        one at which nothing is selected down.
    eps : float, default=1e-3
        The smallest strength of such a grid, as a share of the largest.
    cv : int, splitter or iterable, default=5
        How to split for cross-validation, as in scikit-learn; None is 5.
    scoring : str or callable, default=None
        The score of the held-out samples, as in scikit-learn; the greatest is best. A callable is
        given X as an array. None is the mean squared error or the mean Poisson deviance, of which
        the least is best. ``score`` is what it is in :class:`OSCAR` in any case.
    selection : {"min", "1se"}, default="min"
        The strength with the least mean error or the best mean score, or that with the fewest
        features among those within one standard error of it.
    agglomerate : bool, default=False
        Have `transform` return the mean of each cluster, members of opposite sign negated, and not
        the features in use.
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
    coef_ : ndarray of shape (n_features,)
        Coefficients, in the float type of the features: :class:`OSCAR` on
        all samples with the strength chosen.
    intercept_ : float
        Intercept.
    support_ : ndarray of shape (n_features,)
        Mask of the features in use, as ``get_support()`` returns it.
    n_features_ : int
        Number of features in use.
    clusters_ : list of ndarray
        Positions of the features that share one non-zero magnitude, largest magnitude first.
    cluster_coef_ : ndarray of shape (`n_clusters_`,)
        The magnitudes.
    n_clusters_ : int
        Number of clusters.
    degrees_of_freedom_ : int
        The number of clusters, which is an unbiased estimate of the degrees of freedom for the
        squared loss, the intercept left out.
    alpha_ : float
        The strength chosen.
    alphas_ : ndarray of shape (n_points,)
        The strengths tried, decreasing.
    n_features_path_ : ndarray of shape (n_points,)
        Number of features at each strength, on all samples.
    n_clusters_path_ : ndarray of shape (n_points,)
        Number of clusters at each strength, on all samples.
    mse_path_ : ndarray of shape (n_points, n_folds)
        Weighted mean squared error on the held-out samples; only for the squared loss without
        ``scoring``.
    deviance_path_ : ndarray of shape (n_points, n_folds)
        Weighted mean Poisson deviance of them; only for ``loss="poisson"`` without ``scoring``.
    score_path_ : ndarray of shape (n_points, n_folds)
        Score of the held-out samples; only with ``scoring``.
    coef_path_ : ndarray of shape (n_features, n_points)
        Coefficients at each strength, on all samples; those of the one chosen are `coef_`.
    intercept_path_ : ndarray of shape (n_points,)
        Intercept at each strength.
    dual_gap_ : float
        Duality gap, computed from the answer and the objective alone: the objective is at most this
        far above its minimum; nan where no bound is known, as when ``alpha`` is 0.
    optimality_ : float
        Largest violation of the optimality conditions, as a correlation: the gradient divided by
        the standard deviation of its feature and the root mean square of the loss's derivatives.
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
    OSCARClassifierCV : The same for classes.
    oscar_path : The fits alone.
    sksparse.inspection.RegularizationPathDisplay : Draws the path and the choice.

    Notes
    -----
    A fold costs a path. The samples outside it have weight zero, so X is not copied; each strength
    starts from the solution before it. The weights of the penalty are those of all samples.

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
        **SortedSearch._search_constraints,
        **OSCAR_CONSTRAINTS,
        **LOSS_CONSTRAINTS,
    }
    _of_one_point = OSCAR

    def __init__(
        self,
        *,
        pairwise: float = 0.5,
        ranks: str | int = "auto",
        loss: str = "squared",
        alphas: Any = 100,
        eps: float = 1e-3,
        cv: Any = 5,
        scoring: Any = None,
        selection: str = "min",
        agglomerate: bool = False,
        fit_intercept: bool = True,
        max_iter: int = 100,
        tol: float = 1e-6,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.pairwise = pairwise
        self.ranks = ranks
        self.loss = loss
        self.alphas = alphas
        self.eps = eps
        self.cv = cv
        self.scoring = scoring
        self.selection = selection
        self.agglomerate = agglomerate
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
            Targets; counts or rates for the Poisson loss.
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
