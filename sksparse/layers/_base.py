"""What linear layers with fewer parameters than weights have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn


class CompressedLinear(nn.Module, ABC):
    """A linear layer that is learned and stored in fewer numbers than it has weights.

    Parameters
    ----------
    in_features, out_features : int
        Numbers of inputs and outputs.
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features

    @abstractmethod
    def dense(self) -> tuple[Tensor, Tensor]:
        """The weight of shape (out_features, in_features) and the bias that it stands for."""

    @property
    @abstractmethod
    def n_stored(self) -> int:
        """Numbers that a file has to hold, beside a few for the whole layer."""

    @property
    def n_dense_parameters(self) -> int:
        """Weights and biases of the linear layer that it stands for."""
        return self.out_features * (self.in_features + 1)
