"""The quick start: what it runs, saves and prints. The docs build runs the stories themselves."""

from __future__ import annotations

import subprocess
import sys
from importlib import util
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
STORY = """
import matplotlib.pyplot as plt
import pandas as pd

plt.plot([1, 2])
fold = {"fit_time": 0.25, "test_R²": 0.5, "test_features": 3, "test_weights": 7}
scores = {"a model": pd.DataFrame([fold, {**fold, "test_R²": 0.7}])}
"""


@pytest.fixture
def quickstart() -> ModuleType:
    spec = util.spec_from_file_location("quickstart", EXAMPLES / "quickstart.py")
    assert spec
    assert spec.loader
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_quick_start_runs_every_story(quickstart: ModuleType) -> None:
    assert sorted(quickstart.STORIES) == sorted(p.name for p in EXAMPLES.glob("plot_*.py"))


def test_it_saves_the_plots_where_it_says_and_prints_one_table(
    quickstart: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "plot_story.py").write_text(STORY, encoding="utf-8")
    monkeypatch.setattr(quickstart, "__file__", str(tmp_path / "quickstart.py"))
    monkeypatch.setattr(quickstart, "STORIES", {"plot_story.py": "some data"})
    quickstart.main(tmp_path / "new" / "folder")
    printed = capsys.readouterr().out
    plot = tmp_path / "new" / "folder" / "story.png"
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert str(plot) in printed
    row = next(line for line in printed.splitlines() if "a model" in line)
    # mean of 0.5 and 0.7, and its standard error 0.1
    assert " ".join(row.split()) == "some data a model R² 0.600 ± 0.100 3.0 7.0 0.2"


def test_the_table_fits_in_100_columns(quickstart: ModuleType) -> None:
    fold = {"fit_time": 999.9, "test_accuracy": 0.9, "test_features": 64.0, "test_weights": 7400.0}
    models = {"SparseMLPClassifier, magnitude": pd.DataFrame([fold, fold])}
    shown = quickstart.table({data: models for data in quickstart.STORIES.values()})
    lines = [*shown.splitlines(), *quickstart.NOTES.splitlines()]
    assert max(map(len, lines)) <= 100
    rows = [line for line in shown.splitlines() if "Sparse" in line]
    assert [line[: line.index("Sparse")].rstrip() for line in rows] == list(
        quickstart.STORIES.values()
    )
    assert all(" magnitude accuracy 0.900 ± 0.000     64.0  7400.0   999.9" in r for r in rows)


@pytest.mark.slow
def test_the_quick_start_runs_to_its_end(tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLES / "quickstart.py"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, check=True, encoding="utf-8")
    assert (
        len(list(tmp_path.glob("*.png"))) == 18
    )  # three each are of three stories, two of three others
    for name in (
        "L0Regressor",
        "L0ClassifierCV",
        "SparseMLPSelector",
        "GroupLassoSelector",
        "GroupLassoRegressorCV",
        "OSCAR",
        "SparseMLPClassifier",
    ):
        assert name in done.stdout.rpartition("score  ")[0]
    shown = done.stdout.replace(str(tmp_path), "demo-output")
    assert max(map(len, shown.splitlines())) <= 100
