"""Modules that need something done to them first, and functions that make modules."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import prune, remove_weight_norm, spectral_norm, weight_norm

from sksparse.neural_network import SparseNetClassifier, SparseNetRegressor

pytestmark = pytest.mark.filterwarnings("ignore:The objective still fell")


def chain() -> nn.Sequential:
    return nn.Sequential(nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 3))


def classifier(module: Any, **options: Any) -> SparseNetClassifier:
    return SparseNetClassifier(
        module, **{"max_iter": 3, "target_sparsity": 0.5, "random_state": 0, **options}
    )


# --- what is refused before any training ------------------------------------------------------


def pruned(name: str = "weight") -> nn.Module:
    module = chain()
    prune.l1_unstructured(module[0], name, amount=0.5)
    return module


def pruned_twice() -> nn.Module:
    module = pruned()
    prune.l1_unstructured(module[0], "weight", amount=0.5)
    module(torch.zeros(2, 12))
    return module


def normed(norm: Any) -> nn.Module:
    module = chain()
    norm(module[2])
    module(torch.zeros(2, 12))
    return module


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = chain()

    def forward(self, x: torch.Tensor) -> Any:
        z = self.body(x)
        return z, x


class Double(Two):
    def forward(self, x: torch.Tensor) -> Any:
        return self.body(x).double()


class Text(Two):
    def forward(self, x: torch.Tensor) -> Any:
        return "three"


@pytest.mark.filterwarnings("ignore:.*weight_norm.*is deprecated")
@pytest.mark.parametrize(
    "make, words",
    [
        (pruned, r"torch\.nn\.utils\.prune computes 'weight' of the layer '0'.*prune\.remove"),
        (lambda: pruned("bias"), r"prune computes 'bias'.*prune\.remove\(layer, 'bias'\)"),
        (pruned_twice, r"computes 'weight' of the layer '0' \(Linear\).*prune\.remove"),
        (lambda: normed(weight_norm), r"weight_norm computes 'weight' of the layer '2'.*remove_we"),
        (lambda: normed(spectral_norm), r"spectral_norm computes 'weight'.*remove_spectral_norm"),
        (lambda: chain().double(), r"'0.weight' of the module is of torch.float64.*float\(\)"),
        (lambda: chain().bfloat16(), r"torch.bfloat16, but networks are trained in torch.float32"),
        (Two, r"returns a tuple of 2 \(Tensor, Tensor\), but one tensor of shape \(2, 3\)"),
        (Double, r"returns torch.float64 for features of torch.float32"),
        (Text, r"returns an object of type str, but one tensor"),
    ],
)
@pytest.mark.parametrize("made", [True, False])
def test_the_error_names_cause_and_remedy(
    data: Any, make: Callable[[], nn.Module], words: str, made: bool
) -> None:
    model = classifier(make if made else make())
    with pytest.raises(ValueError, match=words):
        model.fit(*data)
    assert not hasattr(model, "module_")
    assert not hasattr(model, "n_features_in_")


class Shifted(nn.Module):
    """Adds numbers in float64, as NumPy makes them."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("offset", torch.from_numpy(np.ones(12)))
        self.body = chain()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.body(x + self.offset)
        return result


def test_buffers_of_another_type_are_named(data: Any) -> None:
    with pytest.raises(ValueError, match=r"its buffers 'offset' \(torch.float64\) are not in"):
        classifier(Shifted()).fit(*data)
    assert classifier(Shifted().float()).fit(*data).sparsity_ == 0.5


@pytest.mark.filterwarnings("ignore:.*weight_norm.*is deprecated")
def test_the_remedies_work(data: Any) -> None:
    cut = pruned()
    prune.remove(cut[0], "weight")
    norm = normed(weight_norm)
    remove_weight_norm(norm[2])
    for module in (cut, norm, chain().bfloat16().float()):
        assert classifier(module).fit(*data).sparsity_ == 0.5


# --- functions and classes that make modules --------------------------------------------------


class Plain(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(*chain())


class WithOptions(nn.Sequential):
    """What users of skorch give: a class whose arguments are options."""

    def __init__(self, n_hidden: int = 9, n_layers: int = 2) -> None:
        layers = [nn.Linear(12, n_hidden), nn.ReLU()]
        super().__init__(*layers * (n_layers - 1), nn.Linear(n_hidden, 3))


def with_names(n_hidden: int = 7, *, n_outputs: int, n_features: int) -> nn.Module:
    return nn.Sequential(nn.Linear(n_features, n_hidden), nn.Linear(n_hidden, n_outputs))


def in_other_order(n_outputs: int = 1, n_features: int = 1) -> nn.Module:
    return nn.Linear(n_features, n_outputs)


def of_other_names(p: int, k: int, n_hidden: int = 5) -> nn.Module:
    return nn.Sequential(nn.Linear(p, n_hidden), nn.Linear(n_hidden, k))


@pytest.mark.parametrize(
    "factory, shape",
    [
        (chain, (8, 12)),
        (lambda: chain(), (8, 12)),
        (Plain, (8, 12)),
        (WithOptions, (9, 12)),
        (functools.partial(WithOptions, n_hidden=4), (4, 12)),
        (with_names, (7, 12)),
        (functools.partial(with_names, n_outputs=3), (7, 12)),
        (functools.partial(of_other_names, n_hidden=6), (6, 12)),
        (functools.partial(nn.Linear, 12, 3), (3, 12)),
        (in_other_order, (3, 12)),
        (of_other_names, (5, 12)),
        (lambda *sizes: nn.Linear(*sizes), (3, 12)),
        (nn.Linear, (3, 12)),
    ],
)
def test_factories(data: Any, factory: Any, shape: tuple[int, int]) -> None:
    model = classifier(factory).fit(*data)
    assert tuple(next(model.module_.parameters()).shape) == shape


def test_factories_without_arguments_continue_and_are_cloned(data: Any) -> None:
    X, y = data
    model = SparseNetRegressor(lambda: nn.Linear(12, 1), max_iter=2, random_state=0)
    model.fit(X, y.astype(float)).partial_fit(X, y.astype(float))
    assert model.n_iter_ == 3


def test_a_function_may_return_the_same_module_each_time(rng: np.random.Generator) -> None:
    X = rng.standard_normal((40, 3)).astype(np.float32)
    y = (X[:, 0] > 0).astype(int)
    shared = nn.Linear(3, 2)
    start = shared.weight.detach().clone()
    first = SparseNetClassifier(lambda: shared, max_iter=3, tol=1e9, random_state=0).fit(X, y)
    proba = first.predict_proba(X)
    SparseNetClassifier(lambda: shared, max_iter=3, tol=1e9, random_state=0).fit(X, 1 - y)
    assert torch.equal(shared.weight, start)
    assert first.module_ is not shared
    np.testing.assert_array_equal(first.predict_proba(X), proba)


def test_a_function_may_take_any_names(rng: np.random.Generator) -> None:
    def make(**sizes: int) -> nn.Module:
        return nn.Linear(sizes["n_features"], sizes["n_outputs"])

    X = rng.standard_normal((40, 3)).astype(np.float32)
    net = SparseNetClassifier(make, max_iter=2, tol=1e9, random_state=0)
    assert net.fit(X, (X[:, 0] > 0).astype(int)).module_.in_features == 3


def test_lazy_buffers_need_a_function(rng: np.random.Generator) -> None:
    X = rng.standard_normal((40, 3)).astype(np.float32)
    y = (X[:, 0] > 0).astype(int)
    make = lambda: nn.Sequential(nn.Linear(3, 4), nn.LazyBatchNorm1d(), nn.Linear(4, 2))  # noqa: E731
    with pytest.raises(ValueError, match=r"lazy layers.*1\.running_mean.*give a function"):
        SparseNetClassifier(make(), max_iter=2, tol=1e9, random_state=0).fit(X, y)
    SparseNetClassifier(make, max_iter=2, tol=1e9, random_state=0).fit(X, y)
