"""How a network becomes sparse: one method a file, found by name.

``SPARSIFIERS`` maps the name that an estimator takes to the class of the method.
"""

from __future__ import annotations

from sksparse.sparsifiers._base import Phase, Probe, Sparsifier, SparsifierRun, Task
from sksparse.sparsifiers._bayesian import BayesianGroups
from sksparse.sparsifiers._dense import Dense
from sksparse.sparsifiers._hard_concrete import HardConcrete
from sksparse.sparsifiers._learned_gates import LearnedGates
from sksparse.sparsifiers._magnitude import Magnitude
from sksparse.sparsifiers._parameters import FlatParameters, prunable_tensors
from sksparse.sparsifiers._variational import VariationalDropout

SPARSIFIERS: dict[str | None, type[Sparsifier]] = {
    None: Dense,
    "bayesian": BayesianGroups,
    "gates": LearnedGates,
    "l0": HardConcrete,
    "magnitude": Magnitude,
    "variational": VariationalDropout,
}

__all__ = [
    "SPARSIFIERS",
    "BayesianGroups",
    "Dense",
    "FlatParameters",
    "HardConcrete",
    "LearnedGates",
    "Magnitude",
    "Phase",
    "Probe",
    "Sparsifier",
    "SparsifierRun",
    "Task",
    "VariationalDropout",
    "prunable_tensors",
]
