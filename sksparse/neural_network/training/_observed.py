"""The net as callbacks of skorch see it: data, predictions, history, and weights to change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import ClassifierTags, RegressorTags, Tags
from skorch import NeuralNet
from skorch.callbacks import Callback, EarlyStopping, PassthroughScoring
from skorch.callbacks.scoring import ScoringBase
from skorch.dataset import Dataset
from skorch.utils import TeeGenerator
from torch import Tensor

from sksparse.neural_network.training._data import Rows
from sksparse.neural_network.training._layout import USUAL, Layout
from sksparse.neural_network.training._updates import Average
from sksparse.sparsifiers import SparsifierRun

_EVENTS = tuple(name for name in vars(Callback) if name.startswith("on_"))


@dataclass(frozen=True)
class UserView:
    """Targets and outputs of the network in the terms of the user.

    Parameters
    ----------
    n_outputs : int
        Outputs of the network.
    is_classifier : bool
        Whether they are logits of classes, which are numbered.
    is_multilabel : bool, default=False
        Whether a sample may have several of them.
    shift, scale : ndarray of shape (n_outputs,) or float
        Of standardised targets and outputs.
    """

    n_outputs: int
    is_classifier: bool
    is_multilabel: bool = False
    shift: Any = 0.0
    scale: Any = 1.0

    def outputs(self, output: Tensor) -> Tensor:
        """Logits, or values in the units of the targets."""
        return output if self.is_classifier else self._restore(output)

    def truth(self, y: Tensor) -> Tensor:
        """Numbers of classes, 0 and 1 for each label, or values; a teacher's are left out."""
        if self.is_multilabel:
            return y[:, : self.n_outputs].long()
        if not self.is_classifier:
            return self._restore(y[:, : self.n_outputs])
        return y if y.ndim == 1 else y[:, 0].long()

    def probabilities(self, output: Tensor) -> Tensor:
        """Probabilities of classes or labels, or values."""
        if self.is_multilabel:
            return output.sigmoid()
        return output.softmax(dim=1) if self.is_classifier else output

    def decisions(self, probabilities: np.ndarray) -> np.ndarray:
        """Numbers of classes, 0 and 1 for each label, or values."""
        if self.is_multilabel:
            return (probabilities > 0.5).astype(np.int64)
        return probabilities.argmax(axis=1) if self.is_classifier else probabilities

    def _restore(self, values: Tensor) -> Tensor:
        shift, scale = (
            torch.as_tensor(np.asarray(v), dtype=torch.float64) for v in (self.shift, self.scale)
        )
        return values.double() * scale.to(values.device) + shift.to(values.device)


class ObservedNet(NeuralNet):
    """A skorch net whose callbacks find what they expect, and may change what they may elsewhere.

    Parameters
    ----------
    *args, **kwargs
        As in ``skorch.NeuralNet``.
    run : SparsifierRun
        The sparsifier, attached to the module.
    view : UserView
        Targets and outputs in the terms of the user.
    layout : Layout, default=USUAL
        How rows are given to the module.
    """

    _average: Average | None = None
    _frozen: Tensor | None = None

    def __init__(
        self,
        *args: Any,
        run: SparsifierRun,
        view: UserView,
        layout: Layout = USUAL,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, iterator_valid__batch_size=layout.n_rows, **kwargs)
        self.run = run
        self.view = view
        self.layout = layout
        self._best: dict[str, float] = {}

    @property
    def _default_callbacks(self) -> list[tuple[str, Any]]:
        return []

    def initialize_callbacks(self) -> ObservedNet:
        """Initialise the callbacks and note which events they hear."""
        super().initialize_callbacks()
        self._heard = {
            event
            for event in _EVENTS
            for _, cb in self.callbacks_
            if getattr(getattr(cb, event), "__func__", None) is not getattr(Callback, event)
        }
        return self

    # --- what callbacks are told ------------------------------------------------------------------

    def tell(
        self,
        event: str,
        around: Callable[[], AbstractContextManager[None]] = nullcontext,
        /,
        **words: Any,
    ) -> None:
        """Notify all callbacks; the parameters that they change are trained further.

        Parameters
        ----------
        event : str
            Name of the method of the callbacks.
        around : callable, default=nullcontext
            Makes a context in which the module has the weights to be seen.
        **words
            What they are told.
        """
        if event not in self._heard:
            self.notify(event, **words)
            return
        parameters = self.run.parameters
        with torch.no_grad(), around():
            shown = parameters.values.clone()
            try:
                with torch.enable_grad():
                    self.notify(event, **words)
            finally:
                parameters.reattach()
                values = parameters.values.clone()
        changed = values != shown
        if changed.any():
            self._learn_from(changed, values)

    def _learn_from(self, changed: Tensor, values: Tensor) -> None:
        """Go on with the values of what has changed; pruned weights stay zero."""
        now = self.run.parameters.values
        with torch.no_grad(), nullcontext() if self._average is None else self._average.set_alike():
            now.copy_(torch.where(changed, values, now))
            self.run.take_over(changed[: self.run.n_weights])

    def tell_gradients(self, batch: tuple[Tensor, Tensor]) -> None:
        """Let callbacks see, and change, the gradients of the loss."""
        named = TeeGenerator(self.get_all_learnable_params())
        self.notify("on_grad_computed", named_parameters=named, batch=batch, training=True)
        self.run.parameters.reattach()

    def hears(self, event: str) -> bool:
        """Whether any callback does something at an event."""
        return event in self._heard

    def record_best(self, name: str, value: float) -> None:
        """Record a loss of an epoch and whether it is the least of its phase so far."""
        self.history.record(name, value)
        if self.callbacks_:
            self.history.record(f"{name}_best", bool(value < self._best.get(name, np.inf)))
            self._best[name] = min(value, self._best.get(name, np.inf))

    def restart_callbacks(self) -> None:
        """Let what is best be asked anew: only the last phase has the final sparsity."""
        self._best.clear()
        for _, cb in self.callbacks_:
            if isinstance(cb, ScoringBase | PassthroughScoring):
                cb.best_score_ = np.inf if cb.lower_is_better else -np.inf
            if isinstance(cb, EarlyStopping):
                cb.on_train_begin(self)

    def early_stoppings(self) -> list[EarlyStopping]:
        """The callbacks that end a phase."""
        return [cb for _, cb in self.callbacks_ if isinstance(cb, EarlyStopping)]

    def begin_batch(self, X: Tensor, y: Tensor, *, training: bool) -> None:
        """Tell that a batch begins."""
        tell = self.tell if training else self.notify
        tell("on_batch_begin", batch=(X, self.view.truth(y)), training=training)
        # callbacks may have predicted
        self.module_.train(training)

    def end_batch(
        self, X: Tensor, y: Tensor, output: Tensor, loss: Tensor, *, training: bool
    ) -> None:
        """Record a batch and tell that it is over."""
        prefix = "train" if training else "valid"
        self.history.record_batch(f"{prefix}_loss", loss.item())
        self.history.record_batch(f"{prefix}_batch_size", len(X))
        step = {"loss": loss.detach(), "y_pred": self.view.outputs(output.detach())}
        batch = (X, self.view.truth(y))
        tell = self.tell if training else self.notify
        tell("on_batch_end", batch=batch, training=training, **step)

    # --- parameters that callbacks have frozen ----------------------------------------------------

    def note_frozen(self) -> None:
        """Look which parameters callbacks have frozen."""
        frozen = self.run.parameters.frozen()
        if frozen.all():
            raise ValueError(
                "The callbacks have frozen all parameters of the module, so there is nothing left "
                "to train; freeze fewer of them."
            )
        self._frozen = frozen if frozen.any() else None

    @contextmanager
    def frozen_kept(self) -> Iterator[None]:
        """Around an update: frozen parameters stay as they are, unless they are pruned."""
        if self._frozen is None:
            yield
            return
        run = self.run
        parts = self._frozen.tensor_split([run.n_weights])
        kept = [
            (values, part, values[part])
            for values, part in zip((run.latent.data, run.others.data), parts, strict=True)
        ]
        yield
        for values, part, before in kept:
            values[part] = before
        if run.mask is not None:
            run.weights.mul_(run.mask)

    # --- predictions that callbacks ask for -------------------------------------------------------

    def dataset_of(self, rows: Rows | None) -> Dataset | None:
        """Rows as a dataset of skorch."""
        if rows is None:
            return None
        return Dataset(rows.table.select(rows.index), self.view.truth(rows.y[rows.index]))

    def infer(self, x: Any, **fit_params: Any) -> Tensor:
        """Outputs in the terms of the user."""
        return self.view.outputs(super().infer(x, **fit_params))

    def get_loss(self, *_: Any, **__: Any) -> Any:
        """Refused: the loss has weights and targets that callbacks do not see."""
        raise NotImplementedError(
            "net.get_loss is not available in callbacks; the history has train_loss and valid_loss."
        )

    def _get_predict_nonlinearity(self) -> Any:
        return self.view.probabilities

    def predict(self, X: Any) -> np.ndarray:
        """Numbers of classes, 0 and 1 for each label, or values of shape (n_samples, n_outputs)."""
        return self.view.decisions(self.predict_proba(X))

    def score(self, X: Any, y: Any) -> float:
        """Accuracy, or R2."""
        measure = accuracy_score if self.view.is_classifier else r2_score
        return float(measure(y, self.predict(X)))

    @property
    def classes_(self) -> np.ndarray:
        """Numbers of the classes."""
        if not self.view.is_classifier:
            raise AttributeError("A regressor has no classes.")
        return np.arange(self.view.n_outputs)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        if self.view.is_classifier:
            tags.estimator_type, tags.classifier_tags = "classifier", ClassifierTags()
        else:
            tags.estimator_type, tags.regressor_tags = "regressor", RegressorTags()
        return tags
