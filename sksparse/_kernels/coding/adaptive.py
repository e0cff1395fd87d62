"""An adaptive binary arithmetic coder of matrices of small numbers, most of them zero.

An entry is said to be zero or not, and then, where it is not, told by the bits of its number,
highest first. What is known when a bit is coded (how many entries of the row, of the column and of
the stretch of the row were zero, what stands beside it) gives several predictions, which are mixed
in the logistic domain by weights that learn as the predictions do. Both sides predict from what is
decoded already, so that no table is stored. All numbers are integers: a stream decodes to the same
bits on every machine.

Probabilities are those of a one, with 16 bits where they are used and with 22 where they adapt.
Logits are in units of 1/256, weights of mixtures in units of 2^-16.
"""

from typing import NamedTuple

import numpy as np

from sksparse._kernels._compiled import njit

# Positions in `registers`: the ends of the interval, what the decoder has read, the next byte.
_LOW, _HIGH, _CODE, _NEXT = 0, 1, 2, 3
_WORD = (1 << 32) - 1
_ONE = 1 << 22
#: Predictions of whether an entry is zero, and of each bit of its number.
_N_ZERO, _N_BIT = 6, 4
#: Nothing is ever surer than this, of 2^16.
_LEAST = 8
#: Observations that a prediction remembers: of one place, and of many.
_FEW, _MANY = 500, 1000
#: Rarer outcomes that stand behind a prediction when it starts, in quarters.
_NEW, _NEW_IN_ROW = 1, 32
#: How fast the weights of mixtures learn, in units of 1/256, and where they start.
_RATE, _WEIGHT = 2, 12000
#: Contexts of what stands beside an entry, of levels of row and column, and of numbers nearby.
_N_NEAR, _N_LEVELS, _N_TREES = 32, 10, 12


class Model(NamedTuple):
    """What is learnt of a stream.

    Parameters
    ----------
    probability, seen : ndarray
        Predictions, and how often each was right or wrong, at most so often as it remembers.
    chosen, logits : ndarray
        Those that are mixed now: where they stand, and their logits.
    weights : ndarray
        Of the mixtures, one after another.
    stretch, squash : ndarray
        Tables of the logits of 2^16 probabilities, and of the probabilities of 6145 logits.
    """

    probability: np.ndarray
    seen: np.ndarray
    chosen: np.ndarray
    logits: np.ndarray
    weights: np.ndarray
    stretch: np.ndarray
    squash: np.ndarray


def model_size(n_rows, n_columns, bits, block):
    """How many predictions there are for a matrix."""
    of_places = 1 + n_rows + n_columns + (n_columns + block - 1) // block
    return of_places + _N_NEAR + _N_LEVELS * _N_LEVELS + (_N_TREES << bits)


def start_weights(bits):
    """The weights of all mixtures as they start."""
    return np.full(_N_ZERO + (_N_BIT << bits), _WEIGHT, dtype=np.int64)


@njit(cache=True, inner=True)
def _predict(model, n, base):
    """The mixture of the first chosen predictions."""
    total = 0
    for k in range(n):
        model.logits[k] = model.stretch[model.probability[model.chosen[k]] >> 6]
        total += model.weights[base + k] * model.logits[k]
    logit = min(max(total >> 16, -3072), 3072)
    return min(max(model.squash[logit + 3072], _LEAST), (1 << 16) - _LEAST)


@njit(cache=True, inner=True)
def _learn(model, bit, p, n, base, many):
    """Move predictions and weights towards a bit; from the place `many` on they remember long."""
    error = (bit << 16) - p
    for k in range(n):
        model.weights[base + k] += (model.logits[k] * error * _RATE) >> 16
        at = model.chosen[k]
        n_seen = model.seen[at]
        step = (((bit << 22) - model.probability[at]) * (131072 // (2 * n_seen + 3))) >> 16
        model.probability[at] = min(max(model.probability[at] + step, 64), _ONE - 64)
        if n_seen < (_MANY if at == 0 or at >= many else _FEW):
            model.seen[at] = n_seen + 1


@njit(cache=True, inner=True)
def _encode(bit, p, registers, data):
    low, high = registers[_LOW], registers[_HIGH]
    middle = low + (((high - low) * p) >> 16)
    if bit:
        high = middle
    else:
        low = middle + 1
    while (low ^ high) >> 24 == 0:
        data[registers[_NEXT]] = high >> 24
        registers[_NEXT] += 1
        low = (low << 8) & _WORD
        high = ((high << 8) & _WORD) | 255
    registers[_LOW], registers[_HIGH] = low, high


@njit(cache=True, inner=True)
def _next_byte(registers, data):
    """The next byte; beyond the end stand zeros."""
    at = registers[_NEXT]
    registers[_NEXT] = at + 1
    return np.int64(data[at]) if at < len(data) else 0


@njit(cache=True, inner=True)
def _decode(p, registers, data):
    low, high = registers[_LOW], registers[_HIGH]
    middle = low + (((high - low) * p) >> 16)
    bit = 1 if registers[_CODE] <= middle else 0
    if bit:
        high = middle
    else:
        low = middle + 1
    while (low ^ high) >> 24 == 0:
        low = (low << 8) & _WORD
        high = ((high << 8) & _WORD) | 255
        registers[_CODE] = ((registers[_CODE] << 8) & _WORD) | _next_byte(registers, data)
    registers[_LOW], registers[_HIGH] = low, high
    return bit


@njit(cache=True, inner=True)
def _code(model, bit, n, base, many, registers, data, decoding):
    """Code a bit, or decode it; the bit."""
    p = _predict(model, n, base)
    if decoding:
        bit = _decode(p, registers, data)
    else:
        _encode(bit, p, registers, data)
    _learn(model, bit, p, n, base, many)
    return bit


@njit(cache=True, inner=True)
def _start(model, at, parent, strength):
    """Let a prediction that was never used start from another one."""
    if model.seen[at] == 0:
        p = model.probability[parent]
        model.probability[at] = p
        n = strength * (_ONE // max(min(p, _ONE - p), 1)) // 4
        model.seen[at] = min(max(n, 1), 255)


@njit(cache=True, inner=True)
def _level(p):
    """A probability by powers of two."""
    level = 0
    while level < _N_LEVELS - 1 and p < (_ONE >> 1) >> level:
        level += 1
    return level


@njit(cache=True, inner=True)
def _side(label, size):
    """Whether there is no number, one of the lower half, or one of the upper."""
    return 0 if label == 0 else (1 if label <= size >> 1 else 2)


@njit(cache=True, inner=True)
def _code_number(model, label, sides, bits, first, base, registers, data, decoding):
    """Code the bits of a number, or decode them; the number."""
    size, node = 1 << bits, 1
    for k in range(bits):
        model.chosen[0] = first + node
        for context in range(3):
            model.chosen[context + 1] = first + sides[context] * size + node
            _start(model, model.chosen[context + 1], first + node, _NEW)
        bit = ((label - 1) >> (bits - 1 - k)) & 1
        at = base + node * _N_BIT
        node = 2 * node + _code(model, bit, _N_BIT, at, first, registers, data, decoding)
    return node - size + 1


@njit(cache=True)
def code_matrix(labels, data, decoding, bits, block, registers, model, sides, last):
    """Code a matrix, or decode it.

    Parameters
    ----------
    labels : ndarray of shape (n_rows, n_columns)
        Zeros, and numbers from 1 to ``2 ** bits``; filled in where it is decoded.
    data : ndarray of bytes
        The stream, with room for all of it where it is coded.
    decoding : bool
        Whether to decode.
    bits : int
        Bits of each number.
    block : int
        Columns that belong together, such as those of one kernel.
    registers : ndarray of shape (4,)
        The state of the coder, zeros at first.
    model : Model
        With room for ``model_size`` predictions.
    sides : ndarray of shape (3,)
        Work space.
    last : ndarray of shape (n_columns,)
        Work space: the last number of each column that was not zero, zeros at first.

    Returns
    -------
    n_bytes : int
        Bytes written, or read.
    """
    n_rows, n_columns = labels.shape
    size = 1 << bits
    # predictions: one for all, of rows, of columns, of the blocks of a row, and of contexts
    first_column = 1 + n_rows
    first_block = first_column + n_columns
    n_blocks = (n_columns + block - 1) // block
    first_near = first_block + n_blocks
    first_pair = first_near + _N_NEAR
    first_tree = first_pair + _N_LEVELS * _N_LEVELS
    registers[_HIGH] = _WORD
    if decoding:
        for _ in range(4):
            registers[_CODE] = (registers[_CODE] << 8) | _next_byte(registers, data)
    for i in range(n_rows):
        row, left, before, last_in_row = 1 + i, 0, 0, 0
        _start(model, row, 0, _NEW)
        for b in range(n_blocks):
            model.seen[first_block + b] = 0
        for j in range(n_columns):
            column, within = first_column + j, first_block + j // block
            _start(model, column, 0, _NEW)
            _start(model, within, row, _NEW_IN_ROW)
            near = (left != 0) + 2 * (before != 0)
            if i > 0:
                near += 4 * (labels[i - 1, j] != 0) + 8 * (j > 0 and labels[i - 1, j - 1] != 0)
                near += 16 * (i > 1 and labels[i - 2, j] != 0)
            row_level, column_level = (
                _level(model.probability[row]),
                _level(model.probability[column]),
            )
            model.chosen[0], model.chosen[1], model.chosen[2] = 0, row, column
            model.chosen[3], model.chosen[4] = within, first_near + near
            model.chosen[5] = first_pair + _N_LEVELS * row_level + column_level
            bit = 1 if not decoding and labels[i, j] != 0 else 0
            bit = _code(model, bit, _N_ZERO, 0, first_near, registers, data, decoding)
            before, left = left, 0
            if bit:
                sides[0] = 1 + _side(last[j], size)
                sides[1] = 4 + _side(last_in_row, size)
                sides[2] = 7 + column_level // 2
                left = _code_number(
                    model, labels[i, j], sides, bits, first_tree, _N_ZERO, registers, data, decoding
                )
                labels[i, j] = last[j] = last_in_row = left
    if not decoding and registers[_LOW] > 0:
        data[registers[_NEXT]] = (registers[_LOW] >> 24) + 1
        registers[_NEXT] += 1
    return registers[_NEXT]
