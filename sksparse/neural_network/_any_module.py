"""What the estimators for a module of the user's own share."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import Tags
from torch import nn

from sksparse.module_graph import ModuleGraph
from sksparse.neural_network._module_checks import call_factory, check_parameters, copy_module
from sksparse.neural_network._regression import RestoredOutputs
from sksparse.neural_network._sized import SizedNet
from sksparse.neural_network.training._data import Rows
from sksparse.neural_network.training._layout import PREDICT_ROWS
from sksparse.neural_network.training._standardisation import Standardisation, standardise_outputs

#: A module whose error is at most this share of the variance predicts the targets.
_LARGEST_ERROR = 0.9


class ModuleMixin(RestoredOutputs, SizedNet):
    """A module that is given, or a function that makes one."""

    _parameter_constraints: dict = {"module": [nn.Module, callable]}

    def _build_module(self, n_features: int, n_outputs: int) -> nn.Module:
        if isinstance(self.module, nn.Module):
            # what computes weights before each call leaves tensors that cannot be copied
            check_parameters(self.module)
            return copy_module(self.module)
        return call_factory(self.module, n_features, n_outputs)

    def _adopt_standardisation(
        self, module: nn.Module, train: Rows, scaling: Standardisation
    ) -> None:
        if not isinstance(self.module, nn.Module):
            return
        as_standardised, as_values = _squared_errors(module.eval(), train, scaling)
        if as_values > _LARGEST_ERROR or as_values > 0.5 * as_standardised:
            return
        last = _last_layer(module, train)
        if type(last) is nn.Linear and last.bias is not None:
            standardise_outputs(last, scaling)
            return
        warnings.warn(
            f"The module {type(module).__name__} predicts y already, but it is trained to return "
            "(y - target_shift_) / target_scale_, and its last call is no nn.Linear with a bias "
            "that could hold these; standardise y.",
            ConvergenceWarning,
            stacklevel=6,
        )

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags


def _last_layer(module: nn.Module, rows: Rows) -> nn.Module | None:
    """The layer whose output a module returns, if it is known and called once."""
    steps = ModuleGraph(module, rows.first(1)).steps
    if not steps or [step.layer for step in steps].count(steps[-1].layer) > 1:
        return None
    return steps[-1].layer


def _squared_errors(module: nn.Module, rows: Rows, scaling: Standardisation) -> tuple[float, float]:
    """Mean squared errors of outputs taken as standardised values, and taken as values."""
    sums = np.zeros(2)
    with torch.no_grad():
        for X, y, weight in rows.batches(PREDICT_ROWS):
            output = module(X).cpu().double().numpy()
            truth = y[:, : output.shape[1]].cpu().double().numpy()
            share = np.ones(len(X)) if weight is None else weight.cpu().double().numpy()
            for k, read in enumerate((output, scaling.standardise(output))):
                sums[k] += share @ ((read - truth) ** 2).mean(axis=1)
    return sums[0] / len(rows), sums[1] / len(rows)
