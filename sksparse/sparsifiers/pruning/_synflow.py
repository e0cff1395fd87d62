"""Pruning before training and without data by synaptic flow (Tanaka et al., 2020)."""

from __future__ import annotations

import copy
from dataclasses import replace
from numbers import Integral, Real

import torch
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor, nn

from sksparse.sparsifiers._base import Sparsifier, SparsifierRun
from sksparse.sparsifiers._task import Phase, Task
from sksparse.sparsifiers.masks._keep import keep_largest, n_kept
from sksparse.sparsifiers.parameters._flat_parameters import prunable_tensors
from sksparse.sparsifiers.parameters._probe import Probe
from sksparse.sparsifiers.pruning._asked import asked_sparsity, asked_target
from sksparse.sparsifiers.pruning._removed_groups import MEASURES, RemovedGroups

#: Activations that are not linear for positive inputs: replaced by the identity in the flow.
_NONLINEAR = (nn.Tanh, nn.Sigmoid, nn.GELU, nn.SiLU, nn.Softplus, nn.ELU, nn.SELU, nn.CELU)


class SynFlow(Sparsifier):
    r"""Prune, before training and without data, the weights that carry the least flow.

    With the magnitudes of all weights :math:`|W_l|`, without biases, and ones for every
    feature the network returns :math:`R = 1^T |W_L| \cdots |W_1| 1`, the sum of the products
    along all paths. A weight carries the flow :math:`|w_j| \, \partial R / \partial |w_j|`.
    In `n_rounds` rounds the weights of least flow are removed, in each the same share of
    what is left, so that no layer loses all its weights while another still has many. Then
    the network is trained on :math:`\frac{1}{\sum_i s_i} \sum_i s_i \ell_i +
    \frac{\eta}{2} \|W\|^2` at a learning rate that falls to zero.

    `alpha` is the logarithm of the compression: a share :math:`e^{-\alpha}` of the weights
    is kept, one in ten by default. With `target_sparsity` :math:`s` it is :math:`1 - s`, to within
    one weight. Groups of other granularities are removed as a whole: at least so many weights are
    zero, or with `target_flops` or `target_units` at most that share is left, and of each layer at
    least one group. Biases are pruned with their units alone.

    Parameters
    ----------
    granularity : {"weight", "input", "unit", "shape", "layer"}, default="weight"
        What is pruned as a whole: a weight; an input of a layer with all weights that leave it; a
        unit (neuron, filter, state of a recurrent layer) with all that makes and reads it, its bias
        and scales; a position of a filter, ``W[:, c, m, k]``; or a branch beside a shortcut. Units
        that nothing reads any more are dead and go as well. The flow of a group is the sum of those
        of its weights, for a unit of the weights that make it.
    n_rounds : int, default=100
        Number of times to compute the flow and prune.
    min_weight_displacement : float, default=10.0
        Minimum displacement that a weight can make in training; it raises the learning rate, up to
        0.02, where there are few updates.

    References
    ----------
    H. Tanaka, D. Kunin, D. L. K. Yamins and S. Ganguli, "Pruning neural networks without any
    data by iteratively conserving synaptic flow", NeurIPS 2020.

    Examples
    --------
    >>> from sksparse.sparsifiers import SynFlow
    >>> SynFlow(n_rounds=20)
    SynFlow(n_rounds=20)
    """

    granularities = ("weight", "input", "unit", "shape", "layer")

    _parameter_constraints: dict = {
        "granularity": [StrOptions(set(granularities))],
        "n_rounds": [Interval(Integral, 1, None, closed="left")],
        "min_weight_displacement": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        *,
        granularity: str = "weight",
        n_rounds: int = 100,
        min_weight_displacement: float = 10.0,
    ) -> None:
        self.granularity = granularity
        self.n_rounds = n_rounds
        self.min_weight_displacement = min_weight_displacement

    def attach(self, module: nn.Module, task: Task) -> SparsifierRun:
        """Make the run of one fit.

        Parameters
        ----------
        module : torch.nn.Module
            The network about to be trained.
        task : Task
            What the estimator asks for; `alpha` is the logarithm of the compression.

        Returns
        -------
        run : SparsifierRun
            A run of one phase with a fixed mask.
        """
        self._validate_params()
        return _SynFlowRun(self, module, task)


class _SynFlowRun(SparsifierRun):
    counted = True

    def __init__(self, options: SynFlow, module: nn.Module, task: Task) -> None:
        self.measures = MEASURES[options.granularity]
        super().__init__(module, task)
        self._options = options
        self._removed = RemovedGroups.of(self, options.granularity, "global")

    @property
    def phases(self) -> tuple[Phase, ...]:
        task, displacement = self.task, self._options.min_weight_displacement
        return (task.weight_phase("retrain", task.max_iter, displacement, anneal=True),)

    def begin_phase(self, phase: Phase, probe: Probe) -> None:
        X, _, _ = next(iter(probe.batches()))
        flow = SynapticFlow(self.module, torch.ones_like(X[:1]))
        if self._removed is not None:
            self._remove_groups(flow, self._removed)
            return
        sparsity = asked_sparsity(self.task)
        keep = torch.ones_like(self.weights, dtype=torch.bool)
        for r in range(1, self._options.n_rounds + 1):
            density = (1.0 - sparsity) ** (r / self._options.n_rounds)
            scores = torch.where(keep, flow.through(keep), -1.0)
            keep = keep_largest(scores, n_kept(self.n_weights, 1.0 - density))
        self.fix_mask(keep)

    def _remove_groups(self, flow: SynapticFlow, removed: RemovedGroups) -> None:
        """Remove the groups that carry the least flow, in rounds.

        Flow is the same through each layer, so that groups of all layers compare as they are.
        """
        target, n_rounds = asked_target(self.task), self._options.n_rounds
        weights = torch.ones_like(self.weights, dtype=torch.bool)
        scores = removed.sums(flow.through(weights))
        for r in range(1, n_rounds + 1):
            left = replace(target, left=target.left ** (r / n_rounds))
            keep = removed.groups.choose(scores, left)
            weights = removed.groups.mask(keep)[: self.n_weights]
            scores = torch.where(keep, removed.sums(flow.through(weights)), -1.0)
        removed.freeze(keep, target)


class SynapticFlow:
    """A copy of a network without biases, with magnitudes for weights, in double precision.

    Parameters
    ----------
    module : torch.nn.Module
        The network.
    ones : torch.Tensor of shape (1, ...)
        One row of ones.
    """

    def __init__(self, module: nn.Module, ones: Tensor) -> None:
        self._module = copy.deepcopy(module).double().eval()
        self._ones = ones.double() if ones.is_floating_point() else ones
        for part in self._module.modules():
            if isinstance(part, _NONLINEAR):
                part.register_forward_hook(lambda _, inputs, __: inputs[0])
        for name, p in self._module.named_parameters():
            p.copy_(torch.zeros_like(p) if "bias" in name else p.abs())
        self._tensors = list(prunable_tensors(self._module).values())
        self._weights = [w.detach().clone() for w in self._tensors]

    def through(self, keep: Tensor) -> Tensor:
        """The flow through each weight of the network with a mask, flat.

        Parameters
        ----------
        keep : torch.Tensor of shape (n_weights,)
            The weights in use.

        Returns
        -------
        flow : torch.Tensor of shape (n_weights,)
            Its sum is the same for each layer of a chain of layers.
        """
        parts = keep.split([w.numel() for w in self._weights])
        for tensor, weight, part in zip(self._tensors, self._weights, parts, strict=True):
            torch.mul(weight, part.view_as(weight), out=tensor.data)
        with torch.enable_grad():
            gradients = torch.autograd.grad(self._module(self._ones).sum(), self._tensors)
        return torch.cat(
            [(w * g).reshape(-1) for w, g in zip(self._tensors, gradients, strict=True)]
        )
