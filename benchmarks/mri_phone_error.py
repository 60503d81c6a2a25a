"""What LiteRT files of MR networks lose: their images beside those of Keras.

    python benchmarks/mri_phone_error.py --sizes 256x256 145x149 \\
        --out benchmarks/results/mri_phone_error.json

The phantom with phase is scanned, four birdcage coils for a network of several. Errors are the
largest of the complex image, as a part of its largest magnitude; operators are all builtin ones, or
there would be no file.
"""

import argparse
import json
import pathlib
import sys
import tempfile

import numpy as np

NETWORKS = ("pdhg_csnet_small", "cp_net_small", "pd_net_small", "pd_net_small_coils")
MODES = ("float32", "float16", "dynamic")
COILS = 4


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=["256x256", "145x149"])
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--out", type=pathlib.Path)
    args = parser.parse_args()
    from keras_imaging import export, models
    from keras_imaging.export.runtime import LiteRTModel

    report = {
        "command": f"python benchmarks/mri_phone_error.py {' '.join(sys.argv[1:])}",
        "errors": {},
    }
    for name in args.networks:
        model = models.load(name, task="mri")
        for size in args.sizes:
            shapes = model.shapes_of_size(*map(int, size.split("x")))
            if "maps" in shapes:
                shapes.update({k: (COILS, *shapes[k][1:]) for k in ("kspace", "maps")})
            (inputs,) = model.sample_inputs(shapes)
            expected = np.asarray(model.predict_on_batch(inputs))
            for mode in MODES:
                with tempfile.TemporaryDirectory() as folder:
                    path = pathlib.Path(folder) / "net.tflite"
                    quantization = None if mode == "float32" else mode
                    export.to_litert(name, path, quantization, shapes)
                    (found,) = LiteRTModel(path).run(inputs)
                    kilobytes = path.stat().st_size // 1000
                gap = np.linalg.norm(found - expected, axis=-1).max()
                error = float(f"{gap / np.linalg.norm(expected, axis=-1).max():.2g}")
                row = {"error": error, "kilobytes": kilobytes}
                report["errors"].setdefault(name, {}).setdefault(size, {})[mode] = row
                print(name, size, mode, row, flush=True)
                if args.out:
                    args.out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
