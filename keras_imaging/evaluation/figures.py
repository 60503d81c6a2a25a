"""Scores by task, for the cards of trained weights."""

from collections.abc import Callable
from dataclasses import asdict
from typing import NamedTuple

import keras
import numpy as np

from keras_imaging.analysis import network_lipschitz_bound
from keras_imaging.analysis.certificate import observed_eps
from keras_imaging.data import periodic_textures
from keras_imaging.data.images import list_images, read_image
from keras_imaging.data.labelled import labelled_arrays, labelled_folder
from keras_imaging.data.mri_files import read_images
from keras_imaging.data.segmentation import segmented_pictures
from keras_imaging.evaluation.classification import evaluate_classification
from keras_imaging.evaluation.denoising import evaluate_denoising
from keras_imaging.evaluation.inpainting import evaluate_inpainting
from keras_imaging.evaluation.mri import ZERO_FILLED, evaluate_mri
from keras_imaging.evaluation.segmentation import evaluate_segmentation
from keras_imaging.evaluation.sensing import evaluate_sensing
from keras_imaging.evaluation.sparse_recovery import evaluate_sparse_recovery
from keras_imaging.evaluation.super_resolution import evaluate_super_resolution
from keras_imaging.evaluation.watermark import evaluate_watermark

# Figures of a test set by their names; and those of several test sets.
Figures = dict[str, float]
Rows = dict[str, Figures]

_TEXTURES = 64
# Squares at which the stretch of a denoiser is looked at.
_SEEN, _SEEN_SIDE = 4, 64
_SQUARES = (128, 256)


class Scoring(NamedTuple):
    """How a task is scored.

    Attributes:
        protocol: what the figures mean.
        test: what a test set is.
        score: figures of a network on a test set. It takes the network, the name of the test set,
            where it lies, the network's card, and the other networks of its run by their names.
    """

    protocol: str
    test: str
    score: Callable[[keras.Model, str, str, dict, dict[str, keras.Model]], Rows]


def figures_of(
    model: keras.Model,
    tests: dict[str, str],
    card: dict | None = None,
    beside: dict[str, keras.Model] | None = None,
) -> tuple[Rows, str]:
    """Score a network on test sets as its task is scored.

    Args:
        model: a `PretrainedModel` with a task.
        tests: where each test set lies, by its name.
        card: of the network: a classifier's says its classes and how pictures are cropped.
        beside: the other networks of the same run by their names: the decoder of an encoder.

    Returns:
        The figures, rounded, by test set and name; and what they mean.

    Raises:
        ValueError: if nothing is known of how to score such a network.
    """
    task = getattr(model, "task", None)
    if task not in FIGURES:
        raise ValueError(
            f"There is no protocol for {type(model).__name__}, of task {task!r}. Expected a task "
            f"among {', '.join(FIGURES)}."
        )
    rows = {}
    for test, path in tests.items():
        found = FIGURES[task].score(model, test, path, card or {}, beside or {})
        for row, figures in found.items():
            rows[row] = {name: round(float(value), 4) for name, value in figures.items()}
    return rows, FIGURES[task].protocol


def _super_resolution(model, test, folder, card, beside):
    protocol = "A" if model.input_shape[-1] == 1 else "B"
    return {test: asdict(evaluate_super_resolution(model, folder, protocol=protocol).mean)}


def _denoising(model, test, folder, card, beside):
    """Beside the PSNR how far H - I stretches at most: proved for all images, and seen at some."""
    scores = evaluate_denoising(model, folder, model.sigma)
    pictures = [
        read_image(path) for path in list_images(folder)[:_SEEN] if path.name in scores.images
    ]
    squares = [_centre(np.atleast_3d(picture), _SEEN_SIDE) for picture in pictures]
    noisy = np.concatenate([next(iter(x.values())) for x in model.inputs_of(squares)])
    stretch = {"eps_observed": observed_eps(model, noisy)}
    # Of the network, upwards: a bound is not rounded to nearest.
    stretch["eps_certified"] = np.ceil(1e4 * network_lipschitz_bound(model.network)) / 1e4
    return {test: {"psnr": scores.mean, "noisy_psnr": scores.noisy_mean}, "H - I": stretch}


def _inpainting(model, test, folder, card, beside):
    """Central squares of pictures, and periodic textures; holes grow with the squares."""
    rows = {}
    for size in _SQUARES:
        textures = (255 * periodic_textures(_TEXTURES, (size, size)) + 0.5).astype("uint8")
        images = map(read_image, list_images(folder))
        squares = [_centre(image, size) for image in images if min(image.shape[:2]) >= size]
        for name, pictures in (("periodic textures", textures), (test, squares)):
            scores = asdict(evaluate_inpainting(model, pictures).mean)
            rows[f"{name}, {size} px"] = scores
    return rows


def _centre(image, size):
    top, left = ((side - size) // 2 for side in image.shape[:2])
    return image[top : top + size, left : left + size]


def _sensing(model, test, folder, card, beside):
    run, phi = model.predict_on_batch, model.measurement_matrix
    return {
        f"{test}, {mean} mean": {"psnr": evaluate_sensing(run, folder, phi, mean).mean}
        for mean in ("oracle", "measured")
    }


def _sparse_recovery(model, test, problem, card, beside):
    return {test: {"nmse_db": evaluate_sparse_recovery(model, problem)}}


def _classification(model, test, source, card, beside):
    labelled = labelled_arrays(source) if str(source).endswith(".npz") else labelled_folder(source)
    examples = labelled.numbered(card.get("class_names", labelled.class_names))
    recipe = {"image_size": 224, "crop": "resized", **card.get("recipe", {})}
    scores = evaluate_classification(model, examples, recipe["image_size"], recipe["crop"])
    return {test: {"top1": scores.top1, "top5": scores.top5}}


def _segmentation(model, test, source, card, beside):
    side = card.get("recipe", {}).get("image_size", 64)
    # Other scenes than those that `train segmentation` takes.
    examples = segmented_pictures(source, scene_side=side, seed=1).examples
    scores = evaluate_segmentation(model, examples, model.output_shape[-1])
    return {test: {"mean_iou": scores.mean_iou, "pixel_accuracy": scores.pixel_accuracy}}


def _mri(model, test, path, card, beside):
    """By contrast and kind of mask, scanned as in training; beside zero-filling."""
    asked = ("acceleration", "center_fraction", "n_coils", "noise")
    recipe = card.get("recipe", {})
    arguments = {name: value for name, value in recipe.items() if name in asked}
    kinds = recipe.get("mask", "cartesian")
    kinds = [kinds] if isinstance(kinds, str) else kinds
    truths, rows = read_images(path), {}
    for kind in kinds:
        scores = evaluate_mri({"network": model.predict_on_batch}, truths, kind, **arguments)
        for contrast, mean in scores.mean["network"].items():
            parts = [test]
            parts += [contrast] if len(truths) > 1 else []
            parts += [kind] if len(kinds) > 1 else []
            plain = scores.mean[ZERO_FILLED][contrast]
            rows[", ".join(parts)] = {**asdict(mean), "zero_filled_psnr": plain.psnr}
    return rows


def _watermark(model, test, folder, card, beside):
    pair = {"encoder": model, "decoder": model, **beside}
    return {test: evaluate_watermark(pair["encoder"], pair["decoder"], folder)}


FIGURES = {
    "super_resolution": Scoring(
        "A: luma, unrounded low resolution, 8-bit result, `scale` pixels shaved; B, of networks of "
        "three channels: RGB, 8-bit low resolution",
        "a folder of sharp pictures",
        _super_resolution,
    ),
    "denoising": Scoring(
        "Gaussian noise of the sigma of training, not clipped; results clipped to 0..1, peak 1",
        "a folder of clean pictures",
        _denoising,
    ),
    "inpainting": Scoring(
        "medium masks of seed 0, 8-bit results, RGB, means over the pictures",
        "a folder of pictures",
        _inpainting,
    ),
    "classification": Scoring(
        "first and first five guesses, the middle of each picture",
        "a folder with one subfolder for each class, or an .npz file with x and y",
        _classification,
    ),
    "segmentation": Scoring(
        "mean intersection over union of the classes that occur, over all pixels that have one",
        "a folder with images, masks and classes.txt, an .npz file with x and y, or scenes:COUNT",
        _segmentation,
    ),
    "sensing": Scoring(
        "16 x 16 patches side by side, not clipped, PSNR of whole pictures, peak 255",
        "a folder of pictures",
        _sensing,
    ),
    "sparse_recovery": Scoring(
        "NMSE in dB, sums over all codes, noise-free",
        "an .npz file with A (m, n) and x_test (n, codes)",
        _sparse_recovery,
    ),
    "mri": Scoring(
        "magnitudes of whole slices, peak the truth's largest value; SSIM 7x7 uniform; masks "
        "of seed 1, of the kinds trained on",
        "a file of images, .npz, NIfTI, DICOM or fastMRI",
        _mri,
    ),
    "watermark": Scoring(
        "8-bit pictures, random bits of seed 0, JPEG by libjpeg, 4:2:0",
        "a folder of portraits",
        _watermark,
    ),
}
