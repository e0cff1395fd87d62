"""How a selector that trains paths is posed, run, and read."""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from sksparse._estimator import SparseEstimator
from sksparse._groups import Groups, check_groups
from sksparse._interrupts import signalled, worth_keeping
from sksparse._selection import FeatureSelectorMixin
from sksparse._typing import Array, Indices, Mask
from sksparse._validation import (
    check_layer_sizes,
    check_penalty_weights,
    check_weights,
    validate_data,
    warn_if_more_than_all,
)
from sksparse.feature_selection._ranking import aggregate, best_count, stability
from sksparse.feature_selection._targets import check_labels, check_targets
from sksparse.feature_selection.perceptron._input_path import InputPath

#: What scores features, by name.
METHODS = (
    "elimination",
    "gaussian_gates",
    "concrete_gates",
    "group_lasso",
    "hierarchy",
    "deep_lasso",
    "attention",
)

#: Penalty weights, and one over them, that float32 holds with their squares.
_LARGEST_COST = 1e12
#: Standard errors by which a network should be better than a constant.
_EVIDENT = 2.0
_UNINFORMED = (
    "The network predicts samples that were set aside no better than a constant, with any number "
    "of features: the ranking may be chance. More samples help, larger steps (learning_rate_init), "
    "more epochs (max_iter), or all features at a time (input_dropout=0)."
)
_MOST_SEEDS = np.iinfo(np.int32).max


class PathSelection(FeatureSelectorMixin, SparseEstimator):
    """Runs on validated data, and the selection that follows from their orders."""

    max_features: int | str
    groups: Any
    method: str
    strength: float | None
    penalty_weights: Any
    loss: str
    class_weight: Any
    hidden_layer_sizes: Any
    dropout: float
    input_dropout: float
    learning_rate_init: float | str
    weight_decay: float
    batch_size: int | str
    max_iter: int | str
    min_features: int
    n_repeats: int
    validation_fraction: float
    warm_start: bool
    random_state: Any
    verbose: Any

    n_features_in_: int
    _paths: list[InputPath]
    _origin: list[Any]
    _support: Mask

    def _learn(self, X: Any, y: Any, sample_weight: Any) -> str:
        """Run on the data as they were passed, select, and return what has to be said."""
        hidden = check_layer_sizes(self.hidden_layer_sizes)
        if not hidden:
            raise ValueError(
                f"hidden_layer_sizes={self.hidden_layer_sizes!r} has no hidden layer; give at "
                "least one, or take a linear selector."
            )
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse="csr",
            dtype=[np.float64, np.float32],
            multi_output=True,
            y_numeric=False,
        )
        weights = check_weights(sample_weight, X)
        warn_if_more_than_all("min_features", self.min_features, self.n_features_in_)
        if not isinstance(self.max_features, str):
            warn_if_more_than_all("max_features", self.max_features, self.n_features_in_)
        names = getattr(self, "feature_names_in_", None)
        groups = check_groups(self.groups, self.n_features_in_, names)
        costs = check_penalty_weights(self.penalty_weights, len(groups.names), per="group")
        costs = np.ones(len(groups.names)) if costs is None else costs
        self._check_costs(costs)
        y = y.toarray() if sparse.issparse(y) else y
        y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
        targets = check_targets(y, self.loss, weights)
        check_labels(targets)
        # torch is imported here, and not before something is fitted
        from sksparse.feature_selection.perceptron._fit import Data, RunOptions, Runs

        data = Data(
            X,
            targets.values,
            targets.classes,
            weights,
            self.class_weight,
            groups.labels,
            costs[groups.filled],
        )
        options = RunOptions(
            method=self.method,
            strength=self.strength,
            hidden=hidden,
            dropout=(self.input_dropout, self.dropout),
            learning_rate=self.learning_rate_init,
            weight_decay=self.weight_decay,
            batch_size=self.batch_size,
            n_epochs=self.max_iter,
            least=min(self.min_features, self.n_features_in_),
            validation_fraction=self.validation_fraction,
        )
        runs = Runs(data, options)
        sizes = np.bincount(groups.labels)
        origin = [astuple(options), targets.loss, self.class_weight, data.penalty_weights.tolist()]
        origin += [targets.values.shape, (sizes * runs.varies).tolist()]
        self._paths = self._run_all(runs, origin)
        self._origin = origin
        if targets.classes is None:
            self._forget("classes_")
        else:
            self.classes_ = targets.classes
        self.groups_ = groups.names
        self.n_iter_ = self._paths[-1].n_epochs
        return self._select(groups, sizes, runs.varies, data.penalty_weights == 0)

    def _check_costs(self, costs: Array) -> None:
        """Refuse costs whose products and quotients float32 cannot hold."""
        positive = costs[costs > 0]
        if (
            len(positive)
            and not 1 / _LARGEST_COST <= positive.min() <= positive.max() <= _LARGEST_COST
        ):
            raise ValueError(
                f"penalty_weights reach from {positive.min():g} to {positive.max():g}; give 0 or "
                f"values between {1 / _LARGEST_COST:g} and {_LARGEST_COST:g}."
            )

    def _run_all(self, runs: Any, origin: list[Any]) -> list[InputPath]:
        """The paths of all runs; those of the previous fit are kept with ``warm_start``.

        Those that were interrupted are run again, and all are where options or shapes of the data
        are others.
        """
        # the state of numpy is left alone
        rng = np.random.RandomState() if self.random_state is None else self.random_state
        seeds = check_random_state(rng).randint(_MOST_SEEDS, size=self.n_repeats)
        paths: list[InputPath] = []
        if self.warm_start and vars(self).get("_origin") == origin:
            paths = [path for path in self._paths if path.is_complete][: self.n_repeats]
        for number in range(len(paths), self.n_repeats):
            name = type(self).__name__
            if self.n_repeats > 1:
                name = f"{name}, run {number + 1}/{self.n_repeats}"
            try:
                paths.append(runs.run(int(seeds[number]), name, int(self.verbose)))
            except KeyboardInterrupt:
                # the runs before this one are an answer
                if not paths or (signalled() and not worth_keeping()):
                    raise
                break
            if not paths[-1].is_complete:
                break
        return paths

    @property
    def _is_interrupted(self) -> bool:
        return len(self._paths) < self.n_repeats or not self._paths[-1].is_complete

    def _select(self, groups: Groups, sizes: Indices, is_run: Mask, stays: Mask) -> str:
        """Set the ranking and what is kept; not all groups were part of the runs."""
        order = aggregate([path.order for path in self._paths], sizes * is_run)
        counts = self._paths[0].n_features
        # an interrupted run has no scores of few features
        scored = [path for path in self._paths if path.is_complete] or self._paths
        scores, errors = np.mean([path.at(counts) for path in scored], axis=0)
        self.n_features_path_, self.scores_path_, self.scores_error_path_ = counts, scores, errors
        wanted = self.max_features
        if isinstance(wanted, str):
            wanted = best_count(counts, scores, errors, rule=wanted)
        totals = np.cumsum(sizes[order.groups])
        n_kept, message = self._n_groups_kept(totals, wanted, int(np.sum(stays & is_run)))
        place = np.empty(len(sizes), dtype=np.intp)
        place[order.groups] = np.arange(len(sizes))
        self._support = place[groups.labels] < n_kept
        self.n_features_ = int(self._support.sum())
        self.ranking_ = np.maximum(place - n_kept + 2, 1)[groups.labels]
        self.feature_importances_ = order.survival[groups.labels]
        kept = np.sort(order.groups[:n_kept])
        self.selected_groups_ = self.groups_[groups.filled[kept]]
        self.stability_ = stability([_first(path.order, n_kept) for path in self._paths])
        if self._is_interrupted:
            return self._interruption()
        if max(path.evidence for path in self._paths) < _EVIDENT:
            message = f"{_UNINFORMED} {message}".strip()
        return message

    def _interruption(self) -> str:
        n_runs = len(self._paths)
        if self._paths[-1].is_complete:
            return f"Interrupted after {n_runs} of {self.n_repeats} runs, which alone are counted."
        return (
            f"Run {n_runs} of {self.n_repeats} was interrupted; what was left then is ranked by "
            "its scores. Fit again for a whole run."
        )

    def _n_groups_kept(self, totals: Indices, wanted: int, n_staying: int) -> tuple[int, str]:
        """The number of groups to keep, and what to say where they do not make what is wanted."""
        n_kept = max(1, n_staying, int(np.searchsorted(totals, wanted, side="right")))
        found = int(totals[n_kept - 1])
        if isinstance(self.max_features, str) or found == min(wanted, totals[-1]):
            return n_kept, ""
        unmet = f"max_features={wanted} cannot be met with whole groups"
        if found > wanted:
            why = "those that cost nothing and always stay" if n_staying else "the first one"
            return n_kept, f"{unmet}: {found} features are kept, all of {why}."
        above = totals[np.searchsorted(totals, wanted)]
        return n_kept, (
            f"{unmet} in the order of their ranks: {found} features are kept; {above} is the next "
            "number that can be."
        )

    def _get_support_mask(self) -> Mask:
        check_is_fitted(self)
        return self._support


def _first(order: Indices, n_groups: int) -> Mask:
    """Mask of the groups that stayed longest in a run."""
    mask = np.zeros(len(order), dtype=bool)
    mask[order[len(order) - n_groups :]] = True
    return mask
