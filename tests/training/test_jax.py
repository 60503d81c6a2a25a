"""The same recipe on JAX, with no TensorFlow, and on several devices."""

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


def test_two_devices_make_the_steps_of_one(tmp_path):
    pytest.importorskip("jax")
    out = tmp_path / "run"
    flags = "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0"
    environment = {"KERAS_BACKEND": "jax", "XLA_FLAGS": flags}
    script = processes.SCRIPT.with_name("data_parallel.py")
    processes.finish(processes.start(out, "", environment, script=script))
    found = json.loads((out / "found.json").read_text())
    one, two = found["one"], found["data_parallel"]
    assert (one["devices"], two["devices"]) == (1, 2)
    assert len(one["history"]) == 2
    for ours, theirs in zip(two["history"], one["history"], strict=True):
        for name in ("loss", "logit"):
            assert ours[name] == pytest.approx(theirs[name], rel=1e-5, abs=1e-6)
    for ours, theirs in zip(two["weights"], one["weights"], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)
    assert one["resumed_equal"] and two["resumed_equal"]
    assert "multiple of the 2 replicas" in found["refused"]
