"""Interruptions from the keyboard: one rule for every fit.

A fit that has run for a second or longer keeps the best answer it has and warns. One that has not,
or has no answer yet, raises ``KeyboardInterrupt``. A second Ctrl-C, during the same fit or up to
ten seconds after one that was answered with a warning, always raises.

Python answers SIGINT as soon as it is back in control, which may be while numba unpacks what a
compiled loop returned: the exception then becomes a ``SystemError`` and the result is lost.
Therefore a fit in the main thread only notes the signal, and loops ask for it between compiled
calls with :func:`check`. A second signal is passed on at once. Handlers of the user's own are asked
instead of raising, and are put back after the fit; other threads are left alone.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from types import FrameType
from typing import Any

#: A fit that has run for so many seconds keeps its answer when it is interrupted.
LONG = 1.0
#: Seconds in which a second interruption follows a first one.
SOON = 10.0


@dataclass
class _Watch:
    """The fit that runs in the main thread, if any.

    Parameters
    ----------
    answer : callable or None
        The handler that the fit found; None where no fit is watched.
    started, kept : float
        When the fit started, and when an answer was last kept.
    count : int
        Signals during the fit.
    pending : bool
        Whether one of them has not been answered.
    """

    answer: Callable[[int, FrameType | None], Any] | None = None
    started: float = 0.0
    kept: float = -SOON
    count: int = 0
    pending: bool = False


_watch = _Watch()


def _note(signum: int, frame: FrameType | None) -> None:
    _watch.count += 1
    _watch.pending = True
    if _watch.count > 1:
        _pass_on(frame)


def _pass_on(frame: FrameType | None = None) -> None:
    _watch.pending = False
    if _watch.answer is not None:
        _watch.answer(signal.SIGINT, frame)


@contextmanager
def interruptible() -> Iterator[None]:
    """Around a fit: SIGINT waits for :func:`check`, or for the end of the block.

    Nested blocks belong to the outermost.
    """
    found = signal.getsignal(signal.SIGINT) if _in_main_thread() else None
    if _watch.answer is not None or not callable(found):
        yield
        return
    _watch.answer, _watch.started = found, monotonic()
    _watch.count, _watch.pending = 0, False
    signal.signal(signal.SIGINT, _note)
    try:
        yield
        check()
    except SystemError as error:
        # numba turned the exception of a second signal into a SystemError
        if not _is_interruption(error):
            raise
        raise KeyboardInterrupt from error
    finally:
        signal.signal(signal.SIGINT, found)
        _watch.answer = None


def _is_interruption(error: BaseException | None) -> bool:
    """Whether an interruption is the cause of an error, directly or through other errors."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def check() -> None:
    """Handle a signal that has arrived; by default this raises ``KeyboardInterrupt``."""
    if _watch.pending and _in_main_thread():
        _pass_on()


def signalled() -> bool:
    """Whether a signal has arrived during the fit, rather than an exception of a callback."""
    return _watch.answer is not None and _watch.count > 0 and _in_main_thread()


def worth_keeping() -> bool:
    """Whether an interrupted fit that has an answer should return it with a warning.

    Call it once, where ``KeyboardInterrupt`` was caught, and raise that again where this is False.
    Outside a watched fit, as when a solver is called by itself, it is True.
    """
    if _watch.answer is None or not _in_main_thread():
        return True
    now = monotonic()
    first = _watch.count <= 1 and now - _watch.kept >= SOON
    if not first or now - _watch.started < LONG:
        return False
    _watch.kept = now
    return True


def last_kept() -> float:
    """When an answer was last kept, on the monotonic clock; long ago where none was.

    By this a fit around others sees that one of them was interrupted.
    """
    return _watch.kept


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
