"""Best subset regression."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar

from sklearn.utils._param_validation import Interval

from .._typing import Array
from ..losses import Squared
from ..penalties import L0
from ..solvers import Design, Problem, Solution
from ..solvers._subset import SubsetDescent
from ._base import SparseLinearRegressor


class L0Regressor(SparseLinearRegressor):
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **SparseLinearRegressor._common_constraints,
        "max_features": [Interval(Integral, 1, None, closed="left"), None],
        "l2": [Interval(Real, 0, None, closed="left")],
    }

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
        k = self.max_features
        if k is not None and k > design.n_features:
            raise ValueError(
                f"max_features={k} is more than X has: n_features={design.n_features}; give a "
                "number up to that, or None to let alpha decide."
            )
        solver = SubsetDescent(
            l2=self.l2,
            max_features=k,
            tol=self.tol,
            max_iter=self.max_iter,
            verbose=self.verbose,
        )
        problem = Problem(design, loss, L0(), self.alpha, self.fit_intercept)
        return solver.solve(problem, start)

    def _store(self, solution: Solution) -> None:
        self.optimality_ = solution.certificate.value
