"""Best subset regression of counts that chooses how many features to use."""

from __future__ import annotations

from typing import Any, ClassVar

from sksparse._typing import Array
from sksparse._validation import check_data, check_weights, warn_unless_converged
from sksparse.linear_model._base import attributes_in
from sksparse.linear_model._criteria import sample_count
from sksparse.linear_model._cross_validation import ONLY_ZEROS, Fold, require_samples
from sksparse.linear_model.counts._l0 import L0PoissonRegressor
from sksparse.linear_model.counts._mixin import SparseCountMixin
from sksparse.linear_model.l0._grid import check_limits
from sksparse.linear_model.l0._search import L0Search
from sksparse.losses import Loss, Poisson


class L0PoissonRegressorCV(SparseCountMixin, L0Search):
    """Poisson regression on the best subset of as many features as the data choose.

    The mean of a count is ``exp(x_i w + b)``. Minimises over coefficients w and intercept b, with s
    the sample weights and d the Poisson deviance of a sample::

        1 / (2 sum_i s_i) * sum_i s_i d(y_i, exp(x_i w + b)) + l1 * ||w||_1 + l2 / 2 * ||w||_2^2

    with at most k features, for k = 0, 1, 2, ..., or plus ``alpha * sum_{j: w_j != 0}
    penalty_weights_j`` for a grid of ``alpha``. An information criterion or cross-validation
    chooses k or ``alpha``.

    Parameters
    ----------
    max_features : int or array-like of int, default=None
        The largest number of features to try, all smaller ones included down to 0, or a list of
        numbers. None is chosen as in :class:`L0RegressorCV`, and more than X has stands for all of
        them, with a warning.
    alphas : int or array-like of float, default=None
        Penalties per feature to try instead of numbers of features, or how many, as in
        :class:`L0RegressorCV`.
    cv : int, splitter or iterable, default=None
        How to split for cross-validation, as in scikit-learn; ``criterion`` is then not used. None
        chooses by ``criterion``, on all samples.
    scoring : str or callable, default=None
        With ``cv``, the score of the held-out samples, as in scikit-learn; the greatest is best. A
        callable is given X as an array. None is the mean Poisson deviance, of which the least is
        best. ``score`` is the share of the deviance that is explained in any case.
    criterion : {"ebic", "bic", "gic", "aic"}, default="ebic"
        The information criterion; see the notes.
    selection : {"min", "1se"}, default="min"
        With ``cv``, the point with the least mean deviance or the best mean score, or that with the
        fewest features among those within one standard error of it.
    n_candidates : int, default=None
        Number of features from which those in X were chosen by their relation to y, as in
        :class:`L0RegressorCV`.
    l1 : float, default=0.0
        Strength of an L1 norm, non-negative.
    l2 : float, default=0.0
        Strength of a ridge penalty, non-negative.
    positive : bool or array-like of shape (n_features,), default=False
        Features whose coefficient must not be negative, all or by a boolean mask.
    penalty_weights : array-like of shape (n_features,), default=None
        Factors on ``alpha``, non-negative. A feature with factor 0 is always kept and does not
        count for ``max_features``. None is 1 for all.
    effort : int, default=1
        How much is searched, as in :class:`L0PoissonRegressor`.
    fit_intercept : bool, default=True
        Whether to fit an intercept, which is never penalised.
    max_iter : int, default=100
        Largest number of passes over the features for one fit.
    tol : float, default=1e-8
        Gains below this share of the objective do not count. For float32 features it
        is at least 1.2e-5.
    n_jobs : int, default=None
        Folds at the same time; None is one, -1 as many as there are cores.
    verbose : int, default=0
        1 writes the folds, at most a line a second, and the choice; 2 each fold and its path.

    Attributes
    ----------
    n_features_ : int
        Number of features chosen, those of penalty weight zero not counted.
    alpha_ : float
        The ``alpha`` chosen. Where numbers of features were tried, one at which this number is the
        best of the path, nan where there is none.
    coef_ : ndarray of shape (n_features,)
        Coefficients, in the float type of the features: :class:`L0PoissonRegressor` on all samples
        with the choice made.
    intercept_ : float
        Intercept.
    support_ : ndarray of shape (n_features,)
        Mask of the features in use, as ``get_support()`` returns it.
    alphas_ : ndarray of shape (n_points,)
        The values of ``alpha`` tried, decreasing; of numbers of features, the same as ``alpha_`` is
        of the one chosen.
    sizes_ : ndarray of shape (n_points,)
        The numbers of features tried, increasing; only where there were any.
    n_features_path_ : ndarray of shape (n_points,)
        Number of features at each point, on all samples.
    deviance_path_ : ndarray of shape (n_points, n_folds)
        Weighted mean Poisson deviance on the held-out samples; only with ``cv`` and no ``scoring``.
    score_path_ : ndarray of shape (n_points, n_folds)
        Score of the held-out samples; only with ``scoring``.
    criterion_path_ : ndarray of shape (n_points,)
        The criterion at each point, infinite where it means nothing, as in :class:`L0RegressorCV`;
        only without ``cv``.
    coef_path_ : ndarray of shape (n_features, n_points)
        Coefficients at each point, on all samples; those of the point chosen are `coef_`.
    intercept_path_ : ndarray of shape (n_points,)
        Intercept at each point.
    optimality_ : float
        Largest gain that is known to be left, as in :class:`L0PoissonRegressor`.
    n_iter_ : int
        Number of passes of the last fit.
    n_features_in_ : int
        Number of features seen in fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, where X had them.

    Raises
    ------
    ValueError
        From fit, for bad data or parameters, a fold that trains on ``y = 0`` alone among them;
        names the argument, its value and the remedy.

    Warns
    -----
    ConvergenceWarning
        When a fit does not reach ``tol``, or features single out samples with ``y = 0`` at some
        points and no norm is added; names the value reached and the remedy.

    See Also
    --------
    L0PoissonRegressor : One number of features, or one ``alpha``.
    L0RegressorCV : The same for a squared loss.
    l0_path : The fits alone.
    sksparse.inspection.RegularizationPathDisplay : Draws the path and the choice.

    Notes
    -----
    The criteria are those of :class:`L0RegressorCV`, with the Poisson deviance in place of
    ``n log(mse)``: BIC is ``sum_i s_i d(y_i, m_i) + df log(n)``, with the weights scaled to a sum
    of n. They take counts for Poisson distributed: where their variance is larger, too many
    features are chosen, and ``cv`` is more reliable.

    A fold costs a path. The samples outside it have weight zero, so X is not copied.

    References
    ----------
    .. [1] J. Chen and Z. Chen (2012). "Extended BIC for small-n-large-P sparse GLM". Statistica
       Sinica 22, 555-574.

    Examples
    --------
    >>> import numpy as np
    >>> from sksparse.linear_model import L0PoissonRegressorCV
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((200, 10))
    >>> y = rng.poisson(np.exp(1.0 + 0.8 * X[:, 2] - 0.5 * X[:, 7]))
    >>> model = L0PoissonRegressorCV().fit(X, y)
    >>> model.n_features_, model.get_support(indices=True).tolist()
    (2, [2, 7])
    >>> L0PoissonRegressorCV(cv=5, selection="1se").fit(X, y).n_features_
    2
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = L0Search._common_constraints
    _of_one_point = L0PoissonRegressor
    _loss_name = "mean Poisson deviance"

    deviance_path_: Array

    def __init__(
        self,
        *,
        max_features: Any = None,
        alphas: Any = None,
        cv: Any = None,
        scoring: Any = None,
        criterion: str = "ebic",
        selection: str = "min",
        n_candidates: int | None = None,
        l1: float = 0.0,
        l2: float = 0.0,
        positive: Any = False,
        penalty_weights: Any = None,
        effort: int = 1,
        fit_intercept: bool = True,
        max_iter: int = 100,
        tol: float = 1e-8,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.max_features = max_features
        self.alphas = alphas
        self.cv = cv
        self.scoring = scoring
        self.criterion = criterion
        self.selection = selection
        self.n_candidates = n_candidates
        self.l1 = l1
        self.l2 = l2
        self.positive = positive
        self.penalty_weights = penalty_weights
        self.effort = effort
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol
        self.n_jobs = n_jobs
        self.verbose = verbose

    def fit(self, X: Any, y: Any, sample_weight: Any = None, **params: Any) -> L0PoissonRegressorCV:
        """Choose a number of features or an ``alpha``, and fit the model.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training features, float32 or float64, dense in any memory order or sparse; other
            types are converted. Never modified.
        y : array-like of shape (n_samples,)
            Counts or rates, not negative.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights, used in fits and errors; an integer weight equals so many
            repetitions of the sample, all in the same folds.
        **params : dict
            Metadata for the splitter ``cv`` and for ``scoring``: ``groups``, an array-like of shape
            (n_samples,), for splitters such as ``GroupKFold``, or what they request where metadata
            routing of scikit-learn is enabled.

        Returns
        -------
        self : object
            The fitted estimator.
        """
        with self._fitting(X, y, sample_weight) as fit:
            self._validate_params()
            self._check_choice()
            X, y, weights = check_data(self, X, y, sample_weight, y_numeric=True)
            check_limits(self.max_features, X.shape[1])
            count = sample_count(check_weights(sample_weight, X))
            loss = Poisson(y, weights)
            task = self._task(X, loss, count, self.l2)
            attributes = attributes_in(X.dtype)
            fit.describe(task.design, loss, attributes)
            found = self._search_tasks([task], self._held_out(X, y, loss, sample_weight, params))
            self._adopt(attributes(found.solution.coef, found.solution.intercept))
        warn_unless_converged(found.message)
        return self

    def _usable(self, folds: list[Fold], loss: Loss) -> list[Fold]:
        """Refuse folds whose training part has no minimum of the deviance."""
        require_samples(folds, loss.y > 0.0, "train", ONLY_ZEROS)
        return folds

    def _store_losses(self, errors: Array) -> None:
        self.deviance_path_ = errors
