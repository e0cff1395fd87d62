"""
Features that matter only together
==================================

The class is the sign of a product of two features. Neither says anything alone, so that no linear
model and no score of single features sees them;
:class:`~sksparse.feature_selection.SparseMLPSelector` does.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.feature_selection import SelectKBest, f_classif, mutual_info_classif
from sklearn.model_selection import cross_validate
from sklearn.pipeline import make_pipeline

from sksparse.datasets import make_xor_features
from sksparse.feature_selection import SparseMLPSelector, StabilitySelection
from sksparse.inspection import RankingDisplay, StabilityPathDisplay
from sksparse.linear_model import L0Classifier

# %%
# A table with an interaction
# ---------------------------
#
# A thousand samples of a hundred features, two of which make the class.

X, y, informative = make_xor_features(n_samples=1000, n_features=100, random_state=0)
print("informative:", sorted(informative.tolist()))

# %%
# One training run ranks all features
# -----------------------------------
#
# With ``max_features="1se"`` the number follows from the validation score: it is near chance with
# one feature, and hardly better with more than two.

selector = SparseMLPSelector("1se", random_state=0).fit(X, y)
print("selected:", selector.get_support(indices=True).tolist())
display = RankingDisplay.from_estimator(selector, n_shown=12)
plt.show()

# %%
# What others choose
# ------------------
#
# Two features each, and the accuracy of extremely randomised trees on them, by cross-validation
# that selects anew in each fold.

choosers = {
    "SparseMLPSelector, trees": SparseMLPSelector(2, random_state=0),
    "L0Classifier, trees": L0Classifier(max_features=2),
    "F test, trees": SelectKBest(f_classif, k=2),
    "mutual information, trees": SelectKBest(mutual_info_classif, k=2),
}


def n_chosen(model, X, y):
    """Features that are passed on."""
    return model[0].get_support().sum()


scores = {}
for name, chooser in choosers.items():
    model = make_pipeline(chooser, ExtraTreesClassifier(100, random_state=0))
    folds = cross_validate(
        model, X, y, cv=3, scoring={"accuracy": "accuracy", "features": n_chosen}
    )
    scores[name] = pd.DataFrame(folds)
    chosen = chooser.fit(X, y).get_support(indices=True).tolist()
    print(f"{name:26s} chooses {chosen}, accuracy {scores[name]['test_accuracy'].mean():.2f}")

# %%
# A bound on what is kept by chance
# ---------------------------------
#
# Where effects are linear, stability selection says how many of the features it keeps are there by
# chance, at most and on average.

z = 1.5 * X[:, 10] - X[:, 20] + X[:, 30]
target = z + np.random.default_rng(0).normal(size=len(z))
stable = StabilitySelection(error_bound=0.5, random_state=0).fit(X[:200], target[:200])
print("kept:", stable.get_support(indices=True).tolist(), f"bound {stable.error_bound_:.2f}")
StabilityPathDisplay.from_estimator(stable)
plt.show()
