"""The sparse multilayer perceptron for classification."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.utils import Tags
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from sksparse._typing import Array, Indices
from sksparse._validation import intact_on_failure
from sksparse.neural_network._base import BaseSparseMLP, Problem
from sksparse.neural_network._modules import WeightedCrossEntropy, weighted_accuracy
from sksparse.sparsifiers import Sparsifier


class SparseMLPClassifier(ClassifierMixin, BaseSparseMLP):
    r"""A multilayer perceptron that is trained sparse.

    The objective is

    .. math::

        \frac{1}{\sum_i s_i} \sum_i s_i \, \ell(y_i, f_W(x_i))
        + \alpha \, \Omega(W) + \frac{\eta}{2} \|W\|^2

    with the log loss :math:`\ell`, sample weights :math:`s`, the sparsity strength
    `alpha`, the penalty :math:`\Omega` of the sparsifier and the weight decay :math:`\eta`;
    biases are not penalised and never pruned. After ``fit`` the pruned weights are exactly
    zero and ``module_`` is a plain torch network.

    A fit depends on the samples only through their weighted distribution: equal rows of
    equal class are merged and their weights added, and the order of the rows is of no account.
    The network is trained in float32; predictions have the type of the features they are made of,
    float32 or float64.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default=(100,)
        Units of each hidden layer.
    sparsifier : {"l0", "magnitude"}, Sparsifier or None, default="l0"
        How the network becomes sparse: hard-concrete gates
        (:class:`~sksparse.sparsifiers.HardConcrete`), iterative magnitude pruning
        (:class:`~sksparse.sparsifiers.Magnitude`), an object with options of its own, which
        is cloned, or None for a dense network.
    alpha : float, default=None
        Strength of the sparsity, not negative. Its meaning is that of the sparsifier:
        price of a weight for "l0", threshold in standard deviations for "magnitude". A
        larger value gives a sparser network. None takes the default of the sparsifier.
    target_sparsity : float, default=None
        Share of the weights to set to zero, from 0 up to but not including 1, met to one
        weight. Where it is given, it governs and `alpha` is not used.
    weight_decay : float, default=1e-4
        Factor :math:`\eta` of half the squared norm of the weights.
    activation : str, default="relu"
        Activation of the hidden units: "relu", "tanh", "logistic", "identity", "elu", "gelu"
        or "silu".
    batch_size : int or "auto", default="auto"
        Rows in a batch. "auto" is a tenth of the distinct training rows, at least 16 and at
        most 200.
    learning_rate_init : float, default=1e-3
        Learning rate of Adam at the beginning.
    max_iter : int, default=200
        Epochs of all phases (train, prune, retrain) together, at most.
    early_stopping : bool, default=False
        Whether to set `validation_fraction` of the rows aside, stratified by class, to
        end phases when the accuracy on them stalls, and to return the weights that
        scored best in the last phase. Otherwise the objective decides when to end.
    validation_fraction : float, default=0.1
        Share of the distinct rows set aside by `early_stopping`.
    n_iter_no_change : int, default=10
        Epochs without an improvement of `tol` after which a phase ends.
    tol : float, default=1e-4
        The least change of objective or accuracy that counts as improvement.
    class_weight : dict or "balanced", default=None
        Factors on the weights of samples by class label. "balanced" gives every class the
        same total weight.
    warm_start : bool, default=False
        Whether to begin from the weights of the earlier fit, zeros included, instead of
        random ones; for example to raise the sparsity step by step.
    device : {"auto", "cpu", "cuda"}, default="auto"
        Where to compute. "auto" is CUDA where there is one.
    verbose : bool or int, default=0
        1 shows a progress bar, 2 prints a line for every epoch.
    random_state : int, RandomState instance or None, default=None
        Seed of initial weights, batches and gates. An int makes fits on one machine
        equal bit for bit. The global random states of numpy and torch are left alone.

    Attributes
    ----------
    module_ : torch.nn.Sequential
        The fitted network on the CPU: linear layers and activations.
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    coefs_ : list of ndarray of shape (n_units_in, n_units_out)
        Weight matrices, the one of the inputs first.
    intercepts_ : list of ndarray of shape (n_units_out,)
        Bias vectors.
    sparsity_ : float
        Share of exact zeros among all weights, biases aside.
    density_by_layer_ : dict of str to float
        Share of non-zero weights in each weight tensor, by its name in ``module_``.
    architecture_ : tuple of int
        Width of every layer, inputs and outputs included, counting only units on a path of
        non-zero weights from an input to an output.
    feature_importances_ : ndarray of shape (n_features,)
        Sum over all paths from a feature to the outputs of the product of absolute weights,
        scaled to sum 1; zero for a feature that the network does not use. Comparable
        where the features have comparable scales.
    history_ : list of dict
        For every epoch: epoch, phase, loss, sparsity, seconds and, with early stopping,
        valid_score.
    loss_ : float
        The objective in the last epoch.
    n_iter_ : int
        Number of epochs.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, where X had string names.

    Raises
    ------
    ValueError
        When a parameter or the data are unfit, before any work is done.
    FloatingPointError
        When the loss becomes infinite or not a number.

    Warns
    -----
    ConvergenceWarning
        When the objective still falls by more than `tol` per epoch at the end of the last
        phase, or when a KeyboardInterrupt cuts training short: the network is then
        finished, at its full sparsity, as it stands.

    See Also
    --------
    sksparse.sparsifiers.HardConcrete : The sparsifier "l0".
    sksparse.sparsifiers.Magnitude : The sparsifier "magnitude".
    sklearn.neural_network.MLPClassifier : The dense network.

    References
    ----------
    C. Louizos, M. Welling and D. P. Kingma, "Learning sparse neural networks through L0
    regularization", ICLR 2018.

    S. Han, J. Pool, J. Tran and W. Dally, "Learning both weights and connections for
    efficient neural networks", NIPS 2015.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sksparse.neural_network import SparseMLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = SparseMLPClassifier((20,), target_sparsity=0.5, random_state=0).fit(X, y)
    >>> model.sparsity_
    0.5
    >>> bool(model.score(X, y) > 0.9)
    True
    """

    _parameter_constraints: dict = {
        **BaseSparseMLP._parameter_constraints,
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (100,),
        *,
        sparsifier: str | Sparsifier | None = "l0",
        alpha: float | None = None,
        target_sparsity: float | None = None,
        weight_decay: float = 1e-4,
        activation: str = "relu",
        batch_size: int | str = "auto",
        learning_rate_init: float = 1e-3,
        max_iter: int = 200,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        class_weight: dict[Any, float] | str | None = None,
        warm_start: bool = False,
        device: str = "auto",
        verbose: bool | int = 0,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.sparsifier = sparsifier
        self.alpha = alpha
        self.target_sparsity = target_sparsity
        self.weight_decay = weight_decay
        self.activation = activation
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.max_iter = max_iter
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.device = device
        self.verbose = verbose
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> SparseMLPClassifier:
        """Train the network and make it sparse.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features. Converted to float32; a sparse matrix is made dense one batch at a time.
        y : array-like of shape (n_samples,)
            Class labels, of two or more classes.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples in the loss, not negative. A weight of 2 is the same as
            the sample twice, a weight of 0 the same as no sample. None weighs all equally.

        Returns
        -------
        self : SparseMLPClassifier
            The fitted classifier.
        """
        with intact_on_failure(self):
            self._fit(X, y, sample_weight)
        return self

    def predict_proba(self, X: ArrayLike) -> Array:
        """Probabilities of the classes.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features.

        Returns
        -------
        proba : ndarray of shape (n_samples, n_classes)
            Probabilities, in the order of ``classes_``.
        """
        return self._forward(X).softmax(dim=1).numpy()

    def predict_log_proba(self, X: ArrayLike) -> Array:
        """Logarithms of the probabilities of the classes.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features.

        Returns
        -------
        log_proba : ndarray of shape (n_samples, n_classes)
            Log probabilities, in the order of ``classes_``.
        """
        return self._forward(X).log_softmax(dim=1).numpy()

    def predict(self, X: ArrayLike) -> np.ndarray:
        """The most probable classes.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            Class labels.
        """
        check_is_fitted(self)
        return self.classes_[self._forward(X).argmax(dim=1).numpy()]

    def _fit(self, X: Any, y: Any, sample_weight: ArrayLike | None) -> None:
        X, y = validate_data(self, X, y, accept_sparse="csr", dtype=np.float32)
        check_classification_targets(y)
        weight = _check_weights(sample_weight, X)
        classes, y = _encode(y, weight)
        previous = getattr(self, "classes_", None) if self.warm_start else None
        if previous is not None and not np.array_equal(previous, classes):
            raise ValueError(
                f"warm_start=True cannot continue: the classes were {previous.tolist()} and are "
                f"now {classes.tolist()}. Give the same classes or set warm_start=False."
            )
        weight = weight * _class_factors(self.class_weight, classes, y, weight)
        problem = Problem(y, len(classes), WeightedCrossEntropy, weighted_accuracy, stratify=True)
        self._train(X, weight, problem)
        self.classes_ = classes

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _check_weights(sample_weight: ArrayLike | None, X: Array) -> Array:
    if sample_weight is not None and not np.any(np.asarray(sample_weight)):
        raise ValueError("sample_weight is zero for every sample; at least one must be positive.")
    weight = _check_sample_weight(sample_weight, X, dtype=np.float64)
    if (weight < 0).any():
        raise ValueError(
            f"sample_weight is {weight.min()} at position {weight.argmin()}; weights must be zero "
            "or positive."
        )
    return weight


def _encode(y: np.ndarray, weight: Array) -> tuple[np.ndarray, Indices]:
    """The classes that have weight, and for each sample the number of its class."""
    classes = np.unique(y[weight > 0])
    if len(classes) < 2:
        raise ValueError(
            f"y holds 1 class, {classes.tolist()}, among the samples of positive weight; a "
            "classifier needs samples of at least 2 classes."
        )
    # a sample without weight may carry a label of no class: its number is never used
    return classes, np.searchsorted(classes, y).clip(max=len(classes) - 1)


def _class_factors(
    class_weight: dict[Any, float] | str | None, classes: np.ndarray, y: Indices, weight: Array
) -> Array:
    """The factor of each sample: that of its class."""
    if class_weight == "balanced":
        totals = np.bincount(y, weights=weight, minlength=len(classes))
        return (weight.sum() / (len(classes) * totals))[y]
    return compute_class_weight(class_weight, classes=classes, y=classes[y])[y]
