"""Linear regression that keeps or drops groups of features together."""

from __future__ import annotations

from typing import Any, ClassVar

from sklearn.utils._param_validation import StrOptions

from sksparse._validation import warn_unless_converged
from sksparse.linear_model._base import FIT_CONSTRAINTS
from sksparse.linear_model.group._base import GroupLassoEstimator
from sksparse.linear_model.group._options import GROUP_CONSTRAINTS, LOSS_CONSTRAINTS
from sksparse.linear_model.group._regression import REGRESSION_LOSSES, GroupRegressorMixin


class GroupLassoRegressor(GroupRegressorMixin, GroupLassoEstimator):
    """Linear regression that keeps or drops groups of features together.

    Minimises over coefficients w and intercept b, with s the sample weights and c the
    ``penalty_weights`` of the groups::

        1 / (sum_i s_i) * sum_i s_i loss(y_i, x_i w + b)
            + alpha * (1 - l1_ratio) * sum_g c_g ||w_g||_2
            + alpha * l1_ratio * ||w||_1
            + l2 / 2 * ||w||_2^2

    within ``bounds``. All coefficients of a group are zero or, for ``l1_ratio=0``, none is. The
    loss is half the squared error, the Huber loss, half the Poisson deviance of counts with mean
    ``exp(x_i w + b)``, or the negative logarithm of the partial likelihood of a Cox model. For
    several targets, the squared loss is summed over them, and a group holds the coefficients of its
    features for all of them: groups of one are the multi-task lasso.

    Parameters
    ----------
    alpha : float, default=0.01
        Strength of the penalty, non-negative; larger values keep fewer groups. In units of the
        loss over the coefficients, as in :class:`sklearn.linear_model.Lasso`. :func:`alpha_max` is
        the smallest at which nothing is selected.
    groups : array-like of shape (n_features,), list, dict, "prefix", callable or None, default=None
        The groups: one label per feature, of any hashable type; or the columns of each group, given
        by position or by name; or names of raw columns, each with the columns that encode it; or a
        dict of group name to columns, which may also be a slice, a mask, a compiled regular
        expression or a function of the names. "prefix" puts columns together whose names are the
        same up to the last underscore; a callable takes the names and returns one of these. None
        puts each feature in a group of its own, which is the lasso.
    loss : {"squared", "huber", "poisson", "cox"}, default="squared"
        The loss of a sample.
    l1_ratio : float, default=0.0
        Share of the L1 norm, from 0 (group lasso) to 1 (lasso). In between is the sparse group
        lasso, which also drops single features of the groups that it keeps.
    l2 : float, default=0.0
        Strength of a ridge penalty, non-negative.
    penalty_weights : array-like of shape (n_groups,), default=None
        Factor of each group's norm, in the order of ``groups_``. Zero means never penalised, by
        either norm, and always kept. None is the square root of the group's size.
    missing_columns : {"error", "ignore"}, default="error"
        What to do where ``groups`` names a column that X lacks, as happens in a fold of
        cross-validation without a sample of a category. "ignore" leaves the column out; a group
        left without columns is never selected.
    overlap : {"error", "latent"}, default="error"
        Whether a feature may be in several groups. "latent" gives it a coefficient in each of them,
        whose sum is its coefficient; features that are kept are then unions of groups [4]_.
        Penalties, the ridge and signs hold for each of them; other bounds are refused.
    positive : bool or array-like of shape (n_features,), default=False
        Features whose coefficient must not be negative, all or by a boolean mask.
    bounds : pair of float or array-like of shape (n_features,), default=None
        Lower and upper bounds of the coefficients, one for all or one for each feature, the same
        for all targets; the lower at most and the upper at least zero, None for none.
    epsilon : float, default=1.35
        For ``loss="huber"``, the residual, in units of y, from which on the loss is linear.
    ties : {"breslow", "efron"}, default="breslow"
        For ``loss="cox"``, how events at the same time count.
    relax : bool, default=False
        Fit once more, without the group penalty and the L1 norm, the features that are selected;
        the ridge and the bounds stay. See the notes.
    adaptive : "ridge", estimator or None, default=None
        A pilot fit: all that a group costs is divided by the Euclidean norm of its coefficients
        there, so that groups that matter are shrunk less; groups without any are excluded [3]_.
        "ridge" is this model with a ridge of strength ``v p / n`` in place of the penalty, for p
        features of mean variance v and n samples. An estimator is cloned, fitted on the same
        samples and asked for its ``coef_``.
    fit_intercept : bool, default=True
        Whether to fit an intercept, which is never penalised. A Cox model has none.
    max_iter : int, default=100
        Largest number of passes over all features; each solves the problem over a working set of
        groups.
    tol : float, default=1e-6
        The fit stops when the duality gap is at most ``tol`` times the objective: it is then at
        most so far above its minimum. Where no gap is known, it stops when the optimality
        conditions hold up to ``tol``, as correlations (see `optimality_`). It is at least 2.3e-14,
        for float32 features 1.2e-5.
    warm_start : bool, default=False
        Start from the coefficients of the previous fit.
    verbose : int, default=0
        1 writes the first and last pass, and in between at most a line a second; 2 writes each.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
        Coefficients, in the float type of the features; the latter shape where y is a table.
    intercept_ : float or ndarray of shape (n_targets,)
        Intercept; 0 for a Cox model.
    support_ : ndarray of shape (n_features,)
        Mask of the features that are kept, as ``get_support()`` returns it: all of a selected group
        for ``l1_ratio=0``, and otherwise those with a coefficient that is not zero or of a group
        that is never penalised.
    groups_ : ndarray of shape (n_groups,)
        Names of the groups: labels, positions in the list, or keys of the dict. All that were
        given, also those without columns in X.
    group_labels_ : ndarray of shape (n_features,)
        Position in ``groups_`` of each feature's group, the first of several.
    selected_groups_ : ndarray
        Names of the groups that are kept.
    group_norms_ : ndarray of shape (n_groups,)
        Euclidean norm of the coefficients of each group.
    n_features_ : int
        Number of features that are kept.
    dual_gap_ : float
        Duality gap, computed from the answer and the objective alone: the objective is at most this
        far above its minimum; nan where no bound is known, as when ``alpha`` is 0. With
        ``relax=True`` it is that of the penalised fit.
    optimality_ : float
        Largest violation of the optimality conditions over groups, as a correlation: the gradient
        divided by the standard deviation of its feature and the root mean square of the loss's
        derivatives. With ``relax=True`` that of the penalised fit.
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
        When ``tol`` is not reached, an interruption from the keyboard ends the fit with the last
        complete iterate after a second or more, or a refit has no minimum; names the value reached
        and the remedy.

    See Also
    --------
    GroupLassoRegressorCV : A strength that the data choose.
    GroupLassoClassifier : The same for classes.
    group_lasso_path : Many strengths.
    sksparse.feature_selection.GroupLassoSelector : Selects for a model of another kind.

    Notes
    -----
    Bring the features to a common scale first. With an intercept, features that do not vary have a
    coefficient of zero.

    A relaxed fit whose features are linearly dependent, as more features than samples are, has many
    minima; it is the one that descent from the penalised fit arrives at. Where it has no minimum,
    as for counts of which features single out the zeros, a positive ``l2`` gives it one.

    The solver is block coordinate descent over a working set of groups with extrapolation, inside
    proximal Newton steps for losses other than the squared one.

    For the Poisson loss, a rate per unit of exposure has the exposure for its sample weight.

    References
    ----------
    .. [1] M. Yuan and Y. Lin (2006). "Model selection and estimation in regression with grouped
       variables". Journal of the Royal Statistical Society B 68, 49-67.
    .. [2] N. Simon, J. Friedman, T. Hastie and R. Tibshirani (2013). "A sparse-group lasso".
       Journal of Computational and Graphical Statistics 22, 231-245.
    .. [3] H. Wang and C. Leng (2008). "A note on adaptive group lasso". Computational Statistics
       and Data Analysis 52, 5277-5286.
    .. [4] L. Jacob, G. Obozinski and J.-P. Vert (2009). "Group lasso with overlap and graph lasso".
       ICML, 433-440.

    Examples
    --------
    >>> import numpy as np
    >>> from sksparse.linear_model import GroupLassoRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((100, 6))
    >>> y = X[:, 0] - X[:, 1] + 0.1 * rng.standard_normal(100)
    >>> groups = {"position": [0, 1], "speed": [2, 3], "noise": [4, 5]}
    >>> model = GroupLassoRegressor(alpha=0.2, groups=groups).fit(X, y)
    >>> model.selected_groups_.tolist()
    ['position']
    >>> model.get_support(indices=True).tolist()
    [0, 1]
    >>> bool(model.dual_gap_ <= 1e-6)
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **FIT_CONSTRAINTS,
        **GROUP_CONSTRAINTS,
        **LOSS_CONSTRAINTS,
        "loss": [StrOptions(set(REGRESSION_LOSSES))],
    }

    def __init__(
        self,
        alpha: float = 0.01,
        groups: Any = None,
        *,
        loss: str = "squared",
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
        warm_start: bool = False,
        verbose: int = 0,
    ) -> None:
        self.alpha = alpha
        self.groups = groups
        self.loss = loss
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
        self.warm_start = warm_start
        self.verbose = verbose

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> GroupLassoRegressor:
        """Fit the model.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training features, float32 or float64, dense in any memory order or sparse; other
            types are converted. Never modified.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets; several for the squared loss only. Counts or rates for the Poisson loss. For a
            Cox model a structured array of events (boolean) and times, as scikit-survival makes it,
            a table of both columns, or times that all have an event.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights; an integer weight equals so many repetitions of the sample.

        Returns
        -------
        self : object
            The fitted estimator.
        """
        warn_unless_converged(self._fit(X, y, sample_weight))
        return self
