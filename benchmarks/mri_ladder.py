"""The relaxation ladder: how much of the primal-dual iteration should be learned?

    python benchmarks/mri_ladder.py --data TRAIN.npz --validation VAL.npz \\
        --out benchmarks/results/mri_ladder.json

PDHG-CSnet (the image's proximal map learned), CP-net (that of the dual variable, too) and PD-net
(both updates free) are trained alike: as many steps on the same batches, from the same seeds.
PD-net is trained once more without true images (`--supervision ssdu`), for as many steps. Scored on
other subjects beside zero-filling, by the mean over seeds and their spread. So small a budget says
what learns fast, not what is best in the end.
"""

import argparse
import json
import pathlib
import statistics
import sys
import tempfile
import time

RUNGS = {
    "pdhg_csnet": ("pdhg_csnet", "supervised"),
    "cp_net": ("cp_net", "supervised"),
    "pd_net": ("pd_net", "supervised"),
    "pd_net, ssdu": ("pd_net", "ssdu"),
}


def trained(preset, supervision, seed, images, args):
    """A network and the seconds that it took."""
    from keras_imaging.training import MRIRecipe, train

    recipe = MRIRecipe(
        preset=preset,
        supervision=supervision,
        num_iterations=args.iterations,
        filters=args.filters,
        patch_size=args.patch_size,
        steps=args.steps,
        seed=seed,
        learning_rate=2e-3,
        ema=0.99,
        dtype=args.dtype,
        jit=False,
    )
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        result = train(recipe, images, pathlib.Path(folder) / "run")
        return result.model, time.process_time() - start


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path, nargs="+", required=True)
    parser.add_argument("--validation", type=pathlib.Path, required=True)
    parser.add_argument("--slices", type=int, default=4, help="of each contrast, to score on")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--iterations", type=int, default=3)
    parser.add_argument("--filters", type=int, default=16)
    parser.add_argument("--patch-size", type=int, default=64)
    parser.add_argument("--dtype", default="mixed_bfloat16")
    parser.add_argument("--out", type=pathlib.Path)
    args = parser.parse_args()
    from keras_imaging.data.mri_files import read_images
    from keras_imaging.evaluation import evaluate_mri

    images = [
        image for path in args.data for stack in read_images(path).values() for image in stack
    ]
    truths = {
        name: stack[:: max(len(stack) // args.slices, 1)][: args.slices]
        for name, stack in read_images(args.validation).items()
    }
    psnrs, seconds = {}, {}
    # Seed by seed: what is cut off has whole ladders.
    for seed in range(args.seeds):
        for rung, (preset, supervision) in RUNGS.items():
            model, took = trained(preset, supervision, seed, images, args)
            scores = evaluate_mri({rung: model.predict_on_batch}, truths)
            for name, means in scores.mean.items():
                psnrs.setdefault(name, {c: {} for c in means})
                for contrast, mean in means.items():
                    psnrs[name][contrast][seed] = mean.psnr
            seconds.setdefault(rung, []).append(round(took, 1))
            print(seed, rung, {c: round(m.psnr, 2) for c, m in scores.mean[rung].items()})
            sys.stdout.flush()
            report = report_of(args, scores, truths, psnrs, seconds)
            if args.out:
                args.out.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report["psnr"], indent=2))


def report_of(args, scores, truths, psnrs, seconds):
    """What is known so far."""
    budget = ("steps", "iterations", "filters", "patch_size", "dtype")
    return {
        "command": f"python benchmarks/mri_ladder.py {' '.join(sys.argv[1:])}",
        "mask": scores.mask,
        "sampled": scores.sampled,
        "slices": {name: len(stack) for name, stack in truths.items()},
        "budget": {name: getattr(args, name) for name in budget},
        "processor_seconds": seconds,
        "psnr": {
            name: {
                contrast: {
                    "mean": round(statistics.mean(values.values()), 3),
                    "deviation": round(statistics.pstdev(values.values()), 3),
                    "seeds": [round(value, 3) for value in values.values()],
                }
                for contrast, values in by.items()
            }
            for name, by in psnrs.items()
        },
    }


if __name__ == "__main__":
    main()
