"""A fitted model in as few bytes as its predictions allow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from sksparse._estimator import SparseEstimator
from sksparse.compression._options import Bits, Options


def compress(
    model: Any,
    X: ArrayLike | None = None,
    y: ArrayLike | None = None,
    *,
    bits: Bits | Mapping[str, Bits] = "auto",
    coding: str = "auto",
    codebook_dtype: str = "float16",
    tolerance: float = 0.1,
    init: str = "optimal",
    max_iter: int = 5,
    learning_rate_init: float = 1e-3,
    batch_size: int = 128,
    random_state: Any = 0,
) -> Any:
    """Compress a fitted model: without dead units, with shared weights, coded.

    A network loses its dead units first. The weights of each layer are then rounded to a codebook
    of ``2 ** bits`` levels, with the least squared error; zeros stay zero. With `X` and `y` the
    levels are trained further: the gradient by a level is the sum of those by the weights that
    share it. Last, what is left is coded: where the weights stand, and which level each has.

    Of a linear model the coefficients in use and their places are stored as they are, unless
    `bits` is a number.

    Parameters
    ----------
    model : estimator
        A fitted network or linear model of this package. Of a pipeline, its last step.
    X : array-like of shape (n_rows, ...), default=None
        Rows as the model takes them, for ``bits="auto"`` and for the training of levels.
    y : array-like of shape (n_rows,) or (n_rows, n_outputs), default=None
        Their targets. None trains no levels.
    bits : int, "auto", None, or dict of str to these, default="auto"
        Bits of a level, 1 to 8. "auto" takes for each layer as few as `tolerance` allows; linear
        models stay exact. None leaves the weights as they are. A dict gives them by the names of
        layers (those of the tensors that ``model.layers`` lists) and "auto" for all others.
    coding : {"auto", "adaptive", "huffman", "none"}, default="auto"
        How places and levels are coded. "adaptive" is an arithmetic coder that learns how dense
        rows, columns and their surroundings are; "huffman" the gaps between weights and the
        numbers of levels in Huffman codes, as in the paper; "none" the same in codes of one
        length. "auto" takes for each array what is shortest.
    codebook_dtype : {"float16", "float32"}, default="float16"
        Type of the levels. Levels that half precision cannot hold are stored in single.
    tolerance : float, default=0.1
        For ``bits="auto"``: the root mean square by which the rounding of the weights may change
        the outputs, as a share of their deviation, before levels are trained. Measured on up to 512
        rows of `X`; without it, the change of the weights of each layer as a share of their length.
    init : {"optimal", "linear", "density", "random"}, default="optimal"
        How the levels are found: see :func:`sksparse.coding.kmeans_1d`.
    max_iter : int, default=5
        Epochs of the training of levels.
    learning_rate_init : float, default=1e-3
        Its learning rate at first; it falls to zero.
    batch_size : int, default=128
        Rows of a batch of it.
    random_state : int, RandomState or None, default=0
        Draws the batches, and levels for ``init="random"``.

    Returns
    -------
    compressed : CompressedNetwork or CompressedLinearModel
        The model as it is in a file. Printed, it shows the bytes of each layer after each stage.

    Raises
    ------
    ValueError
        Where the model cannot be compressed or an argument is none of the above.
    NotFittedError
        Where the model is not fitted.

    References
    ----------
    S. Han, H. Mao and W. J. Dally, "Deep compression: compressing deep neural networks with
    pruning, trained quantization and Huffman coding", ICLR 2016.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sksparse.compression import compress
    >>> from sksparse.neural_network import SparseMLPClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> model = SparseMLPClassifier(
    ...     (40,),
    ...     sparsifier="magnitude",
    ...     target_sparsity=0.8,
    ...     max_iter=30,
    ...     tol=0.01,
    ...     random_state=0,
    ... ).fit(X / 16, y)
    >>> small = compress(model, X / 16, y, bits=4)
    >>> small.dense_nbytes > 10 * small.nbytes
    True
    >>> bool((small.predict(X / 16) == model.predict(X / 16)).mean() > 0.95)
    True
    """
    if not isinstance(model, SparseEstimator):
        remedy = (
            "compress its last step and keep the others as they are"
            if type(model).__name__ == "Pipeline"
            else "give a fitted network or linear model of sksparse"
        )
        raise ValueError(f"model={type(model).__name__} cannot be compressed: {remedy}.")
    options = Options(
        bits,
        coding,
        codebook_dtype,
        tolerance,
        init,
        max_iter,
        learning_rate_init,
        batch_size,
        random_state,
    )
    if X is None and y is not None:
        raise ValueError("y is given without X; give both, or X alone.")
    check_is_fitted(model)
    return model._parts().compress(X, y, options)
