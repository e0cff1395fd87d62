"""Which weights of a perceptron are left, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils._optional_dependencies import check_matplotlib_support

from sksparse._typing import Array, Indices
from sksparse.inspection._common import divide, fitted_attribute

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

#: Colours run to this quantile of the magnitudes, so that one large weight does not pale the rest.
REACH = 0.98
#: A matrix with more rows or columns is drawn with a mark for each weight: cells would be too small
#: to be seen. Marks overlap where many weights are left, so then it is an image all the same.
FINE = 200
MOST_MARKS = 20_000


class SparsityPatternDisplay:
    """Which weights of a perceptron are left: one panel for each weight matrix.

    Zeros are white. A weight is coloured by its sign and magnitude, and even the smallest one is
    far from white. Rows are the units that a weight comes from, columns those that it leads to.
    Use :meth:`from_estimator` to draw a fitted network.

    Parameters
    ----------
    coefs : sequence of ndarray of shape (units in, units out)
        The weight matrices, inputs first, as in the attribute `coefs_` of a fitted network.
    image_shape : tuple of two int, default=None
        Height and width of the images that the rows of `X` are. Where it is given, the first
        panel shows as an image how many weights leave each pixel.

    Attributes
    ----------
    densities_ : list of float
        The share of weights that are not zero in each matrix.
    pixel_counts_ : ndarray of shape (height, width) or None
        The weights that leave each pixel, where `image_shape` is given.
    artists_ : list of matplotlib AxesImage or PathCollection
        What was drawn: first the pixels, where `image_shape` is given, then the matrices. A
        matrix is an image, or a collection of marks where it is large and few weights are left.
    axes_ : ndarray of matplotlib Axes
        The panels, in the same order.
    figure_ : matplotlib Figure
        The figure that they are in.

    Raises
    ------
    ValueError
        Where `image_shape` does not have one pixel for each input.

    See Also
    --------
    SparsityPathDisplay : The score against sparsity.
    TrainingHistoryDisplay : How a network became sparse.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_digits
    >>> from sksparse.inspection import SparsityPatternDisplay
    >>> from sksparse.neural_network import SparseMLPClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> net = SparseMLPClassifier(
    ...     (30,), target_sparsity=0.9, learning_rate_init=0.01, random_state=0
    ... )
    >>> display = SparsityPatternDisplay.from_estimator(net.fit(X / 16, y), image_shape=(8, 8))
    >>> len(display.axes_)
    3
    >>> display.pixel_counts_.shape
    (8, 8)
    >>> plt.close(display.figure_)
    """

    def __init__(
        self, coefs: Sequence[Array], *, image_shape: tuple[int, int] | None = None
    ) -> None:
        self.coefs = coefs
        self.image_shape = image_shape

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        image_shape: tuple[int, int] | None = None,
        *,
        ax: Axes | Sequence[Axes] | None = None,
        cmap: str | Colormap | None = None,
        image_cmap: str | Colormap = "viridis",
    ) -> SparsityPatternDisplay:
        """Draw the weights of a fitted network.

        Parameters
        ----------
        estimator : estimator
            A fitted perceptron with `coefs_`, or a fitted pipeline or search with one at its end.
        image_shape : tuple of two int, default=None
            Height and width of the images that the rows of `X` are.
        ax : Axes or sequence of Axes, default=None
            One axes, which is divided, or as many as there are panels. By default a new figure.
        cmap : str or Colormap, default=None
            Colours of the weights, from negative to positive. By default blues and reds.
        image_cmap : str or Colormap, default="viridis"
            Colours of the pixels.

        Returns
        -------
        display : SparsityPatternDisplay
            The display, drawn.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        coefs = fitted_attribute(
            estimator,
            "coefs_",
            "the pattern is that of a perceptron, such as SparseMLPClassifier; for another "
            f"network give its matrices to {cls.__name__}(coefs)",
        )
        display = cls(coefs, image_shape=image_shape)
        return display.plot(ax, cmap=cmap, image_cmap=image_cmap)

    def plot(
        self,
        ax: Axes | Sequence[Axes] | None = None,
        *,
        cmap: str | Colormap | None = None,
        image_cmap: str | Colormap = "viridis",
    ) -> SparsityPatternDisplay:
        """Draw the matrices.

        Parameters
        ----------
        ax : Axes or sequence of Axes, default=None
            One axes, which is divided, or as many as there are panels. By default a new figure.
        cmap : str or Colormap, default=None
            Colours of the weights, from negative to positive. By default blues and reds.
        image_cmap : str or Colormap, default="viridis"
            Colours of the pixels.

        Returns
        -------
        display : SparsityPatternDisplay
            The display itself.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        coefs = self._check_coefs()
        self.densities_ = [float(np.mean(coef != 0)) for coef in coefs]
        self.pixel_counts_ = None if self.image_shape is None else self._count(coefs[0])
        widths = [_panel_width(coef) for coef in coefs]
        if self.pixel_counts_ is not None:
            widths.insert(0, 4.4)
        axes = divide(ax, 1, len(widths), figsize=(sum(widths) + 0.6, 4.4), width_ratios=widths)
        self.axes_ = np.array(axes, dtype=object)
        self.figure_ = axes[0].figure
        self.artists_ = []
        if self.pixel_counts_ is not None:
            self.artists_.append(_draw_pixels(axes[0], self.pixel_counts_, image_cmap))
        for number, coef in enumerate(coefs):
            panel = axes[len(axes) - len(coefs) + number]
            self.artists_.append(_draw_matrix(panel, coef, cmap))
            self._name_axes(panel, number, coef)
        return self

    def _check_coefs(self) -> list[Array]:
        coefs = [np.asarray(coef) for coef in self.coefs]
        shapes = [coef.shape for coef in coefs]
        if not coefs or any(len(shape) != 2 or 0 in shape for shape in shapes):
            raise ValueError(
                f"coefs must hold at least one matrix of shape (units in, units out); got shapes "
                f"{shapes}."
            )
        return coefs

    def _count(self, coef: Array) -> Indices:
        shape = np.asarray(self.image_shape)
        is_pair = shape.shape == (2,) and shape.dtype.kind in "iu"
        if not is_pair or shape.min() < 1 or shape.prod() != len(coef):
            raise ValueError(
                f"image_shape={self.image_shape!r} does not fit the {len(coef)} inputs of the "
                "network; give the height and width of the images, two integers whose product is "
                f"{len(coef)}, or None."
            )
        return np.count_nonzero(coef, axis=1).reshape(shape)

    def _name_axes(self, ax: Axes, number: int, coef: Array) -> None:
        last = len(self.densities_) - 1
        title = "Weights" if last == 0 else f"Weights of layer {number + 1}"
        ax.set_title(f"{title}\n{_percent(self.densities_[number])} of {coef.size:,} left")
        ax.set_ylabel("input" if number == 0 else f"unit of hidden layer {number}")
        ax.set_xlabel("output" if number == last else f"unit of hidden layer {number + 1}")


def _draw_matrix(ax: Axes, coef: Array, cmap: str | Colormap | None) -> Any:
    left = np.abs(coef[coef != 0])
    limit = float(np.quantile(left, REACH)) if left.size else 1.0
    colours: dict[str, Any] = {
        "cmap": _with_white(_two_sided() if cmap is None else cmap),
        "vmin": -limit,
        "vmax": limit,
    }
    artist: Any
    if max(coef.shape) > FINE and left.size <= MOST_MARKS:
        rows, columns = np.nonzero(coef)
        artist = ax.scatter(
            columns, rows, c=coef[rows, columns], s=2, marker="s", linewidths=0, **colours
        )
        ax.set(xlim=(-0.5, coef.shape[1] - 0.5), ylim=(coef.shape[0] - 0.5, -0.5))
    else:
        # where a pixel of the screen covers several weights, mix their colours, zeros included
        artist = ax.imshow(
            np.ma.masked_equal(coef, 0), aspect="auto", interpolation_stage="rgba", **colours
        )
    ax.locator_params(integer=True)
    _add_colorbar(artist, ax, extend="both")
    return artist


def _draw_pixels(ax: Axes, counts: Indices, cmap: str | Colormap) -> Any:
    image = ax.imshow(
        np.ma.masked_equal(counts, 0), cmap=_with_white(cmap), vmin=0, vmax=max(counts.max(), 1)
    )
    ax.set_title(f"Weights from each pixel\n{np.count_nonzero(counts)} of {counts.size} are read")
    ax.locator_params(integer=True)
    _add_colorbar(image, ax, integer=True)
    return image


def _add_colorbar(artist: Any, ax: Axes, *, extend: str = "neither", integer: bool = False) -> None:
    from matplotlib.ticker import MaxNLocator

    ax.figure.colorbar(
        artist,
        ax=ax,
        extend=extend,
        ticks=MaxNLocator(5, integer=integer),
        pad=0.02,
        fraction=0.08,
        aspect=45,
    )


def _with_white(cmap: str | Colormap) -> Colormap:
    import matplotlib as mpl

    return mpl.colormaps.get_cmap(cmap).with_extremes(bad="white")


def _two_sided() -> Colormap:
    """Blues and reds without the pale middle, where a weight would look like a zero."""
    import matplotlib as mpl
    from matplotlib.colors import ListedColormap

    halves = np.r_[np.linspace(0.0, 0.3, 128), np.linspace(0.7, 1.0, 128)]
    return ListedColormap(mpl.colormaps["RdBu_r"](halves), "blue_or_red")


def _panel_width(coef: Array) -> float:
    """Width of a panel in inches, in proportion to columns per row, within bounds."""
    return float(np.clip(4.0 * coef.shape[1] / coef.shape[0], 2.6, 5.0))


def _percent(share: float) -> str:
    """A share as a percentage with three digits, as many as show a single weight."""
    return f"{100 * share:.3g} %"
