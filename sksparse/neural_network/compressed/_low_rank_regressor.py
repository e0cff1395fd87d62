"""A multilayer perceptron for regression of low rank layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sksparse.neural_network._docs import with_shared_docs
from sksparse.neural_network._regression import NetRegressorMixin
from sksparse.neural_network.compressed._low_rank import LowRankPerceptron


@with_shared_docs
class LowRankMLPRegressor(NetRegressorMixin, LowRankPerceptron):
    r"""A multilayer perceptron for regression of low rank layers.

    The weights of each layer but that of the outputs are the product of a fixed basis and of
    factors that are learned (:class:`~sksparse.layers.LowRankLinear`): the weights of all inputs
    of a unit follow from as many numbers as there are vectors in the basis. Where inputs are
    alike, as neighbouring pixels or correlated features are, so are their weights, and a share of
    the numbers is enough.

    <<compressed_objective>>

    The loss :math:`\ell` is half the squared error, in the mean over the targets, each in
    units of its standard deviation (of the mean of target and teacher, where there is one), which
    the estimator holds: ``module_`` returns ``(y - target_shift_) / target_scale_``.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default=(100,)
        Units of each hidden layer.
    share : float, default=0.25
        Vectors in the bases of a layer, as a share of its inputs, above 0 up to 1, and at least
        two. It is the share of the weights that is learned.
    basis : str, default="covariance"
        The bases of the first layer. "identity" takes the columns of random features: the others
        have no weights. "random" draws orthonormal vectors. "covariance" predicts the weights
        of all features from those of random ones that vary, by kernel ridge regression with the
        covariance of the features; "squared_exponential" does so with a kernel of
        the distance between the pixels of an image.
    hidden_basis : str, default="random"
        The same for the other hidden layers, where there are some, whose inputs are units:
        "identity", "random" or "covariance", that of the units in the network before training.
    n_columns : int, default=1
        Columns into which the units of each hidden layer are divided, each with a basis of its
        own. It does not change the number of weights that are learned.
    image_shape : sequence of int, default=None
        Shape of the images that the rows of X are, the last axis fastest; for
        ``basis="squared_exponential"`` alone, which needs it.
    length_scale : float, default=1.0
        Length l of the kernel ``exp(-d^2 / (2 l^2))`` of "squared_exponential", in pixels.
    ridge : float, default=0.01
        Ridge of the predictions, as a share of the mean of the kernel's diagonal.
    <<perceptron>>
    <<training>>
    <<teaching>>

    Attributes
    ----------
    module_ : torch.nn.Sequential
        The fitted network on the CPU.
    n_outputs_ : int
        Number of targets.
    target_shift_ : ndarray of shape (n_targets,)
        Means of the targets, which are added to what ``module_`` returns.
    target_scale_ : ndarray of shape (n_targets,)
        Deviations of the targets, with which it is multiplied before.
    <<compressed>>
    <<fitted>>

    Raises
    ------
    <<raises>>

    See Also
    --------
    LowRankMLPClassifier : The same for classification.
    HashedMLPRegressor : Other layers of few parameters.
    SparseMLPRegressor : Few weights that are not zero.

    References
    ----------
    M. Denil, B. Shakibi, L. Dinh, M. Ranzato and N. de Freitas, "Predicting parameters in deep
    learning", NIPS 2013.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.preprocessing import scale
    >>> from sksparse.neural_network import LowRankMLPRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = LowRankMLPRegressor((50,), share=0.5, tol=0.001, random_state=0).fit(scale(X), y)
    >>> model.n_parameters_, model.n_dense_parameters_
    (351, 601)
    >>> bool(model.score(scale(X), y) > 0.4)
    True
    """

    _parameter_constraints: dict = {
        **NetRegressorMixin._parameter_constraints,
        **LowRankPerceptron._parameter_constraints,
    }

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (100,),
        *,
        share: float = 0.25,
        basis: str = "covariance",
        hidden_basis: str = "random",
        n_columns: int = 1,
        image_shape: Sequence[int] | None = None,
        length_scale: float = 1.0,
        ridge: float = 0.01,
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
        self.share = share
        self.basis = basis
        self.hidden_basis = hidden_basis
        self.n_columns = n_columns
        self.image_shape = image_shape
        self.length_scale = length_scale
        self.ridge = ridge
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
