"""The methods by name."""

from __future__ import annotations

from sksparse.feature_selection.perceptron._attention import SequentialAttention
from sksparse.feature_selection.perceptron._deep_lasso import DeepLasso
from sksparse.feature_selection.perceptron._elimination import Elimination
from sksparse.feature_selection.perceptron._gates import ConcreteGates, GaussianGates
from sksparse.feature_selection.perceptron._group_lasso import GroupLasso
from sksparse.feature_selection.perceptron._hierarchy import Hierarchy
from sksparse.feature_selection.perceptron._method import InputMethod

METHODS: dict[str, type[InputMethod]] = {
    "elimination": Elimination,
    "gaussian_gates": GaussianGates,
    "concrete_gates": ConcreteGates,
    "group_lasso": GroupLasso,
    "hierarchy": Hierarchy,
    "deep_lasso": DeepLasso,
    "attention": SequentialAttention,
}
