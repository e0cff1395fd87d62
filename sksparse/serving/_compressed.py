"""Compressed models: they predict without torch, and are what is in a file."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from sksparse._typing import Array
from sksparse.coding._arrays import EncodedArray, decode_array
from sksparse.coding._container import read_container, write_container
from sksparse.coding._errors import DamagedFileError
from sksparse.serving._head import Head
from sksparse.serving._predictor import Predictor
from sksparse.serving._program import Program
from sksparse.serving._sizes import LayerSize, as_table, layer_sizes

#: Arrays that belong to the head have names that begin so.
_OF_HEAD = "/"


class CompressedModel(ABC):
    """A model as it is in a file.

    Parameters
    ----------
    data : bytes
        The file.
    max_bytes : int, default=None
        Memory that the arrays may take while they are decoded; see
        :func:`sksparse.compression.load`.

    Raises
    ------
    DamagedFileError
        Where anything in the file does not fit.
    """

    #: What the header calls models of this class.
    kind: ClassVar[str]

    def __init__(self, data: bytes, max_bytes: int | None = None) -> None:
        self._data = data
        self._meta, self._encoded = read_container(data, max_bytes)
        if self._meta.get("kind") != self.kind:
            raise DamagedFileError(f"it holds no model of kind {self.kind!r}")
        try:
            arrays = {
                name: decode_array(array.entry, array.streams)
                for name, array in self._encoded.items()
            }
            self.head = self._read(self._meta, arrays)
        except DamagedFileError:
            raise
        except ValueError as error:
            raise DamagedFileError(str(error).rstrip(".")) from None

    @abstractmethod
    def _read(self, meta: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Head:
        """Adopt what is in the file; ValueError where it does not fit."""

    @abstractmethod
    def _outputs(self, rows: Array) -> Array:
        """Outputs of shape (n_rows, n_outputs) for checked rows of X."""

    @classmethod
    def _write(
        cls, meta: dict[str, Any], head: Head, arrays: dict[str, EncodedArray], dense_nbytes: int
    ) -> Self:
        """A model of its parts."""
        known = {"kind": cls.kind, "dense_nbytes": dense_nbytes, "head": head.to_json(), **meta}
        return cls(write_container(known, arrays))

    @property
    def nbytes(self) -> int:
        """Bytes of the file."""
        return len(self._data)

    @property
    def dense_nbytes(self) -> int:
        """Bytes of the parameters of the dense model in their type."""
        found = self._meta.get("dense_nbytes")
        return found if type(found) is int else 0

    @property
    def layers(self) -> list[LayerSize]:
        """Bytes of each array of the model after each stage; ``print(model)`` shows them."""
        return layer_sizes(
            {name: e for name, e in self._encoded.items() if not name.startswith(_OF_HEAD)}
        )

    @property
    def classes_(self) -> NDArray[Any]:
        """The class labels of a classifier."""
        if self.head.classes is None:
            raise AttributeError("A regressor has no classes_.")
        return self.head.classes

    @property
    def n_features_in_(self) -> int:
        """Number of features on the first axis of a row."""
        return self.head.row_shape[0]

    @property
    def feature_names_in_(self) -> NDArray[Any]:
        """Names of the features, where the model was fitted on a DataFrame."""
        if not self.head.names:
            raise AttributeError("The model was fitted without names of features.")
        return np.array(self.head.names, dtype=object)

    def outputs(self, X: Any) -> Array:
        """What the model computes before it is turned into predictions.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_rows, n_features)
            Rows of features.

        Returns
        -------
        outputs : ndarray of shape (n_rows, n_outputs)
            Logits of the classes, of the second of two classes of a linear model, or of each
            label; values of the targets; logarithms of means of counts.
        """
        return self.head.values(self._outputs(self.head.rows(X)))

    def predict(self, X: Any) -> NDArray[Any]:
        """Class labels, or values of the targets.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_rows, n_features)
            Rows of features.

        Returns
        -------
        predictions : ndarray of shape (n_rows,) or (n_rows, n_targets)
            What the estimator predicts.
        """
        return self.head.predictions(self._outputs(self.head.rows(X)))

    def predict_proba(self, X: Any) -> Array:
        """Probabilities of the classes.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_rows, n_features)
            Rows of features.

        Returns
        -------
        proba : ndarray of shape (n_rows, n_classes)
            In the order of ``classes_``.

        Raises
        ------
        AttributeError
            For a regressor.
        """
        return self.head.probabilities(self._outputs(self.head.rows(X)))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file, which :func:`sksparse.compression.load` reads.

        Parameters
        ----------
        path : str or path-like
            Where; a file that is there is replaced.
        """
        Path(path).write_bytes(self._data)

    def __getstate__(self) -> dict[str, Any]:
        return {"data": self._data}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["data"])  # type: ignore[misc]

    def __repr__(self) -> str:
        others = self.nbytes - sum(size.coded for size in self.layers)
        table = as_table(self.layers, others, self.nbytes)
        factor = self.dense_nbytes / self.nbytes
        return f"{table}\n{self.dense_nbytes} bytes dense, {factor:.1f} times as many"


class CompressedNetwork(CompressedModel):
    """A compressed network, which predicts without torch.

    :func:`sksparse.compression.compress` makes it, and :func:`sksparse.compression.load` reads it.

    Parameters
    ----------
    data : bytes
        The file.
    max_bytes : int, default=None
        Memory that the arrays may take while they are decoded; see
        :func:`sksparse.compression.load`.

    Attributes
    ----------
    program : Program
        What the network computes.
    tensors : dict of str to ndarray
        The tensors of the program.
    predictor : Predictor
        What runs it; set its ``n_threads`` for several threads.
    head : Head
        Classes, names of features, and scalings of inputs and outputs.

    Raises
    ------
    DamagedFileError
        Where anything in the file does not fit.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sksparse.compression import compress
    >>> from sksparse.neural_network import SparseMLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = SparseMLPClassifier((20,), target_sparsity=0.5, random_state=0).fit(X, y)
    >>> small = compress(model, X)
    >>> bool((small.predict(X) == model.predict(X)).mean() > 0.98)
    True
    >>> small.nbytes < 500
    True
    """

    kind = "network"

    program: Program
    tensors: dict[str, NDArray[Any]]
    predictor: Predictor

    def _read(self, meta: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Head:
        self.program = Program.from_json(meta.get("program"))
        self.tensors = {
            name: array for name, array in arrays.items() if not name.startswith(_OF_HEAD)
        }
        self.predictor = Predictor(self.program, self.tensors)
        shape = self.predictor.output_shape
        if len(shape) != 1:
            raise ValueError(f"the network has outputs of shape {shape}, not a row of numbers")
        return Head.from_json(meta.get("head"), arrays, shape[0], self.program.input_shape)

    def _outputs(self, rows: Array) -> Array:
        return self.predictor(self.head.inputs(rows))


class CompressedLinearModel(CompressedModel):
    """A linear model in a file, which predicts in float64 from the features in use alone.

    :func:`sksparse.compression.compress` makes it, and :func:`sksparse.compression.load` reads it.

    Parameters
    ----------
    data : bytes
        The file.
    max_bytes : int, default=None
        Memory that the arrays may take while they are decoded; see
        :func:`sksparse.compression.load`.

    Attributes
    ----------
    coef_ : ndarray of shape (n_outputs, n_features)
        Coefficients.
    intercept_ : ndarray of shape (n_outputs,)
        Intercepts.
    head : Head
        Classes and names of features.

    Raises
    ------
    DamagedFileError
        Where anything in the file does not fit.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sksparse.compression import compress
    >>> from sksparse.linear_model import L0Regressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = L0Regressor(max_features=3).fit(X, y)
    >>> small = compress(model)
    >>> bool(abs(small.predict(X) - model.predict(X)).max() < 1e-10)
    True
    """

    kind = "linear"

    coef_: NDArray[Any]
    intercept_: NDArray[Any]

    def _read(self, meta: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Head:
        coef, intercept = arrays.get("coef"), arrays.get("intercept")
        if coef is None or coef.ndim != 2 or coef.dtype.kind != "f":
            raise ValueError("the coefficients are no table of numbers")
        if intercept is None or intercept.shape != coef.shape[:1] or intercept.dtype.kind != "f":
            raise ValueError("the intercepts are not one for each output")
        self.coef_, self.intercept_ = coef, intercept
        self._used = np.flatnonzero((coef != 0).any(axis=0))
        self._small = coef[:, self._used].T.astype(np.float64)
        return Head.from_json(meta.get("head"), arrays, len(coef), coef.shape[1:])

    def _outputs(self, rows: Array) -> Array:
        return rows[:, self._used] @ self._small + self.intercept_


_KINDS: dict[str, type[CompressedModel]] = {
    each.kind: each for each in (CompressedNetwork, CompressedLinearModel)
}


def load(path: str | os.PathLike[str], *, max_bytes: int | None = None) -> Any:
    """Read a compressed model, without torch and without running anything of the file.

    Parameters
    ----------
    path : str or path-like
        What :meth:`CompressedNetwork.save` wrote.
    max_bytes : int, default=None
        Memory that its arrays may take while they are decoded. None allows 256 MiB, and for files
        of more than 256 KiB 1024 times their bytes: a file that claims more was made to fill the
        memory, or holds a very sparse model.

    Returns
    -------
    model : CompressedNetwork or CompressedLinearModel
        The model that was saved.

    Raises
    ------
    DamagedFileError
        Where anything in the file does not fit; nothing of it was used then.
    OSError
        Where the file cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> from sklearn.datasets import load_diabetes
    >>> from sksparse.compression import compress, load
    >>> from sksparse.linear_model import L0Regressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = L0Regressor(max_features=3).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     compress(model).save(f"{folder}/model.sks")
    ...     loaded = load(f"{folder}/model.sks")
    >>> loaded.coef_.shape, loaded.nbytes < 250
    ((1, 10), True)
    """
    return loads(Path(path).read_bytes(), max_bytes=max_bytes)


def loads(data: bytes, *, max_bytes: int | None = None) -> Any:
    """The same for bytes in memory.

    Parameters
    ----------
    data : bytes
        The file.
    max_bytes : int, default=None
        As in ``load``.

    Returns
    -------
    model : CompressedNetwork or CompressedLinearModel
        The model that was saved.
    """
    meta, _ = read_container(data, max_bytes)
    kind = meta.get("kind")
    if type(kind) is not str or kind not in _KINDS:
        raise DamagedFileError("it holds a model of an unknown kind")
    return _KINDS[kind](data, max_bytes)
