"""Any torch module as a regressor that is trained sparse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import nn

from sksparse.neural_network._any_module import ModuleMixin
from sksparse.neural_network._docs import with_shared_docs
from sksparse.neural_network._regression import NetRegressorMixin
from sksparse.sparsifiers import Sparsifier


@with_shared_docs
class SparseNetRegressor(NetRegressorMixin, ModuleMixin):
    r"""Any torch module as a regressor that is trained sparse.

    <<objective>>

    The loss :math:`\ell` is half the squared error, in the mean over the targets, each in
    units of its standard deviation (of the mean of target and teacher, where there is one):
    strengths, learning rates, tolerances, ``loss_`` and ``history_`` do not depend on the units
    of y. The module returns one number for each target, ``(y - target_shift_) /
    target_scale_``, which predictions turn back. A given module that predicts y from the
    start is trained from there: the units are put into its last layer, a ``torch.nn.Linear`` with
    a bias in a ``torch.nn.Sequential``.

    Parameters
    ----------
    module : torch.nn.Module or callable
        The network, which is copied, with the weights it has; or a function or class that makes
        it. That is called with ``n_features`` (``X.shape[1]``) and ``n_outputs`` by name where it
        has these arguments, with both numbers where its arguments have other names and no
        defaults, and otherwise without any.
    <<strength>>
    <<training>>
    <<teaching>>

    Attributes
    ----------
    module_ : torch.nn.Module
        The fitted network on the CPU.
    n_outputs_ : int
        Number of targets.
    target_shift_ : ndarray of shape (`n_outputs_`,)
        Weighted mean of each target.
    target_scale_ : ndarray of shape (`n_outputs_`,)
        Weighted standard deviation of each target.
    <<sparsity>>
    <<fitted>>

    Raises
    ------
    <<raises>>

    See Also
    --------
    SparseNetClassifier : The same for classification.
    SparseMLPRegressor : A multilayer perceptron that is built for the data.

    References
    ----------
    H. D. Bondell and B. J. Reich, "Simultaneous regression shrinkage, variable selection,
    and supervised clustering of predictors with OSCAR", Biometrics, 2008.

    C. Louizos, M. Welling and D. P. Kingma, "Learning sparse neural networks through L0
    regularization", ICLR 2018.

    S. Han, J. Pool, J. Tran and W. Dally, "Learning both weights and connections for
    efficient neural networks", NIPS 2015.

    G. Hinton, O. Vinyals and J. Dean, "Distilling the knowledge in a neural network", 2015.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.preprocessing import scale
    >>> from torch import nn
    >>> from sksparse.neural_network import SparseNetRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> def network(n_features, n_outputs):
    ...     return nn.Sequential(nn.Linear(n_features, 20), nn.Tanh(), nn.Linear(20, n_outputs))
    >>> model = SparseNetRegressor(network, target_sparsity=0.8, random_state=0)
    >>> model.fit(scale(X), scale(y)).sparsity_
    0.8
    """

    _parameter_constraints: dict = {
        **NetRegressorMixin._parameter_constraints,
        **ModuleMixin._parameter_constraints,
    }

    def __init__(
        self,
        module: nn.Module | Callable[..., nn.Module],
        *,
        sparsifier: str | Sparsifier | None = "oscar",
        alpha: float | None = None,
        target_sparsity: float | None = None,
        target_flops: float | None = None,
        target_units: float | None = None,
        granularity: str | None = None,
        compact: bool = False,
        compact_during: bool = False,
        solver: str = "adam",
        momentum: float = 0.9,
        weight_decay: float = 1e-4,
        batch_size: int | str = "auto",
        learning_rate: str = "auto",
        learning_rate_init: float = 1e-3,
        max_iter: int = 200,
        ema_decay: float = 0.0,
        max_grad_norm: float | None = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        teacher: Any = None,
        temperature: float = 2.0,
        distill_weight: float = 0.5,
        callbacks: list[Any] | None = None,
        warm_start: bool = False,
        device: str = "auto",
        verbose: bool | int = 0,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.module = module
        self.sparsifier = sparsifier
        self.alpha = alpha
        self.target_sparsity = target_sparsity
        self.target_flops = target_flops
        self.target_units = target_units
        self.granularity = granularity
        self.compact = compact
        self.compact_during = compact_during
        self.solver = solver
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.max_iter = max_iter
        self.ema_decay = ema_decay
        self.max_grad_norm = max_grad_norm
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.teacher = teacher
        self.temperature = temperature
        self.distill_weight = distill_weight
        self.callbacks = callbacks
        self.warm_start = warm_start
        self.device = device
        self.verbose = verbose
        self.random_state = random_state
