"""The README shows each estimator at work, points at what exists, and hides no code from doctest.

That its examples give the output shown is checked by pytest's doctests, like those of the docs.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import sksparse

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("name", sksparse.__all__)
def test_every_estimator_is_in_the_table_and_at_work_in_an_example(name: str) -> None:
    assert re.search(rf"^\| `\w+\.{name}` \|", README, re.MULTILINE)
    assert any(re.search(rf"\b{name}\(", block) for block in BLOCKS)


def test_every_python_block_is_a_doctest_with_output() -> None:
    for block in BLOCKS:
        lines = block.splitlines()
        assert lines[0].startswith(">>> ")
        assert lines[-1] == "", "without a blank line the fence is read as output"
        assert any(line and not line.startswith((">>>", "...")) for line in lines)


def test_the_two_commands_come_first() -> None:
    first = re.search(r"^```\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert first
    assert [line.split("#")[0].strip() for line in first[1].splitlines()] == [
        "make demo",
        "make test",
    ]


def test_every_link_to_a_file_leads_somewhere() -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", README)
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []
