"""OSCAR of classes, with a strength that the data choose."""

from __future__ import annotations

from typing import Any, ClassVar

from sksparse._validation import warn_unless_converged
from sksparse.linear_model._class_folds import ClassSearchMixin
from sksparse.linear_model.sorted_l1._base import SortedSearch
from sksparse.linear_model.sorted_l1._options import (
    CLASS_CONSTRAINTS,
    OSCAR_CONSTRAINTS,
)
from sksparse.linear_model.sorted_l1._oscar_classifier import OSCARClassifier
from sksparse.linear_model.sorted_l1._targets import SortedClassifierMixin


class OSCARClassifierCV(ClassSearchMixin, SortedClassifierMixin, SortedSearch):
    """OSCAR of classes, with a strength that is chosen by cross-validation.

    Minimises the objective of :class:`OSCARClassifier` at the ``alpha`` of a grid whose fits
    predict held-out samples best.

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
    class_weight : dict or "balanced", default=None
        Factors on the sample weights by class; "balanced" gives all classes the same total.
    alphas : int or array-like of float, default=100
        Strengths to try, or how many: these are spaced evenly in the logarithm from the smallest
        one at which nothing is selected down.
    eps : float, default=1e-3
        The smallest strength of such a grid, as a share of the largest.
    cv : int, splitter or iterable, default=5
        How to split for cross-validation, as in scikit-learn; a number makes stratified folds, None
        5. A fold whose training part lacks a class is fitted and scored on the others, with a
        warning.
    scoring : str or callable, default=None
        The score of the held-out samples, as in scikit-learn; the greatest is best. A callable is
        given X as an array. None is the negative log loss, with class weights. ``score`` is the
        accuracy in any case.
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
        As in :class:`OSCARClassifier`.
    n_jobs : int, default=None
        Folds at the same time; None is one, -1 as many as there are cores.
    verbose : int, default=0
        1 writes the folds, at most a line a second, and the choice; 2 each fold and its path.

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
        The strength chosen.
    alphas_ : ndarray of shape (n_points,)
        The strengths tried, decreasing.
    n_features_path_ : ndarray of shape (n_points,)
        Number of features at each strength, on all samples.
    n_clusters_path_ : ndarray of shape (n_points,)
        Number of clusters at each strength, on all samples.
    score_path_ : ndarray of shape (n_points, n_folds)
        Score of the held-out samples.
    coef_path_ : ndarray of shape (n_features, n_points) or (n_classes, n_features, n_points)
        Coefficients at each strength, on all samples; those of the one chosen are `coef_`.
    intercept_path_ : ndarray of shape (n_points,) or (n_classes, n_points)
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
    UserWarning
        When a fold's training part lacks a class.

    See Also
    --------
    OSCARClassifier : One strength.
    OSCARCV : The same for quantities and counts.
    slope_path : The fits alone.
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
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.preprocessing import scale
    >>> from sksparse.linear_model import OSCARClassifierCV
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = OSCARClassifierCV(alphas=10, eps=0.05, selection="1se").fit(scale(X), y)
    >>> bool(model.n_clusters_ <= model.n_features_ < 30)
    True
    >>> round(model.score(scale(X), y), 2)
    0.98
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **SortedSearch._search_constraints,
        **OSCAR_CONSTRAINTS,
        **CLASS_CONSTRAINTS,
    }
    _of_one_point = OSCARClassifier

    def __init__(
        self,
        *,
        pairwise: float = 0.5,
        ranks: str | int = "auto",
        class_weight: Any = None,
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
        self.class_weight = class_weight
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

    def fit(self, X: Any, y: Any, sample_weight: Any = None, **params: Any) -> OSCARClassifierCV:
        """Choose a strength, and fit the model.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training features, float32 or float64, dense in any memory order or sparse; other
            types are converted. Never modified.
        y : array-like of shape (n_samples,)
            Classes, of any type.
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
