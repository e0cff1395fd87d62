"""Samples with several labels, as scikit-learn's MLPClassifier takes them."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse
from scipy.special import expit
from sklearn.datasets import make_multilabel_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import DataConversionWarning
from sklearn.model_selection import cross_val_score
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import scale
from small_networks import classifier
from torch import nn
from torch.nn import functional as F

from sksparse.neural_network import SparseNetClassifier
from sksparse.neural_network.training._objectives import (
    DistilledBinaryCrossEntropy,
    WeightedBinaryCrossEntropy,
    soften_labels,
    weighted_subset_accuracy,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(scope="module")
def labelled() -> tuple[np.ndarray, np.ndarray]:
    X, y = make_multilabel_classification(160, 10, n_classes=4, random_state=0)
    return scale(X), y


def test_it_learns_what_scikit_learn_learns(labelled: Any) -> None:
    X, y = labelled
    model = classifier(target_sparsity=0.5, max_iter=60).fit(X, y)
    theirs = MLPClassifier((30,), max_iter=300, random_state=0).fit(X, y)
    proba = model.predict_proba(X)
    assert proba.shape == y.shape == theirs.predict_proba(X).shape
    assert model.classes_.tolist() == theirs.classes_.tolist() == [0, 1, 2, 3]
    assert model.predict(X).dtype.kind == theirs.predict(X).dtype.kind == "i"
    assert (model.predict(X) == y).mean() > 0.85
    assert model.score(X, y) == (model.predict(X) == y).all(axis=1).mean()
    np.testing.assert_array_equal(model.predict(X), proba > 0.5)
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), proba)
    with torch.no_grad():
        logits = model.module_(torch.from_numpy(X.astype(np.float32))).numpy()
    np.testing.assert_allclose(proba, expit(logits), atol=1e-5)
    twin = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(twin.predict(X), model.predict(X))


@pytest.mark.parametrize("compaction", ["compact", "compact_during"])
def test_units_are_taken_out(labelled: Any, compaction: str) -> None:
    X, y = labelled
    options: dict[str, Any] = {"sparsifier": "filters", "target_units": 0.4, "max_iter": 20}
    large = classifier(**options).fit(X, y)
    small = classifier(**options, **{compaction: True}).fit(X, y)
    assert small.n_units_ == large.n_units_ == {"0": 12}
    assert small.coefs_[0].shape[1] == 12 < large.coefs_[0].shape[1]
    assert small.predict(X).shape == y.shape
    np.testing.assert_allclose(small.predict_proba(X), large.predict_proba(X), atol=1e-3)


@pytest.mark.parametrize(
    "kind", [sparse.csr_array, np.ndarray.tolist, lambda y: y.astype(object), lambda y: y == 1]
)
def test_kinds_of_labels_are_one_fit(labelled: Any, kind: Any) -> None:
    X, y = labelled
    a, b = (classifier(max_iter=2).fit(X, given) for given in (y, kind(y)))
    np.testing.assert_array_equal(a.predict_proba(X), b.predict_proba(X))


def test_options_that_know_several_labels(labelled: Any) -> None:
    X, y = labelled
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 3, size=len(y))
    weighted = classifier(max_iter=4).fit(X, y, sample_weight=counts)
    repeated = classifier(max_iter=4).fit(
        np.repeat(X, counts, axis=0), np.repeat(y, counts, axis=0)
    )
    np.testing.assert_array_equal(weighted.predict_proba(X), repeated.predict_proba(X))
    stopped = classifier(early_stopping=True, max_iter=5).fit(X, y)
    assert 0 <= stopped.history_[-1]["valid_score"] <= 1
    assert len(cross_val_score(classifier(max_iter=2), X, y, cv=2)) == 2
    model = SparseNetClassifier(nn.Linear, max_iter=3, target_sparsity=0.3).fit(X, y)
    assert model.predict(X).shape == y.shape


def test_training_goes_on(labelled: Any) -> None:
    X, y = labelled
    model = classifier().partial_fit(X, y, classes=range(4)).partial_fit(X[:9], y[:9])
    assert model.n_iter_ == 2
    model.set_params(warm_start=True, target_sparsity=0.5, max_iter=3).fit(X, y)
    assert model.sparsity_ == 0.5
    with pytest.raises(ValueError, match="y holds one label for each sample, but held several"):
        model.fit(X, y[:, 0])
    with pytest.raises(ValueError, match="partial_fit cannot continue: y holds one label"):
        model.partial_fit(X, y[:, 0])
    with pytest.raises(ValueError, match=r"y has 3 columns of labels, but the classes are \[0, 1"):
        model.partial_fit(X, y[:, :3])
    with pytest.raises(ValueError, match=r"numbers of its columns, \[0, 1, 2, 3\]"):
        classifier().partial_fit(X, y, classes=[1, 2, 3, 4])


@pytest.mark.parametrize("teacher", [MLPClassifier((9,), max_iter=20), RandomForestClassifier(9)])
def test_teachers_of_several_labels(labelled: Any, teacher: Any) -> None:
    X, y = labelled
    teacher.set_params(random_state=0).fit(X, y)
    student = classifier(
        sparsifier=None, teacher=teacher, distill_weight=1.0, temperature=1.0, max_iter=80
    ).fit(X, np.zeros_like(y))
    assert (student.predict(X) == teacher.predict(X)).mean() > 0.85
    with pytest.raises(ValueError, match="returns 4 outputs by predict_proba, but the network has"):
        classifier(teacher=MLPClassifier((9,), max_iter=2).fit(X, y)).fit(X, y[:, :2])


def test_what_is_refused(labelled: Any) -> None:
    X, y = labelled
    with pytest.raises(ValueError, match="class_weight='balanced' is for samples of one class"):
        classifier(class_weight="balanced").fit(X, y)
    for other in (y + 1, 2 * y, y.astype(str), y + 0.5):
        with pytest.raises(ValueError, match=r"a column of 0 and 1 for each.*MultiOutputClass"):
            classifier().fit(X, other)
    with pytest.warns(DataConversionWarning):
        model = classifier(max_iter=2).fit(X, y[:, :1])
    assert model.predict(X).shape == (len(y),)


def test_losses_and_scores(rng: Any) -> None:
    logits, y = torch.randn(9, 3), (torch.randn(9, 3) > 0).float()
    weight = torch.rand(9)
    log_loss = -(y * logits.sigmoid().log() + (1 - y) * (-logits).sigmoid().log()).mean(dim=1)
    loss = WeightedBinaryCrossEntropy()
    torch.testing.assert_close(loss(logits, y, None), log_loss.mean())
    torch.testing.assert_close(loss(logits, y, weight), (log_loss * weight).mean())
    taught = soften_labels(torch.rand(9, 3), 2.0)
    both = torch.cat([y, taught], dim=1)
    torch.testing.assert_close(
        DistilledBinaryCrossEntropy(2.0, 0.0)(logits, both, None), loss(logits, y, None)
    )
    # nothing is left to learn where the student agrees
    agrees = 2.0 * torch.logit(taught)
    assert abs(float(DistilledBinaryCrossEntropy(2.0, 1.0)(agrees, both, None))) < 1e-5
    p, q = taught, (logits / 2.0).sigmoid()
    divergence = F.kl_div(q.log(), p, reduction="none") + F.kl_div(
        (1 - q).log(), 1 - p, reduction="none"
    )
    expected = 4 * divergence.mean()
    torch.testing.assert_close(DistilledBinaryCrossEntropy(2.0, 1.0)(logits, both, None), expected)
    hits = ((logits > 0) == (y > 0)).all(dim=1).float()
    assert weighted_subset_accuracy(logits, both, weight) == pytest.approx(
        float((hits * weight).sum() / weight.sum())
    )
