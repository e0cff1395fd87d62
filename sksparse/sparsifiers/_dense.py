"""No sparsification: the network that others are compared with."""

from __future__ import annotations

from torch import nn

from sksparse.sparsifiers._base import Sparsifier, SparsifierRun
from sksparse.sparsifiers._task import Phase, Task
from sksparse.sparsifiers.parameters._probe import Probe


class Dense(Sparsifier):
    r"""Train the network as it is, without sparsity.

    The objective is :math:`\frac{1}{\sum_i s_i} \sum_i s_i \ell_i + \frac{\eta}{2} \|W\|^2`
    with the weight decay :math:`\eta` of the estimator. There is nothing whose strength `alpha`
    could be, and it is not used, so that a grid search may include the dense network; a
    `target_sparsity` cannot be met and is refused.

    Raises
    ------
    ValueError
        In ``attach``, when a target sparsity is asked for.

    Examples
    --------
    >>> from sksparse.sparsifiers import Dense
    >>> Dense()
    Dense()
    """

    def attach(self, module: nn.Module, task: Task) -> SparsifierRun:
        """Make the run of one fit.

        Parameters
        ----------
        module : torch.nn.Module
            The network about to be trained.
        task : Task
            What the estimator asks for.

        Returns
        -------
        run : SparsifierRun
            A run of one plain phase.
        """
        if task.target_sparsity:
            raise ValueError(
                f"target_sparsity={task.target_sparsity!r} needs a sparsifier, but "
                "sparsifier=None trains a dense network; choose a sparsifier such as 'oscar' or "
                "'magnitude', or leave target_sparsity=None."
            )
        return _DenseRun(module, task)


class _DenseRun(SparsifierRun):
    @property
    def phases(self) -> tuple[Phase, ...]:
        return (Phase("train", self.task.max_iter),)

    def begin_phase(self, phase: Phase, probe: Probe) -> None:
        pass
