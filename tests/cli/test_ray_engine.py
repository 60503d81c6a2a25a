"""`--engine ray`: a real cluster of this machine, once for all, and the parts by themselves."""

import collections
import json
import os
import pathlib
import signal
import threading
import time
import types

import numpy as np
import pytest
from PIL import Image

from keras_imaging.cli.folders import places
from keras_imaging.cli.folders.manifest import Manifest
from keras_imaging.cli.folders.masks import Masks
from keras_imaging.cli.folders.places import Folder, Url, place_of
from keras_imaging.cli.picture_files import Outcome, one_by_one, target_names
from keras_imaging.data import sample_image, write_image

ray = pytest.importorskip("ray")
psutil = pytest.importorskip("psutil")
pa = pytest.importorskip("pyarrow")

from keras_imaging.cli.folders import ray_walk  # noqa: E402


@pytest.fixture
def cluster():
    """Two processors of this machine, for several commands."""
    ray.init(
        "local",
        num_cpus=2,
        include_dashboard=False,
        logging_level="error",
        log_to_driver=False,
        object_store_memory=100 * 2**20,
    )
    yield
    ray.shutdown()


def kill_a_worker_after(folder):
    """Kill one of Ray's workers once there is a file in a folder."""
    killed = []

    def kill():
        while not any(folder.glob("[!.]*")):
            time.sleep(0.02)
        mine = psutil.Process().children(recursive=True)
        workers = [one for one in mine if "MapWorker" in " ".join(one.cmdline())]
        workers[0].send_signal(signal.SIGKILL)
        killed.append(workers[0].pid)

    threading.Thread(target=kill, daemon=True).start()
    return killed


def test_upscale_by_ray_makes_what_the_plain_command_makes(run, network, tmp_path, cluster):
    folder = tmp_path / "album"
    folder.mkdir()
    for number in range(12):
        write_image(folder / f"{number:02}.png", sample_image()[:20, number : number + 20])
    (folder / "torn.png").write_bytes(b"no picture")
    assert run("upscale", folder, "--weights", network, "--out", "plain")[0] == 1
    killed = kill_a_worker_after(tmp_path / "rays")
    command = ("upscale", folder, "--weights", network, "--out", "rays", "--engine", "ray")
    code, out, err = run(*command)
    assert code == 1, err
    assert killed and "Done: 12 of 13 files" in out
    assert "Skipped 1 of 13 files" in err and "torn.png" in err

    def files(name):
        # The killed worker may have left a file that it was writing; it is hidden.
        return {path.name: path.read_bytes() for path in pathlib.Path(name).glob("[!.]*")}

    assert files("rays") == files("plain") and len(files("plain")) == 12
    # What is done is not done again; the rest is.
    os.utime("rays/00_x2.png", (1, 1))
    write_image(folder / "torn.png", sample_image()[:20, :24])
    write_image(folder / "new.png", sample_image()[:20, :28])
    code, out, err = run(*command, "--json")
    report = json.loads(out)
    assert code == 0, err
    assert (report["done"], report["done_before"], report["skipped"]) == (14, 12, {})
    assert os.stat("rays/00_x2.png").st_mtime == 1
    assert Image.open("rays/new_x2.png").size == (56, 40)
    # Nothing is left, so that Ray is not even asked.
    assert json.loads(run(*command, "--json")[1])["workers"] == 0
    code, _, err = run(*command, "--self-ensemble")
    assert code == 2 and "is of other settings" in err


class Died(BaseException):
    """A worker's end, which Ray answers by another worker with the same pictures."""


class Attempts:
    """`ray_walk._Attempts` as an actor, for `ray.get` that gives what it is given."""

    def __init__(self):
        self._own = ray_walk._Attempts()

    def __getattr__(self, name):
        return types.SimpleNamespace(remote=getattr(self._own, name))


def test_what_kills_every_worker_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(ray_walk.ray, "get", lambda value: value)
    deaths = collections.Counter()

    def work(path, target):
        if path.name == "poison.txt" or (path.name == "weak.txt" and not deaths[path.name]):
            deaths[path.name] += 1
            raise Died
        if path.name == "bad.txt":
            raise ValueError(f"{path} is bad")
        return {"input": path}

    names = ["1.txt", "weak.txt", "2.txt", "poison.txt", "bad.txt", "3.txt"]
    task = ray_walk.Task(lambda: one_by_one(work), Folder(tmp_path), None, (), {})
    attempts, rows = Attempts(), pa.table({"name": names, "target": [""] * len(names)})
    for _ in range(9):
        try:
            found = ray_walk._Worker(task, attempts)(rows).to_pylist()
            break
        except Died:
            continue
    reasons = {row["name"]: row["reason"] for row in found}
    assert "its worker died, 3 times" in reasons.pop("poison.txt") and deaths["poison.txt"] <= 3
    assert reasons.pop("bad.txt") == f"{tmp_path}/bad.txt is bad"
    assert set(reasons.values()) == {""} and len(reasons) == 4
    # They are not remembered: a later picture of that name begins anew.
    assert attempts.begin.remote(["weak.txt", "1.txt"]) == [0, 0]


@pytest.fixture
def remote():
    """A folder that is no path of this machine."""
    folder = Folder(Url("memory://bucket/album"))
    yield folder
    folder._files.rm("/bucket", recursive=True)


def test_folders_by_url(remote, tmp_path):
    assert isinstance(place_of("a/b"), pathlib.Path)
    assert place_of("file:///a/b%20c") == pathlib.Path("/a/b c")
    assert place_of("s3://bucket/a") == Url("s3://bucket/a")
    with pytest.raises(ValueError, match="Cannot use 'nothing://a'"):
        Folder(Url("nothing://a"))
    assert remote.names() == [] and not remote.exists()
    for name in ("b.png", "a.png", ".hidden", "sub/c.png", "a.png.note"):
        remote.write(name, name.encode())
    assert remote.names() == ["a.png", "a.png.note", "b.png"]
    assert remote.names(recursive=True) == ["a.png", "a.png.note", "b.png", "sub/c.png"]
    path = remote.fetch("a.png", tmp_path / "0", (".note", ".other"))
    assert path.name == "a.png" and path.read_bytes() == b"a.png"
    assert sorted(one.name for one in path.parent.iterdir()) == ["a.png", "a.png.note"]
    goal = remote.aim("new.png", tmp_path / "0")
    goal.write_bytes(b"new")
    goal.with_name("new.png.note").write_bytes(b"note")
    remote.keep(goal)
    assert remote.read("new.png") == b"new" and remote.read("new.png.note") == b"note"
    remote.remove("new.png")
    assert "new.png" not in remote.names()


def test_a_worker_brings_files_from_and_to_a_url(remote, tmp_path, monkeypatch):
    for name in ("a.txt", "b.txt"):
        remote.write(name, name.encode())
    out = Folder(Url("memory://bucket/results"))

    def work(path, target):
        if path.name == "b.txt":
            raise ValueError(f"{path} is bad")
        target.write_bytes(path.read_bytes() * 2)
        return {"input": path, "output": target, "p": float("nan")}

    task = ray_walk.Task(lambda: one_by_one(work), remote, out, (), {})
    worker = ray_walk._Worker(task, None)
    jobs = [("a.txt", "a2.txt"), ("b.txt", "b2.txt"), ("gone.txt", "c2.txt")]
    (good, report), (bad, none), (gone, _) = worker._outcomes(jobs)
    url = "memory://bucket"
    assert json.loads(report) == {
        "input": f"{url}/album/a.txt", "output": f"{url}/results/a2.txt", "p": None
    }  # fmt: skip
    assert good.reason == "" and out.read("a2.txt") == b"a.txta.txt"
    assert (bad.report, bad.reason, none) == (None, f"{url}/album/b.txt is bad", "")
    assert gone.reason.startswith(f"Cannot read {url}/album/gone.txt")
    assert out.names() == ["a2.txt"]

    def full(*args):
        raise PermissionError("not yours")

    monkeypatch.setattr(places.Folder, "write", full)
    ((lost, _),) = worker._outcomes(jobs[:1])
    assert lost == Outcome(None, f"Cannot write {url}/results/a2.txt: not yours")


def test_a_manifest_goes_on_and_knows_its_settings(tmp_path):
    folder = Folder(tmp_path / "m")
    manifest = Manifest(folder, {"weights": "a"})
    assert not manifest.begun and manifest.states() == {}
    manifest.add("1.png", "1_x2.png", "torn", "")
    manifest.add("2.png", "2_x2.png", "", '{"k": 2}')
    manifest.flush()
    again = Manifest(folder, {"weights": "a"})
    assert again.begun and again.states() == {"1.png": "torn", "2.png": ""}
    again.add("1.png", "1_x2.png", "", '{"k": 1}')
    assert again.states() == {"1.png": "", "2.png": ""}
    assert list(again.reports()) == [{"k": 1}, {"k": 2}]
    assert folder.names() == ["00000001.parquet", "00000002.parquet"]
    with pytest.raises(ValueError, match="is of other settings"):
        Manifest(folder, {"weights": "b"})
    again.clear()
    assert not Manifest(folder, {"weights": "b"}).begun


def test_each_picture_has_its_mask(tmp_path):
    write_image(tmp_path / "one.png", np.zeros((2, 2), "uint8"))
    (tmp_path / "masks").mkdir()
    write_image(tmp_path / "masks" / "a.bmp", np.zeros((2, 2), "uint8"))
    one, several = Masks(tmp_path / "one.png"), Masks(tmp_path / "masks")
    assert one.of(pathlib.Path("x/a.jpg"), tmp_path) == tmp_path / "one.png"
    assert several.of(pathlib.Path("x/a.jpg"), tmp_path) == tmp_path / "masks" / "a.bmp"
    with pytest.raises(ValueError, match=r"'b.jpg' has no mask in"):
        several.of(pathlib.Path("x/b.jpg"), tmp_path)
    with pytest.raises(ValueError, match="There is no file or folder"):
        Masks(tmp_path / "none")


def test_results_of_a_folder_have_names_of_their_own():
    assert target_names(["a.png", "a.jpg", "b.jpg"], "_x2") == [
        "a.png_x2.png", "a.jpg_x2.png", "b_x2.png"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("s3://bucket/a",), "'s3://bucket/a' is a URL: those are for --engine ray."),
        (("album", "--workers", 2), "--workers is of --engine ray."),
        (("none", "--engine", "ray"), "--engine ray is for folders."),
        (("--engine", "ray"), "--engine ray is for folders: give one."),
        (("album", "--engine", "ray", "--out", "out"), "exists; give --overwrite"),
    ],
)
def test_what_cannot_be_is_refused(run, network, tmp_path, arguments, message):
    (tmp_path / "album").mkdir()
    write_image(tmp_path / "album" / "a.png", sample_image()[:20, :20])
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a_x2.png").write_bytes(b"precious")
    code, _, err = run("upscale", *arguments, "--weights", network)
    assert code == 2 and message in err
    assert (tmp_path / "out" / "a_x2.png").read_bytes() == b"precious"
