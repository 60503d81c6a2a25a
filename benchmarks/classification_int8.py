"""What quantization costs a trained classifier: first guesses on a phone against Keras.

    python benchmarks/classification_int8.py --weights resnet_rs26_quarter_cifar10 \\
        --calibration cifar10_jpeg_train.npz --data cifar10_jpeg_test.npz

Files take pixels of 0..255, int8 ones bytes; ranges are measured on the first hundred pictures of
the calibration data. Needs the extra `export`.
"""

import argparse
import json
import pathlib
import sys
import tempfile

import numpy as np

PICTURES = 100
MODES = ("float32", "float16", "dynamic", "int8")


def main():
    from keras_imaging import models
    from keras_imaging.data import central_crop
    from keras_imaging.export import to_litert
    from keras_imaging.export.runtime import LiteRTModel
    from keras_imaging.inference.classification import computed
    from keras_imaging.training import labelled_pictures

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("--weights", "--calibration", "--data"):
        parser.add_argument(name, required=True)
    parser.add_argument("--mode", action="append", choices=MODES)
    parser.add_argument("--out", type=pathlib.Path)
    args = parser.parse_args()
    model, card = models.load(args.weights), models.card_of(args.weights)
    recipe = {"image_size": 224, "crop": "resized", **card.get("recipe", {})}
    size, crop = recipe["image_size"], recipe["crop"]

    known = labelled_pictures(args.calibration).examples
    calibration = [central_crop(known[k][0], size, crop) for k in range(min(PICTURES, len(known)))]
    labelled = labelled_pictures(args.data)
    examples = labelled.numbered(card.get("class_names", labelled.class_names))
    pictures, labels = zip(*examples, strict=True)
    labels = np.array(labels)
    crops = [central_crop(picture, size, crop) for picture in pictures]
    guesses = np.array([logits.argmax() for logits in computed(pictures, model, size, crop)])
    report = {
        "command": " ".join(["python benchmarks/classification_int8.py", *sys.argv[1:]]),
        "pictures": len(labels),
        "keras": {"top1": round(float((guesses == labels).mean()), 4)},
    }
    with tempfile.TemporaryDirectory() as folder:
        for mode in args.mode or MODES:
            path = to_litert(
                model,
                pathlib.Path(folder) / "file.tflite",
                None if mode == "float32" else mode,
                input_shape=(size, size, 3),
                calibration=calibration,
                preprocessing=True,
            )
            file = LiteRTModel(path)
            own = np.array([file(x[None].astype("float32")).argmax() for x in crops])
            report[mode] = {
                "mb": round(path.stat().st_size / 1e6, 2),
                "top1": round(float((own == labels).mean()), 4),
                "equal_first_guesses": round(float((own == guesses).mean()), 4),
            }
            print(mode, report[mode], flush=True)
            if args.out:
                args.out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
