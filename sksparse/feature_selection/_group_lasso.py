"""Selection of whole groups of features."""

from __future__ import annotations

import warnings
from numbers import Integral
from typing import Any, ClassVar

from sklearn.utils import ClassifierTags, Tags
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions

from sksparse._estimator import SparseEstimator
from sksparse._typing import Array
from sksparse._validation import warn_unless_converged
from sksparse.feature_selection._group_selection import GroupSelection
from sksparse.feature_selection._targets import SELECTOR_LOSSES, in_domain
from sksparse.linear_model._base import FIT_CONSTRAINTS
from sksparse.linear_model.group._options import GROUP_CONSTRAINTS, LOSS_CONSTRAINTS


class GroupLassoSelector(GroupSelection):
    """Keep the groups of features that a group lasso model uses.

    Minimises over coefficients w and intercept b, with s the sample weights::

        1 / (sum_i s_i) * sum_i s_i loss(y_i, x_i w + b)
            + alpha * (1 - l1_ratio) * sum_g penalty_weights_g ||w_g||_2
            + alpha * l1_ratio * ||w||_1 + l2 / 2 * ||w||_2^2,    lower <= w <= upper

    and keeps the features of the groups with a non-zero coefficient: the one-hot columns of a
    categorical feature enter or leave together. Of several outputs (targets, or more than two
    classes) w has a row for each, and a group holds its features in all rows.

    Parameters
    ----------
    alpha : float, default=0.01
        Strength of the penalty, non-negative; larger values keep fewer groups. In units of the
        loss over the coefficients, as in :class:`sklearn.linear_model.Lasso`. Not used with
        ``max_groups``. :func:`sksparse.linear_model.alpha_max` is where nothing is kept.
    groups : array-like of shape (n_features,), list, dict, callable, "prefix" or None, default=None
        The groups, resolved when fitting. Labels of any kind, one per feature; or a list of the
        columns of each group; or a dict of group name to columns. Columns are positions, names,
        slices, boolean masks, compiled patterns that their names are searched for, or functions
        of the array of names that return any of these. A name that is not a column stands for
        all columns that an encoder made of it: those named after it and ``_``, also behind the
        ``<transformer>__`` of a ``ColumnTransformer``; a column goes to the longest name that fits.
        A list of such names of raw columns is enough. "prefix" groups what has the same name up to
        the last underscore, and refuses names where another underscore would give other groups. A
        callable takes the array of names and returns one of these. None puts each feature in a
        group of its own, which is the lasso. :func:`one_hot_groups` finds the dict of a fitted
        encoder.
    encode : {"auto"}, transformer or None, default=None
        With "auto" X is a table, a DataFrame or an array of objects, of numbers, categories and
        missing values; each column is encoded as a block of columns, and whole columns of
        the table are kept. Categories (names, and columns of type category) have an indicator for
        each that has at least 1 % of the sample weights; rarer and unknown ones are zero in all.
        Missing values are a category, of numbers the mean and an indicator. Every column made is
        divided by its standard deviation, so that blocks of noise are equally unlikely to enter. A
        transformer, such as a ``ColumnTransformer``, is cloned and fitted in place of this, without
        sample weights; every column that it makes must be of one column of the table. ``groups``
        and bounds are then of columns of the table.
    max_groups : int or None, default=None
        Keep so many groups, at the strength that is found for it, ``alpha_``; those of weight zero
        count. Where no strength keeps exactly so many, the most below, with a warning. What is
        found does not depend on which other numbers are tried.
    missing_columns : {"error", "ignore"}, default="error"
        What to do where ``groups`` names a column that X lacks, as happens in a fold of
        cross-validation without a sample of a category. "ignore" leaves the column out; a group
        left without columns is never selected. It still is one of ``groups_`` and has its entry in
        ``penalty_weights``. A column of X that is in no group remains an error.
    overlap : {"error", "latent"}, default="error"
        Whether a feature may be in several groups. With "latent" it has a coefficient in each of
        them, its own is their sum, and it is kept with any of them; penalties are of the parts.
    l1_ratio : float, default=0.0
        Share of the L1 norm, from 0 (group lasso) to 1 (lasso). In between is the sparse group
        lasso, which also drops single features of the groups that it keeps.
    l2 : float, default=0.0
        Strength of the ridge, which does not depend on ``alpha``.
    penalty_weights : array-like of shape (n_groups,), default=None
        Factor of each group's norm, in the order of ``groups``; labels are sorted. Zero means
        never penalised and always kept, unless it has no columns. None is the square root of the
        group's size, that is the number of its columns that X has, or is encoded as.
    positive : bool or array-like of shape (n_features,), default=False
        Coefficients that must not be negative, all or by a mask.
    bounds : pair of float or array-like of shape (n_features,), or None, default=None
        Lower bounds, at most zero, and upper bounds, at least zero.
    adaptive : {"ridge"}, estimator or None, default=None
        A pilot fit: what a group costs is divided by the norm of its coefficients there [3]_; as in
        :class:`sksparse.linear_model.GroupLassoRegressor`.
    loss : {"auto", "squared", "logistic", "multinomial", "poisson", "huber", "cox"}, default="auto"
        Half the squared error; the log loss of two classes, or of more; half the Poisson deviance
        of counts or rates whose mean is ``exp(x_i w + b)``; the Huber loss; or the negative partial
        log-likelihood of survival times. "auto" takes a log loss when the targets are booleans,
        names, or whole numbers with two values or at most 20 and ``sqrt(n_samples)`` distinct
        ones, the squared error for other real numbers, and refuses other integers: choose a loss
        where they are quantities.
    epsilon : float, default=1.35
        Error, in units of y, from which on the Huber loss is linear.
    ties : {"breslow", "efron"}, default="breslow"
        What the Cox loss does with equal times.
    min_features : int, default=0
        Keep at least so many features: whole groups are added to those of the model, first those
        whose gradient at ``alpha`` is largest for what they cost, as long as there are any. Their
        coefficients stay zero; ``max_groups`` has the groups that the path selects. More than X has
        stands for all, with a warning. Goes before ``max_groups``. With 0 a selection may be empty,
        which warns: a later step of a pipeline would be left without columns.
    fit_intercept : bool, default=True
        Whether to fit an intercept, which is never penalised.
    max_iter : int, default=100
        Largest number of passes over all features; each solves the problem over a working set of
        groups.
    tol : float, default=1e-6
        The fit stops when its duality gap is at most ``tol`` of the objective; for losses without a
        gap when the violation of the optimality conditions is at most ``tol``.
    warm_start : bool, default=False
        Start from the coefficients of the previous fit; a search for ``max_groups`` does not.
    verbose : int, default=0
        1 writes the first and last pass, and in between at most a line a second; 2 writes each.

    Attributes
    ----------
    alpha_ : float
        Strength used.
    coef_ : ndarray of shape (n_features,) or (n_outputs, n_features)
        Coefficients, in the float type of the features; with ``encode`` of the columns that X is
        encoded as. For two classes they belong to the second of ``classes_``.
    intercept_ : float or ndarray of shape (n_outputs,)
        Intercept.
    support_ : ndarray of shape (n_features,)
        Mask of the features that are kept, as ``get_support()`` returns it.
    n_features_ : int
        Number of features that are kept.
    feature_importances_ : ndarray of shape (n_features,)
        Norm of the coefficients of each feature, over outputs and the columns that it is encoded
        as; exactly zero where all are.
    classes_ : ndarray of shape (n_classes,)
        The classes, where the loss is a log loss.
    groups_ : ndarray of shape (n_groups,)
        Names of the groups: sorted labels (in order of appearance where they are of several kinds),
        positions in the list, or keys of the dict. All that were given, also those without columns
        in X.
    group_labels_ : ndarray
        Position in ``groups_`` of the group of each coefficient, the first of several.
    group_norms_ : ndarray of shape (n_groups,)
        Norm of the coefficients of each group.
    selected_groups_ : ndarray
        Names of the groups that are kept.
    encoder_ : transformer
        What encodes X, where ``encode`` is given: ``encoder_.transform(X) @ coef_ + intercept_`` is
        the model, and ``encoder_.get_feature_names_out()`` names its columns.
    dual_gap_ : float
        Duality gap, computed from the answer and the objective alone: the objective is at most this
        far above its minimum; nan where no bound is known, when ``alpha`` is 0 or groups that are
        not penalised separate the classes, or the samples with y = 0 of the Poisson loss.
    optimality_ : float
        Largest violation of the optimality conditions over groups, as a correlation.
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
        When no group is selected, or fewer than ``max_groups``.

    See Also
    --------
    one_hot_groups : Groups of the columns that a one-hot encoder makes.
    sksparse.linear_model.GroupLassoRegressor : The same model, for predictions.
    sksparse.linear_model.OSCAR : Groups found from the data.

    Notes
    -----
    Bring the features to a common scale first, unless ``encode`` does. With ``l1_ratio=0`` whole
    groups are kept, a column that happens to have a zero coefficient included; otherwise a feature
    is kept when its coefficient is not zero or its group is never penalised. Constant features have
    a coefficient of zero. Overlapping groups take memory for a copy of X.

    For the Poisson loss a rate per unit of exposure has the exposure for its sample weight.

    References
    ----------
    .. [1] M. Yuan and Y. Lin (2006). "Model selection and estimation in regression with grouped
       variables". Journal of the Royal Statistical Society B 68, 49-67.
    .. [2] N. Simon, J. Friedman, T. Hastie and R. Tibshirani (2013). "A sparse-group lasso".
       Journal of Computational and Graphical Statistics 22, 231-245.
    .. [3] H. Wang and C. Leng (2008). "A note on adaptive group lasso". Computational Statistics
       and Data Analysis 52, 5277-5286.
    .. [4] L. Jacob, G. Obozinski and J.-P. Vert (2009). "Group lasso with overlap and graph lasso".
       International Conference on Machine Learning 26, 433-440.

    Examples
    --------
    >>> import pandas as pd
    >>> from sksparse.feature_selection import GroupLassoSelector
    >>> X = pd.DataFrame(
    ...     {
    ...         "colour": ["red", "blue", "grey", "red", "blue", "grey"],
    ...         "size": [1.0, 2.0, 0.5, 1.5, 1.0, 2.0],
    ...         "age": [0.2, 0.1, 0.2, 0.1, 0.2, 0.1],
    ...     }
    ... )
    >>> y = [4.0, 7.1, 0.6, 4.4, 6.0, 2.1]
    >>> selector = GroupLassoSelector(encode="auto", max_groups=2).fit(X, y)
    >>> selector.transform(X).columns.tolist()
    ['colour', 'size']

    The columns of an encoder, grouped by the names of the raw columns:

    >>> encoded = pd.get_dummies(X)
    >>> selector = GroupLassoSelector(alpha=0.1, groups=["colour", "size", "age"])
    >>> selector = selector.set_output(transform="pandas").fit(encoded, y)
    >>> selector.selected_groups_.tolist()
    ['colour', 'size']
    >>> selector.transform(encoded).columns.tolist()
    ['size', 'colour_blue', 'colour_grey', 'colour_red']
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
            Targets: numbers, or classes of any type. Several columns of numbers for
            ``loss="squared"``. Of the Cox loss a structured array of events and times, both as
            columns, or times that all have an event.
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
            self._store_certificate(solution)
            self._select(posed, solution)
        warn_unless_converged(solution.message)
        if message:
            warnings.warn(message, UserWarning, stacklevel=2)
        elif not self._support.any():
            remedy = "give a smaller alpha, min_features=1 to keep the strongest group "
            remedy += "whatever it is, or the number of groups to keep as max_groups"
            if self.min_features:
                remedy = "no group explains anything, so that none would enter at any alpha"
            warnings.warn(
                f"No group is selected at alpha={self.alpha_:.6g}, and transform leaves no "
                f"columns: {remedy}.",
                UserWarning,
                stacklevel=2,
            )
        return self

    @property
    def _n_fit_levels(self) -> int | None:  # type: ignore[override]
        """One loop, or those of a search for a number of groups."""
        return 1 if self.max_groups is None else None

    def _parts(self) -> Any:
        # it selects, and predicts nothing
        return SparseEstimator._parts(self)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.target_tags.multi_output = self.loss == "squared"
        is_table = self.encode is not None
        tags.input_tags.sparse = not is_table
        tags.input_tags.allow_nan = tags.input_tags.string = tags.input_tags.categorical = is_table
        kind = SELECTOR_LOSSES.get(self.loss)
        if kind is None or kind.for_classes:
            # with "auto", whole numbers are taken for classes
            tags.classifier_tags = ClassifierTags(multi_class=self.loss != "logistic")
        else:
            tags.target_tags.positive_only = in_domain(kind, 1.0) and not in_domain(kind, -1.0)
        return tags
