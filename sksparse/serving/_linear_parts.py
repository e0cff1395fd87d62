"""A fitted linear model on its way into a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sksparse._typing import Array
from sksparse.coding._arrays import encode_array
from sksparse.coding._rounding import round_to_levels
from sksparse.serving._compressed import CompressedLinearModel
from sksparse.serving._head import Head


@dataclass(frozen=True)
class LinearParts:
    """What an estimator knows of its linear model.

    Parameters
    ----------
    coef : ndarray of shape (n_outputs, n_features)
        Coefficients.
    intercept : ndarray of shape (n_outputs,)
        Intercepts.
    head : Head
        What stands around its outputs.
    """

    coef: Array
    intercept: Array
    head: Head

    def compress(self, X: Any, y: Any, options: Any) -> CompressedLinearModel:
        """The model in a file; coefficients stay exact unless a number of bits is asked for."""
        bits = options.bits_of(["coef"])["coef"]
        coef = self.coef
        if bits not in ("auto", None):
            rounded = round_to_levels(
                coef, int(bits), options.codebook_dtype, options.init, options.random_state
            )
            coef = rounded.array()
        arrays = {"coef": coef, "intercept": np.asarray(self.intercept, dtype=coef.dtype)}
        encoded = {name: encode_array(array, options.coding) for name, array in arrays.items()}
        dense = self.coef.nbytes + arrays["intercept"].nbytes
        return CompressedLinearModel._write({}, self.head, encoded, dense)
