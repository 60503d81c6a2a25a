"""k-space as NumPy arrays: to the image and back, and what can be told from its values.

Complex images are `(..., height, width)`, k-space `(..., height, width)` or, with coils, `(batch,
coils, height, width)`; the centre of k-space is at index `size // 2`. Networks take the same as
pairs, real and imaginary part along a last axis of 2.
"""

import numpy as np

_AXES = (-2, -1)
# As many as any scanner has.
_MOST_COILS = 128


def image_to_kspace(image: np.ndarray) -> np.ndarray:
    """Centred orthonormal 2-D Fourier transform of the last two axes, as `ops.fourier.fft2c`.

    Args:
        image: `(..., height, width)`, real or complex.

    Returns:
        complex, in the precision of the image.
    """
    image = np.fft.fft2(np.fft.ifftshift(image, _AXES), axes=_AXES, norm="ortho")
    return np.fft.fftshift(image, _AXES)


def kspace_to_image(kspace: np.ndarray) -> np.ndarray:
    """Inverse and adjoint of `image_to_kspace`."""
    kspace = np.fft.ifft2(np.fft.ifftshift(kspace, _AXES), axes=_AXES, norm="ortho")
    return np.fft.fftshift(kspace, _AXES)


def to_pairs(array: np.ndarray, dtype: str = "float32") -> np.ndarray:
    """Complex numbers as real and imaginary part along a new last axis."""
    return np.stack([array.real, array.imag], axis=-1).astype(dtype)


def from_pairs(array: np.ndarray) -> np.ndarray:
    """Inverse of `to_pairs`; complex64 of float32, complex128 of float64.

    Raises:
        ValueError: if the last axis is not 2.
    """
    if not array.ndim or array.shape[-1] != 2:
        raise ValueError(
            "Expected real and imaginary part along a last axis of 2. "
            f"Received shape {array.shape}."
        )
    return array[..., 0] + 1j * array[..., 1]


def checked_kspace(array: np.ndarray, name: str = "k-space") -> np.ndarray:
    """Complex k-space of what a user gives, or what is wrong with it.

    Args:
        array: complex, or float pairs with a last axis of 2; of rank 2 to 5 without that axis.
        name: what to call it in messages.

    Returns:
        complex64 (complex128 of doubles), of the same axes.

    Raises:
        ValueError: in one line, if the numbers are integers or real, not finite, none at all, or
            their axes in another order.
    """
    array = np.asarray(array)
    shape = array.shape
    if not array.size:
        raise ValueError(f"The {name} is empty: shape {shape}.")
    if array.dtype.kind not in "fc":
        raise ValueError(
            f"Expected complex {name}, or real and imaginary part along a last axis of 2. Received "
            f"dtype {array.dtype}: convert its two parts to float and stack them."
        )
    if array.dtype.kind == "f":
        if shape[-1] != 2:
            where = next((axis for axis in range(len(shape)) if shape[axis] == 2), None)
            hint = f"; axis {where} is 2: move it to the end" if where is not None else ""
            raise ValueError(
                f"Expected complex {name}, or real and imaginary part along a last axis of 2. "
                f"Received real numbers of shape {shape}{hint}. (A magnitude image is no k-space.)"
            )
        array = from_pairs(array)
        shape = array.shape
    if not 2 <= array.ndim <= 5:
        raise ValueError(
            f"Expected {name} of shape (height, width), (coils, height, width) or (batch, coils, "
            f"height, width). Received shape {shape}."
        )
    if array.ndim in (3, 4):
        coils, last = shape[-3], shape[-1]
        if last < coils and (last <= 64 < coils or last <= 4 < min(shape[-3:-1]) / 4):
            raise ValueError(
                f"Expected coils before pixels, (..., coils, height, width). Received {name} of "
                f"shape {shape}, whose last axis looks like coils: move it in front of the height."
            )
        if coils > _MOST_COILS:
            raise ValueError(
                f"Expected {name} (coils, height, width) or (batch, coils, height, width). "
                f"Received shape {shape}: {coils} coils. Frames of one coil are (frames, 1, "
                "height, width)."
            )
    if not np.isfinite(array).all():
        raise ValueError(
            f"The {name} holds {int((~np.isfinite(array)).sum())} values that are NaN or infinite."
        )
    return array if array.dtype == np.complex128 else array.astype("complex64", copy=False)


def find_sampling_mask(kspace: np.ndarray) -> np.ndarray:
    """Where k-space was sampled: wherever a coil holds anything but zero.

    Args:
        kspace: complex `(batch, height, width)` or `(batch, coils, height, width)`.

    Returns:
        float32 `(1, height, width)` if all of the batch have one mask, else `(batch, height,
        width)`. Where nothing but zero was measured the mask is 1: there is nothing to tell.
    """
    mask = kspace != 0
    if mask.ndim == 4:
        mask = mask.any(axis=1)
    known = mask.any(axis=(1, 2))
    if not known.any():
        return np.ones((1, *mask.shape[1:]), "float32")
    mask[~known] = mask[known].any(axis=0)
    if (mask == mask[:1]).all():
        mask = mask[:1]
    return mask.astype("float32")


def decoupled(kspace: np.ndarray) -> np.ndarray:
    """Volumes as slices: the readout is transformed back, and joins the batch.

    Args:
        kspace: complex `(batch, coils, readout, height, width)`.

    Returns:
        `(batch * readout, coils, height, width)`.
    """
    batch, coils, readout, height, width = kspace.shape
    slices = along(np.fft.ifft, kspace, 2)
    return np.moveaxis(slices, 2, 1).reshape(batch * readout, coils, height, width)


def check_readout(kspace: np.ndarray) -> None:
    """Raise ValueError unless all positions along the readout were sampled alike.

    Args:
        kspace: complex `(batch, coils, readout, height, width)`.
    """
    sampled = (kspace != 0).any(axis=1)
    missing = float((sampled.any(axis=1, keepdims=True) & ~sampled).mean())
    if missing > 0.01:
        raise ValueError(
            "A volume (batch, coils, readout, height, width) must be fully sampled along its "
            f"readout. Received shape {kspace.shape}, with {missing:.0%} of samples missing on "
            "lines that hold others."
        )


def along(transform, array: np.ndarray, axis: int) -> np.ndarray:
    """Centred orthonormal Fourier transform, `np.fft.fft` or `np.fft.ifft`, along one axis."""
    array = transform(np.fft.ifftshift(array, axis), axis=axis, norm="ortho")
    return np.fft.fftshift(array, axis)


def checked_mask(
    mask: np.ndarray, size: tuple[int, int], sampled: np.ndarray | None = None
) -> np.ndarray:
    """A sampling mask for k-space, or what is wrong with it.

    Args:
        mask: `(width,)`, `(1, width)`, `(height, 1)`, `(height, width)`, or one for each of a
            batch, `(batch, height or 1, width or 1)`; 0 and 1.
        size: `(height, width)` of the k-space.
        sampled: where the k-space holds values, as from `find_sampling_mask`: the mask must not
            claim samples that are not there.

    Returns:
        float32 `(1 or batch, height, width)`.

    Raises:
        ValueError: in one line, if the mask has another shape, other values than 0 and 1, no
            sample, samples where the k-space has none, or is transposed.
    """
    mask, size = np.asarray(mask), tuple(size)
    if mask.dtype.kind not in "biuf" or not np.isin(mask, (0, 1)).all():
        values = ", ".join(str(value) for value in np.unique(mask)[:4])
        raise ValueError(f"A mask must hold 0 and 1 only. Received {mask.dtype} values {values}.")
    if mask.ndim == 1:
        mask = mask[None]
    if mask.ndim == 2:
        mask = mask[None]
    sides = mask.shape[-2:]
    if mask.ndim != 3 or not mask.size or not _fits(sides, size):
        turned = mask.ndim == 3 and _fits(sides[::-1], size)
        hint = "; it would fit transposed" if turned else ""
        raise ValueError(
            f"A mask for k-space of {size[0]} x {size[1]} (height x width) has shape "
            f"(1, {size[1]}) or {size}. Received shape {mask.shape[-2:]}{hint}."
        )
    mask = np.broadcast_to(mask, (len(mask), *size)).astype("float32")
    if not mask.any(axis=(1, 2)).all():
        raise ValueError("The mask samples nothing: it is zero everywhere.")
    if sampled is not None:
        _check_measured(mask, sampled, size)
    return mask


def sampled_axis(mask: np.ndarray) -> str | None:
    """The axis along which a Cartesian mask samples whole lines: `"height"`, `"width"` or None.

    Args:
        mask: `(..., height, width)`. Of k-space as most files hold it the readout, which is full,
            runs along the height.
    """
    mask = np.asarray(mask).astype(bool)
    mask = mask.reshape(-1, *mask.shape[-2:]).any(axis=0)
    if mask.all():
        return None
    if (mask == mask[:1]).all():
        return "height"
    return "width" if (mask == mask[:, :1]).all() else None


def looks_unshifted(kspace: np.ndarray) -> bool:
    """Whether the energy of k-space lies at its corners, as a plain FFT leaves it.

    Args:
        kspace: complex `(..., height, width)`.
    """
    energy = np.zeros(kspace.shape[-2:])
    for one in kspace.reshape(-1, *kspace.shape[-2:]):
        energy += np.square(np.abs(one))
    rows, columns = (
        slice(side // 2 - side // 8, side // 2 + side // 8 + 1) for side in energy.shape
    )
    centre, corners = energy[rows, columns], np.fft.ifftshift(energy)[rows, columns]
    return bool(corners.sum() > 4 * centre.sum())


def _fits(sides, size):
    return all(side in (1, whole) for side, whole in zip(sides, size, strict=True))


def _check_measured(mask, sampled, size):
    """`sampled` may hold zeros by chance where the mask samples, but not many."""
    sampled = sampled > 0
    if len(mask) not in (1, len(sampled)) and len(sampled) != 1:
        raise ValueError(f"{len(mask)} masks do not fit k-space of {len(sampled)} samples.")
    missing = (mask * ~sampled).sum(axis=(1, 2)) / mask.sum(axis=(1, 2))
    worst = float(missing.max())
    if worst <= 0.02:
        return
    hint = ""
    if size[0] == size[1]:
        turned = mask.swapaxes(1, 2)
        if (turned * ~sampled).sum() <= 0.02 * turned.sum():
            full = sampled_axis(sampled)
            hint = f" Transposed it fits{f': the full axis is the {full}' if full else ''}."
    raise ValueError(
        f"The k-space is zero at {worst:.0%} of the samples that the mask claims.{hint}"
    )
