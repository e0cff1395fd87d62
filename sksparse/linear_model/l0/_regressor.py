"""Best subset regression."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar

from sklearn.utils._param_validation import Interval, StrOptions

from sksparse._scaling import ScaleError
from sksparse._typing import Array
from sksparse.linear_model._base import FIT_CONSTRAINTS, SparseLinearRegressor, count_chosen
from sksparse.linear_model.l0._dominant import solve_with_dominant
from sksparse.linear_model.l0._options import (
    SUBSET_CONSTRAINTS,
    check_subset_penalty,
)
from sksparse.linear_model.l0._scaling import ScaledProblem
from sksparse.losses import Squared
from sksparse.penalties import L0
from sksparse.solvers import (
    BackwardElimination,
    BoundedSolution,
    BranchAndBound,
    CoordinateDescentL0,
    Design,
    ForwardSelection,
    IterativeHardThresholding,
    Problem,
    Solution,
    Solver,
    Splicing,
    SubsetDescent,
    SubsetNewton,
)

_TEXTBOOK: dict[str, Any] = {
    "cd": CoordinateDescentL0,
    "splicing": Splicing,
    "forward": ForwardSelection,
    "backward": BackwardElimination,
    "iht": IterativeHardThresholding,
}


class L0Regressor(SparseLinearRegressor):
    """Linear regression on the best subset of the features.

    Minimises over coefficients w and intercept b, with s the sample weights::

        1 / (2 sum_i s_i) * sum_i s_i (y_i - x_i w - b)^2
            + alpha * sum_{j: w_j != 0} penalty_weights_j + l1 * ||w||_1 + l2 / 2 * ||w||_2^2

    With ``max_features=k`` the term in ``alpha`` gives way to the constraint that at most k
    features are used.

    Parameters
    ----------
    alpha : float, default=0.01
        Penalty per feature, non-negative, in the units of half a squared target: a feature is kept
        if leaving it out would raise half the mean squared error by more than ``alpha``. It does
        not mean what it means in :class:`sklearn.linear_model.Lasso`, where it is in units of the
        target times the feature. For a target of unit variance the default asks each feature for 2
        % of the variance; otherwise multiply by ``y.var()``, or search a logarithmic grid. The
        scale of the features does not matter unless ``l1`` or ``l2`` is positive. With 0 all
        features are used, up to the rank of X.
    max_features : int, default=None
        Largest number of features, at least 1; ``alpha`` is then not used. More than X has stands
        for all of them, with a warning. The answer depends on nothing but this number and the data,
        unless ``warm_start`` is set.
    l1 : float, default=0.0
        Strength of an L1 norm, non-negative, which shrinks the coefficients of the features that
        are used; for the solvers "auto", "cd" and "iht".
    l2 : float, default=0.0
        Strength of a ridge penalty, non-negative, in units of the variance of a feature. A little
        helps where features are strongly correlated and noise is large.
    positive : bool or array-like of shape (n_features,), default=False
        Features whose coefficient must not be negative, all or by a boolean mask; for the solvers
        "auto", "cd" and "iht".
    penalty_weights : array-like of shape (n_features,), default=None
        Factors on ``alpha``, non-negative. A feature with factor 0 is always kept and does not
        count for ``max_features``, under which other factors do not matter. None is 1 for all.
    solver : {"auto", "swap", "splicing", "cd", "forward", "backward", "iht", "exact"}, \
            default="auto"
        How the subset is searched; the Notes say what each guarantees.

        - "auto": supports of all cardinalities found together (or, for at most a 20th as many
          features as samples, forward selection in a working set that grows where it lacks
          features), then single moves over all features.
        - "swap": forward selection, then single moves over all features.
        - "splicing": exchanges of several features by their sacrifices [3]_.
        - "cd": cyclic coordinate descent with hard thresholding along a path of ``alpha`` [1]_.
        - "forward", "backward": stepwise selection and elimination [2]_; "backward" needs more
          samples than features, or a positive ``l2``.
        - "iht": iterative hard thresholding [4]_.
        - "exact": branch and bound [5]_, which proves how good the answer is.
    effort : int, default=1
        For the solver "auto": how much is searched before the answer is checked. From 2 on with
        more columns, more local searches and random exchanges of up to four features; time grows
        tenfold from 1 to 2, and with the square of the number after that.
    gap : float, default=0.01
        For the solver "exact": the search ends when it has proved that no subset has an objective
        below ``1 - gap`` times that of the answer, up to rounding: 3e-9 of the loss of the model
        without features, or 1e-4 of the objective where that is less.
    time_limit : float, default=None
        For the solver "exact": seconds after which the best answer so far is returned, with the
        gap that is left in ``gap_`` and a warning.
    big_m : float, default=None
        For the solver "exact": look only at coefficients of at most this multiple (1.2, say) of the
        largest one of the best answer known, each times the standard deviation of its feature;
        where a better answer with larger ones turns up, the search starts again around that. Up to
        a hundred times faster, and certificates without ``l2`` for more features than samples, but
        ``lower_bound_`` then holds for such coefficients only. With None it holds for all.
    fit_intercept : bool, default=True
        Whether to fit an intercept, which is never penalised.
    max_iter : int, default=100
        Largest number of passes over the features; each improves the subset within a working set
        and then looks for moves among all features.
    tol : float, default=1e-8
        The fit stops when no single add, drop or swap lowers the objective by more than ``tol``
        times itself, or by more than 2e-14 times the loss of the model without features, which is
        rounding. For float32 features it is at least 1.2e-5.
    warm_start : bool, default=False
        Try the features of the previous fit as one more start. The answer may be better, and then
        depends on what was fitted before. Solvers that build a subset step by step ignore it.
    verbose : int, default=0
        1 writes the first and last pass, and in between at most a line a second; 2 writes each.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,)
        Coefficients, in the float type of the features: the least-squares (or ridge) fit on the
        selected features, exactly zero elsewhere.
    intercept_ : float
        Intercept.
    n_features_ : int
        Number of features chosen, those of penalty weight zero not counted.
    support_ : ndarray of shape (n_features,)
        Mask of the features in use, as ``get_support()`` returns it.
    optimality_ : float
        With "auto" and "swap" the largest gain that any single add, drop or swap over all features
        has left, relative to the objective: a value of at most ``tol`` proves that none improves it
        by more, up to 2e-14 of the loss without features. With "exact" the relative gap; with the
        others the largest gain of the moves that the solver tries. Where features explain nearly
        all, it is that of what they leave (see Notes).
    lower_bound_ : float
        With "exact": no subset has an objective below it; with ``big_m``, none with coefficients
        within that bound.
    gap_ : float
        With "exact": how much lower than the objective that is, as a share of the objective.
    n_nodes_ : int
        With "exact": nodes of the search tree.
    n_iter_ : int
        Number of passes.
    n_features_in_ : int
        Number of features seen in fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, where X had them.

    Warns
    -----
    ConvergenceWarning
        When ``tol`` is not reached; names the value reached and the remedy. Also when features
        leave less than 1e-13 of the loss and norms or signs forbid the second search of the Notes.

    See Also
    --------
    OSCAR : Ties the coefficients of correlated features instead of choosing among them.
    sklearn.linear_model.OrthogonalMatchingPursuit : Greedy forward selection.
    sklearn.feature_selection.SequentialFeatureSelector : Stepwise selection for any estimator.

    Notes
    -----
    The problem is NP-hard, and each solver guarantees something else:

    - "auto" and "swap": no single add, drop or swap over all features lowers the objective, each
      judged by its exact refit. "auto" reaches the lower objective, on correlated features by far:
      supports of all cardinalities are searched up and down in blocks, and improve each other.
    - with ``l1`` or ``positive``, "auto" proposes moves by a quadratic model and decides by refits:
      the most promising moves were refitted, and none lowered the objective.
    - "splicing": no exchange of the features of least sacrifice for those of largest.
    - "cd": no change of a single coefficient lowers the objective.
    - "forward", "backward": each step was the best single one; nothing about the subset.
    - "iht": a fixed point of the thresholded gradient step.
    - "exact": no subset has an objective below ``1 - gap_`` times that of the answer. It draws its
      bounds from ``l2``, from independent columns, or from ``big_m``. More than 150 features that
      are linearly dependent (as with fewer samples than features), or 600, have none with ``l2=0``
      and no ``big_m``: then all subsets are compared, if there are up to 2e11, some minutes (3 of
      8000 features, 4 of 1400, 5 of 450). For larger ``max_features`` a warning before the fit
      says what it needs, and ``gap_`` is 1; with ``alpha`` the subsets that take a moment are
      compared, and the bound is what larger ones cost.

    Constant features, whose standard deviation is at most 1e-8 of their mean (1e-6 for float32),
    are never selected where an intercept is fitted, and neither is a feature that is a linear
    combination of those already selected (up to 1e-8 of its variance, or of its mean square without
    an intercept);
    what is proved or guaranteed is so among other subsets. Without an intercept, centre features
    whose mean is far above their standard deviation.

    Where features explain all but 1e-9 of the loss (a column of huge scale, or of ones for a target
    far from zero), those without which the loss would be a million times larger are kept, what they
    explain is subtracted from the target, and the search is repeated on the residual, where the
    gains of other features are not lost to rounding. This needs ``l1=0``, ``l2=0`` and
    ``positive=False``; "exact" also needs ``big_m=None`` and data that prove these features
    indispensable, and gives each search the ``time_limit``.

    References
    ----------
    .. [1] H. Hazimeh and R. Mazumder (2020). "Fast best subset selection: coordinate descent and
       local combinatorial optimization algorithms". Operations Research 68, 1517-1537.
    .. [2] A. Miller (2002). "Subset selection in regression". Chapman and Hall/CRC.
    .. [3] J. Zhu, C. Wen, J. Zhu, H. Zhang and X. Wang (2020). "A polynomial algorithm for
       best-subset selection problem". PNAS 117, 33117-33123.
    .. [4] D. Bertsimas, A. King and R. Mazumder (2016). "Best subset selection via a modern
       optimization lens". Annals of Statistics 44, 813-852.
    .. [5] H. Hazimeh, R. Mazumder and A. Saab (2022). "Sparse regression at scale: branch-and-bound
       rooted in first-order optimization". Mathematical Programming 196, 347-388.

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
        **FIT_CONSTRAINTS,
        **SUBSET_CONSTRAINTS,
        "max_features": [Interval(Integral, 1, None, closed="left"), None],
        "solver": [StrOptions({"auto", "swap", "exact", *_TEXTBOOK})],
        "gap": [Interval(Real, 0, 1, closed="left")],
        "time_limit": [Interval(Real, 0, None, closed="neither"), None],
        "big_m": [Interval(Real, 1, None, closed="left"), None],
    }

    n_features_: int
    optimality_: float

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
        gap: float = 0.01,
        time_limit: float | None = None,
        big_m: float | None = None,
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
        self.gap = gap
        self.time_limit = time_limit
        self.big_m = big_m
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol
        self.warm_start = warm_start
        self.verbose = verbose

    def _solve(self, design: Design, loss: Squared, start: Array | None) -> Solution:
        penalty = check_subset_penalty(
            design.n_features,
            max_features=self.max_features,
            l1=self.l1,
            l2=self.l2,
            penalty_weights=self.penalty_weights,
            positive=self.positive,
        )
        problem = Problem(design, loss, penalty, self.alpha, self.fit_intercept)
        try:
            return self._search(problem, start)
        except ScaleError:
            if self.l1 > 0.0 or self.l2 > 0.0:
                # norms depend on the scale of the coefficients
                raise
        scaled = ScaledProblem.of(design, loss)
        problem = Problem(
            scaled.design, scaled.loss, penalty, scaled.alpha(self.alpha), self.fit_intercept
        )
        return scaled.undo(self._search(problem, scaled.start(start)))

    def _search(self, problem: Problem, start: Array | None) -> Solution:
        solver = self._solver(problem.penalty_as(L0))
        if self.solver == "exact" and self.big_m is not None:
            # the bound on coefficients is for those of the problem as it is
            return solver.solve(problem, start)
        return solve_with_dominant(solver.solve, problem, start)

    def _solver(self, penalty: L0) -> Solver:
        """The solver that the parameters ask for."""
        budget: dict[str, Any] = {
            "tol": self.tol,
            "max_iter": self.max_iter,
            "verbose": self.verbose,
        }
        plain = penalty.l1 == 0.0 and penalty.positive is None
        if self.solver == "exact":
            budget |= {"gap": self.gap, "time_limit": self.time_limit, "big_m": self.big_m}
            return BranchAndBound(**budget)
        if self.solver in _TEXTBOOK:
            return _TEXTBOOK[self.solver](**budget)
        if not plain and self.solver != "swap":
            return SubsetNewton(effort=self.effort, **budget)
        return SubsetDescent(effort=self.effort * (self.solver == "auto"), **budget)

    def _store(self, solution: Solution) -> None:
        self.n_features_ = count_chosen(self.coef_, self.penalty_weights)
        self.optimality_ = solution.certificate.value
        for name in {"lower_bound_", "gap_", "n_nodes_"} & set(vars(self)):
            delattr(self, name)
        if isinstance(solution, BoundedSolution):
            self.lower_bound_ = solution.lower_bound
            self.gap_ = solution.certificate.value
            self.n_nodes_ = solution.n_nodes
