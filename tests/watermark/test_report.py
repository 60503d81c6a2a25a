import json

import numpy as np
import pytest

from keras_imaging.watermark import detection_report, match_test


def found(*matches, n=64):
    bits = np.ones(n, "uint8")
    return [match_test(np.arange(n) < k, bits, 0.1) for k in matches]


def test_report():
    report = detection_report(
        {"clean": found(64, 64), "JPEG 50": found(60, 48)},
        {"swap": found(30, 52)},
        found(32, 45, 30, 31),
        groups={"JPEG 50": ["a", "b"], "unmarked": ["a", "a", "b", "b"]},
    )
    assert (report.message_length, report.alphas) == (64, (1e-3, 1e-6))
    clean, jpeg = report.benign["clean"], report.benign["JPEG 50"]
    assert (clean.images, clean.bit_accuracy, clean.groups) == (2, 1.0, {})
    assert jpeg.bit_accuracy == pytest.approx(108 / 128)
    assert jpeg.verified == {1e-3: 1.0, 1e-6: 0.5}
    assert jpeg.groups == {"a": (60 / 64, 1), "b": (48 / 64, 1)}
    assert report.malicious["swap"].verified[1e-6] == 0.5
    assert report.unmarked.verified == {1e-3: 0.25, 1e-6: 0.0}
    assert report.auc == {"swap": 7 / 8, "unmarked": 1.0}
    plain = json.loads(json.dumps(report.to_dict()))
    assert plain["alphas"] == [1e-3, 1e-6]
    assert plain["unmarked"]["groups"]["a"] == {"bit_accuracy": 77 / 128, "images": 2}
    assert detection_report({"clean": found(64)}).unmarked is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (({},), "at least one set"),
        (({"clean": []},), "'clean'"),
        (({"clean": found(64)}, {"swap": found(8, n=32)}), "one length"),
        (({"clean": found(60)}, None, None, (1.0,)), "`alphas`"),
        (({"clean": found(60)}, None, None, (0.1,), {"clean": ["a", "b"]}), "a group for each"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        detection_report(*arguments)
