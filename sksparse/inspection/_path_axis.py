"""The horizontal axis of a path: numbers of features, or strengths from large to small."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sksparse._typing import Array, Mask

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LABELS = {"n_features": "number of features", "alpha": "alpha"}
_AXES = ("auto", *LABELS)
# Decades that the way from the smallest positive strength to zero takes.
_DECADES_TO_ZERO = 0.5
_MOST_TICKS = 10


def resolved_axis(xaxis: str, sizes: Any) -> str:
    """The horizontal axis; "auto" is the number of features where a search has tried numbers."""
    if xaxis not in _AXES:
        raise ValueError(f"xaxis={xaxis!r} is unknown; give one of {list(_AXES)}.")
    if xaxis != "auto":
        return xaxis
    return "alpha" if sizes is None else "n_features"


def placed(points: Array) -> Mask:
    """The points with a place on the axis; the null model may stand at an infinite strength."""
    return np.isfinite(points)


def format_axis(axes: list[Axes], points: Array, xaxis: str) -> None:
    """Label the axis, and scale that of strengths so that a strength of zero has a place too.

    Parameters
    ----------
    axes : list of Axes
        The panels, the lowest last.
    points : ndarray of shape (n_points,)
        The points that are drawn.
    xaxis : {"n_features", "alpha"}
        What they are.
    """
    from matplotlib.ticker import MaxNLocator

    bottom = axes[-1]
    bottom.set_xlabel(LABELS[xaxis])
    if xaxis == "n_features":
        bottom.xaxis.set_major_locator(MaxNLocator(integer=True))
        return
    for panel in axes:
        _scale_strengths(panel, points)
        if not panel.xaxis_inverted():
            panel.invert_xaxis()


def _scale_strengths(panel: Axes, points: Array) -> None:
    positive = points[points > 0]
    if not len(positive):
        panel.set_xticks([0.0])
        return
    lowest, highest = positive.min(), positive.max()
    ticks = _round_numbers(lowest, highest)
    if len(positive) < len(points):
        panel.set_xscale("symlog", linthresh=lowest, linscale=_DECADES_TO_ZERO)
        panel.set_xlim(-0.2 * lowest, 1.3 * highest)
        ticks = [0.0, *ticks]
    else:
        panel.set_xscale("log")
    if len(points) == 1:
        panel.set_xlim(lowest / 2, lowest * 2)
    panel.set_xticks(ticks, [f"{tick:.3g}" for tick in ticks])
    panel.set_xticks([], minor=True)


def _round_numbers(lowest: float, highest: float) -> list[float]:
    """Decades in an interval, or where there are few of them finer steps, or its lower end."""
    decades = 10.0 ** np.arange(np.floor(np.log10(lowest)), np.ceil(np.log10(highest)) + 1)
    for steps in ([1.0], [1.0, 2.0, 5.0]):
        ticks = np.outer(decades, steps).ravel()
        ticks = ticks[(ticks >= lowest) & (ticks <= highest)]
        if len(ticks) > 1:
            return list(ticks[:: -(-len(ticks) // _MOST_TICKS)])
    return [lowest]


def mark_choice(axes: list[Axes], points: Array, chosen: float | None, xaxis: str) -> list[Any]:
    """Draw a vertical line at the chosen point where it has a place, and say what it is."""
    if chosen is None or not np.any(np.isclose(points, chosen, atol=0.0)):
        return []
    style: dict[str, Any] = {"color": "black", "linestyle": "--", "linewidth": 1.0}
    label = f"alpha {chosen:.3g}"
    if xaxis == "n_features":
        label = f"{chosen:.0f} feature" + "s" * (chosen != 1)
    axes[0].annotate(
        f"chosen: {label}",
        (chosen, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(0, 3),
        textcoords="offset points",
        ha="center",
        va="bottom",
    )
    return [panel.axvline(chosen, **style) for panel in axes]
