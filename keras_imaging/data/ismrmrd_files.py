"""Cartesian scans from ISMRMRD files (HDF5)."""

from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np

from keras_imaging.data.kspace import along, decoupled
from keras_imaging.data.mri_scan import MRIScan, measured_scan

# Bits of an acquisition's flags, counted from 1 as the standard does.
_NOISE = 19
_CALIBRATION = 20
_CALIBRATION_AND_IMAGE = 21
_REVERSED = 22
_NO_IMAGE = {
    23: "navigator",
    24: "phase correction",
    26: "HP feedback",
    27: "dummy",
    28: "RT feedback",
    29: "surface coil correction",
    30: "phase stabilization reference",
    31: "phase stabilization",
}

# What makes an image of its own, slowest first; averages are averaged.
_FRAMES = ("repetition", "phase", "set", "contrast")

# From the patient's left, back, up to NIfTI's right, front, up.
_TO_RAS = np.diag([-1.0, -1.0, 1.0])


class _Encoding(NamedTuple):
    """Of the header's first encoding; lengths by axis x, y, z."""

    trajectory: str
    matrix: tuple[int, int, int]
    field_of_view: tuple[float, float, float]
    image_field_of_view: tuple[float, float, float]
    centers: tuple[int | None, int | None]
    calibration: str


def read_ismrmrd(group, whiten: bool = True) -> MRIScan:
    """The images' k-space of an ISMRMRD data set.

    The readout runs along the height of the result, the phase encoding along its width; of a
    volume, one slice a position of the readout, phase encodings along height and width. Readout
    oversampling is removed; partial Fourier and partial echo are filled with zeros; averages are
    averaged; frames (repetition, phase, set, contrast) and slices form the batch. Lines that make
    no image, such as navigators, are left out.

    Args:
        group: the HDF5 group that holds `xml` and `data`.
        whiten: decorrelate the coils by the noise scans, if there are any.

    Raises:
        ValueError: in one line, if the header is missing or damaged, the trajectory is not
            Cartesian, or the acquisitions disagree with the header.
    """
    if "xml" not in group:
        raise ValueError("an ISMRMRD data set without header (no 'xml'): nothing says its matrix")
    if "data" not in group or not len(group["data"]):
        raise ValueError("an ISMRMRD data set without acquisitions ('data')")
    encoding, n_encodings = _encoding(group["xml"][0])
    if encoding.trajectory != "cartesian":
        raise ValueError(
            f"the trajectory is {encoding.trajectory!r}, and only Cartesian scans are read; other "
            "samples need a non-uniform Fourier transform"
        )
    heads = group["data"].fields("head")[:]
    remarks = []
    if n_encodings > 1:
        remarks.append(f"The first of {n_encodings} encodings is read.")
    image, noise = _sorted_out(heads, encoding, remarks)
    # Noise of another set of coils says nothing of these.
    noise = noise[heads["active_channels"][noise] == heads["active_channels"][image[0]]]
    reader = _Reader(group["data"], heads)
    whitening = _whitening(reader, noise, remarks) if whiten else None
    return _assembled(reader, image, encoding, whitening, remarks)


class _Reader:
    """Samples of acquisitions, `(coils, samples)`, those to discard left out."""

    def __init__(self, data, heads):
        self._data, self.heads = data.fields("data"), heads

    def __call__(self, number):
        head = self.heads[number]
        samples = np.asarray(self._data[number], "float32").view("complex64")
        shape = int(head["active_channels"]), int(head["number_of_samples"])
        if samples.size != shape[0] * shape[1]:
            raise ValueError(
                f"acquisition {number} holds {samples.size} samples, its head says "
                f"{shape[0]} coils x {shape[1]}"
            )
        last = shape[1] - int(head["discard_post"])
        return samples.reshape(shape)[:, int(head["discard_pre"]) : last]


def _encoding(xml):
    try:
        root = ElementTree.fromstring(xml)
        encodings = _all(root, "encoding")
        first = encodings[0]
        encoded, image = _all(first, "encodedSpace")[0], _all(first, "reconSpace")[0]
        limits = _all(first, "encodingLimits")
        centers = []
        for step in ("kspace_encoding_step_1", "kspace_encoding_step_2"):
            found = _all(limits[0], step) if limits else []
            # A centre at the edge is one that was never filled in.
            centers.append(int(_text(found[0], "center")) or None if found else None)
        matrix = tuple(int(_text(_all(encoded, "matrixSize")[0], axis)) for axis in "xyz")
        if min(matrix) < 1:
            raise ValueError(f"a matrix of {' x '.join(map(str, matrix))}")
        return _Encoding(
            _text(first, "trajectory").strip().lower(),
            matrix,
            tuple(float(_text(_all(encoded, "fieldOfView_mm")[0], axis)) for axis in "xyz"),
            tuple(float(_text(_all(image, "fieldOfView_mm")[0], axis)) for axis in "xyz"),
            tuple(centers),
            next((e.text or "" for e in first.iter() if _name(e) == "calibrationMode"), "").strip(),
        ), len(encodings)
    except (ElementTree.ParseError, IndexError, TypeError, ValueError) as error:
        raise ValueError(f"the ISMRMRD header cannot be understood: {error}") from error


def _name(element):
    return element.tag.rsplit("}", 1)[-1]


def _all(element, name):
    return [child for child in element if _name(child) == name]


def _text(element, name):
    return _all(element, name)[0].text


def _sorted_out(heads, encoding, remarks):
    """Numbers of the acquisitions that make images, and of the noise scans."""

    def flagged(bit):
        return (heads["flags"] & np.uint64(1 << (bit - 1))) != 0

    noise = flagged(_NOISE)
    left_out = noise.copy()
    for bit, name in _NO_IMAGE.items():
        found = flagged(bit) & ~left_out
        if found.any():
            remarks.append(f"{found.sum()} {name} acquisitions are left out.")
        left_out |= found
    reference = flagged(_CALIBRATION) & ~flagged(_CALIBRATION_AND_IMAGE) & ~left_out
    if reference.any() and encoding.calibration == "separate":
        remarks.append(f"{reference.sum()} separate calibration lines are left out.")
        left_out |= reference
    others = (heads["encoding_space_ref"] != 0) & ~left_out
    if others.any():
        remarks.append(f"{others.sum()} acquisitions of further encodings are left out.")
        left_out |= others
    if (flagged(_REVERSED) & ~left_out).any():
        raise ValueError(
            "lines are read in both directions (echo planar imaging), which needs a phase "
            "correction that is not done here"
        )
    image = np.flatnonzero(~left_out)
    if not len(image):
        raise ValueError("no acquisition makes an image")
    return image, np.flatnonzero(noise)


def _whitening(reader, noise, remarks):
    """The matrix after which all coils have independent noise of deviation 1, or None."""
    if not len(noise):
        return None
    samples = np.concatenate([reader(number) for number in noise], axis=1).astype("complex128")
    n_coils, count = samples.shape
    samples -= samples.mean(axis=1, keepdims=True)
    covariance = samples @ samples.conj().T / max(count - 1, 1)
    values = np.linalg.eigvalsh(covariance)
    if count <= 2 * n_coils or not values[0] > 1e-10 * values[-1]:
        remarks.append(
            f"The noise scans, {count} samples of {n_coils} coils, do not tell the coils' noise: "
            "no whitening."
        )
        return None
    remarks.append(f"The coils' noise was decorrelated by {len(noise)} noise scans.")
    return np.linalg.inv(np.linalg.cholesky(covariance)).astype("complex64")


def _assembled(reader, image, encoding, whitening, remarks):
    heads = reader.heads[image]
    counters = heads["idx"]
    n_x, n_y, n_z = encoding.matrix
    coils = np.unique(heads["active_channels"])
    if len(coils) != 1:
        raise ValueError(f"acquisitions disagree on the number of coils: {coils.tolist()}")
    lengths = heads["number_of_samples"].astype(int) - heads["discard_pre"] - heads["discard_post"]
    if lengths.max() > n_x:
        raise ValueError(f"a line has {lengths.max()} samples, the header's matrix {n_x}")
    rows = _places(counters["kspace_encode_step_1"], encoding.centers[0], n_y, 1, remarks)
    planes = _places(counters["kspace_encode_step_2"], encoding.centers[1], n_z, 2, remarks)
    slice_order, spacing = _slice_order(heads, remarks)
    slices = slice_order[counters["slice"]]
    frames = np.stack([counters[name].astype(int) for name in _FRAMES], axis=1)
    kinds, frame = np.unique(frames, axis=0, return_inverse=True)
    n_slices, n_frames = int(slices.max()) + 1, len(kinds)
    if n_frames > 1:
        varying = [name for name, column in zip(_FRAMES, kinds.T, strict=True) if np.ptp(column)]
        remarks.append(f"{n_frames} frames ({', '.join(varying)}), slowest in the batch.")
    kspace = np.zeros((n_frames * n_slices, int(coils[0]), n_x, n_y, n_z), "complex64")
    counts = np.zeros((len(kspace), n_y, n_z), int)
    partial = 0
    for k, number in enumerate(image):
        samples = reader(number)
        if whitening is not None:
            samples = whitening @ samples
        length = samples.shape[1]
        center = int(heads[k]["center_sample"]) - int(heads[k]["discard_pre"])
        first = 0 if length == n_x else n_x // 2 - center
        if not 0 <= first <= n_x - length:
            raise ValueError(
                f"a line of {length} samples with its centre at {center} does not fit into {n_x}"
            )
        partial += length < n_x
        place = frame.ravel()[k] * n_slices + slices[k]
        kspace[place, :, first : first + length, rows[k], planes[k]] += samples
        counts[place, rows[k], planes[k]] += 1
    kspace /= np.maximum(counts, 1)[:, None, None]
    if counts.max() > 1:
        remarks.append(f"Lines measured up to {counts.max()} times were averaged.")
    if partial:
        remarks.append(f"{partial} lines have a partial echo, filled with zeros.")
    kspace = _without_oversampling(kspace, encoding, remarks)
    n_x = kspace.shape[2]
    affine = _affine(heads[np.argmin(slices)], encoding, n_x, spacing, n_z > 1)
    if n_z > 1:
        if n_slices > 1:
            raise ValueError(f"{n_slices} slabs of a volume each are not read")
        kspace, n_slices = decoupled(kspace), n_x
        remarks.append(f"The volume is read as {n_x} slices along its readout.")
    else:
        kspace = kspace[..., 0]
    _tell_partial_fourier(counts > 0, remarks)
    return measured_scan(kspace, slices=n_slices, affine=affine, remarks=remarks)


def _places(steps, center, length, axis, remarks):
    """Where lines lie on an axis of k-space whose centre is at `length // 2`."""
    places = steps.astype(int) + (0 if center is None else length // 2 - center)
    if places.min() < 0 or places.max() >= length:
        raise ValueError(
            f"encoding step {axis} reaches from {steps.min()} to {steps.max()} around a centre at "
            f"{center}, which does not fit into the header's matrix of {length}"
        )
    if center is None and length > 1 and places.max() < length - 1 - length // 8:
        remarks.append(
            f"The header does not say where the centre of encoding step {axis} lies: "
            f"{length // 2} is assumed, with lines from {places.min()} to {places.max()}."
        )
    return places


def _slice_order(heads, remarks):
    """The place of every slice number along the direction of slices, and their distance in mm."""
    numbers, first = np.unique(heads["idx"]["slice"], return_index=True)
    order = np.zeros(int(numbers.max()) + 1, int)
    order[numbers] = np.arange(len(numbers))
    if len(numbers) == 1:
        return order, None
    direction = heads["slice_dir"][0].astype("float64")
    along_normal = heads["position"][first].astype("float64") @ direction
    if not np.ptp(along_normal):
        return order, None
    sequence = np.argsort(along_normal, kind="stable")
    order[numbers[sequence]] = np.arange(len(numbers))
    steps = np.diff(along_normal[sequence])
    if np.ptp(steps) > 0.01 * steps.mean():
        remarks.append("Slices lie at unequal distances; the affine has their mean.")
    return order, float(steps.mean())


def _without_oversampling(kspace, encoding, remarks):
    n_x = kspace.shape[2]
    wanted = 0
    if encoding.field_of_view[0] > 0:
        wanted = round(n_x * encoding.image_field_of_view[0] / encoding.field_of_view[0])
    if not 1 <= wanted < n_x:
        return kspace
    remarks.append(f"Readout oversampling was removed: {n_x} samples a line became {wanted}.")
    first = n_x // 2 - wanted // 2
    slices = along(np.fft.ifft, kspace, 2)[:, :, first : first + wanted]
    return along(np.fft.fft, slices, 2).astype("complex64")


def _affine(head, encoding, n_x, spacing, volume):
    """From (row, column, slice) of the result to millimetres, or None without directions."""
    directions = np.array([head[name] for name in ("read_dir", "phase_dir", "slice_dir")], float)
    if abs(np.linalg.det(directions)) < 0.5 or min(encoding.field_of_view) <= 0:
        return None
    steps = [
        encoding.field_of_view[0] / encoding.matrix[0],
        encoding.field_of_view[1] / encoding.matrix[1],
        encoding.field_of_view[2] / encoding.matrix[2] if volume or not spacing else spacing,
    ]
    centers = [n_x // 2, encoding.matrix[1] // 2, encoding.matrix[2] // 2 if volume else 0]
    columns = directions.T * steps
    corner = head["position"].astype(float) - columns @ centers
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = _TO_RAS @ columns, _TO_RAS @ corner
    # Of a volume the axes are (phase 1, phase 2, readout).
    return affine[:, [1, 2, 0, 3]] if volume else affine


def _tell_partial_fourier(measured, remarks):
    lines = measured.any(axis=0)
    for axis, name in ((1, "phase encoding 1"), (0, "phase encoding 2")):
        used = np.flatnonzero(lines.any(axis=axis))
        side = lines.shape[1 - axis]
        if side > 1 and (used[0] > 0.05 * side or used[-1] < 0.95 * side - 1):
            remarks.append(
                f"Along {name} only {used[0]} ... {used[-1]} of 0 ... {side - 1} were measured: "
                "partial Fourier or a smaller matrix, filled with zeros."
            )
