"""How often features are selected from halves of the samples, against the strength."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils._optional_dependencies import check_matplotlib_support

from sksparse._typing import Array, Indices
from sksparse.inspection._common import divide, fitted_attribute, fitted_network
from sksparse.inspection._path_axis import format_axis
from sksparse.inspection._path_choice import names_of_inputs
from sksparse.inspection._path_lines import names_of_features

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

_COLOURS = 10
_KEPT: dict[str, Any] = {"marker": ".", "markersize": 5.0, "linewidth": 1.6, "zorder": 3}
_OTHERS: dict[str, Any] = {"color": "0.75", "linewidth": 1.0, "zorder": 1.5, "label": None}
_RANKED = {"marker": "o", "markersize": 5.0, "linestyle": "none"}


class StabilityPathDisplay:
    """The selection probability of each feature at each strength, and the threshold.

    Use :meth:`from_estimator` for a fitted
    :class:`~sksparse.feature_selection.StabilitySelection`; the constructor takes arrays, which
    :meth:`plot` draws.

    Parameters
    ----------
    stability_path : array-like of shape (n_alphas, n_features)
        Selection probabilities, from 0 to 1.
    alphas : array-like of shape (n_alphas,), default=None
        The strengths, those that keep the fewest features first. None for one row of probabilities,
        which is drawn as a ranking.
    threshold : float, default=None
        The probability from which on features are kept, a horizontal line. None draws none, and
        colours the features with names in the legend.
    feature_names : array-like of shape (n_features,), default=None
        Names for the legend; by default ``x0``, ``x1``, ....
    strength_name : str, default="alpha"
        The label of the horizontal axis.

    Attributes
    ----------
    lines_ : list of matplotlib Line2D
        One for each feature that is kept, the one of largest probability first.
    others_ : matplotlib Line2D or None
        All others that are ever selected, as one line with gaps.
    threshold_line_ : matplotlib Line2D or None
        The line at the threshold.
    ax_ : matplotlib Axes
        The axes.
    figure_ : matplotlib Figure
        The figure that they are in.

    See Also
    --------
    sksparse.feature_selection.StabilitySelection : Selects features by these probabilities.
    RegularizationPathDisplay : Coefficients along a path.

    Notes
    -----
    Where lines of relevant features rise to 1 before the others leave 0, the threshold hardly
    matters. A path that ended at ``max_features`` goes on horizontally.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_diabetes
    >>> from sksparse.feature_selection import StabilitySelection
    >>> from sksparse.inspection import StabilityPathDisplay
    >>> X, y = load_diabetes(return_X_y=True, as_frame=True)
    >>> select = StabilitySelection(error_bound=0.5, n_resamples=10, random_state=0).fit(X, y)
    >>> display = StabilityPathDisplay.from_estimator(select)
    >>> [text.get_text() for text in display.ax_.get_legend().get_texts()]
    ['bmi', 's5']
    >>> plt.close(display.figure_)
    """

    def __init__(
        self,
        stability_path: ArrayLike,
        alphas: ArrayLike | None = None,
        *,
        threshold: float | None = None,
        feature_names: ArrayLike | None = None,
        strength_name: str = "alpha",
    ) -> None:
        self.stability_path = stability_path
        self.alphas = alphas
        self.threshold = threshold
        self.feature_names = feature_names
        self.strength_name = strength_name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        feature_names: ArrayLike | None = None,
        n_names: int = 10,
        ax: Axes | None = None,
        **line_kw: Any,
    ) -> StabilityPathDisplay:
        """Draw the selection probabilities of a fitted stability selection.

        Parameters
        ----------
        estimator : estimator
            A fitted :class:`~sksparse.feature_selection.StabilitySelection`, or a fitted pipeline
            or search with one at its end.
        feature_names : array-like of shape (n_features,), default=None
            Names for the legend instead of those that the estimator was fitted with.
        n_names : int, default=10
            Most features in the legend: those of largest probability.
        ax : Axes, default=None
            The axes to draw on. By default a new figure.
        **line_kw : dict
            Options of matplotlib's `plot` for the features that are kept.

        Returns
        -------
        display : StabilityPathDisplay
            The display, drawn.

        Raises
        ------
        TypeError
            Where the estimator is no stability selection.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        path = fitted_attribute(estimator, "stability_path_", "give a fitted StabilitySelection")
        model = fitted_network(estimator)
        name = "alpha" if model.strength == "auto" else model.strength.rpartition("__")[2]
        display = cls(
            path,
            model.alphas_,
            threshold=model.threshold_,
            feature_names=names_of_inputs(estimator) if feature_names is None else feature_names,
            strength_name=name,
        )
        return display.plot(ax, n_names=n_names, **line_kw)

    def plot(
        self, ax: Axes | None = None, *, n_names: int = 10, **line_kw: Any
    ) -> StabilityPathDisplay:
        """Draw the selection probabilities.

        Parameters
        ----------
        ax : Axes, default=None
            The axes to draw on. By default a new figure.
        n_names : int, default=10
            Most features in the legend: those of largest probability.
        **line_kw : dict
            Options of matplotlib's `plot` for the features that are kept.

        Returns
        -------
        display : StabilityPathDisplay
            The display itself.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        path, points = self._check_arrays()
        names = names_of_features(self.feature_names, path.shape[1])
        # of equal probabilities, those that are reached at larger strengths first
        order = np.lexsort((-path.mean(axis=0), -path.max(axis=0)))
        kept = self._kept(path, order, n_names)
        (self.ax_,) = divide(ax, 1, 1, figsize=(7.5, 4.2))
        self.figure_ = self.ax_.figure
        if points is None:
            self._rank(path[0], order, kept, names, n_names, line_kw)
        else:
            self._trace(path, points, order, kept, names, n_names, line_kw)
        self._finish(len(kept), n_names)
        return self

    def _kept(self, path: Array, order: Indices, n_names: int) -> Indices:
        """The features that are coloured, of largest probability first."""
        most = path[:, order].max(axis=0)
        if self.threshold is None:
            return order[: max(min(n_names, int(np.count_nonzero(most))), 0)]
        return order[most >= self.threshold * (1.0 - 1e-12)]

    def _trace(
        self,
        path: Array,
        points: Array,
        order: Indices,
        kept: Indices,
        names: list[str],
        n_names: int,
        line_kw: dict[str, Any],
    ) -> None:
        rest = order[len(kept) :]
        rest = rest[path[:, rest].any(axis=0)]
        heights = np.pad(path[:, rest].T, ((0, 0), (0, 1)), constant_values=np.nan)
        x = np.broadcast_to(np.append(points, np.nan), heights.shape)
        self.others_ = self._draw_others(x.ravel(), heights.ravel(), {})
        self.lines_ = [
            self._draw(points, path[:, feature], place, names[feature], n_names, line_kw)
            for place, feature in enumerate(kept)
        ]
        format_axis([self.ax_], points, "alpha")
        if len(points) > 1 and points[0] < points[-1]:
            self.ax_.invert_xaxis()  # the strongest on the left
        self.ax_.set_xlabel(self.strength_name)

    def _rank(
        self,
        row: Array,
        order: Indices,
        kept: Indices,
        names: list[str],
        n_names: int,
        line_kw: dict[str, Any],
    ) -> None:
        """One strength alone: the features in the order of their probabilities."""
        from matplotlib.ticker import MaxNLocator

        ranks = np.arange(1, len(order) + 1)
        rest = slice(len(kept), None)
        self.others_ = self._draw_others(ranks[rest], row[order[rest]], _RANKED)
        self.lines_ = [
            self._draw(
                ranks[[place]],
                row[[feature]],
                place,
                names[feature],
                n_names,
                {**_RANKED, **line_kw},
            )
            for place, feature in enumerate(kept)
        ]
        self.ax_.xaxis.set_major_locator(MaxNLocator(integer=True))
        self.ax_.set_xlabel("features, most often selected first")

    def _draw(
        self, x: Any, y: Any, place: int, name: str, n_names: int, line_kw: dict[str, Any]
    ) -> Line2D:
        style = {
            **_KEPT,
            "color": f"C{place % _COLOURS}",
            "linestyle": ["-", "--", ":", "-."][place // _COLOURS % 4],
            "label": name if place < n_names else None,
        }
        return self.ax_.plot(x, y, **_merged(style, line_kw))[0]

    def _draw_others(self, x: Any, y: Array, style: dict[str, Any]) -> Line2D | None:
        return self.ax_.plot(x, y, **(_OTHERS | style))[0] if len(x) else None

    def _finish(self, n_kept: int, n_names: int) -> None:
        """The threshold, the labels and the legend."""
        self.threshold_line_ = None
        if self.threshold is not None:
            self.threshold_line_ = self.ax_.axhline(
                self.threshold, color="black", linestyle="--", linewidth=1.0
            )
            self.ax_.annotate(
                f"threshold {self.threshold:.3g}",
                (1.0, self.threshold),
                xycoords=("axes fraction", "data"),
                xytext=(-4, 3),
                textcoords="offset points",
                ha="right",
            )
        self.ax_.set_ylim(-0.03, 1.05)
        self.ax_.set_ylabel("selection probability")
        if min(n_kept, n_names) > 0:
            title = "features" if self.threshold is None else f"{n_kept} kept"
            self.ax_.legend(
                loc="upper left", bbox_to_anchor=(1.01, 1.0), title=title, frameon=False
            )

    def _check_arrays(self) -> tuple[Array, Array | None]:
        path = np.asarray(self.stability_path, dtype=np.float64)
        points = None if self.alphas is None else np.asarray(self.alphas, dtype=np.float64)
        n_rows = 1 if points is None else points.size
        if path.ndim != 2 or len(path) != n_rows or (points is not None and points.ndim != 1):
            shape = None if points is None else points.shape
            raise ValueError(
                "stability_path must have a row for each of alphas, and one where there are none; "
                f"got shape {path.shape}, and alphas of shape {shape}."
            )
        if not ((path >= 0.0) & (path <= 1.0)).all():
            raise ValueError(
                f"stability_path lies between {path.min():.3g} and {path.max():.3g}; give shares "
                "of the halves, from 0 to 1."
            )
        return path, points


def _merged(style: dict[str, Any], line_kw: dict[str, Any]) -> dict[str, Any]:
    """A style with the options of the user, short names of them included."""
    from matplotlib.cbook import normalize_kwargs
    from matplotlib.lines import Line2D

    return {**style, **normalize_kwargs(line_kw, Line2D)}
