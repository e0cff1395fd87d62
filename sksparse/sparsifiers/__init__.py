"""How a network becomes sparse: one method a file, found by name.

``SPARSIFIERS`` maps the name that an estimator takes to the class of the method.
"""

from __future__ import annotations

from sksparse.sparsifiers._base import Phase, Probe, Sparsifier, SparsifierRun, Task
from sksparse.sparsifiers._bayesian import BayesianGroups
from sksparse.sparsifiers._dense import Dense
from sksparse.sparsifiers._group import GroupShrinkage, SparseGroupShrinkage
from sksparse.sparsifiers._growl import GrOWL, stored_weights
from sksparse.sparsifiers._hard_concrete import HardConcrete
from sksparse.sparsifiers._ising import IsingDropout
from sksparse.sparsifiers._l1 import L1Shrinkage
from sksparse.sparsifiers._learned_gates import LearnedGates
from sksparse.sparsifiers._lottery import LotteryTicket
from sksparse.sparsifiers._magnitude import Magnitude
from sksparse.sparsifiers._movement import Movement
from sksparse.sparsifiers._oscar import OscarShrinkage
from sksparse.sparsifiers._parameters import FlatParameters, prunable_tensors
from sksparse.sparsifiers._rigl import RigL
from sksparse.sparsifiers._snip import SNIP
from sksparse.sparsifiers._surgery import DynamicSurgery
from sksparse.sparsifiers._synflow import SynFlow
from sksparse.sparsifiers._targeted import TargetedDropout
from sksparse.sparsifiers._topk import TopK
from sksparse.sparsifiers._variational import VariationalDropout

SPARSIFIERS: dict[str | None, type[Sparsifier]] = {
    None: Dense,
    "bayesian": BayesianGroups,
    "gates": LearnedGates,
    "ising": IsingDropout,
    "group": GroupShrinkage,
    "growl": GrOWL,
    "l0": HardConcrete,
    "l1": L1Shrinkage,
    "lottery": LotteryTicket,
    "magnitude": Magnitude,
    "movement": Movement,
    "oscar": OscarShrinkage,
    "rigl": RigL,
    "snip": SNIP,
    "sparse_group": SparseGroupShrinkage,
    "surgery": DynamicSurgery,
    "synflow": SynFlow,
    "targeted": TargetedDropout,
    "topk": TopK,
    "variational": VariationalDropout,
}

__all__ = [
    "SNIP",
    "SPARSIFIERS",
    "BayesianGroups",
    "Dense",
    "DynamicSurgery",
    "FlatParameters",
    "GrOWL",
    "GroupShrinkage",
    "HardConcrete",
    "IsingDropout",
    "L1Shrinkage",
    "LearnedGates",
    "LotteryTicket",
    "Magnitude",
    "Movement",
    "OscarShrinkage",
    "Phase",
    "Probe",
    "RigL",
    "SparseGroupShrinkage",
    "Sparsifier",
    "SparsifierRun",
    "SynFlow",
    "TargetedDropout",
    "Task",
    "TopK",
    "VariationalDropout",
    "prunable_tensors",
    "stored_weights",
]
