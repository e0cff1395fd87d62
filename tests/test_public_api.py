"""What is public is what docs/api.rst lists, and what `__all__` of its subpackage says."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import sksparse

ROOT = Path(__file__).parents[1]
SUBPACKAGES = [
    m.name for m in pkgutil.iter_modules(sksparse.__path__) if not m.name.startswith("_")
]


def documented_names(page: str) -> dict[str, list[str]]:
    """Names under each `autosummary` directive, by the module declared before it."""
    found: dict[str, list[str]] = {}
    module, listing = "", False
    for line in page.splitlines():
        if declared := re.match(r"\.\. currentmodule:: (\S+)", line):
            module = declared[1]
        if line and not line.startswith(" "):
            listing = line == ".. autosummary::"
        elif listing and (entry := re.fullmatch(r" +(\w+)", line)):
            found.setdefault(module, []).append(entry[1])
    return found


DOCUMENTED = documented_names((ROOT / "docs" / "api.rst").read_text(encoding="utf-8"))


def test_the_page_is_read_as_sphinx_reads_it() -> None:
    page = """
.. currentmodule:: sksparse.one

.. autosummary::
   :toctree: generated/

   First
   second

Words
   that are no listing

.. currentmodule:: sksparse.two
.. autosummary::

   Third
"""
    assert documented_names(page) == {
        "sksparse.one": ["First", "second"],
        "sksparse.two": ["Third"],
    }


def test_every_public_subpackage_is_documented_and_no_other() -> None:
    assert set(DOCUMENTED) == {f"sksparse.{subpackage}" for subpackage in SUBPACKAGES}


@pytest.mark.parametrize("subpackage", SUBPACKAGES)
def test_all_of_a_subpackage_is_what_the_api_page_lists(subpackage: str) -> None:
    module = importlib.import_module(f"sksparse.{subpackage}")
    assert sorted(module.__all__) == sorted(DOCUMENTED[module.__name__])
    assert len(set(module.__all__)) == len(module.__all__)


@pytest.mark.parametrize("subpackage", SUBPACKAGES)
def test_every_listed_name_exists(subpackage: str) -> None:
    module = importlib.import_module(f"sksparse.{subpackage}")
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


def test_the_top_level_offers_documented_names_only() -> None:
    documented = {name for names in DOCUMENTED.values() for name in names}
    assert set(sksparse.__all__) <= documented
    assert set(sksparse._MODULE_OF_NAME) == set(sksparse.__all__)
