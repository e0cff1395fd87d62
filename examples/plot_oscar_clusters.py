"""
Correlated measurements share a coefficient
===========================================

Radius, perimeter and area of a cell nucleus say nearly the same. The lasso divides the credit among
them more or less by chance; :class:`~sksparse.linear_model.OSCAR` gives correlated features one
common coefficient, so that they show up as the cluster that they are.

From ten measurements, averaged over the nuclei in an image, predict the perimeter of the largest
nuclei in it.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.patches import Rectangle
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import ElasticNet, RidgeCV
from sklearn.model_selection import GridSearchCV, KFold, cross_validate
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from sksparse.linear_model import OSCAR

data, _ = load_breast_cancer(return_X_y=True, as_frame=True)
X = data.filter(regex="^mean").rename(columns=lambda name: name.removeprefix("mean "))
y = data["worst perimeter"] / data["worst perimeter"].std()

# %%
# As simple as the noise allows
# -----------------------------
#
# The best strength on average is rarely better than its stronger neighbours by more than the folds
# differ. So take the strongest penalty whose score is within one standard error of the best: a
# usual rule, which ``refit`` of a grid search takes as a function. The elastic net gets it too.

n_folds = 5
alphas = np.geomspace(0.01, 1, 13)


def strongest_within_one_error(trials):
    """Position of the largest alpha whose score is within one standard error of the best."""
    score, error = trials["mean_test_score"], trials["std_test_score"] / np.sqrt(n_folds)
    best = score.argmax()
    good = np.flatnonzero(score >= score[best] - error[best])
    return good[alphas[good].argmax()]


def search(model):
    """Search the strength of a model on standardised features."""
    return GridSearchCV(
        Pipeline([("scale", StandardScaler()), ("model", model)]),
        {"model__alpha": alphas},
        cv=KFold(n_folds, shuffle=True, random_state=0),
        refit=strongest_within_one_error,
    )


oscar = search(OSCAR(pairwise=0.8)).fit(X, y).best_estimator_["model"]
print(f"alpha {oscar.alpha:.3f} keeps {oscar.get_support().sum()} features of {X.shape[1]}")
for cluster in oscar.clusters_:
    print(f"{oscar.coef_[cluster[0]]:+.3f}  {', '.join(X.columns[cluster])}")

# %%
# On images that no search has seen
# ---------------------------------
#
# ``weights`` counts different values: what a cluster shares is one number.


def coefficients(model):
    """Coefficients that are not zero."""
    coef = getattr(model, "best_estimator_", model)[-1].coef_
    return coef[coef != 0]


scoring = {
    "R²": "r2",
    "features": lambda model, X, y: len(coefficients(model)),
    "weights": lambda model, X, y: len(np.unique(np.abs(coefficients(model)))),
}
models = {
    "OSCAR, grid search": search(OSCAR(pairwise=0.8)),
    "ElasticNet, grid search": search(ElasticNet(l1_ratio=0.5)),
    "RidgeCV": Pipeline(
        [("scale", StandardScaler()), ("model", RidgeCV(np.geomspace(0.1, 1e3, 13)))]
    ),
}
outer = KFold(5, shuffle=True, random_state=1)
scores = {}
for name, model in models.items():
    scores[name] = pd.DataFrame(cross_validate(model, X, y, cv=outer, scoring=scoring, n_jobs=2))
    print(f"{name}: R² {scores[name]['test_R²'].mean():.3f}")
pd.DataFrame({name: folds.mean() for name, folds in scores.items()}).T.round(3)

# %%
# Clusters form as the strength grows
# -----------------------------------
#
# Lines that run together are features with one coefficient. On the right, the features in the order
# of their coefficients. Radius, perimeter and area are one block of correlation, tied at every
# strength; in the last cluster, texture is tied to the others only because its coefficient is as
# small as theirs.

Z = StandardScaler().fit_transform(X)
strengths = np.geomspace(0.5, 0.005, 60)
path = OSCAR(pairwise=0.8, warm_start=True)
coefs = np.array([path.set_params(alpha=alpha).fit(Z, y).coef_ for alpha in strengths])
unused = np.flatnonzero(~oscar.get_support())

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
for number, cluster in enumerate(oscar.clusters_):
    for place, feature in enumerate(cluster):
        label, style = X.columns[feature], ["-", "--", ":"][place % 3]
        left.plot(strengths, coefs[:, feature], f"C{number}{style}", linewidth=2, label=label)
left.plot(strengths, coefs[:, unused], color="lightgrey", zorder=0)
left.plot([], [], color="lightgrey", label="not kept")
left.axvline(oscar.alpha, color="black", linewidth=0.8)
left.annotate(" chosen", (oscar.alpha, 0.32), va="center")
left.set(
    xscale="log",
    xlabel="alpha",
    ylabel="coefficient of the standardised feature",
    title="One colour for each cluster at the chosen alpha",
    ylim=(-0.05, 0.46),
)
left.legend(fontsize="small", ncols=3, loc="upper center", framealpha=1)

order = np.concatenate([*oscar.clusters_, unused])
image = right.imshow(np.abs(np.corrcoef(Z[:, order].T)), vmin=0, vmax=1, cmap="Greys")
right.set_xticks(range(len(order)), X.columns[order], rotation=45, ha="right")
right.set_yticks(range(len(order)), X.columns[order])
start = -0.5
for number, cluster in enumerate(oscar.clusters_):
    size = len(cluster)
    right.add_patch(Rectangle((start, start), size, size, ec=f"C{number}", fill=False, lw=3))
    start += size
right.set_title("Correlation (magnitude)")
figure.colorbar(image, ax=right)
plt.show()
