"""Total variation and wavelets with weights chosen by a grid, beside the shipped networks.

    python benchmarks/mri_tuning.py --tuning TRAIN.npz --validation VAL.npz \\
        --out benchmarks/results/mri_tuning.json

For every kind of mask the weight with the best mean PSNR on slices of the first file is taken. Its
neighbours on both sides are in the grid and worse, else it is said. It is scored on other subjects,
those of the second file, with mean and standard deviation over slices. Iterations run until the
image moves by less than the tolerance, and how many problems did not get there is told.
"""

import argparse
import json
import pathlib
import sys
import warnings

KINDS = ("cartesian", "poisson")
METHODS = {"tv": {"n_iterations": 1500}, "wavelet": {"n_iterations": 800}}
GRIDS = {
    "tv": (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032),
    "wavelet": (0.00003, 0.0001, 0.0003, 0.001, 0.002, 0.004, 0.008),
}
TOLERANCE = 1e-4


def classical(name, lam, missing):
    """A method of the inputs of a network; appends to `missing` where it did not converge."""
    from keras_imaging.inference import reconstruction

    solve = getattr(reconstruction, name)

    def run(inputs):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = solve(
                inputs["kspace"], inputs["mask"], lam=lam, tolerance=TOLERANCE, **METHODS[name]
            )
        missing.extend(1 for converged in result.converged if not bool(converged))
        return result.x

    return run


def some(stacks, count):
    """That many slices of each contrast, evenly."""
    return {name: s[len(s) // (2 * count) :: max(len(s) // count, 1)][:count] for name, s in stacks}


def tuned(name, kind, truths):
    """The best weight of the grid, whether it lies inside, and all scores."""
    import numpy as np

    from keras_imaging.evaluation import evaluate_mri

    rows = {}
    for lam in GRIDS[name]:
        missing = []
        scores = evaluate_mri({name: classical(name, lam, missing)}, truths, kind)
        slices = [one.psnr for row in scores.slices[name].values() for one in row]
        rows[lam] = {"psnr": round(float(np.mean(slices)), 3), "not_converged": len(missing)}
        print(kind, name, lam, rows[lam], flush=True)
    best = max(rows, key=lambda lam: rows[lam]["psnr"])
    return {"best": best, "inside": best not in (GRIDS[name][0], GRIDS[name][-1]), "grid": rows}


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tuning", type=pathlib.Path, required=True)
    parser.add_argument("--validation", type=pathlib.Path, required=True)
    parser.add_argument("--tuning-slices", type=int, default=4)
    parser.add_argument("--slices", type=int, default=6, help="of each contrast")
    parser.add_argument("--networks", nargs="*", default=[])
    parser.add_argument("--out", type=pathlib.Path)
    args = parser.parse_args()
    from keras_imaging import models
    from keras_imaging.data.mri_files import read_images
    from keras_imaging.evaluation import evaluate_mri

    tuning = some(read_images(args.tuning).items(), args.tuning_slices)
    truths = some(read_images(args.validation).items(), args.slices)
    networks = {name: models.load(name, task="mri").predict_on_batch for name in args.networks}
    report = {
        "command": f"python benchmarks/mri_tuning.py {' '.join(sys.argv[1:])}",
        "tuning_slices": {name: len(stack) for name, stack in tuning.items()},
        "slices": {name: len(stack) for name, stack in truths.items()},
        "tolerance": TOLERANCE,
        "masks": {},
    }
    for kind in KINDS:
        chosen = {name: tuned(name, kind, tuning) for name in METHODS}
        missing = {name: [] for name in METHODS}
        methods = {n: classical(n, one["best"], missing[n]) for n, one in chosen.items()}
        scores = evaluate_mri({**methods, **networks}, truths, kind)
        report["masks"][kind] = {
            "sampled": {contrast: round(part, 4) for contrast, part in scores.sampled.items()},
            "tuning": chosen,
            "not_converged": {name: len(found) for name, found in missing.items()},
            "scores": {
                name: {
                    contrast: {
                        f"{figure}{end}": round(getattr(by[contrast], figure), 4)
                        for figure in ("psnr", "ssim", "nmse")
                        for end, by in (("", means), ("_deviation", scores.deviation[name]))
                    }
                    for contrast in means
                }
                for name, means in scores.mean.items()
            },
        }
        print(json.dumps(report["masks"][kind]["scores"], indent=1), flush=True)
        if args.out:
            args.out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
