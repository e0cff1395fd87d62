"""How many rows pass through a module at once, and in which order images are stored."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F

from sksparse.neural_network import SparseNetClassifier
from sksparse.neural_network.fitted._network import FittedNetwork
from sksparse.neural_network.training._layout import PREDICT_ROWS, USUAL, Layout, layout_of


def images(n_channels: int = 1) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(n_channels, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(72, 10)
    ).eval()


class WithView(nn.Module):
    """Common code that only works in the usual order in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 8, 3)
        self.last = nn.Linear(8 * 36, 10)

    def forward(self, X: Tensor) -> Tensor:
        h = F.relu(self.convolution(X))
        logits: Tensor = self.last(h.view(-1, 8 * 36))
        return logits


class InOrder(WithView):
    """Reads the memory as it is, so that the order changes what it computes."""

    def forward(self, X: Tensor) -> Tensor:
        h = F.relu(self.convolution(X))
        flat = h.as_strided((len(X), 8 * 36), (8 * 36, 1))
        logits: Tensor = self.last(flat)
        return logits


@pytest.mark.parametrize("n_channels", [1, 3])
def test_channels_stand_side_by_side(n_channels: int) -> None:
    X = torch.randn(5, n_channels, 8, 8)
    arranged = Layout(channels_last=True).arrange(X)
    assert torch.equal(arranged, X)
    assert arranged.stride() == (64 * n_channels, 1, 8 * n_channels, n_channels)
    assert USUAL.arrange(X) is X
    assert Layout(channels_last=True).arrange(X[:, 0]).stride() == X[:, 0].stride()
    module = images(n_channels)
    assert layout_of(module, X).channels_last
    # torch follows the order of what it is given
    assert module[0](arranged).stride()[1] == 1  # type: ignore[index]
    torch.testing.assert_close(module(arranged), module(X), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", [WithView, InOrder])
def test_modules_that_need_the_usual_order_have_it(kind: Any) -> None:
    X = torch.randn(3, 1, 8, 8)
    assert not layout_of(kind().eval(), X).channels_last


def test_chunks_follow_the_largest_tensor() -> None:
    wide = nn.Sequential(
        nn.Conv2d(1, 64, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4096, 2)
    )
    # 64 maps of 64 numbers of four bytes: eight MiB hold 512 rows
    assert layout_of(wide.eval(), torch.zeros(3, 1, 8, 8)).n_rows == 512
    small = nn.Sequential(nn.Linear(10, 20), nn.ReLU(), nn.Linear(20, 2)).eval()
    assert layout_of(small, torch.zeros(3, 10)) == Layout(PREDICT_ROWS)

    # parameters are no rows
    class Product(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(500, 400))

        def forward(self, X: Tensor) -> Tensor:
            return X @ self.weight.square().t()

    assert layout_of(Product(), torch.zeros(3, 400)).n_rows == PREDICT_ROWS
    huge = nn.Sequential(nn.Linear(2, 2**22)).eval()
    assert layout_of(huge, torch.zeros(3, 2)).n_rows == 1


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("module", [images, WithView])
def test_fits_and_predictions_of_images(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = load_digits(return_X_y=True)
    X, y = X[:300].reshape(-1, 1, 8, 8) / 16, y[:300]
    options: dict[str, Any] = {"sparsifier": None, "max_iter": 3, "random_state": 0}
    make = images if module is images else WithView
    model = SparseNetClassifier(lambda: make(), **options).fit(X, y)
    for rows in (X, X.astype(np.float32)):
        proba = model.predict_proba(rows)
        assert proba.dtype == rows.dtype
        # a row alone, and in chunks of other sizes
        np.testing.assert_allclose(model.predict_proba(rows[:1]), proba[:1], atol=1e-6)
        with monkeypatch.context() as patch:
            patch.setattr(FittedNetwork, "rows_at_once", lambda *_: 7)
            np.testing.assert_allclose(model.predict_proba(rows), proba, atol=1e-6)
        with torch.no_grad():
            plain = torch.softmax(model.module_(torch.from_numpy(rows).float()), 1).numpy()
        np.testing.assert_allclose(proba, plain, atol=1e-5)
    again = SparseNetClassifier(lambda: make(), **options).fit(X, y)
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
