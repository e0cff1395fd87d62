"""Block descent over a working set: several outputs, a ridge and bounds, in all three forms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from sksparse.penalties import BlockPenalty, Blocks
from sksparse.solvers._centred import CentredColumns
from sksparse.solvers.convex._block_subproblem import Subproblem, Working
from sksparse.solvers.convex._quadratic_model import Quadratic, quadratic_from_columns

N, LABELS = 60, np.array([0, 0, 0, 1, 2, 2, 3, 3, 3, 3])
P = len(LABELS)


def make(
    rng: np.random.Generator, form: str, outputs: tuple[int, ...]
) -> tuple[Quadratic, np.ndarray, np.ndarray]:
    """A quadratic around zero, its Hessian and its linear term, from dense formulas."""
    X = rng.standard_normal((N, P)) * np.where(rng.random((N, P)) < 0.6, 1.0, 0.0)
    curvature = rng.uniform(0.5, 2.0, N) / N
    gradient = curvature[(..., *[None] * len(outputs))] * rng.standard_normal((N, *outputs))
    columns = CentredColumns(
        sp.csc_array(X) if form == "sparse" else np.asfortranarray(X), np.zeros(P)
    )
    start = np.zeros((*outputs, P))
    quadratic = quadratic_from_columns(
        columns, gradient, curvature, start, centre=True, gram=form == "gram"
    )
    shares = curvature / curvature.sum()
    centred = X - shares @ X
    H = centred.T @ (curvature[:, None] * centred)
    return quadratic, H, -(gradient - np.multiply.outer(shares, gradient.sum(axis=0))).T @ X


def random_bounds(rng: np.random.Generator, kind: str) -> dict[str, Any]:
    if kind == "none":
        return {}
    if kind == "positive":
        return {"lower": np.zeros(P)}
    lower = np.where(LABELS == 1, -np.inf, -rng.uniform(0.0, 0.3, P))
    return {"lower": lower, "upper": np.where(LABELS == 3, np.inf, rng.uniform(0.0, 0.3, P))}


@pytest.mark.parametrize("bounds", ["none", "positive", "box"])
@pytest.mark.parametrize("ridge", [0.0, 0.3])
@pytest.mark.parametrize("l1", [0.0, 0.4])
@pytest.mark.parametrize("outputs", [(), (1,), (3,)])
@pytest.mark.parametrize("form", ["gram", "dense", "sparse"])
def test_reaches_the_minimum(
    rng: np.random.Generator, form: str, outputs: tuple[int, ...], l1: float, ridge: float,
    bounds: str,
) -> None:  # fmt: skip
    quadratic, H, q = make(rng, form, outputs)
    l2 = np.array([1.0, 0.5, 0.0, 2.0])
    factors = np.where(l2[LABELS] > 0.0, l1, 0.0)
    penalty = BlockPenalty(
        Blocks.from_labels(LABELS), factors, l2, ridge=ridge, **random_bounds(rng, bounds)
    )
    working = Working(penalty, np.arange(4), np.sqrt(np.diag(H)))
    alpha = 0.2 * penalty.dual_norm(q)
    coef = Subproblem(quadratic, working).minimise(alpha, np.zeros_like(q), 1e-10)
    assert coef.shape == q.shape
    np.testing.assert_array_equal(coef, penalty.feasible(coef))
    gradient = coef @ H - q + ridge * coef
    assert penalty.violations(coef, gradient, alpha, np.sqrt(np.diag(H))).max() < 1e-8
    # the minimum is where a proximal step stays, whatever its length
    step = 1.0 / np.linalg.eigvalsh(H)[-1]
    moved = penalty.prox(coef - step * gradient, step * alpha)
    np.testing.assert_allclose(moved, coef, atol=1e-7 * np.abs(coef).max())


@pytest.mark.parametrize("form", ["gram", "dense", "sparse"])
def test_states_values_and_gradients_belong_together(rng: np.random.Generator, form: str) -> None:
    quadratic, H, q = make(rng, form, (2,))
    one, other = rng.standard_normal((2, 2, P))
    at = [
        (0.5 * np.sum((w @ H) * w) - np.sum(q * w), quadratic.value(w, quadratic.state(w)))
        for w in (one, other)
    ]
    assert at[1][0] - at[0][0] == pytest.approx(at[1][1] - at[0][1], rel=1e-9)
    np.testing.assert_allclose(quadratic.descent(quadratic.state(one)), q - one @ H, atol=1e-12)
    basis = sp.csc_array(rng.standard_normal((P, 3)))
    expected = basis.T.toarray() @ H @ basis.toarray()
    np.testing.assert_allclose(quadratic.reduced(basis), expected, atol=1e-12)
    blocks = np.stack((H[4:6, 4:6], H[1:3, 1:3]))
    np.testing.assert_allclose(quadratic.blocks(np.array([4, 1]), 2), blocks, atol=1e-13)
