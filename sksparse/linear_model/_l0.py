"""Best subset regression."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar

from sklearn.utils._param_validation import Interval

from .._typing import Array
from ..losses import Squared
from ..penalties import L0
from ..solvers import Design, Problem, Solution, SubsetDescent, SubsetRules
from ._base import SparseLinearRegressor


class L0Regressor(SparseLinearRegressor):
    """Linear regression on the best subset of the features.

    Minimises over coefficients w and intercept b, with s the sample weights::

        1 / (2 sum_i s_i) * sum_i s_i (y_i - x_i w - b)^2 + alpha * ||w||_0 + l2 / 2 * ||w||_2^2

    where ``||w||_0`` is the number of non-zero coefficients. With ``max_features=k`` the term in
    ``alpha`` gives way to the constraint ``||w||_0 <= k``.

    Parameters
    ----------
    alpha : float, default=0.01
        Price of a feature, non-negative, in the units of half a squared target: a feature is kept
        if leaving it out would raise half the mean squared error by more than ``alpha``. For a
        target of unit variance the default asks each feature for 2 % of the variance; otherwise
        multiply by ``y.var()``, or search a logarithmic grid. The scale of the features does not
        matter unless ``l2`` is positive. With 0 all features are used, up to the rank of X.
    max_features : int, default=None
        Largest number of features, from 1 to the number in X; ``alpha`` is then not used. The
        answer depends on nothing but this number and the data, unless ``warm_start`` is set.
    l2 : float, default=0.0
        Strength of a ridge penalty, non-negative, in units of the variance of a feature. A little
        helps where features are strongly correlated and noise is large.
    fit_intercept : bool, default=True
        Whether to fit an intercept, which is never penalised.
    max_iter : int, default=100
        Largest number of passes over the features; each improves the subset within a working set
        and then looks for moves among all features.
    tol : float, default=1e-8
        The fit stops when no single add, drop or swap lowers the objective by more than ``tol``
        times the loss of the model without features. For float32 features it is at least 1.2e-5.
    warm_start : bool, default=False
        Try the features of the previous fit as one more start. The answer may be better, and then
        depends on what was fitted before.
    verbose : int, default=0
        A positive value prints a line for each pass.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,)
        Coefficients, in the float type of the features: the least-squares (or ridge) fit on the
        selected features, exactly zero elsewhere.
    intercept_ : float
        Intercept.
    optimality_ : float
        Largest gain that any single add, drop or swap over all features has left, relative to the
        loss of the model without features. A value of at most ``tol`` proves that none improves
        the objective by more.
    n_iter_ : int
        Number of passes.
    n_features_in_ : int
        Number of features seen in fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, where X had them.

    Warns
    -----
    ConvergenceWarning
        When ``tol`` is not reached; names the value reached and the remedy.

    See Also
    --------
    OSCAR : Ties the coefficients of correlated features instead of choosing among them.
    sklearn.linear_model.OrthogonalMatchingPursuit : Greedy forward selection.
    sklearn.feature_selection.SequentialFeatureSelector : Stepwise selection for any estimator.

    Notes
    -----
    The best of several descents is kept. They start from forward selection, from forward selection
    carried too far, and from cyclic coordinate descent with hard thresholding [1]_, and make the
    best add or drop, failing these the best swap, until none improves. Every move is judged by its
    exact refit, which the Gram matrix of a working set of columns gives at once for all moves; a
    pass over all features then checks the moves outside the working set.

    The problem is NP-hard. The answer is a local optimum of the neighbourhood that ``optimality_``
    describes, and not always the global one. Constant features are never selected, and neither is
    a feature that is a linear combination of those already selected (up to 1e-8 of its variance).

    References
    ----------
    .. [1] H. Hazimeh and R. Mazumder (2020). "Fast best subset selection: coordinate descent and
       local combinatorial optimization algorithms". Operations Research 68, 1517-1537.
    .. [2] A. Miller (2002). "Subset selection in regression". Chapman and Hall/CRC.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sksparse.linear_model import L0Regressor
    >>> X, y = load_diabetes(return_X_y=True, as_frame=True)
    >>> model = L0Regressor(max_features=4).fit(X, y)
    >>> model.get_feature_names_out().tolist()
    ['bmi', 'bp', 's1', 's5']
    >>> model = L0Regressor(alpha=0.02 * y.var()).fit(X, y)
    >>> model.get_feature_names_out().tolist()
    ['bmi', 's5']
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **SparseLinearRegressor._common_constraints,
        "max_features": [Interval(Integral, 1, None, closed="left"), None],
        "l2": [Interval(Real, 0, None, closed="left")],
    }

    optimality_: float

    def __init__(
        self,
        alpha: float = 0.01,
        *,
        max_features: int | None = None,
        l2: float = 0.0,
        fit_intercept: bool = True,
        max_iter: int = 100,
        tol: float = 1e-8,
        warm_start: bool = False,
        verbose: int = 0,
    ) -> None:
        self.alpha = alpha
        self.max_features = max_features
        self.l2 = l2
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol
        self.warm_start = warm_start
        self.verbose = verbose

    def _solve(self, design: Design, loss: Squared, start: Array | None) -> Solution:
        k = None if self.max_features is None else int(self.max_features)
        if k is not None and k > design.n_features:
            raise ValueError(
                f"max_features={k} is more than X has: n_features={design.n_features}; give a "
                "number up to that, or None to let alpha decide."
            )
        solver = SubsetDescent(
            rules=SubsetRules(max_features=k, l2=self.l2),
            tol=self.tol,
            max_iter=self.max_iter,
            verbose=self.verbose,
        )
        problem = Problem(design, loss, L0(), self.alpha, self.fit_intercept)
        return solver.solve(problem, start)

    def _store(self, solution: Solution) -> None:
        self.optimality_ = solution.certificate.value
