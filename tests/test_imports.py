"""What importing the package imports along with it, each checked in a process of its own."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest
from sklearn.base import BaseEstimator

import sksparse

# These load torch the moment they are imported; everything else must never do so.
NEURAL_SUBPACKAGES = {"layers", "module_graph", "neural_network", "sparsifiers"}
SUBPACKAGES = sorted(
    module.name for module in pkgutil.iter_modules(sksparse.__path__) if module.ispkg
)
LIGHT_SUBPACKAGES = [
    subpackage for subpackage in SUBPACKAGES if subpackage not in NEURAL_SUBPACKAGES
]

LOADED = "import sys; print(*[m for m in ('numba', 'torch', 'skorch') if m in sys.modules])"


def run_python(code: str, *path: Path, flags: tuple[str, ...] = ()) -> str:
    """Standard output of a fresh interpreter that sees `path` before everything else."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, path))}
    done = subprocess.run(
        [sys.executable, *flags, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


#: What trains a network, though it stands among estimators that do not.
TRAINING = {"SparseMLPSelector"}


def linear_estimators() -> list[type[BaseEstimator]]:
    """Public estimators that do not use torch."""
    modules = [
        importlib.import_module(f"sksparse.{subpackage}") for subpackage in LIGHT_SUBPACKAGES
    ]
    found = [getattr(module, name) for module in modules for name in getattr(module, "__all__", [])]
    classes = [each for each in found if inspect.isclass(each) and issubclass(each, BaseEstimator)]
    return [each for each in classes if each.__name__ not in TRAINING]


def test_the_top_level_imports_only_the_standard_library() -> None:
    loaded = run_python(
        "import sys; before = set(sys.modules); import sksparse\n"
        "print(*{m.split('.')[0] for m in set(sys.modules) - before} - sys.stdlib_module_names)"
    )
    assert loaded == "sksparse"


@pytest.mark.parametrize("subpackage", LIGHT_SUBPACKAGES)
def test_a_subpackage_of_the_linear_half_imports_neither_numba_nor_torch(subpackage: str) -> None:
    assert run_python(f"import sksparse.{subpackage}\n{LOADED}") == ""


@pytest.fixture(scope="module")
def torch_after_fits() -> dict[str, bool]:
    """For each estimator that does not use torch, whether it is imported after a fit.

    One process fits all of them, one after the other: an interpreter for each takes minutes.
    """
    kinds = [(each.__module__, each.__name__) for each in linear_estimators()]
    answer = run_python(
        "import importlib, json, sys\n"
        "import numpy as np\n"
        "from sklearn.base import is_classifier\n"
        "rng = np.random.default_rng(0); X = rng.normal(size=(40, 6))\n"
        "y = 5.0 + X[:, 0] + 0.1 * rng.normal(size=40)\n"
        "loaded = {}\n"
        f"for module, name in {kinds}:\n"
        "    estimator = getattr(importlib.import_module(module), name)()\n"
        "    estimator.fit(X, y > 5 if is_classifier(estimator) else y)\n"
        "    loaded[name] = bool({'torch', 'skorch'} & set(sys.modules))\n"
        "print(json.dumps(loaded))"
    )
    return json.loads(answer)


@pytest.mark.parametrize("estimator", [each.__name__ for each in linear_estimators()])
def test_a_linear_estimator_never_imports_torch(
    estimator: str, torch_after_fits: dict[str, bool]
) -> None:
    assert not torch_after_fits[estimator]


@pytest.mark.parametrize("name", sksparse.__all__)
def test_a_public_name_is_found_where_the_top_level_says(name: str) -> None:
    subpackage = importlib.import_module(f"sksparse.{sksparse._MODULE_OF_NAME[name]}")
    assert getattr(sksparse, name) is getattr(subpackage, name)
    assert name in dir(sksparse)


def test_every_public_subpackage_is_reached_by_attribute() -> None:
    public = [subpackage for subpackage in SUBPACKAGES if not subpackage.startswith("_")]
    names = ", ".join(f"sksparse.{subpackage}.__name__" for subpackage in public)
    reached = run_python(f"import sksparse; print({names})")
    assert reached.split() == [f"sksparse.{subpackage}" for subpackage in public]


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'cholmod'"):
        sksparse.cholmod  # noqa: B018


@pytest.mark.parametrize("name", ["cholmod", "umfpack", "spqr"])
def test_the_modules_of_scikit_sparse_are_not_ours(name: str) -> None:
    with pytest.raises(ImportError):
        importlib.import_module(f"sksparse.{name}")


def test_scipy_optimize_imports_with_us_without_cholmod() -> None:
    answer = run_python(
        "import scipy.optimize._linprog_ip as ip, sys\n"
        "from scipy.optimize import linprog\n"
        "answer = linprog([1.0], A_ub=[[-1.0]], b_ub=[-2.0])\n"
        "print(ip.has_cholmod, 'sksparse' in sys.modules, answer.x)",
        flags=("-W", "error"),
    )
    assert answer == "False True [2.]"


def warnings_of_import(*path: Path) -> list[str]:
    """Messages of the warnings that two imports of the package give."""
    answer = run_python(
        "import json, warnings\n"
        "with warnings.catch_warnings(record=True) as caught:\n"
        "    warnings.simplefilter('always')\n"
        "    import sksparse\n"
        "    import sksparse, scipy.optimize\n"
        "print(json.dumps([str(w.message) for w in caught]))",
        *path,
    )
    return json.loads(answer)


def test_importing_warns_once_with_an_installed_scikit_sparse(tmp_path: Path) -> None:
    information = tmp_path / "scikit_sparse-0.4.16.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Name: scikit-sparse\nVersion: 0.4.16\n")
    (message,) = warnings_of_import(tmp_path)
    assert "scikit-sparse 0.4.16 is installed" in message
    assert "Uninstall both" in message


def test_importing_does_not_warn_without_scikit_sparse(tmp_path: Path) -> None:
    assert warnings_of_import(tmp_path) == []
