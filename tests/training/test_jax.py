"""The same recipe on JAX, with no TensorFlow."""

import json
import math

import numpy as np
import processes
import pytest
import tiny

from keras_imaging.training import train

pytestmark = pytest.mark.tensorflow  # to be compared with


def test_jax_without_tensorflow_makes_the_same_losses(tmp_path):
    pytest.importorskip("jax")
    start = tmp_path / "start.weights.h5"
    tiny.recipe().build_model().save_weights(start)
    out = tmp_path / "jax"
    process = processes.start(
        out,
        "auto",
        # Compiling with every optimisation takes four times as long as all else.
        {"KERAS_BACKEND": "jax", "XLA_FLAGS": "--xla_backend_optimization_level=0"},
        script=processes.SCRIPT.with_name("without_tensorflow.py"),
        init=str(start),
        jit=None,
    )
    try:
        result = train(tiny.recipe(init=str(start)), tiny.images(), tmp_path / "tf", strategy="one")
    finally:
        processes.finish(process)
    assert tiny.losses(out) == pytest.approx([r["loss"] for r in result.history], rel=1e-4)
    assert not (out / "tensorboard").exists()
    finite, *others = json.loads((out / "watched.json").read_text())
    assert math.isfinite(finite)
    assert np.isnan(others).all()
    versions = json.loads((out / "model.json").read_text())["versions"]
    assert "jax" in versions
    assert "tensorflow" not in versions
