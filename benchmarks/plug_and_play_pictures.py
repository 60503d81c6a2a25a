"""Three pictures of what real spectral normalization does, by matplotlib (extra `analysis`).

    python benchmarks/plug_and_play_pictures.py --out pictures

residual.png: the residual of a certified run beside the line that the theorem predicts. decay.png:
restoration by a network whose residual map is no contraction, and by its twin with real spectral
normalization: PSNR and residual by iteration. norms.png: for every layer the norm of the reshaped
kernel, which `keras.layers.SpectralNormalization` divides by, and that of the convolution.
"""

import argparse
import pathlib

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from keras_imaging import inference, models
from keras_imaging.analysis import convergence_certificate, layer_norms
from keras_imaging.data import luma, sample_image
from keras_imaging.data.degradations import blurred, photon_limited
from keras_imaging.operators import gaussian_kernel
from keras_imaging.ops.spectral import reshaped_kernel_norm

SIDE = 128


def square():
    """The middle of the sample picture, grey."""
    return luma(sample_image())[60 : 60 + SIDE, 110 : 110 + SIDE]


def residual(path, name, iterations):
    """Deblurring with Tikhonov's term, and the certified factor."""
    denoiser = models.load(name)
    kernel = gaussian_kernel(1.6)
    y, _ = blurred(square(), kernel, 2.0)
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
    truth = square()
    counts = photon_limited(truth, 4)
    white = float(counts.max())
    _, (above, below) = plt.subplots(2, 1, figsize=(6, 6), sharex=True)
    for name in (plain, normalized):
        denoiser = models.load(name)
        problem = inference.photon_counts((counts / white).astype("float32"), white)
        wanted = (truth / 255 * 4).astype("float32")

        def score(x, wanted=wanted):
            from keras import ops

            error = ops.mean(ops.square(x[0, ..., 0] - wanted))
            return 10 * ops.log(16.0 / error) / np.log(10)

        from keras_imaging.inference.restoration import prior_of
        from keras_imaging.solvers import pnp_fbs

        result = pnp_fbs(
            problem.f,
            prior_of(problem, denoiser),
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


def norms(path, names):
    """Bars of each layer."""
    _, axes = plt.subplots(1, len(names), figsize=(4 * len(names), 3.5), sharey=True)
    for axis, name in zip(np.atleast_1d(axes), names, strict=True):
        network = models.load(name).network
        true = layer_norms(network)
        plain = network.edge_form()
        reshaped = [
            reshaped_kernel_norm(np.asarray(layer.kernel))
            for layer in plain.layers
            if hasattr(layer, "kernel")
        ]
        k = np.arange(1, len(true) + 1)
        axis.bar(k - 0.2, reshaped, 0.4, label="reshaped kernel")
        axis.bar(k + 0.2, list(true.values()), 0.4, label="convolution (bound)")
        axis.set_title(name)
        axis.set_xlabel("layer")
        axis.legend()
        print(name, [round(r, 3) for r in reshaped], [round(t, 3) for t in true.values()])
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
    norms(args.out / "norms.png", (args.plain, args.normalized))


if __name__ == "__main__":
    main()
