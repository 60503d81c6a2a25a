"""LiteRT files on 64-bit ARM, by emulation or on such a machine, beside x86.

    python benchmarks/arm.py export FILES
    python benchmarks/arm.py run FILES
    qemu-aarch64 -L ROOT -E LD_LIBRARY_PATH=ROOT/usr/lib/aarch64-linux-gnu -E PYTHONHOME=ROOT/usr \\
        -E PYTHONPATH=SITE ROOT/usr/bin/python3.11 benchmarks/arm.py run FILES
    python benchmarks/arm.py compare FILES --out benchmarks/results/arm.json

`export` writes every shipped network as it is in float32 and, where it can be, in int8, with inputs
that make sense; `run` writes what LiteRT makes of them, named after the machine; `compare` puts the
two side by side. All of them go on where they were stopped. `run` needs numpy and ai-edge-litert
alone. ROOT: Debian's arm64 packages python3.11, libpython3.11-stdlib and what they need, unpacked
by `dpkg -x`. SITE: the aarch64 wheels of ai-edge-litert and numpy, unpacked. qemu-user 7.2 ends in
a segmentation fault where LiteRT computes; 10.0 does not.
"""

import argparse
import json
import pathlib
import platform
import sys

import numpy as np

# Of images whose sides a network leaves open.
SIDE = 64


def export(folder, names):
    from keras_imaging import models
    from keras_imaging.export import to_litert
    from keras_imaging.export.runtime import LiteRTModel

    for name in names or models.shipped_weights():
        model = models.load(name)
        shapes = {
            key: tuple(SIDE if side is None else side for side in shape)
            for key, shape in model.input_shapes().items()
        }
        sample = model.sample_inputs(shapes)[0]
        for mode in (None, "int8"):
            path = folder / f"{name}.{mode or 'float32'}.tflite"
            refused = path.with_suffix(".refused")
            if path.exists() or refused.exists():
                continue
            try:
                to_litert(model, path, mode, input_shape=shapes)
            # Some say of themselves that 8 bits do not do.
            except ValueError as error:
                refused.write_text(str(error))
                continue
            raw = {}
            for key, details in LiteRTModel(path).inputs.items():
                value, dtype = np.asarray(sample[key], "float32"), np.dtype(details["dtype"])
                if dtype != np.float32:
                    scale, zero = details["quantization"]
                    limits = np.iinfo(dtype)
                    value = np.clip(np.rint(value / scale + zero), limits.min, limits.max)
                raw[details["name"]] = value.astype(dtype)
            np.savez(path.with_suffix(".inputs.npz"), **raw)
            print(path.name, flush=True)


def run(folder):
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        from tflite_runtime.interpreter import Interpreter
    for path in sorted(folder.glob("*.tflite")):
        target = path.with_suffix(f".{platform.machine()}.npz")
        if target.exists() or not path.with_suffix(".inputs.npz").exists():
            continue
        interpreter = Interpreter(str(path), num_threads=1)
        interpreter.allocate_tensors()
        with np.load(path.with_suffix(".inputs.npz")) as inputs:
            for details in interpreter.get_input_details():
                interpreter.set_tensor(details["index"], inputs[details["name"]])
        interpreter.invoke()
        outputs = {
            str(number): interpreter.get_tensor(details["index"])
            for number, details in enumerate(interpreter.get_output_details())
        }
        np.savez(target, **outputs)
        print(target.name, flush=True)


def compared(folder):
    """By file, how far the machines are apart."""
    found = {}
    for path in sorted(folder.glob("*.tflite")):
        sides = [path.with_suffix(f".{machine}.npz") for machine in ("x86_64", "aarch64")]
        if not all(side.exists() for side in sides):
            continue
        with np.load(sides[0]) as ours, np.load(sides[1]) as theirs:
            pairs = [(ours[key], theirs[key]) for key in ours.files]
        figures = {}
        levels = [(a, b) for a, b in pairs if a.dtype.kind in "iu"]
        floats = [(a, b) for a, b in pairs if a.dtype.kind == "f"]
        if levels:
            figures["levels"] = max(int(np.abs(a.astype(int) - b).max()) for a, b in levels)
        if floats:
            # As a part of the largest value, if that is more than 1.
            figures["error"] = max(
                float(np.abs(a - b).max() / max(1.0, np.abs(a).max())) for a, b in floats
            )
        if "decoder" in path.name:
            figures["bits_equal"] = all(np.array_equal(a > 0, b > 0) for a, b in floats)
        found[path.name] = figures
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", choices=("export", "run", "compare"))
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("names", nargs="*", help="of weights; all by default")
    parser.add_argument("--out", type=pathlib.Path)
    options = parser.parse_args()
    if options.work == "export":
        options.folder.mkdir(parents=True, exist_ok=True)
        export(options.folder, options.names)
    elif options.work == "run":
        run(options.folder)
    else:
        found = compared(options.folder)
        result = {
            "command": " ".join(["python", *sys.argv]),
            "files": len(found),
            "refused": sorted(path.stem for path in options.folder.glob("*.refused")),
            "compared": found,
        }
        text = json.dumps(result, indent=2) + "\n"
        print(text)
        if options.out:
            options.out.write_text(text)


if __name__ == "__main__":
    main()
