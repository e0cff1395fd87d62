"""Fitted networks as files: pickles, skops, other processes, and what is in them."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator, clone
from small_networks import classifier, regressor
from torch import nn

from sksparse.neural_network import SparseNetClassifier, SparseNetRegressor
from sksparse.neural_network.fitted._storage import StoredTensor, as_arrays, as_tensors

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

OPTIONS: dict[str, Any] = {
    "target_sparsity": 0.9,
    "max_iter": 3,
    "random_state": 0,
    "device": "cpu",
}


class Recurrent(nn.Module):
    """Weights in a list as well, and a part that has two names."""

    def __init__(self) -> None:
        super().__init__()
        self.states = nn.LSTM(4, 6, batch_first=True)
        self.out = nn.Linear(6, 3)
        self.parts = [self.out, {"scale": torch.ones(3)}]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        states, _ = self.states(x.unflatten(1, (3, 4)))
        result: torch.Tensor = self.parts[0](states[:, -1]) * self.parts[1]["scale"]  # type: ignore[operator,index]
        return result


def wide() -> nn.Sequential:
    return nn.Sequential(nn.Linear(12, 300), nn.BatchNorm1d(300), nn.Tanh(), nn.Linear(300, 3))


FITS: dict[str, Callable[[Any, Any], BaseEstimator]] = {
    "perceptron": lambda X, y: classifier(**OPTIONS, batch_norm=True, dropout=0.1).fit(X, y),
    "regressor": lambda X, y: regressor(**OPTIONS).fit(X, 1e8 + y),
    "partial": lambda X, y: classifier(**OPTIONS).fit(X, y).partial_fit(X, y),
    "module": lambda X, y: SparseNetClassifier(wide(), **OPTIONS).fit(X, y),
    "recurrent": lambda X, y: SparseNetClassifier(Recurrent(), **OPTIONS).fit(X, y),
    "factory": lambda X, y: SparseNetRegressor(nn.Linear, **OPTIONS).fit(X, y),
}


def through_torch(model: BaseEstimator) -> BaseEstimator:
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


def through_joblib(model: BaseEstimator) -> BaseEstimator:
    file = io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    return joblib.load(file)


def through_skops(model: BaseEstimator) -> BaseEstimator:
    skops = pytest.importorskip("skops.io")
    data = skops.dumps(model)
    trusted = skops.get_untrusted_types(data=data)
    known = ("sksparse.", "torch.nn.modules.", f"{__name__}.")
    assert all(name.startswith(known) for name in trusted)
    return skops.loads(data, trusted=trusted)


@pytest.mark.parametrize(
    "copied",
    [
        lambda model: pickle.loads(pickle.dumps(model)),
        copy.deepcopy,
        through_torch,
        through_joblib,
        through_skops,
    ],
    ids=["pickle", "deepcopy", "torch", "joblib", "skops"],
)
@pytest.mark.parametrize("name", FITS)
def test_a_copy_predicts_and_trains_on_as_the_original(
    data: Any, name: str, copied: Callable[[BaseEstimator], BaseEstimator]
) -> None:
    X, y = data
    model = FITS[name](X, y)
    before = pickle.dumps(model)
    # float64 and float32, and what was kept for them
    for kind in (np.float64, np.float32):
        model.predict(X.astype(kind))
    assert pickle.dumps(model) == before
    twin = copied(model)
    for kind in (np.float64, np.float32):
        np.testing.assert_array_equal(twin.predict(X.astype(kind)), model.predict(X.astype(kind)))
    assert set(vars(twin)) == set(vars(model))
    for a, b in zip(twin.module_.parameters(), model.module_.parameters(), strict=True):
        assert a is not b
        assert isinstance(a, nn.Parameter)
        assert a.requires_grad == b.requires_grad
        assert torch.equal(a, b)
    assert twin.partial_fit(X, y).n_iter_ == model.partial_fit(X, y).n_iter_
    np.testing.assert_array_equal(twin.predict(X), model.predict(X))
    assert clone(twin).fit(X, y).n_iter_ > 0


def test_zeros_take_no_room_in_a_pickle(data: Any) -> None:
    X, y = data
    module = nn.Sequential(nn.Linear(12, 2000), nn.ReLU(), nn.Linear(2000, 3))
    alone = len(pickle.dumps(module))
    model = SparseNetClassifier(module, **{**OPTIONS, "target_sparsity": 0.95}).fit(X, y)
    # the module as it was given, and a twentieth of its weights
    assert len(pickle.dumps(model)) < 1.2 * alone
    # the same without what can be told by a function
    made = SparseNetClassifier(lambda: None, **OPTIONS)
    made.module_ = model.module_
    assert len(pickle.dumps(vars(made)["_network"])) < 0.2 * alone


def test_lazy_modules_are_pickled_before_and_after_a_fit(data: Any) -> None:
    X, y = data
    lazy = SparseNetClassifier(nn.Sequential(nn.LazyLinear(6), nn.LazyLinear(3)), **OPTIONS)
    twin = pickle.loads(pickle.dumps(lazy)).fit(X, y)
    again = pickle.loads(pickle.dumps(twin))
    np.testing.assert_array_equal(again.predict(X), twin.predict(X))
    assert again.fit(X, y).sparsity_ == pytest.approx(0.9, abs=0.01)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.tensor([0.0, 1.5, 0.0, 0.0]),
        torch.zeros(2, 3, dtype=torch.float64),
        torch.tensor(3),
        torch.tensor([True, False, False]),
        torch.tensor([1.5, 0.0, torch.nan], dtype=torch.bfloat16),
        torch.zeros(0, 4),
        nn.Parameter(torch.ones(2, 2), requires_grad=False),
        nn.Parameter(torch.eye(5)),
    ],
)
def test_tensors_as_arrays_and_back(tensor: torch.Tensor) -> None:
    back = StoredTensor(tensor).restore()
    assert type(back) is type(tensor)
    assert (back.dtype, back.shape, back.requires_grad) == (
        tensor.dtype,
        tensor.shape,
        tensor.requires_grad,
    )
    assert torch.equal(torch.nan_to_num(back), torch.nan_to_num(tensor))


def test_shared_parts_stay_shared() -> None:
    module = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))
    module[2].weight = module[0].weight
    back = as_tensors(as_arrays(module))
    assert back[2].weight is back[0].weight
    assert len(list(back.parameters())) == 3
