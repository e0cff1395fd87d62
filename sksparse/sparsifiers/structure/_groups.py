"""Groups of weights that are removed as a whole: which to remove, and what is then left."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod

import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from sksparse.sparsifiers.structure._target import Target

#: A share of the dense network is met up to rounding.
_ROUNDING = 1e-12


class Groups(ABC):
    """Groups of weights, of several layers, of which each is kept or removed as a whole.

    Attributes
    ----------
    n_units : int
        Number of groups, numbered layer by layer from 0.
    layer : torch.Tensor of shape (n_units,)
        The number of the layer of each group.
    layer_names : list of str
        The layers by their numbers.
    """

    #: Whether the best group of each layer stays in any case.
    keeps_layers = True
    #: What a group is called in messages.
    noun = "group"

    n_units: int
    layer: Tensor
    layer_names: list[str]

    @abstractmethod
    def sums(self, values: Tensor) -> Tensor:
        """For each group the sum over its weights.

        Parameters
        ----------
        values : torch.Tensor of shape (n_parameters,) or (n_weights,)
            A flat tensor over all parameters, or over the prunable weights alone.

        Returns
        -------
        sums : torch.Tensor of shape (n_units,)
        """

    @abstractmethod
    def mask(self, keep: Tensor) -> Tensor:
        """What is left of all parameters when only some groups are kept.

        Parameters
        ----------
        keep : torch.Tensor of shape (n_units,)
            Boolean.

        Returns
        -------
        mask : torch.Tensor of shape (n_parameters,)
            Boolean.
        """

    @abstractmethod
    def left(self, keep: Tensor, measure: str) -> float:
        """The share of the dense network that is left when only some groups are kept.

        Parameters
        ----------
        keep : torch.Tensor of shape (n_units,)
            Boolean.
        measure : {"weights", "flops", "units"}
            What is counted, as in ``Target``.

        Returns
        -------
        share : float
        """

    def relative(self, scores: Tensor) -> Tensor:
        """Scores over their root mean square in each layer, so that layers compare.

        Layers differ in the number of weights of a group and in the scale of these. Zeros do not
        count: where groups are removed in rounds, the scale is that of the others.
        """
        n_layers = len(self.layer_names)
        squares = scores.new_zeros(n_layers).index_add_(0, self.layer, scores.square())
        counts = scores.new_zeros(n_layers).index_add_(0, self.layer, (scores != 0).to(scores))
        scale = (squares / counts.clamp(min=1)).sqrt_()
        return scores / torch.where(scale > 0, scale, 1.0)[self.layer]

    def ranks_in_layers(self, scores: Tensor) -> Tensor:
        """For each group the share of the groups of its layer with a smaller score, plus half."""
        shares = torch.empty_like(scores, dtype=torch.float64)
        for units in self.by_layer():
            order = torch.argsort(scores[units], stable=True)
            places = torch.arange(len(units), device=scores.device, dtype=torch.float64)
            shares[units[order]] = (places + 0.5) / len(units)
        return shares

    def choose(self, scores: Tensor, target: Target) -> Tensor:
        """The groups of largest scores, as many as a target allows.

        The best group of each layer is kept in any case where ``keeps_layers``, so that no
        layer is emptied.

        Parameters
        ----------
        scores : torch.Tensor of shape (n_units,)
            The larger, the better.
        target : Target
            What may be left.

        Returns
        -------
        keep : torch.Tensor of shape (n_units,)
            Boolean.
        """
        order = self._removal_order(scores)
        low, high = 0, len(order)
        while low < high:
            middle = (low + high) // 2
            if self.left(self._without(order[:middle]), target.measure) <= target.left + _ROUNDING:
                high = middle
            else:
                low = middle + 1
        return self._without(order[:low])

    def guarded(self, keep: Tensor, scores: Tensor, *, warns: bool = True) -> Tensor:
        """Keep the best group of each layer that would lose all of them.

        Parameters
        ----------
        keep : torch.Tensor of shape (n_units,)
            Boolean: the groups that are to be kept.
        scores : torch.Tensor of shape (n_units,)
            The larger, the better.
        warns : bool, default=True
            Whether to warn of it.

        Returns
        -------
        kept : torch.Tensor of shape (n_units,)
            Boolean: those, and the rescued ones.
        """
        kept = keep | self.best_of_emptied(keep, scores)
        emptied = self.layer[kept & ~keep].tolist()
        if emptied and warns:
            names = ", ".join(repr(self.layer_names[number]) for number in emptied)
            warnings.warn(
                f"At this strength no {self.noun} of {names} would be left; the best one of each "
                "was kept. Lower alpha, or ask for a target.",
                ConvergenceWarning,
                stacklevel=3,
            )
        return kept

    def best_of_emptied(self, keep: Tensor, scores: Tensor) -> Tensor:
        """The best group of each layer of which none is kept, where a layer may not be emptied."""
        best = torch.zeros_like(keep)
        if self.keeps_layers:
            for units in self.by_layer():
                if not keep[units].any():
                    best[units[scores[units].argmax()]] = True
        return best

    def check_target(self, target: Target) -> None:
        """Refuse a target that cannot be met.

        Raises
        ------
        ValueError
            It says the least share that is possible, one group in each layer.
        """
        order = self._removal_order(torch.zeros(self.n_units, device=self.layer.device))
        least = self.left(self._without(order), target.measure)
        if least > target.left + _ROUNDING:
            one_each = (
                f"with one {self.noun} left in each of the {len(self.layer_names)} layers, "
                if self.keeps_layers
                else f"with none of the {self.n_units} {self.noun}s left, "
            )
            raise ValueError(
                f"{target.option} cannot be met with {self.noun}s alone: {one_each}"
                f"{least:.3g} of the {target.measure} of the dense network are left. "
                f"{target.remedy(least)}"
            )

    def warn_if_above(self, target: Target, keep: Tensor) -> None:
        """Warn where a strength asks for less than what is left, since no layer is emptied."""
        left = self.left(keep, target.measure)
        if left > target.left + _ROUNDING:
            warnings.warn(
                f"A share {target.left:.3g} of the {target.measure} is asked for by alpha, but "
                f"{left:.3g} are left, since the best {self.noun} of each layer is kept. Lower "
                "alpha.",
                ConvergenceWarning,
                stacklevel=3,
            )

    def by_layer(self) -> list[Tensor]:
        """The numbers of the groups of each layer."""
        return [(self.layer == n).nonzero().squeeze(1) for n in range(len(self.layer_names))]

    def _without(self, removed: Tensor) -> Tensor:
        keep = torch.ones(self.n_units, dtype=torch.bool, device=self.layer.device)
        keep[removed] = False
        return keep

    def _removal_order(self, scores: Tensor) -> Tensor:
        """Groups by rising score, without the best one of each layer that is to be kept."""
        order = torch.argsort(scores, stable=True)
        best = self.best_of_emptied(torch.zeros_like(scores, dtype=torch.bool), scores)
        return order[~best[order]]
