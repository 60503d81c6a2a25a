"""Nine imaging papers as Keras 3 layers and models.

Submodules load on first use, so `import keras_imaging` costs little over
`import keras`.
"""

import importlib

__version__ = "0.1.0"

_SUBMODULES = (
    "analysis",
    "cli",
    "constraints",
    "data",
    "evaluation",
    "export",
    "inference",
    "layers",
    "losses",
    "metrics",
    "models",
    "operators",
    "ops",
    "solvers",
    "steps",
    "training",
    "watermark",
)

__all__ = ["__version__", *_SUBMODULES]


def __getattr__(name: str):
    if name in _SUBMODULES:
        return importlib.import_module(f"keras_imaging.{name}")
    raise AttributeError(f"module 'keras_imaging' has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
