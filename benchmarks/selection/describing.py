"""The tables of the selection benchmark."""

from __future__ import annotations

from collections.abc import Collection
from statistics import mean
from typing import Any

from benchmarks.report import Report

from .data import TABLES, Table
from .known import describe_known
from .limits import describe_limits
from .measuring import ALL, CHOOSERS
from .ours import NETWORKS
from .verdicts import FASTER, Kept, Verdict, average, cells, judge, overlap, runs_of

NOTE = (
    "Columns are chosen on 80 % of the rows, stratified by class and scaled to [0, 1]; a network "
    "of one hidden layer (a third of the width of the table, 3000 updates of 64 rows) and one "
    "hundred extremely random trees are trained on these columns and scored on the other rows. "
    "Accuracy in per cent (R² x 100 of numbers) with its standard error over the seeds, each with "
    "a split of its own. *Overlap* is the share that the largest sets of two seeds have in common. "
    "Seconds are those of the processor on one thread, for all numbers of columns together, while "
    "the machine did other work as well: networks, LassoNet, STG, the forest and mutual "
    "information rank all columns in one fit. LassoNet has its default settings, STG those of ten "
    "that were best on training rows of mice protein and digits; L1 is the strongest penalty that "
    "leaves enough columns. A network on all columns is left out where it would have more than a "
    "million weights."
)


def describe(report: Report, kept: Kept, absent: Collection[str]) -> None:
    """Everything that was measured, or is kept."""
    report.note(NOTE)
    if absent:
        report.note(f"Not measured, as the packages are missing: {', '.join(sorted(absent))}.")
    for name, table in TABLES.items():
        if any(f"{name}, {chooser}" in kept for chooser in CHOOSERS):
            describe_table(report, name, table, kept)
    describe_all(report, kept)
    describe_known(report, kept)
    describe_limits(report, kept)


def describe_table(report: Report, name: str, table: Table, kept: Kept) -> None:
    """One table of data: a line for each selector, and the verdicts."""
    report.note(f"{name}{f' ({table.note})' if table.note else ''}:")
    names = [f"{model} {number}" for model, number in cells(table)]
    lines = []
    for chooser in CHOOSERS:
        runs = runs_of(name, chooser, kept)
        seeds = kept.get(f"{name}, {chooser}", {})
        if not seeds:
            continue
        shown = [show(average(runs, *cell)) for cell in cells(table)]
        common = overlap(runs, table)
        seconds = f"{mean(run['seconds'] for run in runs):.1f}" if runs else failure(seeds)
        lines.append(
            [
                chooser,
                count(runs, seeds),
                *shown,
                "" if common is None else f"{common:.2f}",
                seconds,
            ]
        )
    everything = runs_of(name, ALL, kept)
    if everything:
        shown = [
            show(average(everything, model, "all")) if number == str(table.numbers[0]) else ""
            for model, number in cells(table)
        ]
        lines.append([ALL, str(len(everything)), *shown, "", ""])
    report.table(["selector", "seeds", *names, "overlap", "seconds"], lines)
    verdicts = {chooser: judge(name, chooser, kept) for chooser in NETWORKS}
    told = [f"{chooser}: {tell(found)}" for chooser, found in verdicts.items() if found]
    if told:
        report.note("\n".join(f"- {line}" for line in told))


def show(found: tuple[float, float] | None) -> str:
    """Mean and standard error, which one seed has not."""
    if found is None:
        return "–"
    return f"{found[0]:.1f}{f' ± {found[1]:.1f}' if found[1] else ''}"


def count(runs: list[dict[str, Any]], seeds: Any) -> str:
    """How many seeds were run, and how many of them failed."""
    n_failed = len(seeds) - len(runs)
    return f"{len(seeds)}, of which {n_failed} failed" if n_failed else str(len(seeds))


def failure(seeds: Any) -> str:
    """Why the first one failed."""
    return next(iter(seeds.values()))["failed"].splitlines()[0]


def tell(found: Verdict) -> str:
    """A verdict on one table in words."""
    parts = [
        f"{found.n_within} of {found.n_cells} cells at or above the best other within one standard "
        f"error, {found.n_above} above",
        *(f"{by:.1f} times faster than {name}" for name, by in found.faster.items()),
    ]
    if found.overlap is not None and found.other_overlap is not None:
        parts.append(f"overlap {found.overlap:.2f} (STG {found.other_overlap:.2f})")
    holds = f"no: {', '.join(found.missed)}" if found.missed else "yes"
    return f"{'; '.join(parts)}. Holds: {holds}"


def describe_all(report: Report, kept: Kept) -> None:
    """A line for each method of the network's selector, over all tables."""
    lines = []
    for chooser in NETWORKS:
        found = [verdict for name in TABLES if (verdict := judge(name, chooser, kept))]
        if not found:
            continue
        n_cells = sum(verdict.n_cells for verdict in found)
        n_above = sum(verdict.n_above for verdict in found)
        least = [
            min((verdict.faster[peer] for verdict in found if peer in verdict.faster), default=None)
            for peer in FASTER
        ]
        lines.append(
            [
                chooser,
                str(len(found)),
                f"{sum(verdict.n_within for verdict in found)} of {n_cells}",
                f"{n_above} of {n_cells} ({n_above / n_cells:.0%})",
                *("–" if by is None else f"{by:.1f}" for by in least),
                f"{sum(verdict.is_as_stable for verdict in found)} of {len(found)}",
            ]
        )
    if lines:
        report.note(
            "Over all tables: every cell must be within one standard error of the best other "
            "selector or above, two thirds above; a fit must never be slower than STG and at least "
            "5 times faster than LassoNet; seeds must agree no less than those of STG."
        )
        least_names = [f"least times faster than {peer}" for peer in FASTER]
        header = ["selector", "tables", "cells within", "cells above", *least_names, "overlap"]
        report.table(header, lines)
