import os
import signal
import sqlite3
import threading
import time

import pytest

from keras_imaging.watermark.registry import Registry

KEY = "0123456789abcdef"

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*")


@pytest.fixture
def place(tmp_path):
    return tmp_path / "stamps.sqlite"


def finished(tmp_path, text="stamped"):
    path = tmp_path / ".photo.partial"
    path.write_text(text)
    return path


def test_issue(place, tmp_path):
    with Registry(place) as registry:
        assert registry.stamps() == []
        registry.check_new(KEY, b"1")
        for nonce in (b"1", b"", b"2", b""):
            registry.issue("Zoe\u0308", KEY, nonce, finished(tmp_path), tmp_path / "photo.png")
        registry.issue("Bob", "another key", b"1", finished(tmp_path), tmp_path / "photo.png")
    assert (tmp_path / "photo.png").read_text() == "stamped"
    assert not (tmp_path / ".photo.partial").exists()
    with Registry(place) as registry:
        # One name, however its accents are spelt.
        assert registry.nonces("Zoë", KEY) == [b"1", b"", b"2"]
        assert registry.nonces("Bob", KEY) == []
        stamp = registry.stamps("Bob")[0]
    assert stamp.picture == str(tmp_path / "photo.png") and len(stamp.digest) == 64
    if os.name == "posix":
        assert place.stat().st_mode & 0o777 == 0o600


def test_replayed_nonce(place, tmp_path):
    target = tmp_path / "photo.png"
    with Registry(place) as registry:
        registry.issue("alice", KEY, b"1", finished(tmp_path), target)
        partial = finished(tmp_path, "another")
        with pytest.raises(ValueError, match="31 was issued before"):
            registry.check_new(KEY, b"1")
        with pytest.raises(ValueError, match="31 was issued before"):
            registry.issue("alice", KEY, b"1", partial, target)
        assert target.read_text() == "stamped" and len(registry.stamps()) == 1


def test_a_picture_that_cannot_be_renamed_leaves_no_row(place, tmp_path):
    (tmp_path / "photo.png").mkdir()
    with Registry(place) as registry:
        with pytest.raises(OSError):
            registry.issue("alice", KEY, b"1", finished(tmp_path), tmp_path / "photo.png")
        registry.check_new(KEY, b"1")
    assert count(place) == 0


def count(place):
    with sqlite3.connect(place) as connection:
        return connection.execute("SELECT count(*) FROM stamps").fetchone()[0]


def crash(place, tmp_path, when):
    """Issue in a process that is killed before or after the picture is renamed."""
    target = tmp_path / "photo.png"
    child = os.fork()
    if child == 0:
        try:
            registry = Registry(place)
            rename = os.replace

            def killed(*paths):
                if when == "after":
                    rename(*paths)
                os.kill(os.getpid(), signal.SIGKILL)

            os.replace = killed
            registry.issue("alice", KEY, b"1", finished(tmp_path), target)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    return target


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_crash_before_the_picture_is_in_place(place, tmp_path):
    (tmp_path / "photo.png").write_text("old")
    target = crash(place, tmp_path, "before")
    assert count(place) == 1
    with Registry(place) as registry:
        assert registry.stamps() == []
        # No orphan: row and unfinished file are gone, the nonce is free, the old picture stands.
        assert not (tmp_path / ".photo.partial").exists()
        assert target.read_text() == "old"
        registry.issue("alice", KEY, b"1", finished(tmp_path), target)
    assert count(place) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_crash_after_the_picture_is_in_place(place, tmp_path):
    target = crash(place, tmp_path, "after")
    assert target.read_text() == "stamped"
    with Registry(place) as registry:
        assert [stamp.picture for stamp in registry.stamps("alice", KEY)] == [str(target)]
        with pytest.raises(ValueError, match="issued before"):
            registry.check_new(KEY, b"1")


def test_held_by_another(place, tmp_path):
    with Registry(place):
        pass
    for held in (place, place.with_name("stamps.sqlite.lock")):
        other = sqlite3.connect(held, isolation_level=None, check_same_thread=False)
        other.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        with pytest.raises(TimeoutError, match=r"holds the registry.*waited 0\.2 seconds"):
            Registry(place, wait=0.2)
        assert time.monotonic() - began > 0.15
        # Once it is let go the one who waits goes on.
        timer = threading.Timer(0.3, lambda held=other: held.execute("ROLLBACK"))
        timer.start()
        with Registry(place, wait=20) as registry:
            assert registry.stamps() == []
        timer.join()
        other.close()


def test_held_while_issuing(place, tmp_path):
    with Registry(place, wait=0.2) as registry:
        other = sqlite3.connect(place, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        partial = finished(tmp_path)
        with pytest.raises(TimeoutError, match="Nothing was changed"):
            registry.issue("alice", KEY, b"1", partial, tmp_path / "photo.png")
        assert partial.exists() and not (tmp_path / "photo.png").exists()
        other.close()
        registry.issue("alice", KEY, b"1", partial, tmp_path / "photo.png")
        assert len(registry.stamps()) == 1


def test_many_at_once(place, tmp_path):
    """Each nonce is issued once, whoever comes first."""
    outcomes = []

    def issue(number):
        partial = tmp_path / f".{number}.partial"
        partial.write_text(str(number))
        with Registry(place, wait=60) as registry:
            try:
                nonce = bytes([number % 4])
                registry.issue("alice", KEY, nonce, partial, tmp_path / f"{number}.png")
                outcomes.append(number)
            except ValueError:
                pass

    threads = [threading.Thread(target=issue, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(number % 4 for number in outcomes) == [0, 1, 2, 3]
    with Registry(place) as registry:
        assert {stamp.picture for stamp in registry.stamps()} == {
            str(tmp_path / f"{number}.png") for number in outcomes
        }


def test_other_files_are_refused(place, tmp_path):
    place.write_text("Not a database, but long enough to look like the header of one." * 20)
    with pytest.raises(ValueError, match=r"stamps\.sqlite"):
        Registry(place)
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE things (name TEXT)")
    with pytest.raises(ValueError, match="no registry of version 1"):
        Registry(other)
    with pytest.raises(ValueError, match="name of a registry file"):
        Registry(tmp_path)
    with pytest.raises(ValueError, match="name of a registry file"):
        Registry(tmp_path / "nowhere" / "stamps.sqlite")
