"""A multilayer perceptron for classification with hashed weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sksparse.neural_network._classification import NetClassifierMixin
from sksparse.neural_network._docs import with_shared_docs
from sksparse.neural_network.compressed._hashed import HashedPerceptron


@with_shared_docs
class HashedMLPClassifier(NetClassifierMixin, HashedPerceptron):
    r"""A multilayer perceptron for classification with hashed weights.

    Learned and stored are a few values for each layer; a hash says which of them, and with which
    sign, stands at each position of the weights and biases
    (:class:`~sksparse.layers.HashedLinear`). The layers are as wide as those of the dense network,
    and so are outputs and gradients: what is saved is memory, of the model and of the optimiser,
    and the size of files. Wide layers with few values are more accurate than narrow dense layers
    of as many parameters.

    <<compressed_objective>>

    The loss :math:`\ell` is the log loss.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default=(100,)
        Units of each hidden layer.
    share : float, default=0.125
        Stored values of each layer, as a share of the weights and biases of the dense one; above
        0 up to 1.
    <<perceptron>>
    <<training>>
    class_weight : dict or "balanced", default=None
        Factors on the weights of samples by class label. "balanced" gives every class the
        same total weight.
    <<teaching>>

    Attributes
    ----------
    module_ : torch.nn.Sequential
        The fitted network on the CPU.
    classes_ : ndarray of shape (n_classes,)
        Class labels; the numbers of the columns of y where it has one for each label.
    <<compressed>>
    <<fitted>>

    Raises
    ------
    <<raises>>

    See Also
    --------
    HashedMLPRegressor : The same for regression.
    LowRankMLPClassifier : Other layers of few parameters.
    SparseMLPClassifier : Few weights that are not zero.

    References
    ----------
    W. Chen, J. Wilson, S. Tyree, K. Weinberger and Y. Chen, "Compressing neural networks with
    the hashing trick", ICML 2015.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sksparse.neural_network import HashedMLPClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> model = HashedMLPClassifier((100,), share=0.1, tol=0.01, random_state=0).fit(X / 16, y)
    >>> model.n_parameters_, model.n_dense_parameters_
    (751, 7510)
    >>> bool(model.score(X / 16, y) > 0.9)
    True
    """

    _parameter_constraints: dict = {
        **NetClassifierMixin._parameter_constraints,
        **HashedPerceptron._parameter_constraints,
    }

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (100,),
        *,
        share: float = 0.125,
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
        class_weight: dict[Any, float] | str | None = None,
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
        self.share = share
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
        self.class_weight = class_weight
        self.teacher = teacher
        self.temperature = temperature
        self.distill_weight = distill_weight
        self.callbacks = callbacks
        self.warm_start = warm_start
        self.device = device
        self.verbose = verbose
        self.random_state = random_state
