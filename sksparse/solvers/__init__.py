"""Iterative methods for ``min_{w, b} loss(X w + b) + alpha * penalty(w)``.

Every method is a :class:`Solver`: a start, a step and a certificate, run by one outer loop that
returns a :class:`Solution`. Coefficients have shape (n_features,), predictors ``z`` have shape
(n_samples,), both float64 whatever the type of X. A new solver is one file that derives from
:class:`Solver`, and one line here.
"""

from ._backward import BackwardElimination
from ._block_descent import BlockDescent
from ._branch_and_bound import BranchAndBound
from ._convex import moderate
from ._correlations import Correlations
from ._design import Design
from ._forward import ForwardSelection
from ._gram import GramCache
from ._hard_thresholding import IterativeHardThresholding
from ._loop import Iterate, Solver
from ._problem import Problem
from ._solution import BoundedSolution, Certificate, Solution, Status, cut_short
from ._sorted_descent import SortedDescent
from ._splicing import Splicing
from ._stepwise_newton import StepwiseNewton
from ._subset import SubsetDescent
from ._subset_cd import CoordinateDescentL0
from ._subset_newton import GrownSizes, SubsetNewton
from ._subset_path import subset_path
from ._subset_rules import SubsetRules

__all__ = [
    "BackwardElimination",
    "BlockDescent",
    "BoundedSolution",
    "BranchAndBound",
    "Certificate",
    "CoordinateDescentL0",
    "Correlations",
    "Design",
    "ForwardSelection",
    "GramCache",
    "GrownSizes",
    "Iterate",
    "IterativeHardThresholding",
    "Problem",
    "Solution",
    "Solver",
    "SortedDescent",
    "Splicing",
    "Status",
    "StepwiseNewton",
    "SubsetDescent",
    "SubsetNewton",
    "SubsetRules",
    "cut_short",
    "moderate",
    "subset_path",
]
