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
