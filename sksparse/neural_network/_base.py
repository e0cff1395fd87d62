"""What the sparse network estimators share: parameters, one fit, one forward pass."""

from __future__ import annotations

import copy
import math
import warnings
from abc import abstractmethod
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval, StrOptions
from torch import nn

from sksparse._typing import Array, Indices
from sksparse._validation import validate_data
from sksparse.compression.codebooks._network import NetworkParts
from sksparse.neural_network._module_checks import (
    check_batch_size,
    check_outputs,
    check_parameters,
)
from sksparse.neural_network._training import TrainedNet, TrainingTarget
from sksparse.neural_network.fitted import _report
from sksparse.neural_network.fitted._network import FittedNetwork
from sksparse.neural_network.fitted._size import Size
from sksparse.neural_network.fitted._storage import as_arrays, as_tensors
from sksparse.neural_network.training._data import Rows, row_blocks
from sksparse.neural_network.training._layout import Layout
from sksparse.neural_network.training._runtime import resolve_device
from sksparse.neural_network.training._standardisation import Standardisation
from sksparse.neural_network.training._trainer import PhasedNet
from sksparse.serving._head import Head
from sksparse.sparsifiers import SPARSIFIERS, Sparsifier, prunable_tensors


class BaseSparseNet(TrainedNet):
    """A network trained by a skorch net under a sparsifier.

    A subclass says how its module is built (``_build_module``) and described (``_describe``).
    """

    _parameter_constraints: dict = {
        "sparsifier": [StrOptions({n for n in SPARSIFIERS if n is not None}), Sparsifier, None],
        "alpha": [Interval(Real, 0, None, closed="left"), None],
        "target_sparsity": [Interval(Real, 0, 1, closed="left"), None],
        "target_flops": [Interval(Real, 0, 1, closed="right"), None],
        "target_units": [Interval(Real, 0, 1, closed="right"), None],
        "granularity": [str, None],
        "compact": ["boolean"],
        "compact_during": ["boolean"],
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

    _network: FittedNetwork
    _optimizer_states: dict[str, Any]

    @property
    def module_(self) -> nn.Module:
        """The fitted network on the CPU."""
        return self._fitted_network("module_").share()

    @module_.setter
    def module_(self, module: nn.Module) -> None:
        try:
            size = self._network.size
        except AttributeError:
            # nothing is known of X
            size = Size(())
        self._network = FittedNetwork(module, is_shared=True, size=size)

    @property
    def input_columns_(self) -> Indices:
        """The columns of X that ``module_`` takes."""
        size = self._fitted_network("input_columns_").size
        return np.arange(size.row_shape[0]) if size.columns is None else size.columns.copy()

    def _fitted_network(self, name: str) -> FittedNetwork:
        try:
            return self._network
        except AttributeError:
            raise AttributeError(
                f"{type(self).__name__} has no {name}: it is not fitted."
            ) from None

    def _parts(self) -> NetworkParts:
        made = self._without_waste()
        network = made._network
        module = network.module
        inputs, outputs = self._input_scaling, self._output_scaling()
        if outputs is not None:
            # a codebook would lose what is small beside a large shift
            module = copy.deepcopy(module)
            made._standardise_outputs(module, outputs)
        head = Head(
            **self._outputs_of_head(),
            row_shape=network.size.row_shape,
            names=tuple(vars(self).get("feature_names_in_", ())),
            columns=network.size.columns,
            input_shift=None if inputs is None else inputs.shift,
            input_scale=None if inputs is None else inputs.scale,
            output_shift=None if outputs is None else outputs.shift,
            output_scale=None if outputs is None else outputs.scale,
        )
        dense_nbytes = 4 * made._n_dense_parameters()
        return NetworkParts(module, network.size.example(), head, dense_nbytes)

    def _without_waste(self) -> Self:
        """The same without what contributes nothing to predictions."""
        return self

    def _n_dense_parameters(self) -> int:
        """Numbers that the dense network learns."""
        shapes = self._network.size.shapes(self._network.module).values()
        return sum(math.prod(shape) for shape in shapes)

    @abstractmethod
    def _outputs_of_head(self) -> dict[str, Any]:
        """What outputs of the network stand for, as parameters of a ``Head``."""

    def _output_scaling(self) -> Standardisation | None:
        """How targets were standardised for the fitted network, where they were."""
        return None

    @abstractmethod
    def _build_module(self, n_features: int, n_outputs: int) -> nn.Module:
        """A module with new weights."""

    def _prepare_module(self, module: nn.Module, train: Rows) -> None:
        """Set what a new module takes of the rows before it is trained on them."""

    def _describe(
        self, module: nn.Module, scaling: Standardisation | None, size: Size
    ) -> dict[str, Any]:
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

    def _set_input_scaling(self, inputs: Standardisation | None) -> None:
        self._input_scaling = inputs
        self.input_shift_ = 0.0 if inputs is None else inputs.shift
        self.input_scale_ = 1.0 if inputs is None else inputs.scale

    def _constant_outputs(
        self, module: nn.Module, train: Rows, target: TrainingTarget
    ) -> list[int]:
        """Outputs that do not depend on the features, of targets that vary."""
        found = _report.constant_outputs(module, train)
        if found and target.labels is None:
            y = train.y.index_select(0, train.index)
            found = [j for j in found if (y[:, j] != y[0, j]).any()]
        return found

    def _warn_of_constants(self, outputs: list[int], n_outputs: int) -> None:
        if self.target_sparsity is not None:
            n_left = sum(
                int((p != 0).sum()) for p in prunable_tensors(self._network.module).values()
            )
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

    def _continues(self, *, partial: bool) -> bool:
        """Whether the network of an earlier fit is trained on."""
        return (self.warm_start or partial) and hasattr(self, "_network")

    def _start_module(self, n_features: int, target: TrainingTarget, *, partial: bool) -> nn.Module:
        module = self._build_module(n_features, target.n_outputs)
        if not self._continues(partial=partial):
            if target.scaling is not None:
                self._set_start(module)
            return module
        before = self._network.size.shapes(self._network.module)
        now = {name: tuple(p.shape) for name, p in module.named_parameters()}
        if before != now:
            verb = "partial_fit" if partial else "warm_start=True"
            raise ValueError(
                f"{verb} cannot continue: the layers had weights of shapes "
                f"{list(before.values())} and would now have {list(now.values())}, with other "
                "units. Keep the layers, the features and the targets, or fit anew."
            )
        module = copy.deepcopy(self._network.module)
        if target.scaling is not None:
            self._standardise_outputs(module, target.scaling)
        return module

    def _check_module(self, module: nn.Module, train: Rows, n_outputs: int) -> None:
        """Refuse a module that does not fit the data, and give lazy layers their shapes."""
        check_parameters(module)
        check_batch_size(module, self._resolve_batch_size(len(train)), self.batch_size)
        X, _, _ = next(train.batches(2))
        check_outputs(module, X, n_outputs)

    def _adopt_module(
        self,
        module: nn.Module,
        scaling: Standardisation | None,
        size: Size,
        layout: Layout,
        *,
        is_shared: bool = False,
    ) -> None:
        """Take a trained module, which returns standardised values, for the fitted one."""
        described = self._describe(module, scaling, size)
        if scaling is not None:
            self._restore_outputs(module, scaling)
        self._network = FittedNetwork(module, is_shared=is_shared, layout=layout, size=size)
        weights = size.weights(module)
        self.sparsity_ = _report.sparsity(module, weights)
        self.density_by_layer_ = _report.density_by_tensor(module, weights)
        self._adopt(described)

    def _take_over(
        self,
        module: nn.Module,
        net: PhasedNet,
        scaling: Standardisation | None,
        size: Size,
        layout: Layout,
        *,
        partial: bool,
    ) -> None:
        # a callback may have kept the module
        self._adopt_module(module, scaling, size, layout, is_shared=bool(self.callbacks))
        before = getattr(self, "history_", []) if partial else []
        self.history_ = before + [
            {key: value for key, value in epoch.items() if key != "batches"}
            for epoch in net.history.to_list()
        ]
        for number, epoch in enumerate(self.history_, start=1):
            epoch["epoch"] = number
        self._optimizer_states = {self.solver: net.optimizer_state} if partial else {}
        self.n_iter_ = len(self.history_)
        self.loss_ = self.history_[-1]["loss"] if self.history_ else math.nan

    def _forward(self, X: Any, *, double: bool = False) -> Array:
        """The outputs of a fitted network for features, in their type or in float64."""
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
        if self._input_scaling is not None:
            X = self._input_scaling.standardise(X).astype(X.dtype)
        if double:
            X = X.astype(np.float64, copy=False)
        run = self._network.runner(X.dtype, X.ndim, device)
        outputs = [run(rows) for rows in row_blocks(X, self._network.rows_at_once(device))]
        return outputs[0] if len(outputs) == 1 else np.concatenate(outputs)

    def __getstate__(self) -> dict[str, Any]:
        return {name: as_arrays(value) for name, value in super().__getstate__().items()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__({name: as_tensors(value) for name, value in state.items()})
