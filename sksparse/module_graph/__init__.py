"""One picture of a module: which output units of which layer are which inputs of which others."""

from __future__ import annotations

from sksparse.module_graph._branches import Branch
from sksparse.module_graph._costs import LayerCost
from sksparse.module_graph._graph import ModuleGraph
from sksparse.module_graph._value import Slot, Step, Value

__all__ = ["Branch", "LayerCost", "ModuleGraph", "Slot", "Step", "Value"]
