import json
import sys

import keras
import pytest

from keras_imaging.cli import main
from keras_imaging.models import RDIDN, pretrained

TINY = {
    "filters": 8,
    "num_blocks": 1,
    "channel_step": 2,
    "distilled": 2,
    "groups": 2,
    "upsample_filters": 4,
}


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run the command in an empty folder: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def run_command(*args):
        monkeypatch.setattr(sys, "argv", ["keras-imaging", *map(str, args)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as leaving:
            main()
        captured = capsys.readouterr()
        return leaving.value.code or 0, captured.out, captured.err

    return run_command


@pytest.fixture(scope="session")
def network(tmp_path_factory):
    """A saved network of random weights."""
    keras.utils.set_random_seed(0)
    path = tmp_path_factory.mktemp("networks") / "tiny.keras"
    RDIDN(2, **TINY, global_skip="bicubic").save(path)
    return path


@pytest.fixture
def shipped(monkeypatch, tmp_path_factory):
    """A folder of shipped weights that holds only what is put in by `ship(name, scale)`."""
    folder = tmp_path_factory.mktemp("weights")
    monkeypatch.setattr(pretrained, "WEIGHTS_DIR", folder)

    def ship(name, scale):
        model = RDIDN(scale, **TINY)
        model.save_weights(folder / f"{name}.weights.h5")
        card = {
            "model": "RDIDN",
            "config": {"scale": scale, **TINY},
            "file": f"{name}.weights.h5",
            "parameters": model.count_params(),
            "metrics": {"Set5": {"psnr": 33.25, "ssim": 0.9312}},
        }
        (folder / f"{name}.json").write_text(json.dumps(card))

    return ship
