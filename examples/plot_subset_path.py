"""
How many measurements does a diagnosis need?
============================================

Thirty numbers describe the cell nuclei in an image of a tumour: radius, texture, concavity and
seven more, each as a mean, as its standard error and at its worst. Which of them tell a malignant
tumour from a benign one, and how many are enough?
:class:`~sksparse.linear_model.L0ClassifierCV` fits the best subsets of one, two, three, ...
measurements and chooses among them, by an information criterion or by cross-validation.
"""

from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_validate
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from sksparse.inspection import RegularizationPathDisplay
from sksparse.linear_model import L0ClassifierCV

X, y = load_breast_cancer(return_X_y=True, as_frame=True)
X = pd.DataFrame(StandardScaler().fit_transform(X), columns=X.columns)

# %%
# The path, and a choice
# ----------------------
#
# Ten folds score each number of measurements by the log likelihood of images that were not fitted.
# The last measurements often hardly improve it: ``selection="1se"`` takes the smallest number
# within one standard error of the best. ``l2`` keeps coefficients finite where few measurements
# separate the training images.

folds = StratifiedKFold(10, shuffle=True, random_state=0)
sizes = L0ClassifierCV(max_features=15, l2=1e-3, cv=folds, selection="1se").fit(X, y)
names = ", ".join(sizes.get_feature_names_out())
print(fill(f"{sizes.n_features_} measurements: {names}", 99))
display = RegularizationPathDisplay.from_estimator(sizes)
display.curve_ax_.set_title("Ten folds, the smallest within one standard error", pad=18)
plt.show()

# %%
# A criterion instead of folds
# ----------------------------
#
# EBIC, the default, needs one path instead of eleven. Its penalty accounts for the choice of each
# measurement among thirty.

by_criterion = L0ClassifierCV(max_features=10, l2=1e-3).fit(X, y)
names = ", ".join(by_criterion.get_feature_names_out())
print(fill(f"{by_criterion.n_features_} measurements: {names}", 99))

# %%
# At an equal number of measurements
# ----------------------------------
#
# An L1 penalty selects as well, and shrinks what it selects. The same folds score it at strengths
# that keep from one measurement to all that it ever wants.


def n_measurements(model, X, y):
    """Count the measurements that the model uses."""
    last = getattr(model, "best_estimator_", model)[-1]
    return np.count_nonzero(last.coef_)


l1 = Pipeline(
    [
        ("scale", StandardScaler()),
        ("model", LogisticRegression(l1_ratio=1.0, solver="liblinear", tol=1e-6)),
    ]
)
scoring = {"accuracy": "accuracy", "log loss": "neg_log_loss", "features": n_measurements}
search = GridSearchCV(
    l1, {"model__C": np.geomspace(0.005, 10, 12)}, cv=folds, scoring=scoring, refit="log loss"
)
trials = search.fit(X, y).cv_results_

figure, ax = plt.subplots(figsize=(6.5, 4), layout="constrained")
for label, n_features, losses in (
    ("L0ClassifierCV", sizes.sizes_[1:], -sizes.score_path_[1:].mean(axis=1)),
    ("L1 penalty", trials["mean_test_features"], -trials["mean_test_log loss"]),
):
    ax.plot(n_features, losses, marker="o", label=label)
ax.set(
    xlabel="measurements used",
    ylabel="log loss of images not fitted",
    title="Log loss by number of measurements",
    yscale="log",
    yticks=[0.1, 0.2, 0.5],
)
ax.yaxis.set_major_formatter("{x:g}")
ax.yaxis.set_minor_formatter("")
ax.legend()
plt.show()

# %%
# On images that no search has seen
# ---------------------------------
#
# Five outer folds score each model, its search included, on images that it was not given. The best
# L1 penalty is a little more accurate, with one and a half to four times as many measurements.

inner = StratifiedKFold(5, shuffle=True, random_state=0)
models = {
    "L0ClassifierCV, EBIC": L0ClassifierCV(max_features=12, l2=1e-3),
    "L0ClassifierCV, folds": L0ClassifierCV(max_features=12, l2=1e-3, cv=inner),
}
models = {name: Pipeline([("scale", StandardScaler()), ("l0", l0)]) for name, l0 in models.items()}
models["L1 logistic, grid search"] = search.set_params(cv=inner)
outer = StratifiedKFold(5, shuffle=True, random_state=1)
scores = {}
for name, model in models.items():
    scores[name] = pd.DataFrame(cross_validate(model, X, y, cv=outer, scoring=scoring, n_jobs=2))
    print(f"{name}: accuracy {scores[name]['test_accuracy'].mean():.3f}")
pd.DataFrame({name: table.mean() for name, table in scores.items()}).T.round(3)
