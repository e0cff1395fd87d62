"""What the estimators of the sorted L1 family share: how they are posed, fitted and read."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

from sksparse._typing import Array, Indices
from sksparse._validation import _level_of_the_user, warn_if_more_than_all
from sksparse.linear_model._base import Attributes
from sksparse.linear_model._convex_path import (
    EPS,
    ConvexEstimator,
    ConvexEstimatorMixin,
    ConvexSearch,
    Posed,
)
from sksparse.linear_model._count_search import Size, fit_size
from sksparse.linear_model._scoring import Readout
from sksparse.linear_model.sorted_l1._agglomeration import AgglomerationMixin
from sksparse.linear_model.sorted_l1._options import GRID_CONSTRAINTS, Sequence
from sksparse.linear_model.sorted_l1._task import Clustered, SLOPEPath, SortedTask
from sksparse.losses import Loss
from sksparse.penalties import SortedL1
from sksparse.solvers import Design, Solution, SortedDescent


class SortedSelectorMixin(AgglomerationMixin, ConvexEstimatorMixin[SortedTask]):
    """Selects features by a sorted L1 norm, and poses the problem of a fit."""

    pairwise: float
    ranks: str | int
    fit_intercept: bool
    max_iter: int
    tol: float
    verbose: Any
    # an estimator without these parameters is OSCAR
    lambdas: Any = "oscar"
    q: float = 0.1
    eps: float = EPS

    alpha_: float
    cluster_coef_: Array
    n_features_: int

    def _posed(self, X: Any, y: Any, loss: Loss, plain: Attributes) -> Posed[SortedTask]:
        """The task that the loss and the validated parameters describe.

        Parameters
        ----------
        X, y : array-like
            Data as they were checked.
        loss : Loss
            Data term.
        plain : callable
            How answers become fitted attributes of a model without clusters.
        """
        design = Design(X)
        sequence = Sequence(self.lambdas, self.q, self.pairwise, self.ranks)
        task = SortedTask(
            design=design,
            loss=loss,
            fit_intercept=self.fit_intercept,
            penalty=SortedL1(sequence.weights(design, loss)),
            solver=SortedDescent,
            max_iter=self.max_iter,
            tol=self.tol,
            verbose=int(self.verbose),
            eps=self.eps,
        )
        self._measure(task, X)
        return Posed(X, y, task, Clustered().attributes(plain))

    @property
    def degrees_of_freedom_(self) -> int:
        """Number of clusters, an unbiased estimate of the degrees of freedom without the intercept.

        Only of one output: a cluster is then one free number.
        """
        coef = self._dense_coef()
        if coef.ndim == 2 and len(coef) > 1:
            raise AttributeError(
                f"degrees_of_freedom_ is defined for one output, and there are {len(coef)}."
            )
        return self.n_clusters_


class SortedEstimator(SortedSelectorMixin, ConvexEstimator[SortedTask]):
    """A fit of one strength, which is given or follows from a size."""

    max_features: int | None
    max_clusters: int | None

    @property
    def _n_fit_levels(self) -> int | None:  # type: ignore[override]
        """One loop, or those of a search for a size."""
        return 1 if self.max_features is None and self.max_clusters is None else None

    def _solved(self, task: SortedTask, start: Array | None) -> Solution:
        size = self._size(task)
        if size is None:
            self.alpha_ = float(self.alpha)
            return task.solve(self.alpha_, start)
        n_features = task.design.n_features
        warn_if_more_than_all(size.name, size.wanted, n_features)
        wanted = min(size.wanted, n_features)
        self.alpha_, solution, message = fit_size(task, size._replace(wanted=wanted))
        if message and size.wanted == wanted:
            warnings.warn(message, UserWarning, stacklevel=_level_of_the_user())
        return solution

    def _size(self, task: SortedTask) -> Size | None:
        """The size that is asked for instead of a strength."""
        if self.max_features is not None and self.max_clusters is not None:
            raise ValueError(
                f"max_features={self.max_features} and max_clusters={self.max_clusters} both ask "
                "for a size; give one of them."
            )
        if self.max_features is not None:
            advice = "as the features of a cluster enter together. Give another number"
            return Size("max_features", "features", task.n_used, self.max_features, advice)
        if self.max_clusters is not None:
            advice = "as clusters fall apart on the way. Give another number"
            return Size("max_clusters", "clusters", task.n_clusters, self.max_clusters, advice)
        return None


class SortedSearch(SortedSelectorMixin, ConvexSearch[SortedTask]):
    """A model with a sorted L1 norm whose strength is chosen by cross-validation."""

    n_clusters_path_: Indices

    _search_constraints: ClassVar[dict[str, list[Any]]] = {
        **ConvexSearch._common_constraints,
        **GRID_CONSTRAINTS,
        "agglomerate": ["boolean"],
    }

    def _readout(self, task: SortedTask) -> Readout:
        return Clustered()

    def _store_path(self, path: SLOPEPath) -> None:
        super()._store_path(path)
        self.n_clusters_path_ = path.n_clusters
