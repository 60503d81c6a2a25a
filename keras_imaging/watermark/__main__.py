"""`python -m keras_imaging.watermark embed`: the command `keras-imaging watermark embed`."""

import sys
from importlib.metadata import entry_points

if __name__ == "__main__":
    # By its entry point: the command line stands on a floor above, which nothing here imports.
    command = next(iter(entry_points(group="console_scripts", name="keras-imaging")))
    sys.argv[1:1] = ["watermark"]
    command.load()()
