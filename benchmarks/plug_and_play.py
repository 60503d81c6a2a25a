"""Plug-and-play against its peers: one run, one machine, interleaved.

    python benchmarks/plug_and_play.py admm --threads 2 --rounds 5 \
        --out benchmarks/results/pnp_admm.json
    python benchmarks/plug_and_play.py training --threads 2 --rounds 10 \
        --out benchmarks/results/pnp_training.json
    python benchmarks/plug_and_play.py certificate --threads 1 --rounds 3 \
        --out benchmarks/results/pnp_certificate.json

admm: 10 iterations of the CS-MRI experiment on 256x256 pixels, compiled before, against the loop of
the authors' script, written anew: NumPy in float64 around a PyTorch network in float32. training: a
step of SimpleCNN with real spectral normalization on 16 patches of 40x40. certificate: the bound of
DnCNN, against singular values by NumPy. Weights are random: times do not depend on them. Needs
PyTorch (extra `parity`).
"""

import contest
import numpy as np

SIZE, ITERATIONS, ALPHA, SPAN = (256, 256), 10, 4.0, 1 + 15 / 255 / 2
BATCH, PATCH = 16, 40


def problem():
    """k-space without shift or norm as the authors have it, and the mask."""
    rng = np.random.default_rng(0)
    mask = (rng.random(SIZE) < 0.3).astype("float64")
    image = rng.random(SIZE)
    return np.fft.fft2(image) * mask, mask


def keras_graph(name, args):
    """The iterations laid open, as one graph."""
    contest.tf_threads(args.threads)
    from keras_imaging import models
    from keras_imaging.data.kspace import image_to_kspace, to_pairs

    denoiser = models.Denoiser(getattr(models, name)(), value_range=("min", "max"), span=SPAN)
    model = models.PlugAndPlay(denoiser, "csmri", ITERATIONS, "drs", ALPHA, input_shape=(*SIZE, 1))
    sampled, mask = problem()
    kspace = image_to_kspace(np.fft.ifft2(sampled))
    inputs = {"kspace": to_pairs(kspace)[None], "mask": np.fft.fftshift(mask)[None]}
    inputs = {key: value.astype("float32") for key, value in inputs.items()}
    model.compile(jit_compile=False)
    return lambda: model.predict_on_batch(inputs)


def torch_network(name):
    """The authors' network; biases and weights as PyTorch has them."""
    from torch import nn

    depth, norm = {"DnCNN": (17, True), "SimpleCNN": (4, False)}[name]
    parts = [nn.Conv2d(1, 64, 3, padding=1, bias=False), nn.ReLU()]
    for _ in range(depth - 2):
        parts.append(nn.Conv2d(64, 64, 3, padding=1, bias=False))
        parts += [nn.BatchNorm2d(64), nn.ReLU()] if norm else [nn.ReLU()]
    return nn.Sequential(*parts, nn.Conv2d(64, 1, 3, padding=1, bias=False))


def torch_script(name, args):
    """v = Re IDFT of the mended spectrum; x = H(2 v - x - u); u = u + x - v, x the old one."""
    import torch

    torch.set_num_threads(args.threads)
    network = torch_network(name).eval()
    sampled, mask = problem()
    weight = 1 / ALPHA
    chosen = mask > 0

    def denoise(x):
        low, high = x.min(), x.max()
        shift = (1 - SPAN) / 2
        t = (x - low) / (high - low) * SPAN + shift
        with torch.no_grad():
            noise = network(torch.from_numpy(t.astype("float32"))[None, None])
        y = t - noise.numpy()[0, 0]
        return (y - shift) / SPAN * (high - low) + low

    def run():
        x = np.abs(np.fft.ifft2(sampled))
        u = np.zeros(SIZE)
        for _ in range(ITERATIONS):
            spectrum = np.fft.fft2(x + u)
            spectrum[chosen] = (weight * spectrum[chosen] + sampled[chosen]) / (weight + 1)
            v = np.fft.ifft2(spectrum).real
            moved = denoise(2 * v - x - u)
            u, x = u + x - v, moved
        return x

    return run


def _patches():
    rng = np.random.default_rng(0)
    return [rng.normal(size=(BATCH, PATCH, PATCH, 1)).astype("float32") for _ in range(2)]


def keras_training(name, args):
    contest.tf_threads(args.threads)
    import keras

    from keras_imaging.models import SimpleCNN
    from keras_imaging.training.recipes.denoising import half_sum_of_squares

    model = SimpleCNN(spectral_norm="real")
    model.compile(keras.optimizers.Adam(1e-3), loss=half_sum_of_squares, jit_compile=False)
    x, y = _patches()
    return lambda: model.train_on_batch(x, y)


def torch_training(name, args):
    """Each convolution divided by its norm, estimated by one power iteration with a gradient."""
    import torch
    from torch.nn import functional as F

    torch.set_num_threads(args.threads)
    convolutions = [m for m in torch_network("SimpleCNN") if hasattr(m, "weight")]
    kernels = [m.weight for m in convolutions]
    states = [torch.randn(1, k.shape[0], PATCH, PATCH) for k in kernels]
    optimizer = torch.optim.Adam(kernels, lr=1e-3)
    x, y = (torch.from_numpy(part.transpose(0, 3, 1, 2).copy()) for part in _patches())

    def normalized(number):
        kernel, u = kernels[number], states[number]
        with torch.no_grad():
            v = F.conv2d(u, kernel.flip(2, 3).transpose(0, 1), padding=1)
            v = v / v.norm()
            u = F.conv2d(v, kernel, padding=1)
            states[number] = u = u / u.norm()
        return kernel / (u * F.conv2d(v, kernel, padding=1)).sum()

    def run():
        optimizer.zero_grad()
        out = x
        for number in range(len(kernels)):
            out = F.conv2d(out, normalized(number), padding=1)
            out = F.relu(out) if number < len(kernels) - 1 else out
        loss = (out - y).square().sum() / (2 * BATCH)
        loss.backward()
        optimizer.step()
        return float(loss)

    return run


def _network(args):
    contest.tf_threads(args.threads)
    from keras_imaging.models import DnCNN

    return DnCNN()


def our_bound(name, args):
    from keras_imaging.analysis import network_lipschitz_bound

    network = _network(args)
    return lambda: network_lipschitz_bound(network)


def singular_values(name, args):
    kernels = [w for w in _network(args).get_weights() if w.ndim == 4]

    def run():
        product = 1.0
        for kernel in kernels:
            spectrum = np.fft.rfft2(kernel.astype("float64"), (64, 64), axes=(0, 1))
            matrices = spectrum.reshape(-1, *kernel.shape[2:])
            product *= np.linalg.svd(matrices, compute_uv=False).max()
        return product

    return run


TASKS = {
    "admm": {
        "Keras, DnCNN": (keras_graph, "DnCNN", "tensorflow"),
        "PyTorch, DnCNN": (torch_script, "DnCNN", "tensorflow"),
        "Keras, SimpleCNN": (keras_graph, "SimpleCNN", "tensorflow"),
        "PyTorch, SimpleCNN": (torch_script, "SimpleCNN", "tensorflow"),
    },
    "training": {
        "Keras": (keras_training, None, "tensorflow"),
        "PyTorch": (torch_training, None, "tensorflow"),
    },
    "certificate": {
        "bound": (our_bound, None, "tensorflow"),
        "singular values": (singular_values, None, "tensorflow"),
    },
}


def reference_of(label):
    """PyTorch's of the same network."""
    if label in TASKS["certificate"]:
        return "singular values"
    return label.replace("Keras", "PyTorch")


def main():
    args = contest.make_parser(__doc__, TASKS, threads=2).parse_args()
    contest.hold(args, TASKS[args.task], reference_of, iterations=ITERATIONS)


if __name__ == "__main__":
    main()
