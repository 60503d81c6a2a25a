"""Script: train where TensorFlow cannot be imported; arguments as those of tiny.py.

Then it writes `watched.json`, the losses of `tiny.watched_losses`.
"""

import importlib.abc
import json
import pathlib
import sys


class Refuse(importlib.abc.MetaPathFinder):
    """Make `import tensorflow` fail as if it were not installed."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "tensorflow":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


if __name__ == "__main__":
    sys.meta_path.insert(0, Refuse())
    import tiny

    out = pathlib.Path(sys.argv[1])
    tiny.main(out, sys.argv[2], json.loads(sys.argv[3]))
    (out / "watched.json").write_text(json.dumps(tiny.watched_losses()))
    assert "tensorflow" not in sys.modules
