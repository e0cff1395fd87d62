"""What the sparse network estimators share: parameters, one fit, one forward pass."""

from __future__ import annotations

import copy
import math
import warnings
from abc import abstractmethod
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.parametrize import is_parametrized

from sksparse._estimator import SparseEstimator
from sksparse._typing import Array, Indices
from sksparse._validation import validate_data
from sksparse.neural_network import _report
from sksparse.neural_network._standardisation import Standardisation
from sksparse.neural_network._targets import check_callbacks, strip_features
from sksparse.neural_network.training._adam import FusedAdam
from sksparse.neural_network.training._data import (
    Rows,
    make_rows,
    make_table,
    merge_equal_rows,
    split_rows,
)
from sksparse.neural_network.training._runtime import draw_seed, resolve_device, training
from sksparse.neural_network.training._trainer import (
    PREDICT_ROWS,
    PhasedNet,
    Score,
    Stopping,
    Updates,
)
from sksparse.sparsifiers import SPARSIFIERS, Sparsifier, SparsifierRun, Task, prunable_tensors
from sksparse.sparsifiers._keep_zeros import KeepZeros


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


class BaseSparseNet(SparseEstimator):
    """A network trained by a skorch net under a sparsifier.

    A subclass says how its module is built (``_build_module``) and described (``_describe``).
    """

    _parameter_constraints: dict = {
        "sparsifier": [StrOptions({n for n in SPARSIFIERS if n is not None}), Sparsifier, None],
        "alpha": [Interval(Real, 0, None, closed="left"), None],
        "target_sparsity": [Interval(Real, 0, 1, closed="left"), None],
        "solver": [StrOptions({"adam", "sgd"})],
        "momentum": [Interval(Real, 0, 1, closed="left")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "learning_rate": [StrOptions({"auto", "constant", "cosine", "step"})],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "ema_decay": [Interval(Real, 0, 1, closed="left")],
        "max_grad_norm": [Interval(Real, 0, None, closed="neither"), None],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "distill_weight": [Interval(Real, 0, 1, closed="both")],
        "callbacks": [list, None],
        "warm_start": ["boolean"],
        "device": [StrOptions({"auto", "cpu", "cuda"})],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }

    _n_fit_levels = 1

    #: How the features are standardised for the network; None where they are not.
    _input_scaling: Standardisation | None

    @abstractmethod
    def _build_module(self, n_features: int, n_outputs: int) -> nn.Module:
        """A module with new weights."""

    def _describe(self, module: nn.Module, scaling: Standardisation | None) -> dict[str, Any]:
        """Fitted attributes that only this kind of network has."""
        return {}

    def _set_start(self, module: nn.Module) -> None:
        """Let a new module return about zero, where its last layer is known."""

    def _adopt_standardisation(
        self, module: nn.Module, train: Rows, scaling: Standardisation
    ) -> None:
        """Let a given module that predicts the targets return standardised values."""

    def _standardise_outputs(self, module: nn.Module, scaling: Standardisation) -> None:
        """Let a fitted module return standardised values again, where it returns values."""

    def _restore_outputs(self, module: nn.Module, scaling: Standardisation) -> None:
        """Let a trained module return values, where its last layer can hold the scaling."""

    def _train(
        self, X: Any, weight: Array, target: TrainingTarget, *, partial: bool = False
    ) -> None:
        """Train on validated data and set the attributes that all estimators share."""
        device = resolve_device(self.device)
        check_callbacks(self.callbacks)
        continues = self._continues(partial=partial)
        X, inputs = strip_features(
            X,
            weight,
            self._input_scaling if continues else None,
            continues=continues,
            partial=partial,
        )
        index, weight = merge_equal_rows(X, target.y, weight)
        seed = draw_seed(self.random_state)
        learn, check = (index, None) if partial else self._split(index, target, seed)
        table = make_table(X, device)
        train = make_rows(table, target.y, weight, learn, device)
        valid = None if check is None else make_rows(table, target.y, weight, check, device)
        with training(seed, device) as use_threads:
            module = self._start_module(X.shape[1], target, partial=partial).to(device)
            self._check_module(module, train, target.n_outputs)
            if target.scaling is not None and not continues:
                self._adopt_standardisation(module, train, target.scaling)
            use_threads(self._resolve_batch_size(len(train)), module)
            net = self._make_net(module, train, target, partial=partial)
            interrupted = net.train_phases(train, valid)
            constant = [] if partial else self._constant_outputs(module.eval(), train, target)
        if interrupted:
            warnings.warn(
                f"Training was interrupted after {len(net.history)} epochs; the network was "
                "made sparse as it stood. Fit again with warm_start=True to continue from here.",
                ConvergenceWarning,
                stacklevel=5,
            )
        self._input_scaling = inputs
        self.input_shift_ = 0.0 if inputs is None else inputs.shift
        self.input_scale_ = 1.0 if inputs is None else inputs.scale
        self._take_over(module.cpu().eval(), net, target.scaling, partial=partial)
        if constant:
            self._warn_of_constants(constant, target.n_outputs)
        elif not (partial or interrupted or self.early_stopping):
            self._warn_if_still_falling()

    def _constant_outputs(
        self, module: nn.Module, train: Rows, target: TrainingTarget
    ) -> list[int]:
        """Outputs that do not depend on the features, of targets that vary."""
        found = _report.constant_outputs(module, train)
        if found and target.scaling is not None:
            y = train.y.index_select(0, train.index)
            found = [j for j in found if (y[:, j] != y[0, j]).any()]
        return found

    def _warn_of_constants(self, outputs: list[int], n_outputs: int) -> None:
        if self.target_sparsity is not None:
            n_left = sum(int((p != 0).sum()) for p in prunable_tensors(self.module_).values())
            remedy = f"lower target_sparsity={self.target_sparsity!r}, which keeps {n_left} weights"
        elif self.sparsifier is not None:
            remedy = f"lower alpha={self.alpha!r} (None is the default of the sparsifier)"
        else:
            remedy = "change learning_rate_init or the activation"
        warnings.warn(
            f"Of the {n_outputs} outputs of the network, {outputs} are the same for all training "
            "rows: no path of weights that are not zero leads to them, or the units on it are "
            f"dead; {remedy}, or scale X.",
            ConvergenceWarning,
            stacklevel=6,
        )

    def _warn_if_still_falling(self) -> None:
        last_phase = self.history_[-1]["phase"]
        losses = [e["loss"] for e in self.history_ if e["phase"] == last_phase]
        span = min(self.n_iter_no_change, len(losses) - 1)
        fall = (losses[-1 - span] - losses[-1]) / span if span else 0.0
        if fall > self.tol and self.n_iter_ >= self.max_iter:
            warnings.warn(
                f"The objective still fell by {fall:.2g} per epoch, more than tol={self.tol:g}, "
                f"when max_iter={self.max_iter} epochs were used up; raise max_iter or "
                "learning_rate_init, or scale X, for example with StandardScaler.",
                ConvergenceWarning,
                stacklevel=6,
            )

    def _split(
        self, index: Indices, target: TrainingTarget, seed: int
    ) -> tuple[Indices, Indices | None]:
        if not self.early_stopping:
            return index, None
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
        return parts

    def _continues(self, *, partial: bool) -> bool:
        """Whether the network of an earlier fit is trained on."""
        return (self.warm_start or partial) and hasattr(self, "module_")

    def _start_module(self, n_features: int, target: TrainingTarget, *, partial: bool) -> nn.Module:
        module = self._build_module(n_features, target.n_outputs)
        if not self._continues(partial=partial):
            if target.scaling is not None:
                self._set_start(module)
            return module
        before = {name: tuple(p.shape) for name, p in self.module_.named_parameters()}
        now = {name: tuple(p.shape) for name, p in module.named_parameters()}
        if before != now:
            verb = "partial_fit" if partial else "warm_start=True"
            raise ValueError(
                f"{verb} cannot continue: the layers had weights of shapes "
                f"{list(before.values())} and would now have {list(now.values())}, with other "
                "units. Keep the layers, the features and the targets, or fit anew."
            )
        module = copy.deepcopy(self.module_)
        if target.scaling is not None:
            self._standardise_outputs(module, target.scaling)
        return module

    def _check_module(self, module: nn.Module, train: Rows, n_outputs: int) -> None:
        """Refuse a module that does not fit the data, and give lazy layers their shapes."""
        if any(is_parametrized(layer) for layer in module.modules()):
            raise ValueError(
                "The module has parametrised layers (torch.nn.utils.parametrize, such as "
                "weight_norm), whose weights are no parameters that could be set to zero; give a "
                "module without."
            )
        normalises = any(isinstance(layer, _BatchNorm) for layer in module.modules())
        if normalises and self._resolve_batch_size(len(train)) == 1:
            raise ValueError(
                "Batch normalisation needs at least 2 rows in a batch, but there is 1: give more "
                f"distinct rows, a larger batch_size than {self.batch_size!r}, or no batch "
                "normalisation."
            )
        with torch.no_grad():
            module.eval()
            X, _, _ = next(train.batches(2))
            try:
                shape = tuple(module(X).shape)
            except (RuntimeError, AttributeError) as error:
                raise ValueError(
                    f"The module {type(module).__name__} cannot be called with rows of shape "
                    f"{tuple(X.shape[1:])}: {error}. Give a module for such rows."
                ) from error
        if shape != (len(X), n_outputs):
            raise ValueError(
                f"The module {type(module).__name__} returns {shape} for {len(X)} rows, but "
                f"{(len(X), n_outputs)} is needed: one output for each class, or for each target "
                "of a regression. Change its last layer."
            )

    def _make_net(
        self, module: nn.Module, train: Rows, target: TrainingTarget, *, partial: bool
    ) -> PhasedNet:
        batch_size = self._resolve_batch_size(len(train))
        task = Task(
            alpha=self.alpha,
            target_sparsity=self.target_sparsity,
            weight_decay=self.weight_decay,
            learning_rate=self.learning_rate_init,
            max_iter=1 if partial else self.max_iter,
            steps_per_epoch=math.ceil(len(train) / batch_size),
            n_samples=len(train),
            scheduled=self.learning_rate != "auto",
        )
        adam = self.solver == "adam"
        moments = {"momentum": self.momentum, "nesterov": self.momentum > 0, "fused": True}
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
            callbacks=copy.deepcopy(self.callbacks),
            run=KeepZeros().attach(module, task) if partial else self._attach(module, task),
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

    def _attach(self, module: nn.Module, task: Task) -> SparsifierRun:
        if isinstance(self.sparsifier, Sparsifier):
            return clone(self.sparsifier).attach(module, task)
        return SPARSIFIERS[self.sparsifier]().attach(module, task)

    def _resolve_batch_size(self, n_rows: int) -> int:
        if self.batch_size == "auto":
            return min(n_rows, max(16, math.ceil(n_rows / 10)), 200)
        return min(n_rows, self.batch_size)

    def _take_over(
        self, module: nn.Module, net: PhasedNet, scaling: Standardisation | None, *, partial: bool
    ) -> None:
        described = self._describe(module, scaling)
        if scaling is not None:
            self._restore_outputs(module, scaling)
        before = getattr(self, "history_", []) if partial else []
        self.module_ = module
        self.history_ = before + [
            {key: value for key, value in epoch.items() if key != "batches"}
            for epoch in net.history.to_list()
        ]
        for number, epoch in enumerate(self.history_, start=1):
            epoch["epoch"] = number
        self._optimizer_states = {self.solver: net.optimizer_state} if partial else {}
        self.n_iter_ = len(self.history_)
        self.loss_ = self.history_[-1]["loss"] if self.history_ else math.nan
        self.sparsity_ = _report.sparsity(module)
        self.density_by_layer_ = _report.density_by_tensor(module)
        for name, value in described.items():
            setattr(self, name, value)

    def _forward(self, X: Any, *, double: bool = False) -> Tensor:
        """The outputs of the network for validated features, in their type or in float64."""
        check_is_fitted(self)
        X = validate_data(
            self,
            X,
            accept_sparse="csr",
            dtype=(np.float64, np.float32),
            allow_nd=self.__sklearn_tags__().input_tags.three_d_array,
            reset=False,
        )
        # A network trained on CUDA can predict where there is none.
        device = resolve_device("cpu" if self.device == "cpu" else "auto")
        module = self.module_
        if self._input_scaling is not None:
            X = self._input_scaling.standardise(X).astype(X.dtype)
        double = double or X.dtype == np.float64
        if double:
            X = X.astype(np.float64, copy=False)
        if double or device.type != "cpu":
            module = copy.deepcopy(module).to(device, torch.float64 if double else torch.float32)
        rows = torch.arange(X.shape[0], device=device)
        table = make_table(X, device)
        with torch.inference_mode():
            parts = [module(table.take(part)) for part in rows.split(PREDICT_ROWS)]
        return torch.cat(parts).cpu()
