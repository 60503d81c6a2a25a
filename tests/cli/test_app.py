import json
import os
import subprocess
import sys

import pytest

import keras_imaging
from keras_imaging.cli import app
from keras_imaging.cli.output import print_json
from keras_imaging.cli.quiet import quiet_start
from keras_imaging.models import shipped_weights


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
    assert "rdidn_x2" in out and "Set5: psnr 33.25 dB" in out
    assert '"scale": 2' in run("weights", "--json")[1]
    code, out, _ = run("weights", "rdidn_x2")
    assert code == 0 and "  model: RDIDN\n" in out and "      ssim: 0.9312\n" in out
    code, _, err = run("weights", "rdidn_x9")
    assert code == 2 and "shipped: rdidn_x2" in err


def test_a_line_for_each_of_the_weights_in_the_package(run):
    names = list(shipped_weights())
    code, out, _ = run("weights")
    lines = out.splitlines()
    assert code == 0 and len(lines) == len(names) + 1
    assert [line.split()[0] for line in lines[:-1]] == names
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(("level", "seen"), [(None, ""), ("3", ""), ("2", "noise"), ("0", "noise")])
def test_start_up_noise_is_for_those_who_ask_for_it(monkeypatch, capfd, level, seen):
    if level is None:
        monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    else:
        monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", level)
    with quiet_start():
        os.write(2, b"noise")
    assert capfd.readouterr().err == seen
