"""One picture of a module: which output units of which layer are which inputs of which others."""

from __future__ import annotations

from sksparse.module_graph._branches import Branch as Branch
from sksparse.module_graph._costs import LayerCost as LayerCost
from sksparse.module_graph._graph import ModuleGraph as ModuleGraph
from sksparse.module_graph._value import Slot as Slot
from sksparse.module_graph._value import Step as Step
from sksparse.module_graph._value import Value as Value
