"""Every shipped denoiser on folders of clean pictures, beside total variation and a Gaussian blur.

    python benchmarks/plug_and_play_denoisers.py Set12 Set68 --cards --out FILE

The protocol of `keras-imaging evaluate denoising`. Weight of the total variation and width of the
blur are the best of five for the first two pictures of the first folder; total variation, which is
slow, is scored on that one only. `--cards` writes what was measured into the cards of the package.
"""

import argparse
import json
import pathlib
import sys
import tempfile
import time

from keras_imaging import models
from keras_imaging.data.images import list_images
from keras_imaging.evaluation import evaluate_denoising, figures_of
from keras_imaging.models.pretrained import WEIGHTS_DIR
from keras_imaging.operators import Convolution, gaussian_kernel
from keras_imaging.ops.proximal import tv_prox

STRENGTHS = (0.5, 0.7, 1.0, 1.4, 2.0)
# Of a sigma of 1, in 255ths.
TV, BLUR = 0.85 / 255, 0.035


class Peer:
    """A function of `(1, height, width, 1)`, as a denoiser of one channel."""

    input_shape = (None, None, None, 1)

    def __init__(self, kind, strength, sigma):
        self.kind, self.strength, self.sigma = kind, strength, sigma

    def __call__(self, x):
        if self.kind == "tv":
            return tv_prox(x, TV * self.strength * self.sigma)
        width = max(BLUR * self.strength * self.sigma, 0.25)
        return Convolution(gaussian_kernel(width), tuple(x.shape[1:]))(x)


def tuned(kind, sigma, folder):
    """The peer that does best for the first two pictures."""
    with tempfile.TemporaryDirectory() as few:
        for path in list_images(folder)[:2]:
            (pathlib.Path(few) / path.name).symlink_to(path.resolve())
        peers = [Peer(kind, strength, sigma) for strength in STRENGTHS]
        return max(peers, key=lambda peer: evaluate_denoising(peer, few, sigma).mean)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=pathlib.Path)
    parser.add_argument("--only", default="", help="denoisers whose name contains this")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--cards", action="store_true")
    parser.add_argument("--out", type=pathlib.Path)
    args = parser.parse_args()
    report = {"command": " ".join(["python", *sys.argv]), "peers": {}, "results": {}}

    def told(group, name, row):
        report[group][name] = row
        print(name, row, flush=True)
        if args.out:
            args.out.write_text(json.dumps(report, indent=2) + "\n")

    for name in models.names_for("denoising"):
        if args.only not in name or models.shipped_weights()[name]["config"]["input_shape"][-1] > 1:
            continue
        began = time.monotonic()
        row, _ = figures_of(models.load(name), {folder.name: folder for folder in args.folders})
        if args.cards:
            path = WEIGHTS_DIR / f"{name}.json"
            card = json.loads(path.read_text())
            card["metrics"].update(row)
            path.write_text(json.dumps(card, indent=2) + "\n")
        told("results", name, {**row, "seconds": round(time.monotonic() - began)})
    for sigma in () if args.no_peers else (5, 15, 25, 40):
        for kind in ("gaussian", "tv"):
            peer = tuned(kind, sigma, args.folders[0])
            row = {"strength": peer.strength}
            for folder in args.folders if kind == "gaussian" else args.folders[:1]:
                row[folder.name] = {"psnr": round(evaluate_denoising(peer, folder, sigma).mean, 4)}
            told("peers", f"{kind}, sigma {sigma}", row)


if __name__ == "__main__":
    main()
