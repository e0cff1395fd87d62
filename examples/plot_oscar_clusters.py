"""
Clusters that hold, and clusters that happen
============================================

Thirty measurements of the cell nuclei in an image, many of them of nearly the same thing: is the
tumour malignant? :class:`~sksparse.linear_model.OSCARClassifier` gives measurements one common
coefficient, so that they form clusters. A cluster is a finding only if other images would have
shown it too. So fit again on resamples, and count which ties come back.
"""

from textwrap import shorten

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_validate
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from sksparse.inspection import ClusterDisplay, RegularizationPathDisplay
from sksparse.linear_model import OSCARClassifier, OSCARClassifierCV

table, y = load_breast_cancer(return_X_y=True, as_frame=True)
y = y.map({0: "malignant", 1: "benign"})
scale = StandardScaler().set_output(transform="pandas")
X = scale.fit_transform(table)

# %%
# Fewer numbers than measurements
# -------------------------------
#
# The strength is the one with the fewest features among those whose held-out likelihood is within a
# standard error of the best.

search = OSCARClassifierCV(
    pairwise=0.8,
    alphas=20,
    cv=StratifiedKFold(5, shuffle=True, random_state=0),
    selection="1se",
)
model = search.fit(X, y)
print(f"{model.n_features_} of {X.shape[1]} features in {model.n_clusters_} clusters")
for cluster, size in zip(model.clusters_, model.cluster_coef_, strict=True):
    print(shorten(f"{size:.3f}  {', '.join(X.columns[cluster])}", 90, placeholder=" ..."))

# %%
# From strong penalties on the left to weak ones on the right, clusters break up. A line is the
# wider, the more features it stands for.

RegularizationPathDisplay.from_estimator(model, n_names=6)
plt.show()

# %%
# Are they correlated?
# --------------------
#
# The penalty ties what is correlated, and it also ties coefficients that happen to be close. The
# correlations tell: a cluster that stands for one thing is a dark block. Some are, and some are
# pale.

ClusterDisplay.from_estimator(model, X)
plt.show()

# %%
# Do they come back?
# ------------------
#
# A resample draws as many images with replacement. How often each was drawn is its weight, so
# nothing is copied. The lasso, ``pairwise=0``, gets the same resamples.

rng = np.random.default_rng(0)
n_resamples, n = 50, len(X)
lasso = clone(search).set_params(pairwise=0).fit(X, y)
oscar_once = OSCARClassifier(model.alpha_, pairwise=0.8)
lasso_once = OSCARClassifier(lasso.alpha_, pairwise=0)
tied = np.zeros((X.shape[1], X.shape[1]))
kept = np.zeros((2, X.shape[1]))
for _ in range(n_resamples):
    drawn = rng.multinomial(n, np.full(n, 1 / n))
    oscar_once.fit(X, y, sample_weight=drawn)
    for cluster in oscar_once.clusters_:
        tied[np.ix_(cluster, cluster)] += 1 / n_resamples
    kept += [oscar_once.support_ / n_resamples, lasso_once.fit(X, y, drawn).support_ / n_resamples]

# %%
# For every cluster the weakest correlation in it, and how often two of its members are tied again:

correlation = X.corr().abs().to_numpy()
rows = []
for cluster in model.clusters_:
    if len(cluster) > 1:
        one, other = np.triu_indices(len(cluster), 1)
        pairs = cluster[one], cluster[other]
        rows.append([", ".join(X.columns[cluster]), correlation[pairs].min(), tied[pairs].mean()])
again = pd.DataFrame(rows, columns=["cluster", "weakest correlation", "tied again"])
print(again.round(2).to_string(index=False, max_colwidth=60))

# %%
# And for every two measurements. What comes back are radius, perimeter and area, averaged over
# the nuclei, which are nearly one measurement. The texture in their cluster is tied to them by the
# chance of these images.

names = X.columns
one, other = np.triu_indices(len(names), 1)
for pair in np.argsort(-tied[one, other])[:5]:
    a, b = one[pair], other[pair]
    print(f"{tied[a, b]:4.0%} {names[a]} and {names[b]} (correlation {correlation[a, b]:.2f})")

together = np.zeros(tied.shape, dtype=bool)
for cluster in model.clusters_:
    together[np.ix_(cluster, cluster)] = True
figure, ax = plt.subplots(figsize=(7, 4.2), layout="constrained")
for chosen, color in ((False, "0.7"), (True, "tab:red")):
    shown = together[one, other] == chosen
    ax.scatter(
        correlation[one, other][shown],
        tied[one, other][shown],
        color=color,
        s=18,
        zorder=2 + chosen,
        label="yes" if chosen else "no",
    )
ax.set(
    xlabel="correlation of two measurements (magnitude)",
    ylabel="share of resamples that tie them",
    title="Most ties are not found again",
)
ax.legend(title="tied on all images")
plt.show()

# %%
# The lasso does without all three: the largest nuclei say it as well. OSCAR keeps them in every
# resample, as one number.

size = ["mean radius", "mean perimeter", "mean area"]
print(pd.DataFrame(kept, ["OSCAR", "lasso"], names)[size].map("{:.0%}".format).to_string())

# %%
# On images that no search has seen
# ---------------------------------
#
# None of this makes predictions better: the lasso is as good with fewer measurements. Clusters are
# for reading. ``weights`` counts different values, as what a cluster shares is one number.


def coefficients(model):
    """Coefficients that are not zero."""
    coef = getattr(model[-1], "best_estimator_", model[-1]).coef_
    return coef[coef != 0]


scoring = {
    "accuracy": "accuracy",
    "features": lambda model, X, y: len(coefficients(model)),
    "weights": lambda model, X, y: len(np.unique(np.abs(coefficients(model)))),
}
models = {
    "OSCARClassifierCV": search,
    "the same, pairwise=0 (lasso)": clone(search).set_params(pairwise=0),
    "LogisticRegression, searched": GridSearchCV(
        LogisticRegression(max_iter=1000), {"C": np.geomspace(1e-3, 10, 9)}, scoring="neg_log_loss"
    ),
}
outer = StratifiedKFold(5, shuffle=True, random_state=1)
scores = {}
for name, step in models.items():
    pipeline = Pipeline([("scale", StandardScaler()), ("model", step)])
    folds = cross_validate(pipeline, table, y, cv=outer, scoring=scoring, n_jobs=2)
    scores[name] = pd.DataFrame(folds)
pd.DataFrame({name: folds.mean() for name, folds in scores.items()}).T.round(3)
