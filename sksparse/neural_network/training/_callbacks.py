"""The callbacks of a user: copied for one fit, and refused by name where they cannot work."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from skorch.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    InputShapeSetter,
    LoadInitState,
    LRScheduler,
    PassthroughScoring,
    TrainEndCheckpoint,
    WandbLogger,
)
from skorch.callbacks.scoring import ScoringBase

#: What the history of an epoch holds without any callback; the second ones need validation rows.
TRAINING_KEYS = ("epoch", "phase", "loss", "train_loss", "train_loss_best", "sparsity", "dur")
VALIDATION_KEYS = ("valid_loss", "valid_loss_best", "valid_score")
_REMEDY = "set early_stopping=True (or give X_val and y_val as well)"


def copied_callbacks(callbacks: list[Any] | None) -> list[Any]:
    """Copies for one fit, of the callbacks and not of what they hold.

    Writers, files and models of the user's own are shared with the copies, and most of them could
    not be copied; a callback that holds another one of the list holds its copy.
    """
    copies = {id(cb): cb if isinstance(cb, type) else copy.copy(cb) for _, cb in _pairs(callbacks)}
    for cb in copies.values():
        if isinstance(cb, type):
            continue
        for name, value in vars(cb).items():
            if id(value) in copies:
                setattr(cb, name, copies[id(value)])
        if isinstance(cb, LoadInitState) and isinstance(cb.checkpoint, TrainEndCheckpoint):
            # after a clone it is not one of the list, and nobody else initialises it
            cb.checkpoint.initialize()
    return [
        copies[id(cb)] if name is None else (name, copies[id(cb)]) for name, cb in _pairs(callbacks)
    ]


def has_schedule(callbacks: list[Any] | None) -> bool:
    """Whether a callback prescribes the learning rates."""
    return any(_is_a(cb, LRScheduler) for _, cb in _pairs(callbacks))


def check_callbacks(
    callbacks: list[Any] | None, learning_rate: str, *, validates: bool, shrinks: bool
) -> None:
    """Refuse what is no callback of skorch, and those that could not do what they are for.

    Parameters
    ----------
    callbacks : list or None
        What the user gave.
    learning_rate : str
        The schedule that the estimator prescribes.
    validates : bool
        Whether there are validation rows.
    shrinks : bool
        Whether the module gets smaller while it is trained.
    """
    for _, cb in _pairs(callbacks):
        if not (isinstance(cb, Callback) or _is_a(cb, Callback)):
            raise ValueError(
                f"callbacks holds {cb!r}; give instances of skorch.callbacks.Callback, or pairs "
                "of a name and one."
            )
        _check_supported(cb, learning_rate)
        if shrinks and getattr(cb, "load_best", False):
            raise ValueError(
                f"The callback {_name(cb)} has load_best=True and would load weights of a larger "
                "network into a smaller one; use compact_during=False, or early_stopping=True in "
                "place of the callback."
            )
    known = {*TRAINING_KEYS, *_recorded(callbacks)}
    if validates:
        known.update(VALIDATION_KEYS)
    for _, cb in _pairs(callbacks):
        _check_monitor(cb, known, validates=validates)


def _check_supported(cb: Any, learning_rate: str) -> None:
    name = _name(cb)
    if _is_a(cb, InputShapeSetter):
        raise ValueError(
            f"callbacks holds {name}, which would set a parameter of a module that is built "
            "already; give module as a function of the numbers of features and of outputs instead."
        )
    if _is_a(cb, LRScheduler) and learning_rate not in ("auto", "constant"):
        raise ValueError(
            f"learning_rate={learning_rate!r} and the callback {name} would both set the learning "
            "rate; use learning_rate='auto' or leave the callback out."
        )
    if _is_a(cb, Checkpoint, TrainEndCheckpoint) and getattr(cb, "f_pickle", None) is not None:
        raise ValueError(
            f"The callback {name} has f_pickle={cb.f_pickle!r}, which would pickle the trainer and "
            "not the estimator; use f_params, or pickle the estimator after fit."
        )


def _check_monitor(cb: Any, known: set[str], *, validates: bool) -> None:
    name = _name(cb)
    scores = _is_a(cb, ScoringBase, PassthroughScoring)
    if scores and not validates and not getattr(cb, "on_train", False):
        raise ValueError(
            f"The callback {name} scores validation rows, of which there are none; {_REMEDY}, or "
            f"on_train=True for {name}."
        )
    monitor = _monitored(cb)
    if not isinstance(monitor, str) or monitor in known:
        return
    if monitor in VALIDATION_KEYS:
        raise ValueError(
            f"The callback {name} monitors {monitor!r}, but there are no validation rows; "
            f"{_REMEDY}, or give it another monitor, such as 'train_loss'."
        )
    if "*" not in known:
        raise ValueError(
            f"The callback {name} monitors {monitor!r}, which nothing records; the history has "
            f"{sorted(known)}. Change the monitor, or put a callback that scores it before."
        )


def _monitored(cb: Any) -> Any:
    """The key of the history that a callback of skorch asks for in every epoch."""
    if _is_a(cb, WandbLogger):
        return "valid_loss_best" if getattr(cb, "save_model", True) else None
    if _is_a(cb, EarlyStopping):
        return getattr(cb, "monitor", "valid_loss")
    if _is_a(cb, Checkpoint):
        return getattr(cb, "monitor", "valid_loss_best")
    if _is_a(cb, LRScheduler) and "Plateau" in str(getattr(cb, "policy", "")):
        return cb.monitor if cb.step_every == "epoch" else None
    return None


def _recorded(callbacks: list[Any] | None) -> Iterator[str]:
    """The keys that callbacks add to the history; an asterisk where they cannot be known."""
    for _, cb in _pairs(callbacks):
        kind = cb if isinstance(cb, type) else type(cb)
        if not kind.__module__.startswith("skorch.") or isinstance(cb, type):
            yield "*"
        if _is_a(cb, ScoringBase, PassthroughScoring) and not isinstance(cb, type):
            score = cb.name if _is_a(cb, PassthroughScoring) else copy.copy(cb).initialize().name_
            yield from (score, f"{score}_best")
        if getattr(cb, "event_name", None) is not None:
            yield cb.event_name


def _pairs(callbacks: list[Any] | None) -> Iterator[tuple[str | None, Any]]:
    """The name, where one is given, and the callback."""
    for given in callbacks or []:
        named = isinstance(given, tuple | list) and len(given) == 2
        yield (given[0], given[1]) if named else (None, given)


def _is_a(cb: Any, *kinds: type) -> bool:
    """Whether a callback, given as an instance or as a class, is of a kind."""
    return issubclass(cb, kinds) if isinstance(cb, type) else isinstance(cb, kinds)


def _name(cb: Any) -> str:
    return str(cb.__name__ if isinstance(cb, type) else type(cb).__name__)
