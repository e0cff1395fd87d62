"""Groups of columns kept by a model: tables encoded, strengths found, columns led back."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sksparse._estimator import SparseEstimator
from sksparse._typing import Array, Indices, Mask
from sksparse._validation import check_data, check_weights, validate_data, warn_if_more_than_all
from sksparse.feature_selection._encoding import encode_table, read_table, suggests_encoding
from sksparse.feature_selection._group_count import fit_groups, next_to_enter
from sksparse.feature_selection._targets import check_targets
from sksparse.linear_model._convex_path import Posed
from sksparse.linear_model._survival import check_survival
from sksparse.linear_model.group._base import GroupSelectorMixin
from sksparse.linear_model.group._task import GroupTask
from sksparse.solvers import Solution


class GroupSelection(GroupSelectorMixin, SparseEstimator):
    """How a selector of groups is posed, solved, and read."""

    alpha: float
    encode: Any
    max_groups: int | None
    loss: str
    epsilon: float
    ties: str
    min_features: int
    warm_start: bool

    alpha_: float
    coef_: Array
    selected_groups_: Any
    n_features_in_: int
    _sources: Indices | None

    def _pose(self, X: Any, y: Any, sample_weight: Any) -> Posed[GroupTask]:
        """The task that the data and the validated parameters describe."""
        sources = None
        y = self._readable(y)
        several = self.loss in ("squared", "cox")
        if self.encode is None:
            with suggests_encoding(X):
                X, y, weights = check_data(
                    self, X, y, sample_weight, y_numeric=False, multi_output=several
                )
            self._forget("encoder_")
        else:
            X, y = read_table(self, X, y, multi_output=several)
            weights = check_weights(sample_weight, X)
            weights = weights / weights.sum()
            unnamed = np.array([f"x{j}" for j in range(self.n_features_in_)], dtype=object)
            names = getattr(self, "feature_names_in_", unnamed)
            X, sources, self.encoder_ = encode_table(self.encode, X, y, names, weights)
        self._sources = sources
        warn_if_more_than_all("min_features", self.min_features, self.n_features_in_)
        y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
        targets = check_targets(y, self.loss, weights)
        loss = targets.as_loss(weights, epsilon=self.epsilon, ties=self.ties)
        plain = targets.attributes(X.dtype)
        return self._posed(X, targets.values, loss, sample_weight, plain, sources)

    def _readable(self, y: Any) -> Any:
        """Targets as the checks of scikit-learn take them: two columns of survival times."""
        if self.loss == "cox" and y is not None:
            return np.column_stack(check_survival(y))
        shape: tuple[int, ...] = getattr(y, "shape", ())
        if self.loss not in ("squared", "cox") and len(shape) == 2 and shape[1] > 1:
            raise ValueError(
                f"y should be a 1d array for loss={self.loss!r}, got an array of shape {shape}; "
                "loss='squared' takes several targets."
            )
        return y

    def _solved(self, posed: Posed[GroupTask]) -> tuple[Solution, str]:
        """The fit that is asked for, and text of a warning where it is another."""
        task = posed.task
        if self.max_groups is not None:
            self.alpha_, solution, message = fit_groups(task, self.max_groups)
            return solution, message
        before = vars(self).get("coef_") if self.warm_start else None
        start = None if before is None else task.start_from(before)
        self.alpha_ = float(self.alpha)
        return task.solve(self.alpha_, start), ""

    def _select(self, posed: Posed[GroupTask], solution: Solution) -> None:
        """Set which groups and features are kept."""
        model = posed.task.model
        kept = model.kept(solution.coef)
        self._support = self._features(model.groups.features(kept))
        if self._support.sum() < self.min_features:
            for group in next_to_enter(posed.task, self.alpha_, solution):
                kept = kept | (model.groups.labels == group)
                self._support = self._features(model.groups.features(kept))
                if self._support.sum() >= self.min_features:
                    break
        self.n_features_ = int(self._support.sum())
        self.selected_groups_ = model.groups.names[np.unique(model.positions[kept])]
        # squares of coefficients may leave the range of float64
        unit = float(np.abs(self.coef_).max(initial=0.0)) or 1.0
        squares = (np.atleast_2d(self.coef_ / unit) ** 2).sum(axis=0)
        self.feature_importances_ = unit * np.sqrt(self._sums(squares))

    def _features(self, columns: Mask) -> Mask:
        """Mask of the features that columns of a mask are made of."""
        return np.asarray(self._sums(columns.astype(np.float64)) > 0)

    def _sums(self, values: Array) -> Array:
        """Sums over the columns made of each feature."""
        if self._sources is None:
            return values
        return np.asarray(np.bincount(self._sources, values, minlength=self.n_features_in_))

    def transform(self, X: Any) -> Any:
        """Keep the columns of the features in use.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples, of any type.

        Returns
        -------
        kept : {ndarray, DataFrame, sparse matrix} of shape (n_samples, n_features_in_use)
            The columns, in the type of ``X``; a DataFrame as an array, unless ``set_output`` or
            ``encode`` ask for tables. Without a column where no feature is in use, which warns.
        """
        if self.encode is None or not hasattr(X, "iloc"):
            return super().transform(X)
        check_is_fitted(self)
        return self._transform(validate_data(self, X, skip_check_array=True, reset=False))
