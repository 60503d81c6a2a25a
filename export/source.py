"""Find the model to export."""

import pathlib

import keras

from keras_imaging.models import load
from keras_imaging.models.pretrained import PretrainedModel, dtype_policies


def resolve_model(model: keras.Model | str | pathlib.Path) -> keras.Model:
    """A model in float32, ready for export.

    Args:
        model: a Keras model, or what `models.load` takes: a name such as `"rdidn_x2"`, a file, or
            the folder of a run.

    Raises:
        ValueError: if there is no such network, or Keras does not run on TensorFlow.
    """
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            "Export runs on Keras' TensorFlow backend (KERAS_BACKEND=tensorflow). Received: "
            f"{keras.backend.backend()}. Save the model as a .keras file and export that."
        )
    return _float32(model if isinstance(model, keras.Model) else load(model))


def _float32(model):
    """Files are float32 throughout, also those of models trained in mixed precision."""
    config = model.get_config() if isinstance(model, PretrainedModel) else {}
    if dtype_policies(config.get("dtype", "float32"))[0].name == "float32":
        return model
    twin = type(model).from_config({**config, "dtype": "float32"})
    twin.set_weights(model.get_weights())
    return twin
