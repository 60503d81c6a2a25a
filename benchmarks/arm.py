"""LiteRT files on 64-bit ARM, by emulation or on such a machine, beside x86.

    python benchmarks/arm.py export FILES
    python benchmarks/arm.py run FILES
    qemu-aarch64 -L ROOT -E LD_LIBRARY_PATH=ROOT/usr/lib/aarch64-linux-gnu -E PYTHONHOME=ROOT/usr \\
        -E PYTHONPATH=SITE ROOT/usr/bin/python3.11 benchmarks/arm.py run FILES
    python benchmarks/arm.py compare FILES --out benchmarks/results/arm.json

`export` writes every shipped network in float32, in float16 and, where it can be, in int8, with
inputs that make sense; `run` writes what LiteRT makes of them, named after the machine; `compare`
puts the two side by side. Each takes names of weights after FILES. What is newer than what it was
made of stays, so all of them go on where they were stopped, and only weights that changed are done
again; `compare` keeps what the results say of files that FILES does not hold. `run` needs numpy and
ai-edge-litert alone.

ROOT: Debian's arm64 packages python3.11, libpython3.11-stdlib and what they need, and libstdc++6,
unpacked by `dpkg -x` (`apt-get download NAME:arm64` gets them without installing). SITE: the
aarch64 wheels of ai-edge-litert and numpy, unpacked (`pip download --no-deps --only-binary=:all:
--platform manylinux_2_27_aarch64 NAME`). qemu-user 7.2 ends in a segmentation fault where LiteRT
computes; 10.0 does not.
"""

import argparse
import json
import pathlib
import platform
import sys

import numpy as np

# Of images whose sides a network leaves open, and of scans.
SIDE = 64
COILS = 4
SAMPLES = 4
# Of all samples together, if there are several: emulation is slow.
NUMBERS = 200_000
MODES = (None, "float16", "int8")
# Where int8 ends the interpreter itself, on x86 too.
INSTEAD = {("lama_small", "int8"): "int8_islands"}
MACHINES = ("x86_64", "aarch64")


def newer(path, source):
    return path.exists() and path.stat().st_mtime >= source.stat().st_mtime


def exported(folder, names):
    """The files, of some weights or all."""
    paths = sorted(folder.glob("*.tflite"))
    return [path for path in paths if not names or path.name.split(".")[0] in names]


def fixed(shape):
    """A shape whose open sides are given; of four, the first are coils."""
    sides = [SIDE if side is None else side for side in shape]
    return (COILS, *sides[1:]) if len(shape) == 4 and shape[0] is None else tuple(sides)


def export(folder, names):
    from keras_imaging import models
    from keras_imaging.export import to_litert
    from keras_imaging.export.runtime import LiteRTModel
    from keras_imaging.models.pretrained import WEIGHTS_DIR

    for name in names or models.shipped_weights():
        weights = WEIGHTS_DIR / f"{name}.weights.h5"
        modes = [INSTEAD.get((name, mode), mode) for mode in MODES]
        paths = {mode: folder / f"{name}.{mode or 'float32'}.tflite" for mode in modes}
        paths = {
            mode: path
            for mode, path in paths.items()
            if not newer(path.with_suffix(".inputs.npz"), weights)
            and not newer(path.with_suffix(".refused"), weights)
        }
        if not paths:
            continue
        model = models.load(name)
        shapes = {key: fixed(shape) for key, shape in model.input_shapes().items()}
        samples = model.sample_inputs(shapes)
        size = sum(np.size(value) for value in samples[0].values())
        samples = samples[: max(1, min(SAMPLES, NUMBERS // size))]
        for mode, path in paths.items():
            try:
                to_litert(model, path, mode, input_shape=shapes)
            # Some say of themselves that 8 bits do not do.
            except ValueError as error:
                path.unlink(missing_ok=True)
                path.with_suffix(".refused").write_text(str(error))
                continue
            path.with_suffix(".refused").unlink(missing_ok=True)
            raw = {}
            for key, details in LiteRTModel(path).inputs.items():
                value = np.stack([np.asarray(sample[key], "float32") for sample in samples])
                dtype = np.dtype(details["dtype"])
                if dtype != np.float32:
                    scale, zero = details["quantization"]
                    limits = np.iinfo(dtype)
                    value = np.clip(np.rint(value / scale + zero), limits.min, limits.max)
                raw[details["name"]] = value.astype(dtype)
            np.savez(path.with_suffix(".inputs.npz"), **raw)
            print(path.name, flush=True)


def run(folder, names):
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        from tflite_runtime.interpreter import Interpreter
    for path in exported(folder, names):
        target = path.with_suffix(f".{platform.machine()}.npz")
        source = path.with_suffix(".inputs.npz")
        if not source.exists() or newer(target, source):
            continue
        interpreter = Interpreter(str(path), num_threads=1)
        interpreter.allocate_tensors()
        with np.load(source) as stored:
            inputs = dict(stored)
        outputs = {}
        for number in range(len(next(iter(inputs.values())))):
            for details in interpreter.get_input_details():
                interpreter.set_tensor(details["index"], inputs[details["name"]][number])
            interpreter.invoke()
            for place, details in enumerate(interpreter.get_output_details()):
                outputs[f"{place}_{number}"] = interpreter.get_tensor(details["index"])
        np.savez(target, **outputs)
        print(target.name, flush=True)


def compared(folder, names):
    """By file, how far the machines are apart."""
    found = {}
    for path in exported(folder, names):
        source = path.with_suffix(".inputs.npz")
        sides = [path.with_suffix(f".{machine}.npz") for machine in MACHINES]
        if not all(newer(side, source) for side in sides):
            continue
        with np.load(sides[0]) as ours, np.load(sides[1]) as theirs:
            pairs = [(ours[key], theirs[key]) for key in ours.files]
        # As a part of the largest value, if that is more than 1.
        figures = {"error": max(float(apart(a, b) / max(1.0, np.abs(a).max())) for a, b in pairs)}
        if "int8" in path.name:
            figures["levels"] = max(apart(a, b) / level(a) for a, b in pairs)
            near = [np.abs(a.astype("float64") - b) < 1.5 * level(a) for a, b in pairs]
            figures["within_a_level"] = float(np.mean(near))
        if "decoder" in path.name:
            figures["bits"] = sum(a.size for a, _ in pairs)
            figures["bits_equal"] = all(np.array_equal(a > 0, b > 0) for a, b in pairs)
        if "segmenter" in path.name:
            same = [a.argmax(-1) == b.argmax(-1) for a, b in pairs]
            figures["classes_equal"] = float(np.mean(same))
        found[path.stem] = figures
    return found


def apart(a, b):
    return float(np.abs(a.astype("float64") - b).max())


def level(values):
    """The step between the values of an int8 file, which may be told as floats."""
    if values.dtype.kind in "iu":
        return 1.0
    steps = np.diff(np.unique(values.astype("float64")))
    # Steps are equal but for rounding.
    return float(steps[steps > 1e-3 * steps.max()].min()) if steps.size else 1.0


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
        run(options.folder, options.names)
    else:
        refused = [path.stem for path in options.folder.glob("*.refused")]
        found = compared(options.folder, options.names)
        if options.out and options.out.exists():
            before = json.loads(options.out.read_text())
            kept = before["compared"].items()
            found = {**{name: figures for name, figures in kept if name not in refused}, **found}
            refused += [name for name in before["refused"] if name not in found]
        result = {
            "command": " ".join(["python", *sys.argv]),
            "files": len(found),
            "refused": sorted(set(refused)),
            "compared": dict(sorted(found.items())),
        }
        text = json.dumps(result, indent=2) + "\n"
        print(text)
        if options.out:
            options.out.write_text(text)


if __name__ == "__main__":
    main()
