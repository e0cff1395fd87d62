"""Small convex problems of every loss and block penalty, and a plain method that solves them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from sksparse.losses import Cox, Huber, Logistic, Loss, Multinomial, Poisson, Squared
from sksparse.penalties import BlockPenalty, Blocks, GroupL2, SparseGroup
from sksparse.solvers import Design, Problem

N, P = 40, 12
BLOCKS = Blocks.from_labels(np.arange(P) // 3)
FORCED = np.array([1.0, 0.0, 1.7, 1.2])
PENALTIES: dict[str, Any] = {
    "group": lambda **more: GroupL2(BLOCKS, np.full(4, 3**0.5), **more),
    "group, one free": lambda **more: GroupL2(BLOCKS, FORCED, **more),
    "sparse group, one free": lambda **more: SparseGroup(BLOCKS, FORCED, 0.5, **more),
}
FORMS: dict[str, dict[str, Any]] = {
    "plain": {},
    "ridge": {"ridge": 0.05},
    "tiny ridge": {"ridge": 1e-13},
    "positive": {"lower": np.zeros(P)},
    "box and ridge": {"lower": np.full(P, -0.1), "upper": np.full(P, 0.15), "ridge": 0.01},
}
KINDS = ["squared", "outputs", "logistic", "multinomial", "poisson", "huber", "cox"]


def make_loss(kind: str, X: np.ndarray, rng: np.random.Generator) -> Loss:
    weights = rng.random(N)
    weights[:2] = 0.0
    weights /= weights.sum()
    score = X[:, :5] @ np.array([1.0, -0.5, 0.5, 1.0, -0.7]) / 2.0
    if kind == "multinomial":
        noise = rng.gumbel(size=(N, 3))
        return Multinomial(np.argmax(np.outer(score, [1.0, 0.0, -0.5]) + noise, axis=1), weights)
    if kind == "cox":
        times = np.ceil(4.0 * rng.exponential(size=N) * np.exp(-score))
        y = np.column_stack((times, rng.random(N) < 0.7))
        return Cox(y.astype(float), weights, "efron")
    noise = rng.standard_normal(N)
    return {
        "squared": lambda: Squared(score + 0.5 * noise, weights),
        "outputs": lambda: Squared(np.outer(score, [1.0, -0.5, 0.0]) + noise[:, None], weights),
        "logistic": lambda: Logistic((score + rng.logistic(size=N) > 0.0).astype(float), weights),
        "poisson": lambda: Poisson(rng.poisson(np.exp(0.5 * score)).astype(float), weights),
        "huber": lambda: Huber(score + noise**3, weights, 0.7),
    }[kind]()


def proximal_gradient(
    problem: Problem, X: np.ndarray, steps: int = 20_000
) -> tuple[float, np.ndarray, Any]:
    """Least objective found and where; step sizes by trial, a column of ones for the intercept."""
    loss, penalty, several = problem.loss, problem.penalty, problem.loss.n_outputs > 1
    p = X.shape[1]
    A = np.c_[X - loss.weights @ X, np.ones(len(X))] if problem.fit_intercept else X
    w = np.zeros((loss.n_outputs, A.shape[1]))

    def predict(w: np.ndarray) -> np.ndarray:
        return A @ w.T if several else A @ w[0]

    def smooth(w: np.ndarray) -> float:
        return loss.value(predict(w)) + 0.5 * penalty.ridge * float((w[:, :p] ** 2).sum())

    def slope(w: np.ndarray) -> np.ndarray:
        gradient = (loss.gradient(predict(w)).T @ A).reshape(w.shape)
        gradient[:, :p] += penalty.ridge * w[:, :p]
        return gradient

    def prox(v: np.ndarray, step: float) -> np.ndarray:
        w = v.copy()
        own = v[:, :p] if several else v[0, :p]
        w[:, :p] = penalty.prox(own, step * problem.alpha)
        return w

    point, t, step = w, 1.0, 1.0
    for _ in range(steps):
        gradient, value = slope(point), smooth(point)
        while True:
            new = prox(point - step * gradient, step)
            move = new - point
            bound = value + float(np.sum(gradient * move)) + float(np.sum(move**2)) / (2.0 * step)
            if smooth(new) <= bound + 1e-15 * abs(value):
                break
            step *= 0.5
        if np.sum((point - new) * (new - w)) > 0.0:
            t, point = 1.0, w
            continue
        following = 0.5 * (1.0 + np.sqrt(1.0 + 4.0 * t * t))
        done = np.abs(new - w).max() < 1e-13
        point, w, t = new + (t - 1.0) / following * (new - w), new, following
        if done:
            break
    coef = w[:, :p] if several else w[0, :p]
    levels = w[:, p] - w[:, :p] @ (loss.weights @ X) if problem.fit_intercept else 0.0 * w[:, 0]
    least = loss.value(predict(w)) + penalty.cost(coef, problem.alpha)
    return least, coef, levels if several else float(levels[0])


def make_problem(
    kind: str, penalty: BlockPenalty, share: float, rng: np.random.Generator, intercept: bool
) -> tuple[Problem, np.ndarray]:
    X = rng.standard_normal((N, P)) + 0.5 * rng.standard_normal((N, 1)) + 0.3
    problem = Problem(Design(X), make_loss(kind, X, rng), penalty, 1.0, intercept)
    strongest = penalty.dual_norm(problem.null_gradient)
    return replace(problem, alpha=share * strongest), X
