"""MR reconstruction beside sigpy, NumPy and PyTorch: transforms, TV, PD-net, phones.

    python benchmarks/mri.py transform --coils 1 --out benchmarks/results/mri_transform.json
    python benchmarks/mri.py transform --coils 8 --out benchmarks/results/mri_transform8.json
    python benchmarks/mri.py tv --out benchmarks/results/mri_tv.json
    python benchmarks/mri.py inference --out benchmarks/results/mri_inference.json
    python benchmarks/mri.py training --out benchmarks/results/mri_training.json
    python benchmarks/mri.py phone --out benchmarks/results/mri_phone.json

`transform`: A, then A^H, of one image. `tv`: a call with a fixed number of iterations, compiled
before. `inference` and `training`: PD-net of 10 iterations and 32 filters, one image, and a step of
Adam with a batch of one; the twin in PyTorch is shown to compute the same. `phone`: LiteRT files of
the shipped networks. Contestants take turns, two threads each. Needs sigpy and torch; maps and
coils by ESPIRiT are in coil_maps.py.
"""

import warnings

import numpy as np
from contest import hold, make_parser, tf_threads

TASKS = ("transform", "tv", "inference", "training", "phone")
PHONE_MODELS = ("pdhg_csnet_small", "cp_net_small", "pd_net_small")


def scan(args):
    """Phantom with phase, mask, maps, and the k-space of a scan."""
    from keras_imaging.data import (
        birdcage_maps,
        head_phantom,
        random_cartesian_mask,
        simulate_kspace,
        synthetic_phase,
    )

    size = (args.size, args.size)
    image = (head_phantom(size) * np.exp(1j * synthetic_phase(size, 1))).astype("complex64")
    mask = np.repeat(random_cartesian_mask(size, seed=1), args.size, axis=0)
    maps = birdcage_maps(size, args.coils) if args.coils > 1 else None
    return image, mask, maps, simulate_kspace(image, mask, maps).astype("complex64")


def inputs_of(kspace, mask):
    """Of a network."""
    from keras_imaging.data.kspace import to_pairs

    return {"kspace": to_pairs(kspace)[None], "mask": mask[None].astype("float32")}


def transform_keras(mode, args):
    """`operators.sense_operator` on pairs, as networks use it."""
    tf = None if mode == "jax" else tf_threads(args.threads)
    import keras

    from keras_imaging.data.kspace import to_pairs
    from keras_imaging.operators import sense_operator

    image, mask, maps, _ = scan(args)
    pairs = keras.ops.convert_to_tensor(to_pairs(image)[None])
    maps = None if maps is None else to_pairs(maps)
    A = sense_operator(mask.astype("float32"), maps, image.shape, "float32")

    def both(x):
        return A.adjoint(A(x))

    if tf is None:
        import jax

        compiled = jax.jit(both)
        return lambda: compiled(pairs).block_until_ready()
    run = both if mode == "eager" else tf.function(both, jit_compile=mode == "xla")
    return lambda: run(pairs).numpy()


def transform_numpy(_, args):
    """`data.kspace`, as a user would write it."""
    from keras_imaging.data.kspace import image_to_kspace, kspace_to_image

    image, mask, maps, _ = scan(args)
    if maps is None:
        return lambda: kspace_to_image(mask * (mask * image_to_kspace(image)))
    coils = maps.conj()
    return lambda: (coils * kspace_to_image(mask * (mask * image_to_kspace(maps * image)))).sum(
        axis=0
    )


def transform_sigpy(_, args):
    """`sigpy.mri.linop.Sense`."""
    from sigpy.mri.linop import Sense

    image, mask, maps, _ = scan(args)
    maps = np.ones((1, *image.shape), "complex64") if maps is None else maps
    A = Sense(maps, weights=mask.astype("float32"))
    return lambda: A.H * (A * image)


def tv_keras(_, args):
    """`inference.reconstruction.tv`."""
    import keras

    if keras.backend.backend() == "tensorflow":
        tf_threads(args.threads)
    from keras_imaging.inference.reconstruction import tv

    _, mask, maps, kspace = scan(args)
    warnings.simplefilter("ignore")
    options = {"lam": 0.02, "n_iterations": args.iterations, "tolerance": 0}
    return lambda: keras.ops.convert_to_numpy(tv(kspace[None], mask, maps, **options).x)


def tv_sigpy(_, args):
    """sigpy's, with as many iterations of the same method."""
    from sigpy.mri.app import TotalVariationRecon

    _, mask, maps, kspace = scan(args)
    shape = (1, *mask.shape)
    maps = np.ones(shape, "complex64") if maps is None else maps
    options = {"max_iter": args.iterations, "show_pbar": False}
    return lambda: TotalVariationRecon(
        kspace.reshape(maps.shape), maps, 0.02, weights=mask.astype("float32"), **options
    ).run()


def network(args):
    """PD-net with weights that are not zero, and its inputs."""
    import keras

    from keras_imaging.models import PDNet

    keras.utils.set_random_seed(0)
    _, mask, _, kspace = scan(args)
    return PDNet(block_init="glorot"), inputs_of(kspace, mask)


def inference_keras(mode, args):
    """`predict_on_batch`."""
    import keras

    if mode != "jax":
        tf_threads(args.threads)
    model, inputs = network(args)
    model.compile(jit_compile=mode in ("xla", "jax"))
    inputs = keras.tree.map_structure(keras.ops.convert_to_tensor, inputs)
    return lambda: model.predict_on_batch(inputs)


def training_keras(mode, args):
    """A step of Adam, `train_on_batch`."""
    if mode != "jax":
        tf_threads(args.threads)
    model, inputs = network(args)
    model.compile("adam", "mse", jit_compile=mode in ("xla", "jax"))
    target = inputs["kspace"]
    return lambda: model.train_on_batch(inputs, target)


def torch_twin(args):
    """The twin of the network, its inputs, and a proof that both are the same."""
    import torch
    from torch_pd_net import from_keras

    torch.set_num_threads(args.threads)
    model, inputs = network(args)
    twin = from_keras(model)
    tensors = [torch.from_numpy(inputs[name]) for name in ("kspace", "mask")]
    with torch.no_grad():
        own = twin(*tensors).numpy()
    expected = np.asarray(model(inputs))
    assert np.abs(own - expected).max() < 1e-4 * np.abs(expected).max()
    return torch, twin, tensors


def inference_torch(_, args):
    """Without gradients."""
    torch, twin, tensors = torch_twin(args)

    def run():
        with torch.no_grad():
            return twin(*tensors).numpy()

    return run


def training_torch(_, args):
    """A step of Adam."""
    torch, twin, tensors = torch_twin(args)
    optimizer = torch.optim.Adam(twin.parameters())

    def run():
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(twin(*tensors), tensors[0])
        loss.backward()
        optimizer.step()
        return loss.item()

    return run


def phone(label, args):
    """A LiteRT file."""
    from keras_imaging.export.runtime import LiteRTModel

    _, mask, _, kspace = scan(args)
    file = LiteRTModel(args.files / f"{label.replace(' ', '_')}.tflite", args.threads)
    file.set_inputs(inputs_of(kspace, mask))
    return file.invoke


def export_phone(args):
    """Write the files of all contestants."""

    def export(folder, labels):
        from keras_imaging import export

        shapes = {"kspace": (args.size, args.size, 2), "mask": (args.size, args.size)}
        for label in labels:
            name, mode = label.split()
            mode = None if mode == "float32" else mode
            export.to_litert(name, folder / f"{name}_{label.split()[1]}.tflite", mode, shapes)

    return export


TABLES = {
    "transform": {
        "sigpy": (transform_sigpy, None, "jax"),
        "NumPy": (transform_numpy, None, "jax"),
        "TensorFlow eager": (transform_keras, "eager", "tensorflow"),
        "TensorFlow graph": (transform_keras, "graph", "tensorflow"),
        "TensorFlow XLA": (transform_keras, "xla", "tensorflow"),
        "JAX": (transform_keras, "jax", "jax"),
    },
    "tv": {
        "sigpy": (tv_sigpy, None, "jax"),
        "TensorFlow": (tv_keras, None, "tensorflow"),
        "JAX": (tv_keras, None, "jax"),
    },
    "inference": {
        "PyTorch": (inference_torch, None, "jax"),
        "TensorFlow graph": (inference_keras, "graph", "tensorflow"),
        "TensorFlow XLA": (inference_keras, "xla", "tensorflow"),
        "JAX": (inference_keras, "jax", "jax"),
    },
    "training": {
        "PyTorch": (training_torch, None, "jax"),
        "TensorFlow graph": (training_keras, "graph", "tensorflow"),
        "TensorFlow XLA": (training_keras, "xla", "tensorflow"),
        "JAX": (training_keras, "jax", "jax"),
    },
    "phone": {
        f"{name} {mode}": (phone, f"{name} {mode}", "tensorflow")
        for name in PHONE_MODELS
        for mode in ("float32", "float16", "dynamic")
    },
}


def main():
    """Command line."""
    parser = make_parser(__doc__, TASKS, threads=2)
    parser.add_argument("--size", type=int, default=None)
    parser.add_argument("--coils", type=int, default=1)
    parser.add_argument("--iterations", type=int, default=150)
    args = parser.parse_args()
    args.size = args.size or (192 if args.task == "phone" else 256)
    table = TABLES[args.task]
    first = next(iter(table))
    notes = {"size": args.size, "coils": args.coils, "threads": args.threads}
    exporting = export_phone(args) if args.task == "phone" else None
    hold(args, table, lambda label: first, exporting, cpu=True, **notes)


if __name__ == "__main__":
    main()
