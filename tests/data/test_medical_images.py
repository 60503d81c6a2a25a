"""NIfTI and DICOM, which their own libraries write and read."""

import numpy as np
import pytest

from keras_imaging.data.head_phantom import head_phantom
from keras_imaging.data.medical_images import write_nifti
from keras_imaging.data.mri_files import read_mri

nibabel = pytest.importorskip("nibabel")
pydicom = pytest.importorskip("pydicom")


def refused(path, message):
    with pytest.raises(ValueError, match=message) as caught:
        read_mri(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_nifti_slices_stand_upright(tmp_path):
    # x to the left, y to the front, z up, at 2 x 3 x 4 mm: not the canonical order of axes.
    volume = np.random.default_rng(0).integers(0, 200, (6, 5, 3)).astype("int16")
    affine = np.diag([-2.0, 3, 4, 1])
    affine[:3, 3] = 7, 8, 9
    nibabel.save(nibabel.Nifti1Image(volume, affine), tmp_path / "head.nii.gz")
    scan = read_mri(tmp_path / "head.nii.gz")
    assert scan.truth.shape == (3, 5, 6) and scan.truth.dtype == np.float32
    assert scan.kspace is None and scan.slices == 3
    # The first row is the front, the first column the patient's left side as stored: smallest x.
    np.testing.assert_array_equal(scan.truth[1], volume[::-1, ::-1, 1].T)
    # Every voxel lies where it lay.
    for slice_, row, column in ((0, 0, 0), (2, 4, 1), (1, 2, 5)):
        place = scan.affine @ (row, column, slice_, 1)
        voxel = np.rint(np.linalg.inv(affine) @ place).astype(int)
        assert volume[tuple(voxel[:3])] == scan.truth[slice_, row, column]


def test_nifti_written_and_read(tmp_path):
    images = np.stack([(1 + k) * head_phantom((10, 8)) * np.exp(0.3j) for k in range(6)])
    affine = np.array([[0, 2.0, 0, 5], [-3, 0, 0, 6], [0, 0, 4, 7], [0, 0, 0, 1]])
    for name in ("out.nii", "out.nii.gz"):
        write_nifti(tmp_path / name, images, affine, slices=3)
        file = nibabel.load(tmp_path / name)
        assert file.shape == (10, 8, 3, 2)
        np.testing.assert_array_equal(file.affine, affine)
        assert b"not for diagnosis" in file.header["descrip"].item()
        scan = read_mri(tmp_path / name)
        np.testing.assert_allclose(scan.truth, np.abs(images), rtol=1e-6)
        np.testing.assert_allclose(scan.affine, affine)
        assert scan.slices == 3
    write_nifti(tmp_path / "plain.nii", images[:2])
    assert nibabel.load(tmp_path / "plain.nii").shape == (10, 8, 2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.nii", "out.nii.gz", "plain.nii"]
    for arguments, message in (
        (("out.dcm", images), "out.dcm"),
        (("out.nii", images[0]), r"\(10, 8\)"),
        (("out.nii", images, affine, 4), "slices=4"),
        (("out.nii", images, affine[:3]), r"\(3, 4\)"),
    ):
        with pytest.raises(ValueError, match=message):
            write_nifti(tmp_path / arguments[0], *arguments[1:])


def test_bad_nifti(tmp_path):
    path = tmp_path / "bad.nii"
    nibabel.save(nibabel.Nifti1Image(np.full((4, 4, 2), -1.0), np.eye(4)), path)
    refused(path, "Magnitudes are 0 or more")
    nibabel.save(nibabel.Nifti1Image(np.full((4, 4, 2), np.nan), np.eye(4)), path)
    refused(path, "NaN")
    nibabel.save(nibabel.Nifti1Image(np.ones((40, 40, 2)), np.eye(4)), path)
    path.write_bytes(path.read_bytes()[:2000])
    refused(path, "bad.nii")
    path.write_text("no volume")
    refused(path, "bad.nii")


def write_dicom(path, values, place=(0.0, 0.0, 0.0), **fields):
    data = pydicom.Dataset()
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    data.SOPClassUID = pydicom.uid.MRImageStorage
    data.SOPInstanceUID = pydicom.uid.generate_uid()
    data.SeriesInstanceUID = "1.2.3"
    data.Modality = "MR"
    data.ImageType = ["ORIGINAL", "PRIMARY", "M"]
    data.Rows, data.Columns = values.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 0
    data.PixelData = values.astype("<u2").tobytes()
    data.PixelSpacing, data.SliceThickness = [3.0, 2.0], 5.0
    data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    data.ImagePositionPatient = list(place)
    for name, value in fields.items():
        setattr(data, name, value)
    data.save_as(path, enforce_file_format=True)
    return path


def test_dicom(tmp_path):
    head = np.round(1000 * head_phantom((12, 10)))
    series = tmp_path / "series"
    series.mkdir()
    # The order of names is not that of places.
    for name, height in (("a", 8.0), ("b", 0.0), ("c", 4.0)):
        write_dicom(series / name, head + height, (10, 20, height), RescaleSlope=2)
    scan = read_mri(series)
    assert scan.truth.shape == (3, 12, 10) and scan.slices == 3
    for image, height in zip(scan.truth, (0, 4, 8), strict=True):
        np.testing.assert_array_equal(image, 2 * (head + height))
    # Rows to the back by 3 mm, columns to the left by 2, slices up by 4; in RAS.
    expected = np.array([[0, -2, 0, -10], [-3, 0, 0, -20], [0, 0, 4, 0], [0, 0, 0, 1]])
    np.testing.assert_allclose(scan.affine, expected)
    one = read_mri(write_dicom(tmp_path / "one.dcm", head))
    np.testing.assert_array_equal(one.truth[0], head)
    assert one.affine[2, 2] == 5
    # What is written as NIfTI lies at the same place.
    write_nifti(tmp_path / "out.nii", scan.truth, scan.affine)
    np.testing.assert_allclose(nibabel.load(tmp_path / "out.nii").affine, expected)


def test_dicom_frames(tmp_path):
    for number in range(2):
        write_dicom(tmp_path / f"{number}.dcm", np.full((4, 4), number))
    scan = read_mri(tmp_path)
    assert scan.slices == 1 and scan.truth[:, 0, 0].tolist() == [0, 1]
    assert any("at one place" in remark for remark in scan.remarks)


def test_bad_dicom(tmp_path):
    head = np.ones((6, 6))
    path = tmp_path / "bad.dcm"
    refused(write_dicom(path, head, Modality="CT"), "modality CT")
    refused(write_dicom(path, head, ImageType=["ORIGINAL", "PRIMARY", "P"]), "a phase")
    write_dicom(path, head)
    path.write_bytes(path.read_bytes()[:-20])
    refused(path, "bad.dcm")
    path.write_bytes(bytes(128) + b"DICM" + bytes(20))
    refused(path, "bad.dcm")
    path.unlink()
    refused(tmp_path, "no DICOM file")
    write_dicom(tmp_path / "a.dcm", head)
    write_dicom(tmp_path / "b.dcm", np.ones((6, 7)), SeriesInstanceUID="1.2.4")
    refused(tmp_path, "2 series with images of 2 sizes")
