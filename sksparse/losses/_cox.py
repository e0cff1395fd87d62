"""Half the deviance of Cox's partial likelihood."""

from __future__ import annotations

from typing import ClassVar, NamedTuple, Self

import numpy as np

from sksparse._typing import Array
from sksparse.losses._base import ConjugateLoss
from sksparse.losses._risk_sets import RiskSets

# Rounding can push a dual point out of the domain of the conjugate by this share of all weights.
_DOMAIN_SLACK = 1e-12
# What stands for zero where a dual point is on the edge of that domain.
_EDGE = 1e-30
# Newton steps for the events that are tied at a time; they converge from above, quadratically.
_TIED_STEPS = 100
# Share of its expected events that the curvature of a sample is at least, whose event is certain.
_LEAST_CURVED = 1e-8
TIES = ("breslow", "efron")


class Cox(ConjugateLoss):
    r"""Half the deviance of Cox's partial likelihood, for times until an event or censoring.

    The predictor ``z`` is the logarithm of the relative risk. With ``D_t`` the samples that have an
    event at time t, ``d_t`` the sum of their weights, and ``R_t`` all samples whose time is at
    least t, Breslow's form is the sum over the distinct times with an event of::

        d_t log(sum_{j in R_t} s_j exp(z_j)) - sum_{i in D_t} s_i z_i - d_t log(d_t)

    It is the negative logarithm of the partial likelihood, divided by the sum of the weights, up to
    a constant that makes it zero for predictors that put the events in order without doubt. Samples
    that are censored at the time of an event are at risk then. The same number added to all
    predictors changes nothing.

    Efron's form replaces the first logarithm, with m the number of events tied at t, by the mean
    over l = 0, ..., m - 1 of ``log(sum_{j in R_t} s_j exp(z_j) - (l / m) sum_{j in D_t} s_j
    exp(z_j))``, and the constant accordingly. It is closer to the exact likelihood of tied events;
    without ties the two are the same.

    Curvatures are the second derivatives by the predictor of each sample. Those by two samples are
    not zero but negative, and small where many are at risk: steps need a line search.

    Parameters
    ----------
    y : ndarray of shape (n_samples, 2)
        Times, and whether there was an event then (1) or the sample was censored (0).
    weights : ndarray of shape (n_samples,)
        Non-negative sample weights with sum one. In Breslow's form a weight counts as so many
        repetitions of the sample. In Efron's it multiplies the risk of a sample and its term, as
        case weights do in R's ``coxph``, but does not tie a sample with itself: m counts samples
        with a positive weight.
    ties : {"breslow", "efron"}, default="breslow"
        Form of the likelihood where several events are at the same time.

    Notes
    -----
    The conjugate is exact. As a dual point determines the mass that each sample has in all risk
    sets together, and risk sets are nested, the predictor whose gradient it is follows from
    cumulative sums; ties of Efron's form add one equation with a single unknown for each time.

    References
    ----------
    .. [1] D. R. Cox (1972). "Regression models and life-tables". Journal of the Royal Statistical
       Society B 34, 187-220.
    .. [2] N. Breslow (1974). "Covariance analysis of censored survival data". Biometrics 30, 89-99.
    .. [3] B. Efron (1977). "The efficiency of Cox's likelihood function for censored data". Journal
       of the American Statistical Association 72, 557-565.
    """

    exact_curvature: ClassVar[bool] = False
    shift_invariant: ClassVar[bool] = True
    title: ClassVar[str] = "partial likelihood"
    unbounded_if: ClassVar[str] = "put the events in order"
    negligible: ClassVar[float] = 1e-6
    lower_bound = 0.0

    def __init__(self, y: Array, weights: Array, ties: str = "breslow") -> None:
        super().__init__(y, weights)
        if ties not in TIES:
            raise ValueError(f"ties={ties!r} must be one of {', '.join(map(repr, TIES))}.")
        self.ties = ties
        self._risks = self._risk_sets()

    def check_targets(self, y: Array) -> None:
        if y.ndim != 2 or y.shape[1] != 2:
            raise ValueError(
                "The Cox loss needs y of shape (n_samples, 2), times and events; got shape "
                f"{y.shape}. Give np.column_stack((times, events))."
            )
        if not np.isfinite(y[:, 0]).all():
            raise ValueError("The Cox loss needs finite times; leave samples without one out.")
        if not np.isin(y[:, 1], (0.0, 1.0)).all():
            raise ValueError(
                "The Cox loss needs 1 for an event and 0 for censoring in the second column of y; "
                f"got values from {y[:, 1].min():.6g} to {y[:, 1].max():.6g}."
            )

    def _of(self, y: Array, weights: Array) -> Self:
        other = super()._of(y, weights)
        other._risks = other._risk_sets()
        return other

    def _risk_sets(self) -> RiskSets:
        times, events = self.y.T
        return RiskSets(times, events > 0.0, self.weights, efron=self.ties == "efron")

    def value(self, z: Array) -> float:
        risks, z = self._risks, z[self._risks.order]
        rest, tied = risks.log_sums(z + risks.log_weights)
        margins = (tied - rest)[risks.term_times] + risks.log_shares
        means = risks.add_events((risks.weights * z)[risks.events]) / risks.totals
        # how the tied events differ among themselves: not negative but for rounding
        spread = np.maximum(tied - np.log(risks.totals) - means, 0.0)
        return float(risks.term_weights @ np.logaddexp(0.0, -margins) + risks.totals @ spread)

    def gradient(self, z: Array) -> Array:
        risks = self._risks
        masses = self._moments(*self._logs(z), 1)
        return self._at_all(masses - np.where(risks.events, risks.weights, 0.0))

    def curvature(self, z: Array) -> Array:
        logs, log_risks = self._logs(z)
        masses, squares = (self._moments(logs, log_risks, power) for power in (1, 2))
        return self._at_all(np.maximum(masses - squares, _LEAST_CURVED * masses))

    def constant_curvature(self, z: Array) -> float:
        """Zero: the same number added to all samples changes nothing."""
        return 0.0

    def _logs(self, z: Array) -> tuple[Array, Array]:
        """Logarithms of the weighted risks, of the samples and in each term."""
        logs = z[self._risks.order] + self._risks.log_weights
        return logs, self._log_risks(*self._risks.log_sums(logs))

    def _moments(self, logs: Array, log_risks: Array, power: int) -> Array:
        """Powers of each sample's probability to have the event, summed over the terms."""
        log_rates = np.log(self._risks.term_weights) - power * log_risks
        hazards = self._risks.at_samples(*self._risks.log_hazards(log_rates, power))
        return np.asarray(np.exp(power * logs + hazards))

    def _log_risks(self, rest: Array, tied: Array) -> Array:
        """Logarithm of the weighted risk in each term."""
        at = self._risks.term_times
        return np.logaddexp(rest[at], tied[at] + self._risks.log_shares)

    def _at_all(self, values: Array) -> Array:
        """Values in the order of the data, zero for samples that are never at risk."""
        found = np.zeros(len(self.y))
        found[self._risks.order] = values
        return found

    def saturation(self, z: Array) -> float:
        """The largest logarithm of the risk of events over that of the others at risk."""
        rest, tied = self._risks.log_sums(z[self._risks.order] + self._risks.log_weights)
        return float(np.max(tied - rest, where=self._risks.first > 0, initial=0.0))

    def best_shift(self, z: Array) -> float:
        """Zero, for the same reason."""
        return 0.0

    def best_constant(self) -> float:
        """Zero, for the same reason.

        Raises
        ------
        ValueError
            Where no sample with a weight has an event.
        """
        if not self._risks.events.any():
            raise ValueError(
                "No sample with a positive weight has an event: the partial likelihood is constant "
                "then. Give samples with an event."
            )
        return 0.0

    def conjugate(self, u: Array) -> float:
        dual = self._dual(u)
        if dual is None:
            return np.inf
        risks = self._risks
        fitted = float(risks.term_weights @ (dual.log_risks - np.log(self._best_risks)))
        return float(dual.masses @ dual.predictor) - fitted

    @property
    def _best_risks(self) -> Array:
        """Risk in each term at the lower bound, but for factors that cancel in the value."""
        return self._risks.totals[self._risks.term_times] * self._risks.shares

    def fenchel_gap(self, z: Array, u: Array) -> float:
        dual = self._dual(u)
        if dual is None:
            return np.inf
        # the relative entropy between the probabilities at z and those that u is the gradient of
        _, log_risks = self._logs(z)
        risks, z = self._risks, z[self._risks.order]
        apart = np.where(dual.masses > 0.0, dual.predictor - z, 0.0)
        return float(dual.masses @ apart - risks.term_weights @ (dual.log_risks - log_risks))

    def _dual(self, u: Array) -> _Dual | None:
        """What ``u`` is the gradient of; None outside the domain of the conjugate."""
        risks = self._risks
        ordered = u[risks.order]
        if np.count_nonzero(u) > np.count_nonzero(ordered):
            return None
        masses = ordered + np.where(risks.events, risks.weights, 0.0)
        sums = np.append(0.0, np.cumsum(ordered))
        # hazard times risk: of the rest of each risk set, and of whom the events leave behind
        rest, left = sums[risks.first], sums[risks.last]
        least = min(part.min(initial=0.0) for part in (masses, rest, left))
        if least < -_DOMAIN_SLACK or abs(sums[-1]) > _DOMAIN_SLACK:
            return None
        masses, rest, left = np.maximum(masses, 0.0), np.maximum(rest, 0.0), np.maximum(left, _EDGE)
        of_events = risks.add_events(masses[risks.events])
        tied = self._tied_risks(rest, of_events)
        steps = np.log(left) - np.log(np.maximum(rest + tied, _EDGE))
        log_hazards = np.append(0.0, np.cumsum(steps)[:-1])[: len(steps)]
        at = risks.term_times
        log_risks = np.log(np.maximum(rest[at] + risks.shares * tied[at], _EDGE)) - log_hazards[at]
        with np.errstate(divide="ignore", invalid="ignore"):
            levels = risks.at_samples(-log_hazards, np.log(tied / of_events) - log_hazards)
            predictor = np.log(masses) - risks.log_weights + levels
        return _Dual(masses, np.where(masses > 0.0, predictor, 0.0), log_risks)

    def _tied_risks(self, rest: Array, masses: Array) -> Array:
        """Hazard times risk of the events at each time, given that of the rest and their mass."""
        risks, at = self._risks, self._risks.term_times
        kept = risks.term_weights * (1.0 - risks.shares)
        tied = masses + risks.add_terms(kept / risks.shares)
        if not kept.any():
            return tied
        for _ in range(_TIED_STEPS):
            denominators = np.maximum(rest[at] + risks.shares * tied[at], _EDGE)
            above = tied - risks.add_terms(kept * tied[at] / denominators) - masses
            slope = 1.0 - risks.add_terms(kept * rest[at] / denominators**2)
            step = above / slope
            tied = np.maximum(tied - step, 0.0)
            if np.all(np.abs(step) <= 1e-15 * tied):
                break
        return tied


class _Dual(NamedTuple):
    """A dual point as the gradient at a predictor.

    Parameters
    ----------
    masses : ndarray of shape (n_ordered,)
        Probabilities of each sample to have the event, summed over the terms.
    predictor : ndarray of shape (n_ordered,)
        Predictor; zero where the mass is.
    log_risks : ndarray of shape (n_terms,)
        Logarithm of the weighted risk in each term.
    """

    masses: Array
    predictor: Array
    log_risks: Array
