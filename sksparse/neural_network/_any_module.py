"""What the estimators for a module of the user's own share."""

from __future__ import annotations

import copy
import inspect
from typing import Any

from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted
from torch import nn

from sksparse._typing import Array
from sksparse.neural_network._base import BaseSparseNet
from sksparse.neural_network._units import Units


class ModuleMixin(BaseSparseNet):
    """A module that is given, or a function that makes one."""

    _parameter_constraints: dict = {"module": [nn.Module, callable]}

    def _build_module(self, n_features: int, n_outputs: int) -> nn.Module:
        if isinstance(self.module, nn.Module):
            return copy.deepcopy(self.module)
        try:
            inspect.signature(self.module).bind(n_features, n_outputs)
        except TypeError as error:
            raise ValueError(
                f"module={self.module!r} cannot be called with the numbers of features and of "
                f"outputs: {error}. Give a function of these two, or a torch.nn.Module."
            ) from error
        except ValueError:
            # some callables have no signature to look at
            pass
        module = self.module(n_features, n_outputs)
        if not isinstance(module, nn.Module):
            raise ValueError(
                f"module={self.module!r} returned {module!r} for {n_features} features and "
                f"{n_outputs} outputs; it must return a torch.nn.Module."
            )
        return module

    def _predict_values(self, X: Any) -> Array:
        check_is_fitted(self)
        units = self._targets
        # float32 would lose what is small beside a large shift
        numbers = self._forward(X, double=units.is_wide).numpy()
        return units.back(numbers).astype(numbers.dtype)

    def _describe(self, module: nn.Module, units: Units | None) -> dict[str, Any]:
        if units is None:
            return {}
        return {"target_shift_": units.shift, "target_scale_": units.scale}

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags
