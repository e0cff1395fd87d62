"""The size of fitted networks of which units can be dead, and networks without these."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from sklearn.utils.validation import check_is_fitted

from sksparse.compression import CompactResult
from sksparse.neural_network._base import BaseSparseNet
from sksparse.neural_network.fitted._size import DenseSize
from sksparse.neural_network.training._layout import layout_of


class SizedNet(BaseSparseNet):
    """A network that may lose whole units: its FLOPs and units, and itself without dead ones."""

    @property
    def flops_(self) -> int:
        """FLOPs for one row without dead units: two for each multiplication by a weight."""
        return round(2 * self._without_dead_units("flops_").multiply_adds[0])

    @property
    def n_units_(self) -> dict[str, int]:
        """Units of each hidden layer that are not dead, by the name of the layer."""
        network = self._fitted_network("n_units_")
        with self._named("n_units_"):
            return network.size.n_units(network.module)

    @property
    def dense_flops_(self) -> int:
        """The same as ``flops_`` for the network that was asked for."""
        dense = self._dense_size("dense_flops_")
        return round(2 * dense.multiply_adds)

    @property
    def dense_n_units_(self) -> dict[str, int]:
        """The same as ``n_units_`` for the network that was asked for."""
        return dict(self._dense_size("dense_n_units_").units)

    @property
    def layer_sizes_(self) -> dict[str, dict[str, tuple[float, float]]]:
        """For each layer its "units", "parameters" and "flops": without dead units, and dense."""
        network = self._fitted_network("layer_sizes_")
        with self._named("layer_sizes_"):
            return network.size.layer_sizes(network.module)

    @contextmanager
    def _named(self, name: str) -> Iterator[None]:
        """What cannot be followed is no attribute of the estimator."""
        try:
            yield
        except ValueError as error:
            raise AttributeError(f"{type(self).__name__} has no {name}: {error}") from error

    def _without_dead_units(self, name: str) -> CompactResult:
        network = self._fitted_network(name)
        with self._named(name):
            return network.size.measure(network.module)

    def _dense_size(self, name: str) -> DenseSize:
        network = self._fitted_network(name)
        return network.size.dense_of(network.module, self._without_dead_units(name))

    def compacted(self) -> Self:
        """A fitted estimator with the same predictions, whose ``module_`` has no dead units.

        A unit (neuron, filter, channel, state of a recurrent layer) is taken out where nothing
        reads it, or where it emits a constant, which is added to the biases behind it. Features
        that nothing reads are dropped from ``module_`` where X has two dimensions: see
        ``input_columns_``; the estimator itself takes the same X as before. ``partial_fit``, and
        ``fit`` with ``warm_start=True``, go on with the small network.

        Returns
        -------
        compacted : object
            An estimator of this class with the same parameters. This one is left as it is.

        Raises
        ------
        ValueError
            Where it cannot be followed which units of the layers of ``module_`` belong together;
            it names the part of the module and the line.
        """
        check_is_fitted(self)
        made = copy.copy(self)
        module = copy.deepcopy(self._network.module).eval()
        scaling = self._output_scaling()
        if scaling is not None:
            self._standardise_outputs(module, scaling)
        module, size = self._network.size.compacted(module)
        made._adopt_module(module, scaling, size, layout_of(module, size.example()))
        # moments of other shapes
        made._optimizer_states = {}
        return made

    def _without_waste(self) -> Self:
        return self.compacted()
