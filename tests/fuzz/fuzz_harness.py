"""Fits with a record of what they raise, what they warn of, and how long they take."""

from __future__ import annotations

import pickle
import re
import signal
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

REMEDIES = re.compile(
    r"remedy|increase|raise|larger|smaller|scale|standardi|centre|choose|give|set|use|fewer|more|add|lower|"
    r"remove|drop",
    re.IGNORECASE,
)


class TooSlow(BaseException):
    """A fit ran past the limit."""


@dataclass
class Report:
    """What was tried on a problem, and which claims did not hold.

    Parameters
    ----------
    seed : int
        The seed of the problem.
    problem : str
        Its description.
    model : str
        The estimator.
    broken : list of str
        One sentence for each claim that failed.
    warned : str
        What the fit warned of.
    seconds : float
        Time of the longest fit.
    stage : str
        What is going on.
    data : tuple
        Estimator, features, targets and weights of the last fit.
    """

    seed: int
    problem: str = ""
    model: str = ""
    broken: list[str] = field(default_factory=list)
    warned: str = ""
    seconds: float = 0.0
    stage: str = "fit"
    data: tuple[Any, ...] = ()

    def claim(self, holds: Any, sentence: str) -> bool:
        if not bool(holds):
            self.broken.append(sentence)
        return bool(holds)

    def __str__(self) -> str:
        verdict = "; ".join(self.broken) or "holds"
        warned = f"\n    warned: {self.warned}" if self.warned else ""
        return (
            f"seed {self.seed}: {self.model}\n    {self.problem}{warned}\n"
            f"    {self.seconds:.2f} s: {verdict}"
        )


@contextmanager
def limit(seconds: float) -> Iterator[None]:
    """Raise TooSlow in the main thread after so many seconds, at the next line of Python."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(signum: int, frame: Any) -> None:
        raise TooSlow(f"longer than {seconds:g} s")

    found = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, found)


def run_one(check: Callable[[Report], None], seed: int, seconds: float = 60.0) -> Report:
    """Run a check; what it raises becomes a broken claim."""
    report = Report(seed)
    try:
        with limit(seconds):
            check(report)
    except TooSlow as error:
        report.broken.append(f"{report.stage}: {error}")
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        report.broken.append(
            f"{report.stage} raised {type(error).__name__}: {str(error)[:300]} "
            f"({where.filename.rsplit('/', 1)[-1]}:{where.lineno})"
        )
    return report


def fit(report: Report, estimator: Any, X: Any, y: Any, weights: Any) -> Any:
    """The fitted estimator; warnings and time go to the report."""
    report.model = describe(estimator)
    report.data = (estimator, X, y, weights)
    arguments = {} if weights is None else {"sample_weight": weights}
    with watched(report):
        estimator.fit(X, y, **arguments)
    return estimator


@contextmanager
def watched(report: Report) -> Iterator[None]:
    """Note the time and the warnings of what runs inside."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        start = time.perf_counter()
        yield
        report.seconds = max(report.seconds, time.perf_counter() - start)
    report.warned = ""
    for warning in caught:
        text = str(warning.message)
        if issubclass(warning.category, UserWarning) and "is selected" in text:
            continue  # as scikit-learn's selectors warn where nothing is left
        proper = issubclass(warning.category, ConvergenceWarning)
        report.claim(proper, f"warns {warning.category.__name__}: {text[:200]}")
        if proper:
            report.warned += ("; " if report.warned else "") + text
            report.claim(re.search(r"\d", text), f"a warning without a value: {text[:200]}")
            report.claim(REMEDIES.search(text), f"a warning without a remedy: {text[:200]}")


def describe(estimator: Any) -> str:
    """The estimator with the parameters that are not defaults, arrays shortened."""
    parameters = estimator.get_params(deep=False)
    defaults = type(estimator)().get_params(deep=False)
    words = []
    for name, value in parameters.items():
        if isinstance(value, np.ndarray):
            words.append(f"{name}=<{np.array2string(value, threshold=8, precision=3)}>")
        elif value is not defaults[name] and value != defaults[name]:
            words.append(f"{name}={value!r}")
    return f"{type(estimator).__name__}({', '.join(words)})"


def same_after_pickle_and_refit(report: Report, model: Any, X: Any, y: Any, weights: Any) -> None:
    """The same fit again, bit for bit, and after pickling."""
    report.stage = "refit"
    loaded = pickle.loads(pickle.dumps(model))
    report.claim(np.array_equal(loaded.coef_, model.coef_), "pickling changes the coefficients")
    other = clone(model)
    if "warm_start" in other.get_params():
        other.set_params(warm_start=False)
        if model.warm_start:
            return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other.fit(X, y, **({} if weights is None else {"sample_weight": weights}))
    report.claim(
        np.array_equal(other.coef_, model.coef_)
        and np.array_equal(other.intercept_, model.intercept_),
        "fitted twice on the same data: other coefficients",
    )
