"""Stability selection with complementary pairs (Shah and Samworth, 2013)."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import clone
from sklearn.utils import Tags, get_tags
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, _routing_enabled
from sklearn.utils.validation import check_is_fitted

from sksparse._estimator import SparseEstimator
from sksparse._selection import FeatureSelectorMixin
from sksparse._typing import Array, Mask
from sksparse._validation import warn_if_more_than_all, warn_unless_converged
from sksparse.feature_selection._group_lasso import GroupLassoSelector
from sksparse.feature_selection._targets import check_targets
from sksparse.feature_selection.stability._bounds import ASSUMPTIONS
from sksparse.feature_selection.stability._control import Control, resolve
from sksparse.feature_selection.stability._grid import (
    automatic_strengths,
    check_strengths,
    strength_of,
)
from sksparse.feature_selection.stability._halves import strata_of
from sksparse.feature_selection.stability._path import HalfPath, generator_of
from sksparse.feature_selection.stability._resampling import FEWEST_PAIRS, resample
from sksparse.feature_selection.stability._samples import Samples, read_samples
from sksparse.feature_selection.stability._shortcomings import shortcomings
from sksparse.feature_selection.stability._votes import Tally


class StabilitySelection(FeatureSelectorMixin, SparseEstimator):
    r"""Keep the features that an estimator selects again and again from halves of the samples.

    B pairs of disjoint random halves of the samples are drawn, and a clone of the estimator is
    fitted to each of the 2B halves, at each strength of a grid. The selection probability of
    feature j is

    .. math::

        \hat\Pi_j = \max_\alpha \frac{1}{2B} \sum_{b=1}^{2B} 1\{j \in \hat S^\alpha(H_b)\},

    where :math:`\hat S^\alpha(H)` are the features that the estimator uses at strength
    :math:`\alpha` on the half H, and features with :math:`\hat\Pi_j \ge \tau` are kept. What is
    kept by chance is bounded: of p features let q be selected on average from a half, at any
    strength. The expected number of kept features whose own selection probability is at most q / p
    is at most

    .. math:: \frac{q^2}{(2\tau - 1) p},

    whatever the estimator and the data are, and less under assumptions on the distribution of the
    selections. Threshold :math:`\tau`, number q and bound are tied: give two of them, and the third
    follows.

    Parameters
    ----------
    estimator : estimator, default=None
        A regressor, classifier or transformer whose fit says which features it uses: by
        ``get_support()`` or ``support_`` where it has one of them, otherwise by what is not zero in
        ``feature_importances_`` or ``coef_``. A pipeline is asked by its last step. It is cloned.
        None is :class:`GroupLassoSelector` without groups: the lasso, with the log loss where
        targets are classes.
    threshold : float, default=None
        The smallest selection probability of features that are kept, above 0.5 and up to 1. None
        is the smallest one that keeps ``error_bound`` where both that and ``max_features`` are
        given, otherwise 0.75.
    max_features : int or "all", default=None
        The most features that are selected from a half, q: those that enter first as the strength
        falls, of those that enter together the ones of largest ``feature_importances_`` or
        norm of ``coef_``, and among equals by lot. None is the largest number that keeps
        ``error_bound`` at ``threshold``. "all" sets no limit; q is then estimated by the mean over
        the halves, and the bound by that estimate.
    error_bound : float, default=None
        The largest expected number of features that are kept by chance, positive. None is 1 where
        ``max_features`` is None too; otherwise it follows from the other two.
    assumption : {"none", "unimodal", "r-concave"}, default="unimodal"
        What is assumed of the distribution of the share of pairs that select such a feature
        twice. "none" gives the bound above, of Meinshausen and Bühlmann [1]_. "unimodal" is
        theorem 2 of Shah and Samworth [2]_, and about half of it. "r-concave" is their equation 8:
        of all that r-concave distributions allow (r = -1/2; of the share of halves r = -1/4) the
        largest, computed exactly, which is several times smaller still.
    n_resamples : int, default=50
        B, the number of pairs, at least 2: there are twice as many halves.
    strength : str, default="auto"
        The parameter of the estimator that is varied, such as ``"C"`` or
        ``"lasso__alpha"``. "auto" is ``alpha``, in a pipeline that of the last step, and nothing
        where there is none.
    alphas : int, array-like or None, default=20
        The values of that parameter; or of one whose name ends with "alpha" how many. The largest
        is then where the first feature enters on all samples, times the square root of 2. Values
        of an alpha are used from large to small, others in the order given: put those that keep the
        fewest features first. None fits the estimator as it is, which is also done where an
        automatic grid makes no difference, as where all features are used at any alpha.
    eps : float, default=0.01
        The smallest strength of an automatic grid, as a share of the largest.
    importance_getter : "auto", str or callable, default="auto"
        What says how much each feature is used, zero for not at all: the name of an attribute, with
        dots for attributes of attributes, or a function of the fitted clone. "auto" is described
        under ``estimator``.
    n_jobs : int, default=None
        Pairs that are fitted at the same time; None for one, -1 for as many as there are cores.
    random_state : int, RandomState instance or None, default=None
        Draws the halves, and seeds every ``random_state`` of the estimator that is None.
    verbose : int, default=0
        1 writes the first and last pair, and in between at most a line a second; 2 writes each.

    Attributes
    ----------
    selection_probabilities_ : ndarray of shape (n_features,)
        Share of the halves that select each feature, at the strength where it is largest.
    stability_path_ : ndarray of shape (n_alphas, n_features)
        The same at each strength.
    alphas_ : ndarray of shape (n_alphas,) or None
        The strengths, those that keep the fewest features first; None where the estimator was
        fitted as it is, and ``stability_path_`` has one row.
    threshold_ : float
        The threshold used.
    max_features_ : int
        Most features that were selected from a half; all with ``max_features="all"``.
    mean_features_ : float
        How many were selected from a half, at any strength, on average.
    error_bound_ : float
        Bound on the expected number of features that are kept by chance.
    n_resamples_ : int
        Number of pairs, fewer than asked for after an interruption.
    support_ : ndarray of shape (n_features,)
        Mask of the features that are kept, as ``get_support()`` returns it.
    n_features_ : int
        Number of features that are kept.
    n_features_in_ : int
        Number of features seen in fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, where X had them.

    Warns
    -----
    ConvergenceWarning
        When fits to halves did not converge, or an interruption from the keyboard left fewer pairs.
    UserWarning
        When ``max_features`` is more than X has, or ``error_bound`` is not kept, which happens with
        ``max_features="all"`` alone. Other warnings of the fits are shown once.

    See Also
    --------
    sksparse.inspection.StabilityPathDisplay : The selection probabilities against the strength.
    sksparse.linear_model.SLOPE : Few false discoveries from a single fit.
    sklearn.feature_selection.SelectFromModel : A single fit of any estimator.

    Notes
    -----
    What is bounded are features selected at most as often as a feature is on average. Features
    without any influence are among them if the estimator is no worse than guessing; where they are
    correlated with relevant ones they may be selected more often, and are then none of them. Copies
    of a relevant feature share its selections: none may reach the threshold.

    A path ends as soon as ``max_features`` have entered, and keeps at weaker strengths what it has
    at its end. An estimator with ``warm_start=True`` goes on from one strength to the next.

    Halves have as many samples of every class, up to one. Sample weights that are whole numbers, of
    at most ten on average, are repetitions of samples, which may fall into both halves; others are
    handed to the estimator. Samples of weight zero are left out. What is drawn does not depend on
    the order of the samples, unless they hold others than numbers.

    References
    ----------
    .. [1] N. Meinshausen and P. Bühlmann (2010). "Stability selection". Journal of the Royal
       Statistical Society B 72, 417-473.
    .. [2] R. D. Shah and R. J. Samworth (2013). "Variable selection with error control: another
       look at stability selection". Journal of the Royal Statistical Society B 75, 55-80.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sksparse.feature_selection import StabilitySelection
    >>> X, y = load_diabetes(return_X_y=True, as_frame=True)
    >>> select = StabilitySelection(error_bound=0.5, n_resamples=20, random_state=0).fit(X, y)
    >>> select.get_feature_names_out().tolist()
    ['bmi', 's5']
    >>> f"at most {select.max_features_} from a half, {select.error_bound_:.2f} by chance"
    'at most 2 from a half, 0.42 by chance'

    Of a forest, the four most important features of each half:

    >>> from sklearn.ensemble import RandomForestRegressor
    >>> forest = RandomForestRegressor(20, max_depth=3)
    >>> select = StabilitySelection(
    ...     forest, threshold=0.9, max_features=4, n_resamples=5, random_state=0
    ... ).fit(X, y)
    >>> select.get_feature_names_out().tolist()
    ['bmi', 'bp', 's5']
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "estimator": [HasMethods(["fit", "get_params", "set_params"]), None],
        "threshold": [Interval(Real, 0.5, 1, closed="right"), None],
        "max_features": [Interval(Integral, 1, None, closed="left"), StrOptions({"all"}), None],
        "error_bound": [Interval(Real, 0, None, closed="neither"), None],
        "assumption": [StrOptions(set(ASSUMPTIONS))],
        "n_resamples": [Interval(Integral, FEWEST_PAIRS, None, closed="left")],
        "strength": [str],
        "alphas": [Interval(Integral, 1, None, closed="left"), "array-like", None],
        "eps": [Interval(Real, 0, 1, closed="neither")],
        "importance_getter": [str, callable],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }
    _n_fit_levels = 1

    selection_probabilities_: Array
    stability_path_: Array
    alphas_: Array | None
    threshold_: float
    n_features_in_: int

    def __init__(
        self,
        estimator: Any = None,
        *,
        threshold: float | None = None,
        max_features: int | str | None = None,
        error_bound: float | None = None,
        assumption: str = "unimodal",
        n_resamples: int = 50,
        strength: str = "auto",
        alphas: Any = 20,
        eps: float = 0.01,
        importance_getter: str | Callable[[Any], Any] = "auto",
        n_jobs: int | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.estimator = estimator
        self.threshold = threshold
        self.max_features = max_features
        self.error_bound = error_bound
        self.assumption = assumption
        self.n_resamples = n_resamples
        self.strength = strength
        self.alphas = alphas
        self.eps = eps
        self.importance_getter = importance_getter
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, **fit_params: Any
    ) -> StabilitySelection:
        """Fit the estimator to halves of the samples, and keep what is selected again and again.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples, at least four, of any type that the estimator takes; it gets DataFrames as
            DataFrames. Never modified.
        y : array-like of shape (n_samples,) or (n_samples, n_targets), default=None
            Targets, as the estimator takes them.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights; an integer weight equals so many repetitions of the sample.
        **fit_params : dict
            Further arguments of its ``fit``; of those with an entry for each sample it gets the
            entries of the half. With metadata routing, what it requests.

        Returns
        -------
        self : object
            The fitted selector.

        Raises
        ------
        ValueError
            For bad data and parameters; see ``threshold``, ``max_features`` and ``error_bound`` for
            what goes together.
        """
        with self._fitting(X, y, sample_weight):
            self._validate_params()
            estimator = self._base()
            samples = read_samples(self, estimator, X, y, sample_weight, fit_params)
            self._choose_loss(estimator, samples)
            control = self._control()
            rng = generator_of(self.random_state)
            strength = strength_of(estimator, self.strength, self.alphas)
            path = HalfPath(
                estimator=estimator,
                X=samples.X,
                y=samples.y,
                params=samples.params,
                rows=samples.rows,
                strata=strata_of(estimator, samples.y, samples.rows),
                strength=strength,
                strengths=[None],
                limit=self.n_features_in_ if control.limit is None else control.limit,
                getter=self.importance_getter,
            )
            path = self._with_strengths(path, rng)
            tally = resample(
                path,
                self.n_resamples,
                rng,
                name=type(self).__name__,
                n_jobs=self.n_jobs,
                verbose=int(self.verbose),
            )
            self._store(path, tally, control)
        for text in shortcomings(self):
            warnings.warn(text, UserWarning, stacklevel=2)
        tally.messages.show_others()
        warn_unless_converged(tally.unfinished(self.n_resamples))
        return self

    def _base(self) -> Any:
        """What is fitted to the halves."""
        if self.estimator is not None:
            return clone(self.estimator)
        lasso = GroupLassoSelector(warm_start=True)
        return lasso.set_fit_request(sample_weight=True) if _routing_enabled() else lasso

    def _choose_loss(self, estimator: Any, samples: Samples) -> None:
        """The loss of the lasso, by all samples: halves may show too few of a class to tell."""
        if self.estimator is None and samples.y.ndim == 1:
            weights = np.ones(len(samples.rows))
            estimator.set_params(loss=check_targets(samples.y[samples.rows], "auto", weights).loss)

    def _control(self) -> Control:
        if self.max_features is not None and self.max_features != "all":
            warn_if_more_than_all("max_features", self.max_features, self.n_features_in_)
        return resolve(
            self.threshold,
            self.max_features,
            self.error_bound,
            self.n_features_in_,
            self.n_resamples,
            self.assumption,
        )

    def _with_strengths(self, path: HalfPath, rng: np.random.RandomState) -> HalfPath:
        """The same with the strengths that are asked for."""
        if path.strength is None:
            return path
        if isinstance(self.alphas, Integral):
            strengths = automatic_strengths(path, int(self.alphas), self.eps, rng)
        else:
            strengths = check_strengths(path.strength, self.alphas)
        return path.at(strengths)

    def _store(self, path: HalfPath, tally: Tally, control: Control) -> None:
        threshold, bound = control.settle(tally.mean_features, tally.n_pairs)
        self.alphas_ = None if path.strength is None else np.asarray(path.strengths)
        self.stability_path_ = tally.shares
        self.selection_probabilities_ = tally.shares.max(axis=0)
        self.threshold_ = float(threshold)
        self.max_features_ = path.limit
        self.mean_features_ = tally.mean_features
        self.error_bound_ = float(bound)
        self.n_resamples_ = tally.n_pairs
        self.n_features_ = int(self._get_support_mask().sum())

    def _get_support_mask(self) -> Mask:
        check_is_fitted(self)
        return np.asarray(self.selection_probabilities_ >= self.threshold_ * (1.0 - 1e-12))

    def get_metadata_routing(self) -> MetadataRouter:
        """Get the metadata that a fit takes, and that of the estimator inside.

        Returns
        -------
        routing : MetadataRouter
            Who requests which metadata.
        """
        mapping = MethodMapping()
        for caller in ("fit", "fit_transform"):
            mapping.add(caller=caller, callee="fit")
        router = MetadataRouter(owner=self).add_self_request(self)
        return router.add(estimator=self._base(), method_mapping=mapping)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        inside = get_tags(self._base())
        tags.target_tags = inside.target_tags
        tags.input_tags = inside.input_tags
        tags.classifier_tags = inside.classifier_tags
        tags.regressor_tags = inside.regressor_tags
        return tags
