"""One fit of a network: from validated data to a trained module."""

from __future__ import annotations

import copy
import functools
import math
import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from torch import nn

from sksparse._estimator import SparseEstimator
from sksparse._interrupts import check, worth_keeping
from sksparse._typing import Array, Indices
from sksparse.neural_network._targets import in_float32, strip_features
from sksparse.neural_network.fitted._size import Size
from sksparse.neural_network.training._adam import FusedAdam
from sksparse.neural_network.training._callbacks import (
    check_callbacks,
    copied_callbacks,
    has_schedule,
)
from sksparse.neural_network.training._data import (
    Rows,
    make_rows,
    make_table,
    merge_equal_rows,
    split_rows,
)
from sksparse.neural_network.training._held_out import HeldOut, split_groups
from sksparse.neural_network.training._layout import Layout, layout_of
from sksparse.neural_network.training._observed import UserView
from sksparse.neural_network.training._runtime import draw_seed, resolve_device, training
from sksparse.neural_network.training._standardisation import Standardisation
from sksparse.neural_network.training._trainer import PhasedNet, Score
from sksparse.neural_network.training._updates import Stopping, Updates
from sksparse.sparsifiers import SPARSIFIERS, Sparsifier, SparsifierRun, Task
from sksparse.sparsifiers._keep_zeros import KeepZeros

#: Rows from which the shapes between the layers of a module are found.
_EXAMPLE_ROWS = 3


@dataclass(frozen=True)
class TrainingTarget:
    """What the network is trained for: encoded targets, and how their fit is measured."""

    y: Indices | Array
    n_outputs: int
    criterion: nn.Module
    score: Score
    #: The class of each row, where a split is to be stratified.
    labels: Indices | None = None
    #: How `y` was standardised, where it was.
    scaling: Standardisation | None = None
    #: Fitted attributes that follow from the targets alone.
    attributes: dict[str, Any] = field(default_factory=dict)

    @property
    def view(self) -> UserView:
        """How callbacks see targets and outputs."""
        if self.scaling is None:
            return UserView(self.n_outputs, is_classifier=True, is_multilabel=self.labels is None)
        shift, scale = self.scaling.shift, self.scaling.scale
        return UserView(self.n_outputs, is_classifier=False, shift=shift, scale=scale)


class TrainedNet(SparseEstimator):
    """What happens in a fit of a network, whatever it is and whatever its targets are."""

    def _train(
        self,
        X: Any,
        weight: Array,
        target: TrainingTarget,
        *,
        held_out: HeldOut | None = None,
        groups: Any = None,
        partial: bool = False,
    ) -> None:
        """Train on validated data and set the fitted attributes."""
        self._check_targets()
        device = resolve_device(self.device)
        validates = self.early_stopping and not partial
        check_callbacks(
            self.callbacks,
            self.learning_rate,
            validates=validates,
            shrinks=self.compact_during and not partial,
        )
        continues = self._continues(partial=partial)
        X, inputs = strip_features(
            X,
            weight,
            self._input_scaling if continues else None,
            continues=continues,
            partial=partial,
        )
        seed = draw_seed(self.random_state)
        size = self._network.size if continues else Size(X.shape[1:])
        n_features, X = X.shape[1], size.pick(X)
        table = make_table(X, device)
        rows = lambda part, w: make_rows(table, target.y, w, part, device)  # noqa: E731
        valid = None
        if groups is not None:
            parts = split_groups(groups, target.labels, weight, self.validation_fraction, seed)
            train, valid = (rows(*merge_equal_rows(X, target.y, part)) for part in parts)
        else:
            index, weight = merge_equal_rows(X, target.y, weight)
            splits = validates and held_out is None
            learn, rest = self._split(index, target, seed) if splits else (index, None)
            train = rows(learn, weight)
            valid = None if rest is None else rows(rest, weight)
        if held_out is not None:
            valid = _held_out_rows(held_out, inputs, size, device)
        with training(seed, device) as use_threads:
            module = self._start_module(n_features, target, partial=partial).to(device)
            if not continues:
                self._prepare_module(module, train)
            self._check_module(module, train, target.n_outputs)
            if target.scaling is not None and not continues:
                self._adopt_standardisation(module, train, target.scaling)
            use_threads(self._resolve_batch_size(len(train)), module)
            layout = layout_of(module, train.first(_EXAMPLE_ROWS))
            shrinks = (self.compact or self.compact_during) and not partial
            if shrinks:
                # what cannot be followed is refused here
                size = size.measured(module)
            net = self._make_net(module, train, target, inputs, size, layout, partial=partial)
            interrupted = net.train_phases(train, valid)
            constant = [] if partial else self._constant_outputs(module.eval(), train, target)
        module = module.cpu().eval()
        if shrinks:
            module, size = size.compacted(module)
            interrupted |= self._was_interrupted()
        if interrupted:
            warnings.warn(
                f"Training was interrupted after {len(net.history)} epochs; the network was "
                "made sparse as it stood. Fit again with warm_start=True to continue from here.",
                ConvergenceWarning,
                stacklevel=5,
            )
        if shrinks or device.type != "cpu":
            layout = layout_of(module, size.example())
        self._set_input_scaling(inputs)
        self._take_over(module, net, target.scaling, size, layout, partial=partial)
        self._adopt(target.attributes)
        if constant:
            self._warn_of_constants(constant, target.n_outputs)
        elif not (partial or interrupted or self.early_stopping):
            self._warn_if_still_falling()

    def _was_interrupted(self) -> bool:
        """Whether a signal has arrived since training ended, and the network is to be kept."""
        try:
            check()
        except KeyboardInterrupt:
            if not worth_keeping():
                raise
            return True
        return False

    def _split(self, index: Indices, target: TrainingTarget, seed: int) -> tuple[Indices, Indices]:
        labels = None if target.labels is None else target.labels[index]
        n_valid = math.ceil(self.validation_fraction * len(index))
        parts = split_rows(index, labels, n_valid, seed)
        if parts is None:
            raise ValueError(
                f"early_stopping=True with validation_fraction={self.validation_fraction!r} "
                f"cannot set any of {len(index)} distinct samples aside and keep others of every "
                "class to learn from; change validation_fraction, give more samples or use "
                "early_stopping=False."
            )
        if target.labels is not None:
            classes = np.unique(target.labels[index])
            n_missing = len(np.setdiff1d(classes, target.labels[parts[1]]))
            if n_missing:
                warnings.warn(
                    f"early_stopping=True: {n_missing} of {len(classes)} classes have too few "
                    "distinct samples to be in the validation rows; they are trained on, but not "
                    "scored. Raise validation_fraction or give more samples of them.",
                    UserWarning,
                    stacklevel=6,
                )
        return parts

    def _make_net(
        self,
        module: nn.Module,
        train: Rows,
        target: TrainingTarget,
        inputs: Standardisation | None,
        size: Size,
        layout: Layout,
        *,
        partial: bool,
    ) -> PhasedNet:
        rates_given = has_schedule(self.callbacks)
        batch_size = self._resolve_batch_size(len(train))
        adam = self.solver == "adam"
        task = Task(
            alpha=self.alpha,
            weight_decay=self.weight_decay,
            learning_rate=self.learning_rate_init,
            max_iter=1 if partial else self.max_iter,
            steps_per_epoch=math.ceil(len(train) / batch_size),
            n_samples=len(train),
            scheduled=self.learning_rate != "auto" or rates_given,
            **self._targets(module, size, partial=partial),
            example=train.first(_EXAMPLE_ROWS),
            is_adaptive=adam,
            momentum=0.0 if adam else self.momentum,
        )
        moments = {"momentum": self.momentum, "nesterov": self.momentum > 0, "fused": True}
        run = KeepZeros().attach(module, task) if partial else self._attach(module, task)
        run.n_dense_weights = sum(size.weights(module).values())
        net = PhasedNet(
            module,
            criterion=target.criterion,
            optimizer=FusedAdam if adam else torch.optim.SGD,
            **{} if adam else {f"optimizer__{k}": v for k, v in moments.items()},
            lr=self.learning_rate_init,
            batch_size=batch_size,
            train_split=None,
            device=str(train.index.device),
            verbose=int(self.verbose),
            callbacks=copied_callbacks(self.callbacks),
            max_epochs=task.max_iter,
            view=target.view,
            layout=layout,
            name=type(self).__name__,
            rates_given=rates_given,
            compacts=self.compact_during and not partial,
            attributes=functools.partial(self._attributes_of, target, inputs, size),
            run=run,
            score=target.score,
            stopping=Stopping(self.n_iter_no_change, self.tol),
            updates=Updates(
                self.learning_rate if not partial else "constant",
                self.ema_decay,
                self.max_grad_norm,
                getattr(self, "_optimizer_states", {}).get(self.solver) if partial else None,
            ),
        )
        return net.initialize()

    def _attributes_of(
        self, target: TrainingTarget, inputs: Standardisation | None, size: Size, net: PhasedNet
    ) -> dict[str, Any]:
        """The fitted attributes, if training ended with the weights that the module has now."""
        fitted = copy.copy(self)
        fitted._set_input_scaling(inputs)
        module = copy.deepcopy(net.module_).cpu().eval()
        fitted._take_over(module, net, target.scaling, size, net.layout, partial=False)
        fitted._adopt(target.attributes)
        return dict(vars(fitted))

    def _targets(self, module: nn.Module, size: Size, *, partial: bool) -> dict[str, float | None]:
        """What is to be left, as shares of the module that is trained."""
        if partial:
            # what is zero stays so
            return {"target_sparsity": None}
        sparsity, flops, units = self.target_sparsity, self.target_flops, self.target_units
        if self._continues(partial=False):
            left = size.left(module)
            sparsity = None if sparsity is None else max(0.0, 1 - (1 - sparsity) / left["weights"])
            flops = None if flops is None else min(1.0, flops / left["flops"])
            # without any unit there is nothing to remove
            units = None if units is None else min(1.0, units / (left["units"] or 1.0))
        return {"target_sparsity": sparsity, "target_flops": flops, "target_units": units}

    def _attach(self, module: nn.Module, task: Task) -> SparsifierRun:
        sparsifier = self._configured_sparsifier()
        run = sparsifier.attach(module, task)
        if self.compact_during and not run.compacts:
            raise ValueError(
                "compact_during=True needs a method that takes whole units away while it trains, "
                f"which {sparsifier!r} does not; choose one that does, such as "
                "sparsifier='filters' or 'group' with granularity='unit', or compact=True, which "
                "waits for the end."
            )
        return run

    def _configured_sparsifier(self) -> Sparsifier:
        given = isinstance(self.sparsifier, Sparsifier)
        sparsifier = clone(self.sparsifier) if given else SPARSIFIERS[self.sparsifier]()
        if self.granularity is None:
            return sparsifier
        return sparsifier.with_granularity(self.granularity)

    def _check_targets(self) -> None:
        """Refuse more than one target."""
        names = ("target_sparsity", "target_flops", "target_units")
        given = [f"{n}={getattr(self, n)!r}" for n in names if getattr(self, n) is not None]
        if len(given) > 1:
            raise ValueError(
                f"{' and '.join(given)} are several targets, which one network may not meet "
                "together; give one of them and leave the others None."
            )

    def _resolve_batch_size(self, n_rows: int) -> int:
        if self.batch_size == "auto":
            return min(n_rows, max(16, math.ceil(n_rows / 10)), 200)
        return min(n_rows, self.batch_size)


def _held_out_rows(
    held_out: HeldOut, inputs: Standardisation | None, size: Size, device: torch.device
) -> Rows:
    """Validation rows of the user, standardised as the training rows are."""
    X = held_out.X
    if inputs is not None:
        X = inputs.standardise(X.toarray() if sparse.issparse(X) else X)
    X = size.pick(in_float32(X))
    index, weight = merge_equal_rows(X, held_out.y, held_out.weight)
    return make_rows(make_table(X, device), held_out.y, weight, index, device)
