"""Fixtures of solver tests."""

from __future__ import annotations

import pytest
from exhaustive import LEAPS, RELAXED, tune


@pytest.fixture(params=[LEAPS, RELAXED], ids=["leaps", "relaxed"])
def search(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> float:
    """Either search of branch and bound, whatever would be chosen."""
    tune(monkeypatch, relaxation_gap_share=request.param)
    return request.param
