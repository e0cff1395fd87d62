"""Groups of the columns of X and what their coefficients cost: one assembly for the family."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from sksparse._groups import Groups, check_groups
from sksparse._typing import Array, Indices, Mask
from sksparse._validation import check_penalty_weights
from sksparse.linear_model._base import Attributes
from sksparse.linear_model.group._options import MODEL_PARAMETERS, check_bounds
from sksparse.penalties import L1, BlockPenalty, Blocks, GroupL2
from sksparse.solvers import Design


@dataclass(frozen=True, kw_only=True)
class GroupModel:
    """What a linear model of grouped features is asked for, beside its loss.

    Solvers see *columns*: those of X, or copies of them where groups overlap, each in one group.
    Coefficients of features are sums over the copies.

    Parameters
    ----------
    groups : Groups
        The groups of the columns.
    factors : ndarray of shape (n_groups,)
        Factor of each group's norm, for all groups of ``groups.names``; zero is never penalised.
    l1_ratio, l2 : float
        As in the estimators.
    lower, upper : ndarray of shape (n_columns,) or None
        Bounds of the coefficients.
    scale : ndarray of shape (n_groups,)
        Factor of all that a group costs.
    """

    groups: Groups
    factors: Array
    l1_ratio: float
    l2: float
    lower: Array | None
    upper: Array | None
    scale: Array

    @classmethod
    def of(
        cls,
        n_features: int,
        feature_names: Any,
        *,
        groups: Any,
        missing_columns: str,
        overlap: str,
        penalty_weights: Any,
        l1_ratio: float,
        l2: float,
        positive: Any,
        bounds: Any,
        sources: Indices | None = None,
    ) -> Self:
        """The model that parameters of an estimator describe, checked.

        Parameters
        ----------
        n_features : int
            Number of features of X.
        feature_names : ndarray of shape (n_features,) or None
            Their names, where X has them.
        groups, missing_columns, overlap, penalty_weights, l1_ratio, l2, positive, bounds
            As the user passed them to an estimator.
        sources : ndarray of shape (n_encoded,) or None, default=None
            Where solvers see columns that features are encoded as, the feature of each. The model
            is then one of these columns.

        Raises
        ------
        ValueError
            Where one cannot be used.
        """
        known = check_groups(
            groups,
            n_features,
            feature_names,
            skip_missing=missing_columns == "ignore",
            overlap=overlap,
        )
        limits = check_bounds(positive, bounds, n_features)
        if sources is not None:
            known = known.of_encoded(sources)
            limits = None if limits is None else (limits[0][sources], limits[1][sources])
        factors = check_penalty_weights(penalty_weights, len(known.names), per="group")
        if factors is None:
            factors = np.zeros(len(known.names))
            factors[known.filled] = known.root_sizes
        lower, upper = (None, None) if limits is None else map(known.latent, limits)
        _refuse_bounds_of_sums(known, lower, upper)
        return cls(
            groups=known,
            factors=factors,
            l1_ratio=float(l1_ratio),
            l2=float(l2),
            lower=lower,
            upper=upper,
            scale=np.ones(len(factors)),
        )

    @classmethod
    def for_estimator(cls, estimator: Any, sources: Indices | None = None) -> Self:
        """The model that a validated estimator describes; it knows the features of its fit."""
        parameters = {name: getattr(estimator, name) for name in MODEL_PARAMETERS}
        names = getattr(estimator, "feature_names_in_", None)
        return cls.of(estimator.n_features_in_, names, **parameters, sources=sources)

    def design(self, X: Any) -> Design:
        """The columns that solvers see."""
        return Design(self.groups.latent(X))

    @property
    def positions(self) -> Indices:
        """Position in ``groups.names`` of each column's group."""
        return self.groups.filled[self.groups.labels]

    @property
    def labels(self) -> Indices:
        """Position in ``groups.names`` of each feature's group, the first of several."""
        columns = self.groups.columns
        if columns is None:
            return self.positions
        labels = np.full(self.groups.n_features, len(self.factors), dtype=np.intp)
        np.minimum.at(labels, columns, self.positions)
        return labels

    @property
    def forced(self) -> Mask:
        """Columns of groups that are never penalised, and always kept."""
        return np.asarray(self.factors[self.positions] == 0.0)

    def penalty(self) -> BlockPenalty:
        """The penalty of unit strength."""
        more: dict[str, Any] = {"ridge": self.l2, "lower": self.lower, "upper": self.upper}
        scale = self.scale[self.groups.filled]
        norms = scale * self.factors[self.groups.filled]
        absolute = scale[self.groups.labels] * ~self.forced
        if self.l1_ratio == 1.0:
            return L1(absolute, **more)
        blocks = Blocks.from_labels(self.groups.labels)
        if self.l1_ratio == 0.0:
            return GroupL2(blocks, norms, **more)
        return BlockPenalty(blocks, self.l1_ratio * absolute, (1.0 - self.l1_ratio) * norms, **more)

    def free_penalty(self, columns: Mask, ridge: float) -> BlockPenalty:
        """The penalty of some of the columns where groups cost nothing: a ridge, and bounds."""
        _, labels = np.unique(self.groups.labels[columns], return_inverse=True)
        blocks = Blocks.from_labels(labels)
        lower, upper = (None if b is None else b[columns] for b in (self.lower, self.upper))
        zeros = np.zeros(len(blocks.sizes))
        return GroupL2(blocks, zeros, ridge=ridge, lower=lower, upper=upper)

    def adapted(self, pilot: Array) -> Self:
        """The model whose groups cost the less the larger they are in a pilot fit.

        What a group costs is divided by the norm of its coefficients there; a group without
        any must stay at zero.

        Parameters
        ----------
        pilot : ndarray of shape (n_features,) or (n_outputs, n_features)
            Coefficients of the features.
        """
        norms = self._norms(np.atleast_2d(self.groups.latent(pilot)))
        excluded = (norms == 0.0)[self.positions] & ~self.forced
        scale = np.divide(1.0, norms, out=np.ones_like(norms), where=norms > 0.0)
        if not excluded.any():
            return replace(self, scale=scale)
        lower = np.full(len(excluded), -np.inf) if self.lower is None else self.lower.copy()
        upper = np.full(len(excluded), np.inf) if self.upper is None else self.upper.copy()
        lower[excluded] = upper[excluded] = 0.0
        return replace(self, scale=scale, lower=lower, upper=upper)

    def is_bounded(self, columns: Mask) -> bool:
        """Whether bounds keep the coefficients of some columns finite."""
        if self.lower is None or self.upper is None:
            return False
        return bool(np.isfinite([self.lower[columns], self.upper[columns]]).all())

    def of_columns(self, coef: Array) -> Array:
        """Coefficients of columns that make those of the features, on the last axis."""
        columns = self.groups.columns
        if columns is None:
            return coef
        return self.groups.latent(coef / np.bincount(columns))

    def start(self, coef: Array, n_outputs: int) -> Array | None:
        """Coefficients of an earlier fit as a start for a solver, if they fit the data."""
        rows = np.atleast_2d(np.asarray(coef, dtype=np.float64))
        if rows.shape != (n_outputs, self.groups.n_features):
            return None
        columns = self.of_columns(rows)
        return columns[0] if n_outputs == 1 else columns

    def kept(self, coef: Array) -> Mask:
        """Columns that a fit keeps: whole groups, or with an L1 norm those in use."""
        used = (np.atleast_2d(coef) != 0.0).any(axis=0)
        whole = self.factors == 0.0
        if self.l1_ratio == 0.0:
            whole[self.positions[used]] = True
        return np.asarray(used | whole[self.positions])

    def group_norms(self, coef: Array) -> Array:
        """Norm of each group's coefficients, for all of ``groups.names``."""
        return self._norms(np.atleast_2d(coef))

    def _norms(self, coef: Array) -> Array:
        # squares of coefficients may leave the range of float64
        unit = float(np.abs(coef).max(initial=0.0)) or 1.0
        squares = ((coef / unit) ** 2).sum(axis=0)
        return unit * np.sqrt(np.bincount(self.positions, squares, minlength=len(self.factors)))

    def selection(self, coef: Array) -> dict[str, Any]:
        """Fitted attributes that say which groups and features a fit keeps."""
        columns = self.kept(coef)
        support = self.groups.features(columns)
        chosen = np.unique(self.positions[columns])
        return {
            "groups_": self.groups.names,
            "group_labels_": self.labels,
            "selected_groups_": self.groups.names[chosen],
            "group_norms_": self.group_norms(coef),
            "n_features_": int(support.sum()),
            "_support": support,
        }

    def attributes(self, plain: Attributes) -> Attributes:
        """How answers become fitted attributes, from how those of a model without groups do."""

        def describe(coef: Array, intercept: Any) -> dict[str, Any]:
            return {**plain(self.groups.coef(coef), intercept), **self.selection(coef)}

        return describe


def _refuse_bounds_of_sums(groups: Groups, lower: Array | None, upper: Array | None) -> None:
    """A bound on a sum is none on its terms, unless it is a sign."""
    if groups.columns is None or lower is None or upper is None:
        return
    limits = np.stack((lower, upper))
    if np.any(np.isfinite(limits) & (limits != 0.0)):
        raise ValueError(
            "bounds other than zero are not defined where groups overlap, as the coefficient of a "
            "feature is a sum over its groups; give zero or infinite bounds, or groups that do not "
            "overlap."
        )
