"""A module without its dead parts, and what is left of its sizes."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from sksparse._typing import Indices


@dataclass(frozen=True, repr=False)
class CompactResult:
    """What ``compact`` returns.

    Parameters
    ----------
    module : torch.nn.Module
        The small module.
    kept_inputs : ndarray of shape (n_kept_inputs,)
        Which features the small module takes, as positions on the axis of features that the
        first layer reads: all of them unless inputs were dropped.
    n_inputs : int
        Number of features of the dense module.
    widths : dict of str to tuple of (int, int)
        For each layer of hidden units its units left and those of the dense module; units that
        several layers write (residual connections) count for the first of them. Zero units are
        left of a layer that was removed with its branch.
    parameters : tuple of (int, int)
        Number of parameters left, and of the dense module.
    multiply_adds : tuple of (float, float)
        Multiplications by weights for one row, left and of the dense module.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from sksparse.compression import compact
    >>> module = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 2))
    >>> with torch.no_grad():
    ...     _ = module[2].weight[:, :4].zero_()
    >>> compact(module, torch.randn(2, 8))
    layer           units      of
    0                   2       6
    parameters         24      68
    multiply-adds      20      60
    inputs              8       8
    """

    module: nn.Module
    kept_inputs: Indices
    n_inputs: int
    widths: dict[str, tuple[int, int]]
    parameters: tuple[int, int]
    multiply_adds: tuple[float, float]

    @property
    def flops(self) -> tuple[float, float]:
        """Multiplications and additions for one row, left and of the dense module."""
        return 2 * self.multiply_adds[0], 2 * self.multiply_adds[1]

    def __repr__(self) -> str:
        rows = [("layer", "units", "of")]
        rows += [(name, str(kept), str(dense)) for name, (kept, dense) in self.widths.items()]
        for name, (left, dense) in (
            ("parameters", self.parameters),
            ("multiply-adds", self.multiply_adds),
        ):
            rows.append((name, f"{left:.0f}", f"{dense:.0f}"))
        rows += [("inputs", str(len(self.kept_inputs)), str(self.n_inputs))]
        sizes = [max(map(len, column)) for column in zip(*rows, strict=True)]
        first, second, third = sizes[0], max(sizes[1], 7), max(sizes[2], 7)
        return "\n".join(f"{a:<{first}} {b:>{second}} {c:>{third}}" for a, b, c in rows)
