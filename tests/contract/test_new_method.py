"""A new method is five files: it is added to a copy of the tree, and found everywhere."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]

MODEL = '''
"""Toy: an image enlarged by a convolution."""

import keras

from keras_imaging.layers.upsample import SubPixelUpsample
from keras_imaging.models.pretrained import dtype_policies
from keras_imaging.models.super_resolution import SuperResolutionModel


@keras.saving.register_keras_serializable(package="keras_imaging")
class Toy(SuperResolutionModel):
    """One convolution and a sub-pixel upsampler."""

    presets = {"toy_x2": {}}

    def __init__(self, scale=2, input_shape=None, weights=None, dtype=None, name=None):
        shape = (None, None, 1) if input_shape is None else tuple(input_shape)
        policy, full = dtype_policies(dtype)
        inputs = keras.Input(shape, dtype=full, name="image")
        x = keras.layers.Conv2D(4, 3, padding="same", dtype=policy, name="conv")(inputs)
        x = SubPixelUpsample(scale, 1, dtype=full, name="upsample")(x)
        config = {"scale": scale, "input_shape": shape, "dtype": policy.name}
        super().__init__(inputs, x, config, weights, name=name or "toy")
'''

RECIPE = '''
"""The recipe of Toy."""

import dataclasses

from keras_imaging.training.recipes.super_resolution import SuperResolutionRecipe


@dataclasses.dataclass
class ToyRecipe(SuperResolutionRecipe):
    """How to train Toy.

    Args:
        **fields: of `SuperResolutionRecipe`.
    """

    preset: str = "toy_x2"
'''

# What a developer writes, by file: a whole file, or a line after another one.
METHOD = {
    "keras_imaging/models/toy.py": MODEL,
    "keras_imaging/models/__init__.py": [
        ("__all__ = [\n", "from keras_imaging.models.toy import Toy\n\n__all__ = [\n"),
        ('    "VideoSealUNet",\n', '    "Toy",\n    "VideoSealUNet",\n'),
    ],
    "training/recipes/toy.py": RECIPE,
    "keras_imaging/cli/train/__init__.py": [
        ("", "\nfrom keras_imaging.training.recipes.toy import ToyRecipe\n"),
        ("", 'train.command("toy")(pictures_command(ToyRecipe, "Train Toy."))\n'),
    ],
    "docs/toy.md": "# Toy\n",
}

FIND = """
import json, pathlib, sys
import keras, numpy as np
from keras_imaging import models
from keras_imaging.cli import main
from keras_imaging.models.pretrained import WEIGHTS_DIR

def run(*arguments):
    sys.argv = ["keras-imaging", *arguments]
    try:
        main()
    except SystemExit as leaving:
        assert not leaving.code, arguments

toy = models.Toy()
toy.save_weights(WEIGHTS_DIR / "toy_x2.weights.h5")
card = {"model": "Toy", "config": {"scale": 2}, "file": "toy_x2.weights.h5", "metrics": {}}
card["parameters"] = toy.count_params()
(WEIGHTS_DIR / "toy_x2.json").write_text(json.dumps(card))

assert isinstance(models.load("toy_x2"), models.Toy)
assert models.names_for("super_resolution") == ["toy_x2"]
run("weights")
run("train", "toy", "--help")
run("upscale", "--weights", "toy_x2", "--json")
run("export", "--weights", "toy_x2", "--height", "12", "--width", "16", "--out", "toy.tflite")

import harness, test_harness
try:
    test_harness.test_every_public_layer_and_model_is_examined()
except AssertionError as error:
    assert "['Toy']" in str(error), error
else:
    raise AssertionError("nobody asks for an examination of Toy")
harness.check_model(models.Toy, {}, harness.noise(1, 6, 8, 1), edge=True)
print("FOUND")
"""


@pytest.fixture
def tree(tmp_path):
    """The tree as it is installed, with the method in it."""
    source = tmp_path / "source"
    ignore = shutil.ignore_patterns("__pycache__", "*.weights.h5", "*.json", "node_modules")
    for folder in ("keras_imaging", "training", "export", "docs"):
        shutil.copytree(ROOT / folder, source / folder, ignore=ignore)
    for name, content in METHOD.items():
        path = source / name
        if isinstance(content, str):
            path.write_text(content.lstrip())
            continue
        text = path.read_text()
        for place, line in content:
            assert place in text
            text = text.replace(place, line, 1) if place else text + line
        path.write_text(text)
    for folder in ("training", "export"):
        (source / folder).rename(source / "keras_imaging" / folder)
    return source


@pytest.mark.tensorflow
def test_a_new_method_is_found_everywhere(tree, tmp_path):
    assert len(METHOD) == 5
    paths = os.pathsep.join(map(str, (tree, ROOT / "tests")))
    done = subprocess.run(
        [sys.executable, "-c", FIND],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
    )
    assert "FOUND" in done.stdout, done.stdout[-2000:] + done.stderr[-4000:]
    for said in ("toy_x2", "Train Toy.", "--patch-size", "toy.tflite"):
        assert said in done.stdout, said
    report = done.stdout[done.stdout.index("{") : done.stdout.rindex("}") + 1]
    assert json.loads(report)["weights"] == "toy_x2"
