"""How a network becomes sparse: one method a file, found by name.

``SPARSIFIERS`` maps the name that an estimator takes to the class of the method.
"""

from __future__ import annotations

from sksparse.sparsifiers._base import Sparsifier, SparsifierRun
from sksparse.sparsifiers._dense import Dense
from sksparse.sparsifiers._task import Phase, Task
from sksparse.sparsifiers.parameters._flat_parameters import FlatParameters, prunable_tensors
from sksparse.sparsifiers.parameters._probe import Probe
from sksparse.sparsifiers.proximal._group_lasso import GroupShrinkage, SparseGroupShrinkage
from sksparse.sparsifiers.proximal._growl import GrOWL, stored_weights
from sksparse.sparsifiers.proximal._intrinsic_structures import IntrinsicSparseStructures
from sksparse.sparsifiers.proximal._l1 import L1Shrinkage
from sksparse.sparsifiers.proximal._oscar import OscarShrinkage
from sksparse.sparsifiers.proximal._product_gates import ProductGates
from sksparse.sparsifiers.proximal._slimming import NetworkSlimming
from sksparse.sparsifiers.proximal._structured_sparsity import StructuredSparsity
from sksparse.sparsifiers.pruning._dynamic_surgery import DynamicSurgery
from sksparse.sparsifiers.pruning._lottery_ticket import LotteryTicket
from sksparse.sparsifiers.pruning._magnitude import Magnitude
from sksparse.sparsifiers.pruning._movement import Movement
from sksparse.sparsifiers.pruning._rigl import RigL
from sksparse.sparsifiers.pruning._snip import SNIP
from sksparse.sparsifiers.pruning._synflow import SynFlow
from sksparse.sparsifiers.pruning._topk import TopK
from sksparse.sparsifiers.sharing._soft_sharing import SoftWeightSharing
from sksparse.sparsifiers.stochastic._bayesian_compression import BayesianGroups
from sksparse.sparsifiers.stochastic._hard_concrete import HardConcrete
from sksparse.sparsifiers.stochastic._ising_dropout import IsingDropout
from sksparse.sparsifiers.stochastic._learned_gates import LearnedGates
from sksparse.sparsifiers.stochastic._targeted_dropout import TargetedDropout
from sksparse.sparsifiers.stochastic._variational_dropout import VariationalDropout
from sksparse.sparsifiers.units._filters import FilterPruning
from sksparse.sparsifiers.units._nisp import NISP
from sksparse.sparsifiers.units._random import RandomUnits
from sksparse.sparsifiers.units._taylor import TaylorPruning

SPARSIFIERS: dict[str | None, type[Sparsifier]] = {
    None: Dense,
    "bayesian": BayesianGroups,
    "filters": FilterPruning,
    "gates": LearnedGates,
    "ising": IsingDropout,
    "group": GroupShrinkage,
    "growl": GrOWL,
    "iss": IntrinsicSparseStructures,
    "l0": HardConcrete,
    "l1": L1Shrinkage,
    "lottery": LotteryTicket,
    "magnitude": Magnitude,
    "movement": Movement,
    "nisp": NISP,
    "oscar": OscarShrinkage,
    "product_gates": ProductGates,
    "random": RandomUnits,
    "rigl": RigL,
    "slimming": NetworkSlimming,
    "snip": SNIP,
    "soft_sharing": SoftWeightSharing,
    "sparse_group": SparseGroupShrinkage,
    "ssl": StructuredSparsity,
    "surgery": DynamicSurgery,
    "synflow": SynFlow,
    "targeted": TargetedDropout,
    "taylor": TaylorPruning,
    "topk": TopK,
    "variational": VariationalDropout,
}

__all__ = [
    "NISP",
    "SNIP",
    "SPARSIFIERS",
    "BayesianGroups",
    "Dense",
    "DynamicSurgery",
    "FilterPruning",
    "FlatParameters",
    "GrOWL",
    "GroupShrinkage",
    "HardConcrete",
    "IntrinsicSparseStructures",
    "IsingDropout",
    "L1Shrinkage",
    "LearnedGates",
    "LotteryTicket",
    "Magnitude",
    "Movement",
    "NetworkSlimming",
    "OscarShrinkage",
    "Phase",
    "Probe",
    "ProductGates",
    "RandomUnits",
    "RigL",
    "SoftWeightSharing",
    "SparseGroupShrinkage",
    "Sparsifier",
    "SparsifierRun",
    "StructuredSparsity",
    "SynFlow",
    "TargetedDropout",
    "Task",
    "TaylorPruning",
    "TopK",
    "VariationalDropout",
    "prunable_tensors",
    "stored_weights",
]
