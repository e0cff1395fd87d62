"""Products of a network on one buffer, with many rows side by side in vectors.

A value of the network is a run of *slots* of the buffer, each of ``lanes`` numbers: those of one
unit for so many rows. Zeros among weights are then skipped while the arithmetic stays that of whole
vectors. A convolution is a product at each position of its map.

What multiplies and what transposes is written in vectors of LLVM: its loops would not keep sums
in registers. Lanes are a multiple of the ``VECTOR``. The caller checks all that the table says:
nothing is checked here.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from sksparse._kernels._compiled import njit

#: Columns of the table of products. Slots: where what is read starts, and what is made.
SOURCE, TARGET = 0, 1
#: The kind; outputs; weights of each; where weights, biases, indices and pointers start; where
#: among the weights the number stands below which no output is.
KIND, UNITS, SIZE, WEIGHTS, BIASES, INDICES, POINTERS, NUMBERS = 2, 3, 4, 5, 6, 7, 8, 9
#: Positions of a map, and slots from one to the next, down and right.
HEIGHT, WIDTH, DOWN, RIGHT = 10, 11, 12, 13
COLUMNS = 14

#: Kinds: all weights, or those of each unit that are not zero.
DENSE, SPARSE = 0, 1

#: Numbers of a vector; units and vectors of which the sums stay in registers together.
VECTOR, UNITS_AT_ONCE, VECTORS_AT_ONCE = 16, 4, 4

_FLOATS = ir.VectorType(ir.FloatType(), VECTOR)
_WORD = ir.IntType(64)


def _word(value):
    return ir.Constant(_WORD, value)


def _mask(numbers):
    return ir.Constant(ir.VectorType(ir.IntType(32), VECTOR), list(numbers))


def _data(context, builder, kind, array):
    return context.make_array(kind)(context, builder, array).data


def _place(builder, data, offset):
    return builder.bitcast(builder.gep(data, [offset]), _FLOATS.as_pointer())


def _spread(builder, number):
    """A vector of one number."""
    empty = ir.Constant(_FLOATS, ir.Undefined)
    first = builder.insert_element(empty, number, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, empty, _mask([0] * VECTOR))


def _product(n_units, n_vectors):
    """The sums of a few units for a few vectors of rows, each a bias and then term by term.

    Term ``k`` of unit ``u`` in lane ``r`` is ``weights[weight + u * size + k]`` times
    ``buffer[source + indices[index + k] * lanes + r]``. Sums below ``low`` become that. They are
    written to ``buffer[target + u * between + r]``.
    """

    @intrinsic
    def block(typing, buffer, indices, weights, places, low):
        signature = types.void(buffer, indices, weights, places, types.float32)

        def generate(context, builder, signature, args):
            data, picks, factors = (
                _data(context, builder, signature.args[k], args[k]) for k in range(3)
            )
            source, target, lanes, between, index, weight, bias, size = (
                builder.extract_value(args[3], k) for k in range(8)
            )
            pairs = [(u, v) for u in range(n_units) for v in range(n_vectors)]
            biases, rows = [], []
            for u in range(n_units):
                place = builder.gep(factors, [builder.add(bias, _word(u))])
                biases.append(_spread(builder, builder.load(place)))
                rows.append(builder.add(weight, builder.mul(size, _word(u))))
            before = builder.block
            loop, after = builder.append_basic_block(), builder.append_basic_block()
            builder.cbranch(builder.icmp_signed("<", _word(0), size), loop, after)

            builder.position_at_end(loop)
            k = builder.phi(_WORD)
            sums = {pair: builder.phi(_FLOATS) for pair in pairs}
            pick = builder.load(builder.gep(picks, [builder.add(index, k)]))
            slot = builder.add(source, builder.mul(builder.zext(pick, _WORD), lanes))
            places = [builder.add(slot, _word(VECTOR * v)) for v in range(n_vectors)]
            inputs = [builder.load(_place(builder, data, p), align=4) for p in places]
            numbers = [builder.load(builder.gep(factors, [builder.add(row, k)])) for row in rows]
            spread = [_spread(builder, number) for number in numbers]
            # one rounding for both where the machine can
            fused = {"flags": ("contract",)}
            terms = {(u, v): builder.fmul(spread[u], inputs[v], **fused) for u, v in pairs}
            new = {pair: builder.fadd(sums[pair], terms[pair], **fused) for pair in pairs}
            following = builder.add(k, _word(1))
            builder.cbranch(builder.icmp_signed("<", following, size), loop, after)
            k.add_incoming(_word(0), before)
            k.add_incoming(following, loop)

            builder.position_at_end(after)
            totals = {pair: builder.phi(_FLOATS) for pair in pairs}
            for u, v in pairs:
                for total in (sums[u, v], totals[u, v]):
                    total.add_incoming(biases[u], before)
                    total.add_incoming(new[u, v], loop)
            floor = _spread(builder, args[4])
            for u, v in pairs:
                is_low = builder.fcmp_ordered("<", totals[u, v], floor)
                kept = builder.select(is_low, floor, totals[u, v])
                place = builder.add(builder.mul(between, _word(u)), _word(VECTOR * v))
                place = _place(builder, data, builder.add(target, place))
                builder.store(kept, place, align=4)
            return context.get_dummy_value()

        return signature, generate

    return block


_many_by_many, _many_by_one = _product(UNITS_AT_ONCE, VECTORS_AT_ONCE), _product(UNITS_AT_ONCE, 1)
_one_by_many, _one_by_one = _product(1, VECTORS_AT_ONCE), _product(1, 1)


@intrinsic
def _transpose(typing, source, first, stride, target, place, lanes):
    """A square of numbers, from rows that start ``stride`` apart to slots."""
    word = types.intp
    signature = types.void(source, word, word, target, word, word)

    def generate(context, builder, signature, args):
        source, target = (_data(context, builder, signature.args[k], args[k]) for k in (0, 3))
        (_, offset, stride, _, place, lanes) = args
        rows = []
        for _ in range(VECTOR):
            rows.append(builder.load(_place(builder, source, offset), align=4))
            offset = builder.add(offset, stride)
        step = 1
        while step < VECTOR:
            # swap the blocks of this size that lie off the diagonal
            lows = [c if not c & step else VECTOR + c - step for c in range(VECTOR)]
            highs = [c + step if not c & step else VECTOR + c for c in range(VECTOR)]
            for a in (a for a in range(VECTOR) if not a & step):
                pair = rows[a], rows[a + step]
                rows[a] = builder.shuffle_vector(*pair, _mask(lows))
                rows[a + step] = builder.shuffle_vector(*pair, _mask(highs))
            step *= 2
        for row in rows:
            builder.store(row, _place(builder, target, place), align=4)
            place = builder.add(place, lanes)
        return context.get_dummy_value()

    return signature, generate


@njit(cache=True, inner=True)
def _multiply(step, pointers, buffer, weights, indices, lanes, source, target):
    """Products at one position of a map: dense units several at once, sparse ones each alone."""
    units, low, between = step[UNITS], weights[step[NUMBERS]], step[HEIGHT] * step[WIDTH] * lanes
    size, index, u = step[SIZE], step[INDICES], 0
    while u < units:
        if step[KIND] == SPARSE:
            first, at_once = pointers[step[POINTERS] + u], 1
            size = pointers[step[POINTERS] + u + 1] - first
            index, weight = step[INDICES] + first, step[WEIGHTS] + first
        else:
            weight = step[WEIGHTS] + u * size
            at_once = UNITS_AT_ONCE if u + UNITS_AT_ONCE <= units else 1
        bias, r = step[BIASES] + u, 0
        while r < lanes:
            goal = target + u * between + r
            places = (source + r, goal, lanes, between, index, weight, bias, size)
            if r + VECTORS_AT_ONCE * VECTOR <= lanes:
                if at_once == 1:
                    _one_by_many(buffer, indices, weights, places, low)
                else:
                    _many_by_many(buffer, indices, weights, places, low)
                r += VECTORS_AT_ONCE * VECTOR
            else:
                if at_once == 1:
                    _one_by_one(buffer, indices, weights, places, low)
                else:
                    _many_by_one(buffer, indices, weights, places, low)
                r += VECTOR
        u += at_once


@njit(cache=True, inner=True)
def _run(table, pointers, weights, indices, buffer, lanes):
    """Products at all positions of their maps, of which a linear layer has one."""
    for s in range(table.shape[0]):
        step = table[s]
        target = step[TARGET] * lanes
        for y in range(step[HEIGHT]):
            for x in range(step[WIDTH]):
                source = (step[SOURCE] + y * step[DOWN] + x * step[RIGHT]) * lanes
                _multiply(step, pointers, buffer, weights, indices, lanes, source, target)
                target += lanes


@njit(cache=True, inner=True)
def _put_in(X, first, n, buffer, lanes, blocks):
    """Rows of X as lanes; what stands in further lanes does not matter."""
    p = X.shape[1]
    if n < VECTOR or p < VECTOR:
        for block in blocks:
            for j in range(block, min(block + VECTOR, p)):
                slot = buffer[j * lanes : (j + 1) * lanes]
                for r in range(n):
                    slot[r] = X[first + r, j]
        return
    for square in range(0, n, VECTOR):
        # the last squares overlap others
        r = min(square, n - VECTOR)
        for block in blocks:
            column = min(block, p - VECTOR)
            corner, place = (first + r) * p + column, column * lanes + r
            _transpose(X, corner, p, buffer, place, lanes)  # type: ignore[call-arg]


@njit(cache=True, nogil=True)
def put_in(X, first, n, buffer, lanes, blocks):
    """Put rows of X into the first slots."""
    _put_in(X, first, n, buffer, lanes, blocks)


@njit(cache=True, nogil=True)
def run_products(table, pointers, weights, indices, buffer, lanes):
    """Run the products of a table on what stands in the buffer."""
    _run(table, pointers, weights, indices, buffer, lanes)


@njit(cache=True, nogil=True)
def predict(X, out, blocks, output, table, pointers, weights, indices, buffer, lanes, together):
    """Outputs for rows of X, so many at once.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_inputs)
        Rows as float32; they are put into the first slots.
    out : ndarray of shape (n_rows, n_outputs)
        Is written.
    blocks : ndarray of shape (n_blocks,)
        The first of each 16 columns of X that are read.
    output : int
        The slot where the output starts.
    table, pointers, weights, indices : ndarray
        The products, of shape (n_products, COLUMNS), and what they use.
    buffer : ndarray of shape (n_slots * lanes,)
        The slots.
    lanes : int
        Rows at once, a multiple of 16.
    together : int
        The last rows take a multiple of so many lanes, itself a multiple of 16.
    """
    n = X.shape[0]
    for first in range(0, n, lanes):
        rows = min(lanes, n - first)
        used = min((rows + together - 1) // together * together, lanes)
        _put_in(X, first, rows, buffer, used, blocks)
        _run(table, pointers, weights, indices, buffer, used)
        for j in range(out.shape[1]):
            slot = buffer[(output + j) * used : (output + j + 1) * used]
            for r in range(rows):
                out[first + r, j] = slot[r]
