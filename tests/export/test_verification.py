import json

import keras
import numpy as np
import pytest
from rich.console import Console
from small import picture, tiny

from keras_imaging.export import to_litert, verify
from keras_imaging.metrics import psnr


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    model = tiny()
    path = tmp_path_factory.mktemp("verify") / "a.tflite"
    return model, to_litert(model, path, "dynamic")


@pytest.fixture(scope="module")
def report(case):
    model, path = case
    data = [picture(16, 20), picture(12, 12, seed=1)]
    truth = [np.clip(np.asarray(model(x[None]))[0] + 0.02, 0, 1) for x in data]
    return verify(model, path, data, truth, threads=2, runs=2)


def test_compares_and_measures(case, report):
    _, path = case
    assert report.size_bytes == path.stat().st_size
    assert report.images == 2
    assert 0 < report.rms_error < report.max_error < 0.1
    assert 30 < report.psnr_keras < 120
    # 0.02 is 5 levels, and rounding moves it little.
    assert report.keras_psnr_truth == pytest.approx(-20 * np.log10(0.02), abs=0.5)
    assert report.psnr_truth == pytest.approx(report.keras_psnr_truth, abs=1.5)
    assert report.operators["CONV_2D"] == 17
    assert (report.delegate_partitions, report.outside_delegate) == (1, {})
    assert report.latency_ms > 0
    assert report.cpu_ms > 0
    assert report.measured_shape == (1, 16, 20, 1)
    assert report.threads == 2
    assert 1e5 < report.peak_memory_bytes < 1e9


def test_prints_and_writes_json(report, capsys):
    Console(width=120).print(report)
    printed = capsys.readouterr().out
    for text in ("17 CONV_2D", "1 partition(s)", "PSNR to truth", "peak memory", "2 thread(s)"):
        assert text in printed
    assert json.loads(report.to_json())["operators"] == report.operators


def test_a_wrong_model_shows(case):
    _, path = case
    other = tiny()
    other.get_layer("tail").set_weights([-w for w in other.get_layer("tail").get_weights()])
    assert verify(other, path, [picture(16, 20)], runs=1).psnr_keras < 30


def test_bad_arguments(case, tmp_path):
    model, path = case
    x = picture(8, 8)
    with pytest.raises(ValueError, match="`threads` and `runs` must be at least 1"):
        verify(model, path, [x], threads=0)
    with pytest.raises(ValueError, match="at least one array in `data`"):
        verify(model, path, [])
    with pytest.raises(ValueError, match=r"`truth` of the shapes of the outputs.*\(8, 8, 1\)"):
        verify(model, path, [x], [x])
    with pytest.raises(ValueError, match="cannot be run by LiteRT"):
        text = tmp_path / "text.tflite"
        text.write_text("no model")
        verify(model, text, [x])
    with pytest.raises(ValueError, match="cannot be run by LiteRT"):
        verify(model, tmp_path / "missing.tflite", [x])


def test_fixed_size_is_asked_for(tmp_path):
    image = keras.Input((8, 10, 1))
    model = keras.Model(image, keras.layers.Conv2D(2, 3)(image))
    path = to_litert(model, tmp_path / "a.tflite")
    assert verify(model, path, [picture(8, 10)], runs=1).psnr_keras > 100
    with pytest.raises(ValueError, match=r"takes inputs of shape \(8, 10, 1\)"):
        verify(model, path, [picture(8, 8)])


def test_sample_pictures_belong_together(model):
    small, truth = model.sample_pair()
    assert (small.shape, truth.shape) == ((192, 192, 1), (384, 384, 1))
    assert psnr(small.repeat(2, 0).repeat(2, 1), truth) > 22
    small, truth = model.sample_pair(31, 250)
    assert (small.shape, truth.shape) == ((31, 250, 1), (62, 500, 1))
    assert psnr(small.repeat(2, 0).repeat(2, 1), truth) > 22
