"""What a network is to those who write it down in another format."""

from __future__ import annotations

from typing import Protocol

from sksparse._typing import Array
from sksparse.serving._program import Program


class Network(Protocol):
    """Something with a program and its tensors, as a ``Predictor`` and a compressed network."""

    @property
    def program(self) -> Program:
        """What is computed."""
        ...

    @property
    def tensors(self) -> dict[str, Array]:
        """The tensors that it names."""
        ...


def parts_of(network: Network) -> tuple[Program, dict[str, Array]]:
    """The program and the tensors of a network.

    Raises
    ------
    ValueError
        Where it has none, as an estimator.
    """
    try:
        return network.program, network.tensors
    except AttributeError:
        raise ValueError(
            f"network must be a Predictor or a compressed network, not a {type(network).__name__}; "
            "sksparse.compression.compress makes one of a fitted estimator, and program_of what a "
            "Predictor takes of a module."
        ) from None
