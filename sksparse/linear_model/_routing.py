"""Metadata of a fit, such as groups of samples: what splitter and scorer of a search get of it.

With metadata routing of scikit-learn they get what they request. Without it ``groups`` go to the
splitter, as in scikit-learn's searches, and sample weights to a scorer that takes them.
"""

from __future__ import annotations

import warnings
from inspect import signature
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import is_classifier
from sklearn.model_selection import KFold, check_cv
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    _raise_for_params,
    _routing_enabled,
    get_routing_for_object,
    process_routing,
)

from sksparse._typing import Array

#: What a search without a scorer hands to it.
_NONE: dict[str, dict[str, Any]] = {"score": {}}


class Routed(NamedTuple):
    """What a search hands on.

    Parameters
    ----------
    split : dict
        Options of the splitter.
    score : dict
        Options of the scorer, for all samples.
    """

    split: dict[str, Any]
    score: dict[str, Any]


def metadata_router(search: Any, scorer: Any) -> MetadataRouter:
    """Who requests metadata of a search with a parameter ``cv``: itself, splitter and scorer."""
    # Numbers and lists of splits request nothing; a generator would be used up by a look at it.
    splitter = search.cv if hasattr(search.cv, "split") else KFold()
    split, score = MethodMapping(), MethodMapping()
    for caller in ("fit", "fit_transform"):
        split.add(caller=caller, callee="split")
        score.add(caller=caller, callee="score")
    router = MetadataRouter(owner=search).add_self_request(search)
    router.add(splitter=splitter, method_mapping=split)
    return router if scorer is None else router.add(scorer=scorer, method_mapping=score)


def route(search: Any, scorer: Any, params: dict[str, Any], sample_weight: Array | None) -> Routed:
    """Who gets which metadata of a fit.

    Parameters
    ----------
    search : estimator
        An estimator with a parameter ``cv``.
    scorer : callable or None
        As in scikit-learn.
    params : dict
        Metadata of ``fit``, without the weights.
    sample_weight : ndarray or None
        Sample weights as they were given.

    Raises
    ------
    ValueError, TypeError
        For metadata that nothing takes.
    """
    given = {name: value for name, value in params.items() if value is not None}
    weights = {} if sample_weight is None else {"sample_weight": sample_weight}
    if _routing_enabled():
        routed = process_routing(search, "fit", **given, **weights)
        return Routed(dict(routed["splitter"]["split"]), dict(routed.get("scorer", _NONE)["score"]))
    split = {"groups": given.pop("groups")} if "groups" in given else {}
    _raise_for_params(given, search, "fit")
    lists = not (hasattr(search.cv, "split") or isinstance(search.cv, (Integral, type(None))))
    if split and lists:
        # as scikit-learn's splitters say that take none
        warnings.warn("The groups parameter is ignored by splits that cv lists", stacklevel=4)
    return Routed(split, weights if takes(scorer, "sample_weight") else {})


def takes(scorer: Any, option: str) -> bool:
    """Whether a scorer has an option of that name."""
    if scorer is None:
        return False
    return option in signature(getattr(scorer, "_score_func", scorer)).parameters


def split_samples(search: Any, X: Any, y: Any, options: dict[str, Any]) -> list[tuple[Any, Any]]:
    """The splits that ``cv`` makes, with its options from :func:`route`.

    Raises
    ------
    ValueError
        Where there are none, and where groups of samples are missing or are not one a sample.
    """
    cv, groups = search.cv, options.get("groups")
    if groups is not None and np.shape(groups)[:1] != (X.shape[0],):
        raise ValueError(
            f"groups must have a label for each of the {X.shape[0]} samples; got shape "
            f"{np.shape(groups)}."
        )
    splitter = check_cv(cv, y, classifier=is_classifier(search))
    try:
        splits = list(splitter.split(X, y, **options))
    except (TypeError, ValueError) as error:
        wants_groups = get_routing_for_object(cv).consumes("split", ["groups"])
        if groups is not None or not (wants_groups or "groups" in str(error)):
            raise
        raise ValueError(f"cv={cv!r} needs groups, and fit got none: {_remedy()}.") from error
    if not splits:
        raise ValueError(f"cv={cv!r} has no splits; give some, or cv=None.")
    return splits


def _remedy() -> str:
    label = "give a label for each sample, as in fit(X, y, groups=labels)"
    if _routing_enabled():
        return f"{label}, of the outermost estimator where this one is part of another"
    return (
        f"{label}; where this estimator is part of another, call "
        "sklearn.set_config(enable_metadata_routing=True) and give groups to the outermost"
    )
