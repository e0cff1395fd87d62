"""Iterative methods for ``min_{w, b} loss(X w + b) + alpha * penalty(w)``.

Every method is a :class:`Solver`: a start, a step and a certificate, run by one outer loop that
returns a :class:`Solution`. Coefficients have shape (n_features,), predictors ``z`` have shape
(n_samples,), both float64 whatever the type of X. A new solver is one file that derives from
:class:`Solver`, and one line here.
"""

from ._block_descent import BlockDescent
from ._branch_and_bound import BranchAndBound
from ._design import Design
from ._gram import GramCache
from ._loop import Iterate, Solver
from ._problem import Problem
from ._solution import BoundedSolution, Certificate, Solution, Status
from ._sorted_descent import SortedDescent
from ._subset import SubsetDescent

__all__ = [
    "BlockDescent",
    "BoundedSolution",
    "BranchAndBound",
    "Certificate",
    "Design",
    "GramCache",
    "Iterate",
    "Problem",
    "Solution",
    "Solver",
    "SortedDescent",
    "Status",
    "SubsetDescent",
]
