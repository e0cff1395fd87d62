"""Classification on groups of features, with a strength that the data choose."""

from __future__ import annotations

from typing import Any, ClassVar

from sklearn.utils._param_validation import StrOptions

from sksparse._validation import warn_unless_converged
from sksparse.linear_model._class_folds import ClassSearchMixin
from sksparse.linear_model.group._classification import GroupClassifierMixin
from sksparse.linear_model.group._classifier import GroupLassoClassifier
from sksparse.linear_model.group._search import GroupLassoSearch


class GroupLassoClassifierCV(ClassSearchMixin, GroupClassifierMixin, GroupLassoSearch):
    """Logistic regression on groups of features, with a strength that the data choose.

    Minimises the objective of :class:`GroupLassoClassifier` at the ``alpha`` of a grid whose fits
    predict held-out samples best.

    Parameters
    ----------
    groups : array-like of shape (n_features,), list, dict, "prefix", callable or None, default=None
        The groups of the features, as in :class:`GroupLassoClassifier`.
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
    l1_ratio : float, default=0.0
        Share of the L1 norm, from 0 (group lasso) to 1 (lasso).
    l2 : float, default=0.0
        Strength of a ridge penalty, non-negative.
    penalty_weights : array-like of shape (n_groups,), default=None
        Factor of each group's norm, in the order of ``groups_``. Zero means never penalised, by
        either norm, and always kept. None is the square root of the group's size.
    missing_columns : {"error", "ignore"}, default="error"
        What to do where ``groups`` names a column that X lacks.
    overlap : {"error", "latent"}, default="error"
        Whether a feature may be in several groups, as in :class:`GroupLassoClassifier`.
    positive : bool or array-like of shape (n_features,), default=False
        Features whose coefficient must not be negative, all or by a boolean mask.
    bounds : pair of float or array-like of shape (n_features,), default=None
        Lower and upper bounds of the coefficients, as in :class:`GroupLassoClassifier`.
    class_weight : dict or "balanced", default=None
        Factors on the sample weights by class; "balanced" gives all classes the same total.
    relax : bool, default=False
        Fit once more, without the group penalty and the L1 norm, the features that are selected;
        held-out samples are predicted by such fits too.
    adaptive : "ridge", estimator or None, default=None
        A pilot fit that says how much each group costs, as in :class:`GroupLassoClassifier`; a fold
        has its own.
    fit_intercept : bool, default=True
        Whether to fit an intercept, which is never penalised.
    max_iter : int, default=100
        Largest number of passes over the features for one fit.
    tol : float, default=1e-6
        As in :class:`GroupLassoClassifier`.
    n_jobs : int, default=None
        Folds at the same time; None is one, -1 as many as there are cores.
    verbose : int, default=0
        1 writes the folds, at most a line a second, and the choice; 2 each fold and its path.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The classes.
    alpha_ : float
        The strength chosen.
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        Coefficients, in the float type of the features: :class:`GroupLassoClassifier` on all
        samples with the strength chosen. For two classes they belong to the second.
    intercept_ : ndarray of shape (1,) or (n_classes,)
        Intercepts.
    support_ : ndarray of shape (n_features,)
        Mask of the features that are kept, as ``get_support()`` returns it.
    groups_ : ndarray of shape (n_groups,)
        Names of the groups.
    group_labels_ : ndarray of shape (n_features,)
        Position in ``groups_`` of each feature's group, the first of several.
    selected_groups_ : ndarray
        Names of the groups that are kept.
    group_norms_ : ndarray of shape (n_groups,)
        Euclidean norm of the coefficients of each group.
    n_features_ : int
        Number of features that are kept.
    alphas_ : ndarray of shape (n_points,)
        The strengths tried, decreasing.
    n_features_path_ : ndarray of shape (n_points,)
        Number of features at each strength, on all samples.
    score_path_ : ndarray of shape (n_points, n_folds)
        Score of the held-out samples.
    coef_path_ : ndarray of shape (n_features, n_points) or (n_classes, n_features, n_points)
        Coefficients at each strength, on all samples; those of the one chosen are `coef_`.
    intercept_path_ : ndarray of shape (n_points,) or (n_classes, n_points)
        Intercept at each strength.
    group_norms_path_ : ndarray of shape (n_groups, n_points)
        Euclidean norm of the coefficients of each group at each strength.
    dual_gap_ : float
        Duality gap of the last fit, as in :class:`GroupLassoClassifier`.
    optimality_ : float
        Largest violation of the optimality conditions of the last fit, as in
        :class:`GroupLassoClassifier`.
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
        When a fit does not reach ``tol``, or the classes are separated in a refit; names the value
        reached and the remedy.
    UserWarning
        When a fold's training part lacks a class.

    See Also
    --------
    GroupLassoClassifier : One strength.
    GroupLassoRegressorCV : The same for quantities, counts and survival times.
    group_lasso_path : The fits alone.
    sksparse.inspection.RegularizationPathDisplay : Draws the path and the choice.

    Notes
    -----
    A fold costs a path. The samples outside it have weight zero, so X is not copied; each strength
    starts from the solution before it.

    References
    ----------
    .. [1] L. Meier, S. van de Geer and P. Bühlmann (2008). "The group lasso for logistic
       regression". Journal of the Royal Statistical Society B 70, 53-71.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sksparse.linear_model import GroupLassoClassifierCV
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> groups = ["sepal", "sepal", "petal", "petal"]
    >>> model = GroupLassoClassifierCV(groups, alphas=10, eps=0.03, selection="1se").fit(X, y)
    >>> model.selected_groups_.tolist()
    ['petal']
    >>> round(model.score(X, y), 2)
    0.97
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **GroupLassoSearch._search_constraints,
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }
    _of_one_point = GroupLassoClassifier

    def __init__(
        self,
        groups: Any = None,
        *,
        alphas: Any = 100,
        eps: float = 1e-3,
        cv: Any = 5,
        scoring: Any = None,
        selection: str = "min",
        l1_ratio: float = 0.0,
        l2: float = 0.0,
        penalty_weights: Any = None,
        missing_columns: str = "error",
        overlap: str = "error",
        positive: Any = False,
        bounds: Any = None,
        class_weight: Any = None,
        relax: bool = False,
        adaptive: Any = None,
        fit_intercept: bool = True,
        max_iter: int = 100,
        tol: float = 1e-6,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.groups = groups
        self.alphas = alphas
        self.eps = eps
        self.cv = cv
        self.scoring = scoring
        self.selection = selection
        self.l1_ratio = l1_ratio
        self.l2 = l2
        self.penalty_weights = penalty_weights
        self.missing_columns = missing_columns
        self.overlap = overlap
        self.positive = positive
        self.bounds = bounds
        self.class_weight = class_weight
        self.relax = relax
        self.adaptive = adaptive
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol
        self.n_jobs = n_jobs
        self.verbose = verbose

    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, **params: Any
    ) -> GroupLassoClassifierCV:
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
            (n_samples,) that has nothing to do with those of the features, for splitters such as
            ``GroupKFold``, or what they request where metadata routing of scikit-learn is enabled.

        Returns
        -------
        self : object
            The fitted estimator.
        """
        warn_unless_converged(self._choose_strength(X, y, sample_weight, params))
        return self
