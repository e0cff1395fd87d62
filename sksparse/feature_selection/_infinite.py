"""Infinite feature selection (Roffo et al., 2015 to 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from scipy import sparse
from sklearn.utils import Tags
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_is_fitted

from sksparse._estimator import SparseEstimator
from sksparse._infinite_selection import (
    equal_bins,
    histogram_cutoff,
    infinite_scores,
    supervised_graph,
    unsupervised_graph,
)
from sksparse._selection import FeatureSelectorMixin
from sksparse._typing import Array, Indices, Mask
from sksparse._validation import check_weights, validate_data, warn_if_more_than_all


class InfFS(FeatureSelectorMixin, SparseEstimator):
    r"""Rank features by the value of all sets of features that they are in.

    In a complete graph of the features a set is a path, whose value is the product of its edges A.
    The score of a feature is the sum over all paths that begin with it, of every length l, those
    of length l times :math:`r^l`,

    .. math:: s = \sum_{l=1}^\infty r^l A^l 1 = \left((I - rA)^{-1} - I\right) 1,

    and the features of largest scores are kept. The edges are, without targets,

    .. math::

        A_{ij} = a \max(\sigma_i, \sigma_j) + (1 - a) (1 - |\rho_{ij}|)

    of the standard deviations, mapped to 0 to 1 over all pairs, and Spearman's correlations. With
    ``supervised=True`` they are

    .. math::

        A_{ij} = a_1 \frac{m_i + f_j}{2} + a_2 \frac{m_i + \sigma_j}{2} +
        a_3 \frac{\sigma_i + f_j}{2}

    of the mutual information of a feature and the classes, its Fisher score (the variance between
    classes over that within), and its standard deviation, each divided by its maximum. A is then
    divided by its largest row sum, and :math:`r = (1 - \epsilon) / \max(1, \text{that sum})`,
    :math:`\epsilon = 5 \cdot 10^{-6} p`.

    Parameters
    ----------
    max_features : int or "auto", default="auto"
        Number of features to keep. "auto" keeps as many as a histogram of the scores, of half as
        many bins as there are features, has bins with more than the mean count, one at least.
    mixing : float or sequence of three floats, default=None
        Without targets the share a, from 0 to 1, of the standard deviations; 0.5 by default.
        With ``supervised=True`` the three factors, at least 0 and not all 0; 1/3 each by default.
    supervised : bool, default=False
        Whether edges are made from the targets. Otherwise ``y`` is not used.

    Attributes
    ----------
    scores_ : ndarray of shape (n_features,)
        The scores, at least 0; 0 for constant features.
    ranking_ : ndarray of shape (n_features,)
        The rank of each feature, 1 for the largest score; equal scores in the order of the
        features.
    n_features_ : int
        Number of features that are kept.
    support_ : ndarray of shape (n_features,)
        Mask of the features that are kept, as ``get_support()`` returns it.
    n_features_in_ : int
        Number of features seen in fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, where X had them.

    Warns
    -----
    UserWarning
        When ``max_features`` is more than X has.

    See Also
    --------
    GroupLassoSelector : Features that a convex model uses.
    sksparse.sparsifiers.NISP : Units of a network, ranked by this.

    Notes
    -----
    Standard deviations depend on the units of the features: bring them to a common scale that is
    meaningful, such as 0 to 1, or set ``mixing=0``, which depends on ranks alone. Copies of a
    feature have the same score, and may be kept together.

    With n samples of p features the time grows with :math:`n p^2 + p^3` and the memory with
    :math:`p^2`: for p = 5000 about 10 s on one core and four matrices of 200 MB.

    Quantities as targets are cut into five classes of about equal size.

    References
    ----------
    .. [1] G. Roffo, S. Melzi and M. Cristani (2015). "Infinite feature selection". International
       Conference on Computer Vision.
    .. [2] G. Roffo, S. Melzi, U. Castellani, A. Vinciarelli and M. Cristani (2020). "Infinite
       feature selection: a graph-based feature filtering approach". IEEE Transactions on Pattern
       Analysis and Machine Intelligence 43, 4396-4410.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sksparse.feature_selection import InfFS
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> select = InfFS(max_features=2, supervised=True).fit(X, y)
    >>> select.get_feature_names_out().tolist()
    ['petal length (cm)', 'petal width (cm)']
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "max_features": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "mixing": [Interval(Real, 0, 1, closed="both"), "array-like", None],
        "supervised": ["boolean"],
    }

    scores_: Array
    ranking_: Indices
    n_features_: int
    n_features_in_: int

    def __init__(
        self,
        max_features: int | str = "auto",
        *,
        mixing: float | Sequence[float] | None = None,
        supervised: bool = False,
    ) -> None:
        self.max_features = max_features
        self.mixing = mixing
        self.supervised = supervised

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> InfFS:
        """Score and rank the features.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples, two at least. Sparse ones are made dense. Never modified.
        y : array-like of shape (n_samples,), default=None
            Classes of any type, or numbers; used with ``supervised=True``.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights; an integer weight equals so many repetitions of the sample.

        Returns
        -------
        self : object
            The fitted selector.

        Raises
        ------
        ValueError
            When ``y`` is missing or of one class where it is used, or ``mixing`` does not fit.
        """
        with self._fitting(X, y, sample_weight):
            self._validate_params()
            mixing = self._resolve_mixing()
            options: dict[str, Any] = {"accept_sparse": "csc", "ensure_min_samples": 2}
            options["dtype"] = [np.float64, np.float32]
            if self.supervised:
                X, y = validate_data(self, X, y, **options)
            else:
                X = validate_data(self, X, **options)
            weights = check_weights(sample_weight, X)
            in_use = weights > 0
            X = (X.toarray() if sparse.issparse(X) else X)[in_use].astype(np.float64)
            weights = weights[in_use]
            if self.supervised:
                labels = _classes(y[in_use], weights)
                edges = supervised_graph(X, labels, mixing, weights)
            else:
                edges = unsupervised_graph(X, mixing[0], weights)
            self._rank(infinite_scores(edges))
        return self

    def _rank(self, scores: Array) -> None:
        if self.max_features == "auto":
            n_kept = histogram_cutoff(scores)
        else:
            warn_if_more_than_all("max_features", self.max_features, len(scores))
            n_kept = min(int(self.max_features), len(scores))
        order = np.argsort(-scores, kind="stable")
        self.scores_ = scores
        self.ranking_ = np.empty(len(scores), dtype=np.intp)
        self.ranking_[order] = np.arange(1, len(scores) + 1)
        self.n_features_ = n_kept

    def _resolve_mixing(self) -> list[float]:
        """The factor of the standard deviations, or the three factors."""
        count = 3 if self.supervised else 1
        if self.mixing is None:
            return [1 / 3] * 3 if self.supervised else [0.5]
        try:
            factors = np.atleast_1d(np.asarray(self.mixing, dtype=np.float64))
        except (TypeError, ValueError):
            factors = np.full(count, np.nan)
        fits = factors.shape == (count,) and bool(np.isfinite(factors).all())
        if fits and count == 3:
            fits = bool((factors >= 0).all() and factors.any())
        if not fits:
            what = "three numbers, at least 0 and not all 0," if count == 3 else "one share"
            raise ValueError(
                f"mixing={self.mixing!r} must be {what} with supervised={self.supervised}; None "
                "takes them equally."
            )
        return [float(factor) for factor in factors]

    def _get_support_mask(self) -> Mask:
        check_is_fitted(self)
        return np.asarray(self.ranking_ <= self.n_features_)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.target_tags.required = self.supervised
        return tags


def _classes(y: Array, weights: Array) -> Indices:
    """The class of each sample, counted from 0; quantities are cut into some."""
    if type_of_target(y, input_name="y", raise_unknown=True) == "continuous":
        labels = equal_bins(y.astype(np.float64), weights)
        values, labels = np.unique(labels, return_inverse=True)
    else:
        values, labels = np.unique(y, return_inverse=True)
    if len(values) < 2:
        raise ValueError(
            "supervised=True needs y with at least two values among the samples with positive "
            f"weight, got 1 class(es): {values.tolist()}; set supervised=False to select without "
            "targets."
        )
    return np.asarray(labels)
