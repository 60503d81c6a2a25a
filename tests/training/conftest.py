"""One uninterrupted run that others are compared with."""

import pathlib
import sys

import pytest

# The modules beside this file are also scripts that run without pytest.
sys.path.insert(0, str(pathlib.Path(__file__).parent))

import tiny

from keras_imaging.training import train


@pytest.fixture(scope="session")
def reference(tmp_path_factory):
    """Result of a run on one device, and its folder, which nobody may change."""
    out = tmp_path_factory.mktemp("reference") / "run"
    seen = []
    result = train(
        tiny.recipe(),
        tiny.images(),
        out,
        strategy="one",
        validate=tiny.figures,
        data_name="squares",
        progress=lambda step, loss: seen.append((step, loss)),
        notes={"data_licence": "CC0", "metrics": {"protocol": "none"}},
    )
    result.out = out
    result.seen = seen
    return result
