import pytest

from keras_imaging.export.versions import newest, version_folder, versions


def saved(folder):
    folder.mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"")
    return folder


def test_versions_are_ordered_by_number(tmp_path):
    assert versions(tmp_path / "none") == versions(tmp_path) == {}
    for name in ("2", "10", "notes", "3x"):
        saved(tmp_path / name)
    (tmp_path / "11").mkdir()
    assert list(versions(tmp_path)) == [2, 10]
    assert newest(tmp_path) == (10, tmp_path / "10")
    alone = saved(tmp_path / "alone")
    assert newest(alone) == (1, alone)


def test_a_new_version_follows_the_newest(tmp_path):
    base = tmp_path / "base"
    assert version_folder(base) == base / "1"
    saved(base / "4")
    assert version_folder(base) == base / "5"
    assert version_folder(base, 2) == base / "2"
    with pytest.raises(ValueError, match="exists; give --overwrite"):
        version_folder(base, 4)
    assert version_folder(base, 4, overwrite=True) == base / "4"
    with pytest.raises(ValueError, match="at least 1"):
        version_folder(base, 0)
    with pytest.raises(ValueError, match="a SavedModel itself"):
        version_folder(base / "4")
