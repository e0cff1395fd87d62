"""
Networks that are really smaller
================================

Zeros alone make no network faster: a convolution with half of its filters at zero takes as long as
before. Here whole units go, filters of a convolution and states of an LSTM, and what is
left is a plain torch module that is smaller, predicts the same, and takes a fraction of the time.
"""

import pickle
import time

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedKFold, cross_validate, train_test_split
from torch import nn

from sksparse.inspection import FilterDisplay, LayerSizesDisplay
from sksparse.neural_network import SparseNetClassifier

X, y = load_digits(return_X_y=True)
images = X.reshape(-1, 1, 8, 8) / 16
train, test, y_train, y_test = train_test_split(images, y, stratify=y, random_state=0)

# %%
# A share of the multiplications
# ------------------------------
#
# ``target_flops=0.2`` asks for a fifth of the multiplications of the dense network, whatever layers
# they are in. Random units are the control: what a method gains over them is what its choice of
# units is worth, the rest is retraining. On data as easy as these, retraining does most of it.

module = nn.Sequential(
    nn.Conv2d(1, 16, 3, padding=1),
    nn.BatchNorm2d(16),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Conv2d(16, 32, 3, padding=1),
    nn.BatchNorm2d(32),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Flatten(),
    nn.Linear(128, 64),
    nn.ReLU(),
    nn.Linear(64, 10),
)
common = {
    "max_iter": 25,
    "n_iter_no_change": 25,
    "tol": 0.1,
    "learning_rate_init": 0.003,
    "random_state": 0,
}
dense = SparseNetClassifier(module, sparsifier=None, **common).fit(train, y_train)
methods = {
    "taylor": "effect on the loss",
    "filters": "norm of the weights",
    "random": "random units",
}
shares = [0.4, 0.2, 0.1]
figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for method, name in methods.items():
    network = SparseNetClassifier(module, sparsifier=method, granularity="unit", **common)
    accuracies = [
        clone(network).set_params(target_flops=share).fit(train, y_train).score(test, y_test)
        for share in shares
    ]
    ax.plot(shares, accuracies, "o-", label=name)
ax.axhline(dense.score(test, y_test), color="0.5", linestyle="--", label="dense")
ax.set(
    xscale="log",
    xlabel="share of the multiplications",
    ylabel="accuracy on held-out digits",
    title="Ten digits with ever smaller convolutions",
    xticks=shares,
    xticklabels=shares,
)
ax.minorticks_off()
ax.invert_xaxis()
ax.legend()
plt.show()

# %%
# The small network
# -----------------
#
# With ``compact=True`` the fitted ``module_`` has only what is left. A grey bar is a layer of the
# dense network, the coloured one what remains of it.

network = SparseNetClassifier(module, sparsifier="taylor", target_flops=0.2, compact=True, **common)
network.fit(train, y_train)
LayerSizesDisplay.from_estimator(network)
plt.show()

# %%
# It takes the same images, and less of everything else.


def milliseconds(model, rows, repeats=10):
    """Take the median time of a prediction."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        model.predict(rows)
        times.append(1000 * (time.perf_counter() - start))
    return np.median(times)


def row(model):
    """Measure one network."""
    sizes = model.layer_sizes_.values()
    return {
        "accuracy": model.score(test, y_test),
        "parameters": sum(size["parameters"][0] for size in sizes),
        "kFLOPs a row": sum(size["flops"][0] for size in sizes) / 1000,
        "kB in a file": len(pickle.dumps(model)) / 1000,
        "ms for all images": milliseconds(model, images),
        "ms for one": milliseconds(model, images[:1]),
    }


pd.DataFrame({"dense": row(dense), "small": row(network)}).T.round(3)

# %%
# The module itself is plain torch. Here are the filters that are left of its first layer, the
# largest first.

print(network.module_)
FilterDisplay.from_estimator(network)
plt.show()

# %%
# Rows of pixels as a sequence
# ----------------------------
#
# A state of an LSTM has weights in all four gates, a row and a column in the recurrent matrix,
# and is read by the layer behind. ``"iss"`` (intrinsic sparse structures) removes all of them
# together, so that what is left is an LSTM with fewer states.


class RowReader(nn.Module):
    """Reads an image row by row."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(8, 48, batch_first=True)
        self.linear = nn.Linear(48, 10)

    def forward(self, rows):
        """Return a score for each class after the last row."""
        states, _ = self.lstm(rows)
        return self.linear(states[:, -1])


rows_train, rows_test = train[:, 0], test[:, 0]
reader = SparseNetClassifier(
    RowReader(), sparsifier="iss", target_units=0.5, compact=True, **common
)
reader.fit(rows_train, y_train)
print(reader.module_)
print(f"accuracy {reader.score(rows_test, y_test):.3f}")

# %%
# On other folds
# --------------
#
# The size was chosen with the images held out above, so the comparison is made on folds.


def n_pixels(model, X, y):
    """Count the pixels of an image."""
    return X[0].size


def n_weights(model, X, y):
    """Count the weights of the network that is left."""
    return sum(w.count_nonzero().item() for w in model.module_.parameters() if w.ndim > 1)


folds = StratifiedKFold(3, shuffle=True, random_state=1)
scoring = {"accuracy": "accuracy", "features": n_pixels, "weights": n_weights}
models = {"SparseNetClassifier, taylor": network, "the same, dense": dense}
scores = {
    name: pd.DataFrame(cross_validate(model, images, y, cv=folds, scoring=scoring))
    for name, model in models.items()
}
pd.DataFrame({name: runs.mean() for name, runs in scores.items()}).T.round(3)
