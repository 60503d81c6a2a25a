"""Find the model that is to be exported."""

import pathlib

import keras

from keras_imaging.models import model_of_preset
from keras_imaging.models.pretrained import PretrainedModel, dtype_policies


def resolve_model(model: keras.Model | str | pathlib.Path) -> keras.Model:
    """A model in float32, ready for export.

    Args:
        model: a Keras model, the name of a preset such as `"rdidn_x2"` (with its shipped weights),
            or the path of a `.keras` file.

    Raises:
        ValueError: if there is no such preset or file, or Keras does not run on TensorFlow.
    """
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            "Export runs on Keras' TensorFlow backend (KERAS_BACKEND=tensorflow). Received: "
            f"{keras.backend.backend()}. Save the model as a .keras file and export that."
        )
    if not isinstance(model, keras.Model):
        return _float32(_find(model))
    return _float32(model)


def _find(name):
    path = pathlib.Path(name)
    if path.suffix == ".keras":
        if not path.is_file():
            raise ValueError(f"There is no file {str(name)!r}.")
        return keras.saving.load_model(path, compile=False)
    return model_of_preset(str(name)).from_preset(str(name))


def _float32(model):
    """Files are float32 throughout, also those of models trained in mixed precision."""
    config = model.get_config() if isinstance(model, PretrainedModel) else {}
    if dtype_policies(config.get("dtype", "float32"))[0].name == "float32":
        return model
    twin = type(model).from_config({**config, "dtype": "float32"})
    twin.set_weights(model.get_weights())
    return twin
