"""Who is at risk at the times of events, and sums over these nested sets.

Samples are ordered by falling time, those with an event last among equal times. The samples at risk
at a time are then all from the first to the last with an event at that time, so that sums over risk
sets are cumulative sums. Samples without weight, and those censored before the first event, are in
no risk set and left out.
"""

from __future__ import annotations

import numpy as np

from sksparse._typing import Array, Indices, Mask

# Exponentials of numbers this far apart add up without underflow.
_MODERATE = 600.0


class RiskSets:
    """The risk sets of the distinct times with an event, latest first.

    The partial likelihood is a product of terms: one for each time (Breslow), or one for each event
    (Efron), where the events that are tied with it count less and less.

    Parameters
    ----------
    times : ndarray of shape (n_samples,)
        Time of the event or of censoring.
    events : ndarray of shape (n_samples,)
        Whether there was an event.
    weights : ndarray of shape (n_samples,)
        Sample weights, not negative.
    efron : bool
        Whether ties are treated by Efron's approximation, else by Breslow's.

    Attributes
    ----------
    order : ndarray of shape (n_ordered,)
        Places in the data of the samples that are in a risk set, by falling time.
    events : ndarray of shape (n_ordered,)
        Which of them have an event.
    weights, log_weights : ndarray of shape (n_ordered,)
        Their weights.
    first, last : ndarray of shape (n_times,)
        For each time, the place of its first event, and the place after its last one.
    following : ndarray of shape (n_ordered,)
        For each sample, the latest time at which it is at risk.
    event_times : ndarray of shape (n_events,)
        For each event, its time.
    totals : ndarray of shape (n_times,)
        Weight of the events at each time.
    term_times : ndarray of shape (n_terms,)
        For each term, its time.
    term_weights : ndarray of shape (n_terms,)
        Weight of each term.
    shares, log_shares : ndarray of shape (n_terms,)
        Factor, in (0, 1], of the events at the term's time in its risk set.
    """

    def __init__(self, times: Array, events: Mask, weights: Array, *, efron: bool) -> None:
        events = events & (weights > 0.0)
        earliest = times.min(where=events, initial=np.inf)
        kept = np.flatnonzero((weights > 0.0) & (times >= earliest))
        self.order: Indices = kept[np.lexsort((events[kept], -times[kept]))]
        self.events: Mask = events[self.order]
        self.weights: Array = weights[self.order]
        self.log_weights: Array = np.log(self.weights)
        at = np.flatnonzero(self.events)
        self._first_events = np.flatnonzero(np.diff(times[self.order][at], prepend=np.inf))
        counts = np.diff(self._first_events, append=len(at))
        self.first, self.last = at[self._first_events], at[self._first_events] + counts
        self.following = np.searchsorted(self.last, np.arange(len(self.order)), side="right")
        self.event_times = self.following[self.events]
        self.totals = self.add_events(self.weights[self.events])
        if efron:
            self._first_terms, self.term_times = self._first_events, self.event_times
            self.term_weights: Array = (self.totals / counts)[self.term_times]
            before = np.arange(len(at)) - self._first_events[self.term_times]
            self.shares: Array = 1.0 - before / counts[self.term_times]
        else:
            self._first_terms = self.term_times = np.arange(len(counts))
            self.term_weights, self.shares = self.totals, np.ones(len(counts))
        self.log_shares = np.log(self.shares)

    def add_events(self, values: Array) -> Array:
        """Sums of values of the events over those at each time."""
        return _sums(values, self._first_events)

    def add_terms(self, values: Array) -> Array:
        """Sums of values of the terms over those of each time."""
        return _sums(values, self._first_terms)

    def log_sums(self, logs: Array) -> tuple[Array, Array]:
        """Logarithms of sums of exponentials over the rest of each risk set, and over its events.

        The rest is all that is at risk at a time but for the events at that time.
        """
        rest = np.full(len(self.first), -np.inf)
        some = self.first > 0
        rest[some] = _log_cumulated(logs)[self.first[some] - 1]
        return rest, _log_sums(logs[self.events], self._first_events)

    def log_hazards(self, log_rates: Array, power: int = 1) -> tuple[Array, Array]:
        """Logarithms of cumulative hazards at each time, as non-events and events see them.

        Parameters
        ----------
        log_rates : ndarray of shape (n_terms,)
            Logarithm of the rate of each term. An event sees the terms of its own time times a
            power of their shares, and all others whole.
        power : int, default=1
            That power.
        """
        hazards = _log_cumulated(_log_sums(log_rates, self._first_terms)[::-1])[::-1]
        earlier = np.append(hazards[1:], -np.inf)[: len(hazards)]
        own = _log_sums(log_rates + power * self.log_shares, self._first_terms)
        return hazards, np.logaddexp(earlier, own)

    def at_samples(self, of_others: Array, of_events: Array) -> Array:
        """Values of times at the samples: those of non-events and events by their own times."""
        values = of_others[self.following]
        values[self.events] = of_events[self.event_times]
        return values


def _sums(values: Array, starts: Indices) -> Array:
    """Sums of values from each start to the next."""
    return values if len(starts) == len(values) else np.add.reduceat(values, starts)


def _log_sums(logs: Array, starts: Indices) -> Array:
    """Logarithms of sums of exponentials from each start to the next."""
    if len(starts) == len(logs):
        return logs
    largest = np.maximum.reduceat(logs, starts)
    counts = np.diff(starts, append=len(logs))
    return largest + np.log(np.add.reduceat(np.exp(logs - np.repeat(largest, counts)), starts))


def _log_cumulated(logs: Array) -> Array:
    """Logarithms of cumulative sums of exponentials."""
    if not len(logs):
        return logs
    largest = logs.max()
    if largest - logs.min() < _MODERATE:
        return np.asarray(largest + np.log(np.cumsum(np.exp(logs - largest))))
    return np.asarray(np.logaddexp.accumulate(logs))
