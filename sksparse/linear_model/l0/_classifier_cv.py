"""Best subset classification that chooses how many features to use."""

from __future__ import annotations

from dataclasses import replace
from numbers import Real
from typing import Any, ClassVar

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions

from sksparse._typing import Array
from sksparse._validation import check_data, check_weights, warn_unless_converged
from sksparse.linear_model._class_folds import ClassSearchMixin
from sksparse.linear_model._classes import (
    SparseClassifierMixin,
    check_classes,
    class_attributes,
    log_loss,
)
from sksparse.linear_model._criteria import sample_count
from sksparse.linear_model._ridge import Ridge, check_ridge
from sksparse.linear_model.l0._classifier import L0Classifier
from sksparse.linear_model.l0._grid import check_limits
from sksparse.linear_model.l0._search import L0Search
from sksparse.linear_model.l0._task import SubsetTask
from sksparse.losses import Loss


class L0ClassifierCV(ClassSearchMixin, SparseClassifierMixin, L0Search):
    """Logistic regression on the best subset of as many features as the data choose.

    Minimises over coefficients w and intercept b, with s the sample weights::

        1 / (sum_i s_i) * sum_i s_i loss(y_i, x_i w + b) + l1 * ||w||_1 + l2 / 2 * ||w||_2^2

    with at most k features, for k = 0, 1, 2, ..., or plus ``alpha * sum_{j: w_j != 0}
    penalty_weights_j`` for a grid of ``alpha``. The loss is the log loss, the multinomial one for
    more than two classes. For ``l2="auto"`` the ridge is ``l2_ / 2 * sum_j v_j w_j^2``, v_j the
    variance of feature j. An information criterion or cross-validation chooses k or ``alpha``, and
    among several ``l2``.

    Parameters
    ----------
    max_features : int or array-like of int, default=None
        The largest number of features to try, all smaller ones included down to 0, or a list of
        numbers. None is ``n / (log(p) log(log(n)))`` for p features and a sum n of the sample
        weights, the logarithms at least 1, and at most 100, or two less than the samples with a
        weight. None ends at p, and more than X has stands for all of them, with a warning.
    alphas : int or array-like of float, default=None
        Penalties per feature to try instead of numbers of features, or how many: these are spaced
        evenly in the logarithm from the one at which the first feature enters down to a thousandth
        of it, or to the log loss without features divided by n where that is more.
    cv : int, splitter or iterable, default=None
        How to split for cross-validation, as in scikit-learn; a number makes stratified folds, and
        ``criterion`` is then not used. None chooses by ``criterion``, on all samples. A fold whose
        training part lacks a class is fitted and scored on the others, with a warning.
    scoring : str or callable, default=None
        With ``cv``, the score of the held-out samples, as in scikit-learn; the greatest is best. A
        callable is given X as an array. None is the negative log loss, with class weights.
        ``score`` is the accuracy in any case.
    criterion : {"ebic", "bic", "gic", "aic"}, default="ebic"
        The information criterion; see the notes.
    selection : {"min", "1se"}, default="min"
        With ``cv``, the point with the best mean score, or that with the fewest features among
        those within one standard error of it.
    n_candidates : int, default=None
        Number of features from which those in X were chosen by their relation to y, at least the
        number in X: EBIC and GIC, and the largest number tried by default, then count the whole
        search. None where there was no such selection.
    l1 : float, default=0.0
        Strength of an L1 norm, non-negative.
    l2 : float, "auto" or array-like of float, default="auto"
        Strength of a ridge penalty, non-negative, in units of the variance of a feature, or several
        to choose from together with the number of features or the penalty per feature. "auto" is
        ``log(4 p / n) / n`` times the variance of each feature for p features and n samples; with
        fewer features than samples 1e-8, or ``log(4) / n`` if the features then chosen separate the
        classes, as in :class:`L0Classifier`. All points and folds have the same factor. With 0,
        features that separate the classes end with coefficients without meaning, and a warning is
        issued.
    positive : bool or array-like of shape (n_features,), default=False
        Features whose coefficient must not be negative, all or by a boolean mask; for two classes
        only.
    penalty_weights : array-like of shape (n_features,), default=None
        Factors on ``alpha``, non-negative. A feature with factor 0 is always kept and does not
        count for ``max_features``. None is 1 for all.
    class_weight : dict or "balanced", default=None
        Factors on the sample weights by class; "balanced" gives all classes the same total.
    effort : int, default=1
        How much is searched, as in :class:`L0Classifier`.
    fit_intercept : bool, default=True
        Whether to fit an intercept, which is never penalised.
    max_iter : int, default=100
        Largest number of passes over the features for one fit.
    tol : float, default=1e-8
        Gains below this share of the loss that is left do not count. For float32 features it is at
        least 1.2e-5.
    n_jobs : int, default=None
        Folds at the same time; None is one, -1 as many as there are cores.
    verbose : int, default=0
        1 writes the folds, at most a line a second, and the choice; 2 each fold and its path.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The classes.
    n_features_ : int
        Number of features chosen, those of penalty weight zero not counted.
    alpha_ : float
        The penalty per feature chosen. Where numbers of features were tried, one at which the
        number chosen is the best of the path, nan where there is none.
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        Coefficients, in the float type of the features: :class:`L0Classifier` on all samples with
        the number of features or penalty chosen.
    intercept_ : ndarray of shape (1,) or (n_classes,)
        Intercepts.
    support_ : ndarray of shape (n_features,)
        Mask of the features in use, as ``get_support()`` returns it.
    l2_ : float
        The strength of the ridge; for ``l2="auto"`` that on features of unit variance.
    alphas_ : ndarray of shape (n_points,)
        The penalties per feature tried, decreasing; of numbers of features, the same as ``alpha_``
        is of the one chosen, nan for a number that is the best at none.
    sizes_ : ndarray of shape (n_points,)
        The numbers of features tried, increasing; only where there were any.
    n_features_path_ : ndarray of shape (n_points,)
        Number of features at each point, on all samples.
    score_path_ : ndarray of shape (n_points, n_folds) or (n_l2, n_points, n_folds)
        Score of the held-out samples; only with ``cv``. The latter shape where ``l2`` is a list, in
        its order; all other paths are those of the strength chosen.
    criterion_path_ : ndarray of shape (n_points,) or (n_l2, n_points)
        The criterion at each point, infinite where it means nothing (see the notes); only without
        ``cv``.
    coef_path_ : ndarray of shape (n_features, n_points) or (n_classes, n_features, n_points)
        Coefficients at each point, on all samples; those of the point chosen are `coef_`.
    intercept_path_ : ndarray of shape (n_points,) or (n_classes, n_points)
        Intercepts at each point.
    optimality_ : float
        Largest predicted gain of a single add, drop or swap, as in :class:`L0Classifier`.
    n_iter_ : int
        Number of passes of the last fit.
    n_features_in_ : int
        Number of features seen in fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, where X had them.

    Raises
    ------
    ValueError
        From fit, for bad data or parameters; names the argument, its value and the remedy.

    Warns
    -----
    ConvergenceWarning
        When a fit does not reach ``tol``, or for ``l2=0`` features separate the classes; names the
        value reached and the remedy.
    UserWarning
        When a fold's training part lacks a class.

    See Also
    --------
    L0RegressorCV : The same for a squared loss.
    L0Classifier : One number of features, or one penalty per feature.
    l0_path : The fits alone.
    sksparse.inspection.RegularizationPathDisplay : Draws the path and the choice.

    Notes
    -----
    With k features chosen among the p of a positive penalty weight, df coefficients that are not
    zero, those of penalty weight zero included (for m > 2 classes m - 1 a feature), n samples and L
    the weighted mean log loss of the fit, the criteria are

    =====  ============================================
    aic    ``2 n L + 2 df``
    bic    ``2 n L + df log(n)``
    ebic   ``2 n L + df log(n) + 2 k log(p)`` [1]_
    gic    ``2 n L + df log(p) log(log(n))``
    =====  ============================================

    Where ``l2`` is a list, df is the effective number of coefficients, ``trace(H (H + R)^-1)`` for
    the second derivatives H of the loss over the coefficients in use and the ridge R: a stronger
    ridge never fits better, but leaves less freedom.

    EBIC keeps only features that are unlikely to fit by chance, and adds ``2 log(p)`` for each:
    among thousands of features few are left. To predict well, choose by ``cv``.

    Whole numbers as weights are repetitions, and n is their sum. Other weights are scaled to the
    effective number of samples, ``n = (sum_i s_i)^2 / sum_i s_i^2``, whatever they sum to. Class
    weights only shift weight between the classes.

    Where features are many for the samples, some separate the classes by chance, and no criterion
    means anything. A number of features is therefore not chosen where df, an intercept, and ``2 log
    C(p, k)`` for the search come to ``n L0 / log(2)`` or more, with L0 the loss without features,
    unless it improves on all smaller ones by more than noise would; see :class:`L0RegressorCV`.

    A fold costs a path. The samples outside it have weight zero, so X is not copied.

    References
    ----------
    .. [1] J. Chen and Z. Chen (2012). "Extended BIC for small-n-large-P sparse GLM". Statistica
       Sinica 22, 555-574.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sksparse.linear_model import L0ClassifierCV
    >>> X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    >>> model = L0ClassifierCV(max_features=8).fit(X, y)
    >>> model.n_features_
    4
    >>> round(model.score(X, y), 2)
    0.97
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **L0Search._common_constraints,
        "l2": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"}), "array-like"],
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }

    _of_one_point = L0Classifier

    classes_: Any
    intercept_: Array
    l2_: float

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
        l2: Any = "auto",
        positive: Any = False,
        penalty_weights: Any = None,
        class_weight: Any = None,
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
        self.class_weight = class_weight
        self.effort = effort
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol
        self.n_jobs = n_jobs
        self.verbose = verbose

    def fit(self, X: Any, y: Any, sample_weight: Any = None, **params: Any) -> L0ClassifierCV:
        """Choose a number of features or a penalty per feature, and fit the model.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training features, float32 or float64, dense in any memory order or sparse; other
            types are converted. Never modified.
        y : array-like of shape (n_samples,)
            Classes, of any type.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights, used in fits and scores; an integer weight equals so many
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
            X, y, weights = check_data(self, X, y, sample_weight, y_numeric=False)
            check_limits(self.max_features, X.shape[1])
            self.classes_, codes, weights = check_classes(y, weights, self.class_weight)
            counts = check_weights(sample_weight, X)
            ridges, n = self._ridges(X.shape[1], counts), sample_count(counts)
            loss = log_loss(codes, weights)
            tasks = [self._with_ridge(X, loss, n, ridge) for ridge in ridges]
            attributes = class_attributes(self.classes_, X.dtype)
            fit.describe(tasks[0].design, loss, attributes)
            held_out = self._held_out(X, y, loss, sample_weight, params)
            found = self._search_tasks(tasks, held_out)
            answer = (found.solution.coef, found.solution.intercept)
            stronger = self.l2 == "auto" and ridges[0].once_separated(n)
            if stronger and tasks[0].is_separated(*answer):
                ridges, tasks = [stronger], [self._with_ridge(X, loss, n, stronger)]
                found = self._search_tasks(tasks, held_out)
            self.l2_ = ridges[found.task].strength
            self._adopt(attributes(found.solution.coef, found.solution.intercept))
        warn_unless_converged(found.message)
        return self

    def _ridges(self, n_features: int, counts: Array) -> list[Ridge]:
        """The strengths to try."""
        if isinstance(self.l2, (str, Real)):
            return [check_ridge(self.l2, n_features, counts)]
        try:
            strengths = np.asarray(self.l2, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(f"l2={self.l2!r} must be numbers, or 'auto' alone.") from error
        usable = strengths.ndim == 1 and strengths.size and np.all(strengths >= 0.0)
        if not usable or not np.isfinite(strengths).all():
            raise ValueError(
                f"l2={self.l2!r} must be a strength, finite and non-negative, a list of them, or "
                "'auto'."
            )
        return [Ridge(l2=float(strength)) for strength in strengths]

    def _with_ridge(self, X: Any, loss: Loss, sample_count: float, ridge: Ridge) -> SubsetTask:
        task = self._task(X, loss, sample_count)
        return replace(task, penalty=replace(task.penalty, **ridge._asdict()))
