"""The published CS-MRI experiment with our denoisers: signal-to-noise ratios in dB.

    python benchmarks/plug_and_play_mri.py csmri.npz --denoisers simplecnn_realsn_15 \
        --iterations 100 --out benchmarks/results/pnp_mri.json

The file is the authors': two images, three masks, the noise. Their start, step and range: noise
15 in unsampled places, too; ADMM with their alpha of 2, which is 4 here, FBS with 0.4; no peak,
no crop. Zero filling needs no network.
"""

import argparse
import json
import pathlib
import sys

import keras
import numpy as np

from keras_imaging import models
from keras_imaging.operators import MaskedFourier, RealPartGaussian
from keras_imaging.solvers import pnp_drs, pnp_fbs


def snr(x, truth):
    """10 log10 of the energy of the truth over that of the error."""
    return float(10 * np.log10(np.sum(np.abs(truth) ** 2) / np.sum(np.abs(x - truth) ** 2)))


def problems(path):
    """Name, truth and k-space in the unit of the image, by mask and image."""
    arrays = np.load(path)
    for kind in ("random", "radial", "cartesian"):
        mask = arrays[f"mask_{kind}"].astype("float64")
        for image in ("brain", "bust"):
            truth = arrays[image] / 255.0
            sampled = np.fft.fft2(truth) * mask + 3 * arrays["noise"]
            yield f"{kind} {image}", truth, np.fft.ifft2(sampled), mask


def run(denoiser, algorithm, back, mask, truth, iterations, sigma):
    """Ratio by iteration, the best, and the residual."""
    A = MaskedFourier(np.fft.fftshift(mask))
    everything = MaskedFourier(np.ones_like(mask))
    f = RealPartGaussian(A, everything(back[None].astype("complex64")))
    start = np.abs(back)[None, ..., None].astype("float32")
    ranged = denoiser.with_range(("min", "max"), 1 + sigma / 255 / 2)
    wanted = keras.ops.convert_to_tensor(truth.astype("float32"))
    power = float(np.sum(truth**2))

    def ratio(x):
        error = keras.ops.sum(keras.ops.square(x[0, ..., 0] - wanted))
        return 10 * keras.ops.log(power / error) / np.log(10)

    options = {"n_iterations": iterations, "measures": {"snr": ratio}}
    if algorithm == "admm":
        result = pnp_drs(f, ranged, 4.0, start=start, **options)
    else:
        result = pnp_fbs(f, ranged, 0.4, start=ranged(start), returned="data", **options)
    return np.asarray(result.history["snr"]), np.asarray(result.history["residual"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--denoisers", nargs="*", default=[])
    parser.add_argument("--algorithms", nargs="*", default=["admm"], choices=["admm", "fbs"])
    parser.add_argument("--only", default="", help="problems whose name contains this")
    parser.add_argument("--iterations", type=int, default=100)
    parser.add_argument("--out", type=pathlib.Path)
    args = parser.parse_args()
    report = {"command": " ".join(["python", *sys.argv]), "results": {}}
    for name, truth, back, mask in problems(args.data):
        if args.only not in name:
            continue
        rows = report["results"][name] = {"zero filling": {"snr": round(snr(back, truth), 3)}}
        print(name, rows, flush=True)
        for source in args.denoisers:
            denoiser = models.load(source, task="denoising")
            for algorithm in args.algorithms:
                ratios, residuals = run(
                    denoiser, algorithm, back, mask, truth, args.iterations, denoiser.sigma
                )
                best = int(np.argmax(ratios))
                row = {
                    "snr": round(float(ratios[-1]), 3),
                    "best": round(float(ratios[best]), 3),
                    "best_iteration": best + 1,
                    "snr_by_iteration": [round(float(r), 3) for r in ratios],
                    "residual_by_iteration": [float(f"{r:.4g}") for r in residuals],
                }
                rows[f"{algorithm}, {pathlib.Path(source).name}"] = row
                print(name, algorithm, source, row["snr"], row["best"], best + 1, flush=True)
    if args.out:
        args.out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
