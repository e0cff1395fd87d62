"""What an estimator selects from half of the samples, along a grid of strengths."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import _safe_indexing, check_random_state
from sklearn.utils.validation import _check_method_params

from sksparse._fit_tasks import FitTasks
from sksparse._interrupts import check, last_kept
from sksparse._typing import Array, Indices, Mask
from sksparse.feature_selection.stability._feature_use import FeatureUse, features_in_use
from sksparse.feature_selection.stability._halves import complementary_halves
from sksparse.feature_selection.stability._votes import Messages, Votes

#: Random numbers below this are seeds.
LARGEST_SEED = np.iinfo(np.int32).max

Rng = np.random.RandomState


class KeptInside(KeyboardInterrupt):
    """The fit of an estimator was interrupted, and kept the answer that it had."""


@dataclass(frozen=True)
class HalfPath:
    """Fits of an estimator to halves of the samples.

    Parameters
    ----------
    estimator : estimator
        What is fitted; every half has a clone.
    X, y : array-like
        The samples.
    params : dict
        Further arguments of its ``fit``.
    rows, strata : ndarray
        The samples to draw from, some perhaps repeated, and the class of each of them.
    strength : str or None
        Its parameter that is varied.
    strengths : sequence
        The values of that parameter, the strongest first.
    limit : int
        Most features that may be selected from a half.
    getter : str or callable
        What says which features are used, as in :func:`features_in_use`.
    """

    estimator: Any
    X: Any
    y: Any
    params: dict[str, Any]
    rows: Indices
    strata: Indices
    strength: str | None
    strengths: Any
    limit: int
    getter: str | Callable[[Any], Any]

    def at(self, strengths: Array | None) -> HalfPath:
        """The same at some strengths; None is the estimator as it is."""
        if strengths is None:
            return replace(self, strength=None)
        return replace(self, strengths=strengths.tolist())

    def pair(self, seed: int, task: FitTasks) -> Votes:
        """What two disjoint halves of the samples select."""
        task.begin()
        rng, messages = np.random.RandomState(seed), Messages([], [])
        drawn = complementary_halves(self.strata, rng)
        halves = [self._one(self.rows[half], rng, messages) for half in drawn]
        n_features = sum(int(half.any(axis=0).sum()) for half in halves)
        task.end()
        return Votes(np.sum(halves, axis=0, dtype=np.intp), n_features, messages)

    def _one(self, rows: Indices, rng: Rng, messages: Messages) -> Mask:
        """The features selected at each strength.

        Once as many as are allowed have entered, the path ends: at weaker strengths those of the
        last one stay.
        """
        path = self.along(rows, rng)
        entered = np.zeros(self.X.shape[1], dtype=np.bool_)
        selected = np.zeros((len(self.strengths), len(entered)), dtype=np.bool_)
        for k, strength in enumerate(self.strengths):
            use = path(strength, messages)
            room = self.limit - int(entered.sum())
            selected[k] = self._strongest(use, entered, room, rng)
            entered |= selected[k]
            if entered.sum() == self.limit:
                selected[k:] = selected[k]
                break
        return selected

    def along(self, rows: Indices, rng: Rng) -> Callable[[Any, Messages], FeatureUse]:
        """What fits some of the samples at one strength after another."""
        model = with_seeds(clone(self.estimator), rng)
        X, y = _safe_indexing(self.X, rows), None
        if self.y is not None:
            y = _safe_indexing(self.y, rows)
        params = _check_method_params(self.X, self.params, rows)

        def at(strength: Any, messages: Messages) -> FeatureUse:
            check()
            kept = last_kept()
            if self.strength is not None:
                model.set_params(**{self.strength: strength})
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                model.fit(X, y, **params)
            if last_kept() != kept:
                raise KeptInside
            use = features_in_use(model, self.getter, self.X.shape[1])
            messages.add(_sorted_out(caught, use))
            return use

        return at

    def _strongest(self, use: FeatureUse, entered: Mask, room: int, rng: Rng) -> Mask:
        """The features in use, of those that are new no more than there is room for."""
        new = np.flatnonzero(use.mask & ~entered)
        if len(new) <= room:
            return use.mask
        if use.sizes is None:
            name = type(self.estimator).__name__
            raise ValueError(
                f"estimator: {name} selects more than max_features={self.limit} features from half "
                "of the samples, and has neither coef_ nor feature_importances_ that would say "
                "which are the strongest. Let it select fewer, or set max_features='all'."
            )
        # features that are used as much are chosen among by lot
        new = rng.permutation(new)
        last = new[np.argsort(-use.sizes[new], kind="stable")[room:]]
        mask = use.mask.copy()
        mask[last] = False
        return mask


def generator_of(random_state: Any) -> Rng:
    """Where random numbers come from; for None a new state, so that numpy's is left alone."""
    return Rng() if random_state is None else check_random_state(random_state)


def with_seeds(model: Any, rng: Rng) -> Any:
    """A model all of whose open sources of randomness have seeds."""
    params = model.get_params()
    names = sorted(name for name in params if name.rpartition("__")[2] == "random_state")
    seeds = {name: rng.randint(LARGEST_SEED) for name in names if params[name] is None}
    return model.set_params(**seeds)


def _sorted_out(caught: list[warnings.WarningMessage], use: FeatureUse) -> Messages:
    """Warnings of a fit; those of one that selects nothing are about that, which is no fault."""
    found = [each.message for each in caught]
    unfinished = [str(each) for each in found if isinstance(each, ConvergenceWarning)]
    others = [each for each in found if not isinstance(each, ConvergenceWarning)]
    wanted = [each for each in others if isinstance(each, Warning) and use.mask.any()]
    return Messages(unfinished[:1], wanted)
