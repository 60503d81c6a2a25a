"""Script: train where TensorFlow cannot be imported; arguments as those of tiny.py."""

import importlib.abc
import json
import sys


class Refuse(importlib.abc.MetaPathFinder):
    """Make `import tensorflow` fail as if it were not installed."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "tensorflow":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


if __name__ == "__main__":
    sys.meta_path.insert(0, Refuse())
    import tiny

    tiny.main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
    assert "tensorflow" not in sys.modules
