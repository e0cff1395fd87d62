"""Recurrent layers of several widths, one upon the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence


class RecurrentStack(nn.Module):
    """Recurrent layers, one upon the other, each of a width of its own.

    What ``nn.LSTM``, ``nn.GRU`` and ``nn.RNN`` with several layers or directions are for a single
    width: ``compact`` makes it where their layers end up with different numbers of units. It is
    called in the same way.

    Parameters
    ----------
    kind : {torch.nn.LSTM, torch.nn.GRU, torch.nn.RNN}
        The type of the layers.
    input_size : int
        Number of features.
    hidden_sizes : sequence of int, or of tuple of (int, int)
        The width of each layer; two where it runs in both directions, forwards first.
    batch_first : bool, default=False
        Whether inputs have the shape (n_rows, n_steps, n_features), not (n_steps, n_rows,
        n_features).
    dropout : float, default=0.0
        Share of the outputs of all layers but the last that is zeroed in training.
    **options : object
        Further options of all layers, such as ``bias`` or ``nonlinearity``.

    Attributes
    ----------
    layers : torch.nn.ModuleList
        The layers that run forwards, each of the type `kind`.
    reverse : torch.nn.ModuleList
        Those that run backwards; empty where there are none.
    input_size, num_layers, bidirectional, batch_first : object
        As for the layers of torch.

    Notes
    -----
    The call ``output, state = stack(input, state)`` takes and returns the states of all layers
    (for an LSTM a pair of them) as tuples with a tensor of shape (n_rows, width) for each layer and
    direction, in the order of torch: ``state[-1]`` is what it is for the layers of
    torch, though states of different widths cannot stand in one tensor. Packed sequences are not
    taken.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from sksparse.compression import RecurrentStack
    >>> stack = RecurrentStack(nn.GRU, 8, [6, 3], batch_first=True)
    >>> output, state = stack(torch.randn(2, 5, 8))
    >>> output.shape, state[0].shape, state[1].shape
    (torch.Size([2, 5, 3]), torch.Size([2, 6]), torch.Size([2, 3]))
    """

    def __init__(
        self,
        kind: type[nn.RNNBase],
        input_size: int,
        hidden_sizes: Sequence[int | tuple[int, int]],
        *,
        batch_first: bool = False,
        dropout: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__()
        if kind not in (nn.LSTM, nn.GRU, nn.RNN):
            raise ValueError(f"kind={kind!r} must be torch.nn.LSTM, torch.nn.GRU or torch.nn.RNN.")
        sizes = [(n,) if isinstance(n, int) else tuple(n) for n in hidden_sizes]
        if not sizes or len({len(both) for both in sizes}) > 1 or len(sizes[0]) > 2:
            raise ValueError(
                f"hidden_sizes={hidden_sizes!r} must name one width for each layer, or two for "
                "each layer that runs in both directions."
            )
        self.is_lstm = kind is nn.LSTM
        self.input_size = input_size
        self.num_layers = len(sizes)
        self.bidirectional = len(sizes[0]) == 2
        self.batch_first = batch_first
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList()
        self.reverse = nn.ModuleList()
        for both in sizes:
            directions = zip((self.layers, self.reverse), both, strict=False)
            for layers, width in directions:
                layers.append(kind(input_size, width, batch_first=batch_first, **options))
            input_size = sum(both)

    @classmethod
    def of(cls, layer: nn.RNNBase) -> RecurrentStack:
        """The same layers, with the same parameters, apart from each other.

        Parameters
        ----------
        layer : torch.nn.LSTM, torch.nn.GRU or torch.nn.RNN
            Without projections.

        Returns
        -------
        stack : RecurrentStack
            Its parameters are those of `layer`, not copies.
        """
        n = layer.hidden_size
        options: dict[str, Any] = {"bias": layer.bias, "device": "meta"}
        if isinstance(layer, nn.RNN):
            options["nonlinearity"] = layer.nonlinearity
        stack = cls(
            type(layer),
            layer.input_size,
            [(n, n) if layer.bidirectional else n] * layer.num_layers,
            batch_first=layer.batch_first,
            dropout=layer.dropout,
            **options,
        )
        for suffix, layers in (("", stack.layers), ("_reverse", stack.reverse)):
            for number, single in enumerate(layers):
                for name in dict(single.named_parameters()):
                    parameter = getattr(layer, f"{name.removesuffix('0')}{number}{suffix}")
                    setattr(single, name, parameter)
        return stack.train(layer.training)

    def forward(self, input: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Outputs of the last layer at all steps, and the last states of all layers.

        Parameters
        ----------
        input : torch.Tensor of shape (n_steps, n_rows, n_features)
            Or with rows first, for ``batch_first``; a single sequence may stand without rows.
        state : tuple, default=None
            The states to start from, as they are returned; zeros by default.

        Returns
        -------
        output : torch.Tensor of shape (n_steps, n_rows, width)
            Of both directions side by side.
        state : tuple
            See above.
        """
        if isinstance(input, PackedSequence):
            raise ValueError(
                "RecurrentStack takes no packed sequences; give a tensor, for example of "
                "torch.nn.utils.rnn.pad_packed_sequence."
            )
        steps = 1 if self.batch_first and input.dim() == 3 else 0
        states: list[Any] = []
        for number, layer in enumerate(self.layers):
            output, last = layer(input, self._start(state, len(states)))
            states.append(last)
            if self.bidirectional:
                start = self._start(state, len(states))
                backwards, last = self.reverse[number](input.flip(steps), start)
                states.append(last)
                output = torch.cat((output, backwards.flip(steps)), -1)
            input = self.dropout(output) if number + 1 < len(self.layers) else output
        if self.is_lstm:
            return input, tuple(tuple(s[k].squeeze(0) for s in states) for k in range(2))
        return input, tuple(s.squeeze(0) for s in states)

    def _start(self, state: Any, number: int) -> Any:
        """The state from which one layer starts, as torch takes it."""
        if state is None:
            return None
        if self.is_lstm:
            return state[0][number].unsqueeze(0), state[1][number].unsqueeze(0)
        return state[number].unsqueeze(0)
