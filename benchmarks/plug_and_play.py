"""Plug-and-play against its peers: one run, one machine, interleaved.

    python benchmarks/plug_and_play.py admm --rounds 5 --out benchmarks/results/pnp_admm.json
    python benchmarks/plug_and_play.py training --out benchmarks/results/pnp_training.json
    python benchmarks/plug_and_play.py certificate --threads 1 --rounds 3 \\
        --out benchmarks/results/pnp_certificate.json
    python benchmarks/plug_and_play.py tiles --rounds 1 --out benchmarks/results/pnp_tiles.json

admm: 10 iterations of the CS-MRI experiment on 256x256 pixels, compiled before, against the loop of
the authors' script, written anew: NumPy in float64 around a PyTorch network in float32; and, where
it is installed, deepinv's ADMM, whose DnCNN has no normalization. training: a step of SimpleCNN
with real spectral normalization on 16 patches of 40x40. certificate: the bound of DnCNN, against
singular values by NumPy on 64x64 frequencies. tiles: DnCNN of 10 layers of 32 on 12 megapixels by
tiles, and on one megapixel by tiles and whole, of which the results are compared. Weights are
random: times do not depend on them. Needs PyTorch (extra `parity`).
"""

import importlib.util

import contest
import numpy as np

ALPHA, SPAN = 4.0, 1 + 15 / 255 / 2
BATCH, PATCH = 16, 40


def problem(args):
    """k-space without shift or norm as the authors have it, and the mask."""
    rng = np.random.default_rng(0)
    size = (args.size, args.size)
    mask = (rng.random(size) < 0.3).astype("float64")
    image = rng.random(size)
    return np.fft.fft2(image) * mask, mask


def keras_graph(name, args):
    """The iterations laid open, as one graph."""
    contest.tf_threads(args.threads)
    from keras_imaging import models
    from keras_imaging.data.kspace import image_to_kspace, to_pairs

    denoiser = models.Denoiser(getattr(models, name)(), value_range=("min", "max"), span=SPAN)
    sampled, mask = problem(args)
    shape = (*mask.shape, 1)
    model = models.PlugAndPlay(denoiser, "csmri", args.iterations, "drs", ALPHA, input_shape=shape)
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
    sampled, mask = problem(args)
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
        u = np.zeros(mask.shape)
        for _ in range(args.iterations):
            spectrum = np.fft.fft2(x + u)
            spectrum[chosen] = (weight * spectrum[chosen] + sampled[chosen]) / (weight + 1)
            v = np.fft.ifft2(spectrum).real
            moved = denoise(2 * v - x - u)
            u, x = u + x - v, moved
        return x

    return run


def deepinv_admm(name, args):
    """Complex images as two channels, of which the first is denoised."""
    import deepinv
    import torch

    torch.set_num_threads(args.threads)
    depth = {"DnCNN": 17, "SimpleCNN": 4}[name]
    network = deepinv.models.DnCNN(1, 1, depth, bias=False, pretrained=None).eval()
    sampled, mask = problem(args)
    physics = deepinv.physics.MRI(
        mask=torch.from_numpy(np.fft.fftshift(mask).astype("float32"))[None, None],
        img_size=(2, *mask.shape),
    )
    spectrum = np.fft.fftshift(sampled) / args.size
    y = torch.from_numpy(np.stack([spectrum.real, spectrum.imag])[None].astype("float32"))

    class OfReal(torch.nn.Module):
        def forward(self, x, sigma=None, **others):
            return torch.cat([network(x[:, :1]), torch.zeros_like(x[:, 1:])], 1)

    solver = deepinv.optim.optim_builder(
        "ADMM",
        max_iter=args.iterations,
        data_fidelity=deepinv.optim.data_fidelity.L2(),
        prior=deepinv.optim.prior.PnP(OfReal()),
        params_algo={"stepsize": ALPHA, "g_param": 15 / 255, "lambda": 1.0},
        early_stop=False,
    )

    def run():
        with torch.no_grad():
            return solver(y, physics)

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
        return loss.item()

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


def tiles(task, args):
    """A grey picture of 3 to 4 by tiles of a side, or whole, which then is compared with tiles."""
    contest.tf_threads(args.threads)
    from keras_imaging import inference, models

    part, tile = task
    denoiser = models.load("dncnn_small_25")
    sides = np.asarray([3, 4]) * round((part * args.megapixels * 1e6 / 12) ** 0.5)
    picture = np.random.default_rng(0).integers(0, 256, sides).astype("uint8")

    def run(tile=tile):
        return inference.denoise(denoiser, picture, tile)

    if tile is None:
        np.testing.assert_array_equal(run(), run(512))
    return run


TASKS = {
    "admm": {
        f"{peer}, {name}": (function, name, "tensorflow")
        for name in ("DnCNN", "SimpleCNN")
        for peer, function in (
            ("Keras", keras_graph),
            ("PyTorch", torch_script),
            ("deepinv", deepinv_admm),
        )
        if peer != "deepinv" or importlib.util.find_spec("deepinv")
    },
    "training": {
        "Keras": (keras_training, None, "tensorflow"),
        "PyTorch": (torch_training, None, "tensorflow"),
    },
    "certificate": {
        "bound": (our_bound, None, "tensorflow"),
        "singular values": (singular_values, None, "tensorflow"),
    },
    "tiles": {
        "all, tiles of 512": (tiles, (1.0, 512), "tensorflow"),
        "a tenth, tiles of 512": (tiles, (0.1, 512), "tensorflow"),
        "a tenth, whole": (tiles, (0.1, None), "tensorflow"),
    },
}


def reference_of(label):
    """PyTorch's of the same network; of the other tasks the last."""
    for name in ("certificate", "tiles"):
        if label in TASKS[name]:
            return list(TASKS[name])[-1]
    _, comma, name = label.partition(", ")
    return f"PyTorch{comma}{name}"


def main():
    parser = contest.make_parser(__doc__, TASKS, threads=2)
    parser.add_argument("--size", type=int, default=256, help="of admm: side of the image")
    parser.add_argument("--iterations", type=int, default=10, help="of admm")
    parser.add_argument("--megapixels", type=float, default=12.0, help="of tiles")
    args = parser.parse_args()
    contest.hold(args, TASKS[args.task], reference_of)


if __name__ == "__main__":
    main()
