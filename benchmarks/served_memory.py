"""What one ordinary photograph costs a server: memory for a flat picture of 12 megapixels.

    python benchmarks/served_memory.py --out benchmarks/results/served_memory.json

Each network is exported as a SavedModel; a process of its own loads it as the server's replicas do,
and answers one request of the signature `encoded`. Figures are that process's largest resident set.
"""

import argparse
import base64
import json
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np

WEIGHTS = ("segmenter_volo_small_64", "rdidn_small_x2", "simplecnn_25")
HEIGHT, WIDTH = 3000, 4000


def peak():
    """GiB, so far."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)


def answered(folder):
    import tensorflow as tf

    from keras_imaging.export.prediction import Predictor

    predictor = Predictor(folder)
    file = tf.io.encode_png(np.full((HEIGHT, WIDTH, 3), 77, "uint8")).numpy()
    instances = [{"b64": base64.b64encode(file).decode()}]
    body = json.dumps({"signature_name": "encoded", "instances": instances}).encode()
    before, began = peak(), time.monotonic()
    (answer,) = predictor.answer([predictor.parse(body)])
    seconds = round(time.monotonic() - began, 1)
    assert "predictions" in answer, answer
    return {
        "file_bytes": len(file),
        "gib_before": before,
        "gib_at_most": peak(),
        "seconds": seconds,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", nargs="*", default=WEIGHTS)
    parser.add_argument("--folder", help="of a SavedModel: answer, and say what it took")
    parser.add_argument("--out", type=pathlib.Path)
    options = parser.parse_args()
    if options.folder:
        print(json.dumps(answered(options.folder)))
        return
    result = {"command": " ".join(["python", *sys.argv]), "size": [HEIGHT, WIDTH], "networks": {}}
    for name in options.weights:
        with tempfile.TemporaryDirectory() as scratch:
            folder = f"{scratch}/served"
            code = "import sys; from keras_imaging.export import to_saved_model as write"
            subprocess.run(
                [sys.executable, "-c", f"{code}; write(*sys.argv[1:])", name, folder], check=True
            )
            done = subprocess.run(
                [sys.executable, __file__, "--folder", folder],
                check=True,
                capture_output=True,
                text=True,
            )
        result["networks"][name] = json.loads(done.stdout.splitlines()[-1])
        print(name, result["networks"][name], flush=True)
        if options.out:
            options.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
