"""Compressed networks: bytes of a file, error, and microseconds of a prediction."""

from __future__ import annotations

from benchmarks.report import Report

from . import forms, inference, sizes

EVERY = ("inference",)


def run(report: Report) -> None:
    """Measure the rows that are asked for, or all."""
    for name in EVERY:
        if report.rows is None or name in report.rows:
            report.merge({name: inference.measure()}, EVERY)
    kept = report.merge({}, EVERY)
    if "inference" in kept:
        inference.describe(report, kept["inference"])
    sizes.run(report)
    forms.run(report)
