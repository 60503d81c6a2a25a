import json
import subprocess
import sys

import pytest

import keras_imaging
from keras_imaging.cli import app
from keras_imaging.cli.output import print_json


def test_help_and_version_load_no_keras():
    code = (
        "import sys, keras_imaging.cli.app as app\n"
        "try: app.main()\n"
        "except SystemExit as leaving: assert not leaving.code\n"
        "assert not {'keras', 'tensorflow', 'numpy'} & set(sys.modules)\n"
    )
    for option, expected in (("--help", "upscale"), ("--version", keras_imaging.__version__)):
        done = subprocess.run(
            [sys.executable, "-c", code, option], capture_output=True, text=True, timeout=400
        )
        assert done.returncode == 0, done.stderr
        assert expected in done.stdout


@pytest.mark.parametrize("error", [ValueError("one\n  two"), OSError("one two")])
def test_errors_are_one_line(run, monkeypatch, error):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(app, "app", fail)
    assert run() == (2, "", "error: one two\n")


@pytest.mark.parametrize(
    ("error", "line"),
    [(TypeError(), "TypeError"), (RecursionError("too\n deep"), "RecursionError: too deep")],
)
def test_other_errors_are_not_the_answer_no(run, monkeypatch, error, line):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(app, "app", fail)
    assert run() == (2, "", f"error: {line}\n")


def test_interrupt(run, monkeypatch, tmp_path):
    def interrupt(self):
        raise KeyboardInterrupt

    monkeypatch.setattr("pathlib.Path.exists", interrupt)
    code, _, err = run("upscale", "picture.png")
    assert code == 130
    assert "Traceback" not in err


def test_usage_error(run):
    code, _, err = run("upscale", "--scale", "two")
    assert code == 2
    assert "--scale" in err


def test_json_has_no_infinity(capsys):
    print_json({"psnr": float("inf"), "all": [float("nan"), 1.5]})
    assert json.loads(capsys.readouterr().out) == {"psnr": None, "all": [None, 1.5]}


def test_weights_are_listed(run, shipped):
    assert run("weights") == (0, "No trained weights are shipped.\n", "")
    shipped("rdidn_x2", 2)
    code, out, _ = run("weights")
    assert code == 0
    assert "rdidn_x2" in out and "33.25" in out
    assert '"scale": 2' in run("weights", "--json")[1]
