"""First fits, and data at the limits."""

from __future__ import annotations

import sys
from typing import Any

from benchmarks.processes import extra_of_first, outcomes
from benchmarks.report import Report

from . import failures

SETUP = """
import numpy as np
{imports}
rng = np.random.default_rng(0)
X = np.asfortranarray(rng.standard_normal({shape}))
y = X[:, 0] + rng.standard_normal(len(X))
labels = np.where(y > 0, "yes", "no")
weights = np.linspace(5, 1, X.shape[1])
"""
WIDE, TALL = (200, 500), (5000, 100)
OURS, SORTEDL1 = "from sksparse.linear_model import *", "from sortedl1 import Slope"
#: Imports, shape of X, and the fit.
FIRST_FITS = {
    "SLOPE, wide": (OURS, WIDE, "SLOPE(0.01, lambdas=weights).fit(X, y)"),
    "SLOPE, tall": (OURS, TALL, "SLOPE(0.01, lambdas=weights).fit(X, y)"),
    "OSCAR": (OURS, WIDE, "OSCAR(0.1).fit(X, y)"),
    "SLOPEClassifier": (OURS, WIDE, "SLOPEClassifier(0.01, lambdas=weights).fit(X, labels)"),
    "slope_path": (OURS, WIDE, "slope_path(X, y, lambdas=weights, alphas=20, eps=0.1)"),
    "sortedl1": (SORTEDL1, WIDE, "Slope(lam=weights, alpha=0.01).fit(X, y)"),
}


def all_first_fits() -> dict[str, Any]:
    """Extra seconds by kind of fit."""
    return {
        name: extra_of_first(SETUP.format(imports=imports, shape=shape), fit, 5)
        for name, (imports, shape, fit) in FIRST_FITS.items()
    }


def all_failures() -> dict[str, Any]:
    """Outcomes by solver and case."""
    file, cases = "sorted_l1/failures.py", failures.CASES
    return {
        solver: outcomes(sys.executable, file, solver, cases, limit=120)
        for solver in failures.SOLVERS
    }


LIMITS = {"first fits": all_first_fits, "limits": all_failures}


def describe_limits(report: Report, merged: dict[str, Any]) -> None:
    """A table for each."""
    if "first fits" in merged:
        report.note(
            "Seconds that the first fit of a process costs more than the median of the ones that "
            "follow, with all caches on disk; five processes:"
        )
        kinds = merged["first fits"]
        rows = [[name, f"{k['median']:.2f}", f"{k['largest']:.2f}"] for name, k in kinds.items()]
        report.table(["fit", "median", "largest"], rows)
    if "limits" in merged:
        report.note(
            "Data at the limits, 100 x 40 where nothing else is said, OSCAR's weights: the "
            f"relative gap that plain NumPy finds, at a tolerance of {failures.TOL:.0e}, and "
            "seconds of the processor:"
        )
        solvers = merged["limits"]
        rows = [[case, *(solvers[s][case] for s in solvers)] for case in failures.CASES]
        report.table(["case", *solvers], rows)
