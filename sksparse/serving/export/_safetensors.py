"""The tensors of a network in the format of safetensors."""

from __future__ import annotations

import json
import os

import numpy as np

from sksparse.serving._network import Network, parts_of


def to_safetensors(network: Network, path: str | os.PathLike[str]) -> None:
    """Write the tensors of a network in the format of the package ``safetensors``.

    It needs that package (extra ``safetensors``). The file holds every number of every tensor,
    as float32, and in its metadata the program as JSON, under ``"program"``.

    Parameters
    ----------
    network : object
        A ``Predictor`` or a compressed network.
    path : str or path-like
        The file, which is written over.

    Raises
    ------
    ImportError
        Where ``safetensors`` is not installed.
    ValueError
        Where `network` is something else.

    Examples
    --------
    >>> import numpy as np
    >>> from sksparse.serving import Operation, Predictor, Program, to_safetensors
    >>> program = Program((2,), (Operation("linear", (0,), 1, {"weight": "w"}),), 1)
    >>> predictor = Predictor(program, {"w": np.array([[1.0, 0.0], [0.0, -1.0]])})
    >>> to_safetensors(predictor, "network.safetensors")  # doctest: +SKIP
    """
    program, tensors = parts_of(network)
    try:
        from safetensors.numpy import save_file
    except ImportError as error:
        raise ImportError(
            "to_safetensors needs the package safetensors; install it with pip install "
            "sksparse[safetensors]."
        ) from error
    arrays = {
        name: np.ascontiguousarray(tensor, dtype=np.float32) for name, tensor in tensors.items()
    }
    save_file(arrays, os.fspath(path), {"program": json.dumps(program.to_json())})
