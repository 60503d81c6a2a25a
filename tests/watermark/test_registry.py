import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import pytest

from keras_imaging.watermark import Key, fingerprint
from keras_imaging.watermark.registry import Registry
from keras_imaging.watermark.sidecar import read_sidecar, sidecar_path

ALICE = Key(bytes(range(32)), "alice")
PRINT = fingerprint(ALICE.secret)

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*")


@pytest.fixture
def place(tmp_path):
    return tmp_path / "stamps.sqlite"


def test_issue(place, tmp_path):
    zoe, bob = ALICE._replace(identity="Zoe\u0308"), Key(bytes(32), "Bob")
    with Registry(place) as registry:
        assert registry.stamps() == []
        registry.check_new(PRINT, b"1")
        for nonce in (b"1", b"", b"2", b""):
            registry.issue(zoe, nonce, b"stamped", tmp_path / "photo.png")
        registry.issue(bob, b"1", b"stamped", tmp_path / "photo.png")
    assert (tmp_path / "photo.png").read_text() == "stamped"
    with Registry(place) as registry:
        # One name, however its accents are spelt.
        assert registry.nonces("Zoë", PRINT) == [b"1", b"", b"2"]
        assert registry.nonces("Bob", PRINT) == []
        stamp = registry.stamps("Bob")[0]
    assert stamp.picture == str(tmp_path / "photo.png") and len(stamp.digest) == 64
    names = ["photo.png", "photo.png.faceguard.json", "stamps.sqlite", "stamps.sqlite.lock"]
    assert sorted(os.listdir(tmp_path)) == names
    if os.name == "posix":
        assert place.stat().st_mode & 0o777 == 0o600


def test_replayed_nonce(place, tmp_path):
    target = tmp_path / "photo.png"
    with Registry(place) as registry:
        registry.issue(ALICE, b"1", b"stamped", target)
        with pytest.raises(ValueError, match="31 was issued before"):
            registry.check_new(PRINT, b"1")
        with pytest.raises(ValueError, match="31 was issued before"):
            registry.issue(ALICE, b"1", b"another", target)
        assert target.read_text() == "stamped" and len(registry.stamps()) == 1


def test_a_picture_that_cannot_be_renamed_leaves_no_row(place, tmp_path):
    (tmp_path / "photo.png").mkdir()
    with Registry(place) as registry:
        with pytest.raises(OSError):
            registry.issue(ALICE, b"1", b"stamped", tmp_path / "photo.png")
        registry.check_new(PRINT, b"1")
    assert count(place) == 0
    assert sorted(os.listdir(tmp_path)) == ["photo.png", "stamps.sqlite", "stamps.sqlite.lock"]


def count(place):
    with sqlite3.connect(place) as connection:
        return connection.execute("SELECT count(*) FROM stamps").fetchone()[0]


def calls_that_matter(place, target):
    """Kill a process that issues before each of its system calls in turn; yield after each."""
    number = 0
    while True:
        child = os.fork()
        if child == 0:
            try:
                registry = Registry(place)
                left = [number]
                for name in ("open", "fsync", "replace", "unlink"):
                    setattr(os, name, killing(getattr(os, name), left))
                registry.issue(ALICE, b"2", b"new", target)
                os._exit(0)
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0
            return
        number += 1
        yield number


def killing(call, left):
    def killed(*args, **kwargs):
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1
        return call(*args, **kwargs)

    return killed


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.parametrize("before", [b"1", b"", None])
def test_killed_at_any_moment(place, tmp_path, before):
    target = tmp_path / "photo.png"

    def renew():
        for path in tmp_path.iterdir():
            path.unlink()
        if before is not None:
            with Registry(place) as registry:
                registry.issue(ALICE, before, b"old", target)

    seen = set()
    renew()
    for _ in calls_that_matter(place, target):
        # Picture and sidecar belong together at once, without recovery.
        content = target.read_bytes() if target.exists() else None
        expected = b"2" if content == b"new" else before or None
        assert read_sidecar(target) == expected
        with Registry(place) as registry:
            nonces = [stamp.nonce for stamp in registry.stamps()]
        issued = [] if before is None else [before]
        assert nonces == issued + [b"2"] * (content == b"new")
        names = {"photo.png"} if content else set()
        names |= {sidecar_path(target).name} if expected else set()
        assert set(os.listdir(tmp_path)) == {place.name, f"{place.name}.lock"} | names
        assert read_sidecar(target) == expected
        seen.add(content)
        renew()
    assert seen == {None if before is None else b"old", b"new"}
    assert target.read_bytes() == b"new" and read_sidecar(target) == b"2"


def test_the_nonce_of_a_picture_that_was_moved_stays_reserved(place, tmp_path):
    target, moved = tmp_path / "photo.png", tmp_path / "moved.png"
    with Registry(place) as registry:
        registry.issue(ALICE, b"1", b"stamped", target)
    with sqlite3.connect(place) as connection:
        connection.execute("UPDATE stamps SET state = 'pending'")
    connection.close()
    target.rename(moved)
    with Registry(place) as registry:
        assert registry.stamps() == [] and registry.nonces("alice", PRINT) == [b"1"]
        with pytest.raises(ValueError, match="issued before"):
            registry.check_new(PRINT, b"1")
    moved.rename(target)
    with Registry(place) as registry:
        assert len(registry.stamps()) == 1


def test_read_only(place, tmp_path):
    with pytest.raises(ValueError, match="no registry"):
        Registry(place, read_only=True)
    place.touch()
    with pytest.raises(ValueError, match="empty"):
        Registry(place, read_only=True)
    assert os.listdir(tmp_path) == [place.name] and not place.stat().st_size
    with Registry(place) as registry:
        registry.issue(ALICE, b"1", b"stamped", tmp_path / "photo.png")
    place.with_name("stamps.sqlite.lock").unlink()
    before = place.read_bytes()
    with Registry(place, read_only=True) as registry:
        assert registry.nonces("alice", PRINT) == [b"1"]
        with pytest.raises(ValueError, match="read only"):
            registry.issue(ALICE, b"2", b"another", tmp_path / "photo.png")
    assert place.read_bytes() == before
    assert not place.with_name("stamps.sqlite.lock").exists()


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
        with pytest.raises(TimeoutError, match="It was not changed"):
            registry.issue(ALICE, b"1", b"stamped", tmp_path / "photo.png")
        assert sorted(os.listdir(tmp_path)) == ["stamps.sqlite", "stamps.sqlite.lock"]
        other.close()
        registry.issue(ALICE, b"1", b"stamped", tmp_path / "photo.png")
        assert len(registry.stamps()) == 1


def test_many_at_once(place, tmp_path):
    """Each nonce is issued once, whoever comes first."""
    outcomes = []

    def issue(number):
        with Registry(place, wait=60) as registry:
            try:
                nonce = bytes([number % 4])
                registry.issue(ALICE, nonce, b"%d" % number, tmp_path / f"{number}.png")
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
    # What is refused is left alone.
    assert sorted(os.listdir(tmp_path)) == ["other.sqlite", "stamps.sqlite"]
    with pytest.raises(ValueError, match="name of a registry file"):
        Registry(tmp_path)
    with pytest.raises(ValueError, match="name of a registry file"):
        Registry(tmp_path / "nowhere" / "stamps.sqlite")


def test_a_reader_after_a_crash_in_the_middle_of_writing(tmp_path):
    path = tmp_path / "stamps.sqlite"
    with Registry(path) as registry:
        registry.issue(ALICE, b"1", b"stamped", tmp_path / "photo.png")
    crash = (
        "import os, sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "c.execute('PRAGMA cache_size = 1'); c.execute('BEGIN');"
        "c.execute('UPDATE stamps SET nonce = zeroblob(100000)');"
        "c.execute('CREATE TABLE more (x)');"
        "c.execute('INSERT INTO more VALUES (zeroblob(300000))');"
        "os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", crash, str(path)], check=False, timeout=60)
    assert path.with_name("stamps.sqlite-journal").stat().st_size > 0
    with Registry(path, read_only=True) as registry:
        assert registry.nonces("alice", fingerprint(ALICE.secret)) == [b"1"]
    assert not path.with_name("stamps.sqlite-journal").exists()


def test_a_registry_of_the_first_version(place, tmp_path):
    with Registry(place) as registry:
        registry.issue(ALICE, b"1", b"stamped", tmp_path / "photo.png")
    old = sqlite3.connect(place, isolation_level=None)
    old.execute("ALTER TABLE stamps DROP COLUMN code")
    old.execute("PRAGMA user_version = 1")
    old.close()
    with Registry(place, read_only=True) as registry:
        assert registry.codes("alice", PRINT) == {b"1": []}
    with Registry(place) as registry:
        registry.issue(ALICE, b"2", b"another", tmp_path / "other.png", b"code")
        assert registry.codes("alice", PRINT) == {b"1": [], b"2": [b"code"]}
        assert [stamp.code for stamp in registry.stamps()] == [b"", b"code"]
