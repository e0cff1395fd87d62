"""Selection of whole groups of features."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.utils import ClassifierTags, Tags
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from sksparse._estimator import SparseEstimator
from sksparse._groups import Groups, check_groups
from sksparse._selection import FeatureSelectorMixin
from sksparse._typing import Array, Indices, Mask
from sksparse._validation import (
    check_data,
    check_penalty_weights,
    check_start,
    warn_if_more_than_all,
    warn_unless_converged,
)
from sksparse.feature_selection._targets import check_targets, in_domain
from sksparse.losses import LOSSES
from sksparse.penalties import L1, BlockPenalty, Blocks, GroupL2, SparseGroup
from sksparse.solvers import BlockDescent, Design, Problem, Solution
from sksparse.solvers.convex._base import moderate


class GroupLassoSelector(FeatureSelectorMixin, SparseEstimator):
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
        "alpha": [Interval(Real, 0, None, closed="left")],
        "groups": ["array-like", Mapping, None],
        "missing_columns": [StrOptions({"error", "ignore"})],
        "l1_ratio": [Interval(Real, 0, 1, closed="both")],
        "penalty_weights": ["array-like", None],
        "loss": [StrOptions({"auto", *LOSSES})],
        "min_features": [Interval(Integral, 0, None, closed="left")],
        "fit_intercept": ["boolean"],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "warm_start": ["boolean"],
        "verbose": ["verbose"],
    }

    _n_fit_levels = 1

    coef_: Array
    intercept_: float
    selected_groups_: Any
    n_features_in_: int

    def __init__(
        self,
        alpha: float = 0.01,
        groups: Any = None,
        *,
        missing_columns: str = "error",
        l1_ratio: float = 0.0,
        penalty_weights: Any = None,
        loss: str = "auto",
        min_features: int = 0,
        fit_intercept: bool = True,
        max_iter: int = 100,
        tol: float = 1e-6,
        warm_start: bool = False,
        verbose: int = 0,
    ) -> None:
        self.alpha = alpha
        self.groups = groups
        self.missing_columns = missing_columns
        self.l1_ratio = l1_ratio
        self.penalty_weights = penalty_weights
        self.loss = loss
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
            types are converted. Never modified.
        y : array-like of shape (n_samples,)
            Targets: numbers, or two classes of any type.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights; an integer weight equals so many repetitions of the sample.

        Returns
        -------
        self : object
            The fitted selector.
        """
        with self._fitting(X, y, sample_weight):
            self._validate_params()
            X, y, weights = check_data(self, X, y, sample_weight, y_numeric=False)
            warn_if_more_than_all("min_features", self.min_features, X.shape[1])
            name, targets, classes = check_targets(y, self.loss, weights)
            groups = check_groups(
                self.groups,
                X.shape[1],
                getattr(self, "feature_names_in_", None),
                skip_missing=self.missing_columns == "ignore",
            )
            factors = _factors(self.penalty_weights, groups)
            start = check_start(getattr(self, "coef_", None), X.shape[1])
            penalty = _make_penalty(groups, factors, self.l1_ratio)
            problem = Problem(
                Design(X), LOSSES[name](targets, weights), penalty, self.alpha, self.fit_intercept
            )
            solver = BlockDescent(tol=self.tol, max_iter=self.max_iter, verbose=int(self.verbose))
            solution = solver.solve(problem, start if self.warm_start else None)
            self._select(solution, problem, penalty, groups, factors)
            self._store(solution, groups, classes, X.dtype)
        warn_unless_converged(solution.message)
        if not self._support.any():
            warnings.warn(
                f"No group is selected at alpha={self.alpha:.6g}, and transform leaves no columns: "
                "give a smaller alpha, or min_features=1 to keep the strongest group whatever it "
                "is.",
                UserWarning,
                stacklevel=2,
            )
        return self

    def _select(
        self,
        solution: Solution,
        problem: Problem,
        penalty: BlockPenalty,
        groups: Groups,
        factors: Array,
    ) -> None:
        used, always = solution.coef != 0, factors == 0
        selected = always.copy()
        selected[groups.labels[used]] = True
        whole = selected if self.l1_ratio == 0 else always
        support = used | whole[groups.labels]
        if support.sum() < self.min_features:
            for group in _next_to_enter(solution, problem, penalty):
                selected[group] = True
                support |= groups.labels == group
                if support.sum() >= self.min_features:
                    break
        self._support = support
        self.selected_groups_ = groups.names[groups.filled[selected]]

    def _store(self, solution: Solution, groups: Groups, classes: Any, dtype: Any) -> None:
        self.coef_ = solution.coef.astype(dtype)
        self.intercept_ = dtype.type(solution.intercept)
        self.groups_ = groups.names
        self.dual_gap_ = solution.gap
        self.optimality_ = solution.certificate.value
        self.n_iter_ = solution.n_iter
        if classes is not None:
            self.classes_ = classes
        elif "classes_" in vars(self):
            del self.classes_

    def _get_support_mask(self) -> Mask:
        check_is_fitted(self)
        return self._support

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.target_tags.required = True
        kind = LOSSES.get(self.loss)
        if kind is None or kind.for_classes:
            # with "auto", whole numbers are taken for classes
            tags.classifier_tags = ClassifierTags(multi_class=False)
        else:
            tags.target_tags.positive_only = not in_domain(kind, -1.0)
        return tags


def _factors(penalty_weights: Any, groups: Groups) -> Array:
    factors = check_penalty_weights(penalty_weights, len(groups.names), per="group")
    return groups.root_sizes if factors is None else factors[groups.filled]


def _make_penalty(groups: Groups, factors: Array, l1_ratio: float) -> BlockPenalty:
    if l1_ratio == 1:
        return L1((factors > 0)[groups.labels].astype(np.float64))
    blocks = Blocks.from_labels(groups.labels)
    if l1_ratio == 0:
        return GroupL2(blocks, factors)
    return SparseGroup(blocks, factors, l1_ratio)


def _next_to_enter(solution: Solution, problem: Problem, penalty: BlockPenalty) -> Indices:
    """Groups without a coefficient, first the one that enters at the largest smaller strength."""
    scaled, exponent = moderate(problem)
    coef = np.ldexp(solution.coef, exponent)
    strengths = penalty.group_dual_norms(scaled.gradient_at(coef, solution.intercept))
    strengths[penalty.blocks.norms(coef) > 0] = 0.0
    order = np.argsort(-strengths, kind="stable")
    return order[strengths[order] > 0.0]
