"""One more epoch of a network with a fixed mask: what is zero stays zero."""

from __future__ import annotations

from torch import nn

from sksparse.sparsifiers._base import Sparsifier, SparsifierRun
from sksparse.sparsifiers._task import Phase, Task
from sksparse.sparsifiers.parameters._probe import Probe


class KeepZeros(Sparsifier):
    """Train the weights that are not zero; ``partial_fit`` does so."""

    def attach(self, module: nn.Module, task: Task) -> SparsifierRun:
        return _KeepZerosRun(module, task)


class _KeepZerosRun(SparsifierRun):
    @property
    def phases(self) -> tuple[Phase, ...]:
        return (Phase("update", self.task.max_iter),)

    def begin_phase(self, phase: Phase, probe: Probe) -> None:
        self.freeze(self.weights != 0)
