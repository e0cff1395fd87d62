"""
Features that matter only together
==================================

The class is the sign of a product of two features. Neither says anything alone, so that no linear
model and no score of single features sees them;
:class:`~sksparse.feature_selection.SparseMLPSelector` does.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.feature_selection import SelectKBest, f_classif, mutual_info_classif
from sklearn.model_selection import cross_val_score
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

others = {
    "perceptron": SparseMLPSelector(2, random_state=0),
    "best subset": L0Classifier(max_features=2),
    "F test": SelectKBest(f_classif, k=2),
    "mutual information": SelectKBest(mutual_info_classif, k=2),
}
trees = ExtraTreesClassifier(100, random_state=0)
for name, chooser in others.items():
    accuracy = cross_val_score(make_pipeline(chooser, trees), X, y, cv=3).mean()
    chosen = chooser.fit(X, y).get_support(indices=True).tolist()
    print(f"{name:20s} chooses {chosen}, accuracy {accuracy:.2f}")

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
