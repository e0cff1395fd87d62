"""Lottery tickets: pruning in rounds with rewinding (Frankle & Carbin, 2019)."""

from __future__ import annotations

import math
from dataclasses import replace
from numbers import Integral, Real

import torch
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor, nn

from sksparse.sparsifiers._base import Sparsifier, SparsifierRun
from sksparse.sparsifiers._task import LARGEST_WEIGHT_RATE, Phase, Task
from sksparse.sparsifiers.masks._keep import keep_counts, keep_largest, n_kept
from sksparse.sparsifiers.masks._layer_densities import apportion
from sksparse.sparsifiers.parameters._probe import Probe
from sksparse.sparsifiers.pruning._asked import asked_target
from sksparse.sparsifiers.pruning._removed_groups import MEASURES, RemovedGroups
from sksparse.sparsifiers.structure._target import Measure, Target

#: Rounds where neither they nor a strength nor a sparsity is asked for.
_DEFAULT_ROUNDS = 10
#: Factor on the learning rate of fine-tuning, that of Han et al. (2015).
_FINE_TUNING_RATE = 0.1


class LotteryTicket(Sparsifier):
    r"""Find a sparse network that trains well from its initial weights.

    The network is trained on :math:`\frac{1}{\sum_i s_i} \sum_i s_i \ell_i +
    \frac{\eta}{2} \|W\|^2`; then, in every round, the share `rate` of the weights of each
    layer that are left, those of least magnitude, is pruned (half of it in the output layer),
    the others are reset to their initial values, and the network is trained again. All trainings
    have the same length, ``max_iter // (n_rounds + 1)`` epochs, and a learning rate that
    falls to zero.

    After :math:`t` rounds :math:`(1 - p)^t` of the weights of a layer are left at its rate
    :math:`p`. With `target_sparsity` the rounds divide the (possibly fractional) :math:`t` at
    which the target is reached, to within one weight. `alpha` is the logarithm of the compression
    and does the same for the sparsity :math:`1 - e^{-\alpha}`. Without both there are `n_rounds`
    rounds at exactly `rate`, by default ten. Biases are never pruned.

    Groups of other granularities are removed as a whole. What is left of the weights, or of what
    `target_flops` or `target_units` counts, falls by the same factor in each round, by `rate` where
    there is no other aim. At least one group of each layer is kept, and biases are pruned with
    their units alone.

    Parameters
    ----------
    granularity : {"weight", "input", "unit", "shape", "layer"}, default="weight"
        What is pruned as a whole: a weight; an input of a layer with all weights that leave it; a
        unit (neuron, filter, state of a recurrent layer) with all that makes and reads it, its bias
        and scales; a position of a filter, ``W[:, c, m, k]``; or a branch beside a shortcut. Units
        that nothing reads any more are dead and go as well. The magnitude of a group is the root
        mean square of its weights, for a unit of the weights that make it.
    n_rounds : int, default=None
        Number of times to prune. None is as many as it takes at `rate`.
    rate : float, default=0.2
        Share of the weights of a layer that one round removes; half in the last layer.
    rewind_to : {"init", "final"} or int, default="init"
        What the remaining weights are reset to: the initial weights, those after this number of
        epochs of the first training (or its end, if it is shorter), or none ("final"), which
        is pruning with retraining.
    rewind_learning_rate : bool, default=True
        Whether every round restarts the schedule of the learning rate. If not, the rounds
        train at a tenth of it, which makes sense where weights are not rewound.
    reinit : bool, default=False
        Whether the last training starts from random weights in place of the initial
        ones, a permutation of those of each layer: the control experiment that shows what the
        initial weights contribute beyond the mask.
    scope : {"layer", "global"}, default="layer"
        Whether the weights of least magnitude are those of each layer or of the network.
    min_weight_displacement : float, default=10.0
        Minimum displacement that a weight can make in one training; it raises the learning rate,
        up to 0.02, where there are few updates.

    References
    ----------
    J. Frankle and M. Carbin, "The lottery ticket hypothesis: finding sparse, trainable neural
    networks", ICLR 2019.

    J. Frankle, G. K. Dziugaite, D. M. Roy and M. Carbin, "Linear mode connectivity and the
    lottery ticket hypothesis", ICML 2020, for rewinding to an early epoch.

    A. Renda, J. Frankle and M. Carbin, "Comparing rewinding and fine-tuning in neural network
    pruning", ICLR 2020, for rewinding the learning rate.

    Examples
    --------
    >>> from sksparse.sparsifiers import LotteryTicket
    >>> LotteryTicket(rewind_to=1, reinit=True)
    LotteryTicket(reinit=True, rewind_to=1)
    """

    granularities = ("weight", "input", "unit", "shape", "layer")

    _parameter_constraints: dict = {
        "granularity": [StrOptions(set(granularities))],
        "n_rounds": [Interval(Integral, 1, None, closed="left"), None],
        "rate": [Interval(Real, 0, 1, closed="neither")],
        "rewind_to": [StrOptions({"init", "final"}), Interval(Integral, 0, None, closed="left")],
        "rewind_learning_rate": ["boolean"],
        "reinit": ["boolean"],
        "scope": [StrOptions({"layer", "global"})],
        "min_weight_displacement": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        *,
        granularity: str = "weight",
        n_rounds: int | None = None,
        rate: float = 0.2,
        rewind_to: str | int = "init",
        rewind_learning_rate: bool = True,
        reinit: bool = False,
        scope: str = "layer",
        min_weight_displacement: float = 10.0,
    ) -> None:
        self.granularity = granularity
        self.n_rounds = n_rounds
        self.rate = rate
        self.rewind_to = rewind_to
        self.rewind_learning_rate = rewind_learning_rate
        self.reinit = reinit
        self.scope = scope
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
            A run of one dense phase and one phase for each round.
        """
        self._validate_params()
        return _LotteryRun(self, module, task)


class Rates:
    """How many weights each tensor keeps after a number of rounds.

    Parameters
    ----------
    sizes : sequence of int
        Weights in each tensor, the output layer last.
    rate : float
        Share of a tensor that a round removes; half in the last, if there are others.
    """

    def __init__(self, sizes: list[int], rate: float) -> None:
        self._sizes = sizes
        halves = [1.0] * (len(sizes) - 1) + [0.5 if len(sizes) > 1 else 1.0]
        self._keep = [1.0 - rate * half for half in halves]

    def quotas(self, rounds: float) -> list[float]:
        """The weights left in each tensor, before rounding."""
        return [n * keep**rounds for n, keep in zip(self._sizes, self._keep, strict=True)]

    def rounds_to(self, count: int) -> float:
        """After how many rounds `count` weights are left in all."""
        # half a weight rounds to none, which is left only after infinitely many rounds
        wanted = max(count, 0.5)
        low, high = 0.0, 1.0
        while sum(self.quotas(high)) > wanted:
            high *= 2.0
        for _ in range(60):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if sum(self.quotas(middle)) > wanted else (low, middle)
        return high

    def counts(self, rounds: float) -> list[int]:
        """The weights left in each tensor; their sum is that of the quotas, rounded."""
        quotas = self.quotas(rounds)
        return apportion(quotas, round(sum(quotas)), self._sizes)


class _LotteryRun(SparsifierRun):
    counted = True

    def __init__(self, options: LotteryTicket, module: nn.Module, task: Task) -> None:
        self.measures = MEASURES[options.granularity]
        super().__init__(module, task)
        self._options = options
        self._round = 0
        self._removed = RemovedGroups.of(self, options.granularity, options.scope)
        self._targets: list[Target] = []
        self.counts: list[list[int]] = []
        if self._removed is None:
            self._plan()
        else:
            self._plan_groups()
        self._n_rounds = len(self.counts) or len(self._targets)
        self._early_update = -1
        if options.rewind_to != "init" and options.rewind_to != "final":
            self._early_update = int(options.rewind_to) * task.steps_per_epoch
        self._update = 0
        self._initial = self._state()
        self._early = self._initial

    def _plan(self) -> None:
        """The number of rounds, and the weights that each tensor keeps after each."""
        options, task = self._options, self.task
        rates = Rates(self.parameters.sizes, options.rate)
        sparsity = task.target_sparsity
        if sparsity is None and task.alpha is not None:
            sparsity = -math.expm1(-task.alpha)
        if sparsity is None:
            n_rounds = options.n_rounds or _DEFAULT_ROUNDS
            end, final = float(n_rounds), rates.counts(n_rounds)
        else:
            count = n_kept(self.n_weights, sparsity)
            end = rates.rounds_to(count)
            final = apportion(rates.quotas(end), count, self.parameters.sizes)
            n_rounds = options.n_rounds or max(1, math.ceil(end - 1e-6))
        n_rounds = self._affordable(n_rounds)
        steps = [rates.counts(end * r / n_rounds) for r in range(1, n_rounds)]
        self.counts = [
            [max(n, last) for n, last in zip(step, final, strict=True)] for step in steps
        ] + [final]

    def _affordable(self, n_rounds: int) -> int:
        # a training has at least one epoch, the first of all excepted where there is but one
        return min(n_rounds, max(1, self.task.max_iter - 1))

    def _plan_groups(self) -> None:
        """What is left of the groups after each round."""
        options, task = self._options, self.task
        if task.target is None and task.alpha is None:
            n_rounds = options.n_rounds or _DEFAULT_ROUNDS
            measure: Measure = "units" if options.granularity == "unit" else "weights"
            final = Target(measure, (1.0 - options.rate) ** n_rounds)
        else:
            final = asked_target(task)
            end = math.log(max(final.left, 1e-12)) / math.log1p(-options.rate)
            n_rounds = options.n_rounds or max(1, math.ceil(end - 1e-6))
        n_rounds = self._affordable(n_rounds)
        self._targets = [
            replace(final, left=final.left ** (r / n_rounds)) for r in range(1, n_rounds + 1)
        ]

    @property
    def phases(self) -> tuple[Phase, ...]:
        options, n_rounds = self._options, self._n_rounds
        epochs = self.task.max_iter // (n_rounds + 1)
        full = self.task.rate_for_displacement(
            options.min_weight_displacement, max(1, epochs), largest_rate=LARGEST_WEIGHT_RATE
        )
        again = full if options.rewind_learning_rate else _FINE_TUNING_RATE * full
        rounds = [
            Phase(
                f"round {r}",
                max(1, epochs),
                learning_rate=again,
                anneal=True,
                may_stop=r == n_rounds,
                strength=r / n_rounds,
            )
            for r in range(1, n_rounds + 1)
        ]
        train = Phase("train", epochs, full, anneal=True, may_stop=False, strength=0.0)
        return (train, *rounds)

    def begin_phase(self, phase: Phase, probe: Probe) -> None:
        if phase.strength == 0:
            return
        scores = self.weights.abs()
        if self._removed is None:
            keep = self._winners(self.counts[self._round])
        else:
            keep = self._winning_groups(self._removed, self._targets[self._round])
        self._round += 1
        if self._options.rewind_to == "init":
            self._load(self._initial)
        elif self._options.rewind_to != "final":
            self._load(self._early if self._update >= self._early_update else self._state())
        if self._options.reinit and self._round == self._n_rounds:
            self._load(self._initial)
            self._shuffle()
        if self._removed is None:
            self.fix_mask(keep, scores)
        else:
            is_last = self._round == self._n_rounds
            self._removed.freeze(keep, self._targets[-1] if is_last else None)
        self._early_update = -1

    def after_step(self) -> None:
        super().after_step()
        self._update += 1
        if self._update == self._early_update:
            self._early = self._state()

    def _winners(self, counts: list[int]) -> Tensor:
        """The largest weights; a pruned one stays so even where one in use is zero."""
        scores = self.weights.abs()
        if self.mask is not None:
            scores = torch.where(self.mask > 0, scores, -1.0)
        if self._options.scope == "global":
            return keep_largest(scores, sum(counts))
        return keep_counts(scores, self.parameters.sizes, counts)

    def _winning_groups(self, removed: RemovedGroups, target: Target) -> Tensor:
        """The largest groups; removed ones are zero and stay so."""
        return removed.at(removed.means(self.weights.square()).sqrt(), target)

    def _shuffle(self) -> None:
        """Permute each tensor: new independent weights from the same distribution."""
        for w in self.weights.split(self.parameters.sizes):
            w.copy_(w[torch.randperm(len(w), device=w.device)])

    def _state(self) -> dict[str, Tensor]:
        """All that training changes, biases and running statistics included."""
        return {name: value.clone() for name, value in self.module.state_dict().items()}

    def _load(self, state: dict[str, Tensor]) -> None:
        self.module.load_state_dict(state)
