"""Scans in ISMRMRD files, which the standard's own library writes."""

import h5py
import numpy as np
import pytest

from keras_imaging.data.coil_maps import birdcage_maps
from keras_imaging.data.head_phantom import head_phantom
from keras_imaging.data.kspace import image_to_kspace, kspace_to_image
from keras_imaging.data.mri import synthetic_phase
from keras_imaging.data.mri_files import read_mri

ismrmrd = pytest.importorskip("ismrmrd")

N_X, N_Y, COILS = 32, 24, 3
# The object lies in the inner half of the readout: the outer is oversampling.
OBJECT = np.zeros((N_X, N_Y), "complex64")
OBJECT[8:24] = head_phantom((16, N_Y)) * np.exp(1j * synthetic_phase((16, N_Y), 2))
IMAGES = (birdcage_maps((N_X, N_Y), COILS) * OBJECT).astype("complex64")
KSPACE = image_to_kspace(IMAGES).astype("complex64")


def header(trajectory="cartesian", n_z=1, center=N_Y // 2, recon_x=N_X // 2, encodings=1):
    def space(x, n_x):
        return (
            f"<matrixSize><x>{n_x}</x><y>{N_Y}</y><z>{n_z}</z></matrixSize>"
            f"<fieldOfView_mm><x>{x}</x><y>240</y><z>{5 * n_z}</z></fieldOfView_mm>"
        )

    encoding = (
        f"<encoding><encodedSpace>{space(640, N_X)}</encodedSpace>"
        f"<reconSpace>{space(640 * recon_x / N_X, recon_x)}</reconSpace><encodingLimits>"
        f"<kspace_encoding_step_1><minimum>0</minimum><maximum>{N_Y - 1}</maximum>"
        f"<center>{center}</center></kspace_encoding_step_1></encodingLimits>"
        f"<trajectory>{trajectory}</trajectory></encoding>"
    )
    return (
        '<?xml version="1.0"?><ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">'
        "<experimentalConditions><H1resonanceFrequency_Hz>1</H1resonanceFrequency_Hz>"
        f"</experimentalConditions>{encoding * encodings}</ismrmrdHeader>"
    )


def line(samples, flags=(), **fields):
    """An acquisition of `(coils, samples)`; fields of the counters have the prefix `idx_`."""
    acquisition = ismrmrd.Acquisition.from_array(np.ascontiguousarray(samples, "complex64"))
    acquisition.center_sample = fields.pop("center_sample", samples.shape[1] // 2)
    for direction, vector in (("read_dir", (1, 0, 0)), ("phase_dir", (0, 1, 0))):
        getattr(acquisition, direction)[:] = vector
    acquisition.slice_dir[:] = (0, 0, 1)
    acquisition.position[:] = fields.pop("position", (0, 0, 0))
    for name, value in fields.items():
        if name.startswith("idx_"):
            setattr(acquisition.idx, name.removeprefix("idx_"), value)
        else:
            setattr(acquisition, name, value)
    for flag in flags:
        acquisition.setFlag(flag)
    return acquisition


def lines(kspace, rows=range(N_Y), shift=0, **fields):
    return [line(kspace[:, :, row], idx_kspace_encode_step_1=row - shift, **fields) for row in rows]


def write(path, acquisitions, xml=None):
    with ismrmrd.Dataset(str(path), "dataset", mode="w") as dataset:
        dataset.write_xml_header((header() if xml is None else xml).encode())
        for acquisition in acquisitions:
            dataset.append_acquisition(acquisition)
    return path


def refused(path, message):
    with pytest.raises(ValueError, match=message) as caught:
        read_mri(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def told(scan, *parts):
    for part in parts:
        assert any(part in remark for remark in scan.remarks), scan.remarks


def test_lines_become_kspace(tmp_path):
    rows = sorted({*range(9, 15), *range(0, N_Y, 3)})
    scan = read_mri(write(tmp_path / "scan.h5", lines(KSPACE, rows)))
    assert scan.kspace.shape == (1, COILS, N_X // 2, N_Y) and scan.kspace.dtype == np.complex64
    # Without oversampling the image is its middle.
    whole = KSPACE * np.isin(np.arange(N_Y), rows)
    np.testing.assert_allclose(
        kspace_to_image(scan.kspace[0]), kspace_to_image(whole)[:, 8:24], atol=1e-5
    )
    np.testing.assert_array_equal(scan.mask[0], np.isin(np.ones((16, 1)) * np.arange(N_Y), rows))
    told(scan, "32 samples a line became 16", "along the height")
    # Rows by 20 mm, columns by 10 mm, in RAS, around the middle pixel.
    expected = np.diag([-20.0, -10, 5, 1])
    expected[:2, 3] = 160, 120
    np.testing.assert_allclose(scan.affine, expected)


def test_slices_frames_and_averages(tmp_path):
    acquisitions = []
    # Slices are numbered in the order of their acquisition, not of their place.
    for repetition in range(2):
        for number, height in enumerate((4.0, -4.0, 0.0)):
            scale = (1 + repetition) * (height + 10)
            for average in (-0.5, 0.5):
                acquisitions += lines(
                    (scale + average) * KSPACE,
                    idx_slice=number,
                    idx_repetition=repetition,
                    position=(0, 0, height),
                )
    scan = read_mri(write(tmp_path / "scan.mrd", acquisitions, header(recon_x=N_X)))
    assert scan.kspace.shape == (6, COILS, N_X, N_Y) and scan.slices == 3
    for image, scale in zip(scan.kspace, (6, 10, 14, 12, 20, 28), strict=True):
        np.testing.assert_allclose(image, scale * KSPACE, atol=1e-4)
    told(scan, "2 frames (repetition)", "up to 2 times were averaged", "fully sampled")
    np.testing.assert_allclose(scan.affine[:3, 2], (0, 0, 4))
    np.testing.assert_allclose(scan.affine[2, 3], -4)


def test_noise_whitens_the_coils(tmp_path):
    rng = np.random.default_rng(0)
    mixing = np.array([[2, 0, 0], [1, 1, 0], [0.5j, 0, 3]])
    noise = (mixing @ (rng.normal(size=(3, 4096)) + 1j * rng.normal(size=(3, 4096)))) / 2**0.5
    scans = [line(part, [ismrmrd.ACQ_IS_NOISE_MEASUREMENT]) for part in np.split(noise, 8, axis=1)]
    path = write(tmp_path / "noise.h5", scans + lines(KSPACE), header(recon_x=N_X))
    plain = read_mri(path, whiten=False)
    np.testing.assert_allclose(plain.kspace[0], KSPACE, atol=1e-5)
    scan = read_mri(path)
    told(scan, "decorrelated by 8 noise scans")
    # The lower triangular root of the covariance is the mixing but for the estimate's error.
    whitened = np.einsum(
        "cd,dxy->cxy", np.linalg.inv(np.linalg.cholesky(mixing @ mixing.conj().T)), KSPACE
    )
    assert np.abs(scan.kspace[0] - whitened).max() < 0.05 * np.abs(whitened).max()
    others = [line(noise[:2, :99], [ismrmrd.ACQ_IS_NOISE_MEASUREMENT])]
    other = read_mri(write(tmp_path / "other.h5", others + lines(KSPACE), header(recon_x=N_X)))
    np.testing.assert_allclose(other.kspace[0], KSPACE, atol=1e-5)
    few = write(tmp_path / "few.h5", [line(noise[:, :4], [19])] + lines(KSPACE))
    told(read_mri(few), "no whitening")


def test_partial_fourier_and_partial_echo(tmp_path):
    # Lines are counted from the first that was measured; the header says where the centre is.
    rows = range(6, N_Y)
    short = [
        line(KSPACE[:, 10:, row], idx_kspace_encode_step_1=row - 6, center_sample=N_X // 2 - 10)
        for row in rows
    ]
    xml = header(recon_x=N_X, center=N_Y // 2 - 6)
    scan = read_mri(write(tmp_path / "partial.h5", short, xml))
    expected = KSPACE.copy()
    expected[:, :10] = 0
    expected[:, :, :6] = 0
    np.testing.assert_allclose(scan.kspace[0], expected, atol=1e-6)
    np.testing.assert_array_equal(scan.mask[0], expected[0] != 0)
    told(scan, "18 lines have a partial echo", "only 6 ... 23 of 0 ... 23")
    told(
        read_mri(write(tmp_path / "unsaid.h5", short, header(recon_x=N_X, center=0))),
        "does not say where the centre of encoding step 1",
    )
    # Samples around the line itself are left out.
    framed = [
        line(
            np.pad(KSPACE[:, :, row], ((0, 0), (3, 2)), constant_values=99),
            idx_kspace_encode_step_1=row,
            discard_pre=3,
            discard_post=2,
            center_sample=N_X // 2 + 3,
        )
        for row in range(N_Y)
    ]
    scan = read_mri(write(tmp_path / "framed.h5", framed, header(recon_x=N_X)))
    np.testing.assert_allclose(scan.kspace[0], KSPACE, atol=1e-6)


def test_volume(tmp_path):
    n_z = 4
    volume = np.stack([weight * IMAGES for weight in (1, 2, 0, 4)], axis=-1)
    axes = (1, 2, 3)
    kspace = np.fft.fftshift(
        np.fft.fftn(np.fft.ifftshift(volume, axes), axes=axes, norm="ortho"), axes
    )
    points = [(row, plane) for row in range(N_Y) for plane in range(n_z) if (row + plane) % 3]
    acquisitions = [
        line(
            kspace[:, :, row, plane],
            idx_kspace_encode_step_1=row,
            idx_kspace_encode_step_2=plane,
            position=(10, 20, 30),
        )
        for row, plane in points
    ]
    scan = read_mri(write(tmp_path / "volume.h5", acquisitions, header(n_z=n_z)))
    assert scan.kspace.shape == (N_X // 2, COILS, N_Y, n_z) and scan.slices == N_X // 2
    mask = np.zeros((N_Y, n_z))
    mask[tuple(np.transpose(points))] = 1
    np.testing.assert_array_equal(scan.mask, mask[None])
    expected = image_to_kspace(volume[:, 8:24].transpose(1, 0, 2, 3)) * mask
    np.testing.assert_allclose(scan.kspace, expected, atol=1e-5)
    # A partial echo of a volume is filled with zeros, too.
    short = [
        line(
            kspace[:, 8:, row, plane],
            idx_kspace_encode_step_1=row,
            idx_kspace_encode_step_2=plane,
            center_sample=N_X // 2 - 8,
        )
        for row, plane in points
    ]
    xml = header(n_z=n_z, recon_x=N_X)
    partial = read_mri(write(tmp_path / "partial.h5", short, xml))
    assert partial.kspace.shape == (N_X, COILS, N_Y, n_z)
    np.testing.assert_array_equal(partial.mask, mask[None])
    told(partial, "partial echo")
    # The middle voxel (phase, partition, readout) lies at the header's position.
    place = scan.affine @ (N_Y // 2, n_z // 2, N_X // 4, 1)
    np.testing.assert_allclose(place, (-10, -20, 30, 1))
    np.testing.assert_allclose(np.abs(scan.affine[:3, :3]), [[0, 0, 20], [10, 0, 0], [0, 5, 0]])


def test_what_makes_no_image_is_left_out(tmp_path):
    extra = [
        line(99 * KSPACE[:, :, 3], [ismrmrd.ACQ_IS_NAVIGATION_DATA]),
        line(99 * KSPACE[:, :, 3], [ismrmrd.ACQ_IS_PHASECORR_DATA]),
        line(99 * KSPACE[:, :, 3], encoding_space_ref=1),
    ]
    xml = header(recon_x=N_X, encodings=2)
    scan = read_mri(write(tmp_path / "extra.h5", extra + lines(KSPACE), xml))
    np.testing.assert_allclose(scan.kspace[0], KSPACE, atol=1e-6)
    told(scan, "1 navigator", "1 phase correction", "1 acquisitions of further", "first of 2")


def test_refused(tmp_path):
    path = tmp_path / "bad.h5"
    refused(write(path, lines(KSPACE), header("radial")), "'radial'.*only Cartesian")
    refused(write(path, lines(KSPACE), header("epi")), "'epi'")
    refused(write(path, lines(KSPACE, flags=[ismrmrd.ACQ_IS_REVERSE])), "both directions")
    refused(write(path, lines(KSPACE), "<ismrmrdHeader><encoding>"), "header cannot be understood")
    refused(write(path, lines(KSPACE), "<ismrmrdHeader/>"), "header cannot be understood")
    empty = header().replace("<y>24</y>", "<y>0</y>")
    refused(write(path, lines(KSPACE), empty), "a matrix of 32 x 0 x 1")
    unsized = read_mri(write(tmp_path / "u.h5", lines(KSPACE), header().replace(">640<", ">0<")))
    assert unsized.kspace.shape[2] == N_X and unsized.affine is None
    refused(write(path, lines(KSPACE), header(center=2)), "encoding step 1")
    refused(write(path, lines(np.tile(KSPACE, (1, 2, 1)))), "64 samples.*matrix 32")
    mixed = lines(KSPACE) + lines(KSPACE[:2])
    refused(write(path, mixed), r"number of coils: \[2, 3\]")
    refused(write(path, [line(KSPACE[:, :, 0], [ismrmrd.ACQ_IS_NOISE_MEASUREMENT])]), "no acquis")
    write(path, lines(KSPACE))
    with h5py.File(path, "a") as file:
        del file["dataset/xml"]
    refused(path, "without header")
    write(path, lines(KSPACE))
    with h5py.File(path, "a") as file:
        del file["dataset/data"]
    refused(path, "without acquisitions")
    write(path, lines(KSPACE))
    path.write_bytes(path.read_bytes()[:3000])
    refused(path, "damaged")
