"""The coefficients of a linear model along its path, and the point that was chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils._optional_dependencies import check_matplotlib_support

from sksparse._typing import Array, Indices
from sksparse.inspection._common import divide, fitted_attribute, fitted_network
from sksparse.inspection._path_choice import choice_curve, resolved_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LABELS = {"n_features": "number of features", "alpha": "alpha"}
# Colours of matplotlib's default cycle; features in the legend beyond it differ in line style.
_COLOURS = 10


class RegularizationPathDisplay:
    """The coefficients along a path, with the curve by which a point of it was chosen.

    Use :meth:`from_estimator` for a fitted estimator that chooses among the points of its path, or
    :meth:`from_path` for a path alone; the constructor takes arrays, which :meth:`plot` draws.

    Parameters
    ----------
    coefs : array-like of shape (n_features, n_points) or (n_outputs, n_features, n_points)
        Coefficients. Of several outputs, the Euclidean norm over them is drawn.
    points : array-like of shape (n_points,)
        Where each point lies on the horizontal axis.
    chosen : float, default=None
        The point of the model that was chosen, in the same units.
    curve : array-like of shape (n_points,), default=None
        What is drawn above the coefficients, such as an error or a criterion.
    curve_error : array-like of shape (n_points,), default=None
        Half the width of a band around the curve.
    curve_name : str, default="criterion"
        The label of the curve's axis.
    feature_names : array-like of shape (n_features,), default=None
        Names for the legend; by default ``x0``, ``x1``, ....
    xaxis : {"n_features", "alpha"}, default="n_features"
        What `points` are. Strengths have a logarithmic axis, from large to small.

    Attributes
    ----------
    lines_ : list of matplotlib Line2D
        The coefficients of one feature each, for features that are used at any point; those with a
        name in the legend first, largest coefficient first.
    chosen_lines_ : list of matplotlib Line2D
        The vertical lines at the chosen point.
    curve_ : matplotlib Line2D or None
        The curve.
    band_ : matplotlib FillBetweenPolyCollection or None
        The band around the curve.
    ax_ : matplotlib Axes
        The axes of the coefficients.
    curve_ax_ : matplotlib Axes or None
        The axes of the curve.
    figure_ : matplotlib Figure
        The figure that they are in.

    See Also
    --------
    sksparse.linear_model.L0RegressorCV : Chooses among best subsets of increasing cardinality.
    sksparse.linear_model.l0_path : The best subsets alone.
    SparsityPathDisplay : The score of a network against its sparsity.

    Notes
    -----
    Coefficients are drawn as they are: only those of features on one scale can be compared. A line
    has gaps where the feature is not used. The vertical range is that of models no larger than the
    chosen one, with a margin; `display.ax_.autoscale(axis="y")` shows all.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_diabetes
    >>> from sksparse.inspection import RegularizationPathDisplay
    >>> from sksparse.linear_model import L0RegressorCV
    >>> X, y = load_diabetes(return_X_y=True, as_frame=True)
    >>> model = L0RegressorCV(cv=5).fit(X, y)
    >>> display = RegularizationPathDisplay.from_estimator(model, n_names=3)
    >>> [text.get_text() for text in display.ax_.get_legend().get_texts()]
    ['s5', 's1', 's2']
    >>> display.curve_ax_.get_ylabel()
    'mean squared error'
    >>> plt.close(display.figure_)
    """

    curve_: Any
    band_: Any

    def __init__(
        self,
        coefs: ArrayLike,
        points: ArrayLike,
        *,
        chosen: float | None = None,
        curve: ArrayLike | None = None,
        curve_error: ArrayLike | None = None,
        curve_name: str = "criterion",
        feature_names: ArrayLike | None = None,
        xaxis: str = "n_features",
    ) -> None:
        self.coefs = coefs
        self.points = points
        self.chosen = chosen
        self.curve = curve
        self.curve_error = curve_error
        self.curve_name = curve_name
        self.feature_names = feature_names
        self.xaxis = xaxis

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        xaxis: str = "auto",
        feature_names: ArrayLike | None = None,
        n_names: int = 10,
        ax: Axes | Sequence[Axes] | None = None,
        **line_kw: Any,
    ) -> RegularizationPathDisplay:
        """Draw the path of a fitted estimator, and how it chose.

        The curve is the mean over the folds of the error or score of the held-out samples, in a
        band of one standard error of that mean to each side, or the information criterion.

        Parameters
        ----------
        estimator : estimator
            A fitted estimator that chooses among the points of its path, such as
            :class:`~sksparse.linear_model.L0RegressorCV`, or a fitted pipeline or search with one
            at its end.
        xaxis : {"auto", "n_features", "alpha"}, default="auto"
            What the coefficients are drawn against; "auto" is what the estimator tried.
        feature_names : array-like of shape (n_features,), default=None
            Names for the legend instead of those that the estimator was fitted with.
        n_names : int, default=10
            Most features in the legend: those with the largest coefficients at the chosen point.
        ax : Axes or sequence of Axes, default=None
            One axes, which is divided, or two. By default a new figure.
        **line_kw : dict
            Options of matplotlib's `plot` for the coefficients.

        Returns
        -------
        display : RegularizationPathDisplay
            The display, drawn.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        remedy = "give an estimator that keeps its path, such as L0RegressorCV"
        coefs = fitted_attribute(estimator, "coef_path_", remedy)
        model = fitted_network(estimator)
        xaxis = resolved_axis(xaxis, vars(model).get("sizes_"))
        on_sizes = xaxis == "n_features"
        curve, error, name = choice_curve(model)
        names = vars(model).get("feature_names_in_") if feature_names is None else feature_names
        display = cls(
            coefs,
            model.n_features_path_ if on_sizes else model.alphas_,
            chosen=float(model.n_features_ if on_sizes else model.alpha_),
            curve=curve,
            curve_error=error,
            curve_name=name,
            feature_names=names,
            xaxis=xaxis,
        )
        return display.plot(ax, n_names=n_names, **line_kw)

    @classmethod
    def from_path(
        cls,
        path: Any,
        *,
        xaxis: str = "auto",
        feature_names: ArrayLike | None = None,
        n_names: int = 10,
        ax: Axes | Sequence[Axes] | None = None,
        **line_kw: Any,
    ) -> RegularizationPathDisplay:
        """Draw a path, and its loss.

        Parameters
        ----------
        path : L0Path or ConvexPath
            What :func:`~sksparse.linear_model.l0_path` or a function such as
            :func:`~sksparse.linear_model.oscar_path` returned.
        xaxis : {"auto", "n_features", "alpha"}, default="auto"
            What the coefficients are drawn against; "auto" is what was asked for.
        feature_names : array-like of shape (n_features,), default=None
            Names for the legend.
        n_names : int, default=10
            Most features in the legend: those with the largest coefficients at the last point.
        ax : Axes or sequence of Axes, default=None
            One axes, which is divided, or two. By default a new figure.
        **line_kw : dict
            Options of matplotlib's `plot` for the coefficients.

        Returns
        -------
        display : RegularizationPathDisplay
            The display, drawn.
        """
        check_matplotlib_support(f"{cls.__name__}.from_path")
        xaxis = resolved_axis(xaxis, getattr(path, "sizes", None))
        display = cls(
            path.coefs,
            path.n_features if xaxis == "n_features" else path.alphas,
            curve=path.losses,
            curve_name="loss",
            feature_names=feature_names,
            xaxis=xaxis,
        )
        return display.plot(ax, n_names=n_names, **line_kw)

    def plot(
        self,
        ax: Axes | Sequence[Axes] | None = None,
        *,
        n_names: int = 10,
        **line_kw: Any,
    ) -> RegularizationPathDisplay:
        """Draw the path.

        Parameters
        ----------
        ax : Axes or sequence of Axes, default=None
            One axes, which is divided where there is a curve, or as many as there are panels. By
            default a new figure.
        n_names : int, default=10
            Most features in the legend: those with the largest coefficients at the chosen point,
            or at the last where none was chosen.
        **line_kw : dict
            Options of matplotlib's `plot` for the coefficients.

        Returns
        -------
        display : RegularizationPathDisplay
            The display itself.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        coefs, points, shown = self._check_arrays()
        n_panels = 1 if self.curve is None else 2
        size = (7.5, 1.6 + 1.9 * n_panels)
        ratios = [1, 2][-n_panels:]
        axes = divide(ax, n_panels, 1, figsize=size, sharex=True, height_ratios=ratios)
        self.ax_, self.figure_ = axes[-1], axes[-1].figure
        self.curve_ax_ = axes[0] if n_panels == 2 else None
        self.curve_, self.band_ = None, None
        if self.curve_ax_ is not None:
            self._draw_curve(self.curve_ax_, points, shown)
        self._draw_coefficients(coefs[:, shown], points[shown], n_names, line_kw)
        self._mark_choice(axes, points[shown])
        self._format_axis(axes, points[shown])
        return self

    def _check_arrays(self) -> tuple[Array, Array, Any]:
        """Coefficients of one output, points, and which of them have a place on the axis."""
        if self.xaxis not in _LABELS:
            raise ValueError(f"xaxis={self.xaxis!r} is unknown; give one of {sorted(_LABELS)}.")
        coefs = np.asarray(self.coefs, dtype=np.float64)
        points = np.asarray(self.points, dtype=np.float64)
        parts = (self.curve, self.curve_error)
        lengths = {len(np.asarray(part)) for part in parts if part is not None}
        if coefs.ndim not in (2, 3) or lengths | {coefs.shape[-1]} != {len(points)}:
            raise ValueError(
                "points, curve and curve_error must have one entry for each column of coefs; got "
                f"{len(points)}, {sorted(lengths)} and coefs of shape {coefs.shape}."
            )
        if coefs.ndim == 3:
            coefs = np.linalg.norm(coefs, axis=0)
        placed = np.isfinite(points)
        return coefs, points, placed & (points > 0) if self.xaxis == "alpha" else placed

    def _draw_curve(self, ax: Axes, points: Array, shown: Any) -> None:
        curve = np.asarray(self.curve, dtype=np.float64)[shown]
        (self.curve_,) = ax.plot(points[shown], curve, color="black", marker=".", linewidth=1.2)
        if self.curve_error is not None:
            half = np.asarray(self.curve_error, dtype=np.float64)[shown]
            self.band_ = ax.fill_between(
                points[shown], curve - half, curve + half, color="black", alpha=0.15, linewidth=0
            )
        ax.set_ylabel(self.curve_name)

    def _draw_coefficients(
        self, coefs: Array, points: Array, n_names: int, line_kw: dict[str, Any]
    ) -> None:
        named, others = self._ranked(coefs, points, n_names)
        names = [f"x{j}" for j in range(len(coefs))]
        if self.feature_names is not None:
            names = [str(name) for name in np.asarray(self.feature_names)]
        if len(names) != len(coefs):
            raise ValueError(
                f"feature_names has {len(names)} names, and there are {len(coefs)} features; give "
                "one for each, or None."
            )
        self.lines_, drawn = [], _without_zeros(coefs)
        for place, j in enumerate(named):
            style = {"color": f"C{place % _COLOURS}", "label": names[j], "zorder": 3}
            style["linestyle"] = ["-", "--", ":", "-."][place // _COLOURS % 4]
            self.lines_ += self.ax_.plot(points, drawn[j], **(self._style | style | line_kw))
        for j in others:
            style = {"color": "0.75", "linewidth": 1.0, "zorder": 1.5}
            self.lines_ += self.ax_.plot(points, drawn[j], **(self._style | style | line_kw))
        self.ax_.axhline(0.0, color="black", linewidth=0.8, zorder=1)
        self._focus(coefs, points)
        several = np.ndim(self.coefs) == 3
        self.ax_.set_ylabel("norm of the coefficients" if several else "coefficient")
        if named.size:
            title = None if self.chosen is None else "chosen features"
            self.ax_.legend(
                loc="upper left", bbox_to_anchor=(1.01, 1.0), title=title, frameon=False
            )

    def _focus(self, coefs: Array, points: Array) -> None:
        """Limit the vertical axis to coefficients of models no larger than the chosen one."""
        if self.chosen is None or not len(points):
            return
        sign = -1.0 if self.xaxis == "alpha" else 1.0
        seen = coefs[:, sign * points <= sign * self.chosen * (1.0 + 1e-9 * sign)]
        if not seen.any():
            return
        low, high = min(seen.min(), 0.0), max(seen.max(), 0.0)
        margin = 0.4 * (high - low)
        bottom, top = self.ax_.get_ylim()
        self.ax_.set_ylim(max(bottom, low - margin), min(top, high + margin))

    _style: dict[str, Any] = {"marker": ".", "markersize": 4.0, "linewidth": 1.6}

    def _ranked(self, coefs: Array, points: Array, n_names: int) -> tuple[Indices, Indices]:
        """Features for the legend, largest coefficient first, and the others that are used."""
        at = -1 if self.chosen is None else int(np.argmin(np.abs(points - self.chosen)))
        sizes = np.abs(coefs[:, at]) if len(points) else np.zeros(len(coefs))
        order = np.argsort(-sizes, kind="stable")
        named = order[: max(min(n_names, int(np.count_nonzero(sizes))), 0)]
        used = np.flatnonzero((coefs != 0.0).any(axis=1))
        return named, np.setdiff1d(used, named)

    def _mark_choice(self, axes: list[Axes], points: Array) -> None:
        self.chosen_lines_ = []
        if self.chosen is None or not np.any(np.isclose(points, self.chosen)):
            return
        style: dict[str, Any] = {"color": "black", "linestyle": "--", "linewidth": 1.0}
        self.chosen_lines_ = [panel.axvline(self.chosen, **style) for panel in axes]
        label = f"alpha {self.chosen:.3g}"
        if self.xaxis == "n_features":
            label = f"{self.chosen:.0f} feature" + "s" * (self.chosen != 1)
        axes[0].annotate(
            f"chosen: {label}",
            (self.chosen, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            va="bottom",
        )

    def _format_axis(self, axes: list[Axes], points: Array) -> None:
        from matplotlib.ticker import MaxNLocator

        bottom = axes[-1]
        bottom.set_xlabel(_LABELS[self.xaxis])
        if self.xaxis == "n_features":
            bottom.xaxis.set_major_locator(MaxNLocator(integer=True))
            return
        for panel in axes:
            panel.set_xscale("log")
            if len(points) and not panel.xaxis_inverted():
                panel.invert_xaxis()


def _without_zeros(coefs: Array) -> Array:
    """Coefficients with nan where a feature is used neither at a point nor at its neighbours."""
    used = np.pad(coefs != 0.0, ((0, 0), (1, 1)))
    return np.where(used[:, 1:-1] | used[:, :-2] | used[:, 2:], coefs, np.nan)
