"""L0 regularisation by hard-concrete gates (Louizos, Welling & Kingma, 2018)."""

from __future__ import annotations

import math
from numbers import Real

import torch
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor, nn

from sksparse.sparsifiers._base import (
    LARGEST_WEIGHT_RATE,
    ParameterGroup,
    Phase,
    Sparsifier,
    SparsifierRun,
    Task,
)
from sksparse.sparsifiers._masks import n_kept

_NOISE_EDGE = 1e-6
_LOG_ALPHA_BOUND = math.log(1e2)
#: What the multiplier gains while gates are trained at an excess density of 1 throughout.
_ASCENT = 50.0
#: A survivor whose own gate is closed keeps this share of its weight to be retrained from.
_LEAST_GATE = 0.01


class HardConcrete(Sparsifier):
    r"""Learn which weights to keep with stochastic hard-concrete gates.

    Every weight (or every input unit of a layer) is multiplied by a random gate
    :math:`z \in [0, 1]` that is exactly 0 or 1 with positive probability. The objective is

    .. math::

        \frac{1}{\sum_i s_i} \sum_i s_i \, \mathbb{E}_z \, \ell_i(W \odot z)
        + \sum_j P(z_j \neq 0) \left(\alpha + \frac{\eta}{2} w_j^2\right)

    over the weights :math:`j`, with the weight decay :math:`\eta` of the estimator: `alpha`
    is the price of one expected non-zero weight in units of the mean loss, by default
    ``1 / n_samples`` of distinct training samples (the paper uses 0.1 and 1 over it). One
    gate sample serves a batch.

    With `target_sparsity`, `alpha` is not used: it is replaced by a Lagrange multiplier
    that rises while the expected density is above the target and falls while it is below.

    After `gate_fraction` of the epochs the gates are fixed: with `alpha` those closed in
    the deterministic network stay closed; with `target_sparsity` exactly the required number
    of weights stays open, ranked by gate and within equal gates by magnitude. The survivors
    are multiplied by their gates and retrained.

    Parameters
    ----------
    granularity : {"weight", "input"}, default="weight"
        Whether a gate belongs to one weight or to an input unit of a layer (an input
        channel of a convolution) with all weights that leave it.
    beta : float, default=2/3
        Temperature of the concrete distribution.
    gamma : float, default=-0.1
        Lower end of the stretched interval, negative.
    zeta : float, default=1.1
        Upper end of the stretched interval, above 1.
    droprate_init : float, default=0.2
        The initial ``log_alpha`` is ``log(1 - d) - log(d)`` for this value d, up to noise.
    gate_fraction : float, default=0.6
        Share of the epochs in which gates are trained; the rest retrains the survivors.
    gate_travel : float, default=20.0
        Least distance that a ``log_alpha`` can travel while gates are trained. It raises
        the learning rate of the gates where there are few updates.
    weight_travel : float, default=10.0
        The same for a weight in each of the two phases, up to a rate of 0.02: the fewer
        weights are left, the larger they have to grow.

    References
    ----------
    C. Louizos, M. Welling and D. P. Kingma, "Learning sparse neural networks through L0
    regularization", ICLR 2018.

    J. Gallego-Posada et al., "Controlled sparsity via constrained optimization", NeurIPS
    2022, for the multiplier.

    Examples
    --------
    >>> from sksparse.sparsifiers import HardConcrete
    >>> HardConcrete(granularity="input")
    HardConcrete(granularity='input')
    """

    _parameter_constraints: dict = {
        "granularity": [StrOptions({"weight", "input"})],
        "beta": [Interval(Real, 0, None, closed="neither")],
        "gamma": [Interval(Real, None, 0, closed="neither")],
        "zeta": [Interval(Real, 1, None, closed="neither")],
        "droprate_init": [Interval(Real, 0, 1, closed="neither")],
        "gate_fraction": [Interval(Real, 0, 1, closed="right")],
        "gate_travel": [Interval(Real, 0, None, closed="neither")],
        "weight_travel": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        *,
        granularity: str = "weight",
        beta: float = 2 / 3,
        gamma: float = -0.1,
        zeta: float = 1.1,
        droprate_init: float = 0.2,
        gate_fraction: float = 0.6,
        gate_travel: float = 20.0,
        weight_travel: float = 10.0,
    ) -> None:
        self.granularity = granularity
        self.beta = beta
        self.gamma = gamma
        self.zeta = zeta
        self.droprate_init = droprate_init
        self.gate_fraction = gate_fraction
        self.gate_travel = gate_travel
        self.weight_travel = weight_travel

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
            A run of a phase that trains gates and one that retrains the survivors.
        """
        self._validate_params()
        return _HardConcreteRun(self, module, task)


class HardConcreteDistribution:
    """The stretched and clipped binary concrete distribution, as functions of log_alpha.

    Parameters
    ----------
    beta, gamma, zeta : float
        Temperature and ends of the stretched interval, as in ``HardConcrete``.
    """

    def __init__(self, beta: float = 2 / 3, gamma: float = -0.1, zeta: float = 1.1) -> None:
        self.beta = beta
        self.gamma = gamma
        self.zeta = zeta
        self._shift = beta * math.log(-gamma / zeta)

    def sample(self, log_alpha: Tensor) -> Tensor:
        """One gate in [0, 1] for each entry, differentiable in log_alpha."""
        noise = torch.rand_like(log_alpha).logit_(eps=_NOISE_EDGE)
        return self._stretch(torch.sigmoid((noise + log_alpha) / self.beta))

    def probability_nonzero(self, log_alpha: Tensor) -> Tensor:
        """P(z != 0)."""
        return torch.sigmoid(log_alpha - self._shift)

    def test_gate(self, log_alpha: Tensor) -> Tensor:
        """The deterministic gate used once training is over."""
        return self._stretch(torch.sigmoid(log_alpha))

    def _stretch(self, s: Tensor) -> Tensor:
        return (s * (self.zeta - self.gamma) + self.gamma).clamp(0.0, 1.0)


class _HardConcreteRun(SparsifierRun):
    """Gates in one flat tensor over all layers, so that a batch pays for each formula once."""

    def __init__(self, options: HardConcrete, module: nn.Module, task: Task) -> None:
        super().__init__(module, task)
        self._options = options
        self._gates = HardConcreteDistribution(options.beta, options.gamma, options.zeta)
        self._shapes = [_gate_shape(w, options.granularity) for w in self.weights.values()]
        self._sizes = [math.prod(shape) for shape in self._shapes]
        device = next(iter(self.weights.values())).device
        open_logit = math.log(1 - options.droprate_init) - math.log(options.droprate_init)
        noise = 0.01 * torch.randn(sum(self._sizes), device=device)
        self.log_alpha = nn.Parameter(open_logit + noise)
        self._group_size = torch.cat(
            [
                torch.full((n,), w.numel() / n, device=device)
                for n, w in zip(self._sizes, self.weights.values(), strict=True)
            ]
        )
        self._training_gates = True
        self._alpha = 1.0 / task.n_samples if task.alpha is None else task.alpha
        gating = self.phases[0]
        rate = task.rate_to_travel(options.gate_travel, gating.epochs)
        self._gate_factor = rate / gating.learning_rate
        self._multiplier = 0.0
        self._ascent = _ASCENT / max(1, gating.epochs * task.steps_per_epoch)
        self._excess = 0.0

    @property
    def phases(self) -> tuple[Phase, ...]:
        gate_epochs = math.ceil(self._options.gate_fraction * self.task.max_iter)
        return (
            self._phase("gates", gate_epochs, may_stop=self.task.target_sparsity is None),
            self._phase("retrain", self.task.max_iter - gate_epochs, anneal=True),
        )

    def _phase(self, name: str, epochs: int, **options: bool) -> Phase:
        rate = self.task.rate_to_travel(
            self._options.weight_travel, epochs, largest_rate=LARGEST_WEIGHT_RATE
        )
        return Phase(name, epochs, learning_rate=rate, **options)

    def begin_phase(self, phase: Phase) -> None:
        if phase.name == "retrain":
            self._close_gates()

    def parameter_groups(self) -> list[ParameterGroup]:
        groups = super().parameter_groups()
        if self._training_gates:
            groups[0]["weight_decay"] = 0.0
            groups.append(
                {"params": [self.log_alpha], "weight_decay": 0.0, "factor": self._gate_factor}
            )
        return groups

    def tensors(self, *, training: bool) -> dict[str, Tensor]:
        if not self._training_gates:
            return {}
        gate = self._gates.sample if training else self._gates.test_gate
        gates = self._by_tensor(gate(self.log_alpha))
        return {name: w * gates[name] for name, w in self.weights.items()}

    def penalty(self) -> Tensor | None:
        if not self._training_gates:
            return None
        probability = self._gates.probability_nonzero(self.log_alpha)
        expected = probability @ self._group_size
        target = self.task.target_sparsity
        if target is None:
            total = self._alpha * expected
        else:
            excess = expected / self.n_weights - (1 - target)
            self._excess = float(excess.detach())
            total = self._multiplier * excess
        if self.task.weight_decay:
            kept = self._by_tensor(probability)
            squares = [(kept[name] * w.square()).sum() for name, w in self.weights.items()]
            total = total + 0.5 * self.task.weight_decay * torch.stack(squares).sum()
        return total

    def after_step(self) -> None:
        if not self._training_gates:
            super().after_step()
            return
        with torch.no_grad():
            self.log_alpha.clamp_(-_LOG_ALPHA_BOUND, _LOG_ALPHA_BOUND)
        if self.task.target_sparsity is not None:
            self._multiplier = max(0.0, self._multiplier + self._ascent * self._excess)

    def density(self) -> float:
        if not self._training_gates:
            return super().density()
        with torch.no_grad():
            is_open = (self._gates.test_gate(self.log_alpha) > 0).to(self._group_size.dtype)
            return float(is_open @ self._group_size) / self.n_weights

    def _by_tensor(self, flat: Tensor) -> dict[str, Tensor]:
        parts = flat.split(self._sizes)
        return {
            name: part.view(shape)
            for name, part, shape in zip(self.weights, parts, self._shapes, strict=True)
        }

    def _close_gates(self) -> None:
        """Multiply the test gates into the weights and fix which are zero."""
        self._training_gates = False
        with torch.no_grad():
            log_alphas = self._by_tensor(self.log_alpha.detach())
            gates = self._by_tensor(self._gates.test_gate(self.log_alpha))
            keep = {name: (gates[name] > 0).expand_as(w) for name, w in self.weights.items()}
            if self.task.target_sparsity is not None:
                keep = _keep_ranked(self.weights, log_alphas, self.task.target_sparsity)
            for name, w in self.weights.items():
                w.mul_(torch.where(gates[name] > 0, gates[name], _LEAST_GATE))
        self.freeze(keep)


def _gate_shape(weight: Tensor, granularity: str) -> tuple[int, ...]:
    """One gate a weight, or one for each input unit (channel) of the tensor."""
    if granularity == "weight":
        return tuple(weight.shape)
    return (1, weight.shape[1], *[1] * (weight.ndim - 2))


def _keep_ranked(
    weights: dict[str, nn.Parameter], log_alphas: dict[str, Tensor], sparsity: float
) -> dict[str, Tensor]:
    """Keep the exact number of weights: by gate first, within equal gates by magnitude."""
    gate = torch.cat([log_alphas[name].expand_as(w).flatten() for name, w in weights.items()])
    size = torch.cat([w.detach().abs().flatten() for w in weights.values()])
    by_size = torch.argsort(size, stable=True, descending=True)
    order = by_size[torch.argsort(gate[by_size], stable=True, descending=True)]
    keep = torch.zeros(len(gate), dtype=torch.bool, device=gate.device)
    keep[order[: n_kept(len(gate), sparsity)]] = True
    parts = keep.split([w.numel() for w in weights.values()])
    return {n: p.view_as(w) for (n, w), p in zip(weights.items(), parts, strict=True)}
