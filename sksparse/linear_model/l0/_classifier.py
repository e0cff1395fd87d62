"""Best subset classification."""

from __future__ import annotations

from dataclasses import replace
from numbers import Integral, Real
from typing import Any, ClassVar

from sklearn.utils._param_validation import Interval, StrOptions

from sksparse._estimator import SparseEstimator
from sksparse._typing import Array
from sksparse._validation import check_data, check_weights, warn_unless_converged
from sksparse.linear_model._base import FIT_CONSTRAINTS, count_chosen
from sksparse.linear_model._classes import (
    SparseClassifierMixin,
    check_classes,
    class_attributes,
    log_loss,
)
from sksparse.linear_model._criteria import sample_count
from sksparse.linear_model._ridge import check_ridge
from sksparse.linear_model._separation import is_separated, separation_message
from sksparse.linear_model.l0._options import (
    SUBSET_CONSTRAINTS,
    check_subset_penalty,
    newton_solver,
)
from sksparse.losses import Loss
from sksparse.penalties import L0
from sksparse.solvers import Design, Problem, Solution


class L0Classifier(SparseClassifierMixin, SparseEstimator):
    """Logistic regression on the best subset of the features.

    Minimises over coefficients w and intercept b, with s the sample weights::

        1 / (sum_i s_i) * sum_i s_i loss(y_i, x_i w + b)
            + alpha * sum_{j: w_j != 0} penalty_weights_j + l1 * ||w||_1 + l2 / 2 * ||w||_2^2

    or, for ``l2="auto"``, with a ridge ``l2_ / 2 * sum_j v_j w_j^2`` that does not depend on the
    scale of the features, v_j the variance of feature j. The loss is the log loss; for more than
    two classes it is the multinomial one, and w_j holds a coefficient of feature j for each class,
    chosen together and penalised once. With ``max_features=k`` the term in ``alpha`` gives way to
    the constraint that at most k features are used.

    Parameters
    ----------
    alpha : float, default=0.01
        Penalty per feature, non-negative, in units of the mean log loss: a feature is kept if
        leaving it out would raise the log loss by more than ``alpha``. The model without features
        has a log loss of 0.69 for two balanced classes. The scale of the features does not matter
        unless ``l1`` or ``l2`` is a positive number.
    max_features : int, default=None
        Largest number of features, at least 1; ``alpha`` is then not used. More than X has stands
        for all of them, with a warning. The answer depends on nothing but this number and the data,
        unless ``warm_start`` is set.
    l1 : float, default=0.0
        Strength of an L1 norm, non-negative.
    l2 : float or "auto", default="auto"
        Strength of a ridge penalty, non-negative, in units of the variance of a feature. "auto" is
        ``l2_ = log(4 p / n) / n`` times the variance of each feature for p features and n samples,
        as 0.083 for 72 samples of 7129 genes; with fewer features than samples
        ``l2_ = 1e-8``, which only keeps coefficients finite, or ``log(4) / n`` if the features
        selected separate the classes. With 0, features that separate the classes, as a few of many
        always do, end with coefficients without meaning, no further features are selected once the
        classes are separated, and a warning is issued.
    positive : bool or array-like of shape (n_features,), default=False
        Features whose coefficient must not be negative, all or by a boolean mask; for two classes
        only.
    penalty_weights : array-like of shape (n_features,), default=None
        Factors on ``alpha``, non-negative. A feature with factor 0 is always kept and does not
        count for ``max_features``. None is 1 for all.
    class_weight : dict or "balanced", default=None
        Factors on the sample weights by class; "balanced" gives all classes the same total.
    solver : {"auto", "swap", "forward", "backward"}, default="auto"
        How the subset is searched:

        - "auto": forward selection, then moves by a quadratic model, from several starts; refits
          also try some moves for which the model predicts no gain.
        - "swap": forward selection, then single moves for which it predicts a gain.
        - "forward", "backward": stepwise selection by score tests and elimination by Wald tests,
          all coefficients refitted after each step [3]_. "backward" needs more samples than
          features and classes that are not separated by all of these, or a positive ``l2``.
    effort : int, default=1
        For the solver "auto", how much is searched: factor on the number of moves that are tried by
        a refit where the quadratic model predicts a gain but its first proposals do not lower the
        objective, and number of starts: forward selections up to so many times the number of
        features.
    fit_intercept : bool, default=True
        Whether to fit an intercept, which is never penalised.
    max_iter : int, default=100
        Largest number of passes over the features; each improves the subset within a working set
        and then looks for moves among all features.
    tol : float, default=1e-8
        Moves that lower the objective by less than ``tol`` times the loss that is left are not
        looked for. For float32 features it is at least 1.2e-5.
    warm_start : bool, default=False
        Try the features of the previous fit as one more start. The answer may be better, and then
        depends on what was fitted before. Stepwise solvers ignore it.
    verbose : int, default=0
        1 writes the first and last pass, and in between at most a line a second; 2 writes each.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The classes.
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        Coefficients, in the float type of the features, exactly zero for features not selected.
        For two classes they belong to the second.
    intercept_ : ndarray of shape (1,) or (n_classes,)
        Intercepts.
    n_features_ : int
        Number of features chosen, those of penalty weight zero not counted.
    support_ : ndarray of shape (n_features,)
        Mask of the features in use, as ``get_support()`` returns it.
    optimality_ : float
        Largest gain, relative to the objective, that is known to be left. With "auto" and "swap" it
        is what the quadratic model of the loss at the answer predicts for a single add, drop or
        swap over all features, less the moves that refits refuted, or what changing the
        coefficients of a single feature gains for certain if that is more. With "auto" and at most
        200 pairs of a feature in use and another, every single move has been refitted, so that
        a value up to ``tol`` proves a local optimum; with more, a move whose gain the model does
        not predict may remain, as in about one of a hundred small random problems. With "forward"
        and "backward" zero says that the rule was followed to its end.
    l2_ : float
        The strength of the ridge; for ``l2="auto"`` that on features of unit variance.
    n_iter_ : int
        Number of passes.
    n_features_in_ : int
        Number of features seen in fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, where X had them.

    Warns
    -----
    ConvergenceWarning
        When ``tol`` is not reached, or for ``l2=0`` the features selected separate the classes;
        names the value reached and the remedy.

    See Also
    --------
    L0Regressor : The same for a squared loss.
    sklearn.linear_model.LogisticRegression : Selects by an L1 norm, which also shrinks.

    Notes
    -----
    At the current fit, the loss is approximated by its quadratic model, as in iteratively
    reweighted least squares, which gives the gain of every add, drop and swap at once. A local
    search on the model proposes a subset; Newton steps refit it, and it is accepted if the true
    objective falls. Otherwise the best single moves of the model are refitted: up to ``30 *
    effort`` with a predicted gain, and the best ``5 * effort`` of the others; with up to 30
    features every add and drop, and a swap for each feature outside; from the best local optimum of
    all starts every single move if they are few. The first start is a forward selection with the
    model renewed whenever the number of features doubles; for an ``alpha``, the best subset of a
    path over all cardinalities if that is better. A pass over all features then adds those to the
    working set whose entry would lower the model.

    The problem is NP-hard; the answer is a local optimum of the neighbourhood that ``optimality_``
    describes. The model is exact only to second order: moves whose gain it underestimates by far
    are not found. Constant features are never selected, and with ``l2=0`` neither is a feature that
    is a linear combination of those already selected (up to 1e-8 of its variance).

    Where the classes can be separated and no norm is added, the log loss has no minimum. The fit
    ends when it has fallen to 1e-6 of the model without features. Without an intercept, "auto"
    takes the mean squares of the features for their variances. Sample weights that are all whole
    numbers count samples, so n is their sum; of others it is ``(sum s)^2 / sum s^2``.

    References
    ----------
    .. [1] A. Dedieu, H. Hazimeh and R. Mazumder (2021). "Learning sparse classifiers: continuous
       and mixed integer optimization perspectives". Journal of Machine Learning Research 22.
    .. [2] J. Zhu, C. Wen, J. Zhu, H. Zhang and X. Wang (2020). "A polynomial algorithm for
       best-subset selection problem". PNAS 117, 33117-33123.
    .. [3] A. Miller (2002). "Subset selection in regression". Chapman and Hall/CRC.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sksparse.linear_model import L0Classifier
    >>> X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    >>> model = L0Classifier(max_features=3).fit(X, y)
    >>> model.get_feature_names_out().tolist()
    ['worst texture', 'worst area', 'worst concave points']
    >>> round(model.score(X, y), 2)
    0.97
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **FIT_CONSTRAINTS,
        **SUBSET_CONSTRAINTS,
        "max_features": [Interval(Integral, 1, None, closed="left"), None],
        "l2": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "solver": [StrOptions({"auto", "swap", "forward", "backward"})],
    }

    classes_: Any
    coef_: Array
    intercept_: Array
    n_features_: int
    optimality_: float
    l2_: float
    n_iter_: int

    def __init__(
        self,
        alpha: float = 0.01,
        *,
        max_features: int | None = None,
        l1: float = 0.0,
        l2: Any = "auto",
        positive: Any = False,
        penalty_weights: Any = None,
        class_weight: Any = None,
        solver: str = "auto",
        effort: int = 1,
        fit_intercept: bool = True,
        max_iter: int = 100,
        tol: float = 1e-8,
        warm_start: bool = False,
        verbose: int = 0,
    ) -> None:
        self.alpha = alpha
        self.max_features = max_features
        self.l1 = l1
        self.l2 = l2
        self.positive = positive
        self.penalty_weights = penalty_weights
        self.class_weight = class_weight
        self.solver = solver
        self.effort = effort
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol
        self.warm_start = warm_start
        self.verbose = verbose

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> L0Classifier:
        """Fit the model.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training features, float32 or float64, dense in any memory order or sparse; other
            types are converted. Never modified.
        y : array-like of shape (n_samples,)
            Classes, of any type.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights; an integer weight equals so many repetitions of the sample.

        Returns
        -------
        self : object
            The fitted estimator.
        """
        with self._fitting(X, y, sample_weight) as fit:
            self._validate_params()
            X, y, weights = check_data(self, X, y, sample_weight, y_numeric=False)
            classes, codes, weights = check_classes(y, weights, self.class_weight)
            loss = log_loss(codes, weights)
            counts = check_weights(sample_weight, X)
            ridge = check_ridge(self.l2, X.shape[1], counts)
            penalty = check_subset_penalty(
                X.shape[1],
                max_features=self.max_features,
                l1=self.l1,
                **ridge._asdict(),
                penalty_weights=self.penalty_weights,
                positive=self.positive,
                n_outputs=loss.n_outputs,
            )
            design, attributes = Design(X), class_attributes(classes, X.dtype)
            fit.describe(design, loss, attributes)
            solution = self._solve(design, loss, penalty)
            stronger = self.l2 == "auto" and ridge.once_separated(sample_count(counts))
            answer = (solution.coef, solution.intercept)
            if stronger and is_separated(design, loss, penalty, self.fit_intercept, *answer):
                ridge, penalty = stronger, replace(penalty, **stronger._asdict())
                solution = self._solve(design, loss, penalty)
            self._adopt(attributes(solution.coef, solution.intercept))
            self.n_features_ = count_chosen(self.coef_, self.penalty_weights)
            self.n_iter_ = solution.n_iter
            self.optimality_ = solution.certificate.value
            self.l2_ = ridge.strength
            message = solution.message or separation_message(
                design, loss, penalty, self.fit_intercept, [(solution.coef, solution.intercept)]
            )
        warn_unless_converged(message)
        return self

    def _solve(self, design: Design, loss: Loss, penalty: L0) -> Solution:
        problem = Problem(design, loss, penalty, self.alpha, self.fit_intercept)
        known = self._dense_coef() if self.warm_start and hasattr(self, "coef_") else None
        fits = known is not None and known.shape[1] == design.n_features
        return newton_solver(self).solve(problem, known if fits else None)
