"""Rankings that empty no tensor."""

from __future__ import annotations

import torch

from sksparse.sparsifiers.masks._keep import keep_largest, ranks_with_quotas


def test_no_tensor_is_emptied_and_each_keeps_its_best() -> None:
    scores = torch.cat([torch.linspace(1, 2, 30), torch.linspace(100, 200, 70)])
    keep = keep_largest(ranks_with_quotas(scores, [30, 70], 20), 20)
    small, large = keep.split([30, 70])
    # three tenths of twenty weights are shared out by size, rounded up
    assert small.sum() == 2
    assert small[-2:].all()
    assert large.sum() == 18
    assert large[-18:].all()


def test_ranks_follow_the_scores_within_a_tensor() -> None:
    scores = torch.randn(50, generator=torch.Generator().manual_seed(0))
    ranks = ranks_with_quotas(scores, [50], 10)
    assert torch.equal(ranks.argsort(), scores.argsort())
    assert ranks_with_quotas(scores, [20, 30], 0).sort().values.tolist() == list(range(1, 51))
