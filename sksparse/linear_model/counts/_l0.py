"""Best subset regression of counts."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar

from sklearn.utils._param_validation import Interval, StrOptions

from sksparse._estimator import SparseEstimator
from sksparse._typing import Array
from sksparse._validation import check_data, check_start, warn_unless_converged
from sksparse.linear_model._base import attributes_in, count_chosen
from sksparse.linear_model._separation import separation_message
from sksparse.linear_model.counts._mixin import SparseCountMixin
from sksparse.linear_model.l0._options import (
    SUBSET_CONSTRAINTS,
    check_subset_penalty,
    newton_solver,
)
from sksparse.losses import Poisson
from sksparse.solvers import Design, Problem


class L0PoissonRegressor(SparseCountMixin, SparseEstimator):
    """Poisson regression on the best subset of the features.

    The mean of a count is ``exp(x_i w + b)``. Minimises over coefficients w and intercept b, with s
    the sample weights and d the Poisson deviance of a sample::

        1 / (2 sum_i s_i) * sum_i s_i d(y_i, exp(x_i w + b))
            + alpha * sum_{j: w_j != 0} penalty_weights_j + l1 * ||w||_1 + l2 / 2 * ||w||_2^2

    With ``max_features=k`` the term in ``alpha`` gives way to the constraint that at most k
    features are used.

    Parameters
    ----------
    alpha : float, default=0.01
        Penalty of a feature, non-negative, in units of half the mean deviance: a feature is kept if
        leaving it out would raise half the mean deviance by more than ``alpha``. Counts that a
        Poisson distribution explains leave about 0.5. The scale of the features does not matter
        unless ``l1`` or ``l2`` is positive.
    max_features : int, default=None
        Largest number of features, at least 1; ``alpha`` is then not used. More than X has stands
        for all of them, with a warning. The answer depends on nothing but this number and the data,
        unless ``warm_start`` is set.
    l1 : float, default=0.0
        Strength of an L1 norm, non-negative.
    l2 : float, default=0.0
        Strength of a ridge penalty, non-negative, in units of the variance of a feature.
    positive : bool or array-like of shape (n_features,), default=False
        Features whose coefficient must not be negative, all or by a boolean mask.
    penalty_weights : array-like of shape (n_features,), default=None
        Factors on ``alpha``, non-negative. A feature with factor 0 is always kept and does not
        count for ``max_features``. None is 1 for all.
    solver : {"auto", "swap", "forward", "backward"}, default="auto"
        How the subset is searched, as in :class:`L0Classifier`.
    effort : int, default=1
        For the solver "auto", how much is searched, as in :class:`L0Classifier`.
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
    coef_ : ndarray of shape (n_features,)
        Coefficients, in the float type of the features, exactly zero for features not selected.
    intercept_ : float
        Intercept.
    n_features_ : int
        Number of features chosen, those of penalty weight zero not counted.
    support_ : ndarray of shape (n_features,)
        Mask of the features in use, as ``get_support()`` returns it.
    optimality_ : float
        Largest gain, relative to the objective, that is known to be left, as in
        :class:`L0Classifier`.
    n_iter_ : int
        Number of passes.
    n_features_in_ : int
        Number of features seen in fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, where X had them.

    Raises
    ------
    ValueError
        From fit, for bad data or parameters, negative ``y`` among them, or ``y`` that is zero for
        all samples; names the argument, its value and the remedy.

    Warns
    -----
    ConvergenceWarning
        When ``tol`` is not reached, or the features selected single out samples with ``y = 0``, as
        a category without counts does: its coefficient has no minimum. Names the value reached and
        the remedy.

    See Also
    --------
    L0PoissonRegressorCV : Chooses the number of features.
    L0Regressor : The same for a squared loss.
    L0Classifier : The same for classes.
    sklearn.linear_model.PoissonRegressor : All features, with a ridge.

    Notes
    -----
    The search is that of :class:`L0Classifier`: moves are proposed by the second-order model of the
    loss, as in iteratively reweighted least squares, and decided by refits. The problem is NP-hard,
    and the answer a local optimum of the neighbourhood that ``optimality_`` describes.

    ``y`` need not be whole. For counts over different exposures, fit the rates
    ``counts / exposure`` with ``sample_weight=exposure``: the likelihood is that of the counts.

    Constant features are never selected, and with ``l2=0`` neither is a feature that is a linear
    combination of those already selected (up to 1e-8 of its variance).

    References
    ----------
    .. [1] P. McCullagh and J. A. Nelder (1989). "Generalized linear models", 2nd ed. Chapman and
       Hall/CRC.
    .. [2] J. Zhu et al. (2022). "abess: a fast best-subset selection library in Python and R".
       Journal of Machine Learning Research 23.

    Examples
    --------
    >>> import numpy as np
    >>> from sksparse.linear_model import L0PoissonRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((200, 10))
    >>> y = rng.poisson(np.exp(1.0 + 0.8 * X[:, 2] - 0.5 * X[:, 7]))
    >>> model = L0PoissonRegressor(max_features=2).fit(X, y)
    >>> model.get_support(indices=True).tolist()
    [2, 7]
    >>> model.coef_[[2, 7]].round(1).tolist()
    [0.8, -0.5]
    >>> round(model.score(X, y), 1)
    0.8
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "alpha": [Interval(Real, 0, None, closed="left")],
        "max_features": [Interval(Integral, 1, None, closed="left"), None],
        **SUBSET_CONSTRAINTS,
        "solver": [StrOptions({"auto", "swap", "forward", "backward"})],
        "fit_intercept": ["boolean"],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "warm_start": ["boolean"],
        "verbose": ["verbose"],
    }

    coef_: Array
    n_features_: int
    optimality_: float
    n_iter_: int

    def __init__(
        self,
        alpha: float = 0.01,
        *,
        max_features: int | None = None,
        l1: float = 0.0,
        l2: float = 0.0,
        positive: Any = False,
        penalty_weights: Any = None,
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
        self.solver = solver
        self.effort = effort
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol
        self.warm_start = warm_start
        self.verbose = verbose

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> L0PoissonRegressor:
        """Fit the model.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training features, float32 or float64, dense in any memory order or sparse; other
            types are converted. Never modified.
        y : array-like of shape (n_samples,)
            Counts or rates, not negative.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights; an integer weight equals so many repetitions of the sample.

        Returns
        -------
        self : object
            The fitted estimator.
        """
        with self._fitting(X, y, sample_weight) as fit:
            self._validate_params()
            X, y, weights = check_data(self, X, y, sample_weight, y_numeric=True)
            start = check_start(getattr(self, "coef_", None), X.shape[1])
            penalty = check_subset_penalty(
                X.shape[1],
                max_features=self.max_features,
                l1=self.l1,
                l2=self.l2,
                penalty_weights=self.penalty_weights,
                positive=self.positive,
            )
            design, loss, attributes = Design(X), Poisson(y, weights), attributes_in(X.dtype)
            fit.describe(design, loss, attributes)
            problem = Problem(design, loss, penalty, self.alpha, self.fit_intercept)
            solution = newton_solver(self).solve(problem, start if self.warm_start else None)
            self._adopt(attributes(solution.coef, solution.intercept))
            self.n_features_ = count_chosen(self.coef_, self.penalty_weights)
            self.n_iter_ = solution.n_iter
            self.optimality_ = solution.certificate.value
            message = solution.message or separation_message(
                design, loss, penalty, self.fit_intercept, [(solution.coef, solution.intercept)]
            )
        warn_unless_converged(message)
        return self
