"""Tasks of a fit, as the callbacks of scikit-learn see them.

A fit is the root of a tree. A loop that may take long opens a level below it, whose tasks are its
iterations, epochs or folds, and says where each begins and ends::

    with fit_tasks("epochs", 200) as epochs:
        for _ in range(200):
            epochs.begin()
            ...
            if epochs.end():
                break

The loop need not know who fits, and without callbacks nothing happens. Only what a fit opens by
itself is a level: solvers that run inside a fold, or at a strength of a path, open none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

try:
    from sklearn.callback import CallbackSupportMixin as CallbackSupportMixin
    from sklearn.callback import with_callbacks
except ImportError:  # scikit-learn before 1.9

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Nothing: estimators have no ``set_callbacks``, and so no callbacks."""

    def with_callbacks(method: Any) -> Any:
        """The method as it is."""
        return method


#: Fitted attributes, computed only where a callback asks for a fitted estimator.
Attributes = Callable[[], dict[str, Any] | None]

# Calls the teardown hooks of the callbacks whose setup has begun, and does nothing else.
_tear_down = with_callbacks(lambda estimator: None)


class Fit:
    """A fit that runs; this class is the one without callbacks."""

    def describe(
        self, design: Any, loss: Any, attributes: Callable[[Any, Any], dict[str, Any]]
    ) -> None:
        """Say how an answer of a solver to a design and a loss becomes fitted attributes.

        Parameters
        ----------
        design, loss
            Of the problem that the estimator poses. Solvers may be given others on the way: those
            of a fold, or scaled ones.
        attributes : callable
            Takes coefficients and intercept, as solvers have them.
        """


class FitTasks:
    """Tasks of one kind, one after the other; this class is the one without callbacks."""

    def begin(self) -> None:
        """The next task begins."""

    def end(self, attributes: Attributes | None = None) -> bool:
        """The task has ended.

        Parameters
        ----------
        attributes : callable, default=None
            Returns the attributes that make the estimator a fitted one, as if the fit ended here.

        Returns
        -------
        stop : bool
            Whether a callback asks to stop here.
        """
        return False

    def end_at(self, problem: Any, coef: Any, intercept: Any) -> bool:
        """The task has ended with an answer to a problem; as :meth:`end`."""
        return False


_NO_FIT, _NO_TASKS = Fit(), FitTasks()


class _WatchedFit(Fit):
    """A fit with callbacks."""

    def __init__(self, estimator: Any, context: Any, data: dict[str, Any]) -> None:
        self.hooks = _Hooks(estimator, context, data)
        self._described: tuple[Any, Any, Callable[[Any, Any], dict[str, Any]]] | None = None

    def describe(
        self, design: Any, loss: Any, attributes: Callable[[Any, Any], dict[str, Any]]
    ) -> None:
        self._described = (design, loss, attributes)

    def attributes(self, problem: Any, coef: Any, intercept: Any) -> dict[str, Any] | None:
        """Fitted attributes for an answer; None where it is one to another problem."""
        if self._described is None:
            return None
        design, loss, attributes = self._described
        own = problem.design is design and problem.loss is loss
        return attributes(coef, intercept) if own else None


class _Hooks:
    """A context of scikit-learn's, and what its hooks are called with."""

    def __init__(self, estimator: Any, context: Any, data: dict[str, Any]) -> None:
        self.estimator, self.context, self.data = estimator, context, data

    def below(self, name: str, **options: Any) -> _Hooks:
        """Those of a task below."""
        context = self.context.subcontext(task_name=name, **options)
        return _Hooks(self.estimator, context, self.data)

    def begin(self) -> None:
        self.context.call_on_fit_task_begin(estimator=self.estimator, **self.data)

    def end(self, attributes: Attributes | None = None) -> bool:
        return bool(
            self.context.call_on_fit_task_end(
                estimator=self.estimator, reconstruction_attributes=attributes, **self.data
            )
        )


class _WatchedTasks(FitTasks):
    """A level of tasks, of which each begins where the one before has ended."""

    def __init__(self, name: str, fit: _WatchedFit, level: _Hooks) -> None:
        self._name, self._fit, self._level = name, fit, level

    def begin(self) -> None:
        self._task = self._level.below(self._name)
        self._task.begin()

    def end(self, attributes: Attributes | None = None) -> bool:
        return self._task.end(attributes)

    def end_at(self, problem: Any, coef: Any, intercept: Any) -> bool:
        return self._task.end(lambda: self._fit.attributes(problem, coef, intercept))


class _WatchedTask(FitTasks):
    """One of several tasks that run at the same time, in other processes perhaps."""

    def __init__(self, task: _Hooks) -> None:
        self._task = task

    def begin(self) -> None:
        self._task.begin()

    def end(self, attributes: Attributes | None = None) -> bool:
        return self._task.end(attributes)


# The fit whose own loops open levels; each thread has its own.
_running: ContextVar[_WatchedFit | None] = ContextVar("running", default=None)


@contextmanager
def fit_tasks(name: str, total: int | None = None) -> Iterator[FitTasks]:
    """Around a loop of a fit: the tasks that its rounds are.

    Parameters
    ----------
    name : str
        What the rounds are, such as "epochs".
    total : int or None, default=None
        How many there are at most; None where that is not known.
    """
    fit = _running.get()
    if fit is None:
        yield _NO_TASKS
        return
    with _level(fit, name, total, one_by_one=True) as level:
        yield _WatchedTasks(name, fit, level)


@contextmanager
def concurrent_fit_tasks(name: str, total: int) -> Iterator[list[FitTasks]]:
    """Around rounds that do not wait for each other: one task for each, which may be pickled.

    Parameters
    ----------
    name : str
        What the rounds are, such as "folds".
    total : int
        How many there are.
    """
    fit = _running.get()
    if fit is None:
        yield [_NO_TASKS] * total
        return
    with _level(fit, name, total, one_by_one=False) as level:
        # the data of the fit are not those of its rounds, and are not sent to other processes
        part = _Hooks(level.estimator, level.context, {})
        yield [_WatchedTask(part.below(name, task_id=k)) for k in range(total)]


@contextmanager
def _level(fit: _WatchedFit, name: str, total: int | None, *, one_by_one: bool) -> Iterator[_Hooks]:
    level = fit.hooks.below(name, max_subtasks=total, sequential_subtasks=one_by_one)
    level.begin()
    token = _running.set(None)
    try:
        yield level
    finally:
        _running.reset(token)
    level.end()


@contextmanager
def watched_fit(
    estimator: Any, X: Any, y: Any, sample_weight: Any, n_levels: int | None
) -> Iterator[Fit]:
    """Around a fit: its callbacks are set up, told of its begin and end, and torn down.

    Parameters
    ----------
    estimator : SparseEstimator
        Who is fitted.
    X, y, sample_weight
        As the user passed them.
    n_levels : int or None
        How many levels the fit opens at most; None where that is not known.
    """
    if not getattr(estimator, "_skl_callbacks", None):
        # a fit inside another one is none of its tasks
        token = _running.set(None)
        try:
            yield _NO_FIT
        finally:
            _running.reset(token)
        return
    metadata = None if sample_weight is None else {"sample_weight": sample_weight}
    try:
        context = estimator._init_callback_context(max_subtasks=n_levels)
        fit = _WatchedFit(estimator, context, {"X": X, "y": y, "metadata": metadata})
        fit.hooks.begin()
        token = _running.set(fit)
        try:
            yield fit
        finally:
            _running.reset(token)
        fit.hooks.end(dict)
    finally:
        _tear_down(estimator)
