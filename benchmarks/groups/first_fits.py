"""What the first fit of a process costs above the ones that follow, with caches on disk."""

from __future__ import annotations

from benchmarks.processes import extra_of_first

SETUP = """
import numpy as np
{imports}
rng = np.random.default_rng(0)
X = np.asfortranarray(rng.standard_normal({shape}))
y = X[:, 0] + rng.standard_normal(len(X))
classes = np.where(y > 0, 1.0, -1.0)
groups = np.repeat(np.arange(X.shape[1] // 5), 5)
sizes, ends = [5] * (X.shape[1] // 5), np.arange(0, X.shape[1] + 1, 5, dtype=np.int32)
features, factors = np.arange(X.shape[1], dtype=np.int32), np.full(X.shape[1] // 5, 5**0.5)
"""
WIDE, TALL = (200, 500), (5000, 100)
SKGLM = (
    "from skglm.penalties import WeightedGroupL2, WeightedL1GroupL2\n"
    "from skglm.datafits import LogisticGroup, QuadraticGroup\n"
    "from skglm.solvers import GroupBCD, GroupProxNewton\nfrom skglm import GroupLasso"
)
OURS = "from sksparse.linear_model import *"
#: Imports, shape of X, and the fit.
KINDS = {
    "GroupLassoRegressor, wide": (OURS, WIDE, "GroupLassoRegressor(0.1, groups).fit(X, y)"),
    "GroupLassoRegressor, tall": (OURS, TALL, "GroupLassoRegressor(0.1, groups).fit(X, y)"),
    "GroupLassoRegressor, l1_ratio=0.5": (
        OURS,
        WIDE,
        "GroupLassoRegressor(0.1, groups, l1_ratio=0.5).fit(X, y)",
    ),
    "GroupLassoClassifier": (OURS, WIDE, "GroupLassoClassifier(0.03, groups).fit(X, classes)"),
    "group_lasso_path": (OURS, WIDE, "group_lasso_path(X, y, groups, alphas=20, eps=0.1)"),
    "skglm GroupLasso": (SKGLM, WIDE, "GroupLasso(sizes, alpha=0.1, weights=factors).fit(X, y)"),
    "skglm, sparse group": (
        SKGLM,
        WIDE,
        "GroupBCD(ws_strategy='fixpoint').solve(X, y, QuadraticGroup(ends, features), "
        "WeightedL1GroupL2(0.1, factors / 2, np.full(X.shape[1], 0.5), ends, features))",
    ),
    "skglm, logistic": (
        SKGLM,
        WIDE,
        "GroupProxNewton(fit_intercept=True).solve(X, classes, LogisticGroup(ends, features), "
        "WeightedGroupL2(0.03, factors, ends, features), np.zeros(X.shape[1] + 1), "
        "np.zeros(len(X)))",
    ),
}


def measure(name: str) -> dict[str, float]:
    """Seconds of several processes, after one that fills the caches."""
    imports, shape, fit = KINDS[name]
    # skglm compiles in each process
    setup, times = SETUP.format(imports=imports, shape=shape), 2 if imports == SKGLM else 5
    return extra_of_first(setup, fit, times)
