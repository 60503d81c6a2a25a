"""RDIDN x2 against its peers: one run, one machine, interleaved.

    python benchmarks/sr.py inference --threads 2 --out benchmarks/results/sr_inference.json
    python benchmarks/sr.py training --threads 2 --out benchmarks/results/sr_training.json

Each contestant lives in a process of its own, which sleeps while the others run; rounds go through
all of them in turn. Reported: median over the rounds, ratio to the reference (the median of the
ratios within a round), and peak memory of the process. Needs the extras `export` and `parity`, and
jax for its rows.
"""

import contest

FRAME = (180, 320)
BATCH, PATCH = 16, 24


# --- what a worker process does: make a function that is timed --------------------------------


def pillow(name, args):
    import numpy as np
    from PIL import Image

    image = Image.fromarray(np.random.default_rng(0).integers(256, size=FRAME, dtype="uint8"))
    return lambda: image.resize((2 * FRAME[1], 2 * FRAME[0]), Image.Resampling.BICUBIC)


def _model(name):
    from keras_imaging import models

    cls = getattr(models, name)
    if name == "RDIDN":
        return cls.from_preset("rdidn_x2")
    return cls(scale=2)


def _frame(model):
    import numpy as np

    shape = (1, *FRAME, model.input_shape[-1])
    return np.random.default_rng(0).random(shape, dtype="float32")


def keras_tf(name, args, jit=False):
    tf = contest.tf_threads(args.threads)
    model = _model(name)
    step = tf.function(lambda x: model(x, training=False), jit_compile=jit)
    x = tf.constant(_frame(model))
    return lambda: step(x).numpy()


def keras_tf_xla(name, args):
    return keras_tf(name, args, jit=True)


def keras_jax(name, args):
    import jax

    model = _model(name)
    variables = [v.value for v in model.variables]
    step = jax.jit(lambda v, x: model.stateless_call(v, [], x)[0])
    x = _frame(model)
    return lambda: step(variables, x).block_until_ready()


def torch_graph(name, args, layout=None):
    import torch
    from torch_graphs import from_keras

    torch.set_num_threads(args.threads)
    model = _model(name)
    twin = from_keras(model).eval()
    x = torch.tensor(_frame(model).transpose(0, 3, 1, 2))
    if layout:
        twin, x = twin.to(memory_format=layout), x.to(memory_format=layout)

    def run():
        with torch.inference_mode():
            return twin(x)

    return run


def torch_channels_last(name, args):
    import torch

    return torch_graph(name, args, torch.channels_last)


def litert(name, args):
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(args.files / f"{name}.tflite"), num_threads=args.threads)
    interpreter.allocate_tensors()
    detail = interpreter.get_input_details()[0]
    x = np.random.default_rng(0).integers(40, 220, size=detail["shape"]).astype("float32") / 255
    if detail["dtype"] != np.float32:
        scale, zero = detail["quantization"]
        x = np.round(x / scale + zero)
    x = x.astype(detail["dtype"])

    def run():
        interpreter.set_tensor(detail["index"], x)
        interpreter.invoke()
        return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])

    return run


def _patches(model):
    import numpy as np

    rng = np.random.default_rng(0)
    c = model.input_shape[-1]
    low = rng.random((BATCH, PATCH, PATCH, c), dtype="float32")
    return low, rng.random((BATCH, 2 * PATCH, 2 * PATCH, c), dtype="float32")


def train_keras(name, args, jit=True, **changes):
    import keras

    if keras.backend.backend() == "tensorflow":
        contest.tf_threads(args.threads)
    from keras_imaging import models

    model = models.RDIDN(**changes)
    optimizer = keras.optimizers.Adam(5e-4, global_clipnorm=1.0)
    model.compile(optimizer, loss="mean_absolute_error", jit_compile=jit)
    low, high = _patches(model)
    return lambda: model.train_on_batch(low, high)


def train_keras_no_xla(name, args):
    return train_keras(name, args, jit=False)


def train_keras_grouped(name, args):
    return train_keras(name, args, jit=False, groups_implementation="grouped")


def train_torch(name, args):
    import torch
    from torch_graphs import from_keras

    from keras_imaging import models

    torch.set_num_threads(args.threads)
    model = models.RDIDN()
    twin = from_keras(model)
    optimizer = torch.optim.Adam(twin.parameters(), 5e-4)
    low, high = (torch.tensor(a.transpose(0, 3, 1, 2)) for a in _patches(model))

    def run():
        loss = (twin(low) - high).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(twin.parameters(), 1.0)
        optimizer.step()
        return loss.item()

    return run


# --- the contestants: label -> (function, argument, Keras backend) ----------------------------

# Not int16x8: LiteRT computes it on the CPU by reference kernels, minutes for one frame.
QUANTIZATIONS = (None, "float16", "dynamic", "int8")

INFERENCE = {
    "RDIDN, Keras on TensorFlow": (keras_tf, "RDIDN", "tensorflow"),
    "RDIDN, Keras on TensorFlow, XLA": (keras_tf_xla, "RDIDN", "tensorflow"),
    "RDIDN, Keras on JAX": (keras_jax, "RDIDN", "jax"),
    "RDIDN, PyTorch": (torch_graph, "RDIDN", "torch"),
    "RDIDN, PyTorch, channels last": (torch_channels_last, "RDIDN", "torch"),
    "IDN, Keras on TensorFlow": (keras_tf, "IDN", "tensorflow"),
    "IDN, PyTorch": (torch_graph, "IDN", "torch"),
    "IMDN, Keras on TensorFlow": (keras_tf, "IMDN", "tensorflow"),
    "IMDN, PyTorch": (torch_graph, "IMDN", "torch"),
    **{
        f"RDIDN, LiteRT {q or 'float32'}": (litert, f"rdidn_{q or 'float32'}", "tensorflow")
        for q in QUANTIZATIONS
    },
    "bicubic, Pillow": (pillow, "", "tensorflow"),
}
TRAINING = {
    "Keras on TensorFlow, XLA": (train_keras, "", "tensorflow"),
    "Keras on TensorFlow": (train_keras_no_xla, "", "tensorflow"),
    "Keras on TensorFlow, grouped convolutions": (train_keras_grouped, "", "tensorflow"),
    "Keras on JAX": (train_keras, "", "jax"),
    "PyTorch": (train_torch, "", "torch"),
}
TABLES = {
    "inference": (INFERENCE, "RDIDN, Keras on TensorFlow"),
    "training": (TRAINING, "Keras on TensorFlow, XLA"),
}


def export_files(folder, labels):
    """Files of RDIDN in LiteRT's modes, if one of the contestants is such a file."""
    if not any("LiteRT" in label for label in labels):
        return
    from keras_imaging.export import to_litert
    from keras_imaging.models import RDIDN

    model = RDIDN.from_preset("rdidn_x2")
    for quantization in QUANTIZATIONS:
        path = folder / f"rdidn_{quantization or 'float32'}.tflite"
        to_litert(model, path, quantization=quantization, input_shape=(*FRAME, 1))


def main():
    args = contest.make_parser(__doc__, TABLES, threads=2).parse_args()
    table, reference = TABLES[args.task]
    contest.hold(args, table, lambda _: reference, export_files, cpu=True, reference=reference)


if __name__ == "__main__":
    main()
