"""
How many measurements does a diagnosis need?
============================================

Thirty numbers describe the cell nuclei in an image of a tumour: radius, texture, concavity and
seven more, each as a mean, as its standard error and at its worst. Which of them tell a malignant
tumour from a benign one, and how many are enough?
:class:`~sksparse.linear_model.L0ClassifierCV` fits the best subsets of one, two, three, ...
measurements and chooses among them, by an information criterion or by cross-validation.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sksparse.inspection import RegularizationPathDisplay
from sksparse.linear_model import L0ClassifierCV

X, y = load_breast_cancer(return_X_y=True, as_frame=True)
X = pd.DataFrame(StandardScaler().fit_transform(X), columns=X.columns)

# %%
# The path, and a choice
# ----------------------
#
# Ten folds score each size by the log loss of images that were not fitted. The least loss is often
# not worth its last features: ``selection="1se"`` takes the smallest size within one standard error
# of it.

folds = StratifiedKFold(10, shuffle=True, random_state=0)
by_folds = L0ClassifierCV(max_features=10, l2=1e-3, cv=folds, selection="1se").fit(X, y)
print(f"{by_folds.n_features_} measurements:", ", ".join(by_folds.get_feature_names_out()))
display = RegularizationPathDisplay.from_estimator(by_folds)
display.figure_.suptitle("Chosen by ten folds, within one standard error")
plt.show()

# %%
# A criterion instead of folds
# ----------------------------
#
# EBIC, the default, needs one path instead of eleven. It asks each measurement to pay for having
# been searched among thirty.

by_criterion = L0ClassifierCV(max_features=10, l2=1e-3).fit(X, y)
print(f"{by_criterion.n_features_} measurements:", ", ".join(by_criterion.get_feature_names_out()))
RegularizationPathDisplay.from_estimator(by_criterion).figure_.suptitle("Chosen by EBIC")
plt.show()

# %%
# On images that no search has seen
# ---------------------------------
#
# Five outer folds score each search on images that it was not given. The baseline is logistic
# regression with an L1 penalty, at the strength that cross-validation prefers; it keeps more
# measurements, since it pays for each by shrinking all.


def n_measurements(model, X, y):
    """Count the measurements that the model uses."""
    last = model[-1]
    return np.count_nonzero(getattr(last, "best_estimator_", last).coef_)


inner = StratifiedKFold(5, shuffle=True, random_state=0)
l1 = LogisticRegression(l1_ratio=1.0, solver="liblinear", tol=1e-6)
models = {
    "L0ClassifierCV, EBIC": L0ClassifierCV(max_features=10, l2=1e-3),
    "L0ClassifierCV, 1se": L0ClassifierCV(max_features=10, l2=1e-3, cv=inner, selection="1se"),
    "L1 logistic, grid search": GridSearchCV(
        l1, {"C": np.geomspace(0.01, 10, 10)}, cv=inner, scoring="neg_log_loss"
    ),
}
scoring = {"accuracy": "accuracy", "log loss": "neg_log_loss", "features": n_measurements}
outer = StratifiedKFold(5, shuffle=True, random_state=1)
scores = {}
for name, model in models.items():
    pipeline = make_pipeline(StandardScaler(), model)
    scores[name] = pd.DataFrame(cross_validate(pipeline, X, y, cv=outer, scoring=scoring))
    print(f"{name}: accuracy {scores[name]['test_accuracy'].mean():.3f}")
pd.DataFrame({name: folds.mean() for name, folds in scores.items()}).T.round(3)
