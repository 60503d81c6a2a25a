"""`keras-imaging train`: train a network on your own data, and go on where it was stopped."""

import typer

from keras_imaging.cli.train.classification import classification_command
from keras_imaging.cli.train.compressive_sensing import train_compressive_sensing
from keras_imaging.cli.train.faceguard import train_faceguard
from keras_imaging.cli.train.mri import train_mri
from keras_imaging.cli.train.pictures import pictures_command
from keras_imaging.cli.train.segmentation import train_segmentation
from keras_imaging.cli.train.sparse_recovery import train_sparse_recovery
from keras_imaging.cli.train.super_resolution import super_resolution_command
from keras_imaging.training.recipes.denoising import DenoisingRecipe
from keras_imaging.training.recipes.ffc_resnet import FFCResNetRecipe
from keras_imaging.training.recipes.inpainting import InpaintingRecipe
from keras_imaging.training.recipes.resnet_rs import ResNetRSRecipe
from keras_imaging.training.recipes.volo import VOLORecipe

train = typer.Typer(
    help="Train a network; started again after any interruption, it continues.",
    no_args_is_help=True,
)
for name in ("rdidn", "idn", "imdn"):
    train.command(name)(super_resolution_command(name))
train.command("lama")(pictures_command(InpaintingRecipe, "Train LaMa to fill holes in pictures."))
train.command("ffc_resnet")(
    classification_command(
        FFCResNetRecipe, "Train FFC-ResNet, or with --ratio 0 an ordinary ResNet, on pictures."
    )
)
train.command("resnet_rs")(
    classification_command(ResNetRSRecipe, "Train ResNet-RS on pictures, or fine-tune it.")
)
train.command("volo")(classification_command(VOLORecipe, "Train VOLO, or fine-tune it."))
train.command("segmentation")(train_segmentation)
train.command("denoiser")(
    pictures_command(DenoisingRecipe, "Train DnCNN or SimpleCNN to find the noise.", rgb=False)
)
train.command("faceguard")(train_faceguard)
train.command("lista")(train_sparse_recovery)
train.command("compressive_sensing")(train_compressive_sensing)
train.command("mri")(train_mri)
