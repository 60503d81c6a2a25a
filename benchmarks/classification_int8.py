"""What quantization costs a trained classifier: first guesses on a phone against Keras.

    python benchmarks/classification_int8.py --weights resnet_rs26_quarter_cifar10 \\
        --calibration cifar10_jpeg_train.npz --data cifar10_jpeg_test.npz

Files take pixels of 0..255, int8 ones bytes; ranges are measured on a hundred pictures of the
calibration data. `--train-steps 200` adds quantization-aware training: so many batches of 64 crops
of the calibration data, whose targets are the network's own logits (extra `qat`). Needs the extra
`export`.
"""

import argparse
import json
import pathlib
import sys
import tempfile

import numpy as np

PICTURES = 100
MODES = ("float32", "float16", "dynamic", "int8", "int16x8")


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
    parser.add_argument("--train-steps", type=int, default=0)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--out", type=pathlib.Path)
    args = parser.parse_args()
    model, card = models.load(args.weights), models.card_of(args.weights)
    recipe = {"image_size": 224, "crop": "resized", **card.get("recipe", {})}
    size, crop = recipe["image_size"], recipe["crop"]

    known = labelled_pictures(args.calibration).examples
    # Spread over the data, which may be sorted by class.
    places = np.linspace(0, len(known) - 1, min(PICTURES, len(known))).astype(int)
    calibration = [central_crop(known[k][0], size, crop) for k in places]
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

    def score(path, name):
        file = LiteRTModel(path)
        own = np.array([file(x[None].astype("float32")).argmax() for x in crops])
        report[name] = {
            "mb": round(path.stat().st_size / 1e6, 2),
            "top1": round(float((own == labels).mean()), 4),
            "equal_first_guesses": round(float((own == guesses).mean()), 4),
        }
        print(name, report[name], flush=True)
        if args.out:
            args.out.write_text(json.dumps(report, indent=2) + "\n")

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
            score(path, mode)
        if args.train_steps:
            from keras_imaging.export import quantization_aware, quantization_aware_to_litert

            network = quantization_aware(model, (size, size, 3), calibration)
            path = pathlib.Path(folder) / "trained.tflite"
            train(network, model, known, size, crop, args)
            score(quantization_aware_to_litert(network, path), "int8, trained")


def train(network, model, known, size, crop, args):
    """Let the network compute what the model does, in 8 bits."""
    import keras

    from keras_imaging.data import central_crop

    rng = np.random.default_rng(0)

    def batches():
        for _ in range(args.train_steps):
            chosen = rng.integers(len(known), size=64)
            pixels = np.stack([central_crop(known[k][0], size, crop) for k in chosen])
            pixels = np.where(rng.random((64, 1, 1, 1)) < 0.5, pixels, pixels[:, :, ::-1])
            yield pixels.astype("float32"), model.predict_on_batch(model.prepare(pixels))

    schedule = keras.optimizers.schedules.CosineDecay(args.learning_rate, args.train_steps)
    network.compile(keras.optimizers.Adam(schedule), "mse", jit_compile=False)
    for pixels, targets in batches():
        network.train_on_batch(pixels, targets)


if __name__ == "__main__":
    main()
