"""Units by their importance for the final response (Yu et al., 2018)."""

from __future__ import annotations

from numbers import Real

import torch
from sklearn.utils._param_validation import Interval
from torch import Tensor, fx, nn

from sksparse._infinite_selection import infinite_scores, unsupervised_graph
from sksparse._typing import Array
from sksparse.module_graph import ModuleGraph, Step
from sksparse.sparsifiers._base import SparsifierRun
from sksparse.sparsifiers._task import Task
from sksparse.sparsifiers.masks._saliency import MANY_ROWS, evaluating, some_batches
from sksparse.sparsifiers.parameters._probe import Probe
from sksparse.sparsifiers.units._base import UnitPruning, UnitPruningRun
from sksparse.sparsifiers.units._calls import response_readers
from sksparse.sparsifiers.units._propagation import Propagation


class NISP(UnitPruning):
    r"""Remove the units that matter least for the responses before the classifier.

    The network is trained on :math:`\frac{1}{\sum_i s_i} \sum_i s_i \ell_i +
    \frac{\eta}{2} \|W\|^2`. Then the units that the last layer reads, the final responses, are
    ranked by infinite feature selection (:class:`sksparse.feature_selection.InfFS`, without
    targets) on up to 2048 training rows, and their scores s are carried back through all layers,

    .. math:: s_{l-1} = |W_l|^\top s_l,

    in convolutions summed over the positions of the kernel, through activations and pooling
    unchanged, through a normalisation times its scale. This minimises a bound on what the
    responses of the training rows lose when units are removed. A flattened map has the sum of the
    scores of its positions, a unit that several layers read, or that shortcuts add up, the sum over
    the readers, and a recurrent layer is gone through for one step of time. Every layer keeps the
    same share of its units, those of largest score.

    `alpha` is the logarithm of the compression in FLOPs: a share :math:`e^{-\alpha}` of the
    multiplications is left, half of them by default. `target_flops`, `target_units` and
    `target_sparsity` name what is left, or removed, in other terms; whole units meet a target
    from below, and one unit of each layer stays.

    Parameters
    ----------
    mixing : float, default=0.5
        Share of the standard deviations in the graph of responses, from 0 to 1; the rest is that
        of one minus their absolute rank correlations.
    schedule : {"one_shot", "gradual", "iterative"}, default="one_shot"
        When units are removed: all at once, some every few batches, or in rounds with retraining
        after each. After the share t of the removal the target to the power of t is left. The
        gradual schedule ranks the responses once and carries the scores back anew for each removal.
    n_rounds : int, default=5
        Number of rounds of the iterative schedule.
    update_every : int, default=None
        Updates between two removals of the gradual schedule. None is from 2 to 30, to have 100 or
        more removals.
    train_fraction : float, default=0.2
        Share of the epochs before the first removal.
    sparsify_fraction : float, default=0.4
        Share of the epochs in which the gradual schedule removes units; with `train_fraction`
        below 1.
    min_weight_displacement : float, default=1.0
        Minimum displacement that a weight can make in all retraining; it raises the learning rate,
        up to 0.02, where there are few updates.

    Notes
    -----
    With p final responses the ranking takes a time of p^3 and memory of several p x p matrices:
    5 s and 1 GB for 5000.

    References
    ----------
    R. Yu, A. Li, C.-F. Chen, J.-H. Lai, V. I. Morariu, X. Han, M. Gao, C.-Y. Lin and L. S. Davis,
    "NISP: pruning networks using neuron importance score propagation", CVPR 2018.

    Examples
    --------
    >>> from sksparse.sparsifiers import NISP
    >>> NISP(schedule="iterative", n_rounds=3)
    NISP(n_rounds=3, schedule='iterative')
    """

    _parameter_constraints: dict = {
        **UnitPruning._parameter_constraints,
        "mixing": [Interval(Real, 0, 1, closed="both")],
    }
    # scores of several layers are sums of different numbers of terms and do not compare
    scope = "layer"

    def __init__(
        self,
        *,
        mixing: float = 0.5,
        schedule: str = "one_shot",
        n_rounds: int = 5,
        update_every: int | None = None,
        train_fraction: float = 0.2,
        sparsify_fraction: float = 0.4,
        min_weight_displacement: float = 1.0,
    ) -> None:
        self.mixing = mixing
        self.schedule = schedule
        self.n_rounds = n_rounds
        self.update_every = update_every
        self.train_fraction = train_fraction
        self.sparsify_fraction = sparsify_fraction
        self.min_weight_displacement = min_weight_displacement

    def _run(self, module: nn.Module, task: Task) -> SparsifierRun:
        return _NISPRun(self, module, task)


class _NISPRun(UnitPruningRun):
    _options: NISP

    def __init__(self, options: NISP, module: nn.Module, task: Task) -> None:
        super().__init__(options, module, task)
        response_layers(self.units.graph)

    def begin_updates(self, probe: Probe) -> None:
        super().begin_updates(probe)
        self._rank_responses(probe)

    def _rank_responses(self, probe: Probe) -> None:
        """Scores of the units that enter the last layers, over all units of the graph."""
        graph = self.units.graph
        self._responses: dict[fx.Node, Tensor] = {}
        for step, layer in response_layers(graph):
            rows, weights = entering_rows(layer, step.inputs[0].axis, probe)
            scores = infinite_scores(unsupervised_graph(rows, self._options.mixing, weights))
            of_units = torch.zeros(graph.n_units, dtype=torch.float64)
            units = torch.from_numpy(graph.units_of(step.inputs[0]))
            self._responses[step.node] = of_units.index_add_(0, units, torch.from_numpy(scores))

    def scores(self, probe: Probe) -> Tensor:
        found = Propagation(self.units.graph).scores(self._responses)
        return found[self.units.graph_units.cpu()].to(self.weights)

    def rebuild(self, kept: Tensor) -> list[Tensor]:
        positions = super().rebuild(kept)
        self._rank_responses(self._probe)
        return positions


def response_layers(graph: ModuleGraph) -> list[tuple[Step, nn.Module]]:
    """The last layers of a network, which read the final responses.

    Raises
    ------
    ValueError
        Where one is a function, so that nobody is told what enters it.
    """
    found = []
    for step in response_readers(graph):
        if step.layer is None:
            raise ValueError(
                f"NISP ranks what enters the last layer, which is the function {step.name!r} "
                f"({step.node.meta['line']}); make it a layer, or choose another sparsifier."
            )
        found.append((step, step.layer))
    return found


def entering_rows(layer: nn.Module, axis: int, probe: Probe) -> tuple[Array, Array | None]:
    """What enters a layer for some training rows, and the weights of these.

    Parameters
    ----------
    layer : torch.nn.Module
        The layer.
    axis : int
        The axis of the units in its first argument.
    probe : Probe
        The training data.

    Returns
    -------
    rows : ndarray of shape (n_rows, n_positions)
        In double precision. Where there are several places or steps of time, each is a row, and at
        most about 2048 are taken.
    weights : ndarray of shape (n_rows,) or None
        None where all weigh the same.
    """
    parts: list[Tensor] = []
    masses: list[Tensor] = []
    handle = layer.register_forward_pre_hook(lambda _, inputs: parts.append(inputs[0]))
    try:
        with torch.no_grad(), evaluating(probe.module):
            for X, _, weight in some_batches(probe, MANY_ROWS):
                n_before = len(parts)
                probe.module(X)
                parts[n_before:] = [_as_rows(part, axis) for part in parts[n_before:]]
                mass = torch.ones(len(X), device=X.device) if weight is None else weight
                masses += [mass.repeat_interleave(len(part) // len(X)) for part in parts[n_before:]]
    finally:
        handle.remove()
    every = max(1, sum(map(len, parts)) // MANY_ROWS)
    rows, mass = (torch.cat(tensors)[::every].cpu().double() for tensors in (parts, masses))
    return rows.numpy(), None if bool((mass == mass[0]).all()) else mass.numpy()


def _as_rows(entering: Tensor, axis: int) -> Tensor:
    rows = entering.movedim(axis, -1)
    return rows.reshape(-1, rows.shape[-1])
