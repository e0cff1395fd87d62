"""What a network computes beside products, on one buffer, for one or many rows side by side.

A value is a run of slots of the buffer, each of ``lanes`` numbers: those of one unit for so many
rows. The caller checks all that the table says: nothing is checked here.
"""

import math

import numpy as np

from sksparse._kernels._compiled import njit

#: Columns of the table of steps. Slots: where what is read starts, a second one, what is made.
KIND, SOURCE, OTHER, TARGET = 0, 1, 2, 3
#: Slots or channels; size of a window or a channel; where factors, shifts and indices start.
UNITS, SIZE, WEIGHTS, BIASES, INDICES = 4, 5, 6, 7, 8
#: Positions of a map; slots from one to the next, down and right, and from channel to channel.
HEIGHT, WIDTH, DOWN, RIGHT, CHANNEL = 9, 10, 11, 12, 13
#: The function, and where its two numbers stand among the weights.
FUNCTION, NUMBERS = 14, 15
COLUMNS = 16

#: Kinds of steps.
GATHER, LARGEST, MEAN, SCALE, SUM, APPLY = 0, 1, 2, 3, 4, 5

#: Functions.
CLIP, LEAKY_RELU, ELU, GELU, GELU_TANH, SILU, SIGMOID, TANH, SOFTPLUS = 0, 1, 2, 3, 4, 5, 6, 7, 8

#: In the place of an index: a constant, the first number.
NOWHERE = np.uint32(2**32 - 1)

# Constants of the functions in single precision.
_ONE, _HALF, _TWO = np.float32(1.0), np.float32(0.5), np.float32(2.0)
_MOST, _PER_OCTAVE = np.float32(88.0), np.float32(1.4426950408889634)
# added to a number it leaves the nearest whole number in the last bits
_ROUNDER = np.float32(12582912.0)
# the logarithm of two, in two parts of which the first has few digits
_OCTAVE, _REST = np.float32(0.693359375), np.float32(-2.12194440e-4)
_SERIES = tuple(np.float32(1.0 / math.factorial(k)) for k in range(8))
_SHIFT, _EXPONENT_OF_ONE = np.int32(23), np.int32(0x3F800000)
_ERF_SCALE = np.float32(0.3275911)
_ERF = tuple(map(np.float32, (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)))
_ROOT_HALF, _ROOT_TWO_BY_PI = np.float32(math.sqrt(0.5)), np.float32(math.sqrt(2.0 / math.pi))
_CUBE = np.float32(0.044715)


@njit(cache=True, inner=True, inline="always", error_model="numpy")
def _exp(x):
    """The exponential in single precision, by a series within half an octave around zero."""
    x = min(max(x, -_MOST), _MOST)
    shifted = x * _PER_OCTAVE + _ROUNDER
    octaves = shifted - _ROUNDER
    r = x - octaves * _OCTAVE - octaves * _REST
    total = _SERIES[7]
    total = total * r + _SERIES[6]
    total = total * r + _SERIES[5]
    total = total * r + _SERIES[4]
    total = total * r + _SERIES[3]
    total = total * r + _SERIES[2]
    total = total * r + _ONE
    total = total * r + _ONE
    power = (np.float32(shifted).view(np.int32) << _SHIFT) + _EXPONENT_OF_ONE
    return total * np.int32(power).view(np.float32)


@njit(cache=True, inner=True, inline="always", error_model="numpy")
def _tanh(x):
    return _ONE - _TWO / (_exp(_TWO * x) + _ONE)


@njit(cache=True, inner=True, inline="always", error_model="numpy")
def _erf(x):
    """Formula 7.1.26 of Abramowitz and Stegun, within 2e-7."""
    size = abs(x)
    t = _ONE / (_ONE + _ERF_SCALE * size)
    total = ((((_ERF[4] * t + _ERF[3]) * t + _ERF[2]) * t + _ERF[1]) * t + _ERF[0]) * t
    found = _ONE - total * _exp(-size * size)
    return found if x > _HALF - _HALF else -found


@njit(cache=True, inner=True)
def _gather(step, buffer, weights, indices, lanes):
    """Slots from anywhere, or a constant: selections, borders, values side by side."""
    for j in range(step[UNITS]):
        pick, target = indices[step[INDICES] + j], (step[TARGET] + j) * lanes
        out = buffer[target : target + lanes]
        if pick == NOWHERE:
            for r in range(lanes):
                out[r] = weights[step[NUMBERS]]
        elif lanes == 1:
            out[0] = buffer[step[SOURCE] + pick]
        else:
            source = (step[SOURCE] + pick) * lanes
            row = buffer[source : source + lanes]
            for r in range(lanes):
                out[r] = row[r]


@njit(cache=True, inner=True)
def _pool(step, buffer, weights, indices, lanes):
    """The largest, or the sum times a number, of what stands in each window of each channel."""
    picks, target = indices[step[INDICES] : step[INDICES] + step[SIZE]], step[TARGET] * lanes
    is_mean, share = step[KIND] == MEAN, _ONE
    for c in range(step[UNITS]):
        for y in range(step[HEIGHT]):
            for x in range(step[WIDTH]):
                corner = step[SOURCE] + c * step[CHANNEL] + y * step[DOWN] + x * step[RIGHT]
                if is_mean:
                    share = weights[step[WEIGHTS] + y * step[WIDTH] + x]
                if lanes == 1:
                    buffer[target] = _of_window(buffer, corner, picks, is_mean) * share
                else:
                    out = buffer[target : target + lanes]
                    _of_windows(buffer, corner, picks, is_mean, out)
                    for r in range(lanes):
                        out[r] *= share
                target += lanes


@njit(cache=True, inner=True)
def _of_window(buffer, corner, picks, is_mean):
    """The largest or the sum, for a single row."""
    total = buffer[corner + picks[0]]
    for k in range(1, picks.shape[0]):
        x = buffer[corner + picks[k]]
        if is_mean:
            total += x
        elif x > total or x != x:
            total = x
    return total


@njit(cache=True, inner=True)
def _of_windows(buffer, corner, picks, is_mean, out):
    """The largest or the sum, for many rows."""
    lanes = out.shape[0]
    for k in range(picks.shape[0]):
        first = (corner + picks[k]) * lanes
        row = buffer[first : first + lanes]
        if k == 0:
            for r in range(lanes):
                out[r] = row[r]
        elif is_mean:
            for r in range(lanes):
                out[r] += row[r]
        else:
            for r in range(lanes):
                out[r] = out[r] if out[r] > row[r] or out[r] != out[r] else row[r]


@njit(cache=True, inner=True)
def _scale(step, buffer, weights, lanes):
    """A factor and a shift for each channel."""
    size = step[SIZE] * lanes
    for c in range(step[UNITS]):
        factor, shift = weights[step[WEIGHTS] + c], weights[step[BIASES] + c]
        row = buffer[step[SOURCE] * lanes + c * size : step[SOURCE] * lanes + (c + 1) * size]
        out = buffer[step[TARGET] * lanes + c * size : step[TARGET] * lanes + (c + 1) * size]
        for r in range(size):
            out[r] = row[r] * factor + shift


# divisions are not checked: no loop with a check is vectorised
@njit(cache=True, inner=True, error_model="numpy")
def _apply(code, row, out, a, b):
    """A function of each number."""
    n = row.shape[0]
    if code == CLIP:
        for r in range(n):
            x = a if row[r] < a else row[r]
            out[r] = b if x > b else x
    elif code == LEAKY_RELU:
        for r in range(n):
            out[r] = row[r] if row[r] > 0.0 else a * row[r]
    elif code == ELU:
        for r in range(n):
            out[r] = row[r] if row[r] > 0.0 else a * (_exp(row[r]) - _ONE)
    elif code == GELU:
        for r in range(n):
            out[r] = _HALF * row[r] * (_ONE + _erf(row[r] * _ROOT_HALF))
    elif code == GELU_TANH:
        for r in range(n):
            x = row[r]
            out[r] = _HALF * x * (_ONE + _tanh(_ROOT_TWO_BY_PI * (x + _CUBE * x * x * x)))
    elif code == SILU:
        for r in range(n):
            out[r] = row[r] / (_ONE + _exp(-row[r]))
    elif code == SIGMOID:
        for r in range(n):
            out[r] = _ONE / (_ONE + _exp(-row[r]))
    elif code == TANH:
        for r in range(n):
            out[r] = _tanh(row[r])
    else:
        for r in range(n):
            x = float(row[r])
            out[r] = max(x, 0.0) + math.log1p(math.exp(-abs(x)))


@njit(cache=True, inner=True)
def _sum(row, other, out):
    for r in range(out.shape[0]):
        out[r] = row[r] + other[r]


@njit(cache=True, nogil=True)
def run_steps(table, weights, indices, buffer, lanes):
    """Run the steps of a table on what stands in the buffer."""
    for s in range(table.shape[0]):
        step = table[s]
        kind, size = step[KIND], step[UNITS] * lanes
        if kind == GATHER:
            _gather(step, buffer, weights, indices, lanes)
        elif kind <= MEAN:
            _pool(step, buffer, weights, indices, lanes)
        elif kind == SCALE:
            _scale(step, buffer, weights, lanes)
        else:
            row = buffer[step[SOURCE] * lanes : step[SOURCE] * lanes + size]
            out = buffer[step[TARGET] * lanes : step[TARGET] * lanes + size]
            if kind == SUM:
                _sum(row, buffer[step[OTHER] * lanes : step[OTHER] * lanes + size], out)
            else:
                a, b = weights[step[NUMBERS]], weights[step[NUMBERS] + 1]
                _apply(step[FUNCTION], row, out, a, b)
