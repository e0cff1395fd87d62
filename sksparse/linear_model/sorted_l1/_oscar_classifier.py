"""OSCAR of classes: sparse classification that finds clusters of correlated features."""

from __future__ import annotations

from typing import Any, ClassVar

from sksparse._validation import warn_unless_converged
from sksparse.linear_model.sorted_l1._base import SortedEstimator
from sksparse.linear_model.sorted_l1._options import (
    CLASS_CONSTRAINTS,
    OSCAR_CONSTRAINTS,
    SINGLE_CONSTRAINTS,
)
from sksparse.linear_model.sorted_l1._targets import SortedClassifierMixin


class OSCARClassifier(SortedClassifierMixin, SortedEstimator):
    """Logistic regression that selects features and ties the coefficients of correlated ones.

    Minimises the mean log loss over coefficients w of p features and intercept b, with s the sample
    weights::

        1 / (sum_i s_i) * sum_i s_i loss(y_i, x_i w + b) + alpha * sum_i lambda_i |w|_(i)

    where ``|w|_(1) >= |w|_(2) >= ...`` are the sorted magnitudes, and the weights lambda fall
    evenly from 1 to ``1 - pairwise`` over the first ``ranks`` of them. Over all ranks this is the
    penalty of OSCAR::

        alpha * (1 - pairwise) * ||w||_1
            + alpha * pairwise / (p - 1) * sum_{j < k} max(|w_j|, |w_k|)

    so that ``l1 = alpha * (1 - pairwise)`` and ``l2 = alpha * pairwise / (p - 1)`` in its notation.
    Coefficients of correlated features become exactly equal in magnitude: the features form
    clusters.

    Of more than two classes, the loss is the multinomial one, a feature has a coefficient for each
    class, and ``|w|_(i)`` are the Euclidean norms of the features' coefficients: features enter and
    leave for all classes together.

    Parameters
    ----------
    alpha : float, default=0.1
        Strength of the penalty, non-negative, in units of the loss over the coefficients as in
        :class:`sklearn.linear_model.Lasso`. :func:`alpha_max` is the smallest at which nothing is
        selected. Not used with ``max_features`` or ``max_clusters``.
    pairwise : float, default=0.5
        How far the weights fall, as a share of the largest: 0 is the lasso, 1 the pairwise term
        alone. Larger values tie more coefficients.
    ranks : {"auto", "all"} or int, default="auto"
        Over how many of the largest magnitudes the weights fall; further ones share the smallest
        weight. "all" is the number of features, as in the literature; "auto" is the same unless
        features outnumber the different samples with a weight: then half of the fall is over the
        first 10, and half over the rest. See the notes.
    class_weight : dict or "balanced", default=None
        Factors on the sample weights by class; "balanced" gives all classes the same total.
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
    classes_ : ndarray of shape (n_classes,)
        The classes.
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        Coefficients, in the float type of the features. For two classes they belong to the second.
    intercept_ : ndarray of shape (1,) or (n_classes,)
        Intercepts.
    support_ : ndarray of shape (n_features,)
        Mask of the features in use, as ``get_support()`` returns it.
    n_features_ : int
        Number of features in use.
    clusters_ : list of ndarray
        Positions of the features that share one non-zero magnitude, largest magnitude first.
    cluster_coef_ : ndarray of shape (`n_clusters_`,)
        The magnitudes, for more than two classes norms over these.
    n_clusters_ : int
        Number of clusters.
    degrees_of_freedom_ : int
        The number of clusters, which is an unbiased estimate of the degrees of freedom for the
        squared loss, the intercept left out.
        Only for two classes.
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
    OSCARClassifierCV : A strength that the data choose.
    OSCAR : The same for quantities and counts.
    SLOPEClassifier : Other weights.
    slope_path : Many strengths.
    sksparse.inspection.ClusterDisplay : Draws clusters beside the correlations of features.

    Notes
    -----
    Standardise the features first: clusters are formed by magnitude. Equal columns get equal
    coefficients, opposite columns opposite ones (unless `pairwise` is 0, or `ranks` a number and
    they rank beyond it), constant columns zero.

    What ties coefficients is by how much the weight of one rank exceeds that of the next. Over all
    ranks that is ``pairwise / (p - 1)``, which is next to nothing where features outnumber samples:
    OSCAR is then the lasso. "auto" spends half of the fall on the ten largest magnitudes there. A
    longer steep fall admits many small coefficients to one cluster, a deeper one shrinks the
    largest too much. The other half ties equal columns wherever they rank.

    The solver alternates coordinate descent over clusters [3]_, proximal gradient steps, and Newton
    steps while zeros, signs, order and ties stay, over a working set of features, inside proximal
    Newton steps.

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
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.preprocessing import scale
    >>> from sksparse.linear_model import OSCARClassifier
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = OSCARClassifier(alpha=0.1, pairwise=0.8).fit(scale(X), y)
    >>> model.n_features_, model.n_clusters_
    (19, 3)
    >>> round(model.score(scale(X), y), 2)
    0.94
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **SINGLE_CONSTRAINTS,
        **OSCAR_CONSTRAINTS,
        **CLASS_CONSTRAINTS,
    }

    def __init__(
        self,
        alpha: float = 0.1,
        *,
        pairwise: float = 0.5,
        ranks: str | int = "auto",
        class_weight: Any = None,
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
        self.pairwise = pairwise
        self.ranks = ranks
        self.class_weight = class_weight
        self.max_features = max_features
        self.max_clusters = max_clusters
        self.agglomerate = agglomerate
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol
        self.warm_start = warm_start
        self.verbose = verbose

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> OSCARClassifier:
        """Fit the model.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training features, float32 or float64, dense in any memory order or sparse; other
            types are converted. Never modified.
        y : array-like of shape (n_samples,)
            Classes, of any type.
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
