"""GrOWL: several targets whose features are tied and dropped together."""

from __future__ import annotations

from typing import Any, ClassVar

from sksparse._validation import warn_unless_converged
from sksparse.linear_model.sorted_l1._base import SortedEstimator
from sksparse.linear_model.sorted_l1._options import (
    SINGLE_CONSTRAINTS,
    SLOPE_CONSTRAINTS,
)
from sksparse.linear_model.sorted_l1._targets import SortedRegressorMixin


class GrOWL(SortedRegressorMixin, SortedEstimator):
    """Linear regression of several targets that ties and drops features for all of them together.

    Minimises over coefficients w of p features for m targets and intercepts b, with s the sample
    weights::

        1 / (2 sum_i s_i) * sum_i s_i ||y_i - w x_i - b||_2^2 + alpha * sum_i lambdas_i ||w||_(i)

    where ``||w||_(1) >= ||w||_(2) >= ...`` are the sorted Euclidean norms of the features'
    coefficients over the targets. A feature enters and leaves for all targets together, and
    features that correlate get coefficients of equal norm. With equal weights it is the multi-task
    lasso, with one target :class:`SLOPE`.

    Parameters
    ----------
    alpha : float, default=0.1
        Strength of the penalty, non-negative, in units of the loss over the coefficients for
        weights near 1, as in :class:`sklearn.linear_model.MultiTaskLasso`. :func:`alpha_max` is the
        smallest at which nothing is selected. Not used with ``max_features`` or ``max_clusters``.
    lambdas : {"bh", "oscar", "lasso", "gaussian"} or array-like, default="oscar"
        The weights: by Benjamini and Hochberg; falling evenly as those of :class:`OSCAR`; all 1;
        by Benjamini and Hochberg, corrected for the correlations by chance of Gaussian features.
        Or p weights, not negative, the largest first and positive, which are taken as they are. See
        the notes.
    q : float, default=0.1
        Of "bh" and "gaussian": the share of false discoveries aimed at, between 0 and 1.
    pairwise : float, default=0.5
        Of "oscar": how far the weights fall, from 0 (the lasso) to 1.
    ranks : {"auto", "all"} or int, default="auto"
        Of "oscar": over how many of the largest magnitudes the weights fall, as in :class:`OSCAR`.
    max_features : int, default=None
        Number of features to use, in place of ``alpha``: the largest strength at which so many are
        in use, or where that number is passed over the most below, which warns. More than there are
        stand for all.
    max_clusters : int, default=None
        The same for the number of clusters. Give at most one of the two.
    agglomerate : bool, default=False
        Have `transform` return the mean of each cluster, members of opposite sign negated, and not
        the features in use.
    fit_intercept : bool, default=True
        Whether to fit an intercept, which is never penalised.
    max_iter : int, default=100
        Largest number of passes over the features; each solves the problem over a working set.
    tol : float, default=1e-6
        The fit stops when the duality gap is at most ``tol`` times the objective: it is then at
        most so far above its minimum. It is at least 2.3e-14, for float32 features 1.2e-5.
    warm_start : bool, default=False
        Start from the coefficients of the previous fit; not with a size.
    verbose : int, default=0
        1 writes the first and last pass, and in between at most a line a second; 2 writes each.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
        Coefficients, in the float type of the features; the latter
        shape where y is a table.
    intercept_ : float or ndarray of shape (n_targets,)
        Intercepts.
    support_ : ndarray of shape (n_features,)
        Mask of the features in use, as ``get_support()`` returns it.
    n_features_ : int
        Number of features in use.
    clusters_ : list of ndarray
        Positions of the features that share one non-zero magnitude, largest magnitude first.
    cluster_coef_ : ndarray of shape (`n_clusters_`,)
        The magnitudes, norms over the targets.
    n_clusters_ : int
        Number of clusters.
    degrees_of_freedom_ : int
        The number of clusters, which is an unbiased estimate of the degrees of freedom for the
        squared loss, the intercept left out.
        Only for one target.
    alpha_ : float
        The strength: ``alpha``, or that of the size asked for.
    dual_gap_ : float
        Duality gap, computed from the answer and the objective alone: the objective is at most this
        far above its minimum; nan where no bound is known, as when ``alpha`` is 0.
    optimality_ : float
        Largest violation of the optimality conditions, as a correlation: the gradient divided by
        the standard deviation of its feature and the root mean square of the loss's derivatives.
    n_iter_ : int
        Number of passes.
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
        When ``tol`` is not reached, or an interruption from the keyboard ends the fit with the last
        complete iterate after a second or more; names the value reached and the remedy.
    UserWarning
        Where no strength has the size asked for.

    See Also
    --------
    SLOPE : One target.
    GroupLassoRegressor : Several targets without ties: the multi-task lasso.
    alpha_max : The smallest strength that selects nothing.
    sksparse.sparsifiers.GrOWL : The same penalty on the layers of a network.
    sksparse.inspection.ClusterDisplay : Draws clusters beside the correlations of features.

    Notes
    -----
    Standardise the features, and the targets where they are in different units. Equal columns get
    equal coefficients; features of a cluster otherwise share the norm, and not the direction, of
    their coefficients. ``agglomerate=True`` negates the members whose coefficients point away from
    those of the first.

    Weights by name are as in :class:`SLOPE`.

    References
    ----------
    .. [1] U. Oswal, C. Cox, M. A. Lambon Ralph, T. Rogers and R. Nowak (2016). "Representational
       similarity learning with application to brain networks". ICML, PMLR 48, 1041-1049.
    .. [2] M. Figueiredo and R. Nowak (2016). "Ordered weighted l1 regularized regression with
       strongly correlated covariates: theoretical aspects". AISTATS, PMLR 51, 930-938.
    .. [3] M. Bogdan, E. van den Berg, C. Sabatti, W. Su and E. J. Candès (2015). "SLOPE - adaptive
       variable selection via convex optimization". Annals of Applied Statistics 9, 1103-1140.

    Examples
    --------
    Two copies of a feature are used alike for all three targets:

    >>> import numpy as np
    >>> from sksparse.linear_model import GrOWL
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((100, 6))
    >>> X[:, 1] = X[:, 0]
    >>> Y = X[:, :1] @ [[2.0, -1.0, 1.0]] + 0.1 * rng.standard_normal((100, 3))
    >>> model = GrOWL(alpha=0.2).fit(X, Y)
    >>> [cluster.tolist() for cluster in model.clusters_]
    [[0, 1]]
    >>> model.coef_.shape
    (3, 6)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **SINGLE_CONSTRAINTS,
        **SLOPE_CONSTRAINTS,
    }
    _several = True
    #: The only one.
    loss = "squared"

    def __init__(
        self,
        alpha: float = 0.1,
        *,
        lambdas: Any = "oscar",
        q: float = 0.1,
        pairwise: float = 0.5,
        ranks: str | int = "auto",
        max_features: int | None = None,
        max_clusters: int | None = None,
        agglomerate: bool = False,
        fit_intercept: bool = True,
        max_iter: int = 100,
        tol: float = 1e-6,
        warm_start: bool = False,
        verbose: int = 0,
    ) -> None:
        self.alpha = alpha
        self.lambdas = lambdas
        self.q = q
        self.pairwise = pairwise
        self.ranks = ranks
        self.max_features = max_features
        self.max_clusters = max_clusters
        self.agglomerate = agglomerate
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol
        self.warm_start = warm_start
        self.verbose = verbose

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> GrOWL:
        """Fit the model.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training features, float32 or float64, dense in any memory order or sparse; other
            types are converted. Never modified.
        y : array-like of shape (n_samples, n_targets) or (n_samples,)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights; an integer weight equals so many repetitions of the
            sample.

        Returns
        -------
        self : object
            The fitted estimator.
        """
        warn_unless_converged(self._fit(X, y, sample_weight))
        return self
