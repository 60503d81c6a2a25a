"""Norms of convolutions, in NumPy and float64.

A kernel is `(height, width, channels, filters)`, as Keras keeps it; its convolution has stride 1
and, where nothing is said, covers the plane. Its norm is the largest ||K x|| / ||x||. By Fourier it
falls into one matrix of filters x channels for each frequency, and the norm is the largest singular
value of them all. Zero padding at the border of an image cuts a piece out of the plane's operator:
it cannot have a larger norm, and comes near it in large images.
"""

import numpy as np

# Of `convolution_norm_bound`: frequencies an axis of the first grid, for each degree; the most
# matrices that are looked at on one grid, and at once.
_COARSEST, _MOST, _BATCH = 8, 4096, 256
_CORNERS = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]])


def convolution_norm_bound(kernel: np.ndarray, grid: int = 1024) -> float:
    """A number that the norm does not exceed: zero-padded or circular, for images of any size.

    The largest singular value at frequencies of a grid, over the cosine of how far a trigonometric
    polynomial can turn between them. With m and n the halves of the kernel's sides and N(w) the
    kernel's matrix at the frequency w,

        ||N(w)|| >= sup ||N|| cos((m + n) pi / grid)  at the point of a grid next to the supremum

    so around points of a coarse grid that fall short of that there is no supremum, and only around
    the others a grid of twice as many frequencies an axis is looked at.

    Args:
        kernel: `(height, width, channels, filters)`.
        grid: frequencies an axis at the finest. 1024 is within 2e-5 of the supremum for 3x3. Where
            more than some thousand matrices are near the largest it stays coarser.

    Raises:
        ValueError: if the kernel has not four axes or is not finite, or the grid is too coarse.

    Reference:
        Sedghi, Gupta, Long, "The Singular Values of Convolutional Layers", ICLR 2019, for the
        values on a grid; Ehlich and Zeller (1964) and the inequality of Duffin and Schaeffer (1938)
        for what lies between.
    """
    kernel = _checked(kernel)
    degrees = [side // 2 for side in kernel.shape[:2]]
    if grid <= 2 * max(degrees):
        raise ValueError(
            f"`grid` must be above {2 * max(degrees)} for a kernel of {kernel.shape[:2]}. "
            f"Received: grid={grid}"
        )
    if not sum(degrees):
        return largest_singular_value(kernel[0])
    coarse = grid
    while coarse % 2 == 0 and coarse // 2 >= _COARSEST * sum(degrees):
        coarse //= 2
    # A real kernel has conjugate matrices at opposite frequencies: half of them are enough.
    points = np.stack(
        np.meshgrid(np.arange(coarse), np.arange(coarse // 2 + 1), indexing="ij"), axis=-1
    ).reshape(-1, 2) * (2 * np.pi / coarse)
    whole, largest = True, 0.0
    while True:
        norms = np.concatenate(
            [
                _singular_values(_at(kernel, points[k : k + _BATCH]))
                for k in range(0, len(points), _BATCH)
            ]
        )
        largest = max(largest, float(norms.max()))
        turn = np.cos(sum(degrees) * np.pi / coarse)
        near = points[norms >= largest * turn]
        if coarse == grid or 4 * len(near) > _MOST:
            break
        whole = whole and len(near) == len(points)
        coarse *= 2
        # The cell around a point falls into four.
        points = (near[:, None] + _CORNERS * (np.pi / coarse)).reshape(-1, 2)
    if whole:
        # Of a whole grid more is known.
        turn = np.prod([np.cos(np.pi * degree / coarse) for degree in degrees])
    return largest / float(turn)


def circular_convolution_norm(kernel: np.ndarray, image_size: tuple[int, int]) -> float:
    """The norm for images that repeat at their border.

    Args:
        kernel: `(height, width, channels, filters)`, not larger than the image.
        image_size: `(height, width)`.

    Raises:
        ValueError: if the kernel has not four axes, is not finite, or is larger than the image.
    """
    kernel = _checked(kernel)
    if any(side > size for side, size in zip(kernel.shape[:2], image_size, strict=True)):
        raise ValueError(
            f"A kernel of {kernel.shape[:2]} is larger than the repeating image of {image_size}."
        )
    # A real kernel has conjugate matrices at opposite frequencies: half of them are enough.
    spectrum = np.fft.rfft2(kernel, image_size, axes=(0, 1))
    return largest_singular_value(spectrum.reshape(-1, *kernel.shape[2:]))


def zero_padded_norm_lower_bound(
    kernel: np.ndarray,
    image_size: tuple[int, int],
    n_iterations: int = 2000,
    tolerance: float = 1e-12,
    seed: int = 0,
) -> float:
    """A number that the norm for images of one size, zero at their border, does not fall below.

    By power iteration, which comes to the norm from below. It certifies nothing.

    Args:
        kernel: `(height, width, channels, filters)`.
        image_size: `(height, width)`.
        n_iterations: at most.
        tolerance: relative change at which to stop.
        seed: of the start.
    """
    kernel = _checked(kernel)
    adjoint = kernel[::-1, ::-1].swapaxes(2, 3)
    before = [(side - 1) // 2 for side in kernel.shape[:2]]
    after = [side // 2 for side in kernel.shape[:2]]
    x = np.random.default_rng(seed).standard_normal((*image_size, kernel.shape[2]))
    norm = 0.0
    for _ in range(n_iterations):
        x /= np.linalg.norm(x)
        y = _correlate(x, kernel, before, after)
        previous, norm = norm, float(np.linalg.norm(y))
        if norm == 0.0 or abs(norm - previous) <= tolerance * norm:
            break
        x = _correlate(y, adjoint, after, before)
    return norm


def dense_convolution_norm(
    kernel: np.ndarray, image_size: tuple[int, int], padding: str = "zeros"
) -> float:
    """The norm from the whole matrix: exact, for tiny images.

    Args:
        kernel: `(height, width, channels, filters)`.
        image_size: `(height, width)`.
        padding: `"zeros"` or `"circular"`.

    Raises:
        ValueError: on an unknown padding.
    """
    if padding not in ("zeros", "circular"):
        raise ValueError(f"`padding` must be 'zeros' or 'circular'. Received: {padding!r}")
    kernel = _checked(kernel)
    before = [(side - 1) // 2 for side in kernel.shape[:2]]
    after = [side // 2 for side in kernel.shape[:2]]
    n = int(np.prod(image_size)) * kernel.shape[2]
    units = np.eye(n).reshape(n, *image_size, kernel.shape[2])
    mode = "constant" if padding == "zeros" else "wrap"
    matrix = np.stack([_correlate(unit, kernel, before, after, mode).ravel() for unit in units])
    return float(np.linalg.norm(matrix, 2))


def reshaped_kernel_norm(kernel: np.ndarray) -> float:
    """The norm of the kernel as a matrix `(height * width * channels, filters)`.

    What `keras.layers.SpectralNormalization` and PyTorch's `spectral_norm` divide by. It is not the
    norm of the convolution, which lies between it and sqrt(height * width) times it: about 1.5
    times for random 3x3 kernels of 64 channels.

    Args:
        kernel: `(height, width, channels, filters)`.
    """
    kernel = _checked(kernel)
    return float(np.linalg.norm(kernel.reshape(-1, kernel.shape[-1]), 2))


def largest_singular_value(matrices: np.ndarray) -> float:
    """The largest singular value of many matrices: the root of an eigenvalue of M^H M.

    Four times as fast as singular values for 64 x 64, and for the largest one as exact.

    Args:
        matrices: `(number, rows, columns)`, real or complex.
    """
    return float(_singular_values(np.asarray(matrices)).max())


def _at(kernel, points):
    """The kernel's matrices at frequencies `(number, 2)`."""
    height, width, *shape = kernel.shape
    rows, columns = (
        np.exp(-1j * np.outer(w, np.arange(side)))
        for w, side in zip(points.T, (height, width), strict=True)
    )
    waves = (rows[:, :, None] * columns[:, None]).reshape(-1, height * width)
    return (waves @ kernel.reshape(height * width, -1)).reshape(-1, *shape)


def _singular_values(matrices):
    """The largest one of each."""
    if matrices.shape[1] < matrices.shape[2]:
        matrices = matrices.swapaxes(1, 2)
    scale = float(np.abs(matrices).max(initial=0.0))
    if scale == 0.0:
        return np.zeros(len(matrices))
    # In units of the largest entry: squares of small numbers do not vanish.
    matrices = matrices / scale
    gram = matrices.conj().swapaxes(1, 2) @ matrices
    return scale * np.sqrt(np.maximum(np.linalg.eigvalsh(gram)[:, -1], 0.0))


def _correlate(x, kernel, before, after, mode="constant"):
    """What a layer computes of `(height, width, channels)`."""
    padded = np.pad(x, (*zip(before, after, strict=True), (0, 0)), mode)
    height, width = x.shape[:2]
    result = 0.0
    for row, taps in enumerate(kernel):
        for column, tap in enumerate(taps):
            result = result + padded[row : row + height, column : column + width] @ tap
    return result


def _checked(kernel):
    kernel = np.asarray(kernel, "float64")
    if kernel.ndim != 4 or 0 in kernel.shape or not np.isfinite(kernel).all():
        raise ValueError(
            "Expected a kernel (height, width, channels, filters) of finite values. Received shape "
            f"{kernel.shape}."
        )
    return kernel
