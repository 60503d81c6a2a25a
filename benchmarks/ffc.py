"""Fast Fourier convolution against ordinary convolution and PyTorch: one run, interleaved.

    python benchmarks/ffc.py networks --threads 1 --batch 1 --out ffc_networks.json
    python benchmarks/ffc.py training --threads 2 --batch 8
    python benchmarks/ffc.py units --threads 1 --out ffc_units.json

`networks`: FFC-ResNet-50 at 224 x 224 against ResNet-50 of the same width; `training`: a step of
both; `units`: a FourierUnit in LiteRT against a 3x3 convolution of the same width.

Each contestant lives in a process of its own, which sleeps while the others run; rounds go through
all of them in turn. Reported: median over the rounds, ratio to the reference (the median of the
ratios within a round), and peak memory of the process. Needs the extras `export` and `parity`, and
jax for its rows.
"""

import contest

UNITS = [(side, channels) for side in (14, 28, 56) for channels in (32, 64)]


# --- what a worker process does: make a function that is timed --------------------------------


def _model(arguments, args):
    from keras_imaging.models import FFCResNet

    size = (args.size, args.size, 3)
    return FFCResNet(args.depth, input_shape=size, **arguments)


def _images(args):
    import numpy as np

    shape = (args.batch, args.size, args.size, 3)
    return np.random.default_rng(0).random(shape, dtype="float32")


def keras_tf(arguments, args):
    tf = contest.tf_threads(args.threads)
    model = _model(arguments, args)
    step = tf.function(lambda x: model(x, training=False))
    x = tf.constant(_images(args))
    return lambda: step(x).numpy()


def keras_jax(arguments, args):
    import jax

    model = _model(arguments, args)
    variables = [v.value for v in model.trainable_variables]
    others = [v.value for v in model.non_trainable_variables]
    step = jax.jit(lambda v, o, x: model.stateless_call(v, o, x)[0])
    x = _images(args)
    return lambda: step(variables, others, x).block_until_ready()


def torch_graph(arguments, args):
    import torch
    from torch_ffc_graph import from_keras

    torch.set_num_threads(args.threads)
    model = _model(arguments, args)
    twin = from_keras(model)
    images = _images(args)
    x = torch.tensor(images.transpose(0, 3, 1, 2).copy())

    def run():
        with torch.inference_mode():
            return twin(x)

    # Both compute the same.
    ours = model(images[:1], training=False).numpy()
    error = abs(run()[:1].numpy() - ours).max() / abs(ours).max()
    if not error < 1e-3:
        raise SystemExit(f"The PyTorch twin is off by {error}.")
    return run


def train_keras(arguments, args, jit=False):
    import keras
    import numpy as np

    if keras.backend.backend() == "tensorflow":
        contest.tf_threads(args.threads)
    model = _model(arguments, args)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1, 0.9), loss, jit_compile=jit)
    x, y = _images(args), np.zeros(args.batch, "int32")
    return lambda: model.train_on_batch(x, y)


def train_torch(arguments, args):
    import torch
    from torch_ffc_graph import from_keras

    torch.set_num_threads(args.threads)
    twin = from_keras(_model(arguments, args)).train()
    optimizer = torch.optim.SGD(twin.parameters(), 0.1, 0.9)
    x = torch.tensor(_images(args).transpose(0, 3, 1, 2).copy())
    y = torch.zeros(args.batch, dtype=torch.int64)

    def run():
        loss = torch.nn.functional.cross_entropy(twin(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return run


def litert(name, args):
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(args.files / f"{name}.tflite"), num_threads=args.threads)
    interpreter.allocate_tensors()
    detail = interpreter.get_input_details()[0]
    x = np.random.default_rng(0).random(detail["shape"], dtype="float32")
    interpreter.set_tensor(detail["index"], x)

    def run():
        # A unit takes less time than a process needs to wake up.
        for _ in range(200):
            interpreter.invoke()

    return run


# --- the contestants: label -> (function, argument, Keras backend) ----------------------------

PLAIN = {"ratio": 0.0}
HALF = {"ratio": 0.5, "use_lfu": False}
HALF_LFU = {"ratio": 0.5, "use_lfu": True}
QUARTER = {"ratio": 0.25, "use_lfu": False}

NETWORKS = {
    "ResNet, Keras on TensorFlow": (keras_tf, PLAIN, "tensorflow"),
    "FFC-ResNet, Keras on TensorFlow": (keras_tf, HALF, "tensorflow"),
    "FFC-ResNet LFU, Keras on TensorFlow": (keras_tf, HALF_LFU, "tensorflow"),
    "FFC-ResNet ratio 0.25, Keras on TensorFlow": (keras_tf, QUARTER, "tensorflow"),
    "ResNet, Keras on JAX": (keras_jax, PLAIN, "jax"),
    "FFC-ResNet, Keras on JAX": (keras_jax, HALF, "jax"),
    "ResNet, PyTorch": (torch_graph, PLAIN, "torch"),
    "FFC-ResNet, PyTorch": (torch_graph, HALF, "torch"),
    "FFC-ResNet LFU, PyTorch": (torch_graph, HALF_LFU, "torch"),
}
TRAINING = {
    "ResNet, Keras on TensorFlow": (train_keras, PLAIN, "tensorflow"),
    "FFC-ResNet, Keras on TensorFlow": (train_keras, HALF, "tensorflow"),
    "ResNet, PyTorch": (train_torch, PLAIN, "torch"),
    "FFC-ResNet, PyTorch": (train_torch, HALF, "torch"),
}
UNIT_TABLE = {
    f"{kind}, {channels} channels at {side}": (litert, f"{kind}_{side}_{channels}", "tensorflow")
    for side, channels in UNITS
    for kind in ("convolution", "FourierUnit")
}
TABLES = {"networks": NETWORKS, "training": TRAINING, "units": UNIT_TABLE}


def reference_of(label):
    """What a contestant is compared with: the plain convolution."""
    if label in UNIT_TABLE:
        return label.replace("FourierUnit", "convolution")
    return "ResNet, Keras on TensorFlow"


def export_units(folder, labels):
    """Files of the units: a Fourier unit, and a 3x3 convolution with bias and ReLU."""
    import keras

    from keras_imaging.export import to_litert
    from keras_imaging.layers import FourierUnit

    names = {UNIT_TABLE[label][1] for label in labels}
    for side, channels in UNITS:
        layers = {
            "FourierUnit": FourierUnit(channels, fft_method="matmul", name="unit"),
            "convolution": keras.layers.Conv2D(channels, 3, padding="same", activation="relu"),
        }
        for kind, layer in layers.items():
            name = f"{kind}_{side}_{channels}"
            if name in names:
                x = keras.Input((side, side, channels), batch_size=1)
                to_litert(keras.Model(x, layer(x)), folder / f"{name}.tflite")


def main():
    parser = contest.make_parser(__doc__, TABLES, threads=1)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--depth", type=int, default=50)
    args = parser.parse_args()
    export = export_units if args.task == "units" else None
    contest.hold(args, TABLES[args.task], reference_of, export, cpu=True)


if __name__ == "__main__":
    main()
