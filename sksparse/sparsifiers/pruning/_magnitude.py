"""Pruning by a score of each weight: at once, in rounds (Han et al., 2015), or gradually."""

from __future__ import annotations

from numbers import Integral, Real

from sklearn.utils._param_validation import Interval, StrOptions
from torch import nn

from sksparse.sparsifiers._base import SparsifierRun
from sksparse.sparsifiers._task import Task
from sksparse.sparsifiers.masks._saliency import CRITERIA
from sksparse.sparsifiers.pruning._magnitude_runs import (
    GradualPruning,
    PruningInRounds,
    PruningOptions,
)


class Magnitude(PruningOptions):
    r"""Prune the weights that matter least and retrain the others.

    The network is trained on :math:`\frac{1}{\sum_i s_i} \sum_i s_i \ell_i +
    \frac{\eta}{2} \|W\|^2`, plus :math:`\lambda \|W\|_1` with `l1` until the final mask is
    fixed. Weights are ranked by their magnitude or another score, `criterion`, and pruned:

    * with `alpha`, the quality :math:`q`, the weights of layer :math:`l` with
      :math:`|w| < q \, \mathrm{std}(W_l)`; for other scores than the magnitude, those whose
      score is less than q times the root mean square of the scores of the layer ("obs" keeps as
      many as the magnitudes would);
    * with `target_sparsity` :math:`s`, the weights of least score, so that exactly the share s
      is zero.

    The `schedule` is "one_shot", all at once; "iterative", in rounds r of R after each of which
    the remaining weights are retrained, with the quality :math:`q \frac{r}{R}` or the sparsity
    :math:`1 - (1 - s)^{r/R}`; or "gradual", while the network is trained, with the share
    :math:`1 - (1 - t)^3` of q or s when the share t of the pruning is over. In the gradual
    schedule, masks are updated repeatedly: all pruned weights are restored at their old values,
    all are scored again, and those of least score are masked, until the mask is final.

    Groups of other granularities are pruned as a whole: with `alpha` those whose score is less than
    q times the root mean square of the scores of their layer, but the best of it; with
    `target_sparsity` until at least that share of the weights is zero, and with `target_flops` or
    `target_units` until at most that share is left.

    Biases are pruned with their units alone, and a weight that the final mask prunes stays exactly
    zero.
    Dropout modules are corrected under each mask, :math:`D_r = D_o \sqrt{C_r / C_o}` with the
    connections C of the layer that they feed, and restored at the end.

    Parameters
    ----------
    granularity : {"weight", "input", "unit", "shape", "layer"}, default="weight"
        What is pruned as a whole: a weight; an input of a layer with all weights that leave it; a
        unit (neuron, filter, state of a recurrent layer) with all that makes and reads it, its bias
        and scales; a position of a filter, ``W[:, c, m, k]``; or a branch beside a shortcut. Units
        that nothing reads any more are dead and go as well. The score of a group is the mean of
        those of its weights, for a unit of the weights that make it, relative to the root mean
        square in its layer.
    criterion : str, default="magnitude"
        The score of a weight w. "magnitude": :math:`|w|`. "activation": that times the root mean
        square of its input. "gradient": the mean over rows of :math:`|\partial \ell_i /
        \partial w|`. "taylor": that times :math:`|w|`. "obd", optimal brain damage:
        :math:`\frac{1}{2} h w^2` with the diagonal h of the Gauss-Newton matrix. "obs", optimal
        brain surgeon, also adapts the weights that are kept. All but the first are computed from
        up to 2048 training rows.
    schedule : {"gradual", "iterative", "one_shot"}, default="gradual"
        How the sparsity grows. "obs" needs "iterative" or "one_shot".
    scope : {"global", "layer", "erdos_renyi"}, default="global"
        Whether `target_sparsity` is reached by one ranking over all layers, by the same density in
        every layer, or with kept weights in proportion to the sum of the dimensions of a layer.
    n_rounds : int, default=10
        Number of times to prune and retrain in the iterative schedule. In the gradual one,
        number of times that the statistics of the criterion are computed.
    train_fraction : float, default=0.2
        Share of the epochs spent before the first pruning.
    sparsify_fraction : float, default=0.5
        Share of the epochs in which the gradual schedule prunes; with `train_fraction` below
        1. The rest retrains under the final mask.
    update_every : int, default=50
        Updates of the weights between two masks of the gradual schedule, fewer where there
        are few updates.
    min_weight_displacement : float, default=10.0
        Minimum displacement that a weight can make in all retraining. The paper lowers the
        learning rate to retrain after long training; small data gives few updates, and the
        remaining weights have to grow, so the rate is raised, up to 0.02, where it would not
        suffice. In the end it falls to zero.
    l1 : float, default=0.0
        Strength of the L1 penalty in the mean loss until the mask is final.
    remove_dead : bool, default=True
        Whether to remove the connections of hidden units that have no inputs or no outputs
        left. Constants that such units emit move into the next biases. With
        `target_sparsity` other weights are kept in their place. Units are known in modules that
        ``torch.fx`` can trace.

    References
    ----------
    S. Han, J. Pool, J. Tran and W. Dally, "Learning both weights and connections for
    efficient neural networks", NIPS 2015.

    M. Zhu and S. Gupta, "To prune, or not to prune: exploring the efficacy of pruning for
    model compression", 2017, for the gradual schedule.

    Y. LeCun, J. Denker and S. Solla, "Optimal brain damage", NIPS 1989.

    B. Hassibi and D. Stork, "Second order derivatives for network pruning: optimal brain
    surgeon", NIPS 1992.

    P. Molchanov, S. Tyree, T. Karras, T. Aila and J. Kautz, "Pruning convolutional neural
    networks for resource efficient inference", ICLR 2017, for the Taylor criterion.

    Examples
    --------
    >>> from sksparse.sparsifiers import Magnitude
    >>> Magnitude(schedule="iterative", n_rounds=3)
    Magnitude(n_rounds=3, schedule='iterative')
    """

    granularities = ("weight", "input", "unit", "shape", "layer")

    _parameter_constraints: dict = {
        "granularity": [StrOptions(set(granularities))],
        **PruningOptions._parameter_constraints,
        "criterion": [StrOptions({*CRITERIA, "obs"})],
        "schedule": [StrOptions({"gradual", "iterative", "one_shot"})],
        "scope": [StrOptions({"global", "layer", "erdos_renyi"})],
        "n_rounds": [Interval(Integral, 1, None, closed="left")],
        "update_every": [Interval(Integral, 1, None, closed="left")],
        "l1": [Interval(Real, 0, None, closed="left")],
        "remove_dead": ["boolean"],
    }

    #: Quality of the thresholds where the estimator leaves ``alpha=None``.
    default_alpha = 1.0

    def __init__(
        self,
        *,
        granularity: str = "weight",
        criterion: str = "magnitude",
        schedule: str = "gradual",
        scope: str = "global",
        n_rounds: int = 10,
        train_fraction: float = 0.2,
        sparsify_fraction: float = 0.5,
        update_every: int = 50,
        min_weight_displacement: float = 10.0,
        l1: float = 0.0,
        remove_dead: bool = True,
    ) -> None:
        self.granularity = granularity
        self.criterion = criterion
        self.schedule = schedule
        self.scope = scope
        self.n_rounds = n_rounds
        self.train_fraction = train_fraction
        self.sparsify_fraction = sparsify_fraction
        self.update_every = update_every
        self.min_weight_displacement = min_weight_displacement
        self.l1 = l1
        self.remove_dead = remove_dead

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
            A run of a dense phase, and of those that the schedule asks for.

        Raises
        ------
        ValueError
            When an option, or a combination of options, is unfit.
        """
        self._validate_params()
        if self.criterion == "obs" and self.scope != "global":
            raise ValueError(
                f"criterion='obs' weighs all weights against each other and cannot keep "
                f"scope={self.scope!r}; set scope='global' or criterion='obd'."
            )
        if self.granularity != "weight":
            self._check_groups()
        if self.schedule != "gradual":
            return PruningInRounds(self, module, task)
        if self.criterion == "obs":
            raise ValueError(
                "criterion='obs' adapts the weights that are kept and cannot restore pruned ones, "
                "as schedule='gradual' does; set schedule='iterative', or criterion='obd'."
            )
        if self.train_fraction + self.sparsify_fraction >= 1:
            raise ValueError(
                f"train_fraction={self.train_fraction!r} and sparsify_fraction="
                f"{self.sparsify_fraction!r} leave no epochs to retrain in; lower one of them: "
                "they must add up to less than 1."
            )
        return GradualPruning(self, module, task)

    def _check_groups(self) -> None:
        """Refuse options that weigh single weights."""
        if self.criterion == "obs":
            raise ValueError(
                "criterion='obs' weighs single weights against each other; set "
                "granularity='weight', or criterion='obd'."
            )
        if self.scope == "erdos_renyi":
            raise ValueError(
                "scope='erdos_renyi' is a rule for numbers of weights, but granularity="
                f"{self.granularity!r} removes groups; set scope='layer' or 'global'."
            )
