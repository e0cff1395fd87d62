"""Networks whose weights share a few values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from sksparse.neural_network import SparseMLPClassifier, SparseNetClassifier
from sksparse.sparsifiers import SoftWeightSharing

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    X, y = load_digits(return_X_y=True)
    return X[:600] / 16, y[:600]


def make(sharing: SoftWeightSharing, **changes: Any) -> SparseMLPClassifier:
    options: dict[str, Any] = {"max_iter": 20, "random_state": 0, "device": "cpu"}
    return SparseMLPClassifier((40,), sparsifier=sharing, **{**options, **changes})


def values_of(model: SparseMLPClassifier) -> np.ndarray:
    return np.unique(np.concatenate([w.ravel() for w in model.coefs_]))


@pytest.mark.parametrize("n_components", [2, 5, 16])
@pytest.mark.parametrize("target_sparsity", [None, 0.8])
def test_distinct_values_are_no_more_than_components(
    n_components: int, target_sparsity: float | None, digits: Any
) -> None:
    model = make(SoftWeightSharing(n_components=n_components), target_sparsity=target_sparsity)
    values = values_of(model.fit(*digits))
    assert len(values) <= n_components
    assert 0.0 in values


@pytest.mark.parametrize("options", [{"early_stopping": True}, {"ema_decay": 0.9}])
def test_values_stay_shared_whatever_weights_are_returned(options: Any, digits: Any) -> None:
    model = make(SoftWeightSharing(n_components=6), target_sparsity=0.7, **options).fit(*digits)
    assert len(values_of(model)) <= 6
    assert model.sparsity_ == pytest.approx(0.7, abs=1e-3)
    assert model.score(*digits) > 0.8


def test_early_stopping_returns_the_weights_that_scored_best(digits: Any) -> None:
    X, y = digits
    model = make(SoftWeightSharing(), target_sparsity=0.7, early_stopping=True, max_iter=30).fit(
        X[:400], y[:400], X_val=X[400:], y_val=y[400:]
    )
    last = [e["valid_score"] for e in model.history_ if e["phase"] == "retrain"]
    assert model.score(X[400:], y[400:]) == pytest.approx(max(last), abs=1e-6)


def test_a_strong_prior_draws_weights_together(digits: Any) -> None:
    spreads = []
    for strength in (0.0, 100.0):
        sharing = SoftWeightSharing(
            strength=strength, n_components=4, train_fraction=0.3, share_fraction=0.7
        )
        model = make(sharing, max_iter=60)
        seen: list[np.ndarray] = []
        _spy(model, seen).fit(*digits)
        final = np.concatenate([w.ravel() for w in model.coefs_])
        before = seen[-1]
        spreads.append(np.sqrt(np.mean((before - final) ** 2)))
    assert spreads[1] < 1e-2
    assert spreads[1] < 0.2 * spreads[0]


def _spy(model: SparseMLPClassifier, seen: list[np.ndarray]) -> SparseMLPClassifier:
    """Record the weights before they are replaced by shared values."""
    from skorch.callbacks import Callback

    class Recorder(Callback):
        def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
            weights = [p for p in net.module_.parameters() if p.ndim == 2]
            flat = [w.detach().numpy().T.ravel().copy() for w in weights]
            seen.append(np.concatenate(flat))

    return model.set_params(callbacks=[Recorder()])


def test_zeros_of_an_earlier_fit_stay(digits: Any) -> None:
    model = SparseMLPClassifier(
        (40,), sparsifier="magnitude", target_sparsity=0.7, max_iter=20, random_state=0
    ).fit(*digits)
    zeros = [w == 0 for w in model.coefs_]
    sharing = SoftWeightSharing(n_components=8, train_fraction=0.0)
    model.set_params(sparsifier=sharing, warm_start=True, target_sparsity=0.8).fit(*digits)
    assert all((w[zero] == 0).all() for w, zero in zip(model.coefs_, zeros, strict=True))
    assert model.sparsity_ == pytest.approx(0.8, abs=1e-3)
    assert len(values_of(model)) <= 8
    assert model.score(*digits) > 0.85
    # no more weights than there were
    model.set_params(target_sparsity=0.1).fit(*digits)
    assert model.sparsity_ == pytest.approx(0.8, abs=1e-3)


def test_shared_values_follow_the_gradients_of_their_weights(digits: Any) -> None:
    options = {"target_sparsity": 0.5, "solver": "sgd", "momentum": 0.0, "max_iter": 1}
    sharing = SoftWeightSharing(n_components=4, train_fraction=0.0, share_fraction=0.0)
    X, y = digits
    options.update(batch_size=len(X), learning_rate_init=0.05, weight_decay=0.1)
    still = make(sharing, **{**options, "learning_rate_init": 1e-12}).fit(X, y)
    moved = make(sharing, **options).fit(X, y)
    # the gradient by the weights of the network that did not move
    hidden = np.maximum(X @ still.coefs_[0] + still.intercepts_[0], 0)
    error = (still.predict_proba(X) - np.eye(10)[y]) / len(X)
    back = (error @ still.coefs_[1].T) * (hidden > 0)
    slopes = [X.T @ back, hidden.T @ error]
    before, after = (np.concatenate([w.ravel() for w in m.coefs_]) for m in (still, moved))
    slope = np.concatenate([s.ravel() for s in slopes]) + 0.1 * before
    for value in values_of(still):
        if value:
            found = np.unique(after[before == value])
            assert len(found) == 1
            step = -0.05 * slope[before == value].mean()
            assert found[0] - value == pytest.approx(step, rel=1e-3, abs=1e-6)


def test_convolutions_share_too(digits: Any) -> None:
    from torch import nn

    module = nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(216, 10))
    model = SparseNetClassifier(
        module, sparsifier="soft_sharing", target_sparsity=0.6, max_iter=20, random_state=0
    ).fit(digits[0].reshape(-1, 1, 8, 8), digits[1])
    weights = [p.detach().numpy().ravel() for p in model.module_.parameters() if p.ndim > 1]
    assert len(np.unique(np.concatenate(weights))) <= 16
    assert model.score(digits[0].reshape(-1, 1, 8, 8), digits[1]) > 0.85


@pytest.mark.parametrize(
    "options, message",
    [
        ({"n_components": 1}, "'n_components' parameter"),
        ({"train_fraction": 0.7, "share_fraction": 0.6}, "are more than all epochs"),
    ],
)
def test_options_that_cannot_be_are_refused(options: Any, message: str, digits: Any) -> None:
    with pytest.raises(ValueError, match=message):
        make(SoftWeightSharing(**options)).fit(*digits)
