"""Magnitude images of NIfTI and DICOM files, and reconstructions as NIfTI.

They are truth from which to simulate scans: a magnitude image has lost its phase and its coils.
What is written is NIfTI, never DICOM: a research image must not look like one from a scanner.
"""

import gzip
import importlib
import os
import pathlib

import numpy as np

from keras_imaging.data.images import replacing
from keras_imaging.data.mri_scan import MRIScan, checked_images, naming
from keras_imaging.data.reading import Budget, array_size

NIFTI_SUFFIXES = (".nii", ".nii.gz")

# Of DICOM's left, back, up.
_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def read_nifti(path: str | os.PathLike) -> MRIScan:
    """The volume of a NIfTI file as axial slices, front side up.

    Args:
        path: ends with .nii or .nii.gz; 2 to 4 axes, the fourth of frames.

    Raises:
        ValueError: naming the file, if it cannot be read or holds no magnitudes; if nibabel is not
            installed.
    """
    nibabel = _imported("nibabel")
    try:
        image = nibabel.as_closest_canonical(nibabel.load(path))
        Budget.of(path).take(array_size(image.shape, image.get_data_dtype()))
        values = np.asanyarray(image.dataobj)
    # Of a damaged file each layer raises what it likes.
    except Exception as error:
        raise ValueError(f"Cannot read {str(path)!r}: {_reason(error)}") from error
    if values.dtype.kind not in "biufc" or not 2 <= values.ndim <= 4 or not values.size:
        raise ValueError(
            f"Cannot read {str(path)!r}: expected numbers of 2 to 4 axes, received {values.dtype} "
            f"of shape {values.shape}"
        )
    values = values.reshape(values.shape + (1,) * (4 - values.ndim))
    columns, rows, n_slices, n_frames = values.shape
    # (x, y, slice, frame) with y to the front: rows from the front to the back.
    images = values[:, ::-1].transpose(3, 2, 1, 0).reshape(-1, rows, columns)
    affine = image.affine @ np.array(
        [[0, 1, 0, 0], [-1, 0, 0, rows - 1], [0, 0, 1, 0], [0, 0, 0, 1]]
    )
    remarks = [f"{n_slices} slices of {rows} x {columns} from NIfTI, front side up."]
    if n_frames > 1:
        remarks.append(f"{n_frames} frames, slowest in the batch.")
    with naming(path):
        truth = checked_images(images)
    return MRIScan(truth=truth, slices=n_slices, affine=affine, remarks=tuple(remarks))


def write_nifti(
    path: str | os.PathLike,
    images: np.ndarray,
    affine: np.ndarray | None = None,
    slices: int | None = None,
) -> None:
    """Write images as a NIfTI volume, whole or not at all.

    Args:
        path: ends with .nii or .nii.gz.
        images: `(batch, height, width)`, complex or real; complex become magnitudes.
        affine: `(4, 4)` from (row, column, slice) to millimetres, as in `MRIScan`; None is one
            millimetre along each axis.
        slices: how many of the batch make one frame; several frames become a fourth axis. None is
            all.

    Raises:
        ValueError: if the name ends otherwise, the images or the affine are of another shape, or
            nibabel is not installed.
        OSError: if the file cannot be written.
    """
    nibabel = _imported("nibabel")
    path = pathlib.Path(path)
    if not path.name.endswith(NIFTI_SUFFIXES):
        raise ValueError(f"Expected a file name that ends with .nii or .nii.gz: {str(path)!r}")
    images = np.asarray(images)
    slices = len(images) if slices is None else slices
    if images.ndim != 3 or not images.size or slices < 1 or len(images) % slices:
        raise ValueError(
            "Expected images (batch, height, width), a multiple of the slices of a frame. Received "
            f"shape {images.shape}, slices={slices}"
        )
    affine = np.eye(4) if affine is None else np.asarray(affine, "float64")
    if affine.shape != (4, 4):
        raise ValueError(f"`affine` must be of shape (4, 4). Received shape {affine.shape}.")
    values = np.abs(images).astype("float32").reshape(-1, slices, *images.shape[1:])
    values = values.transpose(2, 3, 1, 0)
    volume = nibabel.Nifti1Image(values[..., 0] if values.shape[-1] == 1 else values, affine)
    volume.header["descrip"] = b"research reconstruction, not for diagnosis"
    volume.header.set_xyzt_units("mm")
    content = volume.to_bytes()
    with replacing(path) as stream:
        stream.write(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)


def read_dicom(path: str | os.PathLike) -> MRIScan:
    """The magnitude images of a DICOM file, or of a folder with the files of one series.

    Args:
        path: the file, of one image or several; or a folder, whose slices are sorted by place.

    Raises:
        ValueError: naming the file, if it cannot be read, is not an MR image, or holds a phase; if
            a folder holds images of several series or sizes; if pydicom is not installed.
    """
    pydicom = _imported("pydicom")
    path = pathlib.Path(path)
    files = sorted(f for f in path.rglob("*") if is_dicom(f)) if path.is_dir() else [path]
    if not files:
        raise ValueError(f"There is no DICOM file in {str(path)!r}.")
    images = []
    for file in files:
        try:
            images.append(_dicom_image(pydicom.dcmread(file)))
        except Exception as error:
            raise ValueError(f"Cannot read {str(file)!r}: {_reason(error)}") from error
    series = {image["series"] for image in images}
    sizes = {image["values"].shape[1:] for image in images}
    if len(series) > 1 or len(sizes) > 1:
        raise ValueError(
            f"{str(path)!r} holds {len(series)} series with images of {len(sizes)} sizes; expected "
            "those of one scan."
        )
    remarks = []
    placed = all(image["affine"] is not None for image in images)
    affine = None
    if placed and len(images) > 1:
        normal = np.cross(images[0]["affine"][:3, 1], images[0]["affine"][:3, 0])
        images.sort(key=lambda image: image["affine"][:3, 3] @ normal)
        affine = images[0]["affine"].copy()
        step = images[-1]["affine"][:3, 3] - affine[:3, 3]
        affine[:3, 2] = step / (len(images) - 1)
        if not step.any():
            remarks.append("The images lie at one place: they are taken as frames, in their order.")
            affine[:3, 2] = images[0]["affine"][:3, 2]
    elif placed:
        affine = images[0]["affine"]
    else:
        remarks.append("The images do not say where they lie: in the order of their names.")
    truth = checked_images(np.concatenate([image["values"] for image in images]))
    at_one_place = len(images) > 1 and affine is not None and not step.any()
    remarks.insert(0, f"{len(truth)} images of {truth.shape[1]} x {truth.shape[2]} from DICOM.")
    return MRIScan(
        truth=truth,
        slices=1 if at_one_place else len(truth),
        affine=affine,
        remarks=tuple(remarks),
    )


def is_dicom(path: pathlib.Path) -> bool:
    """Whether a file begins as DICOM files do."""
    try:
        with open(path, "rb") as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError:
        return False


def _dicom_image(data):
    """Values `(frames, rows, columns)`, where they lie, and the series."""
    modality = data.get("Modality", "MR")
    if modality != "MR":
        raise ValueError(f"expected an MR image, received modality {modality}")
    kinds = [str(kind).upper() for kind in data.get("ImageType", [])]
    component = str(data.get("ComplexImageComponent", "MAGNITUDE")).upper()
    if component not in ("MAGNITUDE", "MIXED") or {"P", "PHASE"} & set(kinds[2:]):
        raise ValueError("expected magnitudes, received a phase or one part of complex numbers")
    if data.get("SamplesPerPixel", 1) != 1:
        raise ValueError("expected one value a pixel, received colours")
    values = data.pixel_array.astype("float32")
    values = values * float(data.get("RescaleSlope", 1)) + float(data.get("RescaleIntercept", 0))
    # Rescaled magnitudes may lie below zero by an intercept of the display.
    values = np.maximum(values, 0)
    affine = None
    if all(key in data for key in ("ImagePositionPatient", "ImageOrientationPatient")):
        across, down = np.reshape(np.asarray(data.ImageOrientationPatient, float), (2, 3))
        between_rows, between_columns = (float(n) for n in data.get("PixelSpacing", (1, 1)))
        thickness = float(data.get("SpacingBetweenSlices", data.get("SliceThickness", 1)) or 1)
        affine = np.eye(4)
        affine[:3, 0], affine[:3, 1] = down * between_rows, across * between_columns
        affine[:3, 2] = np.cross(across, down) * thickness
        affine[:3, 3] = np.asarray(data.ImagePositionPatient, float)
        affine = _TO_RAS @ affine
    return {
        "values": values[None] if values.ndim == 2 else values,
        "affine": affine,
        "series": str(data.get("SeriesInstanceUID", "")),
    }


def _imported(name):
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ValueError(f"This needs {name}: pip install 'keras-imaging[mri]'") from error


def _reason(error):
    return " ".join(str(error).split()) or type(error).__name__
