"""The parts that the docstrings of the network estimators share, written once."""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")

OBJECTIVE = r"""The objective is

    .. math::

        \frac{1}{\sum_i s_i} \sum_i s_i \, \ell(y_i, f_W(x_i))
        + \alpha \, \Omega(W) + \frac{\eta}{2} \|W\|^2

    with sample weights :math:`s`, the sparsity strength `alpha`, the penalty :math:`\Omega` of
    the sparsifier and the weight decay :math:`\eta`; biases are not penalised and never
    pruned. After ``fit`` the pruned weights are exactly zero and ``module_`` is a plain torch
    network.

    <<data>>"""

COMPRESSED_OBJECTIVE = r"""The objective is

    .. math::

        \frac{1}{\sum_i s_i} \sum_i s_i \, \ell(y_i, f(x_i)) + \frac{\eta}{2} \|w\|^2

    with sample weights :math:`s` and the weight decay :math:`\eta` on the values :math:`w` that
    are learned.

    <<data>>"""

DATA = """A fit depends on the samples only through their weighted distribution: equal rows of
    equal target are merged and their weights added, and the order of the rows does not
    matter. The network is trained in float32; predictions have the type of the features they
    are made of, float32 or float64.

    Scale the features, for example with :class:`sklearn.preprocessing.StandardScaler`. Columns
    that float32 would lose are standardised: where all values lie farther from
    zero than ten times their spread, where the spread is below 1e-2 or above 1e6, and constants
    above 1e3, the network sees ``(X - input_shift_) / input_scale_`` instead. All other columns
    stay as they are. Features of more than two dimensions are one such column, and sparse ones are
    never shifted: a ``ConvergenceWarning`` names them."""

STRENGTH = """sparsifier : str, Sparsifier or None, default="oscar"
        How the network becomes sparse: a name of ``sksparse.sparsifiers.SPARSIFIERS`` such as
        "oscar" (:class:`~sksparse.sparsifiers.OscarShrinkage`), "l0"
        (:class:`~sksparse.sparsifiers.HardConcrete`) or "magnitude"
        (:class:`~sksparse.sparsifiers.Magnitude`), an object with options of its own, which
        is cloned, or None for a dense network.
    alpha : float, default=None
        Strength of the sparsity, not negative. Its meaning is that of the sparsifier, for
        example the factor of the penalty for "oscar" or a threshold in standard deviations for
        "magnitude". A larger value gives a sparser network; what a value gives
        depends on the training as well, such as `batch_size`, `max_iter` and `max_grad_norm`. None
        takes the default of the sparsifier.
    target_sparsity : float, default=None
        Share of the weights to set to zero, from 0 up to but not including 1. Where it is
        given, `alpha` is not used. Every output keeps a path of weights from an
        input, where the number of weights allows it and the layers are one chain
        (``nn.Sequential``). With `warm_start` some methods keep the zeros of an earlier fit of
        higher sparsity.
    target_flops : float, default=None
        Share of the multiplications of the dense network that is left at most, above 0 up to 1:
        0.25 is a quarter, as ``flops_ / dense_flops_``. For methods that remove whole units, inputs
        or branches; `alpha` is not used. At most one of `target_sparsity`, `target_flops` and
        `target_units` is given.
    target_units : float, default=None
        Share of the units between the layers (neurons, channels, states of recurrent layers) that
        is left, above 0 up to 1; otherwise as `target_flops`.
    granularity : str, default=None
        What is removed as a whole: "weight" for single weights, "input" for what reads one input
        of a layer, "unit" for neurons, channels and states with all that belongs to them, "both"
        for units and inputs, "shape" for a position of the filters of a convolution, "layer" for
        branches beside a shortcut. Units that nothing reads any more are dead and go as well.
        None is what the sparsifier has; which others it takes is said by its class.
    compact : bool, default=False
        Whether units that contribute nothing, or a constant, are taken out of the network at
        the end of ``fit``, as :meth:`compacted` does: ``module_`` is then smaller and faster, and
        predicts the same; the estimator takes the same X. A module that cannot be followed is
        refused before training. With `warm_start` targets still count the dense network.
    compact_during : bool, default=False
        Whether units that are gone for good are taken out while training goes on, so that it
        gets cheaper as the network gets smaller; the end is that of ``compact=True``. For
        sparsifiers that remove whole units, such as "group" with ``granularity="unit"`` or
        "filters"."""

TRAINING = """solver : {"adam", "sgd"}, default="adam"
        The optimiser; "sgd" is stochastic gradient descent with Nesterov `momentum`.
    momentum : float, default=0.9
        Momentum of "sgd", from 0 up to but not including 1.
    weight_decay : float, default=1e-4
        Factor :math:`\\eta` of half the squared norm of the weights.
    batch_size : int or "auto", default="auto"
        Rows in a batch, at most: the batches of an epoch are of equal size, up to one row. "auto"
        is a tenth of the distinct training rows, at least 16 and at most 200.
    learning_rate : {"auto", "constant", "cosine", "step"}, default="auto"
        Schedule of the learning rate. "auto" is what the sparsifier asks for in each of its
        phases, raised where there are few updates; without a sparsifier the rate does not change.
        The others begin at
        `learning_rate_init` and hold over all phases: unchanged, down to zero along half a
        cosine, or divided by ten at half and again at three quarters of `max_iter`.
    learning_rate_init : float, default=1e-3
        Learning rate at the beginning. With ``learning_rate="auto"`` less than the usual 1e-3
        scales the rates of all phases down, and more raises those that are lower.
    max_iter : int, default=200
        Epochs of all phases (train, prune, retrain) together, at most.
    ema_decay : float, default=0.0
        Decay, per update, of a moving average of the weights that is evaluated and returned in
        place of the last weights; 0 for none, 0.999 is common.
    max_grad_norm : float, default=None
        Gradients with a longer norm are scaled down to it. None leaves them as they are.
    early_stopping : bool, default=False
        Whether to set `validation_fraction` of the rows aside, or the groups or rows that ``fit``
        is given (`groups`, `X_val`), to end phases when the score
        on them stalls, and to return the weights that scored best in the last phase, which
        have the final sparsity. Otherwise the objective decides when to end.
    validation_fraction : float, default=0.1
        Share of the distinct rows set aside by `early_stopping`, stratified by class. Classes
        that are too rare for it are only in the training rows, with a warning.
    n_iter_no_change : int, default=10
        Epochs without an improvement of `tol` after which a phase ends.
    tol : float, default=1e-4
        The least change of objective or score (accuracy or R2) that counts as improvement.
        Neither depends on the units of the targets."""

TEACHING = """teacher : estimator, default=None
        A fitted model whose predictions are targets as well (knowledge distillation), for the
        same classes or targets. Where the student is cloned, as in a grid search,
        wrap it in :class:`sklearn.frozen.FrozenEstimator`, or it is cloned unfitted.
    temperature : float, default=2.0
        Temperature at which a classifier matches the teacher's probabilities; larger values
        teach more of the unlikely classes. Regressors do not use it.
    distill_weight : float, default=0.5
        Share of the teacher in the loss, from 0 to 1.
    callbacks : list, default=None
        Callbacks of skorch, or pairs of a name and one; a fit works with copies of them, which
        share what they hold. A learning rate that one sets is used in place of `learning_rate`;
        what one changes in the weights is trained further, but pruned weights stay zero; a skorch
        EarlyStopping ends a phase. Any other that raises KeyboardInterrupt ends training, and the
        network is made sparse as it is. Those that cannot work are refused by name. The user guide
        says more.
    warm_start : bool, default=False
        Whether to begin from the weights of the earlier fit, zeros included, instead of
        random ones; for example to raise the sparsity step by step.
    device : {"auto", "cpu", "cuda"}, default="auto"
        Where to compute. "auto" is CUDA where there is one.
    verbose : bool or int, default=0
        1 prints a line a second at most, 2 one for every epoch.
    random_state : int, RandomState instance or None, default=None
        Seed of initial weights, batches and gates. An int makes fits on one machine
        equal bit for bit. The global random states of numpy and torch are left alone."""

SPARSITY = """sparsity_ : float
        Share of the trainable weights of the dense network that are exactly zero, or were taken
        out with their units; biases aside. Where single weights are pruned, those that are left in
        dead units count until these are taken out, as with ``compact=True``.
    density_by_layer_ : dict of str to float
        For each weight tensor, by its name in ``module_``, its non-zero weights as a share of all
        weights of the dense tensor.
    <<size>>"""

SIZE = """n_units_ : dict of str to int
        Units of each hidden layer that are not dead, by the name of the layer; 0 where it was
        removed with its branch. Like ``flops_`` it is found when it is asked for, where the module
        can be followed, and is the same before and after dead units are taken out.
    flops_ : int
        FLOPs for one row without dead units: two for each multiplication by a weight.
    dense_n_units_ : dict of str to int
        The units of each hidden layer of the dense network.
    dense_flops_ : int
        The FLOPs of the dense network for one row.
    layer_sizes_ : dict of str to dict
        For each layer by name its "units", "parameters" and "flops", each a pair: what is left
        without dead units, and what the dense network has."""

COMPRESSED = """n_parameters_ : int
        Numbers that are learned: the values of the layers, and biases and scales beside them.
    n_dense_parameters_ : int
        Numbers that a dense network of these layers learns.
    n_stored_ : int
        Numbers that have to be stored for predictions, beside a few for each layer.
    coefs_ : list of ndarray of shape (n_units_in, n_units_out)
        The weight matrices that the values stand for, the one of the inputs first; made anew
        each time.
    intercepts_ : list of ndarray of shape (n_units_out,)
        Likewise the bias vectors.
    sparsity_ : float
        Share of the values that are exactly zero: 0.0, but by chance.
    density_by_layer_ : dict of str to float
        For each tensor of values, by its name in ``module_``, the share that is not zero."""

FITTED = """history_ : list of dict
        For every epoch: epoch, phase, loss, train_loss (the loss without penalties), sparsity,
        seconds and, with early stopping, valid_loss and valid_score; and what callbacks record.
    loss_ : float
        The objective in the last epoch; where `target_sparsity` is given, without the penalty
        of the sparsifier.
    n_iter_ : int
        Number of epochs.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, where X had string names.
    input_shift_ : float or ndarray of shape (`n_features_in_`,)
        ``module_`` is made for ``((X - input_shift_) / input_scale_)[:, input_columns_]``: 0.0
        unless some column of X would have been lost.
    input_scale_ : float or ndarray of shape (`n_features_in_`,)
        Likewise; 1.0 unless some column of X would have been lost.
    input_columns_ : ndarray of int
        The columns of X that ``module_`` takes: all, unless features that nothing reads were taken
        out of it."""

PERCEPTRON = """activation : str, default="relu"
        Activation of the hidden units: "relu", "tanh", "logistic", "identity", "elu", "gelu"
        or "silu".
    dropout : float or sequence of float, default=0.0
        Probability with which a hidden unit is dropped in training, or a sequence for the
        inputs and each hidden layer.
    batch_norm : bool, default=False
        Whether to normalise what enters each activation over the batch."""

UNITS = """coefs_ : list of ndarray of shape (n_units_in, n_units_out)
        Weight matrices of ``module_``, the one of the inputs first.
    intercepts_ : list of ndarray of shape (n_units_out,)
        Bias vectors.
    architecture_ : tuple of int
        Width of every layer, inputs and outputs included, counting only units on a path of
        non-zero weights from an input to an output.
    feature_importances_ : ndarray of shape (n_features,)
        Sum over all paths from a feature to the outputs of the product of absolute weights,
        scaled to sum 1; zero for a feature that the network does not use. Comparable
        where the features have comparable scales; all targets of a regression count alike.
    support_ : ndarray of shape (n_features,)
        Mask of the features in use, those on a path of non-zero weights to an output, as
        ``get_support()`` returns it."""

RAISES = """ValueError
        When a parameter or the data are unfit, before any work is done.
    FloatingPointError
        When the loss becomes infinite or not a number.

    Warns
    -----
    ConvergenceWarning
        When the objective still falls by more than `tol` per epoch at the end of the last
        phase; when an output is the same for all training rows, because no path of weights leads
        to it or its units are dead; or when Ctrl-C cuts training short after a second or more
        and at least one epoch: the network is then finished, at its full sparsity, as it stands.
        Earlier, or when it is pressed again, Ctrl-C raises and leaves the estimator as it was."""

# what a part names stands after it
_PARTS = {
    "objective": OBJECTIVE,
    "compressed_objective": COMPRESSED_OBJECTIVE,
    "data": DATA,
    "strength": STRENGTH,
    "training": TRAINING,
    "teaching": TEACHING,
    "sparsity": SPARSITY,
    "size": SIZE,
    "compressed": COMPRESSED,
    "fitted": FITTED,
    "perceptron": PERCEPTRON,
    "units": UNITS,
    "raises": RAISES,
}


def with_shared_docs(cls: type[T]) -> type[T]:
    """Put the shared parts where the docstring of a class names them in double angle quotes."""
    if cls.__doc__:  # python -OO strips docstrings
        for name, text in _PARTS.items():
            cls.__doc__ = cls.__doc__.replace(f"<<{name}>>", text)
    return cls
