"""Selection of features by a perceptron that loses inputs while it is trained."""

from __future__ import annotations

import warnings
from numbers import Integral, Real
from typing import Any, ClassVar

from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import ClassifierTags, Tags
from sklearn.utils._param_validation import Interval, StrOptions

from sksparse._groups import GROUP_FORMS
from sksparse.feature_selection._path_selection import METHODS, PathSelection

_RATE = Interval(Real, 0, 1, closed="left")


class SparseMLPSelector(PathSelection):
    r"""Keep the features that a perceptron needs, ranked in one training run.

    A perceptron is trained on

    .. math::

        \frac{1}{\sum_i s_i} \sum_i s_i \, \ell(y_i, f_W(g \odot x_i)),

    with sample weights s, the log loss or half the squared error of standardised targets, and a
    gate g for each feature, which is 1. While it is trained, features leave for good, so that
    their number falls geometrically from all to `min_features`; those that leave are those of
    least score. By default the score is the running mean of the squared derivatives
    :math:`(\partial L / \partial g_j)^2` over the batches, a diagonal of the Fisher information
    of the gates. One run ranks all features: the sets of any two sizes are nested.

    Parameters
    ----------
    max_features : int, "auto" or "1se", default="auto"
        How many features to keep. "auto" is the number with the best validation score, "1se" the
        smallest whose score is at most a standard error below that. With `groups`, the most
        features of whole groups that are not more than this, but at least one group, and all
        that cost nothing.
    groups : array-like of shape (n_features,), list, dict, callable, "prefix" or None, default=None
        Features that leave together: one-hot columns, sensors, lags. In any form that
        :class:`GroupLassoSelector` takes. None puts each feature in a group of its own.
    method : str, default="elimination"
        What scores the features: "elimination", "gaussian_gates", "concrete_gates", "group_lasso",
        "hierarchy", "deep_lasso" or "attention"; some add a penalty to the objective, as Notes say.
    strength : float or None, default=None
        Strength of the penalty of methods that have one, in units of the loss; None is the
        method's own. Others refuse it.
    penalty_weights : array-like of shape (n_groups,) or None, default=None
        What groups cost, relative to each other: their terms of a penalty are multiplied by them,
        and scores divided. A group of cost 0 is not penalised and always stays. None is 1 for each.
    loss : {"auto", "squared", "logistic", "multinomial"}, default="auto"
        Half the squared error, or the log loss of two classes (or of several labels), or of more.
        "auto" takes a log loss when the targets are booleans, names, or whole numbers with two
        values or at most 20 and ``sqrt(n_samples)`` distinct ones, the squared error for other
        real numbers, and refuses other integers: choose a loss where they are quantities.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, by which those of the samples are multiplied. "balanced" gives all
        classes the same total.
    hidden_layer_sizes : tuple of int, default=(128,)
        Units of the hidden layers.
    dropout : float, default=0.3
        Rate at which hidden units are dropped in training.
    input_dropout : float, default=0.3
        The same of inputs: the network learns to do without some of them.
    learning_rate_init : float or "auto", default="auto"
        Learning rate of Adam at the beginning; it falls to zero along a half cosine. "auto" is
        0.001; where the network then predicts 20 or more validation samples hardly better than a
        constant (by less than five standard errors of the score and a tenth of the loss), the run
        is made again with 0.01, which finds interactions of features that show nothing alone, and
        with twice as many epochs where `max_iter` is "auto"; the better of the two stays.
    weight_decay : float, default=0.3
        Decoupled weight decay: each update takes this times the learning rate off the weights.
    batch_size : int or "auto", default="auto"
        Rows of a batch. "auto" is 64; a tenth of the samples, at least 16, where that is less, and
        a two-hundredth of them, up to 512, where that is more.
    max_iter : int or "auto", default="auto"
        Epochs of a run. "auto" is 100; more where these are less than 2000 updates, and fewer where
        they are more than 30 000, but at least 10.
    min_features : int, default=1
        Number of features at which a run ends; those that are left are ranked by their scores. A
        higher one leaves more of the training to sets of the sizes in question.
    n_repeats : int, default=1
        Runs with other random numbers and other validation samples; features are ranked by how
        far they came on average. Some make up for few samples.
    validation_fraction : float, default=0.1
        Share of the samples that scores are computed from, and which the network does not see.
    warm_start : bool, default=False
        Keep the runs of the previous fit, to the same data with the same options of a run, and
        add those that `n_repeats` has more: to select another number costs nothing.
    random_state : int, RandomState instance or None, default=None
        Seed of the initial weights, dropout, batches and validation samples.
    verbose : int, default=0
        1 writes at most a line a second, 2 a line for each epoch.

    Attributes
    ----------
    support_ : ndarray of shape (n_features,)
        Mask of the features that are kept.
    n_features_ : int
        Number of features that are kept.
    ranking_ : ndarray of shape (n_features,)
        1 for features that are kept, 2 for those that would be kept next, and so on; features of a
        group have the same rank, and constant ones the last.
    feature_importances_ : ndarray of shape (n_features,)
        How far features came, averaged over the runs: from 0 for the first to leave and constant
        ones to 1 for the last, in the logarithm of the number of features that were left.
    n_features_path_ : ndarray of shape (n_counts,)
        Numbers of features that the network was scored with, falling.
    scores_path_ : ndarray of shape (n_counts,)
        Validation scores with these numbers: accuracy, or the coefficient of determination, as
        means over the runs.
    scores_error_path_ : ndarray of shape (n_counts,)
        Their standard errors, from the variance over the validation samples.
    stability_ : float
        Agreement of the sets that each run alone would keep: 1 for equal ones, about 0 for random
        ones; nan for a single run.
    n_iter_ : int
        Number of epochs of a run.
    groups_ : ndarray of shape (n_groups,)
        Names of the groups.
    selected_groups_ : ndarray
        Names of the groups that are kept.
    classes_ : ndarray of shape (n_classes,)
        The classes, where the loss is a log loss.
    n_features_in_ : int
        Number of features seen in fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, where X had them.

    Warns
    -----
    ConvergenceWarning
        When an interruption from the keyboard ended a run: features that were left then are ranked
        by their scores; or when it left fewer runs.
    UserWarning
        When whole groups do not make `max_features` exactly, or when it is more than X has. When no
        network predicted 20 or more validation samples better than a constant, by two standard
        errors of the score or a tenth of the loss: the ranking may be chance.

    See Also
    --------
    GroupLassoSelector : The features of a linear model.
    StabilitySelection : Features that are selected from most subsamples.
    sksparse.neural_network.SparseMLPClassifier : A perceptron to predict with.

    Notes
    -----
    Features are standardised inside, in a table of float32 that is the only copy of X: shifted by
    their means (sparse ones are not), divided by their standard deviations and clipped at ten of
    these. Features that are the same in nearly all samples, compared with their ranges, are divided
    by 0.3 of the median deviation.

    A ranking says what a network can do with few features, not which features are associated with
    the target: of redundant ones all but one may leave early.

    Methods differ in what is learned and in the scores. A penalty is the mean over the groups g
    that are left, times `strength`, so that the strength on each grows while others leave; c is
    the cost of a group, p its number of features.

    - "elimination": the running mean of squared derivatives by gates, as above [1]_.
    - "gaussian_gates": gates are random in training, :math:`\min(\max(\mu + 1/2 + \epsilon, 0), 1)`
      with Gaussian noise of standard deviation 1/2, one for each group and sample. The penalty has
      the terms :math:`c \, P(\mathrm{gate} > 0)`; scores are the odds that a gate is open.
      `strength` is 0.1 by default [3]_.
    - "concrete_gates": the same with hard concrete gates, of temperature 2/3 and stretched to
      (-0.1, 1.1) [4]_.
    - "group_lasso": the penalty has the terms :math:`c \sqrt{p} \, \|W_g\|_F`, with the columns of
      the first layer, and its proximal operator is applied after each update, in the metric of
      Adam; scores are squared norms. `strength` is 0.1 by default [5]_.
    - "hierarchy": beside the perceptron is a linear model with coefficients :math:`\theta`. The
      penalty has the terms :math:`c \sqrt{p} \, \|\theta_g\|_F`, and no weight of a group in the
      first layer exceeds :math:`10 \|\theta_g\|_F`; the proximal operator of both is
      exact. Scores are squared norms of the coefficients. `strength` is 0.3 by default [6]_.
    - "deep_lasso": the penalty has the terms :math:`c \sqrt{p}` times the root of the mean over the
      batch of the squared derivatives of the outputs by the features of a group; scores are their
      running means. `strength` is 0.3 by default [7]_.
    - "attention": features that are selected have gate 1, the others a softmax of learned logits
      times the root of their number. In the first half of the run groups of the largest softmax
      for their cost are selected until all are, their number growing geometrically; in the second
      half they leave in reverse order [8]_.

    Locations of gates and logits have a learning rate of their own and no weight decay.

    References
    ----------
    .. [1] P. Molchanov, A. Mallya, S. Tyree, I. Frosio and J. Kautz (2019). "Importance estimation
       for neural network pruning". IEEE Conference on Computer Vision and Pattern Recognition.
    .. [2] S. Nogueira, K. Sechidis and G. Brown (2018). "On the stability of feature selection
       algorithms". Journal of Machine Learning Research 18(174), 1-54.
    .. [3] Y. Yamada, O. Lindenbaum, S. Negahban and Y. Kluger (2020). "Feature selection using
       stochastic gates". International Conference on Machine Learning.
    .. [4] C. Louizos, M. Welling and D. P. Kingma (2018). "Learning sparse neural networks through
       L0 regularization". International Conference on Learning Representations.
    .. [5] S. Scardapane, D. Comminiello, A. Hussain and A. Uncini (2017). "Group sparse
       regularization for deep neural networks". Neurocomputing 241, 81-89.
    .. [6] I. Lemhadri, F. Ruan, L. Abraham and R. Tibshirani (2021). "LassoNet: a neural network
       with feature sparsity". Journal of Machine Learning Research 22(127), 1-29.
    .. [7] V. Cherepanova, R. Levin, G. Somepalli, J. Geiping, C. B. Bruss, A. G. Wilson,
       T. Goldstein and M. Goldblum (2023). "A performance-driven benchmark for feature selection
       in tabular deep learning". Advances in Neural Information Processing Systems.
    .. [8] T. Yasuda, M. Bateni, L. Chen, M. Fahrbach, G. Fu and V. Mirrokni (2023). "Sequential
       attention for feature selection". International Conference on Learning Representations.

    Examples
    --------
    Two features whose product has the class, which no linear model sees:

    >>> import numpy as np
    >>> from sksparse.feature_selection import SparseMLPSelector
    >>> X = np.random.default_rng(0).normal(size=(1000, 20))
    >>> y = X[:, 3] * X[:, 8] > 0
    >>> selector = SparseMLPSelector(max_features=2, random_state=0).fit(X, y)
    >>> selector.get_support(indices=True)
    array([3, 8])
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "max_features": [
            Interval(Integral, 1, None, closed="left"),
            StrOptions({"auto", "1se"}),
        ],
        "groups": GROUP_FORMS,
        "method": [StrOptions(set(METHODS))],
        "strength": [Interval(Real, 0, None, closed="left"), None],
        "penalty_weights": ["array-like", None],
        "loss": [StrOptions({"auto", "squared", "logistic", "multinomial"})],
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "dropout": [_RATE],
        "input_dropout": [_RATE],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither"), StrOptions({"auto"})],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "max_iter": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "min_features": [Interval(Integral, 1, None, closed="left")],
        "n_repeats": [Interval(Integral, 1, None, closed="left")],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "warm_start": ["boolean"],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        max_features: int | str = "auto",
        groups: Any = None,
        *,
        method: str = "elimination",
        strength: float | None = None,
        penalty_weights: Any = None,
        loss: str = "auto",
        class_weight: Any = None,
        hidden_layer_sizes: Any = (128,),
        dropout: float = 0.3,
        input_dropout: float = 0.3,
        learning_rate_init: float | str = "auto",
        weight_decay: float = 0.3,
        batch_size: int | str = "auto",
        max_iter: int | str = "auto",
        min_features: int = 1,
        n_repeats: int = 1,
        validation_fraction: float = 0.1,
        warm_start: bool = False,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.max_features = max_features
        self.groups = groups
        self.method = method
        self.strength = strength
        self.penalty_weights = penalty_weights
        self.loss = loss
        self.class_weight = class_weight
        self.hidden_layer_sizes = hidden_layer_sizes
        self.dropout = dropout
        self.input_dropout = input_dropout
        self.learning_rate_init = learning_rate_init
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.min_features = min_features
        self.n_repeats = n_repeats
        self.validation_fraction = validation_fraction
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> SparseMLPSelector:
        """Rank the features and select some.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training features. Never modified.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Classes of any type, or numbers; several columns of numbers, or of 0 and 1 for each of
            several labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights; an integer weight equals so many repetitions of the sample.

        Returns
        -------
        self : object
            The fitted selector.
        """
        with self._fitting(X, y, sample_weight):
            self._validate_params()
            message = self._learn(X, y, sample_weight)
        if message:
            kind = ConvergenceWarning if self._is_interrupted else UserWarning
            warnings.warn(message, kind, stacklevel=2)
        return self

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.target_tags.required = True
        tags.target_tags.multi_output = self.loss in ("auto", "squared", "logistic")
        if self.loss != "squared":
            # with "auto", whole numbers are taken for classes
            tags.classifier_tags = ClassifierTags(multi_class=self.loss != "logistic")
        return tags
