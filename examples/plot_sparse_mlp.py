"""
A network with nine weights in ten removed
==========================================

A perceptron with 100 hidden units reads handwritten digits from 8 x 8 pixels.
:class:`~sksparse.neural_network.SparseMLPClassifier` trains the same network, is asked for 90 % of
exact zeros, and finds them in three ways: by a penalty that shrinks the weights (``"oscar"``, the
default), by gates that are learned with them (``"l0"``) or by removing the smallest of them during
training (``"magnitude"``).
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedKFold, cross_validate
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sksparse.neural_network import SparseMLPClassifier

X, y = load_digits(return_X_y=True)


def n_inputs(model, X, y):
    """Count the pixels that any unit reads."""
    return np.count_nonzero(model[-1].coefs_[0].any(axis=1))


def n_weights(model, X, y):
    """Count the weights that are not zero."""
    return sum(np.count_nonzero(layer) for layer in model[-1].coefs_)


# %%
# Compared with the dense network
# -------------------------------
#
# Three folds, so that each digit is read once by a network that has not seen it. All networks
# have the same size, learning rate and rule for stopping.

common = {
    "hidden_layer_sizes": (100,),
    "learning_rate_init": 0.005,
    "max_iter": 150,
    "tol": 1e-3,
    "random_state": 0,
}
models = {
    f"SparseMLPClassifier, {name}": SparseMLPClassifier(
        sparsifier=name, target_sparsity=0.9, **common
    )
    for name in ("oscar", "l0", "magnitude")
}
models["MLPClassifier"] = MLPClassifier(**common)
scoring = {"accuracy": "accuracy", "features": n_inputs, "weights": n_weights}
folds = StratifiedKFold(3, shuffle=True, random_state=0)
scores, fitted = {}, {}
for name, model in models.items():
    runs = cross_validate(
        make_pipeline(StandardScaler(), model),
        X,
        y,
        cv=folds,
        scoring=scoring,
        return_estimator=True,
    )
    fitted[name] = runs.pop("estimator")[0][-1]
    scores[name] = pd.DataFrame(runs)
    print(f"{name}: accuracy {scores[name]['test_accuracy'].mean():.3f}")
pd.DataFrame({name: runs.mean() for name, runs in scores.items()}).T.round(3)

# %%
# What is left
# ------------
#
# The zeros are exact, and no gate or mask remains. Most of the pixels that are not read lie at the
# margin, where the digits leave the paper white.

network = fitted["SparseMLPClassifier, oscar"]
print("sparsity:    ", network.sparsity_)
print("architecture:", network.architecture_)

figure, axes = plt.subplots(
    1, 4, figsize=(13, 3.6), layout="constrained", width_ratios=[1, 1, 1.6, 1.5]
)
axes[0].imshow(X.mean(axis=0).reshape(8, 8), cmap="Greys")
axes[0].set_title("Average digit")
image = axes[1].imshow(network.feature_importances_.reshape(8, 8), cmap="viridis")
axes[1].set_title("Importance of the pixels")
figure.colorbar(image, ax=axes[1], shrink=0.7)
axes[2].imshow(network.coefs_[0] != 0, cmap="Greys", aspect="auto", interpolation="none")
axes[2].set(
    title="Weights left in the first layer", xlabel="hidden unit", ylabel="pixel, row by row"
)
density = pd.DataFrame(
    {
        name.removeprefix("SparseMLPClassifier, "): list(model.density_by_layer_.values())
        for name, model in fitted.items()
        if name.startswith("Sparse")
    },
    index=["pixels to hidden", "hidden to digits"],
)
density.plot.bar(ax=axes[3], rot=0, title="Share of weights left", ylabel="density")
axes[3].axhline(0.1, color="black", linewidth=0.8, linestyle=":", label="whole network")
axes[3].legend()
plt.show()
