"""
The quick start
===============

Run the stories of this gallery one after the other, save their plots, and print what each
estimator kept and scored, with its baselines. ``make demo`` does it, or
``python examples/quickstart.py FOLDER``; FOLDER is where the plots go.
"""

from __future__ import annotations

import runpy
import sys
import time
import warnings
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd

from sksparse.feature_selection import GroupLassoSelector
from sksparse.linear_model import OSCAR, L0ClassifierCV, L0Regressor

STORIES = {
    "plot_best_subset.py": "diabetes, 65 terms",
    "plot_feature_selection.py": "made up, 100 columns",
    "plot_group_lasso.py": "flats, 12 columns",
    "plot_group_selection.py": "diabetes, 12 columns",
    "plot_oscar_clusters.py": "cell nuclei, clusters",
    "plot_smaller_networks.py": "digits, smaller nets",
    "plot_sparse_digits.py": "digits, ever sparser",
    "plot_sparse_mlp.py": "digits, 8 x 8 pixels",
    "plot_subset_path.py": "cell nuclei, all 30",
}
NOTES = """\
score     on samples held out from fit and search: mean of the folds ± its standard error
features  inputs that are used
weights   coefficients that are not zero; for OSCAR, different ones
seconds   of one fit on one core, its search included"""


def compile_loops() -> None:
    """Fit each linear estimator once, so that no timing below contains compilation."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((30, 4)), rng.standard_normal(30)
    for model in (L0Regressor(max_features=2), GroupLassoSelector(groups=[0, 0, 1, 1]), OSCAR()):
        model.fit(X, y)
    L0ClassifierCV(max_features=2).fit(X, y > 0)


def save_figures(folder: Path, name: str) -> list[Path]:
    """Save every open figure and close it."""
    from matplotlib import pyplot as plt

    paths = []
    for number in plt.get_fignums():
        paths.append(folder / (f"{name}.png" if number == 1 else f"{name}_{number}.png"))
        plt.figure(number).savefig(paths[-1], dpi=120)
    plt.close("all")
    return paths


def table(scores: dict[str, dict[str, pd.DataFrame]]) -> str:
    """One line for each story and model, from the folds of its cross-validation."""
    line = "{:<21} {:<30} {:<22} {:>8} {:>7} {:>7}".format
    lines = [line("data", "model", "score", "features", "weights", "seconds")]
    for data, models in scores.items():
        lines.append("-" * 99)
        for number, (model, folds) in enumerate(models.items()):
            lines.append(line("" if number else data, model, *summary(folds)))
    return "\n".join(lines)


def summary(folds: pd.DataFrame) -> tuple[str, str, str, str]:
    """Score, features, weights and seconds of one model, as shown in the table."""
    metric = "R²" if "test_R²" in folds else "accuracy"
    score = folds[f"test_{metric}"]
    features = folds["test_features"]
    weights = folds.get("test_weights", features)
    return (
        f"{metric} {score.mean():.3f} ± {score.sem():.3f}",
        f"{features.mean():.1f}",
        f"{weights.mean():.1f}",
        f"{folds['fit_time'].mean():.1f}",
    )


def main(folder: Path) -> None:
    """Run all stories."""
    matplotlib.use("Agg")
    warnings.filterwarnings("ignore", "FigureCanvasAgg is non-interactive")
    folder.mkdir(parents=True, exist_ok=True)
    begin = time.perf_counter()
    print("Compiling the loops of the linear models (cached after the first run) ...", flush=True)
    compile_loops()
    print(f"  {time.perf_counter() - begin:.1f} s\n")

    scores = {}
    for number, (script, data) in enumerate(STORIES.items(), start=1):
        start = time.perf_counter()
        path = Path(__file__).with_name(script)
        print(f"[{number}/{len(STORIES)}] {data}: {path.name}", flush=True)
        scores[data] = runpy.run_path(str(path), run_name="__main__")["scores"]
        saved = save_figures(folder, path.stem.removeprefix("plot_"))
        print(f"  {time.perf_counter() - start:.1f} s")
        print("".join(f"  plot: {plot}\n" for plot in saved), flush=True)
    print(table(scores))
    print(NOTES)
    print(f"\n{time.perf_counter() - begin:.0f} s in all; the plots are in {folder}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo-output"))
