"""Iterative magnitude pruning with retraining (Han et al., 2015)."""

from __future__ import annotations

from numbers import Integral, Real

from sklearn.utils._param_validation import Interval, StrOptions
from torch import nn

from sksparse.sparsifiers._base import (
    LARGEST_WEIGHT_RATE,
    Phase,
    Probe,
    Sparsifier,
    SparsifierRun,
    Task,
)
from sksparse.sparsifiers._masks import keep_above_deviation, keep_top


class Magnitude(Sparsifier):
    r"""Prune the smallest weights in rounds and retrain the survivors after each.

    The network is trained on :math:`\frac{1}{\sum_i s_i} \sum_i s_i \ell_i +
    \frac{\eta}{2} \|W\|^2`. Then, in round :math:`r` of :math:`R`, a mask is fixed and the
    survivors are retrained from their current values:

    * with `alpha`, the quality :math:`q`, weights of layer :math:`l` with
      :math:`|w| < q \frac{r}{R} \mathrm{std}(W_l)` are pruned;
    * with `target_sparsity` :math:`s`, the weights of least magnitude are pruned until the
      sparsity is :math:`1 - (1 - s)^{r/R}`, so that each round removes the same share
      of what is left, and the last meets :math:`s` to one weight.

    Biases are never pruned, and a pruned weight stays exactly zero.

    Parameters
    ----------
    n_rounds : int, default=10
        Number of times to prune and retrain.
    scope : {"global", "layer"}, default="global"
        Whether `target_sparsity` is met by one ranking over all layers or in each layer.
    train_fraction : float, default=0.3
        Share of the epochs spent before the first pruning.
    retrain_travel : float, default=10.0
        Least distance that a weight can travel in all retraining. The paper lowers the
        learning rate to retrain after long training; small data gives few updates, and the
        survivors have to grow, so the rate is raised where it would not reach so far,
        up to 0.02. In the last round it falls to zero.

    References
    ----------
    S. Han, J. Pool, J. Tran and W. Dally, "Learning both weights and connections for
    efficient neural networks", NIPS 2015.

    Examples
    --------
    >>> from sksparse.sparsifiers import Magnitude
    >>> Magnitude(n_rounds=3).get_params()["n_rounds"]
    3
    """

    _parameter_constraints: dict = {
        "n_rounds": [Interval(Integral, 1, None, closed="left")],
        "scope": [StrOptions({"global", "layer"})],
        "train_fraction": [Interval(Real, 0, 1, closed="left")],
        "retrain_travel": [Interval(Real, 0, None, closed="left")],
    }

    #: Quality of the thresholds where the estimator leaves ``alpha=None``.
    default_alpha = 1.0

    def __init__(
        self,
        *,
        n_rounds: int = 10,
        scope: str = "global",
        train_fraction: float = 0.3,
        retrain_travel: float = 10.0,
    ) -> None:
        self.n_rounds = n_rounds
        self.scope = scope
        self.train_fraction = train_fraction
        self.retrain_travel = retrain_travel

    def attach(self, module: nn.Module, task: Task) -> SparsifierRun:
        """Make the run of one fit.

        Parameters
        ----------
        module : torch.nn.Module
            The network about to be trained.
        task : Task
            What the estimator asks for; `alpha` is the quality, 1.0 by default.

        Returns
        -------
        run : SparsifierRun
            A run of one dense phase and `n_rounds` phases of retraining.
        """
        self._validate_params()
        return _MagnitudeRun(self, module, task)


class _MagnitudeRun(SparsifierRun):
    def __init__(self, options: Magnitude, module: nn.Module, task: Task) -> None:
        super().__init__(module, task)
        self._options = options
        self._quality = options.default_alpha if task.alpha is None else task.alpha

    @property
    def phases(self) -> tuple[Phase, ...]:
        rounds = self._options.n_rounds
        dense_epochs = round(self._options.train_fraction * self.task.max_iter)
        left = self.task.max_iter - dense_epochs
        rate = self.task.rate_to_travel(
            self._options.retrain_travel, left, largest_rate=LARGEST_WEIGHT_RATE
        )
        # the remainder goes to the last round, which trains at the final sparsity
        epochs = [left // rounds] * (rounds - 1) + [left // rounds + left % rounds]
        retrain = [
            Phase(
                f"retrain {r + 1}",
                n,
                learning_rate=rate,
                anneal=r + 1 == rounds,
                strength=(r + 1) / rounds,
            )
            for r, n in enumerate(epochs)
        ]
        return (Phase("train", dense_epochs, strength=0.0), *retrain)

    def begin_phase(self, phase: Phase, probe: Probe) -> None:
        if phase.strength == 0:
            return
        sizes = self.parameters.sizes
        target = self.task.target_sparsity
        if target is None:
            quality = self._quality * phase.strength
            self.freeze(keep_above_deviation(self.weights, sizes, quality))
            return
        sparsity = 1 - (1 - target) ** phase.strength
        per_tensor = self._options.scope == "layer"
        self.freeze(keep_top(self.weights.abs(), sparsity, sizes=sizes, per_tensor=per_tensor))
