"""The coefficients of a linear model along its path, and the point that was chosen."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils._optional_dependencies import check_matplotlib_support

from sksparse._typing import Array, Mask
from sksparse.inspection._common import divide
from sksparse.inspection._path_axis import LABELS, format_axis, mark_choice, placed, resolved_axis
from sksparse.inspection._path_choice import (
    check_path,
    choice_curve,
    groups_of,
    names_of_inputs,
    path_of,
)
from sksparse.inspection._path_drawing import draw_lines, finish, focus
from sksparse.inspection._path_lines import path_lines

if TYPE_CHECKING:
    from matplotlib.axes import Axes


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
        Names for the legend, which holds those of groups where there are any; by default ``x0``,
        ``x1``, ....
    groups : array-like of shape (n_features,), default=None
        The group of each feature: its name, or any label. Features of one group share a colour and
        a name in the legend.
    group_norms : dict of array-like of shape (n_points,), default=None
        The norm of each group's coefficients, by its name. By default computed from `coefs` and
        `groups`, which is not possible where a feature is in several groups.
    xaxis : {"n_features", "alpha"}, default="n_features"
        What `points` are. Strengths have a logarithmic axis, from large to small, with a place for
        zero where it is one of them.

    Attributes
    ----------
    lines_ : list of matplotlib Line2D
        The coefficients of one feature each, or the norms of one group each, where they are not
        zero at all points; those with a name in the legend first, largest at the chosen point
        first. Of clusters, stretches of the path along which features are tied; those without a
        name are one line, with gaps, for each number of features.
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
    sksparse.linear_model.GroupLassoRegressorCV : Chooses a strength of the group lasso.
    sksparse.linear_model.OSCARCV : Chooses a strength of OSCAR.
    sksparse.linear_model.SLOPECV : Chooses a strength of SLOPE.
    sksparse.linear_model.l0_path : The best subsets alone.
    sksparse.linear_model.group_lasso_path : The group lasso at all strengths.
    ClusterDisplay : Clusters at one strength, beside the correlations of the features.
    SparsityPathDisplay : The score of a network against its sparsity.

    Notes
    -----
    Coefficients are drawn as they are: only those of features on one scale can be compared. A line
    has gaps where the feature or group is not used, and what is not in the legend is grey. The
    vertical range is that of models no larger than the chosen one, with a margin;
    `display.ax_.autoscale(axis="y")` shows all.

    Of clusters magnitudes are drawn, so that features that are tied with opposite signs meet. A
    line is the wider, the more features it stands for. The colours are those of the clusters at
    the chosen point, or at the last where none was chosen; what merges with others at another
    strength has there the colour of the cluster that most of the features are in.

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
        groups: Iterable[Hashable] | None = None,
        group_norms: Mapping[Hashable, ArrayLike] | None = None,
        xaxis: str = "n_features",
    ) -> None:
        self.coefs = coefs
        self.points = points
        self.chosen = chosen
        self.curve = curve
        self.curve_error = curve_error
        self.curve_name = curve_name
        self.feature_names = feature_names
        self.groups = groups
        self.group_norms = group_norms
        self.xaxis = xaxis

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        xaxis: str = "auto",
        feature_names: ArrayLike | None = None,
        show: str = "auto",
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
        show : {"auto", "groups", "coefficients", "clusters"}, default="auto"
            One line for each group, the norm of its coefficients; or one for each coefficient,
            in the colour of its group, the first of several; or one for each cluster, the
            magnitude that its coefficients share. "auto" is clusters where there are no groups and
            any coefficients are tied, groups where there are more than 20 coefficients in them,
            coefficients otherwise.
        n_names : int, default=10
            Most features or groups in the legend: those with the largest coefficients at the
            chosen point.
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
        model, coefs = path_of(estimator)
        xaxis = resolved_axis(xaxis, vars(model).get("sizes_"))
        on_sizes = xaxis == "n_features"
        curve, error, name = choice_curve(model)
        display = cls(
            coefs,
            model.n_features_path_ if on_sizes else model.alphas_,
            chosen=float(model.n_features_ if on_sizes else model.alpha_),
            curve=curve,
            curve_error=error,
            curve_name=name,
            feature_names=names_of_inputs(estimator) if feature_names is None else feature_names,
            xaxis=xaxis,
            **groups_of(model, "groups_", "group_labels_", "group_norms_path_"),
        )
        return display.plot(ax, show=show, n_names=n_names, **line_kw)

    @classmethod
    def from_path(
        cls,
        path: Any,
        *,
        xaxis: str = "auto",
        feature_names: ArrayLike | None = None,
        show: str = "auto",
        n_names: int = 10,
        ax: Axes | Sequence[Axes] | None = None,
        **line_kw: Any,
    ) -> RegularizationPathDisplay:
        """Draw a path, and its loss.

        Parameters
        ----------
        path : L0Path, SLOPEPath or GroupLassoPath
            What :func:`~sksparse.linear_model.l0_path`, :func:`~sksparse.linear_model.oscar_path`,
            :func:`~sksparse.linear_model.slope_path` or
            :func:`~sksparse.linear_model.group_lasso_path` returned.
        xaxis : {"auto", "n_features", "alpha"}, default="auto"
            What the coefficients are drawn against; "auto" is what was asked for.
        feature_names : array-like of shape (n_features,), default=None
            Names for the legend.
        show : {"auto", "groups", "coefficients", "clusters"}, default="auto"
            What a line is, as in :meth:`from_estimator`.
        n_names : int, default=10
            Most features or groups in the legend: those with the largest coefficients at the last
            point.
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
        check_path(path)
        xaxis = resolved_axis(xaxis, vars(path).get("sizes"))
        display = cls(
            path.coefs,
            path.n_features if xaxis == "n_features" else path.alphas,
            curve=path.losses,
            curve_name="loss",
            feature_names=feature_names,
            xaxis=xaxis,
            **groups_of(path, "groups", "labels", "group_norms"),
        )
        return display.plot(ax, show=show, n_names=n_names, **line_kw)

    def plot(
        self,
        ax: Axes | Sequence[Axes] | None = None,
        *,
        show: str = "auto",
        n_names: int = 10,
        **line_kw: Any,
    ) -> RegularizationPathDisplay:
        """Draw the path.

        Parameters
        ----------
        ax : Axes or sequence of Axes, default=None
            One axes, which is divided where there is a curve, or as many as there are panels. By
            default a new figure.
        show : {"auto", "groups", "coefficients", "clusters"}, default="auto"
            What a line is, as in :meth:`from_estimator`.
        n_names : int, default=10
            Most features or groups in the legend: those with the largest coefficients at the
            chosen point, or at the last where none was chosen.
        **line_kw : dict
            Options of matplotlib's `plot` for the coefficients.

        Returns
        -------
        display : RegularizationPathDisplay
            The display itself.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        coefs, points = self._check_arrays()
        drawn = placed(points)
        coefs, shown = coefs[..., drawn], points[drawn]
        at = -1 if self.chosen is None else int(np.argmin(np.abs(shown - self.chosen)))
        lines = path_lines(
            coefs, self.groups, self._norms(drawn), self.feature_names, show, at, n_names
        )
        n_panels = 1 if self.curve is None else 2
        size = (7.5, 1.6 + 1.9 * n_panels)
        ratios = [1, 2][-n_panels:]
        axes = divide(ax, n_panels, 1, figsize=size, sharex=True, height_ratios=ratios)
        self.ax_, self.figure_ = axes[-1], axes[-1].figure
        self.curve_ax_ = axes[0] if n_panels == 2 else None
        self.curve_, self.band_ = None, None
        if self.curve_ax_ is not None:
            self._draw_curve(self.curve_ax_, points, drawn)
        self.lines_ = draw_lines(self.ax_, lines, shown, n_names, line_kw)
        finish(self.ax_, lines, n_names, line_kw, is_choice=self.chosen is not None)
        focus(self.ax_, lines.heights[:, self._in_sight(shown)])
        self.chosen_lines_ = mark_choice(axes, shown, self.chosen, self.xaxis)
        format_axis(axes, shown, self.xaxis)
        return self

    def _check_arrays(self) -> tuple[Array, Array]:
        if self.xaxis not in LABELS:
            raise ValueError(f"xaxis={self.xaxis!r} is unknown; give one of {sorted(LABELS)}.")
        coefs = np.asarray(self.coefs)
        coefs = coefs if coefs.dtype.kind == "f" else coefs.astype(np.float64)
        points = np.asarray(self.points, dtype=np.float64)
        norms = [] if self.group_norms is None else self.group_norms.values()
        parts = (self.curve, self.curve_error, *norms)
        lengths = {len(np.asarray(part)) for part in parts if part is not None}
        if coefs.ndim not in (2, 3) or lengths | {coefs.shape[-1]} != {len(points)}:
            raise ValueError(
                "points, curve, curve_error and each of group_norms must have one entry for each "
                f"column of coefs; got {len(points)}, {sorted(lengths)} and coefs of shape "
                f"{coefs.shape}."
            )
        if not np.isfinite(points).any():
            raise ValueError(f"points={points} has no finite entry; give at least one point.")
        return coefs, points

    def _norms(self, drawn: Mask) -> dict[Hashable, Array] | None:
        if self.group_norms is None:
            return None
        return {name: np.asarray(norms)[drawn] for name, norms in self.group_norms.items()}

    def _draw_curve(self, ax: Axes, points: Array, drawn: Mask) -> None:
        curve = np.asarray(self.curve, dtype=np.float64)[drawn]
        (self.curve_,) = ax.plot(points[drawn], curve, color="black", marker=".", linewidth=1.2)
        if self.curve_error is not None:
            half = np.asarray(self.curve_error, dtype=np.float64)[drawn]
            self.band_ = ax.fill_between(
                points[drawn], curve - half, curve + half, color="black", alpha=0.15, linewidth=0
            )
        ax.set_ylabel(self.curve_name)

    def _in_sight(self, points: Array) -> Mask:
        """Points of models no larger than the chosen one."""
        if self.chosen is None:
            return np.zeros(points.shape, dtype=np.bool_)
        sign = -1.0 if self.xaxis == "alpha" else 1.0
        return np.asarray(sign * points <= sign * self.chosen * (1.0 + 1e-9 * sign))
