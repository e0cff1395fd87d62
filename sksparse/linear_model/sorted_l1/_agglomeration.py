"""Clusters of tied coefficients as derived features."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.utils.validation import _check_feature_names_in, check_array, check_is_fitted

from sksparse._selection import as_configured  # type: ignore[attr-defined]
from sksparse._typing import Array, Indices
from sksparse._validation import as_numpy, validate_data
from sksparse.linear_model._base import LinearSelectorMixin


class AgglomerationMixin(LinearSelectorMixin):
    """Selects the features in use, or averages those that share a cluster."""

    #: An estimator without this parameter selects.
    agglomerate: bool = False

    clusters_: list[Indices]
    n_clusters_: int
    n_features_in_: int

    def _signs(self) -> list[Array]:
        """Signs of the members of each cluster, relative to its first."""
        coef = np.atleast_2d(self._dense_coef()).astype(np.float64)
        signs = []
        for members in self.clusters_:
            # of unit size, since products of coefficients may leave the range
            unit = coef[:, members] / np.abs(coef[:, members]).max()
            signs.append(np.where(unit.T @ unit[:, 0] < 0.0, -1.0, 1.0))
        return signs

    def _members(self, dtype: Any) -> sp.csc_array:
        """A column for each cluster, with the signs of its members."""
        signs = np.concatenate([np.empty(0), *self._signs()]).astype(dtype)
        rows = np.concatenate([np.empty(0, dtype=np.intp), *self.clusters_])
        ends = np.cumsum([0, *map(len, self.clusters_)])
        return sp.csc_array((signs, rows, ends), shape=(self.n_features_in_, self.n_clusters_))

    def transform(self, X: Any) -> Any:
        """Keep the columns of the features in use, or average those of a cluster.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples, of any type; numbers with ``agglomerate=True``.

        Returns
        -------
        kept : {ndarray, DataFrame, sparse matrix} of shape (n_samples, n_features_out)
            The columns in use, in the type of ``X``, or with ``agglomerate=True`` for each cluster
            the mean of its members, those of opposite sign to the first one negated, in the order
            of `clusters_`. Without a column where no feature is in use, which warns.
        """
        if not self.agglomerate:
            return super().transform(X)
        check_is_fitted(self)
        X = validate_data(
            self,
            as_numpy(X),
            accept_sparse=["csr", "csc"],
            dtype=[np.float64, np.float32],
            reset=False,
        )
        if not self.clusters_:
            warnings.warn(
                "No features were selected: there is no cluster to average. A smaller alpha "
                "selects some.",
                UserWarning,
                stacklevel=2,
            )
        means = self._members(X.dtype)
        means.data /= np.repeat(np.diff(means.indptr), np.diff(means.indptr))
        return as_configured(X @ means)

    def inverse_transform(self, X: Any) -> Any:
        """Put columns back in the places of features, others are zero.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features_out)
            What `transform` returns.

        Returns
        -------
        back : {ndarray, sparse matrix} of shape (n_samples, n_features)
            The columns at the features in use. With ``agglomerate=True`` every member of a cluster
            gets its mean, negated for members of opposite sign to the first one.
        """
        if not self.agglomerate:
            return super().inverse_transform(X)
        check_is_fitted(self)
        X = check_array(
            as_numpy(X),
            accept_sparse=["csr", "csc"],
            dtype=[np.float64, np.float32],
            ensure_min_features=0,
        )
        if X.shape[1] != self.n_clusters_:
            raise ValueError(
                f"X has {X.shape[1]} features, but there are {self.n_clusters_} clusters; give "
                "what transform returns."
            )
        return as_configured(X @ self._members(X.dtype).T)

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        """Names of the columns that `transform` returns.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Names of the features; None is those seen in fit, or x0, x1, ...

        Returns
        -------
        names : ndarray of str
            Names of the features in use, or with ``agglomerate=True`` what each column holds:
            ``mean(a, -b)`` of a cluster, and the name of a feature that is alone.
        """
        if not self.agglomerate:
            return super().get_feature_names_out(input_features)
        check_is_fitted(self)
        names = _check_feature_names_in(self, input_features)
        parts = zip(self.clusters_, self._signs(), strict=True)
        return np.array([_name(names[members], signs) for members, signs in parts], dtype=object)


def _name(names: Any, signs: Array) -> str:
    if len(names) == 1:
        return str(names[0])
    signed = [name if sign > 0.0 else f"-{name}" for name, sign in zip(names, signs, strict=True)]
    return f"mean({', '.join(signed)})"
