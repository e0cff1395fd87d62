"""The fuzzers: a few hundred problems each time, ten thousand in the slow suite.

A failure names the seed; ``python tests/fuzz/run.py NAME --seeds SEED`` shows it again.
"""

from __future__ import annotations

import pytest
from fuzz_registry import CHECKS, run

# Problems in the fast and in the slow suite; fewer where a problem takes long.
COUNTS = {
    "group_lasso": (80, 2700),
    "group_lasso_counts": (40, 900),
    "group_regressor": (60, 500),
    "group_classifier": (30, 230),
    "group_path": (20, 170),
    "oscar": (40, 1000),
    "sorted_regressor": (40, 500),
    "sorted_classifier": (20, 230),
    "sorted_path": (15, 170),
    "l0": (80, 2700),
    "l0_path": (30, 700),
    "l0_cv": (20, 400),
    "l0_classifier": (40, 900),
    "l0_classifier_cv": (8, 150),
    "l0_log_path": (20, 300),
    "l0_counts": (40, 900),
    "network": (10, 150),
}
CHUNK = 50
#: Seconds after which a problem counts as one without end; compilation is within them.
PATIENCE = 300.0


def chunks(slow: bool) -> list[tuple[str, int, int]]:
    """Fuzzer, first seed and end of each test; slow ones begin where the fast ones end."""
    found = []
    for name, (few, many) in COUNTS.items():
        first, end = (few, many) if slow else (0, few)
        found += [(name, at, min(at + CHUNK, end)) for at in range(first, end, CHUNK)]
    return found


def check(name: str, first: int, end: int, seed: int) -> None:
    reports = [run(name, 1_000_000 * seed + number, PATIENCE) for number in range(first, end)]
    broken = [str(report) for report in reports if report.broken]
    assert not broken, "\n".join(broken)


def test_every_fuzzer_is_run() -> None:
    assert set(COUNTS) == set(CHECKS)


@pytest.mark.parametrize("name, first, end", chunks(slow=False))
def test_claims_hold(name: str, first: int, end: int, seed: int) -> None:
    check(name, first, end, seed)


@pytest.mark.slow
@pytest.mark.parametrize("name, first, end", chunks(slow=True))
def test_claims_hold_on_many_problems(name: str, first: int, end: int, seed: int) -> None:
    check(name, first, end, seed)
