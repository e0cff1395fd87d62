"""Times until an event or censoring: targets as users hold them, and how well risks order them."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import assert_all_finite, column_or_1d
from sklearn.utils.validation import check_consistent_length

from sksparse._typing import Array, Indices
from sksparse._validation import as_numpy, check_weights
from sksparse.losses._risk_sets import RiskSets

_HOW = (
    "Give a structured array with a boolean field (whether there was an event) and a field of "
    "times, a DataFrame with the columns 'event' and 'time', or all times with an event as one "
    "column"
)


def check_survival(y: Any) -> tuple[Array, Array]:
    """Times, and whether there was an event then, of survival targets in any usual form.

    Of the two fields of a structured array, as scikit-survival makes it, and of two columns, the
    event is the boolean one, whatever their names and order. Where that does not decide, it is the
    one named "event", or beside the one named "time"; else the one with no other values than 0
    and 1. A single column holds times that all have an event.

    Parameters
    ----------
    y : array-like of shape (n_samples,) or (n_samples, 2)
        Structured array, DataFrame, array or list. Times are finite numbers, of which only the
        order matters; events are True or 1, censored samples False or 0.

    Returns
    -------
    times, events : ndarray of shape (n_samples,)
        Numbers; events are 1 and 0.

    Raises
    ------
    ValueError
        Where it is not clear which column is which, times are no finite numbers, events are not 0
        or 1, or there is no event.
    """
    names, columns = _columns(y)
    if len(columns) == 1:
        times, events = columns[0], np.ones(len(columns[0]), dtype=bool)
        if times.dtype.kind == "b":
            raise ValueError(f"y holds booleans and no times. {_HOW}.")
    elif len(columns) == 2:
        event = _event_column(names, columns)
        times, events = columns[1 - event], columns[event]
    else:
        raise ValueError(f"y has {len(columns)} columns; times and events are two. {_HOW}.")
    return _numbers(times, "times"), _indicators(events)


def _columns(y: Any) -> tuple[list[str], list[Any]]:
    """Names, where there are any, and columns."""
    frame_names = getattr(y, "columns", None)
    if frame_names is not None:
        parts = [_without_objects(np.asarray(y[name])) for name in frame_names]
        return [str(name) for name in frame_names], parts
    array = np.asarray(as_numpy(y, "y"))
    fields = array.dtype.names
    if fields is not None:
        return list(fields), [array.reshape(-1)[name] for name in fields]
    if array.ndim == 2 and array.shape[1] > 1:
        return [], [_without_objects(column) for column in array.T]
    return [], [_without_objects(column_or_1d(array, warn=True))]


def _without_objects(column: Any) -> Any:
    """Python objects as booleans or numbers, where they are."""
    return np.array(column.tolist()) if column.dtype.kind == "O" else column


def _event_column(names: list[str], columns: list[Any]) -> int:
    """Which of two columns says whether there was an event."""
    boolean = [column.dtype.kind == "b" for column in columns]
    if sum(boolean) == 1:
        return boolean.index(True)
    lower = [name.lower() for name in names]
    if lower.count("event") == 1:
        return lower.index("event")
    if lower.count("time") == 1:
        return 1 - lower.index("time")
    binary = [bool(np.isin(column, (0, 1)).all()) for column in columns]
    if sum(binary) == 1:
        return binary.index(True)
    raise ValueError(
        f"y has two columns, and {'both' if all(binary) else 'none'} of them could be events, 0 or "
        f"1 each. {_HOW}."
    )


def _numbers(times: Any, what: str) -> Array:
    try:
        numbers = np.asarray(times, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"y holds {what} of dtype {times.dtype}, with values like {times[0]!r}, which are no "
            f"numbers. {_HOW}."
        ) from error
    assert_all_finite(numbers, input_name="y")
    return numbers


def _indicators(events: Any) -> Array:
    numbers = _numbers(events, "events")
    other = numbers[~np.isin(numbers, (0.0, 1.0))]
    if other.size:
        raise ValueError(
            f"y holds events that are neither 0 nor 1, such as {other[0]:.6g}; give 1 or True for "
            "an event and 0 or False for censoring."
        )
    if not numbers.any():
        raise ValueError(
            "y has no event, all samples are censored: give samples with an event, and check that "
            "1 or True means an event."
        )
    return numbers


def concordance(y: Any, risk: Any, sample_weight: Any = None) -> float:
    """Share of comparable pairs of samples that a risk puts in the right order (Harrell's C).

    Two samples are comparable where the earlier time has an event; at equal times, where one has an
    event and the other is censored. They are in order where the one with the event has the larger
    risk; equal risks count half, and a pair counts by the product of its weights.

    Parameters
    ----------
    y : array-like of shape (n_samples,) or (n_samples, 2)
        Survival targets, see :func:`check_survival`.
    risk : array-like of shape (n_samples,)
        Risk of each sample, larger for an earlier event.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights; an integer weight equals so many repetitions of the sample.

    Returns
    -------
    share : float
        From 0 to 1; half by chance.

    Raises
    ------
    ValueError
        Where no two samples are comparable.

    References
    ----------
    .. [1] F. E. Harrell, R. M. Califf, D. B. Pryor, K. L. Lee and R. A. Rosati (1982). "Evaluating
       the yield of medical tests". JAMA 247, 2543-2546.
    """
    times, events = check_survival(y)
    risk = column_or_1d(risk, dtype=np.float64)
    check_consistent_length(times, risk)
    assert_all_finite(risk, input_name="risk")
    weights = check_weights(sample_weight, times[:, None])
    risks = RiskSets(times, events > 0.0, weights, efron=False)
    # those who outlive an event are the first in the order of the risk sets
    n_later = risks.first[risks.event_times]
    ranks = np.unique(risk[risks.order], return_inverse=True)[1]
    below, same, later = _ordered_weights(
        ranks, risks.weights, np.flatnonzero(risks.events), n_later
    )
    own = risks.weights[risks.events]
    comparable = float(own @ later)
    if comparable == 0.0:
        raise ValueError(
            "No two samples can be compared: none with an event is outlived by another. Give more "
            "samples with events at different times."
        )
    return float(own @ (below + 0.5 * same)) / comparable


def _ordered_weights(
    ranks: Indices, weights: Array, asking: Indices, n_before: Indices
) -> tuple[Array, Array, Array]:
    """For each asking sample, the weight of the first so many with a smaller rank, the same, any.

    Any number of first samples consists of blocks of powers of two, in each of which the samples
    are sorted by rank; so all is done after as many sorts as there are powers, each of what is
    half sorted.
    """
    n, most = len(ranks), int(ranks.max(initial=0)) + 1
    below, same, later = np.zeros((3, len(asking)))
    order = np.arange(n)
    for level in range(n.bit_length()):
        keys = (order >> level) * most + ranks[order]
        sort = np.argsort(keys, kind="stable")
        order, keys = order[sort], keys[sort]
        sums = np.append(0.0, np.cumsum(weights[order]))
        has = np.flatnonzero((n_before >> level) & 1)
        block = (n_before[has] >> level) - 1
        key = block * most + ranks[asking[has]]
        start, stop = block << level, (block + 1) << level
        first, last = np.searchsorted(keys, key, "left"), np.searchsorted(keys, key, "right")
        below[has] += sums[first] - sums[start]
        same[has] += sums[last] - sums[first]
        later[has] += sums[stop] - sums[start]
    return below, same, later
