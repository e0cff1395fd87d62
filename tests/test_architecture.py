"""The shape of the package: which subpackage imports which, and what a kernel file may hold."""

from __future__ import annotations

import ast
import graphlib
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import sksparse

PACKAGE = Path(sksparse.__file__).parent
LONGEST_FILE = 400
MOST_FILES = 16

# What each subpackage imports directly; it may import that and what that imports. The name of a
# subpackage means the files in it; with ".*", those of nested subpackages as well.
IMPORTS = {
    "_kernels": (),
    "_kernels.serving": ("_kernels",),
    "_kernels.coding": ("_kernels",),
    "coding": ("_kernels.*",),
    "losses": ("_kernels",),
    "penalties": ("_kernels",),
    "solvers": ("losses", "penalties"),
    "solvers.convex": ("solvers",),
    "solvers.sorted_l1": ("solvers.convex",),
    "solvers.subset": ("solvers",),
    "solvers.local_search": ("solvers.subset",),
    "solvers.subset_newton": ("solvers.subset",),
    "solvers.branch_and_bound": ("solvers.local_search",),
    "linear_model": ("solvers.*", "serving"),
    "linear_model.l0": ("linear_model",),
    "linear_model.counts": ("linear_model.l0",),
    "linear_model.group": ("linear_model",),
    "linear_model.sorted_l1": ("linear_model",),
    "sparsifiers.parameters": ("penalties",),
    "sparsifiers.masks": ("sparsifiers.parameters",),
    "layers": (),
    "module_graph": ("layers",),
    "sparsifiers.structure": ("module_graph", "sparsifiers.masks"),
    "sparsifiers": ("sparsifiers.structure",),
    "sparsifiers.pruning": ("sparsifiers",),
    "sparsifiers.proximal": ("sparsifiers.pruning",),
    "sparsifiers.sharing": ("sparsifiers",),
    "sparsifiers.stochastic": ("sparsifiers",),
    "sparsifiers.units": ("sparsifiers.pruning",),
    "neural_network.training": ("sparsifiers.*",),
    "neural_network.fitted": ("neural_network.training", "compression"),
    "serving": ("_kernels.*", "coding"),
    "serving.export": ("serving",),
    "compression.programs": ("serving", "layers"),
    "compression": ("sparsifiers.*", "compression.programs"),
    "compression.codebooks": ("compression",),
    "neural_network": ("neural_network.fitted", "compression.codebooks"),
    "neural_network.compressed": ("neural_network",),
    "feature_selection.perceptron": ("neural_network",),
    "feature_selection": ("linear_model.*", "feature_selection.perceptron"),
    "feature_selection.stability": ("feature_selection",),
    "datasets": (),
    "inspection": (),
    "inspection.selection": ("inspection",),
}
# Single modules that every subpackage may import, lowest first; each may import those before it.
LEAVES = (
    "_typing", "_progress", "_interrupts", "_scaling", "_fit_tasks", "_validation", "_selection",
    "_columns", "_groups", "_hashing", "_infinite_selection",
    "_estimator",
)  # fmt: skip

# The files that read the feature matrix of a design; no other one may ask a design for it.
READERS = {"_design.py", "_dense_design.py", "_sparse_design.py"}

SUITESPARSE_NAMES = {
    "amd", "btf", "camd", "ccolamd", "cholmod", "colamd", "cxsparse", "graphblas", "klu",
    "lagraph", "ldl", "mongoose", "paru", "rbio", "spex", "spqr", "suitesparse", "umfpack",
}  # fmt: skip

KERNEL_IMPORTS = {"__future__", "llvmlite", "math", "numba", "numpy", "typing"}
# The one decorator, in a file that holds no compiled code.
DECORATOR, DECORATOR_FILE = "sksparse._kernels._compiled.njit", "_compiled.py"
COMPILERS = {"cfunc", "generated_jit", "guvectorize", "jit", "njit", "stencil", "vectorize"}


def with_nested(name: str) -> set[str]:
    """The subpackages that an entry of the map means."""
    outer = name.removesuffix(".*")
    if outer == name:
        return {name}
    return {subpackage for subpackage in IMPORTS if f"{subpackage}.".startswith(f"{outer}.")}


def allowed_subpackages(subpackage: str) -> set[str]:
    """Everything that a subpackage or leaf may import, itself included."""
    if subpackage in LEAVES:
        return set(LEAVES[: LEAVES.index(subpackage) + 1])
    beneath = set[str]().union(*(with_nested(below) for below in IMPORTS[subpackage]))
    return {subpackage, *LEAVES}.union(*(allowed_subpackages(below) for below in beneath))


def subpackage_of(path: Path, package: Path) -> str:
    """The subpackage, or leaf, of a file."""
    *folders, file = path.relative_to(package).parts
    return ".".join(folders) or file.removesuffix(".py")


def subpackage_of_name(name: str) -> str:
    """The same for the dotted name of a module or of what it holds."""
    parts = name.split(".")[1:]
    prefixes = [".".join(parts[:depth]) for depth in range(len(parts), 0, -1)]
    known = (prefix for prefix in prefixes if prefix in IMPORTS or prefix in LEAVES)
    return next(known, "")


def imported_modules(path: Path, package: Path) -> Iterator[tuple[int, str]]:
    """Line and absolute dotted name of every import in a file, at any depth."""
    parents = [package.name, *path.relative_to(package).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            anchor = parents[: len(parents) - node.level + 1] if node.level else []
            for alias in node.names:
                yield node.lineno, ".".join([*anchor, *filter(None, [node.module]), alias.name])


def source_files(package: Path) -> list[Path]:
    return sorted(package.rglob("*.py"))


def back_edges(package: Path) -> list[str]:
    """Imports inside the package that do not follow the map above."""
    found = []
    for path in source_files(package):
        if path == package / "__init__.py":
            continue  # the top level offers names of every subpackage
        subpackage = subpackage_of(path, package)
        if subpackage not in IMPORTS and subpackage not in LEAVES:
            found.append(
                f"{path.name}: the subpackage {subpackage!r} is not on the map of this test"
            )
            continue
        allowed = allowed_subpackages(subpackage)
        if path.name == "__init__.py":
            allowed |= with_nested(f"{subpackage}.*")  # a subpackage offers names of nested ones
        for line, name in imported_modules(path, package):
            # the number of the version is a name of the top level, which imports nothing
            inside = name.split(".")[0] == package.name and name != f"{package.name}.__version__"
            if inside and subpackage_of_name(name) not in allowed:
                found.append(f"{path.relative_to(package)}:{line}: {subpackage} imports {name}")
    return found


def circle(package: Path) -> list[str]:
    """Files that import each other in a circle, at any depth."""
    modules = {}
    for path in source_files(package):
        parts = path.relative_to(package.parent).with_suffix("").parts
        modules[".".join(parts).removesuffix(".__init__")] = path
    graph = {
        module: {
            next((n for n in (name, name.rpartition(".")[0]) if n in modules), "")
            for _, name in imported_modules(path, package)
        }
        for module, path in modules.items()
        if module != package.name
    }
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def kernel_faults(path: Path, package: Path) -> list[str]:
    """What keeps a kernel file from being compiled and cached on its own."""
    faults = [
        f"{path.name}:{line}: imports {name}"
        for line, name in imported_modules(path, package)
        if name != DECORATOR
        and (name.split(".")[0] not in KERNEL_IMPORTS or name.split(".")[-1] in COMPILERS)
    ]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef):
            for decorator in node.decorator_list:
                call = re.match(r"(?:numba\.)?(\w+)\b", ast.unparse(decorator))
                if ast.unparse(decorator).startswith("numba."):
                    faults.append(
                        f"{path.name}:{node.lineno}: {node.name} is not decorated by ours"
                    )
                if call and call[1] in COMPILERS and not _is_cached(decorator):
                    faults.append(f"{path.name}:{node.lineno}: {node.name} needs cache=True")
    return faults


def _is_cached(decorator: ast.expr) -> bool:
    return isinstance(decorator, ast.Call) and any(
        keyword.arg == "cache" and ast.unparse(keyword.value) == "True"
        for keyword in decorator.keywords
    )


def raw_reads(package: Path) -> list[str]:
    """Where files other than readers touch the matrix of a design."""
    return [
        f"{path.relative_to(package)}:{node.lineno}: {ast.unparse(node)}"
        for path in source_files(package)
        if path.name not in READERS
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and _is_raw_read(node)
    ]


def _is_raw_read(node: ast.Attribute) -> bool:
    owner = ast.unparse(node.value)
    private = node.attr == "_X" and owner != "self"
    return private or (node.attr in ("X", "_X") and owner.endswith("design"))


def plant(package: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return package


def test_imports_flow_one_way() -> None:
    assert back_edges(PACKAGE) == []


def test_no_files_import_each_other() -> None:
    assert circle(PACKAGE) == []


def test_a_planted_circle_is_found(tmp_path: Path) -> None:
    files = {
        "__init__.py": "",
        "losses/__init__.py": "from sksparse.losses._a import A",
        "losses/_a.py": "from sksparse.losses._b import B",
        "losses/_b.py": "def late():\n    from sksparse.losses import A",
    }
    assert len(circle(plant(tmp_path / "sksparse", files))) == 4


def test_imports_are_absolute() -> None:
    found = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path in source_files(PACKAGE)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert found == []


def test_only_readers_touch_the_feature_matrix() -> None:
    assert {path.name for path in source_files(PACKAGE)} >= READERS
    assert raw_reads(PACKAGE) == []


@pytest.mark.parametrize(
    "line",
    [
        "design._X.T @ v",
        "problem.design.X[:, 0]",
        "self._design._X",
        "getattr(self, 'data').design.X",
    ],
)
def test_a_planted_read_of_the_feature_matrix_is_found(tmp_path: Path, line: str) -> None:
    files = {"solvers/_design.py": "self._X", "solvers/_new.py": line}
    assert len(raw_reads(plant(tmp_path / "sksparse", files))) == 1


def test_no_subpackage_grows_too_full() -> None:
    subpackages = Counter(path.parent.relative_to(PACKAGE) for path in source_files(PACKAGE))
    assert {str(subpackage): n for subpackage, n in subpackages.items() if n > MOST_FILES} == {}


@pytest.mark.parametrize(
    "file, line",
    [
        ("penalties/_l1.py", "from sksparse.solvers import Solver"),
        ("penalties/_l1.py", "from ..solvers import Solver"),
        ("penalties/_l1.py", "from .. import solvers"),
        ("penalties/_l1.py", "import sksparse.solvers._base"),
        ("penalties/deep/_l1.py", "from ...solvers._loop import Solver"),
        ("penalties/_l1.py", "def late():\n    from ..linear_model import OSCAR"),
        ("losses/__init__.py", "from ..penalties import L1"),
        ("linear_model/_l0.py", "from ..neural_network import SparseMLPClassifier"),
        ("linear_model/_l0.py", "from sksparse import OSCAR"),
        ("linear_model/_l0.py", "import sksparse"),
        ("solvers/_loop.py", "from .._kernels import x\nfrom ..linear_model import OSCAR"),
        ("_validation.py", "from .losses import LOSSES"),
        ("_typing.py", "from ._validation import check_data"),
        ("attic/_old.py", "import numpy"),
        ("solvers/attic/_old.py", "import numpy"),
        ("solvers/_base.py", "from sksparse.solvers.subset._terms import Terms"),
        ("solvers/subset/_rules.py", "from sksparse.solvers.local_search import x"),
        ("solvers/subset/__init__.py", "from sksparse.solvers.local_search import x"),
        ("sparsifiers/masks/_keep.py", "from sksparse.sparsifiers import Sparsifier"),
    ],
)
def test_a_planted_back_edge_is_found(tmp_path: Path, file: str, line: str) -> None:
    package = plant(tmp_path / "sksparse", {"__init__.py": "", file: line})
    assert len(back_edges(package)) == 1


@pytest.mark.parametrize(
    "file, line",
    [
        ("feature_selection/_group.py", "from ..linear_model._base import fit\nimport torch"),
        ("solvers/_loop.py", "from ..losses import Loss\nfrom .._kernels import loops"),
        ("neural_network/_mlp.py", "from ..penalties import L1\nfrom . import _net"),
        ("linear_model/_l0.py", "from .._validation import check_data\nfrom ._base import fit"),
        ("linear_model/l0/_path.py", "from sksparse.solvers.local_search._path import x"),
        ("solvers/__init__.py", "from sksparse.solvers.subset._terms import Terms"),
    ],
)
def test_an_import_from_beneath_is_no_back_edge(tmp_path: Path, file: str, line: str) -> None:
    assert back_edges(plant(tmp_path / "sksparse", {file: line})) == []


def test_kernel_files_stand_alone() -> None:
    files = [path for path in source_files(PACKAGE / "_kernels") if path.name != DECORATOR_FILE]
    assert len(files) > 1, "no kernel was found, so this test looks in the wrong place"
    assert [fault for path in files for fault in kernel_faults(path, PACKAGE)] == []


@pytest.mark.parametrize(
    "source",
    [
        "from ._compiled import njit\n@njit\ndef f(x): return x",
        "from ._compiled import njit\n@njit(fastmath=True)\ndef f(x): return x",
        "from ._compiled import njit\n@njit(cache=False)\ndef f(x): return x",
        "from ._compiled import njit\n@njit(parallel=True)\ndef f(x): return x",
        "from numba import njit\n@njit(cache=True)\ndef f(x): return x",
        "import numba\n@numba.njit(cache=True)\ndef f(x): return x",
        "from ._compiled import ForgivingCache",
        "from .other import soft_threshold",
        "from sksparse._kernels.other import soft_threshold",
        "from ..penalties import L1",
    ],
)
def test_a_kernel_file_that_does_not_stand_alone_is_found(tmp_path: Path, source: str) -> None:
    package = plant(tmp_path / "sksparse", {"_kernels/loop.py": source})
    assert len(kernel_faults(package / "_kernels/loop.py", package)) == 1


def test_only_kernels_import_numba() -> None:
    users = {
        subpackage_of(path, PACKAGE).split(".")[0]
        for path in source_files(PACKAGE)
        for _, name in imported_modules(path, PACKAGE)
        if name.split(".")[0] == "numba"
    }
    assert users == {"_kernels"}


def test_no_module_is_named_after_a_suitesparse_component() -> None:
    names = {part for path in source_files(PACKAGE) for part in path.relative_to(PACKAGE).parts}
    assert {name.removesuffix(".py").lstrip("_") for name in names} & SUITESPARSE_NAMES == set()


def test_no_file_grows_too_long() -> None:
    lengths = {
        str(path.relative_to(PACKAGE)): len(path.read_text(encoding="utf-8").splitlines())
        for path in source_files(PACKAGE)
    }
    assert {name: n for name, n in lengths.items() if n > LONGEST_FILE} == {}
