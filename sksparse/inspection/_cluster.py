"""The clusters of a fitted model beside the correlations of its features."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils._optional_dependencies import check_matplotlib_support

from sksparse._typing import Array, Indices
from sksparse.inspection._cluster_data import features_of, ordered, signs_between
from sksparse.inspection._common import divide
from sksparse.inspection._path_lines import names_of_features

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

# Inches of a row in a new figure, and the least that a name in a row needs.
_ROW, _NAME = 0.19, 0.15
# Colours of matplotlib's default cycle, in the order that RegularizationPathDisplay uses.
_COLOURS = 10
# More features than that have thinner frames.
_FINE = 100
_NOTHING = "No feature is in use: there are no clusters."


class ClusterDisplay:
    """The correlations of the features in use, in the order of their clusters.

    On the left the matrix of correlations, with a frame around each cluster; on the right the
    magnitude that each cluster shares, and how many features do. So it can be seen whether what is
    tied is also correlated. Use :meth:`from_estimator` for a fitted estimator; the constructor
    takes arrays, which :meth:`plot` draws.

    Parameters
    ----------
    coef : array-like of shape (n_features,) or (n_outputs, n_features)
        Coefficients. Of several outputs, the magnitude of a feature is the norm over them.
    correlation : array-like of shape (n_features, n_features)
        Correlations of the features.
    clusters : iterable of array-like of int
        The positions of the features in each cluster, largest magnitude first. Features in none
        are not drawn.
    feature_names : array-like of shape (n_features,), default=None
        Names for the axis; by default ``x0``, ``x1``, ....
    n_left_out : int, default=0
        How many more features are in use than those given; the title says so.

    Attributes
    ----------
    order_ : ndarray of shape (n_drawn,)
        The features in the order in which they are drawn: by cluster, and within a cluster so that
        correlated ones are neighbours.
    matrix_ : ndarray of shape (n_drawn, n_drawn)
        What is drawn as colours.
    image_ : matplotlib AxesImage or None
        The matrix; None where no feature is in use.
    frames_ : list of matplotlib Rectangle
        A frame for each cluster of at least two features.
    bars_ : list of matplotlib Rectangle
        A bar for each cluster.
    text_ : list of matplotlib Text
        The sizes of the clusters that have room for it, or the message that there are none.
    ax_ : matplotlib Axes
        The axes of the matrix.
    bar_ax_ : matplotlib Axes
        The axes of the magnitudes.
    figure_ : matplotlib Figure
        The figure that they are in.

    Raises
    ------
    ValueError
        Where lengths or positions do not fit the coefficients.

    See Also
    --------
    sksparse.linear_model.OSCAR : Ties the coefficients of correlated features.
    sksparse.linear_model.SLOPE : The same with other weights.
    sksparse.linear_model.GrOWL : The same for several targets.
    RegularizationPathDisplay : Clusters that merge as the strength grows.

    Notes
    -----
    By default the correlation of two features is multiplied by the signs of their coefficients:
    that of a feature and the opposite of another is positive if they are tied with opposite signs.
    A cluster that stands for one thing is then a dark red block. A pale or blue one holds
    coefficients that happen to be close, or that the penalty holds together since many features
    are weak: compare before reading a meaning into it. A feature with a negative coefficient has
    a minus before its name.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sksparse.inspection import ClusterDisplay
    >>> from sksparse.linear_model import OSCAR
    >>> cells = load_breast_cancer(as_frame=True).data
    >>> scale = StandardScaler().set_output(transform="pandas")
    >>> X = scale.fit_transform(cells.filter(regex="^mean"))
    >>> model = OSCAR(alpha=4.0).fit(X, cells["worst perimeter"])
    >>> display = ClusterDisplay.from_estimator(model, X)
    >>> [text.get_text() for text in display.text_]
    ['3 tied']
    >>> bool(display.matrix_[:3, :3].min() > 0.98)
    True
    >>> plt.close(display.figure_)
    """

    image_: Any
    frames_: list[Any]
    bars_: list[Any]
    text_: list[Any]

    def __init__(
        self,
        coef: ArrayLike,
        correlation: ArrayLike,
        clusters: Iterable[ArrayLike],
        *,
        feature_names: ArrayLike | None = None,
        n_left_out: int = 0,
    ) -> None:
        self.coef = coef
        self.correlation = correlation
        self.clusters = clusters
        self.feature_names = feature_names
        self.n_left_out = n_left_out

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        sample_weight: ArrayLike | None = None,
        feature_names: ArrayLike | None = None,
        n_features: int = 1000,
        absolute: bool = False,
        ax: Axes | Sequence[Axes] | None = None,
        cmap: str | Colormap | None = None,
    ) -> ClusterDisplay:
        """Draw the clusters of a fitted estimator beside the correlations in X.

        Parameters
        ----------
        estimator : estimator
            A fitted estimator with `clusters_`, such as :class:`~sksparse.linear_model.OSCAR`, or
            a fitted pipeline or search with one at its end.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features as the estimator takes them, of the samples that the correlations are taken
            over; those in use are read.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights of the samples in the correlations.
        feature_names : array-like of shape (n_features,), default=None
            Names of the columns of X at the estimator, instead of those it was fitted with.
        n_features : int, default=1000
            Most features to draw: those of the largest magnitudes.
        absolute : bool, default=False
            Draw magnitudes of correlations, whatever the signs.
        ax : Axes or sequence of Axes, default=None
            One axes, which is divided, or two. By default a new figure.
        cmap : str or Colormap, default=None
            Colours of the correlations: by default from blue through white to red, or from white
            to black where `absolute`.

        Returns
        -------
        display : ClusterDisplay
            The display, drawn.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        found = features_of(estimator, X, sample_weight, feature_names, n_features)
        display = cls(
            found.coef,
            found.correlation,
            found.clusters,
            feature_names=found.names,
            n_left_out=found.n_left_out,
        )
        return display.plot(ax, absolute=absolute, cmap=cmap)

    def plot(
        self,
        ax: Axes | Sequence[Axes] | None = None,
        *,
        absolute: bool = False,
        cmap: str | Colormap | None = None,
    ) -> ClusterDisplay:
        """Draw the matrix and the magnitudes.

        Parameters
        ----------
        ax : Axes or sequence of Axes, default=None
            One axes, which is divided, or two. By default a new figure.
        absolute : bool, default=False
            Draw magnitudes of correlations, whatever the signs.
        cmap : str or Colormap, default=None
            Colours of the correlations: by default from blue through white to red, or from white
            to black where `absolute`.

        Returns
        -------
        display : ClusterDisplay
            The display itself.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        coef, correlation, clusters = self._check_arrays()
        names = names_of_features(self.feature_names, coef.shape[-1])
        self._arrange(coef, correlation, clusters, absolute)
        size = float(np.clip(_ROW * len(self.order_) + 1.0, 3.4, 7.5))
        axes = divide(ax, 1, 2, figsize=(size + 4.2, size), width_ratios=[size, 1.7])
        self.ax_, self.bar_ax_ = axes
        self.figure_ = self.ax_.figure
        self.image_, self.frames_, self.bars_, self.text_ = None, [], [], []
        if not len(self.order_):
            self._say_nothing_is_in_use()
            return self
        self._draw_matrix(absolute, cmap)
        self._draw_frames(clusters, absolute)
        self._draw_magnitudes(coef, clusters)
        self._name_rows(coef, names)
        if self.n_left_out:
            n_drawn = len(self.order_)
            self.ax_.set_title(f"{n_drawn} of {n_drawn + self.n_left_out} features in use")
        return self

    def _check_arrays(self) -> tuple[Array, Array, list[Indices]]:
        coef = np.atleast_2d(np.asarray(self.coef, dtype=np.float64))
        correlation = np.asarray(self.correlation, dtype=np.float64)
        clusters = [np.asarray(cluster, dtype=np.intp) for cluster in self.clusters]
        if coef.ndim != 2 or correlation.shape != (coef.shape[-1],) * 2:
            raise ValueError(
                "correlation must have a row and a column for each column of coef; got coef of "
                f"shape {np.shape(self.coef)} and correlation of shape {correlation.shape}."
            )
        members = np.concatenate([np.empty(0, dtype=np.intp), *clusters])
        valid = members[(members >= 0) & (members < coef.shape[-1])]
        if len(np.unique(valid)) < len(members) or any(not len(c) for c in clusters):
            raise ValueError(
                "clusters must hold positions of features, each at most once and at least one in "
                f"a cluster; got {len(clusters)} clusters of {len(members)} positions for "
                f"{coef.shape[-1]} features."
            )
        return coef, correlation, clusters

    def _arrange(
        self, coef: Array, correlation: Array, clusters: list[Indices], absolute: bool
    ) -> None:
        aligned = correlation * signs_between(coef)
        self.order_ = ordered(aligned, clusters)
        shown = np.abs(correlation) if absolute else aligned
        self.matrix_ = shown[np.ix_(self.order_, self.order_)]

    def _say_nothing_is_in_use(self) -> None:
        self.bar_ax_.set_axis_off()
        self.ax_.set_axis_off()
        self.text_ = [self.ax_.text(0.5, 0.5, _NOTHING, ha="center", transform=self.ax_.transAxes)]

    def _draw_matrix(self, absolute: bool, cmap: str | Colormap | None) -> None:
        colours = "Greys" if absolute else "RdBu_r"
        self.image_ = self.ax_.imshow(
            self.matrix_,
            cmap=colours if cmap is None else cmap,
            vmin=0.0 if absolute else -1.0,
            vmax=1.0,
            aspect="auto",
        )
        label = "magnitude of the correlation" if absolute else "correlation, signs aligned"
        self.figure_.colorbar(
            self.image_, ax=[self.ax_, self.bar_ax_], label=label, fraction=0.05, pad=0.02
        )
        self.ax_.set_xticks([])

    def _draw_frames(self, clusters: list[Indices], absolute: bool) -> None:
        from matplotlib.patches import Rectangle

        style: dict[str, Any] = {
            "fill": False,
            "edgecolor": "tab:orange" if absolute else "black",
            "linewidth": 2.0 if len(self.order_) <= _FINE else 1.0,
            "clip_on": False,
        }
        for start, cluster in zip(_starts(clusters), clusters, strict=True):
            if len(cluster) > 1:
                frame = Rectangle((start, start), len(cluster), len(cluster), **style)
                self.frames_.append(self.ax_.add_patch(frame))

    def _draw_magnitudes(self, coef: Array, clusters: list[Indices]) -> None:
        n_rows, n_drawn = self._n_rows(), len(self.order_)
        sizes = np.array([len(cluster) for cluster in clusters])
        bars = self.bar_ax_.barh(
            _starts(clusters),
            [float(np.linalg.norm(coef[:, cluster[0]])) for cluster in clusters],
            height=sizes,
            align="edge",
            color=[
                f"C{number % _COLOURS}" if number < _COLOURS or size > 1 else "0.6"
                for number, size in enumerate(sizes)
            ],
            edgecolor="white",
            linewidth=0.5 if n_drawn <= _FINE else 0.0,
        )
        self.bars_ = list(bars)
        has_room = (sizes > 1) & (sizes * n_rows >= n_drawn)
        labels = [
            f"{size} tied" if room else "" for size, room in zip(sizes, has_room, strict=True)
        ]
        texts = self.bar_ax_.bar_label(bars, labels, padding=3)
        self.text_ = [text for text in texts if text.get_text()]
        label = "magnitude" if len(coef) == 1 else "norm"
        self.bar_ax_.set(ylim=self.ax_.get_ylim(), yticks=[], xlabel=label)
        self.bar_ax_.margins(x=0.35)
        self.bar_ax_.spines[["top", "right"]].set_visible(False)

    def _n_rows(self) -> int:
        """How many names have room below each other."""
        height = self.ax_.get_window_extent().height / self.figure_.dpi
        return max(int(height / _NAME), 1)

    def _name_rows(self, coef: Array, names: list[str]) -> None:
        step = -(-len(self.order_) // self._n_rows())
        rows = np.arange(0, len(self.order_), step)
        negative = np.logical_and(coef[0] < 0.0, len(coef) == 1)
        labels = [("\N{MINUS SIGN}" if negative[j] else "") + names[j] for j in self.order_[rows]]
        self.ax_.set_yticks(rows, labels)


def _starts(clusters: list[Indices]) -> Array:
    """The edge of the matrix's cells at which each cluster begins."""
    return np.cumsum([0, *(len(cluster) for cluster in clusters)])[:-1] - 0.5
