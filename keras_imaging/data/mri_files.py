"""MR scans from files: fastMRI, ISMRMRD, NumPy, NIfTI, DICOM and pictures."""

import os
import pathlib
from xml.etree import ElementTree

import h5py
import numpy as np

from keras_imaging.data import images
from keras_imaging.data.arrays import read_arrays
from keras_imaging.data.ismrmrd_files import read_ismrmrd
from keras_imaging.data.kspace import checked_mask, from_pairs
from keras_imaging.data.medical_images import is_dicom, read_dicom, read_nifti
from keras_imaging.data.mri_scan import MRIScan, checked_images, measured_scan, naming
from keras_imaging.data.reading import Budget, checked_dataset, reading
from keras_imaging.formats import READABLE

_HDF5_SUFFIXES = (".h5", ".hdf5", ".mrd")
_ARRAY_NAMES = {
    "kspace": ("kspace",),
    "mask": ("mask",),
    "maps": ("maps", "sensitivity_maps"),
    "truth": ("truth", "image", "target"),
    "affine": ("affine",),
}
_RECONSTRUCTIONS = ("reconstruction_rss", "reconstruction_esc")


def read_mri(path: str | os.PathLike, whiten: bool = True) -> MRIScan:
    """A scan, or images from which to simulate one, by what the file is.

    | file | what is read |
    |---|---|
    | .h5 of fastMRI | `kspace` `(slices, height, width)` or `(slices, coils, height, width)`, `mask`, and the reconstruction where it has the size of the k-space |
    | .h5, .mrd of ISMRMRD | see `read_ismrmrd` |
    | .npz | `kspace`, and if there are `mask`, `maps`, `truth`, `affine`; or `truth` alone; see `measured_scan` |
    | .npy | k-space |
    | .nii, .nii.gz | magnitudes, the truth |
    | DICOM, a file or the folder of a series | magnitudes, the truth |
    | .png and other pictures, of 8 or 16 bits | their grey, the truth |

    Args:
        path: the file, or a folder of DICOM.
        whiten: decorrelate the coils where an ISMRMRD file holds noise scans.

    Returns:
        What was read; `remarks` says how it was understood.

    Raises:
        ValueError: in one line that names the file, if it is missing, damaged, of an unknown kind,
            or what it holds cannot be a scan.

    Warns:
        UserWarning: if k-space seems never to have been shifted.

    Example:
        >>> scan = read_mri("file1000000.h5")  # doctest: +SKIP
        >>> scan.kspace.shape, scan.remarks  # doctest: +SKIP
    """  # noqa: E501
    path = pathlib.Path(path)
    name = path.name.lower()
    if path.is_dir():
        return read_dicom(path)
    if not path.is_file():
        raise ValueError(f"There is no file {str(path)!r}.")
    if not path.stat().st_size:
        raise ValueError(f"Cannot read {str(path)!r}: the file is empty")
    if name.endswith((".nii", ".nii.gz")):
        return read_nifti(path)
    if path.suffix.lower() in (".npz", ".npy"):
        return _read_numpy(path)
    if path.suffix.lower() in READABLE:
        return _read_picture(path)
    if path.suffix.lower() in _HDF5_SUFFIXES or h5py.is_hdf5(path):
        return _read_hdf5(path, whiten)
    if is_dicom(path):
        return read_dicom(path)
    raise ValueError(
        f"Cannot read {str(path)!r}: expected fastMRI or ISMRMRD (.h5), .npz, .npy, NIfTI, DICOM "
        "or a picture"
    )


def read_images(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Images to scan in simulation, by name.

    Args:
        path: what `read_mri` takes, for its truth; or an .npz file with one stack of images for
            each contrast, under any names.

    Returns:
        `(slices, height, width)` each, magnitudes or complex.

    Raises:
        ValueError: naming the file, if it cannot be read or holds no images.
    """
    path = pathlib.Path(path)
    if path.suffix.lower() == ".npz":
        arrays = read_arrays(path, skip_text=True)
        if not set(arrays) & {name for key in ("kspace", "truth") for name in _ARRAY_NAMES[key]}:
            stacks = {
                name: a for name, a in arrays.items() if a.ndim == 3 and a.dtype.kind in "ufc"
            }
            if stacks:
                with naming(path):
                    return {name: checked_images(stack) for name, stack in stacks.items()}
    scan = read_mri(path)
    if scan.truth is None:
        raise ValueError(f"Cannot read {str(path)!r}: it holds no images, only k-space")
    return {path.name.split(".")[0]: scan.truth}


def read_mask(path: str | os.PathLike) -> np.ndarray:
    """A sampling mask from a .npy file, an .npz file with `mask`, or a black and white picture.

    Raises:
        ValueError: naming the file, if it cannot be read or holds no such array. Whether its values
            and shape are those of a mask says `kspace.checked_mask`.
    """
    path = pathlib.Path(path)
    if path.suffix.lower() in READABLE:
        picture = _grey(images.read_image(path))
        return np.where(picture == picture.max(), 1, np.minimum(picture, 0.5))
    arrays = read_arrays(path)
    if len(arrays) == 1:
        return next(iter(arrays.values()))
    if "mask" not in arrays:
        raise ValueError(f"Cannot read {str(path)!r}: no array 'mask' among {sorted(arrays)}")
    return arrays["mask"]


def _read_numpy(path):
    arrays = read_arrays(path, skip_text=True)
    with naming(path):
        if path.suffix.lower() == ".npy":
            return measured_scan(arrays[""])
        given, remarks = {}, []
        for key, names in _ARRAY_NAMES.items():
            found = [name for name in names if name in arrays]
            if found:
                given[key] = arrays.pop(found[0])
        if not {"kspace", "truth"} & set(given):
            complex_names = [name for name, array in arrays.items() if array.dtype.kind == "c"]
            if len(complex_names) != 1:
                raise ValueError(
                    "expected arrays 'kspace' (with 'mask', 'maps', 'truth', 'affine' if there are)"
                    f" or 'truth', received {sorted([*given, *arrays])}"
                )
            given["kspace"] = arrays.pop(complex_names[0])
            remarks.append(f"The only complex array, {complex_names[0]!r}, is taken as k-space.")
        if arrays:
            remarks.append(f"Arrays left out: {', '.join(sorted(arrays))}.")
        truth = given.pop("truth", None)
        if truth is not None and truth.ndim in (3, 4) and truth.shape[-1] == 2:
            truth = from_pairs(truth) if truth.dtype.kind == "f" else truth
        affine = given.get("affine")
        if affine is not None and affine.shape != (4, 4):
            raise ValueError(f"'affine' must be of shape (4, 4), received {affine.shape}")
        if "kspace" in given:
            return measured_scan(truth=truth, remarks=remarks, **given)
        truth = checked_images(truth)
        return MRIScan(truth=truth, slices=len(truth), affine=affine, remarks=tuple(remarks))


def _read_picture(path):
    picture = _grey(images.read_image(path))
    return MRIScan(truth=checked_images(picture), remarks=("A picture: its grey is the truth.",))


def _grey(picture):
    """Of colours their brightness, from 0 to the largest value; of grey the values themselves."""
    if picture.ndim == 2:
        return picture.astype("float32")
    return np.rint(picture[..., :3] @ np.float32([0.299, 0.587, 0.114]))


def _read_hdf5(path, whiten):
    with reading(path, "Cannot read {path!r}: damaged or no HDF5: "):
        file = h5py.File(path)
    with file, naming(path):
        budget = Budget.of(path)
        if "kspace" in file:
            return _read_fastmri(file, budget)
        groups = [
            group
            for group in (file, *_hard_linked(file))
            if isinstance(group, h5py.Group) and {"data", "xml"} & set(group)
        ]
        if len(groups) != 1:
            raise ValueError(
                "neither fastMRI (no 'kspace') nor ISMRMRD (no group with 'data' and 'xml'); "
                f"the file holds {', '.join(sorted(file)) or 'nothing'}"
            )
        for name in {"data", "xml"} & set(groups[0]):
            checked_dataset(groups[0], name, budget)
        return read_ismrmrd(groups[0], whiten)


def _hard_linked(file):
    links = (name for name in file if isinstance(file.get(name, getlink=True), h5py.HardLink))
    return [file[name] for name in links]


def _read_fastmri(file, budget):
    kspace = checked_dataset(file, "kspace", budget)
    if kspace.ndim not in (3, 4):
        raise ValueError(
            "'kspace' must be (slices, height, width) or (slices, coils, height, width), received "
            f"{kspace.shape}"
        )
    values = kspace[:]
    if values.ndim == 3:
        values = values[:, None]
    remarks, truth = [], None
    for name in _RECONSTRUCTIONS:
        if name in file:
            reconstruction = checked_dataset(file, name, budget)
            size = reconstruction.shape[1:]
            if size == values.shape[2:]:
                truth = reconstruction[:]
            else:
                remarks.append(
                    f"'{name}' is {' x '.join(map(str, size))}, the k-space "
                    f"{values.shape[2]} x {values.shape[3]}: left out."
                )
    if "mask" in file:
        # What is sampled is found from the zeros: a file's mask may reach into columns that were
        # never measured, but padded.
        mask = checked_mask(checked_dataset(file, "mask", budget)[:], values.shape[-2:])
        values = values * mask[:1, None].astype(values.real.dtype)
    affine = None
    if "ismrmrd_header" in file:
        affine = _voxel_sizes(checked_dataset(file, "ismrmrd_header", budget)[()])
    if affine is not None:
        remarks.append("The affine has the size of voxels; fastMRI does not say where they lie.")
    return measured_scan(values, truth=truth, affine=affine, remarks=remarks)


def _voxel_sizes(xml):
    """An affine without a place, from the encoded space of an ISMRMRD header; None if damaged."""
    try:
        root = ElementTree.fromstring(xml)
        encoded = next(e for e in root.iter() if e.tag.endswith("encodedSpace"))
        lengths, fields = (
            [float(e.text) for e in next(c for c in encoded if c.tag.endswith(name))]
            for name in ("matrixSize", "fieldOfView_mm")
        )
        return np.diag([*(f / n for f, n in zip(fields, lengths, strict=True)), 1.0])
    except (ElementTree.ParseError, StopIteration, TypeError, ValueError, ZeroDivisionError):
        return None
