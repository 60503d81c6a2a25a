"""Sensitivities of receiver coils: simulated, and estimated from k-space.

Maps are complex `(coils, height, width)`. The coils' energy is 1 at every pixel, or 0 where there
is nothing to see.
"""

from collections.abc import Callable

import numpy as np

# Bytes that matrices of all pixels of some rows may take.
_WORKING_SET = 2**19
# Of power iteration, each 16 multiplications with the matrix.
_MOST_ITERATIONS = 16


def birdcage_maps(
    size: tuple[int, int], n_coils: int = 8, radius: float = 1.5, turn: float = 0.0
) -> np.ndarray:
    """Coils at equal angles on a circle, each with the field of a long wire.

    Args:
        size: `(height, width)` in pixels.
        n_coils: 1 or more.
        radius: of the circle; the image reaches from -1 to 1.
        turn: angle of the first coil in radians.

    Returns:
        complex64 `(n_coils, height, width)`.

    Raises:
        ValueError: if an argument is out of its range.

    Example:
        >>> maps = birdcage_maps((32, 32), n_coils=4)
        >>> bool(np.allclose(root_sum_of_squares(maps, axis=0), 1))
        True
    """
    if n_coils < 1 or not radius > 0 or len(size) != 2 or min(size) < 1:
        raise ValueError(
            "Expected a size (height, width), 1 or more coils and a positive radius. Received: "
            f"size={size}, n_coils={n_coils}, radius={radius}"
        )
    rows, columns = (np.arange(side) / max(side / 2, 1) - 1 for side in size)
    place = columns[None, :] + 1j * rows[:, None]
    angles = np.exp(1j * (2 * np.pi * np.arange(n_coils) / n_coils + turn))
    # The angle around a wire turns the phase, the distance from it lessens the field.
    away = radius - place[None] / angles[:, None, None]
    # No pixel may lie in a wire.
    away = np.where(np.abs(away) < 1e-3, 1e-3, away)
    maps = angles[:, None, None] / away
    return (maps / root_sum_of_squares(maps, axis=0)).astype("complex64")


def root_sum_of_squares(images: np.ndarray, axis: int = -3) -> np.ndarray:
    """Magnitude image of several coils' images: sqrt(sum over coils of |x|^2).

    Args:
        images: `(..., coils, height, width)`, complex or real.
        axis: that of the coils.
    """
    return np.sqrt(np.sum(np.square(np.abs(images)), axis=axis))


def espirit_maps(
    kspace: np.ndarray,
    calibration: int | None = None,
    kernel: int = 6,
    threshold: float = 0.02,
    crop: float = 0.95,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """Coil maps from the fully sampled centre of k-space.

    All kernel-sized patches of the centre span a space; where projecting the coils' values on it
    leaves a vector unchanged (eigenvalue 1), this vector is the coils' sensitivities. The
    projection at a pixel is a Fourier sum over the correlations of the kernels, (2 kernel - 1)^2
    terms, so that the matrices are made for a few rows at a time: beside the maps and the
    calibration matrices, a few MB are in use whatever the size of the image.

    Args:
        kspace: complex `(coils, height, width)`, or `(batch, coils, height, width)`, which is
            worked on slice by slice.
        calibration: side in pixels of the centre to use; None takes the largest fully sampled one,
            up to 24.
        kernel: side of a patch in pixels.
        threshold: singular values below this part of the largest are noise.
        crop: maps are zero where the eigenvalue is not above this.
        progress: called with (slices done, slices in all).

    Returns:
        complex64 of the shape of `kspace`. Each pixel's phase is that of the maps relative to the
        combination of coils with the most energy, so that it is smooth.

    Raises:
        ValueError: if the k-space is of another shape or dtype, or the centre is not fully sampled
            or too small.

    Example:
        >>> maps = espirit_maps(kspace)  # doctest: +SKIP

    Reference:
        Uecker et al., "ESPIRiT - An Eigenvalue Approach to Autocalibrating Parallel MRI: Where
        SENSE Meets GRAPPA", MRM 2014.
    """
    kspace = _checked(kspace, "kspace")
    if kernel < 2 or not 0 < threshold < 1 or not 0 <= crop < 1:
        raise ValueError(
            "Expected `kernel` >= 2, `threshold` in (0, 1) and `crop` in [0, 1). Received: "
            f"kernel={kernel}, threshold={threshold}, crop={crop}"
        )
    if kspace.ndim == 3:
        return _espirit(kspace, calibration, kernel, threshold, crop)
    maps = np.empty(kspace.shape, "complex64")
    for number, one in enumerate(kspace):
        maps[number] = _espirit(one, calibration, kernel, threshold, crop)
        if progress is not None:
            progress(number + 1, len(kspace))
    return maps


def walsh_maps(images: np.ndarray, window: int = 7) -> np.ndarray:
    """Coil maps from the coils' images: the strongest pattern around every pixel.

    Args:
        images: complex `(coils, height, width)`, or `(batch, coils, height, width)`, such as the
            inverse transform of k-space's fully sampled centre.
        window: side in pixels, odd, of the square over which coils are correlated.

    Returns:
        complex64 of the shape of `images`; the adaptive combination of the coils is
        `sum(conj(maps) * images)` over them. Phase as in `espirit_maps`.

    Raises:
        ValueError: if the images are of another shape or dtype, or the window is not odd.

    Reference:
        Walsh, Gmitro, Marcellin, "Adaptive reconstruction of phased array MR imagery", MRM 2000.
    """
    images = _checked(images, "images")
    if window < 1 or window % 2 != 1:
        raise ValueError(f"`window` must be odd. Received: window={window}")
    if images.ndim == 4:
        return np.stack([walsh_maps(one, window) for one in images])
    n_coils, height, width = images.shape
    reference = _strongest(images.reshape(n_coils, -1))
    maps = np.zeros(images.shape, "complex64")
    half = window // 2
    padded = np.pad(images, ((0, 0), (half, half), (half, half)))
    for rows in _row_blocks(height, width, n_coils):
        part = padded[:, rows.start : rows.stop + 2 * half].astype("complex128")
        products = part[:, None] * part[None].conj()
        for axis in (2, 3):
            sums = np.cumsum(products, axis=axis)
            sums = np.insert(sums, 0, 0, axis=axis)
            last = sums.shape[axis]
            products = np.take(sums, range(window, last), axis) - np.take(
                sums, range(last - window), axis
            )
        energy, vectors = _leading(np.moveaxis(products, (0, 1), (-2, -1)))
        vectors[energy <= 0] = 0
        maps[:, rows] = np.moveaxis(_phased(vectors, reference), -1, 0)
    return maps


def calibration_size(mask: np.ndarray) -> int:
    """Side in pixels of the largest square around the centre of k-space that is fully sampled.

    Args:
        mask: `(height, width)`, 0 where nothing is sampled.
    """
    low, high = 0, min(mask.shape)
    while low < high:
        middle = (low + high + 1) // 2
        full = np.asarray(mask)[_centre(mask.shape, middle)].all()
        low, high = (middle, high) if full else (low, middle - 1)
    return low


def _checked(array, name):
    array = np.asarray(array)
    if array.ndim not in (3, 4) or not array.size or array.dtype.kind != "c":
        raise ValueError(
            f"`{name}` must be complex (coils, height, width) or (batch, coils, height, width). "
            f"Received {array.dtype} of shape {array.shape}."
        )
    return array


def _espirit(kspace, calibration, kernel, threshold, crop):
    n_coils, height, width = kspace.shape
    full = calibration_size((kspace != 0).any(axis=0))
    if calibration is None:
        calibration = min(full, 24)
    if not 2 * kernel - 1 <= calibration <= full:
        raise ValueError(
            f"ESPIRiT needs a fully sampled centre of at least {2 * kernel - 1} pixels on each "
            f"side, for kernels of {kernel}. The k-space has {full}; calibration={calibration}."
        )
    centre = kspace[(slice(None), *_centre((height, width), calibration))].astype("complex128")
    # Rows: patches; columns: [coil, position].
    patches = np.lib.stride_tricks.sliding_window_view(centre, (kernel, kernel), axis=(1, 2))
    patches = np.moveaxis(patches, 0, 2).reshape(-1, n_coils * kernel**2)
    values, vectors = np.linalg.eigh(patches.conj().T @ patches)
    vectors = vectors[:, values > threshold**2 * values[-1]]
    projection = (vectors.conj() @ vectors.T).reshape((n_coils, kernel, kernel) * 2)
    correlations = np.zeros((n_coils, n_coils, 2 * kernel - 1, 2 * kernel - 1), "complex128")
    for row in range(kernel):
        for column in range(kernel):
            correlations[:, :, row : row + kernel, column : column + kernel] += np.moveaxis(
                projection[:, :, :, :, kernel - 1 - row, kernel - 1 - column], 3, 1
            )
    correlations /= kernel**2
    waves = []
    for side in (height, width):
        angles = 2 * np.pi / side * np.outer(np.arange(side) - side // 2, np.arange(kernel))
        angles = np.concatenate([-angles[:, :0:-1], angles], axis=1)
        waves.append(np.exp(1j * angles))
    reference = _strongest(centre.reshape(n_coils, -1))
    maps = np.empty(kspace.shape, "complex64")
    for rows in _row_blocks(height, width, n_coils):
        # (coil, coil, row, horizontal step), then (row, column, coil, coil)
        part = np.einsum("ys,cdst->ycdt", waves[0][rows], correlations, optimize=True)
        part = np.moveaxis(part @ waves[1].T, 3, 1)
        values, vectors = _leading(part.astype("complex64"))
        vectors[values <= crop] = 0
        maps[:, rows] = np.moveaxis(_phased(vectors, reference), -1, 0)
    return maps


def _centre(size, length):
    return tuple(slice(side // 2 - length // 2, side // 2 - length // 2 + length) for side in size)


def _row_blocks(height, width, n_coils):
    step = max(_WORKING_SET // (16 * width * n_coils**2), 1)
    return [slice(first, min(first + step, height)) for first in range(0, height, step)]


def _strongest(samples):
    """Weights of the combination of coils with the most energy."""
    return np.linalg.eigh(samples @ samples.conj().T)[1][:, -1]


def _phased(vectors, reference):
    """Vectors `(..., coils)` turned so that their combination is real and positive."""
    combined = vectors @ reference.conj()
    size = np.abs(combined)
    return vectors * np.where(size > 0, combined.conj() / np.maximum(size, 1e-30), 1)[..., None]


def _leading(matrices):
    """Largest eigenvalue and its eigenvector of positive semidefinite matrices `(..., n, n)`.

    By power iteration, of which four squarings do the first 16 steps at once: an eigensolver for
    each of the many small matrices is ten times slower.
    """
    power = matrices
    for _ in range(4):
        trace = np.trace(power, axis1=-2, axis2=-1).real
        power = power / np.where(trace > 0, trace, 1)[..., None, None]
        power = power @ power
    diagonal = np.diagonal(power, axis1=-2, axis2=-1).real
    column = np.argmax(diagonal, axis=-1)[..., None, None]
    vectors = _unit(np.take_along_axis(power, column, axis=-1))
    for _ in range(_MOST_ITERATIONS):
        before, vectors = vectors, _unit(power @ vectors)
        if np.abs(vectors - before).max() < 1e-6:
            break
    values = (vectors.conj() * (matrices @ vectors)).sum(axis=(-2, -1)).real
    return values, vectors[..., 0]


def _unit(vectors):
    lengths = np.linalg.norm(vectors, axis=-2, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)
