"""Script: `python inpainting_mirrored.py OUT`: the adversarial stage on one device and on two."""

import json
import pathlib
import sys

import tensorflow as tf


def main(out):
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration() for _ in range(2)]
    )
    from test_inpainting_recipe import images, recipe

    from keras_imaging.training import train

    report = []
    for strategy in ("one", "mirrored"):
        fields = recipe(steps=2, adversarial_weight=1.0)
        result = train(fields, images(), out / strategy, strategy=strategy)
        report.append([record["loss"] for record in result.history])
    (out / "report.json").write_text(json.dumps(report))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
