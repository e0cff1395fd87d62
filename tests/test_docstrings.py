"""Docstrings of everything public, checked by numpydoc with the codes that pyproject.toml names.

Estimators and functions are what users read, so their methods are checked in full. Losses,
penalties, solvers and sparsifiers are read by those who write another one: the shapes and scalings
of their methods stand once, at the top of the subpackage, so a method there needs a summary only.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import pydoc
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from numpydoc.validate import validate
from sklearn.base import BaseEstimator

import sksparse

ROOT = Path(__file__).parents[1]


def ignored_codes() -> set[str]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return set(settings["tool"]["numpydoc_validation"]["checks"]) - {"all"}


def public_objects() -> Iterator[tuple[str, Any]]:
    """Dotted name and object for what each public subpackage lists in `__all__`."""
    for module in pkgutil.iter_modules(sksparse.__path__):
        if not module.name.startswith("_"):
            subpackage = importlib.import_module(f"sksparse.{module.name}")
            yield from (
                (f"{subpackage.__name__}.{name}", getattr(subpackage, name))
                for name in subpackage.__all__
            )


def is_estimator(thing: Any) -> bool:
    """Whether a user fits it; a sparsifier has parameters to clone but nothing to fit."""
    return inspect.isclass(thing) and issubclass(thing, BaseEstimator) and hasattr(thing, "fit")


def own_methods(cls: type) -> list[str]:
    """Public methods and properties that a class gets from this package."""
    names = []
    for name, kind, owner, value in inspect.classify_class_attrs(cls):
        ours = owner.__module__.partition(".")[0] == "sksparse"
        is_code = kind in {"method", "class method", "static method", "property"}
        if ours and is_code and not name.startswith("_") and not inspect.isclass(value):
            names.append(name)
    return names


PUBLIC = {
    name: thing
    for name, thing in public_objects()
    if inspect.isclass(thing) or inspect.isfunction(thing)
}
METHODS = [
    f"{name}.{method}"
    for name, thing in PUBLIC.items()
    if inspect.isclass(thing)
    for method in own_methods(thing)
]


def faults(name: str) -> list[str]:
    ignored = ignored_codes()
    return [f"{code}: {text}" for code, text in validate(name)["errors"] if code not in ignored]


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_class_or_function_is_documented(name: str) -> None:
    found = faults(name)
    if inspect.isclass(PUBLIC[name]) and "__init__" not in vars(PUBLIC[name]):
        # an inherited constructor is documented where it is written
        found = [fault for fault in found if not fault.startswith("PR01")]
    if not is_estimator(PUBLIC[name]):
        # a part may refer to its base class for the meaning of a parameter
        found = [fault for fault in found if not fault.startswith("PR04")]
    assert found == []


@pytest.mark.parametrize("name", METHODS)
def test_a_public_method_is_documented(name: str) -> None:
    owner, _, method = name.rpartition(".")
    if is_estimator(PUBLIC[owner]):
        assert faults(name) == []
    else:
        assert pydoc.getdoc(getattr(PUBLIC[owner], method)), f"{name} has no docstring"


@pytest.mark.parametrize("name", [name for name, thing in PUBLIC.items() if is_estimator(thing)])
def test_an_estimator_opens_with_its_objective_and_shows_a_run(name: str) -> None:
    summary, _, rest = pydoc.getdoc(PUBLIC[name]).partition("\n\n")
    description = rest.partition("Parameters\n-----")[0]
    assert any(sign in summary + description for sign in ("alpha", "math:")), "no objective"
    assert ">>> " in rest, "no example"
    assert "References\n----" in rest, "no source"
