"""Four pictures of plug-and-play and of real spectral normalization, by matplotlib (`analysis`).

    python benchmarks/plug_and_play_pictures.py --out pictures

problems.png: of five kinds of degradation what was measured, the result and the truth, pixel by
pixel. residual.png: the residual of a certified run beside the line that the theorem predicts.
decay.png: restoration by a network whose residual map is no contraction, and by its twin with real
spectral normalization: PSNR and residual by iteration. norms.png: of the layers of all shipped
denoisers the norm of the reshaped kernel, which `keras.layers.SpectralNormalization` divides by,
and that of the convolution.
"""

import argparse
import pathlib

import matplotlib
import numpy as np
from PIL import Image

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from keras import ops

from keras_imaging import inference, models
from keras_imaging.analysis import convergence_certificate, layer_norms
from keras_imaging.cli.comparison import LABEL_HEIGHT, MARGIN, paste_labelled
from keras_imaging.data import luma, sample_image
from keras_imaging.data.degradations import blurred, one_bit_counts, photon_limited, with_noise
from keras_imaging.data.sampling_masks import draw_sampling_mask
from keras_imaging.inference.restoration import prior_of
from keras_imaging.metrics import psnr
from keras_imaging.models.folding import fold_batch_normalization
from keras_imaging.operators import gaussian_kernel
from keras_imaging.ops.spectral import reshaped_kernel_norm
from keras_imaging.solvers import pnp_fbs

SIDE = 192
PEAK, SENSORS, NOISE = 4, 8, 2.0
DENOISERS = {
    "deblur": "dncnn_small_25",
    "inpaint": "dncnn_small_25",
    "poisson": "simplecnn_realsn_40",
    "photon": "dncnn_small_15",
    "csmri": "dncnn_small_15",
}


def square(side=SIDE):
    """The middle of the sample picture, grey."""
    return luma(sample_image())[60 : 60 + side, 110 : 110 + side]


def measured(truth):
    """Name, what is seen of the measurement in 0..1, problem and truth in 0..1 of each kind."""
    rng = np.random.default_rng(0)
    kernel = gaussian_kernel(1.6)
    y, seen = blurred(truth, kernel, NOISE)
    yield "deblur", y / 255, inference.deblurring(y, kernel, 25, NOISE), seen / 255
    known = rng.random(truth.shape) < 0.3
    y = with_noise(truth, NOISE) * known
    yield "inpaint", y / 255, inference.hole_filling(y, known, 25, NOISE), truth / 255
    counts = photon_limited(truth, PEAK)
    white = float(counts.max())
    problem = inference.photon_counts((counts / white).astype("float32"), white)
    yield "poisson", counts / PEAK, problem, truth / 255
    share = one_bit_counts(truth, SENSORS) / SENSORS**2
    yield "photon", share, inference.one_bit_photons(share.astype("float32"), SENSORS), truth / 255
    mask = draw_sampling_mask("poisson", truth.shape, 1 / 0.3, 0.08, 1)
    centred = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(truth / 255), norm="ortho"))
    noise = rng.normal(0, 15 / 255, (2, *truth.shape))
    kspace = ((centred + noise[0] + 1j * noise[1]) * mask).astype("complex64")
    back = np.abs(np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(kspace), norm="ortho")))
    yield "csmri", back, inference.compressed_mri(kspace, mask, 15, 15 / 255), truth / 255


def problems(path, denoisers):
    """Rows of measured, restored and true pictures."""
    truth = square()
    step = np.asarray(truth.shape) + (MARGIN + LABEL_HEIGHT, MARGIN)
    height, width = step * (len(denoisers), 3) + MARGIN
    canvas = Image.new("RGB", (int(width), int(height)), "white")
    for row, (kind, seen, problem, wanted) in enumerate(measured(truth)):
        name = denoisers[kind]
        restored = inference.restore(problem, models.load(name)).picture
        if restored.dtype == np.uint8:
            restored = restored / 255
        if kind == "poisson":
            restored = restored * float(ops.max(problem.f.counts)) / PEAK
        labels = (f"{kind} {{:.2f}} dB", f"{name} {{:.2f}}", "truth")
        for column, (label, shown) in enumerate(zip(labels, (seen, restored, wanted), strict=True)):
            score = psnr(np.clip(shown, 0, 1)[..., None], wanted[..., None], max_val=1.0)
            eight = (255 * np.clip(shown, 0, 1) + 0.5).astype("uint8")
            panel = np.repeat(eight[..., None], 3, axis=-1)
            place = (MARGIN + int(column * step[1]), int(row * step[0]))
            paste_labelled(canvas, place, label.format(score), panel)
            print(label.format(score), flush=True)
    canvas.save(path)


def residual(path, name, iterations):
    """Deblurring with Tikhonov's term, and the certified factor."""
    denoiser = models.load(name)
    kernel = gaussian_kernel(1.6)
    y, _ = blurred(square(128), kernel, NOISE)
    problem = inference.deblurring(
        y, kernel, denoiser.sigma, tikhonov_weight=0.05, boundary="circular"
    )
    alpha = problem.alpha["admm"]
    certificate = convergence_certificate(denoiser, problem.f, alpha, "admm")
    done = inference.restore(problem, denoiser, n_iterations=iterations)
    residuals = np.asarray(done.result.history["residual"])
    k = np.arange(1, iterations + 1)
    plt.figure(figsize=(6, 4))
    plt.semilogy(k, residuals, label="observed")
    if certificate.factor is not None and certificate.verdict == "certified":
        line = residuals[0] * certificate.factor ** (k - 1)
        plt.semilogy(k, line, "--", label=f"proved: {certificate.factor:.3f} an iteration")
    plt.title(f"{name}: {certificate.verdict}")
    plt.xlabel("iteration")
    plt.ylabel("residual")
    plt.legend()
    plt.tight_layout()
    plt.savefig(path, dpi=100)
    print(certificate)
    print("residuals", residuals[[0, iterations // 2, -1]])


def decay(path, plain, normalized, iterations):
    """Photon counts by the two networks."""
    truth = square(128)
    counts = photon_limited(truth, PEAK)
    white = float(counts.max())
    problem = inference.photon_counts((counts / white).astype("float32"), white)
    wanted = (truth / 255 * PEAK).astype("float32")

    def score(x):
        error = ops.mean(ops.square(x[0, ..., 0] - wanted))
        return 10 * ops.log(PEAK**2 / error) / np.log(10)

    _, (above, below) = plt.subplots(2, 1, figsize=(6, 6), sharex=True)
    for name in (plain, normalized):
        result = pnp_fbs(
            problem.f,
            prior_of(problem, models.load(name)),
            0.1,
            n_iterations=iterations,
            start=problem.start,
            measures={"psnr": score},
        )
        k = np.arange(1, iterations + 1)
        scores = np.asarray(result.history["psnr"])
        above.plot(k, scores, label=name)
        below.semilogy(k, np.asarray(result.history["residual"]), label=name)
        print(name, "best", scores.max(), "at", scores.argmax() + 1, "last", scores[-1])
    above.set_ylabel("PSNR, dB")
    above.legend()
    below.set_ylabel("residual")
    below.set_xlabel("iteration of PnP-FBS")
    plt.tight_layout()
    plt.savefig(path, dpi=100)


def norms(path):
    """Histograms over the layers of the networks with real spectral normalization, and without."""
    found = {True: ([], []), False: ([], [])}
    for name in models.names_for("denoising"):
        network = models.load(name).network
        normalized = network.get_config()["spectral_norm"] == "real"
        reshaped, true = found[normalized]
        plain = fold_batch_normalization(network.edge_form())
        kernels = [np.asarray(layer.kernel) for layer in plain.layers if hasattr(layer, "kernel")]
        reshaped += [reshaped_kernel_norm(kernel) for kernel in kernels]
        true += layer_norms(network).values()
    _, axes = plt.subplots(1, 2, figsize=(9, 3.5))
    for axis, (normalized, (reshaped, true)) in zip(axes, found.items(), strict=True):
        edges = np.linspace(0, 1.1 * max(true), 28)
        axis.hist([reshaped, true], edges, label=["reshaped kernel", "convolution (bound)"])
        axis.set_title(f"{len(true)} layers {'with' if normalized else 'without'} RealSN")
        axis.set_xlabel("norm of a layer")
        axis.set_ylabel("layers")
        axis.yaxis.get_major_locator().set_params(integer=True)
        axis.legend()
        ratios = np.divide(true, reshaped)
        print(
            axis.get_title(),
            "reshaped",
            np.min(reshaped),
            "to",
            np.max(reshaped),
            "true",
            np.min(true),
            "to",
            np.max(true),
            "ratios",
            ratios.min(),
            "to",
            ratios.max(),
        )
    plt.tight_layout()
    plt.savefig(path, dpi=100)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--certified", default="simplecnn_lip09_25")
    parser.add_argument("--plain", default="simplecnn_25")
    parser.add_argument("--normalized", default="simplecnn_realsn_25")
    parser.add_argument("--iterations", type=int, default=60)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path())
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    residual(args.out / "residual.png", args.certified, args.iterations)
    decay(args.out / "decay.png", args.plain, args.normalized, args.iterations)
    norms(args.out / "norms.png")
    problems(args.out / "problems.png", DENOISERS)


if __name__ == "__main__":
    main()
