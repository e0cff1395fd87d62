"""L0 regularisation by hard-concrete gates (Louizos, Welling & Kingma, 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real

from sklearn.utils._param_validation import Interval, StrOptions
from torch import nn

from sksparse.sparsifiers._base import Sparsifier, SparsifierRun
from sksparse.sparsifiers._task import Task
from sksparse.sparsifiers.stochastic._hard_concrete_run import HardConcreteRun


class HardConcrete(Sparsifier):
    r"""Learn which weights to keep with stochastic hard-concrete gates.

    Every weight (or input of a layer, or unit) is multiplied by a random gate
    :math:`z \in [0, 1]` that is exactly 0 or 1 with positive probability. The objective is

    .. math::

        \frac{1}{\sum_i s_i} \sum_i s_i \, \mathbb{E}_z \, \ell_i(W \odot z)
        + \sum_j \left(\alpha \, P(w_j \text{ is left})
        + \frac{\eta}{2} P(z_j \neq 0) \, w_j^2\right)

    over the weights :math:`j`, with the weight decay :math:`\eta` of the estimator: `alpha`
    is the penalty of one expected non-zero weight in units of the mean loss, by default
    ``1 / n_samples`` of distinct training samples (the paper uses 0.1 and 1 over it). A weight is
    left while its gate is open, and with gates of units while both those of the unit that it reads
    and of the one that it makes are: their probabilities are multiplied. The
    gradients are exact for the sampled gates and written out, not traced; every second
    batch sees the mirror image of the noise before it, which lowers their variance.

    With a target (`target_sparsity`, `target_flops`, `target_units`), `alpha` is not used: it
    is replaced by a Lagrange multiplier that rises while what is left in expectation, in the
    measure of the target, is above it and falls while it is below.

    After `sparsify_fraction` of the epochs the gates are fixed: with `alpha` those that are closed
    in the deterministic network remain closed, but for the best one of a layer that would lose
    all; with `target_sparsity` exactly the required number of weights is kept, ranked by gate and
    within equal gates by magnitude, or with gates of units as many whole units as the target
    allows. What is left is multiplied by its gates and retrained.

    Parameters
    ----------
    granularity : {"weight", "input", "unit"}, default="weight"
        Whether a gate belongs to one weight; to an input of a layer (an input channel of a
        convolution, a position after flattening) with all weights that leave it; or to a unit
        between the layers (neuron, filter, state of a recurrent layer) with all weights that read
        it, in whatever layers. A unit whose gate is closed loses the weights that make it as well.
        Units that nothing reads any more are dead and go as well.
    gate_samples : {"shared", "local"}, default="shared"
        Whether one gate sample serves a batch or each row has its own, which makes the
        gradients of wide batches less noisy; only for inputs of linear and convolution layers.
    layer_strengths : sequence of float, default=None
        Factors on `alpha` for the prunable tensors, in the order of the module. None weighs
        all alike.
    beta : float, default=2/3
        Temperature of the concrete distribution.
    gamma : float, default=-0.1
        Lower end of the stretched interval, negative.
    zeta : float, default=1.1
        Upper end of the stretched interval, above 1.
    droprate_init : float or sequence of float, default=0.2
        The initial ``log_alpha`` is ``log(1 - d) - log(d)`` for this value d, up to noise;
        a sequence has one value for each prunable tensor, or with gates of units for each layer
        that has units.
    sparsify_fraction : float, default=0.6
        Share of the epochs in which gates are trained; the rest retrains what is left.
    min_gate_displacement : float, default=20.0
        Minimum displacement that a ``log_alpha`` can make while gates are trained. It raises
        the learning rate of the gates where there are few updates.
    min_weight_displacement : float, default=10.0
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

    granularities = ("weight", "input", "unit")

    _parameter_constraints: dict = {
        "granularity": [StrOptions({"weight", "input", "unit"})],
        "gate_samples": [StrOptions({"shared", "local"})],
        "layer_strengths": ["array-like", None],
        "beta": [Interval(Real, 0, None, closed="neither")],
        "gamma": [Interval(Real, None, 0, closed="neither")],
        "zeta": [Interval(Real, 1, None, closed="neither")],
        "droprate_init": ["array-like", Interval(Real, 0, 1, closed="neither")],
        "sparsify_fraction": [Interval(Real, 0, 1, closed="right")],
        "min_gate_displacement": [Interval(Real, 0, None, closed="neither")],
        "min_weight_displacement": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        *,
        granularity: str = "weight",
        gate_samples: str = "shared",
        layer_strengths: Sequence[float] | None = None,
        beta: float = 2 / 3,
        gamma: float = -0.1,
        zeta: float = 1.1,
        droprate_init: float | Sequence[float] = 0.2,
        sparsify_fraction: float = 0.6,
        min_gate_displacement: float = 20.0,
        min_weight_displacement: float = 10.0,
    ) -> None:
        self.granularity = granularity
        self.gate_samples = gate_samples
        self.layer_strengths = layer_strengths
        self.beta = beta
        self.gamma = gamma
        self.zeta = zeta
        self.droprate_init = droprate_init
        self.sparsify_fraction = sparsify_fraction
        self.min_gate_displacement = min_gate_displacement
        self.min_weight_displacement = min_weight_displacement

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
            A run of a phase that trains gates and one that retrains what is left.
        """
        self._validate_params()
        if self.gate_samples == "local" and self.granularity == "weight":
            raise ValueError(
                "gate_samples='local' needs gates of units, but granularity='weight' has one for "
                "each weight; set granularity='input' or 'unit', or gate_samples='shared'."
            )
        return HardConcreteRun(self, module, task)
