"""What was read of an MR scan, or what is wrong with it."""

import contextlib
import os
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from keras_imaging.data.kspace import (
    check_readout,
    checked_kspace,
    checked_mask,
    decoupled,
    find_sampling_mask,
    looks_unshifted,
    sampled_axis,
)
from keras_imaging.data.reading import reading


@dataclass(frozen=True)
class MRIScan:
    """A scan, or images from which to simulate one.

    Slices and frames stand one behind the other along `batch`, the slices of the first frame first.

    Attributes:
        kspace: complex64 `(batch, height, width)` of one coil or `(batch, coils, height, width)`,
            zero where nothing was sampled; None of images.
        mask: where k-space was sampled, float32 `(1 or batch, height, width)`; None of images.
        maps: coil maps, complex64 `(1 or batch, coils, height, width)`, if the file holds any.
        truth: images, `(batch, height, width)`: float32 magnitudes, or complex64; None if unknown.
        slices: how many of the batch make one frame.
        affine: `(4, 4)` float64 from (row, column, slice) to millimetres to the right, to the front
            and up (NIfTI's RAS); None if the file does not say.
        remarks: what a user should know of how the file was understood.
    """

    kspace: np.ndarray | None = None
    mask: np.ndarray | None = None
    maps: np.ndarray | None = None
    truth: np.ndarray | None = None
    slices: int = 1
    affine: np.ndarray | None = None
    remarks: tuple[str, ...] = ()


def measured_scan(
    kspace: np.ndarray,
    mask: np.ndarray | None = None,
    maps: np.ndarray | None = None,
    truth: np.ndarray | None = None,
    slices: int | None = None,
    affine: np.ndarray | None = None,
    remarks: Iterable[str] = (),
) -> MRIScan:
    """A scan from its arrays, checked.

    Args:
        kspace: complex, or float pairs with a last axis of 2: `(height, width)`, `(coils, height,
            width)`, `(batch, coils, height, width)`, or `(batch, coils, readout, height, width)` of
            a volume, which becomes one slice for each position along the readout.
        mask: see `kspace.checked_mask`; None finds it from the zeros of k-space.
        maps: complex or pairs, `(coils, height, width)` or `(batch, coils, height, width)`.
        truth: `(height, width)` or `(batch, height, width)`.
        slices: how many of the batch make one frame; None is all.
        affine: as in `MRIScan`.
        remarks: what is known already.

    Raises:
        ValueError: in one line, if an array is no k-space, mask, map or image, or two disagree.

    Warns:
        UserWarning: if k-space seems never to have been shifted.
    """
    remarks = list(remarks)
    kspace = checked_kspace(kspace).astype("complex64", copy=False)
    if kspace.ndim == 2:
        kspace = kspace[None]
    elif kspace.ndim == 3:
        if kspace.shape[0] > 1:
            remarks.append(
                f"3 axes are (coils, height, width): {kspace.shape[0]} coils. Frames of one coil "
                "have 4: (frames, 1, height, width)."
            )
        kspace = kspace[None]
    elif kspace.ndim == 5:
        check_readout(kspace)
        slices = kspace.shape[2]
        kspace = decoupled(kspace)
        remarks.append(f"The volume is read as {slices} slices along its readout.")
    if kspace.ndim == 4 and kspace.shape[1] == 1:
        kspace = kspace[:, 0]
    size = kspace.shape[-2:]
    found = find_sampling_mask(kspace)
    if not kspace.any():
        remarks.append("k-space is zero everywhere: its images will be, too.")
        found = None
    if mask is None:
        mask = np.ones((1, *size), "float32") if found is None else found
        remarks.append(_told(mask))
    else:
        mask = checked_mask(mask, size, found)
        if len(mask) not in (1, len(kspace)):
            raise ValueError(f"{len(mask)} masks do not fit {len(kspace)} images.")
        kspace = kspace * (mask if kspace.ndim == 3 else mask[:, None])
        remarks.append(f"The mask samples {mask.mean():.1%} of k-space.")
    if looks_unshifted(kspace):
        message = (
            "The energy of k-space lies at its corners, as a plain FFT leaves it; expected is its "
            "centre at (height // 2, width // 2): apply np.fft.fftshift to the last two axes."
        )
        warnings.warn(message, stacklevel=2)
        remarks.append(message)
    if maps is not None:
        maps = _checked_maps(maps, kspace, remarks)
    if truth is not None:
        truth = checked_images(truth)
        if truth.shape != (len(kspace), *size):
            raise ValueError(
                f"The truth has shape {truth.shape}, the k-space is of {len(kspace)} images of "
                f"{size[0]} x {size[1]}."
            )
    slices = len(kspace) if slices is None else slices
    return MRIScan(kspace, mask, maps, truth, slices, affine, tuple(remarks))


def checked_images(images: np.ndarray) -> np.ndarray:
    """Images as `(batch, height, width)`, float32 magnitudes or complex64.

    Raises:
        ValueError: if they have other axes, or hold NaN, infinite values or negative magnitudes.
    """
    images = np.asarray(images)
    if images.ndim == 2:
        images = images[None]
    if images.ndim != 3 or not images.size or images.dtype.kind not in "biufc":
        raise ValueError(
            "Expected images (height, width) or (batch, height, width). Received "
            f"{images.dtype} of shape {images.shape}."
        )
    images = images.astype("complex64" if images.dtype.kind == "c" else "float32")
    if not np.isfinite(images).all():
        raise ValueError(
            f"The images hold {int((~np.isfinite(images)).sum())} values that are NaN or infinite."
        )
    if images.dtype.kind == "f" and images.min() < 0:
        raise ValueError(
            f"Magnitudes are 0 or more. Received images with a smallest value of {images.min():g}."
        )
    return images


@contextlib.contextmanager
def naming(path: str | os.PathLike) -> Iterator[None]:
    """Let what is wrong with a scan name the file that it came from."""
    with reading(path):
        yield


def _told(mask):
    part = f"{mask.mean():.1%} of k-space is sampled"
    if mask.all():
        return "No sample of k-space is zero: it is taken as fully sampled."
    axis = sampled_axis(mask)
    how = "point by point" if axis is None else f"in whole lines along the {axis}"
    masks = "" if len(mask) == 1 else f", {len(mask)} masks"
    return f"Mask found from the zeros of k-space: {part}, {how}{masks}."


def _checked_maps(maps, kspace, remarks):
    maps = checked_kspace(maps, "coil maps").astype("complex64")
    if maps.ndim == 3:
        maps = maps[None]
    expected = kspace.shape if kspace.ndim == 4 else (len(kspace), 1, *kspace.shape[1:])
    if maps.ndim != 4 or maps.shape[1:] != expected[1:] or len(maps) not in (1, len(kspace)):
        raise ValueError(
            f"Coil maps of shape {maps.shape} do not fit k-space of {expected[1]} coils, "
            f"{len(kspace)} images, {expected[2]} x {expected[3]}."
        )
    energy = np.square(np.abs(maps)).sum(axis=1, keepdims=True)
    if not energy.any():
        raise ValueError("The coil maps are zero everywhere.")
    if np.abs(energy[energy > 0] - 1).max() > 1e-2:
        remarks.append("The coil maps were divided by the root of their energy at each pixel.")
        maps = maps / np.where(energy > 0, np.sqrt(energy), 1)
    return maps
