"""The lean Adam against torch's."""

from __future__ import annotations

import torch
from torch import nn

from sksparse.neural_network.training._adam import FusedAdam


def follow(optimizer: torch.optim.Optimizer, tensors: list[nn.Parameter], n_steps: int) -> None:
    for step in range(n_steps):
        for i, p in enumerate(tensors[:2]):
            p.grad = torch.cos(p.detach() * (step + 1 + i))
        optimizer.param_groups[0]["lr"] = 0.1 / (step + 1)
        optimizer.step()


def make_tensors() -> list[nn.Parameter]:
    # the third never has a gradient
    return [nn.Parameter(torch.arange(float(n))) for n in (5, 3, 2)]


def test_steps_are_those_of_torch() -> None:
    ours, theirs = make_tensors(), make_tensors()
    lean = FusedAdam(ours, lr=0.1)
    plain = torch.optim.Adam(theirs, lr=0.1, fused=True)
    follow(lean, ours, 5)
    follow(plain, theirs, 5)
    for a, b in zip(ours, theirs, strict=True):
        assert torch.equal(a, b)
    again = FusedAdam(ours, lr=0.1)
    again.load_state_dict(lean.state_dict())
    follow(again, ours, 3)
    follow(plain, theirs, 3)
    for a, b in zip(ours, theirs, strict=True):
        assert torch.equal(a, b)


def test_a_closure_is_evaluated() -> None:
    (p, *_) = make_tensors()
    optimizer = FusedAdam([p], lr=0.1)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = p.square().sum()
        loss.backward()
        return loss

    before = [float(optimizer.step(closure).detach()) for _ in range(3)]
    assert before == sorted(before, reverse=True)
