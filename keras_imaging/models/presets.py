"""Find a network by the name of one of its variants."""

from keras_imaging.models.compressive_sensing import CompressiveSensing
from keras_imaging.models.conv_lista import ConvLISTA
from keras_imaging.models.faceguard import FaceGuardDecoder, FaceGuardEncoder
from keras_imaging.models.ffc_resnet import FFCResNet
from keras_imaging.models.idn import IDN
from keras_imaging.models.imdn import IMDN
from keras_imaging.models.lama import LaMaGenerator
from keras_imaging.models.lista import ALISTA, LISTA
from keras_imaging.models.pretrained import PretrainedModel
from keras_imaging.models.rdidn import RDIDN
from keras_imaging.models.video_seal import VideoSealUNet

MODELS = (
    RDIDN,
    IDN,
    IMDN,
    LISTA,
    ALISTA,
    CompressiveSensing,
    ConvLISTA,
    FFCResNet,
    LaMaGenerator,
    FaceGuardEncoder,
    FaceGuardDecoder,
    VideoSealUNet,
)


def model_of_preset(preset: str) -> type[PretrainedModel]:
    """The class that has a preset.

    Args:
        preset: such as `"rdidn_x2"`.

    Raises:
        ValueError: if no class has it.
    """
    for model in MODELS:
        if preset in model.presets:
            return model
    known = sorted(name for model in MODELS for name in model.presets)
    raise ValueError(f"Unknown preset {preset!r}; there are {', '.join(known)}.")
