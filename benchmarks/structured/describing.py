"""The tables of the structured benchmark."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from statistics import mean
from typing import Any

from benchmarks.report import Report

from .residual import FAMILIES, METHODS, SHARES
from .rows import Row, Run, Runs
from .speed import FASTER

Kept = Mapping[str, Any]

NOTE = (
    "Error on the test rows (mean and range over the seeds) after training on all training rows. "
    "The test rows are met once by a setting; where it is not the first one that met them, the row "
    "says so. Magnitude's L1 strength and number of epochs come from code that watched them. Units "
    "and FLOPs are shares of the dense network that are left after compaction, FLOPs by the "
    "counter of torch (by the picture of the module for recurrent layers); *faster* is the time of "
    "the dense network over that of the compacted one, in turn. Training is in seconds of the "
    "processor, on one thread, while the machine did other work as well. Where several widths are "
    "bounded, each must hold."
)


def runs_of(name: str | None, kept: Kept) -> Runs:
    """What the seeds of a row recorded."""
    return [] if name is None else list(kept.get(name, {}).values())


def describe_fits(report: Report, rows: Mapping[str, Row], kept: Kept, note: str) -> None:
    """A table of rows that have runs: first of weights alone, or of units as well."""
    found = {name: row for name, row in rows.items() if name in kept}
    if not found:
        return
    report.note(note)
    columns = STRUCTURES if any(row.compacts for row in found.values()) else WEIGHTS
    if any(row.data == "characters" for row in found.values()):
        columns = {"perplexity": average("perplexity", "{:.3f}"), **columns}
    lines = []
    for name, row in found.items():
        runs = runs_of(name, kept)
        verdict = row.verdict(runs, runs_of(row.against, kept))
        seeds = ", ".join(kept[name])
        cells = [show(runs) for show in columns.values()]
        lines.append([name, seeds, *cells, row.must(), verdict])
    report.table(["row", "seeds", *columns, "must reach", "holds"], lines)


def errors(runs: Runs) -> str:
    """Mean and range."""
    found = [run["error"] for run in runs]
    spread = f" ({min(found):.2f} to {max(found):.2f})" if len(found) > 1 else ""
    return f"{mean(found):.2f} %{spread}"


def average(key: str, form: str) -> Callable[[Runs], str]:
    """A column of means."""
    return lambda runs: form.format(mean(run[key] for run in runs))


def widths(runs: Runs) -> str:
    """Those of the first seed."""
    return "-".join(map(str, runs[0]["widths"]))


WEIGHTS: dict[str, Callable[[Runs], str]] = {
    "test error": errors,
    "weights": average("weights", "{:.0f}"),
    "compression": average("compression", "{:.1f}"),
    "training, CPU": average("cpu_seconds", "{:.0f} s"),
}
STRUCTURES: dict[str, Callable[[Runs], str]] = {
    "test error": errors,
    "widths": widths,
    "units": average("units", "{:.1%}"),
    "FLOPs": average("flops", "{:.1%}"),
    "weights": average("weights", "{:.0f}"),
    "faster, batch 100": average("speedup_100", "{:.1f}"),
    "batch 1": average("speedup_1", "{:.1f}"),
    "training, CPU": average("cpu_seconds", "{:.0f} s"),
}


def describe_family(report: Report, data: str, kept: Kept) -> None:
    """Error against FLOPs, a line for each method, and what the order should be."""
    rows = {name: run for name, run in kept.items() if name in FAMILIES[data]}
    if not rows:
        return
    dense = runs_of(f"ResNet, {data}, dense", kept)
    report.note(
        f"The residual network of 20 layers (8-16-32 channels) on {data}: test error with the "
        "share of the FLOPs and the seconds of CPU in brackets; dense "
        + (f"{errors(dense)} ({dense[0]['cpu_seconds']:.0f} s)." if dense else "not run.")
    )
    lines = []
    for method in (*METHODS, "from scratch"):
        cells = [cell(runs_of(f"ResNet, {data}, {method}, {s:.0%}", kept)) for s in SHARES]
        lines.append([method, *cells])
    report.table(["method", *(f"{share:.0%}" for share in SHARES)], lines)
    report.note(
        "Orders that are expected (no score worse than random units; the best no worse than its "
        "widths from scratch): "
        + "; ".join(f"at {share:.0%} {order(data, share, kept)}" for share in SHARES)
        + "."
    )


def cell(runs: Runs) -> str:
    """Error, FLOPs and seconds."""
    if not runs:
        return "not run"
    return f"{errors(runs)} ({mean(r['flops'] for r in runs):.0%}, {runs[0]['cpu_seconds']:.0f} s)"


def order(data: str, share: float, kept: Kept) -> str:
    """Whether the methods are in the order expected."""
    found = {
        method: mean(run["error"] for run in runs)
        for method in (*METHODS, "from scratch")
        if (runs := runs_of(f"ResNet, {data}, {method}, {share:.0%}", kept))
    }
    if {*METHODS, "from scratch"} - set(found):
        return "open (rows were not run)"
    scored = {method: error for method, error in found.items() if method in METHODS}
    random = scored.pop("random")
    worse = [method for method, error in scored.items() if error > random]
    first = f"{', '.join(worse)} worse than random" if worse else "none worse than random"
    holds = min(scored.values()) <= found["from scratch"]
    return f"{first}, the best {'no worse' if holds else 'worse'} than from scratch"


def describe_oracle(report: Report, kept: Kept) -> None:
    """Rank correlations with the oracle."""
    if "oracle" not in kept:
        return
    found = kept["oracle"]
    report.note(
        "Spearman's correlation of scores of units with the oracle, the change of the loss where a "
        "unit is zeroed; it must be larger for Taylor's score than for magnitudes:"
    )
    lines = [
        [network, *(f"{value:.2f}" for value in scores.values()), verdict(scores)]
        for network, scores in found.items()
    ]
    report.table(["network", *next(iter(found.values())), "holds"], lines)


def verdict(scores: Mapping[str, float]) -> str:
    """Whether Taylor's score is the better one."""
    return "yes" if scores["taylor"] > scores["magnitude"] else "no"


def describe_speed(report: Report, kept: Kept) -> None:
    """Times of compacted networks."""
    if "speed" not in kept:
        return
    found = kept["speed"]
    report.note(
        f"Times on one thread, medians of pairs in turn: LeNet-5 and what is left of it at "
        f"{found['flops']:.1%} of its FLOPs; all test rows in one call of the module and by "
        "`predict`; six epochs on 10 000 rows dense, and with a group lasso that compacts."
    )
    lines = []
    for engine in ("torch", "onnxruntime"):
        for batch, times in found.get(engine, {}).items():
            must = FASTER[int(batch)] if engine == "torch" else None
            lines.append(timed(f"{engine}, batch {batch}", times, "ms", must))
    lines.append(timed("prediction of 10 000 rows, one call and chunks", found["predict"], "ms", 1))
    lines.append(timed("training, dense and compacting", found["training"], "s", 1))
    report.table(["what", "before", "after", "ratio", "must reach", "holds"], lines)


def timed(what: str, times: Mapping[str, float], unit: str, must: float | None) -> list[str]:
    """A line of two times and their ratio."""
    asked = ["", "to compare"]
    if must is not None:
        asked = [f"ratio >= {must:g}", "yes" if times["ratio"] >= must else "no"]
    return [
        what,
        *(f"{times[k]:.3g} {unit}" for k in ("dense", "small")),
        f"{times['ratio']:.2f}",
        *asked,
    ]


def describe_big(report: Report, kept: Kept) -> None:
    """Networks at full size."""
    found: dict[str, Run] = {
        name.removeprefix("big, "): run for name, run in kept.items() if name.startswith("big, ")
    }
    if not found:
        return
    report.note(
        "Networks at full size in double precision, half of the channels of each layer dead; they "
        "must be compacted in under two minutes, with the same outputs (1e-10). Memory is the most "
        "that the process held, before and after:"
    )
    lines = [
        [
            name,
            f"{run['parameters'][1] / 1e6:.1f} M to {run['parameters'][0] / 1e6:.1f} M",
            f"{run['units']:.0%}",
            f"{run['flops']:.1%}",
            f"{run['seconds']:.1f} s",
            f"{run['before'] / 1e3:.1f} to {run['memory'] / 1e3:.1f} GB",
            f"{run['off']:.0e}",
            "yes" if run["seconds"] < 120 and run["off"] <= 1e-10 else "no",
        ]
        for name, run in found.items()
    ]
    header = ["network", "parameters", "units", "FLOPs", "compact", "memory", "off", "holds"]
    report.table(header, lines)


def describe(report: Report, tables: Mapping[str, Mapping[str, Row]], kept: Kept) -> None:
    """Everything that was measured."""
    report.note(NOTE)
    for note, rows in tables.items():
        describe_fits(report, rows, kept, note)
    for data in FAMILIES:
        describe_family(report, data, kept)
    describe_oracle(report, kept)
    describe_speed(report, kept)
    describe_big(report, kept)
