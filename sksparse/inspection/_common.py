"""What the displays share: the network inside an estimator, and axes to draw on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def fitted_network(estimator: Any) -> Any:
    """The fitted network itself, out of the pipelines and searches around it."""
    check_is_fitted(estimator)
    if isinstance(estimator, BaseSearchCV):
        check_is_fitted(
            estimator,
            "best_estimator_",
            msg="This %(name)s kept no fitted estimator; construct it with refit=True.",
        )
        return fitted_network(estimator.best_estimator_)
    if isinstance(estimator, Pipeline):
        return fitted_network(estimator[-1])
    return estimator


def fitted_attribute(estimator: Any, name: str, remedy: str) -> Any:
    """An attribute of a fitted network; a network without it is refused with the remedy."""
    network = fitted_network(estimator)
    try:
        return getattr(network, name)
    except AttributeError as error:
        raise TypeError(f"{type(network).__name__} has no {name}: {remedy}.") from error


def divide(
    ax: Axes | Sequence[Axes] | None,
    n_rows: int,
    n_columns: int,
    *,
    figsize: tuple[float, float],
    **grid: Any,
) -> list[Axes]:
    """Axes for all panels: a new figure, a given axes cut up, or the given ones as they are.

    Parameters
    ----------
    ax : Axes, sequence of Axes or None
        What the user gave.
    n_rows, n_columns : int
        How the panels are laid out where they are made here.
    figsize : tuple of float
        Size of a new figure in inches.
    **grid : dict
        Options of the grid, such as `width_ratios`, and `sharex`.

    Raises
    ------
    ValueError
        Where the number of axes given is not that of the panels.
    """
    import matplotlib.pyplot as plt
    from matplotlib.axes import Axes
    from matplotlib.gridspec import GridSpecFromSubplotSpec
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    if ax is None:
        figure = plt.figure(figsize=figsize, layout=ConstrainedLayoutEngine(w_pad=0.08))
        return _fill(figure, figure.add_gridspec(n_rows, n_columns, **_without(grid)), grid)
    if isinstance(ax, Axes) and n_rows * n_columns > 1:
        spec = ax.get_subplotspec()
        if spec is None:
            raise ValueError(
                "ax was placed by hand and cannot be divided into panels; give ax=None, an axes "
                f"of plt.subplots, or {n_rows * n_columns} axes."
            )
        ax.set_axis_off()
        cells = GridSpecFromSubplotSpec(n_rows, n_columns, subplot_spec=spec, **_without(grid))
        return _fill(ax.figure, cells, grid)
    axes = list(np.ravel(np.asarray(ax, dtype=object)))
    if len(axes) != n_rows * n_columns:
        raise ValueError(
            f"ax holds {len(axes)} axes, but {n_rows * n_columns} panels are drawn; give as many "
            "axes as panels, or a single one, which is divided."
        )
    return axes


def _without(grid: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in grid.items() if name != "sharex"}


def _fill(figure: Any, cells: Any, grid: dict[str, Any]) -> list[Axes]:
    return list(np.ravel(cells.subplots(sharex=grid.get("sharex", False))))
