"""The filters of the first layer of a network, as images."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils._optional_dependencies import check_matplotlib_support

from sksparse._typing import Array
from sksparse.inspection._common import fitted_attribute

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap


class FilterDisplay:
    """The filters of the first layer: what each of its units looks for in an image.

    Filters are ordered by their norm; those that are zero are left blank and stand last. All have
    one scale of colours, symmetric around zero. Use :meth:`from_estimator` to draw a fitted
    network.

    Parameters
    ----------
    filters : array-like of shape (n_filters, height, width)
        One image for each filter.

    Attributes
    ----------
    order_ : ndarray of shape (n_filters,)
        The filters in the order in which they are drawn.
    n_left_ : int
        Filters that are not zero.
    image_ : matplotlib AxesImage
        All of them, side by side.
    ax_ : matplotlib Axes
        The axes that they are in.
    figure_ : matplotlib Figure
        The figure.

    Raises
    ------
    ValueError
        Where the filters are not images, or a given `image_shape` does not fit.

    See Also
    --------
    LayerSizesDisplay : What is left of each layer.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_digits
    >>> from sksparse.inspection import FilterDisplay
    >>> from sksparse.neural_network import SparseMLPClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> net = SparseMLPClassifier((12,), tol=0.01, learning_rate_init=0.01, random_state=0)
    >>> display = FilterDisplay.from_estimator(net.fit(X / 16, y), image_shape=(8, 8))
    >>> display.order_.shape
    (12,)
    >>> plt.close(display.figure_)
    """

    def __init__(self, filters: Array) -> None:
        self.filters = filters

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        image_shape: tuple[int, int] | None = None,
        *,
        channel: int = 0,
        ax: Axes | None = None,
        cmap: str | Colormap = "RdBu_r",
    ) -> FilterDisplay:
        """Draw the filters of a fitted network.

        Parameters
        ----------
        estimator : estimator
            A fitted network whose first layer is a convolution over images or, with `image_shape`,
            a linear layer over their pixels; or a fitted pipeline or search with one at its end.
        image_shape : tuple of two int, default=None
            Height and width of the images that the rows of `X` are, for a linear layer.
        channel : int, default=0
            Which channel of the images the filters are shown for.
        ax : Axes, default=None
            Where to draw. By default a new figure.
        cmap : str or Colormap, default="RdBu_r"
            Colours from negative to positive.

        Returns
        -------
        display : FilterDisplay
            The display, drawn.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        module = fitted_attribute(estimator, "module_", "filters are those of a network")
        weight = next(p.detach().numpy() for p in module.parameters() if p.ndim >= 2)
        return cls(_images(weight, image_shape, channel)).plot(ax, cmap=cmap)

    def plot(self, ax: Axes | None = None, *, cmap: str | Colormap = "RdBu_r") -> FilterDisplay:
        """Draw the filters.

        Parameters
        ----------
        ax : Axes, default=None
            Where to draw. By default a new figure.
        cmap : str or Colormap, default="RdBu_r"
            Colours from negative to positive.

        Returns
        -------
        display : FilterDisplay
            The display itself.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        import matplotlib.pyplot as plt

        filters = np.asarray(self.filters, dtype=np.float64)
        if filters.ndim != 3 or 0 in filters.shape:
            raise ValueError(
                "filters must be of shape (n_filters, height, width) without an empty axis; got "
                f"{filters.shape}."
            )
        norms = np.sqrt(np.square(filters).sum(axis=(1, 2)))
        self.order_ = np.argsort(-norms, kind="stable")
        self.n_left_ = int(np.count_nonzero(norms))
        tiles = _tiles(filters[self.order_])
        limit = np.nanmax(np.abs(tiles)) if self.n_left_ else 1.0
        if ax is None:
            height, width = tiles.shape
            _, ax = plt.subplots(figsize=(5.2, 5.2 * height / width + 0.5), layout="constrained")
        self.ax_, self.figure_ = ax, ax.figure
        self.image_ = ax.imshow(tiles, cmap=cmap, vmin=-limit, vmax=limit, interpolation="nearest")
        ax.set_title(f"Filters of the first layer: {self.n_left_} of {len(filters)} are left")
        ax.set_axis_off()
        ax.figure.colorbar(self.image_, ax=ax, shrink=0.8, pad=0.02)
        return self


def _images(weight: Array, image_shape: tuple[int, int] | None, channel: int) -> Array:
    """The filters for one channel of a convolution, or the rows of a matrix as images."""
    if weight.ndim == 4:
        if not 0 <= channel < weight.shape[1]:
            raise ValueError(
                f"channel={channel!r} is not among those that the filters read, 0 to "
                f"{weight.shape[1] - 1}."
            )
        return weight[:, channel]
    if image_shape is None or weight.ndim != 2 or math.prod(image_shape) != weight.shape[1]:
        raise ValueError(
            f"image_shape={image_shape!r} does not fit the first layer, whose weights are of shape "
            f"{weight.shape}; give the height and width of the images that its inputs are, or a "
            "network that begins with an nn.Conv2d."
        )
    return weight.reshape(-1, *image_shape)


def _tiles(filters: Array) -> Array:
    """All images on one, in rows that fill about a square, with a gap between them; zeros blank."""
    n, height, width = filters.shape
    columns = math.ceil(math.sqrt(n * height / width))
    rows = math.ceil(n / columns)
    tiles = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1), np.nan)
    for number, image in enumerate(filters):
        if image.any():
            row, column = divmod(number, columns)
            top, left = row * (height + 1), column * (width + 1)
            tiles[top : top + height, left : left + width] = image
    return tiles
