"""Whole networks, one paper a file."""

from keras_imaging.models.idn import IDN
from keras_imaging.models.imdn import IMDN
from keras_imaging.models.presets import MODELS, model_of_preset
from keras_imaging.models.pretrained import shipped_weights
from keras_imaging.models.rdidn import RDIDN

__all__ = ["IDN", "IMDN", "MODELS", "RDIDN", "model_of_preset", "shipped_weights"]
