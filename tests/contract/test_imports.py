"""Who may import whom, checked by import-linter on the tree as it is installed.

An editable install maps training/ and export/ into the package by an import hook, which
import-linter does not see; so the tree is put together in a temporary folder.
"""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
MAPPED = ("training", "export")


@pytest.fixture
def tree(tmp_path):
    package = tmp_path / "keras_imaging"
    ignore = shutil.ignore_patterns("__pycache__", "weights", "samples")
    shutil.copytree(ROOT / "keras_imaging", package, ignore=ignore)
    for folder in MAPPED:
        shutil.copytree(ROOT / folder, package / folder, ignore=ignore)
    return tmp_path


def lint(tree):
    command = pathlib.Path(sys.executable).with_name("lint-imports")
    result = subprocess.run(
        [command, "--config", ROOT / ".importlinter", "--no-cache"],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
    )
    return result.returncode, result.stdout + result.stderr


def test_contracts_are_kept(tree):
    code, report = lint(tree)
    assert code == 0, report
    assert "2 kept, 0 broken" in report


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("ops/color.py", "from keras_imaging.layers import EnhancementUnit", "Floors"),
        ("data/patches.py", "def f():\n    from keras_imaging.models import RDIDN", "Floors"),
        ("inference/tiles.py", "from keras_imaging.models import RDIDN", "Floors"),
        ("models/rdidn.py", "from keras_imaging.training import train", "Floors"),
        ("training/card.py", "from keras_imaging.export import to_litert", "Floors"),
        ("export/litert.py", "import keras_imaging.cli", "Floors"),
        ("new_room.py", "", "Floors"),
        ("layers/upsample.py", "import tensorflow as tf", "Backends"),
        ("models/idn.py", "def f():\n    from jax import numpy", "Backends"),
        ("cli/app.py", "from torch import nn", "Backends"),
    ],
)
def test_a_breach_is_found(tree, file, line, contract):
    with open(tree / "keras_imaging" / file, "a") as source:
        source.write(f"\n{line}\n")
    code, report = lint(tree)
    assert code != 0
    assert any(row.startswith(contract) and "BROKEN" in row for row in report.splitlines()), report
