"""Whole networks, one paper a file."""

from keras_imaging.models.compressive_sensing import CompressiveSensing
from keras_imaging.models.conv_lista import ConvLISTA
from keras_imaging.models.dncnn import Denoiser, DnCNN, SimpleCNN
from keras_imaging.models.faceguard import FaceGuardDecoder, FaceGuardEncoder
from keras_imaging.models.faceguard_training import FaceGuard
from keras_imaging.models.ffc_resnet import FFCResNet
from keras_imaging.models.hidden import HiDDeNDecoder, HiDDeNDiscriminator, HiDDeNEncoder
from keras_imaging.models.idn import IDN
from keras_imaging.models.imdn import IMDN
from keras_imaging.models.inpainting_training import (
    HoleLogError,
    InpaintingLoss,
    InpaintingModel,
)
from keras_imaging.models.lama import LaMaGenerator
from keras_imaging.models.lista import ALISTA, LISTA, tilista
from keras_imaging.models.loading import (
    card_of,
    load,
    model_of_preset,
    names_for,
    pretrained_models,
)
from keras_imaging.models.patch_discriminator import PatchDiscriminator
from keras_imaging.models.plug_and_play import PlugAndPlay
from keras_imaging.models.pretrained import shipped_weights
from keras_imaging.models.primal_dual import CPNet, PDHGCSNet, PDNet
from keras_imaging.models.rdidn import RDIDN
from keras_imaging.models.resnet_rs import ResNetRS
from keras_imaging.models.resnet_rs_3d import ResNetRS3D
from keras_imaging.models.segmentation import PyramidSegmenter
from keras_imaging.models.video_seal import VideoSealUNet
from keras_imaging.models.volo import VOLO
from keras_imaging.models.volo_training import VOLOTraining

__all__ = [
    "ALISTA",
    "IDN",
    "IMDN",
    "LISTA",
    "RDIDN",
    "VOLO",
    "CPNet",
    "CompressiveSensing",
    "ConvLISTA",
    "Denoiser",
    "DnCNN",
    "FFCResNet",
    "FaceGuard",
    "FaceGuardDecoder",
    "FaceGuardEncoder",
    "HiDDeNDecoder",
    "HiDDeNDiscriminator",
    "HiDDeNEncoder",
    "HoleLogError",
    "InpaintingLoss",
    "InpaintingModel",
    "LaMaGenerator",
    "PDHGCSNet",
    "PDNet",
    "PatchDiscriminator",
    "PlugAndPlay",
    "PyramidSegmenter",
    "ResNetRS",
    "ResNetRS3D",
    "SimpleCNN",
    "VOLOTraining",
    "VideoSealUNet",
    "card_of",
    "load",
    "model_of_preset",
    "names_for",
    "pretrained_models",
    "shipped_weights",
    "tilista",
]
