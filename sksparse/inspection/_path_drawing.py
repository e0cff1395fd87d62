"""Drawing the lines of a path: colours, widths, the legend, and the range in sight."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sksparse._typing import Array
from sksparse.inspection._path_lines import PathLines

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

# Colours of matplotlib's default cycle; names in the legend beyond it differ in line style.
_COLOURS = 10
_LINE: dict[str, Any] = {"marker": ".", "markersize": 4.0, "linewidth": 1.6}
_UNNAMED: dict[str, Any] = {"color": "0.75", "linewidth": 1.0, "zorder": 1.5}
# Points that a line of tied coefficients is wider for each doubling of their number, up to so wide.
_WIDER, _WIDEST = 1.3, 9.0


def draw_lines(
    ax: Axes, lines: PathLines, points: Array, n_names: int, line_kw: dict[str, Any]
) -> list[Line2D]:
    """Draw all lines that are used, those with a name first, and return them in this order."""
    from matplotlib.cbook import normalize_kwargs
    from matplotlib.lines import Line2D

    line_kw = normalize_kwargs(line_kw, Line2D)
    size = {"markersize": 8.0} if len(points) == 1 else {}
    named = lines.ranked(n_names)
    drawn: list[Line2D] = []

    def draw(x: Array, heights: Array, members: int, style: dict[str, Any]) -> None:
        options = _LINE | size | style
        options["linewidth"] += _extra_width(members)
        drawn.extend(ax.plot(x, heights, **(options | line_kw)))

    for place, owner in enumerate(named):
        style = {"color": f"C{place % _COLOURS}", "zorder": 3, "label": lines.names[owner]}
        style["linestyle"] = ["-", "--", ":", "-."][place // _COLOURS % 4]
        for line in lines.of(owner):
            draw(points, lines.heights[line], lines.members[line], style)
            style["label"] = None  # one entry for a group or cluster
    rest = lines.used & ~np.isin(lines.owners, named)
    if lines.kind == "clusters":
        # thousands of stretches take a second each thousand where they are lines of their own
        for members in np.unique(lines.members[rest]):
            x, heights = _joined(points, lines.heights[rest & (lines.members == members)])
            draw(x, heights, members, _UNNAMED)
    else:
        for line in np.flatnonzero(rest):
            draw(points, lines.heights[line], 1, _UNNAMED)
    return drawn


def _joined(points: Array, heights: Array) -> tuple[Array, Array]:
    """Several lines as one with gaps."""
    heights = np.pad(heights, ((0, 0), (0, 1)), constant_values=np.nan)
    x = np.broadcast_to(np.append(points, np.nan), heights.shape)
    taken = np.isfinite(heights) | np.isnan(x)
    return x[taken], heights[taken]


def _extra_width(members: int) -> float:
    return float(min(_WIDER * np.log2(members), _WIDEST - _LINE["linewidth"]))


def finish(
    ax: Axes, lines: PathLines, n_names: int, line_kw: dict[str, Any], *, is_choice: bool
) -> None:
    """Draw the line at zero, and label the heights and the names."""
    ax.axhline(0.0, color="black", linewidth=0.8, zorder=1)
    ax.set_ylabel(lines.label)
    named = lines.ranked(n_names)
    if not named.size:
        return
    title = f"chosen {lines.kind}" if is_choice else lines.kind
    legend = ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), title=title, frameon=False)
    if not {"linewidth", "lw"} & line_kw.keys():
        # a cluster may be tied at the point of reference alone, where no line is
        for handle, members in zip(legend.get_lines(), lines.tied[named], strict=True):
            handle.set_linewidth(_LINE["linewidth"] + _extra_width(members))


def focus(ax: Axes, heights: Array) -> None:
    """Limit the vertical axis to some of the heights that are drawn, with a margin."""
    seen = np.nan_to_num(heights)
    if not seen.any():
        return
    low, high = min(seen.min(), 0.0), max(seen.max(), 0.0)
    margin = 0.4 * (high - low)
    bottom, top = ax.get_ylim()
    # magnitudes need no room below zero
    below = margin if low < 0.0 else 0.1 * margin
    ax.set_ylim(max(bottom, low - below), min(top, high + margin))
