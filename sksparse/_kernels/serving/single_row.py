"""Linear layers and convolutions for a single row, one after the other on one buffer.

Where there is but one row there is nothing to put side by side: products are sums over a row of
weights, or over those of its weights that are not zero, or over the inputs that are not zero. For
a convolution each weight is multiplied by all positions of a map at once, also those between the
ones that are asked for. The caller checks all that the table says: nothing is checked here.
"""

import numpy as np

from sksparse._kernels._compiled import njit

#: Columns of the table of layers: the kind; where in the buffer the input and the output start; how
#: many outputs and inputs; where weights, biases, indices and pointers start.
KIND, SOURCE, TARGET, UNITS, SIZE, WEIGHTS, BIASES, INDICES, POINTERS = 0, 1, 2, 3, 4, 5, 6, 7, 8
#: Where among the weights the number stands below which no output is.
NUMBERS = 9
#: Positions of a map, and places in the buffer from one to the next, down and right.
HEIGHT, WIDTH, DOWN, RIGHT = 10, 11, 12, 13
COLUMNS = 14

#: Kinds: all weights; those of each output that are not zero; those of each input; the weights
#: of a convolution that are not zero.
DENSE, SPARSE, SCATTER, SLIDING = 0, 1, 2, 3


@njit(cache=True, inner=True, fastmath={"reassoc", "contract", "nsz"})
def _dense(weights, biases, row, out):
    """Four units at once, which read the row together."""
    units, size = out.shape[0], row.shape[0]
    whole = units - units % 4
    for u in range(0, whole, 4):
        first = weights[u * size : (u + 1) * size]
        second = weights[(u + 1) * size : (u + 2) * size]
        third = weights[(u + 2) * size : (u + 3) * size]
        fourth = weights[(u + 3) * size : (u + 4) * size]
        a, b, c, d = biases[u], biases[u + 1], biases[u + 2], biases[u + 3]
        for k in range(size):
            x = row[k]
            a += first[k] * x
            b += second[k] * x
            c += third[k] * x
            d += fourth[k] * x
        out[u], out[u + 1], out[u + 2], out[u + 3] = a, b, c, d
    for u in range(whole, units):
        first, a = weights[u * size : (u + 1) * size], biases[u]
        for k in range(size):
            a += first[k] * row[k]
        out[u] = a


@njit(cache=True, inner=True, fastmath={"contract"})
def _sparse(weights, indices, pointers, biases, row, out):
    """Four sums for each unit, since an addition waits for the one before it."""
    zero = np.float32(0.0)
    for u in range(out.shape[0]):
        factors = weights[pointers[u] : pointers[u + 1]]
        picks = indices[pointers[u] : pointers[u + 1]]
        a, b, c, d = biases[u], zero, zero, zero
        n = factors.shape[0]
        whole = n - n % 4
        for k in range(0, whole, 4):
            a += factors[k] * row[picks[k]]
            b += factors[k + 1] * row[picks[k + 1]]
            c += factors[k + 2] * row[picks[k + 2]]
            d += factors[k + 3] * row[picks[k + 3]]
        for k in range(whole, n):
            a += factors[k] * row[picks[k]]
        out[u] = (a + b) + (c + d)


@njit(cache=True, inner=True, fastmath={"contract"})
def _scatter(weights, indices, pointers, biases, row, out):
    """Inputs that are zero cost nothing."""
    for u in range(out.shape[0]):
        out[u] = biases[u]
    for j in range(row.shape[0]):
        x = row[j]
        if x != 0.0:
            for k in range(pointers[j], pointers[j + 1]):
                out[indices[k]] += weights[k] * x


@njit(cache=True, inner=True, fastmath={"reassoc", "contract"})
def _add_slid(factors, picks, row, total):
    """Add weights times the map from their places on, four at a time."""
    n, places = factors.shape[0], total.shape[0]
    whole = n - n % 4
    for k in range(0, whole, 4):
        first, second = row[picks[k] :], row[picks[k + 1] :]
        third, fourth = row[picks[k + 2] :], row[picks[k + 3] :]
        a, b, c, d = factors[k], factors[k + 1], factors[k + 2], factors[k + 3]
        for p in range(places):
            total[p] += (a * first[p] + b * second[p]) + (c * third[p] + d * fourth[p])
    for k in range(whole, n):
        first, a = row[picks[k] :], factors[k]
        for p in range(places):
            total[p] += a * first[p]


@njit(cache=True, inner=True)
def _slide(layer, factors, picks, starts, biases, row, out, total):
    """A convolution; ``total`` is room for all places between its first and last position."""
    height, width, down, right = layer[HEIGHT], layer[WIDTH], layer[DOWN], layer[RIGHT]
    for u in range(layer[UNITS]):
        for p in range(total.shape[0]):
            total[p] = biases[u]
        of_unit = slice(starts[u], starts[u + 1])
        _add_slid(factors[of_unit], picks[of_unit], row, total)
        for y in range(height):
            for x in range(width):
                out[(u * height + y) * width + x] = total[y * down + x * right]


@njit(cache=True, inner=True)
def _run(table, pointers, weights, indices, buffer):
    for s in range(table.shape[0]):
        layer = table[s]
        kind, units = layer[KIND], layer[UNITS]
        row = buffer[layer[SOURCE] : layer[SOURCE] + layer[SIZE]]
        n_out = units * layer[HEIGHT] * layer[WIDTH]
        out = buffer[layer[TARGET] : layer[TARGET] + n_out]
        factors, picks = weights[layer[WEIGHTS] :], indices[layer[INDICES] :]
        biases, starts = weights[layer[BIASES] :], pointers[layer[POINTERS] :]
        if kind == DENSE:
            _dense(factors, biases, row, out)
        elif kind == SPARSE:
            _sparse(factors, picks, starts, biases, row, out)
        elif kind == SLIDING:
            between = (layer[HEIGHT] - 1) * layer[DOWN] + (layer[WIDTH] - 1) * layer[RIGHT] + 1
            # the end of the buffer is free
            total = buffer[buffer.shape[0] - between :]
            _slide(layer, factors, picks, starts, biases, row, out, total)
        else:
            _scatter(factors, picks, starts, biases, row, out)
        low = weights[layer[NUMBERS]]
        for u in range(n_out):
            out[u] = low if out[u] < low else out[u]


@njit(cache=True, nogil=True)
def run_layers(table, pointers, weights, indices, buffer):
    """Run the layers of a table on what stands in the buffer."""
    _run(table, pointers, weights, indices, buffer)


@njit(cache=True, nogil=True)
def predict(X, out, columns, output, table, pointers, weights, indices, buffer):
    """Outputs for rows of X, one after the other.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_inputs)
        Rows as float32.
    out : ndarray of shape (n_rows, n_outputs)
        Is written.
    columns : ndarray of uint32
        The columns of X that are put at the start of the buffer.
    output : int
        Where in the buffer the output starts.
    table : ndarray of shape (n_layers, COLUMNS)
        The layers.
    pointers : ndarray of int64
        Where the weights of each unit, or of each input, begin.
    weights : ndarray of float32
        Weights, biases and bounds.
    indices : ndarray of uint32
        The input of each weight, or its unit.
    buffer : ndarray of float32
        Is written.
    """
    for i in range(X.shape[0]):
        row, found = X[i], out[i]
        for j in range(columns.shape[0]):
            buffer[j] = row[columns[j]]
        _run(table, pointers, weights, indices, buffer)
        made = buffer[output : output + found.shape[0]]
        for j in range(found.shape[0]):
            found[j] = made[j]
