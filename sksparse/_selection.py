"""Estimators that select features, in the form of scikit-learn's selectors."""

from __future__ import annotations

from typing import Any

from sklearn.feature_selection import SelectorMixin
from sklearn.utils import Tags

from sksparse._typing import Mask
from sksparse._validation import as_numpy

try:
    from sklearn.utils import _align_api_if_sparse as as_configured
except ImportError:  # before scikit-learn 1.9 there is nothing to configure

    def as_configured(X: Any) -> Any:
        """The same."""
        return X


class FeatureSelectorMixin(SelectorMixin):
    """A selector that keeps the features which a fitted model uses.

    The model may be a regressor or a classifier as well. A subclass says which features it uses in
    ``_get_support_mask``, by zeros that are exact.
    """

    @property
    def support_(self) -> Mask:
        """Mask of the features in use, ``get_support()`` as an attribute.

        ``SelectFromModel`` takes it by ``importance_getter="support_"``.
        """
        mask: Mask = self.get_support()
        return mask

    @property
    def penalty(self) -> str:
        """Always "l1": tells ``SelectFromModel`` that coefficients or importances are exact zeros.

        This is where it looks, and all that it reads. Its default threshold is then 1e-5, and not
        their mean.
        """
        return "l1"

    def transform(self, X: Any) -> Any:
        """Keep the columns of the features in use.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples, of any type.

        Returns
        -------
        kept : {ndarray, DataFrame, sparse matrix} of shape (n_samples, n_features_in_use)
            The columns, in the type of ``X``; sparse ones in the interface that scikit-learn is
            configured for. Without a column where no feature is in use, which warns.
        """
        return as_configured(super().transform(as_numpy(X)))

    def __sklearn_tags__(self) -> Tags:
        tags: Tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
