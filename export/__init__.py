"""Export models: LiteRT for phones, SavedModel for servers, each compared with Keras."""

import importlib

_HOMES = {
    "Report": "verification",
    "plain_graph": "graph",
    "quantization_aware": "qat",
    "quantization_aware_to_litert": "qat",
    "read_class_names": "class_names",
    "to_litert": "litert",
    "to_saved_model": "saved_model",
    "verify": "verification",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str):
    # Each of them needs other packages, and not everyone installs all of these.
    if name in _HOMES:
        return getattr(importlib.import_module(f"keras_imaging.export.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'keras_imaging.export' has no attribute {name!r}")
