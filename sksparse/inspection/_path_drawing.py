"""Drawing the lines of a path: colours, widths, the legend, and the range in sight."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sksparse._typing import Array, Indices
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

    def draw(line: int, style: dict[str, Any]) -> None:
        options = _LINE | size | style
        options["linewidth"] += _extra_width(lines.members[line])
        drawn.extend(ax.plot(points, lines.heights[line], **(options | line_kw)))

    for place, owner in enumerate(named):
        style = {"color": f"C{place % _COLOURS}", "zorder": 3}
        style["linestyle"] = ["-", "--", ":", "-."][place // _COLOURS % 4]
        style["label"] = lines.names[owner]
        for line in lines.of(owner):
            draw(line, style)
            style["label"] = None  # one entry for a group or cluster
    for line in _unnamed(lines, named):
        draw(line, _UNNAMED)
    return drawn


def _extra_width(members: int) -> float:
    return float(min(_WIDER * np.log2(members), _WIDEST - _LINE["linewidth"]))


def _unnamed(lines: PathLines, named: Indices) -> Indices:
    return np.flatnonzero(lines.used & ~np.isin(lines.owners, named))


def finish(ax: Axes, lines: PathLines, n_names: int, *, is_choice: bool) -> None:
    """Draw the line at zero, and label the heights and the names."""
    ax.axhline(0.0, color="black", linewidth=0.8, zorder=1)
    ax.set_ylabel(lines.label)
    if lines.ranked(n_names).size:
        title = f"chosen {lines.kind}" if is_choice else lines.kind
        ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), title=title, frameon=False)


def focus(ax: Axes, heights: Array) -> None:
    """Limit the vertical axis to some of the heights that are drawn, with a margin."""
    seen = np.nan_to_num(heights)
    if not seen.any():
        return
    low, high = min(seen.min(), 0.0), max(seen.max(), 0.0)
    margin = 0.4 * (high - low)
    bottom, top = ax.get_ylim()
    ax.set_ylim(max(bottom, low - margin), min(top, high + margin))
