import json

import pytest

from keras_imaging.watermark import detection_report


def test_report():
    report = detection_report(
        64,
        {"clean": [64, 64], "JPEG 50": [60, 48]},
        {"swap": [30, 52]},
        [32, 45, 30, 31],
        groups={"JPEG 50": ["a", "b"], "unmarked": ["a", "a", "b", "b"]},
    )
    assert report.thresholds == {1e-3: 45, 1e-6: 51}
    clean, jpeg = report.benign["clean"], report.benign["JPEG 50"]
    assert (clean.images, clean.bit_accuracy, clean.groups) == (2, 1.0, {})
    assert jpeg.bit_accuracy == pytest.approx(108 / 128)
    assert jpeg.verified == {1e-3: 1.0, 1e-6: 0.5}
    assert jpeg.groups == {"a": (60 / 64, 1), "b": (48 / 64, 1)}
    assert report.malicious["swap"].verified[1e-6] == 0.5
    assert report.unmarked.verified == {1e-3: 0.25, 1e-6: 0.0}
    assert report.auc == {"swap": 7 / 8, "unmarked": 1.0}
    plain = json.loads(json.dumps(report.to_dict()))
    assert plain["thresholds"] == {"0.001": 45, "1e-06": 51}
    assert plain["unmarked"]["groups"]["a"] == {"bit_accuracy": 77 / 128, "images": 2}
    assert detection_report(64, {"clean": [64]}).unmarked is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((64, {}), "at least one set"),
        ((64, {"clean": []}), "'clean'"),
        ((64, {"clean": [65]}), r"0\.\.64"),
        ((64, {"clean": [60]}, {"swap": [-1]}), "'swap'"),
        ((64, {"clean": [60]}, None, None, (1e-30,)), "at least 100 bits"),
        ((64, {"clean": [60]}, None, None, (0.1,), {"clean": ["a", "b"]}), "a group for each"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        detection_report(*arguments)
