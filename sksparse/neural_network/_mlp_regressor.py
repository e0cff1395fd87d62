"""A multilayer perceptron for regression that is trained sparse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sksparse.neural_network._docs import with_shared_docs
from sksparse.neural_network._perceptron import PerceptronMixin
from sksparse.neural_network._regression import NetRegressorMixin
from sksparse.sparsifiers import Sparsifier


@with_shared_docs
class SparseMLPRegressor(NetRegressorMixin, PerceptronMixin):
    r"""A multilayer perceptron for regression that is trained sparse.

    <<objective>>

    The loss :math:`\ell` is half the squared error, in the mean over the targets, each in
    units of its standard deviation (of the mean of target and teacher, where there is one):
    strengths, learning rates, tolerances, ``loss_`` and ``history_`` do not depend on the units
    of y. Mean and deviation are put into the last layer in the end, so that ``module_``,
    ``coefs_`` and predictions are in the units of y. Where the mean is more than a thousand
    deviations, a bias in float32 rounds it; predictions are then made in float64 and have what
    the bias lacks.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default=(100,)
        Units of each hidden layer.
    <<strength>>
    <<perceptron>>
    <<training>>
    <<teaching>>

    Attributes
    ----------
    module_ : torch.nn.Sequential
        The fitted network on the CPU: linear layers and activations.
    n_outputs_ : int
        Number of targets.
    <<units>>
    <<sparsity>>
    <<fitted>>

    Raises
    ------
    <<raises>>

    See Also
    --------
    SparseMLPClassifier : The same for classification.
    SparseNetRegressor : The same for any torch module.
    sklearn.neural_network.MLPRegressor : The dense network.

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
    >>> from sksparse.neural_network import SparseMLPRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = SparseMLPRegressor((20,), target_sparsity=0.8, random_state=0)
    >>> model = model.fit(scale(X), scale(y))
    >>> model.sparsity_
    0.8
    """

    _parameter_constraints: dict = {
        **NetRegressorMixin._parameter_constraints,
        **PerceptronMixin._parameter_constraints,
    }

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (100,),
        *,
        sparsifier: str | Sparsifier | None = "oscar",
        alpha: float | None = None,
        target_sparsity: float | None = None,
        target_flops: float | None = None,
        target_units: float | None = None,
        granularity: str | None = None,
        compact: bool = False,
        compact_during: bool = False,
        activation: str = "relu",
        dropout: float | Sequence[float] = 0.0,
        batch_norm: bool = False,
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
        self.hidden_layer_sizes = hidden_layer_sizes
        self.sparsifier = sparsifier
        self.alpha = alpha
        self.target_sparsity = target_sparsity
        self.target_flops = target_flops
        self.target_units = target_units
        self.granularity = granularity
        self.compact = compact
        self.compact_during = compact_during
        self.activation = activation
        self.dropout = dropout
        self.batch_norm = batch_norm
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
