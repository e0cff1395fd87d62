"""Whether the network's selector reaches what it must beside the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from statistics import mean, stdev
from typing import Any

from .data import TABLES, Table
from .measuring import CHOOSERS
from .ours import NETWORKS

#: What is kept of a row: by seed.
Runs = Mapping[str, dict[str, Any]]
Kept = Mapping[str, Runs]
#: Least share of the cells that must be above the best other, and how many times faster than
#: LassoNet and STG a fit must be.
ABOVE = 2 / 3
FASTER = {"STG": 1.0, "LassoNet": 5.0}
PEERS = tuple(name for name in CHOOSERS if name not in NETWORKS)


@dataclass(frozen=True)
class Verdict:
    """A selector on one table beside all others.

    Parameters
    ----------
    n_cells, n_within, n_above : int
        Numbers of features times models; those with a mean no less than one standard error below
        the best other's, the larger of the two errors; those with a larger mean.
    faster : dict of str to float
        Times that a fit is faster than those of packages that were measured.
    overlap, other_overlap : float or None
        Shares that the largest sets of two seeds have in common, of this selector and of STG.
    """

    n_cells: int
    n_within: int
    n_above: int
    faster: dict[str, float]
    overlap: float | None
    other_overlap: float | None

    @property
    def is_as_stable(self) -> bool:
        """Whether seeds agree no less than those of STG, where both are known."""
        pair = self.overlap, self.other_overlap
        return None in pair or pair[0] >= pair[1]

    @property
    def missed(self) -> list[str]:
        """What is not reached."""
        slow = [f"faster than {name}" for name, by in self.faster.items() if by < FASTER[name]]
        return [
            *(["within"] if self.n_within < self.n_cells else []),
            *(["above"] if self.n_above < ABOVE * self.n_cells else []),
            *slow,
            *([] if self.is_as_stable else ["overlap"]),
        ]


def runs_of(name: str, chooser: str, kept: Kept) -> list[dict[str, Any]]:
    """The runs of a row that did not fail."""
    return [run for run in kept.get(f"{name}, {chooser}", {}).values() if "failed" not in run]


def cells(table: Table) -> list[tuple[str, str]]:
    """Numbers of features and models."""
    return [(model, str(number)) for model in table.models for number in table.numbers]


def average(runs: list[dict[str, Any]], model: str, number: str) -> tuple[float, float] | None:
    """Mean and standard error in per cent, which is zero for one run; None if not measured."""
    found = [
        100 * run["scores"][number][model] for run in runs if model in run["scores"].get(number, {})
    ]
    if not found:
        return None
    return mean(found), stdev(found) / len(found) ** 0.5 if len(found) > 1 else 0.0


def overlap(runs: list[dict[str, Any]], table: Table) -> float | None:
    """Mean share that the largest sets of two seeds have in common; None with fewer than two."""
    number = str(max(table.numbers))
    sets = [set(run["chosen"][number].split()) for run in runs if number in run["chosen"]]
    if len(sets) < 2:
        return None
    return mean(len(a & b) / max(len(a), len(b), 1) for a, b in combinations(sets, 2))


def judge(name: str, chooser: str, kept: Kept) -> Verdict | None:
    """The verdict of a selector on a table; None without two of its seeds and another selector."""
    table, runs = TABLES[name], runs_of(name, chooser, kept)
    others = {peer: found for peer in PEERS if (found := runs_of(name, peer, kept))}
    if len(runs) < 2 or not others:
        return None
    pairs = [
        (average(runs, *cell), max(filter(None, (average(o, *cell) for o in others.values()))))
        for cell in cells(table)
    ]
    seconds = mean(run["seconds"] for run in runs)
    return Verdict(
        len(pairs),
        sum(ours[0] >= best[0] - max(ours[1], best[1]) for ours, best in pairs),
        sum(ours[0] > best[0] for ours, best in pairs),
        {
            peer: mean(run["seconds"] for run in others[peer]) / max(seconds, 1e-3)
            for peer in FASTER
            if peer in others
        },
        overlap(runs, table),
        overlap(others.get("STG", []), table),
    )
