"""Script: `python inpainting_mirrored.py OUT`: both stages on one device and on two replicas."""

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

    stages = {"pixels": {}, "adversarial": {"adversarial_weight": 1.0}}
    report = {
        name: [
            [
                record["loss"]
                for record in train(
                    recipe(steps=2, **fields), images(), out / name / strategy, strategy=strategy
                ).history
            ]
            for strategy in ("one", "mirrored")
        ]
        for name, fields in stages.items()
    }
    (out / "report.json").write_text(json.dumps(report))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
