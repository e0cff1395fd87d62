"""A better point than that of a convex fit, if there is one: descent from where it ended.

Plain NumPy in float64, as the certificates of :mod:`fuzz_convex`.
"""

from __future__ import annotations

import numpy as np
from fuzz_convex import BlockNorm, Data, SortedNorm, objective
from scipy.optimize import brentq


def polish(data: Data, norm, alpha: float, w, rounds: int = 30):
    """Coefficients at least as good as ``w``, usually the best, and their objective."""
    best, value = np.array(w, dtype=np.float64), objective(data, norm, alpha, w)
    for number in range(rounds):
        before = value
        steps = (_sorted_steps if isinstance(norm, SortedNorm) else _block_sweeps, _smooth_step)
        for step in steps:
            # a loss without a minimum leads far away
            with np.errstate(over="ignore", invalid="ignore"):
                trial = step(data, norm, alpha, best)
                trial, reached = _towards(data, norm, alpha, best, value, trial)
            if reached < value:
                best, value = trial, reached
        if number > 3 and before - value <= 1e-12 * abs(before):
            break
    return best, value


def _towards(data, norm, alpha, start, value, end):
    """The best of a few points on the way to ``end``."""
    if not np.all(np.isfinite(end)):
        return start, value
    for share in (1.0, 0.5, 0.25, 0.06, 0.01, 1e-3):
        point = end if share == 1.0 else start + share * (end - start)
        reached = objective(data, norm, alpha, point)
        if reached < value:
            return point, reached
    return start, value


def _block_sweeps(data, norm: BlockNorm, alpha, w, sweeps: int = 15):
    """Exact minimisation group by group of the quadratic model at ``w``."""
    z = data.predictor(w)
    G = data.curvature(z)
    w = w.copy()
    g = data.Z.T @ data.slopes(z)[0]
    blocks = [np.flatnonzero(norm.labels == k) for k in range(len(norm.l2))]
    blocks = [b[data.spread[b] > 0] for b in blocks]
    for _ in range(sweeps):
        moved = 0.0
        for k, b in enumerate(blocks):
            if not b.size:
                continue
            H = G[np.ix_(b, b)]
            new = _block_minimum(
                H, H @ w[b] - g[b], alpha * norm.l1[b[0]], alpha * norm.l2[k], w[b]
            )
            change = new - w[b]
            if change.any():
                g += G[:, b] @ change
                w[b] = new
                moved = max(moved, np.abs(change * data.spread[b]).max())
        if moved <= 1e-14 * np.abs(w * data.spread).max(initial=0.0):
            break
    return w


def _block_minimum(H, b, l1: float, l2: float, start):
    """Minimiser of ``x H x / 2 - b x + l1 |x|_1 + l2 ||x||``."""
    if len(b) == 1:
        if H[0, 0] <= 0.0:
            return start
        return np.sign(b) * np.maximum(np.abs(b) - l1 - l2, 0.0) / H[0, 0]
    if l1 == 0.0 and l2 == 0.0:
        scale = np.sqrt(np.maximum(np.diag(H), 1e-300))
        return np.linalg.lstsq(H / np.outer(scale, scale), b / scale, rcond=1e-13)[0] / scale
    if np.linalg.norm(np.maximum(np.abs(b) - l1, 0.0)) <= l2:
        return np.zeros_like(b)
    if l1 == 0.0:
        return _group_minimum(H, b, l2)
    x, step = start, 1.0 / np.linalg.eigvalsh(H)[-1]
    for _ in range(30):
        v = x - step * (H @ x - b)
        v = np.sign(v) * np.maximum(np.abs(v) - step * l1, 0.0)
        length = np.linalg.norm(v)
        x = v * max(1.0 - step * l2 / length, 0.0) if length > 0 else v
    return x


def _group_minimum(H, b, l2: float):
    """``x = (H + l2 / r)^-1 b`` where r is its length; ||b|| > l2."""
    values, vectors = np.linalg.eigh(H)
    values, c = np.maximum(values, 0.0), vectors.T @ b

    def excess(log_r):
        r = np.exp(log_r)
        return np.sqrt(np.sum((c / (values * r + l2)) ** 2)) - 1.0

    low, high = -700.0, 650.0
    if excess(low) <= 0 or excess(high) >= 0:
        return np.zeros_like(b)
    r = np.exp(brentq(excess, low, high, xtol=1e-14, rtol=1e-14))
    return vectors @ (c * r / (values * r + l2))


def _sorted_steps(data, norm: SortedNorm, alpha, w, steps: int = 300):
    """Accelerated proximal gradient with restarts; squared loss only."""
    z = data.predictor(w)
    G, g = data.curvature(z), data.Z.T @ data.slopes(z)[0]
    b = G @ w - g
    size = np.linalg.eigvalsh(G)[-1]
    if size <= 0.0:
        return np.zeros_like(w)
    old, point, t = w, w, 1.0
    for _ in range(steps):
        new = norm.prox(point - (G @ point - b) / size, alpha / size)
        if (point - new) @ (new - old) > 0:
            t = 1.0
        following = 0.5 * (1.0 + np.sqrt(1.0 + 4.0 * t * t))
        point = new + (t - 1.0) / following * (new - old)
        old, t = new, following
    return old


def _smooth_step(data, norm, alpha, w):
    """Newton step over what is not zero, its signs (and its ties) kept."""
    w = np.where(data.spread > 0, w, 0.0)
    used = np.flatnonzero(w)
    if not used.size:
        return w
    z = data.predictor(w)
    G, g = data.curvature(z), data.Z.T @ data.slopes(z)[0]
    if isinstance(norm, SortedNorm):
        return _tied_step(norm, alpha, w, G, g)
    G, g = G[np.ix_(used, used)].copy(), g[used] + alpha * norm.l1[used] * np.sign(w[used])
    norms = norm.norms(w)
    for k in np.unique(norm.labels[used]):
        at = np.flatnonzero(norm.labels[used] == k)
        x, length = w[used][at], norms[k]
        g[at] += alpha * norm.l2[k] * x / length
        inside = np.eye(len(at)) / length - np.outer(x, x) / length**3
        G[np.ix_(at, at)] += alpha * norm.l2[k] * inside
    scale = np.sqrt(np.maximum(np.diag(G), 1e-300))
    step = -np.linalg.lstsq(G / np.outer(scale, scale), g / scale, rcond=1e-14)[0] / scale
    new = w.copy()
    new[used] += step
    crossed = (np.sign(new) != np.sign(w)) & (norm.l1 > 0)
    new[crossed] = 0.0
    return new


def _tied_step(norm: SortedNorm, alpha, w, G, g):
    magnitudes, which = np.unique(np.abs(w), return_inverse=True)
    order = np.argsort(-np.abs(w), kind="stable")
    costs = np.zeros(len(magnitudes))
    np.add.at(costs, which[order], alpha * norm.weights)
    E = np.zeros((len(w), len(magnitudes)))
    E[np.arange(len(w)), which] = np.sign(w)
    E, costs, magnitudes = E[:, magnitudes > 0], costs[magnitudes > 0], magnitudes[magnitudes > 0]
    H, slope = E.T @ G @ E, E.T @ g + costs
    scale = np.sqrt(np.maximum(np.diag(H), 1e-300))
    step = np.linalg.lstsq(H / np.outer(scale, scale), slope / scale, rcond=1e-14)[0] / scale
    return w - E @ step
