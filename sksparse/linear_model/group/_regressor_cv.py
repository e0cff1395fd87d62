"""Linear regression on groups of features, with a strength that the data choose."""

from __future__ import annotations

from typing import Any, ClassVar

from sklearn.utils._param_validation import StrOptions

from sksparse._typing import Array
from sksparse._validation import warn_unless_converged
from sksparse.linear_model._cross_validation import Fold, require_samples
from sksparse.linear_model._loss_regression import LossSearchMixin
from sksparse.linear_model.group._options import LOSS_CONSTRAINTS
from sksparse.linear_model.group._regression import REGRESSION_LOSSES, GroupRegressorMixin
from sksparse.linear_model.group._regressor import GroupLassoRegressor
from sksparse.linear_model.group._search import GroupLassoSearch
from sksparse.losses import Loss

#: What is wrong with a fold of censored samples.
NO_EVENT = (
    "{} no event, but censored samples alone; give fewer folds, or splits that spread the events"
)


class GroupLassoRegressorCV(LossSearchMixin, GroupRegressorMixin, GroupLassoSearch):
    """Linear regression on groups of features, with a strength that the data choose.

    Minimises the objective of :class:`GroupLassoRegressor` at the ``alpha`` of a grid whose fits
    predict held-out samples best.

    Parameters
    ----------
    groups : array-like of shape (n_features,), list, dict, "prefix", callable or None, default=None
        The groups of the features, as in :class:`GroupLassoRegressor`.
    loss : {"squared", "huber", "poisson", "cox"}, default="squared"
        The loss of a sample.
    alphas : int or array-like of float, default=100
        Strengths to try, or how many: these are spaced evenly in the logarithm from the smallest
        one at which nothing is selected down.
    eps : float, default=1e-3
        The smallest strength of such a grid, as a share of the largest.
    cv : int, splitter or iterable, default=5
        How to split for cross-validation, as in scikit-learn; None is 5.
    scoring : str or callable, default=None
        The score of the held-out samples, as in scikit-learn; the greatest is best. A callable is
        given X as an array. None is the loss, of which the least is best. ``score`` is what it is
        in :class:`GroupLassoRegressor` in any case.
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
        Whether a feature may be in several groups, as in :class:`GroupLassoRegressor`.
    positive : bool or array-like of shape (n_features,), default=False
        Features whose coefficient must not be negative, all or by a boolean mask.
    bounds : pair of float or array-like of shape (n_features,), default=None
        Lower and upper bounds of the coefficients, as in :class:`GroupLassoRegressor`.
    epsilon : float, default=1.35
        For ``loss="huber"``, the residual, in units of y, from which on the loss is linear.
    ties : {"breslow", "efron"}, default="breslow"
        For ``loss="cox"``, how events at the same time count.
    relax : bool, default=False
        Fit once more, without the group penalty and the L1 norm, the features that are selected;
        held-out samples are predicted by such fits too.
    adaptive : "ridge", estimator or None, default=None
        A pilot fit that says how much each group costs, as in :class:`GroupLassoRegressor`; a fold
        has its own.
    fit_intercept : bool, default=True
        Whether to fit an intercept, which is never penalised. A Cox model has none.
    max_iter : int, default=100
        Largest number of passes over the features for one fit.
    tol : float, default=1e-6
        As in :class:`GroupLassoRegressor`.
    n_jobs : int, default=None
        Folds at the same time; None is one, -1 as many as there are cores.
    verbose : int, default=0
        1 writes the folds, at most a line a second, and the choice; 2 each fold and its path.

    Attributes
    ----------
    alpha_ : float
        The strength chosen.
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
        Coefficients, in the float type of the features: :class:`GroupLassoRegressor` on all samples
        with the strength chosen.
    intercept_ : float or ndarray of shape (n_targets,)
        Intercept; 0 for a Cox model.
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
    mse_path_ : ndarray of shape (n_points, n_folds)
        Weighted mean squared error on the held-out samples, the mean over targets; only for
        ``loss="squared"`` without ``scoring``.
    deviance_path_ : ndarray of shape (n_points, n_folds)
        Weighted mean Poisson deviance on the held-out samples; only for ``loss="poisson"`` without
        ``scoring``.
    score_path_ : ndarray of shape (n_points, n_folds)
        Score of the held-out samples; with ``scoring``, or the negative loss for the losses "huber"
        and "cox", the latter among the samples of the fold alone.
    coef_path_ : ndarray of shape (n_features, n_points) or (n_targets, n_features, n_points)
        Coefficients at each strength, on all samples; those of the one chosen are `coef_`.
    intercept_path_ : ndarray of shape (n_points,) or (n_targets, n_points)
        Intercept at each strength.
    group_norms_path_ : ndarray of shape (n_groups, n_points)
        Euclidean norm of the coefficients of each group at each strength.
    dual_gap_ : float
        Duality gap of the last fit, as in :class:`GroupLassoRegressor`.
    optimality_ : float
        Largest violation of the optimality conditions of the last fit, as in
        :class:`GroupLassoRegressor`.
    n_iter_ : int
        Number of passes of the last fit, which starts from that of the path.
    n_features_in_ : int
        Number of features seen in fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, where X had them.

    Raises
    ------
    ValueError
        From fit, for bad data or parameters, a fold without events or without positive counts among
        them; names the argument, its value and the remedy.

    Warns
    -----
    ConvergenceWarning
        When a fit does not reach ``tol``, or a refit has no minimum; names the value reached and
        the remedy.

    See Also
    --------
    GroupLassoRegressor : One strength.
    GroupLassoClassifierCV : The same for classes.
    group_lasso_path : The fits alone.
    sksparse.inspection.RegularizationPathDisplay : Draws the path and the choice.

    Notes
    -----
    A fold costs a path. The samples outside it have weight zero, so X is not copied; each strength
    starts from the solution before it.

    References
    ----------
    .. [1] M. Yuan and Y. Lin (2006). "Model selection and estimation in regression with grouped
       variables". Journal of the Royal Statistical Society B 68, 49-67.

    Examples
    --------
    >>> import numpy as np
    >>> from sksparse.linear_model import GroupLassoRegressorCV
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((100, 6))
    >>> y = X[:, 0] - X[:, 1] + 0.5 * rng.standard_normal(100)
    >>> groups = {"position": [0, 1], "speed": [2, 3], "noise": [4, 5]}
    >>> model = GroupLassoRegressorCV(groups, adaptive="ridge", selection="1se").fit(X, y)
    >>> model.selected_groups_.tolist()
    ['position']
    >>> round(model.score(X, y), 2)
    0.88
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **GroupLassoSearch._search_constraints,
        **LOSS_CONSTRAINTS,
        "loss": [StrOptions(set(REGRESSION_LOSSES))],
    }
    _of_one_point = GroupLassoRegressor
    _only_sometimes: ClassVar[frozenset[str]] = frozenset(
        {"mse_path_", "deviance_path_", "score_path_"}
    )

    mse_path_: Array
    deviance_path_: Array

    def __init__(
        self,
        groups: Any = None,
        *,
        loss: str = "squared",
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
        epsilon: float = 1.35,
        ties: str = "breslow",
        relax: bool = False,
        adaptive: Any = None,
        fit_intercept: bool = True,
        max_iter: int = 100,
        tol: float = 1e-6,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.groups = groups
        self.loss = loss
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
        self.epsilon = epsilon
        self.ties = ties
        self.relax = relax
        self.adaptive = adaptive
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol
        self.n_jobs = n_jobs
        self.verbose = verbose

    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, **params: Any
    ) -> GroupLassoRegressorCV:
        """Choose a strength, and fit the model.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training features, float32 or float64, dense in any memory order or sparse; other
            types are converted. Never modified.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets, as in :class:`GroupLassoRegressor`.
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

    def _usable(self, folds: list[Fold], loss: Loss) -> list[Fold]:
        if self.loss == "cox":
            for part, does in (("train", "trains on"), ("test", "tests")):
                require_samples(folds, loss.y[:, 1] > 0.0, part, NO_EVENT.format(does))
        return super()._usable(folds, loss)
