"""CG-SENSE on a real scan of several coils, beside sigpy.

    KERAS_BACKEND=jax python benchmarks/mri_real_scan.py --data multicoil.npz \\
        --out benchmarks/results/mri_real_scan.json

`kspace` of the file is `(height, width, coils)`, undersampled around a full centre. Maps come from
our ESPIRiT and from sigpy's, with the same kernels and thresholds. With either, `cg_sense` and
`sigpy.mri.app.SenseRecon` solve the same problem by as many iterations: their images are compared,
then the images of the two kinds of maps, and the part of the samples that each image explains.
Needs sigpy.
"""

import argparse
import json
import pathlib
import sys
import warnings

import numpy as np

CALIBRATION, CROP, L2, ITERATIONS = 24, 0.9, 1e-3, 30


def difference(a, b):
    """Of two images, as a part of the second: in length, and at the worst pixel."""
    gap = np.abs(a - b)
    return {
        "length": float(f"{np.linalg.norm(gap) / np.linalg.norm(b):.3g}"),
        "largest": float(f"{gap.max() / np.abs(b).max():.3g}"),
    }


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path)
    args = parser.parse_args()
    from sigpy.mri.app import EspiritCalib, SenseRecon

    from keras_imaging.data import espirit_maps
    from keras_imaging.data.kspace import image_to_kspace
    from keras_imaging.inference.reconstruction import cg_sense, zero_filled

    warnings.simplefilter("ignore")
    kspace = np.moveaxis(np.load(args.data)["kspace"], -1, 0).astype("complex64")
    mask = (kspace != 0).any(axis=0).astype("float32")
    all_maps = {
        "ours": espirit_maps(kspace, CALIBRATION, crop=CROP),
        "sigpy's": EspiritCalib(kspace, calib_width=CALIBRATION, crop=CROP, show_pbar=False).run(),
    }
    magnitudes, report = {}, {}
    for name, maps in all_maps.items():
        options = {"l2": L2, "n_iterations": ITERATIONS, "tolerance": 0}
        ours = np.asarray(cg_sense(kspace[None], mask, maps, **options).x)[0]
        naive = np.asarray(zero_filled(kspace[None], mask, maps))[0]
        app = SenseRecon(kspace, maps, lamda=L2, weights=mask, max_iter=ITERATIONS, show_pbar=False)
        theirs = app.run()
        residual = mask * image_to_kspace(maps * ours) - kspace
        magnitudes[name] = np.abs(ours)
        report[name] = {
            "cg_sense_beside_sigpy": difference(ours, theirs),
            "zero_filled_beside_cg_sense": difference(naive, ours),
            "samples_not_explained": round(
                float(np.linalg.norm(residual) / np.linalg.norm(kspace)), 4
            ),
        }
    both = [(np.abs(maps).sum(axis=0) > 0) for maps in all_maps.values()]
    inside = both[0] & both[1]
    cosine = np.abs((all_maps["ours"].conj() * all_maps["sigpy's"]).sum(axis=0))[inside]
    report = {
        "command": f"python benchmarks/mri_real_scan.py {' '.join(sys.argv[1:])}",
        "shape": list(kspace.shape),
        "sampled": round(float(mask.mean()), 4),
        "l2": L2,
        "iterations": ITERATIONS,
        "by_maps": report,
        "maps": {
            "pixels": int(inside.sum()),
            "pixels_in_one_only": int((both[0] != both[1]).sum()),
            "median_cosine": round(float(np.median(cosine)), 6),
            "cosine_below_0.999": int((cosine < 0.999).sum()),
        },
        "magnitudes_of_both_maps": difference(*(x * inside for x in magnitudes.values())),
    }
    print(json.dumps(report, indent=2))
    if args.out:
        args.out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
