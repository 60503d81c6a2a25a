"""Fill holes by a membrane, the smoothest surface through the pixels that are known."""

import math

from keras import ops

from keras_imaging.typing import Tensor

# What a cycle makes of an error lies in these bounds, as parts of the error.
_LEAST, _MOST = 0.3, 1.2


def harmonic_fill(images: Tensor, masks: Tensor, cycles: int = 5, levels: int = 7) -> Tensor:
    """Solve Laplace's equation in the holes of pictures, by multigrid.

    The result u is the picture where it is known; in a hole every pixel is the mean of those of its
    four neighbours that exist,

        sum over the neighbours j of i:  u[i] - u[j] = 0.

    It is linear in the picture and takes a fixed number of steps: a start from the means of the
    known pixels in ever smaller pictures, then `cycles` times, on every size: a sweep over the
    pixels whose row and column add to an even number and over the others (Gauss-Seidel, red and
    black), the same for the error that remains on the picture of half the size, another sweep. The
    cycles' results are combined by Chebyshev's step lengths.

    Args:
        images: `(batch, height, width, channels)`, float; what they hold in the holes does not
            matter as long as it is finite.
        masks: `(batch, height, width, 1)`, 1 in a hole and 0 elsewhere. Where all is hole there is
            no solution; the result is zero then.
        cycles: each leaves a third of the error or less; more of holes at the end of odd sides.
        levels: number of sizes; holes much wider than 2**levels pixels converge slower.

    Returns:
        The shape and dtype of `images`.

    Example:
        >>> mask = np.zeros((1, 5, 5, 1), "float32")
        >>> mask[:, 1:4, 1:4] = 1
        >>> ramp = np.ones((1, 5, 1, 1), "float32") * np.arange(5, dtype="float32")[:, None]
        >>> bool(np.allclose(harmonic_fill(ramp * (1 - mask), mask), ramp, atol=1e-3))
        True

    Reference:
        Briggs, Henson, McCormick, "A Multigrid Tutorial", SIAM 2000, chapter 3.
    """
    # 0 or 1, and no gradient passes.
    masks = ops.cast(ops.greater(masks, 0.5), images.dtype)
    known = 1 - masks
    sides = tuple(images.shape[1:3])
    if None not in sides:
        # The smallest picture has one pixel.
        levels = min(levels, (max(sides) - 1).bit_length() + 1)
    grids = _grids(masks, levels)
    u = _means(images * known, known, levels)
    for length in _step_lengths(cycles):
        u = u + length * (_cycle(u, None, grids) - u)
    return u


def _step_lengths(count):
    """Of Richardson's iteration; their product over all errors is the smallest possible."""
    middle, reach = (_MOST + _LEAST) / 2, (_MOST - _LEAST) / 2
    angles = [math.pi * (k + 0.5) / count for k in range(count)]
    return [1 / (middle + reach * math.cos(angle)) for angle in angles]


def _grids(hole, levels):
    """What the cycles want of the holes on every size."""
    grids = []
    exists = ops.ones_like(hole)
    for level in range(levels):
        if level:
            # A pixel of a smaller picture is missing where all that it covers is. What reaches over
            # the end of an odd side does not exist: else the smaller picture would be the wider.
            exists = ops.cast(ops.greater(_sums(exists), 3.5), hole.dtype)
            hole = exists * (1 - ops.max_pool(1 - hole, 2, 2, padding="same"))
        grids.append(_grid(hole, exists, level > 0))
    return grids


def _grid(hole, exists, smaller):
    """Missing pixels of even and of odd row + column, 1 / (number of neighbours), the hole, what
    exists.

    What is known begins between two pixels of a smaller picture, not at the middle of the next: it
    counts twice there. Else a hole would be wider on the smaller picture, and its error overshoot.
    """
    height, width = ops.shape(hole)[1:3]
    odd = (ops.arange(height)[:, None] + ops.arange(width)[None, :]) % 2
    odd = ops.equal(odd, 1)[None, :, :, None]
    missing = ops.greater(hole, 0.5)
    colours = ops.logical_and(missing, ops.logical_not(odd)), ops.logical_and(missing, odd)
    number = _neighbours(2 * exists - hole if smaller else exists)
    # A picture of one pixel has no neighbours.
    share = 1 / ops.maximum(number, 1)
    return colours, share, hole, exists


def _means(total, count, levels):
    """A first guess: means of what is known near, nearer where more is known."""
    guess = 0
    if levels > 1:
        guess = _enlarged(_means(_sums(total), _sums(count), levels - 1), total)
    share = ops.minimum(count, 1)
    return share * (total / ops.maximum(count, 1)) + (1 - share) * guess


def _cycle(u, right, grids):
    """One V-cycle for u - (mean of the neighbours) = right / (their number) in the holes."""
    (even, odd), share, hole, _ = grids[0]
    for colour in (even, odd):
        u = ops.where(colour, share * _plus(_neighbours(u), right), u)
    if len(grids) > 1:
        remains = _sums(hole * (_plus(_neighbours(u), right) - u / share))
        error = _cycle(0 * remains, remains, grids[1:])
        # Over the end of an odd side the error is that of the last pixel.
        exists = grids[1][-1]
        beside = _neighbours(error) / ops.maximum(_neighbours(exists), 1)
        error = error + (1 - exists) * beside
        u = u + hole * _enlarged(error, u)
    # In the mirrored order: this makes the cycle symmetric.
    for colour in (odd, even):
        u = ops.where(colour, share * _plus(_neighbours(u), right), u)
    return u


def _plus(x, right):
    return x if right is None else x + right


def _neighbours(x):
    """Sum of the four neighbours; beyond the border there is zero."""
    x = ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return x[:, :-2, 1:-1] + x[:, 2:, 1:-1] + x[:, 1:-1, :-2] + x[:, 1:-1, 2:]


def _sums(x):
    """Sums over two by two pixels; odd sides end with a zero."""
    x = ops.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)))
    return 4 * ops.average_pool(x, 2, 2, padding="valid")


def _enlarged(x, like):
    """Twice the size by bilinear interpolation, cut to the size of `like`."""
    height, width = ops.shape(like)[1:3]
    x = ops.swapaxes(_taller(ops.swapaxes(_taller(x), 1, 2)), 1, 2)
    return x[:, :height, :width]


def _taller(x):
    """Twice as many rows: each becomes two, that take a quarter of the row before and after."""
    before = ops.concatenate((x[:, :1], x[:, :-1]), axis=1)
    after = ops.concatenate((x[:, 1:], x[:, -1:]), axis=1)
    rows = ops.stack((0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after), axis=2)
    _, height, width, channels = ops.shape(x)
    return ops.reshape(rows, (-1, 2 * height, width, channels))
