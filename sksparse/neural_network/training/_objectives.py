"""What a network is trained for: losses of a batch, scores, and the targets of a teacher.

A criterion takes predictions, targets and weights (None where all are 1) and returns the
mean over the batch of weight times loss. Targets are one tensor, in which those of the
teacher, where there is one, follow the true ones.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class WeightedCrossEntropy(nn.Module):
    """The log loss of logits."""

    def forward(self, logits: Tensor, y: Tensor, weight: Tensor | None) -> Tensor:
        if weight is None:
            return F.cross_entropy(logits, y)
        return (F.cross_entropy(logits, y, reduction="none") * weight).mean()


class WeightedSquaredError(nn.Module):
    """Half the squared error, in the mean over the outputs."""

    def forward(self, output: Tensor, y: Tensor, weight: Tensor | None) -> Tensor:
        return _weighted_mean(0.5 * (output - y).square().mean(dim=1), weight)


class WeightedBinaryCrossEntropy(nn.Module):
    """The log loss of one logit for each label, in the mean over the labels."""

    def forward(self, logits: Tensor, y: Tensor, weight: Tensor | None) -> Tensor:
        loss = F.binary_cross_entropy_with_logits(logits, y, reduction="none")
        return _weighted_mean(loss.mean(dim=1), weight)


class DistilledBinaryCrossEntropy(nn.Module):
    """``DistilledCrossEntropy`` of each label, in the mean over the labels.

    Parameters
    ----------
    temperature : float
        The temperature T.
    share : float
        The share of the teacher.
    """

    def __init__(self, temperature: float, share: float) -> None:
        super().__init__()
        self.temperature = temperature
        self.share = share

    def forward(self, logits: Tensor, y: Tensor, weight: Tensor | None) -> Tensor:
        truth, taught = y.chunk(2, dim=1)
        hard = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
        soft = F.binary_cross_entropy_with_logits(
            logits / self.temperature, taught, reduction="none"
        )
        divergence = soft - torch.special.entr(taught) - torch.special.entr(1 - taught)
        loss = (1 - self.share) * hard + self.share * self.temperature**2 * divergence
        return _weighted_mean(loss.mean(dim=1), weight)


class DistilledCrossEntropy(nn.Module):
    """Log loss and divergence from a teacher's probabilities at a temperature.

    ``(1 - a) CE(y, softmax(z)) + a T^2 KL(q, softmax(z / T))``; the factor keeps the
    gradients of the second term, which shrink like ``1 / T^2``, at the scale of the first.

    Parameters
    ----------
    temperature : float
        The temperature T.
    share : float
        The share a of the teacher.
    """

    def __init__(self, temperature: float, share: float) -> None:
        super().__init__()
        self.temperature = temperature
        self.share = share

    def forward(self, logits: Tensor, y: Tensor, weight: Tensor | None) -> Tensor:
        labels, teacher_targets = y[:, 0].long(), y[:, 1:]
        hard = F.cross_entropy(logits, labels, reduction="none")
        student = F.log_softmax(logits / self.temperature, dim=1)
        soft = F.kl_div(student, teacher_targets, reduction="none").sum(dim=1)
        loss = (1 - self.share) * hard + self.share * self.temperature**2 * soft
        return _weighted_mean(loss, weight)


class DistilledSquaredError(nn.Module):
    """Half the squared distance from the targets and from a teacher's predictions.

    Parameters
    ----------
    share : float
        The share of the teacher.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, output: Tensor, y: Tensor, weight: Tensor | None) -> Tensor:
        truth, teacher_targets = y.chunk(2, dim=1)
        loss = (1 - self.share) * (output - truth).square() + self.share * (
            output - teacher_targets
        ).square()
        return _weighted_mean(0.5 * loss.mean(dim=1), weight)


def weighted_accuracy(logits: Tensor, y: Tensor, weight: Tensor) -> float:
    """The share of the weight of rows whose largest logit is that of their class."""
    labels = y if y.ndim == 1 else y[:, 0]
    hits = (logits.argmax(dim=1) == labels).to(weight.dtype)
    return float((hits * weight).sum() / weight.sum())


def weighted_subset_accuracy(logits: Tensor, y: Tensor, weight: Tensor) -> float:
    """The share of the weight of rows of which every label is right."""
    hits = ((logits > 0) == (y[:, : logits.shape[1]] > 0)).all(dim=1).to(weight.dtype)
    return float((hits * weight).sum() / weight.sum())


def weighted_r2(output: Tensor, y: Tensor, weight: Tensor) -> float:
    """The mean over the outputs of the share of variance that is explained.

    Targets are standardised: where they do not vary in the rows that are scored, as in a single
    row, their variance is 1.
    """
    truth, weight = y[:, : output.shape[1]], weight[:, None]
    centre = (weight * truth).sum(dim=0) / weight.sum()
    residual = (weight * (truth - output).square()).sum(dim=0)
    total = (weight * (truth - centre).square()).sum(dim=0)
    varies = total > torch.finfo(total.dtype).eps * weight.sum()
    return float((1 - residual / torch.where(varies, total, weight.sum())).mean())


def soften(probabilities: Tensor, temperature: float) -> Tensor:
    """The probabilities at a temperature, from those at temperature 1."""
    floor = torch.finfo(probabilities.dtype).tiny
    return torch.softmax(probabilities.clamp(min=floor).log() / temperature, dim=1)


def soften_labels(probabilities: Tensor, temperature: float) -> Tensor:
    """The same for the probabilities of labels that do not exclude each other."""
    return torch.sigmoid(torch.logit(probabilities, eps=1e-12) / temperature)


def _weighted_mean(loss: Tensor, weight: Tensor | None) -> Tensor:
    return loss.mean() if weight is None else (loss * weight).mean()
