"""The methods by name."""

from __future__ import annotations

from sksparse.feature_selection.perceptron._elimination import Elimination
from sksparse.feature_selection.perceptron._method import InputMethod

METHODS: dict[str, type[InputMethod]] = {
    "elimination": Elimination,
}
