"""A ranking of features: the score of each number of them, and the order in which they leave."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils._optional_dependencies import check_matplotlib_support

from sksparse._typing import Array, Indices
from sksparse.inspection._common import divide, fitted_attribute

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class RankingDisplay:
    """Validation score against the number of features, and the features by how far they came.

    On the left the score with a band of one standard error, and the number of features that is
    kept. On the right the best features, those that are kept in the darker colour; or, where
    features are pixels, all of them as an image. Use :meth:`from_estimator` to draw a fitted
    :class:`~sksparse.feature_selection.SparseMLPSelector`.

    Parameters
    ----------
    n_features : array-like of shape (n_counts,)
        Numbers of features that were scored.
    scores, errors : array-like of shape (n_counts,)
        Their scores, and standard errors.
    ranking : array-like of shape (n_columns,)
        Rank of each feature, 1 where it is kept.
    importances : array-like of shape (n_columns,)
        How far each feature came.
    names : sequence of str, default=None
        Names of the features. None numbers them.

    Attributes
    ----------
    order_ : ndarray of shape (n_columns,)
        The features, best first.
    line_ : matplotlib Line2D
        The scores.
    bars_ : matplotlib BarContainer or None
        The best features, where they are drawn as bars.
    image_ : matplotlib AxesImage or None
        All features, where they are drawn as an image.
    axes_ : ndarray of matplotlib Axes
        Both panels.
    figure_ : matplotlib Figure
        The figure that they are in.

    Raises
    ------
    ValueError
        Where `image_shape` does not fit the number of features.

    See Also
    --------
    StabilityPathDisplay : How often features are selected from subsamples.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_iris
    >>> from sksparse.feature_selection import SparseMLPSelector
    >>> from sksparse.inspection import RankingDisplay
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> display = RankingDisplay.from_estimator(SparseMLPSelector(2, random_state=0).fit(X, y))
    >>> X.columns[sorted(display.order_[:2])].tolist()
    ['petal length (cm)', 'petal width (cm)']
    >>> plt.close(display.figure_)
    """

    def __init__(
        self,
        n_features: Indices,
        scores: Array,
        errors: Array,
        *,
        ranking: Indices,
        importances: Array,
        names: Sequence[str] | None = None,
    ) -> None:
        self.n_features = n_features
        self.scores = scores
        self.errors = errors
        self.ranking = ranking
        self.importances = importances
        self.names = names

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        n_shown: int = 20,
        image_shape: tuple[int, int] | None = None,
        ax: Axes | Sequence[Axes] | None = None,
    ) -> RankingDisplay:
        """Draw a fitted selector.

        Parameters
        ----------
        estimator : estimator
            A fitted `SparseMLPSelector`; or a fitted pipeline or search with one at its end.
        n_shown : int, default=20
            How many features to draw as bars.
        image_shape : tuple of two int, default=None
            Height and width of the images that the rows of `X` are: features are then drawn as
            pixels.
        ax : Axes or sequence of two Axes, default=None
            Where to draw. By default a new figure; a single one is divided.

        Returns
        -------
        display : RankingDisplay
            The display, drawn.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        remedy = "rankings with a path of scores are those of SparseMLPSelector"
        paths = ("n_features_path_", "scores_path_", "scores_error_path_")
        n_features, scores, errors = (fitted_attribute(estimator, a, remedy) for a in paths)
        ranking, importances = (
            fitted_attribute(estimator, a, remedy) for a in ("ranking_", "feature_importances_")
        )
        try:
            names = fitted_attribute(estimator, "feature_names_in_", remedy)
        except TypeError:
            names = None
        display = cls(
            n_features, scores, errors, ranking=ranking, importances=importances, names=names
        )
        return display.plot(ax, n_shown=n_shown, image_shape=image_shape)

    def plot(
        self,
        ax: Axes | Sequence[Axes] | None = None,
        *,
        n_shown: int = 20,
        image_shape: tuple[int, int] | None = None,
    ) -> RankingDisplay:
        """Draw both panels.

        Parameters
        ----------
        ax : Axes or sequence of two Axes, default=None
            Where to draw. By default a new figure; a single one is divided.
        n_shown : int, default=20
            How many features to draw as bars.
        image_shape : tuple of two int, default=None
            Height and width of an image that the features are.

        Returns
        -------
        display : RankingDisplay
            The display itself.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        ranking, importances = np.asarray(self.ranking), np.asarray(self.importances)
        if image_shape is not None and math.prod(image_shape) != len(ranking):
            raise ValueError(
                f"image_shape={image_shape!r} does not fit {len(ranking)} features; give the "
                "height and width of the images that they are, or None for bars."
            )
        self.order_ = np.lexsort((-importances, ranking))
        axes = divide(ax, 1, 2, figsize=(9.6, 3.9))
        self.axes_, self.figure_ = np.array(axes, dtype=object), axes[0].figure
        self._draw_scores(axes[0], int(np.count_nonzero(ranking == 1)))
        self.bars_: Any = None
        self.image_: Any = None
        if image_shape is None:
            self._draw_bars(axes[1], ranking, importances, min(n_shown, len(ranking)))
        else:
            self._draw_image(axes[1], ranking, importances, image_shape)
        return self

    def _draw_scores(self, ax: Axes, n_kept: int) -> None:
        n_features = np.asarray(self.n_features)
        scores, errors = np.asarray(self.scores), np.asarray(self.errors)
        ax.fill_between(n_features, scores - errors, scores + errors, color="C0", alpha=0.2, lw=0)
        (self.line_,) = ax.plot(n_features, scores, color="C0", marker=".", ms=4, lw=1.2)
        ax.axvline(n_kept, color="0.35", ls="--", lw=1, label=f"{n_kept} kept")
        ax.set(xscale="log", xlabel="Number of features", ylabel="Validation score")
        ticks = (step * 10**power for power in range(6) for step in (1, 2, 5))
        shown = [t for t in ticks if n_features.min() <= t <= n_features.max()]
        ax.set_xticks(shown, [f"{t:g}" for t in shown])
        ax.minorticks_off()
        ax.legend(frameon=False, loc="lower right")

    def _draw_bars(self, ax: Axes, ranking: Indices, importances: Array, n_shown: int) -> None:
        first = self.order_[:n_shown]
        names = [f"x{j}" if self.names is None else str(self.names[j]) for j in first]
        colours = ["C0" if ranking[j] == 1 else "#b8cfe5" for j in first]
        self.bars_ = ax.barh(np.arange(n_shown), importances[first], color=colours)
        ax.set_yticks(np.arange(n_shown), names, fontsize=min(9, 160 / n_shown))
        ax.set(ylim=(n_shown - 0.4, -0.6), xlabel="How far it came", xlim=(0, 1.02))
        ax.set_title("Best features" if n_shown < len(ranking) else "Features", fontsize="medium")

    def _draw_image(
        self, ax: Axes, ranking: Indices, importances: Array, shape: tuple[int, int]
    ) -> None:
        self.image_ = ax.imshow(importances.reshape(shape), cmap="Blues", vmin=0, vmax=1)
        rows, columns = np.nonzero((ranking == 1).reshape(shape))
        ax.scatter(columns, rows, s=9, marker="s", color="#d1495b", label="kept")
        ax.set_axis_off()
        ax.figure.colorbar(self.image_, ax=ax, shrink=0.8, label="How far it came")
        ax.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, 0.0))
