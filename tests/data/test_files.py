"""Files come into being whole, and stay to the system what they were."""

import concurrent.futures
import os
import stat

import pytest

from keras_imaging.data.files import replacing


def write(path, content=b"new", **options):
    with replacing(path, **options) as stream:
        stream.write(content)


def test_the_longest_name(tmp_path):
    # 255 bytes in UTF-8, all that common file systems hold.
    path = tmp_path / (83 * "\u56fe" + "ab.png")
    write(path)
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == [path.name]


def test_many_threads_and_one_path(tmp_path):
    contents = [bytes([k]) * 10_000 for k in range(64)]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda content: write(tmp_path / "a", content), contents))
    assert (tmp_path / "a").read_bytes() in contents
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_what_stood_there_keeps_its_permissions(tmp_path):
    path = tmp_path / "a"
    write(path)
    usual = stat.S_IMODE(path.stat().st_mode)
    (tmp_path / "b").touch()
    assert usual == stat.S_IMODE((tmp_path / "b").stat().st_mode)
    path.chmod(0o640)
    write(path, b"newer")
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"newer", 0o640)
    # Unless they are chosen.
    write(path, permissions=0o600)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.skipif(os.name != "posix", reason="links of POSIX")
def test_a_link_stays_one(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    real = tmp_path / "elsewhere" / "a"
    real.write_bytes(b"old")
    link = tmp_path / "link"
    link.symlink_to(real)
    write(link)
    assert link.is_symlink()
    assert real.read_bytes() == b"new"
    assert os.listdir(tmp_path / "elsewhere") == ["a"]


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="extended attributes of Linux")
def test_extended_attributes_stay(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    try:
        os.setxattr(path, "user.origin", b"here")
    except OSError:
        pytest.skip("the file system has none")
    write(path)
    assert os.getxattr(path, "user.origin") == b"here"


def test_what_fails_leaves_nothing(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "a"):
        1 / 0  # noqa: B018
    assert (tmp_path / "a").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]
