"""Classifiers against their peers: one run, interleaved, one thread.

    python benchmarks/classification.py networks --out classification_networks.json
    python benchmarks/classification.py litert --files files --out classification_litert.json
    python benchmarks/classification.py training --batch 8 --out classification_training.json
    python benchmarks/classification.py phones --files files --out classification_phones.json

`networks`: one picture through ResNet-RS-50 at 160 x 160, here, as an export folds it, in tf_keras
and in timm, beside EfficientNet-B0 to B3 and MobileNetV3 of Keras at their own sizes; `litert`: the
same networks as files, float and int8, and ours dynamic; `training`: a step of ResNet-RS-50, here
and in tf_keras; `phones`: VOLO-D1's float and dynamic files, beside those of the same networks and
of the smallest ViT that KerasHub has weights for (at 224 x 224; `pip install keras-hub`).

Weights are random: they do not change the time. Each contestant lives in a process of its own,
which sleeps while the others run; rounds go through all of them in turn. Reported: median over the
rounds, ratio to the reference (the median of the ratios within a round), of time and of processor
time. To write the files takes minutes; `--files` keeps them for the next time. Needs the extras
`export`, `qat` (for tf_keras) and `parity`, and timm; timm's parts that only read pictures are left
out where torchvision is not installed.

To add a network: a line in `NETWORKS`, and in `FILES` what makes its Keras model.
"""

import importlib.util
import sys

import contest

SIZE = 160
OURS = "ResNet-RS-50"
MODES = ("float", "dynamic", "int8")
PEERS_MODES = ("float", "int8")


# --- Keras models by their names; the arguments are those of a builder -------------------------


def resnet_rs(arguments, size):
    from keras_imaging.models import ResNetRS

    return ResNetRS(input_shape=(size, size, 3), **arguments)


def application(arguments, size):
    import keras

    return getattr(keras.applications, arguments["name"])(
        weights=None, input_shape=(size, size, 3), classifier_activation=None
    )


def volo(arguments, size):
    from keras_imaging.models import VOLO

    return VOLO.from_preset(arguments["preset"], weights=None, image_size=size)


def keras_hub_vit(arguments, size):
    import keras_hub

    backbone = keras_hub.models.ViTBackbone(image_shape=(size, size, 3), **arguments)
    return keras_hub.models.ViTImageClassifier(backbone, num_classes=1000, pooling="token")


# Name: builder, arguments, side of its pictures.
FILES = {
    OURS: (resnet_rs, {"depth": 50, "zero_init_residual": False}, SIZE),
    "EfficientNet-B0": (application, {"name": "EfficientNetB0"}, 224),
    "EfficientNet-B1": (application, {"name": "EfficientNetB1"}, 240),
    "EfficientNet-B2": (application, {"name": "EfficientNetB2"}, 260),
    "EfficientNet-B3": (application, {"name": "EfficientNetB3"}, 300),
    "MobileNetV3-Large": (application, {"name": "MobileNetV3Large"}, 224),
}
TRANSFORMER = "VOLO-D1"
# Beside the files above, those of networks that are compared as files alone.
PHONE_FILES = {
    TRANSFORMER: (volo, {"preset": "volo_d1"}, 224),
    "ViT-B16": (
        keras_hub_vit,
        {"patch_size": 16, "num_layers": 12, "num_heads": 12, "hidden_dim": 768, "mlp_dim": 3072},
        224,
    ),
    **FILES,
}


# --- what a worker process does: make a function that is timed ---------------------------------


def _images(batch, size):
    import numpy as np

    return np.random.default_rng(0).standard_normal((batch, size, size, 3), dtype="float32")


def keras_tf(name, args):
    tf = contest.tf_threads(args.threads)
    build, arguments, size = FILES[name]
    model = build(arguments, size)
    step = tf.function(lambda x: model(x, training=False))
    x = tf.constant(_images(args.batch, size))
    return lambda: step(x).numpy()


def folded_tf(name, args):
    tf = contest.tf_threads(args.threads)
    from keras_imaging.models.folding import fold_batch_normalization

    build, arguments, size = FILES[name]
    model = fold_batch_normalization(build(arguments, size))
    step = tf.function(lambda x: model(x, training=False))
    x = tf.constant(_images(args.batch, size))
    return lambda: step(x).numpy()


def _tf_keras_resnet_rs():
    import tf_keras

    return tf_keras.applications.resnet_rs.ResNetRS50(
        weights=None,
        input_shape=(SIZE, SIZE, 3),
        include_preprocessing=False,
        classifier_activation=None,
    )


def tf_keras_network(_, args):
    tf = contest.tf_threads(args.threads)
    model = _tf_keras_resnet_rs()
    step = tf.function(lambda x: model(x, training=False))
    x = tf.constant(_images(args.batch, SIZE))
    return lambda: step(x).numpy()


def timm_network(_, args):
    _leave_out_torchvision()
    import torch
    from timm.models.resnet import resnetrs50

    torch.set_num_threads(args.threads)
    model = resnetrs50().eval()
    x = torch.tensor(_images(args.batch, SIZE).transpose(0, 3, 1, 2).copy())

    def run():
        with torch.inference_mode():
            return model(x)

    return run


def _leave_out_torchvision():
    """timm's networks need nothing of it, but timm imports it."""
    if importlib.util.find_spec("torchvision") is not None:
        return
    from unittest import mock

    class Nothing:
        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] == "torchvision":
                return importlib.util.spec_from_loader(name, self, is_package=True)
            return None

        def create_module(self, spec):
            return mock.MagicMock(__spec__=spec, __path__=[], __name__=spec.name)

        def exec_module(self, module):
            pass

    sys.meta_path.append(Nothing())


def litert(label, args):
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(args.files / _file(label)), num_threads=args.threads)
    interpreter.allocate_tensors()
    detail = interpreter.get_input_details()[0]
    x = _images(1, detail["shape"][1])
    interpreter.set_tensor(detail["index"], x.astype(np.dtype(detail["dtype"])))
    return interpreter.invoke


def train_keras(name, args):
    import keras
    import numpy as np

    contest.tf_threads(args.threads)
    build, arguments, size = FILES[name]
    model = build(arguments, size)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.01, 0.9), loss, jit_compile=False)
    x, y = _images(args.batch, size), np.zeros(args.batch, "int32")
    return lambda: model.train_on_batch(x, y)


def train_tf_keras(_, args):
    import numpy as np
    import tf_keras

    contest.tf_threads(args.threads)
    model = _tf_keras_resnet_rs()
    loss = tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(tf_keras.optimizers.SGD(0.01, 0.9), loss, jit_compile=False)
    x, y = _images(args.batch, SIZE), np.zeros(args.batch, "int32")
    return lambda: model.train_on_batch(x, y)


# --- the contestants: label -> (function, argument, Keras backend) ------------------------------

NETWORKS = {
    **{f"{name}, Keras": (keras_tf, name, "tensorflow") for name in FILES},
    "ResNet-RS-50, normalizations folded": (folded_tf, "ResNet-RS-50", "tensorflow"),
    "ResNet-RS-50, tf_keras": (tf_keras_network, None, "tensorflow"),
    "ResNet-RS-50, timm": (timm_network, None, "torch"),
}
TRAINING = {
    "ResNet-RS-50, Keras": (train_keras, "ResNet-RS-50", "tensorflow"),
    "ResNet-RS-50, tf_keras": (train_tf_keras, None, "tensorflow"),
}
LITERT = {
    f"{name}, {mode}": (litert, f"{name}, {mode}", "tensorflow")
    for name in FILES
    for mode in (MODES if name == OURS else PEERS_MODES)
}
PHONES = {
    f"{name}, {mode}": (litert, f"{name}, {mode}", "tensorflow")
    for name in PHONE_FILES
    for mode in ("float", "dynamic")
}
TABLES = {"networks": NETWORKS, "litert": LITERT, "training": TRAINING, "phones": PHONES}


def reference_of(task):
    """From a contestant to what it is compared with: of files a float one, else ours."""
    if task == "litert":
        return lambda label: f"{label.rpartition(',')[0]}, float"
    reference = f"{TRANSFORMER}, float" if task == "phones" else f"{OURS}, Keras"
    return lambda _: reference


def _file(label):
    return f"{label.replace(', ', '_')}.tflite"


def export_files(folder, labels):
    """Files of the networks, with random weights; those that are there already stay."""
    missing = [label for label in labels if not (folder / _file(label)).exists()]
    if not missing:
        return
    from keras_imaging.export import litert as writing

    # What random weights compute does not survive 8 bits in every network; the time is the same.
    writing._check_quantized_output = lambda *_: None
    for label in missing:
        name, _, mode = label.rpartition(", ")
        build, arguments, size = PHONE_FILES[name]
        model = build(arguments, size)
        quantization = None if mode == "float" else mode
        calibration = list(_images(4, size)) if mode == "int8" else None
        writing.to_litert(model, folder / _file(label), quantization, calibration=calibration)


def main():
    parser = contest.make_parser(__doc__, TABLES, threads=1)
    parser.add_argument("--batch", type=int, default=1)
    args = parser.parse_args()
    export = export_files if args.task in ("litert", "phones") else None
    contest.hold(args, TABLES[args.task], reference_of(args.task), export, cpu=True)


if __name__ == "__main__":
    main()
