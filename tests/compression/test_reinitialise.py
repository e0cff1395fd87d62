"""The same layers with fresh weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sksparse.compression import RecurrentStack, Shift, reinitialise


def test_each_layer_draws_as_when_it_was_made() -> None:
    def build() -> nn.Module:
        return nn.Sequential(
            *(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.PReLU(), nn.Flatten(), nn.Linear(12, 4)),
            *(nn.LayerNorm(4), nn.MultiheadAttention(4, 2), RecurrentStack(nn.GRU, 4, [3, 2])),
            *(nn.Embedding(5, 3), Shift(torch.ones(4))),
        )

    module = build()
    with torch.no_grad():
        for tensor in [*module.parameters(), module[1].running_mean]:
            tensor.fill_(7.0)
    state = torch.random.get_rng_state()
    fresh, again, other = (reinitialise(module, seed) for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), state)
    reference = build().state_dict()
    for name, tensor in fresh.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name])
        assert (module.state_dict()[name] == 7.0).all() or "running" in name or "num" in name
        if name == "9.values":
            assert not tensor.any()
        elif tensor.numel() > 5 and reference[name].std() > 0:
            assert not torch.equal(tensor, other.state_dict()[name])
            assert 0.3 < float(tensor.std() / reference[name].std()) < 3
        else:
            assert tensor.shape == reference[name].shape
            assert not (tensor == 7.0).any()


def test_parts_that_cannot_draw_are_named() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(3))

    with pytest.raises(ValueError, match=r"The part '1' of the module, a Own, has parameters"):
        reinitialise(nn.Sequential(nn.Linear(2, 3), Own()), 0)
