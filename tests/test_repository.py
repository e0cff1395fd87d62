"""The files around the package agree with each other."""

from __future__ import annotations

import itertools
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import sksparse

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))[
    "project"
]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    parts = [line.split("==") for line in lines if not line.startswith("#")]
    return {normal(name): version for name, version in parts}


def requirements() -> list[tuple[str, str]]:
    """Distribution and specifier of everything the package and its extras ask for."""
    wanted = list(
        itertools.chain(PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
    )
    matches = [re.fullmatch(r"([\w.-]+)(?:\[[\w,]+\])?(.*)", requirement) for requirement in wanted]
    pairs = [(match[1], match[2]) for match in matches if match]
    return [(name, specifier) for name, specifier in pairs if name != "sksparse"]


def tracked_text_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\n")
    return [ROOT / name for name in listed if name and (ROOT / name).is_file()]


def test_every_dependency_has_a_plain_lower_bound_and_a_pin_above_it() -> None:
    for name, specifier in requirements():
        assert re.fullmatch(r">=[\d.]+", specifier), f"{name}{specifier}"
        lower = [int(part) for part in specifier.removeprefix(">=").split(".")]
        pinned = [int(part) for part in re.findall(r"\d+", pins()[normal(name)])]
        assert pinned >= lower, name


def test_constraints_are_exact_versions_without_places_or_local_builds() -> None:
    for name, version in pins().items():
        assert re.fullmatch(r"[\w.]+", version), f"{name}=={version}"


def test_pre_commit_hooks_run_the_pinned_tools_of_the_dev_extra() -> None:
    settings = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert [repo["repo"] for repo in settings["repos"]] == ["local"]
    tools = {hook["entry"].split()[0] for hook in settings["repos"][0]["hooks"]}
    assert all(tool.startswith(".venv/bin/") for tool in tools), "another tool than the pinned one"
    dev = {re.split(r"[>\[]", wanted)[0] for wanted in PROJECT["optional-dependencies"]["dev"]}
    assert {"mypy", "pre-commit-hooks", "ruff"} <= dev


def test_the_changelog_knows_this_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## .*\b{re.escape(sksparse.__version__)}\b", changelog, re.MULTILINE)


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout")
def test_no_tracked_file_names_a_home_folder() -> None:
    home = re.compile(r"(?<![\w.])/(?:home|root|Users)/\w|[A-Z]:\\\\?Users")
    found = []
    for path in tracked_text_files():
        text = path.read_bytes().decode("utf-8", errors="ignore")
        if path != Path(__file__) and home.search(text):
            found.append(str(path.relative_to(ROOT)))
    assert found == []
