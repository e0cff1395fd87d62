"""Iterative methods for ``min_{w, b} loss(X w + b) + alpha * penalty(w)``.

Every method is a :class:`Solver`: it checks that it can solve a problem, and returns a
:class:`Solution`. Nearly all are an :class:`IterativeSolver`, with a start, a step and a
certificate, which one loop runs. Coefficients have shape (n_features,), predictors ``z`` have shape
(n_samples,), both float64 whatever the type of X. A new solver is one file that derives from one of
the two, and one line here.
"""

from sksparse.solvers._base import Iterate, IterativeSolver, Solver
from sksparse.solvers._centred import CentredDesign
from sksparse.solvers._dense_design import DenseDesign, MappedDesign
from sksparse.solvers._design import Design
from sksparse.solvers._gram_cache import GramCache
from sksparse.solvers._problem import Problem
from sksparse.solvers._solution import BoundedSolution, Certificate, Solution, Status, cut_short
from sksparse.solvers._sparse_design import SparseDesign
from sksparse.solvers.branch_and_bound._solver import BranchAndBound
from sksparse.solvers.convex._block_descent import BlockDescent
from sksparse.solvers.local_search._path import subset_path
from sksparse.solvers.local_search._swap_descent import SubsetDescent
from sksparse.solvers.sorted_l1._descent import SortedDescent
from sksparse.solvers.subset._backward import BackwardElimination
from sksparse.solvers.subset._coordinate_descent import CoordinateDescentL0
from sksparse.solvers.subset._correlations import Correlations
from sksparse.solvers.subset._forward import ForwardSelection
from sksparse.solvers.subset._hard_thresholding import IterativeHardThresholding
from sksparse.solvers.subset._splicing import Splicing
from sksparse.solvers.subset_newton._cardinality_path import CardinalityPath
from sksparse.solvers.subset_newton._stepwise import StepwiseNewton
from sksparse.solvers.subset_newton._swap_newton import SubsetNewton

__all__ = [
    "BackwardElimination",
    "BlockDescent",
    "BoundedSolution",
    "BranchAndBound",
    "CardinalityPath",
    "CentredDesign",
    "Certificate",
    "CoordinateDescentL0",
    "Correlations",
    "DenseDesign",
    "Design",
    "ForwardSelection",
    "GramCache",
    "Iterate",
    "IterativeHardThresholding",
    "IterativeSolver",
    "MappedDesign",
    "Problem",
    "Solution",
    "Solver",
    "SortedDescent",
    "SparseDesign",
    "Splicing",
    "Status",
    "StepwiseNewton",
    "SubsetDescent",
    "SubsetNewton",
    "cut_short",
    "subset_path",
]
