"""Selection of whole groups of features."""

from __future__ import annotations

import warnings
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from sklearn.utils import ClassifierTags, Tags
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from sksparse._estimator import SparseEstimator
from sksparse._typing import Array, Mask
from sksparse._validation import (
    check_data,
    check_weights,
    validate_data,
    warn_if_more_than_all,
    warn_unless_converged,
)
from sksparse.feature_selection._encoding import encode_table, read_table
from sksparse.feature_selection._group_count import fit_groups, next_to_enter
from sksparse.feature_selection._targets import SELECTOR_LOSSES, check_targets, in_domain
from sksparse.linear_model._base import FIT_CONSTRAINTS
from sksparse.linear_model._convex_path import Posed
from sksparse.linear_model.group._base import GroupSelectorMixin
from sksparse.linear_model.group._options import GROUP_CONSTRAINTS, LOSS_CONSTRAINTS
from sksparse.linear_model.group._task import GroupTask
from sksparse.solvers import Solution


class GroupLassoSelector(GroupSelectorMixin, SparseEstimator):
    """Keep the groups of features that a group lasso model uses.

    Minimises over coefficients w and intercept b, with s the sample weights::

        1 / (sum_i s_i) * sum_i s_i loss(y_i, x_i w + b)
            + alpha * (1 - l1_ratio) * sum_g penalty_weights_g ||w_g||_2
            + alpha * l1_ratio * ||w||_1

    and keeps the features of the groups with a non-zero coefficient: the one-hot columns of a
    categorical feature enter or leave together.

    Parameters
    ----------
    alpha : float, default=0.01
        Strength of the penalty, non-negative; larger values keep fewer groups. In units of the
        loss over the coefficients, as in :class:`sklearn.linear_model.Lasso`.
    groups : array-like of shape (n_features,), list of index lists, dict or None, default=None
        The groups: one label per feature; or the positions of each group's features; or a dict of
        group name to columns, given by position or by name. Every feature belongs to exactly one
        group. None puts each feature in a group of its own, which is the lasso. Names are resolved
        when fitting; :func:`one_hot_groups` finds the dict of a fitted encoder.
    missing_columns : {"error", "ignore"}, default="error"
        What to do where ``groups`` names a column that X lacks, as happens in a fold of
        cross-validation without a sample of a category. "ignore" leaves the column out; a group
        left without columns is never selected. It still is one of ``groups_`` and has its entry in
        ``penalty_weights``. A column of X that is in no group remains an error.
    l1_ratio : float, default=0.0
        Share of the L1 norm, from 0 (group lasso) to 1 (lasso). In between is the sparse group
        lasso, which also drops single features of the groups that it keeps.
    penalty_weights : array-like of shape (n_groups,), default=None
        Factor of each group's norm, in the order of ``groups``; labels are sorted. Zero means
        never penalised and always kept. None is the square root of the group's size, that is
        the number of its columns that X has.
    loss : {"auto", "squared", "logistic", "poisson"}, default="auto"
        Half the squared error; the log loss for two classes; or half the Poisson deviance of counts
        or rates whose mean is ``exp(x_i w + b)``. "auto" takes the log loss when
        the targets are two distinct whole numbers, booleans or names, and the squared error for
        real numbers. Names, integers, and whole real numbers of at most 20 and ``sqrt(n_samples)``
        distinct values are taken for classes, and more than two are refused: choose "squared" or
        "poisson" where they are quantities.
    min_features : int, default=0
        Keep at least so many features: whole groups are added to those of the model, first those
        that would enter it next at smaller ``alpha``, as long as one would. Their coefficients stay
        zero. More than X has stands for all, with a warning. With 0 a selection may be empty, which
        warns: a later step of a pipeline would be left without columns.
    fit_intercept : bool, default=True
        Whether to fit an intercept, which is never penalised.
    max_iter : int, default=100
        Largest number of passes over all features; each solves the problem over a working set of
        groups.
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
        Coefficients, in the float type of the features. For the log loss they belong to the
        second of ``classes_``.
    intercept_ : float
        Intercept.
    support_ : ndarray of shape (n_features,)
        Mask of the features that are kept, as ``get_support()`` returns it.
    classes_ : ndarray of shape (2,)
        The two classes, where the loss is logistic.
    groups_ : ndarray of shape (n_groups,)
        Names of the groups: sorted labels, positions in the list, or keys of the dict. All that
        were given, also those without columns in X.
    selected_groups_ : ndarray
        Names of the groups that are kept.
    dual_gap_ : float
        Duality gap, computed from the answer and the objective alone: the objective is at most this
        far above its minimum; nan where no bound is known, when ``alpha`` is 0 or groups that are
        not penalised separate the classes, or the samples with y = 0 of the Poisson loss.
    optimality_ : float
        Largest violation of the optimality conditions over groups, as a correlation; see ``tol``.
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
    UserWarning
        When no group is selected.

    See Also
    --------
    one_hot_groups : Groups of the columns that a one-hot encoder makes.
    sksparse.linear_model.OSCAR : Groups found from the data.

    Notes
    -----
    Bring the features to a common scale first. With ``l1_ratio=0`` whole groups are kept, a column
    that happens to have a zero coefficient included; otherwise a feature is kept when its
    coefficient is not zero or its group is never penalised. Constant features have a coefficient of
    zero.

    The solver is block coordinate descent over a working set of groups with extrapolation, inside
    proximal Newton steps for losses other than the squared one.

    For the Poisson loss a rate per unit of exposure has the exposure for its sample weight.

    References
    ----------
    .. [1] M. Yuan and Y. Lin (2006). "Model selection and estimation in regression with grouped
       variables". Journal of the Royal Statistical Society B 68, 49-67.
    .. [2] N. Simon, J. Friedman, T. Hastie and R. Tibshirani (2013). "A sparse-group lasso".
       Journal of Computational and Graphical Statistics 22, 231-245.

    Examples
    --------
    >>> import pandas as pd
    >>> from sksparse.feature_selection import GroupLassoSelector
    >>> X = pd.DataFrame(
    ...     {
    ...         "red": [1, 0, 0, 1, 0, 0],
    ...         "blue": [0, 1, 0, 0, 1, 0],
    ...         "size": [1.0, 2.0, 0.5, 1.5, 1.0, 2.0],
    ...         "age": [0.2, 0.1, 0.2, 0.1, 0.2, 0.1],
    ...     }
    ... )
    >>> y = [4.0, 7.1, 0.6, 4.4, 6.0, 2.1]
    >>> groups = {"colour": ["red", "blue"], "size": ["size"], "age": ["age"]}
    >>> selector = GroupLassoSelector(alpha=0.1, groups=groups)
    >>> selector = selector.set_output(transform="pandas").fit(X, y)
    >>> selector.selected_groups_.tolist()
    ['colour', 'size']
    >>> selector.transform(X).columns.tolist()
    ['red', 'blue', 'size']
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **FIT_CONSTRAINTS,
        **{name: kinds for name, kinds in GROUP_CONSTRAINTS.items() if name != "relax"},
        **LOSS_CONSTRAINTS,
        "encode": [StrOptions({"auto"}), HasMethods(["fit", "transform", "get_params"]), None],
        "max_groups": [Interval(Integral, 1, None, closed="left"), None],
        "min_features": [Interval(Integral, 0, None, closed="left")],
        "loss": [StrOptions({"auto", *SELECTOR_LOSSES})],
    }

    _n_fit_levels = 1

    alpha_: float
    coef_: Array
    intercept_: Any
    selected_groups_: Any
    n_features_in_: int

    def __init__(
        self,
        alpha: float = 0.01,
        groups: Any = None,
        *,
        encode: Any = None,
        max_groups: int | None = None,
        missing_columns: str = "error",
        overlap: str = "error",
        l1_ratio: float = 0.0,
        l2: float = 0.0,
        penalty_weights: Any = None,
        positive: Any = False,
        bounds: Any = None,
        adaptive: Any = None,
        loss: str = "auto",
        epsilon: float = 1.35,
        ties: str = "breslow",
        min_features: int = 0,
        fit_intercept: bool = True,
        max_iter: int = 100,
        tol: float = 1e-6,
        warm_start: bool = False,
        verbose: int = 0,
    ) -> None:
        self.alpha = alpha
        self.groups = groups
        self.encode = encode
        self.max_groups = max_groups
        self.missing_columns = missing_columns
        self.overlap = overlap
        self.l1_ratio = l1_ratio
        self.l2 = l2
        self.penalty_weights = penalty_weights
        self.positive = positive
        self.bounds = bounds
        self.adaptive = adaptive
        self.loss = loss
        self.epsilon = epsilon
        self.ties = ties
        self.min_features = min_features
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol
        self.warm_start = warm_start
        self.verbose = verbose

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> GroupLassoSelector:
        """Fit the model and select groups.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training features, float32 or float64, dense in any memory order or sparse; other
            types are converted. With ``encode`` a DataFrame or an array of objects, with names and
            missing values. Never modified.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets: numbers, or classes of any type. Several columns of numbers for the squared
            loss.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights; an integer weight equals so many repetitions of the sample.

        Returns
        -------
        self : object
            The fitted selector.
        """
        with self._fitting(X, y, sample_weight):
            self._validate_params()
            posed = self._pose(X, y, sample_weight)
            solution, message = self._solved(posed)
            self._forget("classes_")
            self._adopt(posed.attributes(solution.coef, solution.intercept))
            self._store_certificate(solution, posed.task.loss)
            self._select(posed, solution)
        warn_unless_converged(solution.message)
        if message:
            warnings.warn(message, UserWarning, stacklevel=2)
        if not self._support.any():
            warnings.warn(
                f"No group is selected at alpha={self.alpha_:.6g}, and transform leaves no "
                "columns: give a smaller alpha, min_features=1 to keep the strongest group "
                "whatever it is, or the number of groups to keep as max_groups.",
                UserWarning,
                stacklevel=2,
            )
        return self

    def _pose(self, X: Any, y: Any, sample_weight: Any) -> Posed[GroupTask]:
        """The task that the data and the validated parameters describe."""
        several, sources = self.loss in ("auto", "squared"), None
        if self.encode is None:
            X, y, weights = check_data(
                self, X, y, sample_weight, y_numeric=False, multi_output=several
            )
            self._forget("encoder_")
        else:
            X, y = read_table(self, X, y, multi_output=several)
            weights = check_weights(sample_weight, X)
            weights = weights / weights.sum()
            unnamed = np.array([f"x{j}" for j in range(self.n_features_in_)], dtype=object)
            names = getattr(self, "feature_names_in_", unnamed)
            X, sources, self.encoder_ = encode_table(self.encode, X, y, names, weights)
        self._sources = sources
        warn_if_more_than_all("min_features", self.min_features, self.n_features_in_)
        y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
        targets = check_targets(y, self.loss, weights)
        loss = targets.as_loss(weights, epsilon=self.epsilon, ties=self.ties)
        plain = targets.attributes(X.dtype)
        return self._posed(X, targets.values, loss, sample_weight, plain, sources)

    def _forget(self, attribute: str) -> None:
        """Remove what an earlier fit set and this one does not."""
        if attribute in vars(self):
            delattr(self, attribute)

    def _solved(self, posed: Posed[GroupTask]) -> tuple[Solution, str]:
        """The fit that is asked for, and text of a warning where it is another."""
        task = posed.task
        if self.max_groups is not None:
            self.alpha_, solution, message = fit_groups(task, self.max_groups)
            return solution, message
        before = vars(self).get("coef_") if self.warm_start else None
        start = None if before is None else task.model.start(before, task.loss.n_outputs)
        self.alpha_ = float(self.alpha)
        return task.solve(self.alpha_, start), ""

    def _select(self, posed: Posed[GroupTask], solution: Solution) -> None:
        """Set which groups and features are kept."""
        model = posed.task.model
        kept = model.kept(solution.coef)
        self._support = self._features(model.groups.features(kept))
        if self._support.sum() < self.min_features:
            for group in next_to_enter(posed.task, self.alpha_, solution):
                kept = kept | (model.groups.labels == group)
                self._support = self._features(model.groups.features(kept))
                if self._support.sum() >= self.min_features:
                    break
        self.n_features_ = int(self._support.sum())
        self.selected_groups_ = model.groups.names[np.unique(model.positions[kept])]
        squares = (np.atleast_2d(self.coef_) ** 2).sum(axis=0)
        self.feature_importances_ = np.sqrt(self._sums(squares))

    def _features(self, columns: Mask) -> Mask:
        """Mask of the features that columns of a mask are made of."""
        return np.asarray(self._sums(columns.astype(np.float64)) > 0)

    def _sums(self, values: Array) -> Array:
        """Sums over the columns made of each feature."""
        if self._sources is None:
            return values
        return np.asarray(np.bincount(self._sources, values, minlength=self.n_features_in_))

    def transform(self, X: Any) -> Any:
        """Keep the columns of the features in use.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples, of any type.

        Returns
        -------
        kept : {ndarray, DataFrame, sparse matrix} of shape (n_samples, n_features_in_use)
            The columns, in the type of ``X``; a DataFrame as an array, unless ``set_output`` or
            ``encode`` ask for tables. Without a column where no feature is in use, which warns.
        """
        if self.encode is None or not hasattr(X, "iloc"):
            return super().transform(X)
        check_is_fitted(self)
        return self._transform(validate_data(self, X, skip_check_array=True, reset=False))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.target_tags.multi_output = self.loss in ("auto", "squared")
        is_table = self.encode is not None
        tags.input_tags.sparse = not is_table
        tags.input_tags.allow_nan = tags.input_tags.string = tags.input_tags.categorical = is_table
        kind = SELECTOR_LOSSES.get(self.loss)
        if kind is None or kind.for_classes:
            # with "auto", whole numbers are taken for classes
            tags.classifier_tags = ClassifierTags(multi_class=self.loss != "logistic")
        else:
            tags.target_tags.positive_only = not in_domain(kind, -1.0)
        return tags
