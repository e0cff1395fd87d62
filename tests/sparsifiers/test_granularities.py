"""What every sparsifier promises for each of its granularities and each target."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.preprocessing import StandardScaler

from sksparse.neural_network import SparseMLPClassifier
from sksparse.sparsifiers import SPARSIFIERS

pytestmark = [
    pytest.mark.filterwarnings("ignore:The objective still fell"),
    pytest.mark.filterwarnings("ignore:Of the .* are the same for all training rows"),
]

CASES = [
    (name, granularity)
    for name, kind in SPARSIFIERS.items()
    for granularity in kind.granularities
    if name is not None and granularity not in ("weight", "layer")
]
UNITS = [(name, granularity) for name, granularity in CASES if granularity == "unit"]
#: Penalties of single weights, or of columns at whose end is a ranking of weights.
RANKED = ("oscar", "product_gates")
#: FLOPs, as weights of a perceptron, are met to the weights of one unit.
ONE_UNIT = 0.1


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    X, y = make_classification(120, 12, n_informative=5, n_classes=3, random_state=0)
    return StandardScaler().fit_transform(X), y


def make(
    name: str, granularity: str, widths: tuple[int, ...] = (20, 10), **changes: Any
) -> SparseMLPClassifier:
    return SparseMLPClassifier(
        widths,
        sparsifier=name,
        granularity=granularity,
        max_iter=6,
        random_state=0,
        learning_rate_init=0.01,
        batch_norm=name == "slimming",
        **changes,
    )


def left(model: SparseMLPClassifier) -> tuple[float, float]:
    """The weights and the units that are left, where a unit has inputs and is read."""
    weights = model.coefs_
    kept = sum(int(np.count_nonzero(w)) for w in weights)
    units = [a.any(0) & b.any(1) for a, b in pairwise(weights)]
    assert all(is_left.any() for is_left in units)
    n_units = sum(len(is_left) for is_left in units)
    return kept / sum(w.size for w in weights), sum(map(np.sum, units)) / n_units


@pytest.mark.parametrize("name, granularity", CASES)
def test_a_share_of_the_weights_and_of_the_flops(data: Any, name: str, granularity: str) -> None:
    targets = [{"target_sparsity": 0.6}, {"target_flops": 0.4}]
    if granularity in ("shape", "both") or (name in RANKED and granularity == "input"):
        targets.pop()
    for target in targets:
        model = make(name, granularity, **target).fit(*data)
        weights, _ = left(model)
        assert weights <= 0.4 + 1e-6 + 0.5 / 470
        assert weights > 0.4 - 2 * ONE_UNIT
        if "target_flops" in target:
            assert 0.4 - ONE_UNIT < model.flops_ / model.dense_flops_ <= 0.4


@pytest.mark.parametrize("name, granularity", UNITS)
def test_a_share_of_the_units(data: Any, name: str, granularity: str) -> None:
    model = make(name, granularity, target_units=0.5).fit(*data)
    _, units = left(model)
    assert units <= 0.5
    with pytest.raises(ValueError, match=r"target_units=0\.01 cannot be met.*0\.0667 of the units"):
        make(name, granularity, target_units=0.01).fit(*data)


@pytest.mark.parametrize("name", [name for name, _ in UNITS if name != "slimming"])
def test_a_network_without_hidden_units_is_refused(data: Any, name: str) -> None:
    message = r"granularity='unit' has nothing to remove: .*hidden_layer_sizes=\(\)\. Give it"
    for target in ({}, {"target_flops": 0.5}, {"target_sparsity": 0.5}):
        with pytest.raises(ValueError, match=message):
            make(name, "unit", (), **target).fit(*data)


@pytest.mark.parametrize("name", [name for name in SPARSIFIERS if name is not None])
def test_what_a_sparsifier_has_not_is_refused_with_what_it_has(data: Any, name: str) -> None:
    names = ", ".join(map(repr, SPARSIFIERS[name].granularities))
    with pytest.raises(ValueError, match=f"granularity='filter' .*{names}"):
        make(name, "filter").fit(*data)
    if "weight" in SPARSIFIERS[name].granularities:
        with pytest.raises(ValueError, match=r"target_flops=0\.5.*target_sparsity"):
            make(name, "weight", target_flops=0.5).fit(*data)
