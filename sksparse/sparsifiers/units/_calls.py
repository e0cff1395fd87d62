"""The calls of a module by the parameters that they use."""

from __future__ import annotations

from torch import fx

from sksparse.module_graph import ModuleGraph, Slot, Step, Value


def slots_of(graph: ModuleGraph, step: Step) -> list[Slot]:
    """The units of the parameters that a call uses; functions share names, layers do not.

    Parameters
    ----------
    graph : ModuleGraph
        The picture of a network.
    step : Step
        One of its calls.

    Returns
    -------
    slots : list of Slot
        Each axis of a parameter once.
    """
    slots = {(s.tensor, s.axis): s for s in graph.slots if s.layer == step.name}
    if step.layer is None:
        used = {value.parameter for value in step.inputs if isinstance(value, Value)}
        return [slot for slot in slots.values() if slot.tensor in used]
    return list(slots.values())


def reads_units(graph: ModuleGraph, step: Step) -> bool:
    """Whether a call multiplies units by weights between them and other units."""
    return any(slot.role == "reads" for slot in slots_of(graph, step))


def writer_depths(graph: ModuleGraph) -> dict[str, int]:
    """For each parameter that makes units the number of such layers on the longest way to it."""
    depth: dict[fx.Node, int] = {}
    found: dict[str, int] = {}
    for step in graph.steps:
        before = max((depth.get(node, 0) for node in step.node.all_input_nodes), default=0)
        written = [slot.tensor for slot in slots_of(graph, step) if slot.role == "writes"]
        depth[step.node] = before + bool(written)
        for tensor in written:
            found.setdefault(tensor, depth[step.node])
    return found


def response_readers(graph: ModuleGraph) -> list[Step]:
    """The calls behind which nothing reads units any more: the classifiers of a network.

    Parameters
    ----------
    graph : ModuleGraph
        The picture of a network.

    Returns
    -------
    steps : list of Step
        In the order of the calls; what enters them are the final responses.
    """
    behind: set[fx.Node] = set()
    found = []
    for step in reversed(graph.steps):
        reads = reads_units(graph, step)
        if reads and step.node not in behind:
            found.append(step)
        if reads or step.node in behind:
            behind.update(step.node.all_input_nodes)
    return found[::-1]
