"""Losses of images: SSIM, Laplacian pyramid distance, held-out k-space."""

import keras
import numpy as np

from keras_imaging.metrics import gaussian_window, ssim_map
from keras_imaging.ops.batch_partners import PAIRINGS, batch_partners
from keras_imaging.ops.fourier import fft2c
from keras_imaging.ops.separable import apply_separable
from keras_imaging.typing import Tensor


def structural_similarity(a: Tensor, b: Tensor, max_val: float = 1.0) -> Tensor:
    """SSIM of each pair of images, differentiable; the same quantity as `metrics.ssim`.

    Args:
        a, b: `(batch, height, width, channels)`, sides known and at least 11.
        max_val: the largest value an image can have.

    Returns:
        `(batch,)`.

    Raises:
        ValueError: if the shapes differ, or a side is unknown or shorter than 11.

    Example:
        >>> x = keras.ops.ones((2, 16, 16, 3))
        >>> [round(float(v), 4) for v in structural_similarity(x, x)]
        [1.0, 1.0]

    Reference:
        Wang, Bovik, Sheikh, Simoncelli, IEEE TIP 2004.
    """
    shape = _common_shape(a, b)
    if None in shape[1:] or min(shape[1:3]) < len(gaussian_window()):
        raise ValueError(
            f"SSIM needs known sides of at least {len(gaussian_window())} pixels. "
            f"Received shape {shape}."
        )
    # A banded matrix product is several times faster than a depthwise convolution on a CPU.
    rows, columns = (_window_matrix(length) for length in shape[1:3])
    similarity = ssim_map(a / max_val, b / max_val, lambda x: apply_separable(x, rows, columns))
    return keras.ops.mean(similarity, axis=(1, 2, 3))


def laplacian_distance(a: Tensor, b: Tensor, levels: int = 3) -> Tensor:
    """Mean squared difference of Laplacian pyramids, averaged over their levels.

    Args:
        a, b: `(batch, height, width, channels)`, sides known.
        levels: of the pyramid, the last one the low-pass remainder.

    Returns:
        `(batch,)`.

    Raises:
        ValueError: if the shapes differ, `levels` is less than 1, or a side is unknown or too short
            to be halved `levels - 1` times.

    Example:
        >>> x = keras.ops.ones((1, 8, 8, 1))
        >>> float(laplacian_distance(x, x)[0])
        0.0

    Reference:
        Burt, Adelson, "The Laplacian Pyramid as a Compact Image Code", IEEE Trans. Comm. 1983.
    """
    shape = _common_shape(a, b)
    _check_pyramid(shape, levels)
    # A pyramid is linear: that of the difference is the difference of the pyramids.
    bands = _laplacian_pyramid(a - b, levels)
    return sum(keras.ops.mean(keras.ops.square(band), axis=(1, 2, 3)) for band in bands) / levels


def _check_pyramid(shape, levels):
    if levels < 1:
        raise ValueError(f"`levels` must be at least 1. Received: levels={levels}")
    if None in shape[1:] or min(shape[1:3]) < 2**levels:
        raise ValueError(
            f"A pyramid of {levels} levels needs known sides of at least {2**levels} pixels. "
            f"Received shape {tuple(shape)}."
        )


def _laplacian_pyramid(level, levels):
    """Its bands, the finest first, the low-pass remainder last."""
    bands = []
    for _ in range(levels - 1):
        shrink = [_half_matrix(length) for length in level.shape[1:3]]
        small = apply_separable(level, *shrink)
        enlarge = [m.T / m.T.sum(axis=1, keepdims=True) for m in shrink]
        bands.append(level - apply_separable(small, *enlarge))
        level = small
    return [*bands, level]


def visible_difference(a: Tensor, b: Tensor, enlargement: float | Tensor = 1.0) -> Tensor:
    """Mean squared difference, weighed by how well the eye sees its frequencies.

    The bands of a Laplacian pyramid of four levels count by the contrast sensitivity at their
    middle, relative to that at its peak of 8 cycles a degree; below the peak as much as there. A
    pixel is a fortieth of a degree, and a picture that is shown n times as large has n times lower
    frequencies: what is fine noise at its own size is seen as patches when it is enlarged.

    Args:
        a, b: as for `laplacian_distance`.
        enlargement: n, at least 1.

    Returns:
        `(batch,)`, at most the sum of what the bands of `laplacian_distance` have.

    Raises:
        ValueError: as `laplacian_distance`.

    Example:
        >>> x = keras.ops.ones((1, 16, 16, 1))
        >>> float(visible_difference(x, x, 4.0)[0])
        0.0

    Reference:
        Mannos, Sakrison, "The effects of a visual fidelity criterion on the encoding of images",
        IEEE Trans. Information Theory 1974, for the sensitivity.
    """
    levels = 4
    _common_shape(a, b)
    _check_pyramid(a.shape, levels)
    peak, per_degree = 8.0, 40.0
    total = 0.0
    for k, band in enumerate(_laplacian_pyramid(a - b, levels)):
        frequency = 0.35 * 2.0**-k * per_degree / enlargement
        frequency = keras.ops.maximum(keras.ops.cast(frequency, a.dtype), peak)
        weight = keras.ops.square(_sensitivity(frequency) / _sensitivity(peak))
        total = total + weight * keras.ops.mean(keras.ops.square(band), axis=(1, 2, 3))
    return total


def _sensitivity(frequency):
    """Of the eye to contrast at a frequency in cycles a degree."""
    f = 0.114 * frequency
    return (0.0192 + f) * keras.ops.exp(-(f**1.1))


def directional_energy(image: Tensor, window: int = 9) -> Tensor:
    """How much stronger gradients are along one direction than along the other, in the mean.

    The difference of the two eigenvalues of the structure tensor: large for strokes, edges and
    gratings, next to nothing for noise of the same energy.

    Args:
        image: `(batch, height, width, 1)`, sides known.
        window: side of the squares in which the structure tensor is averaged, pixels.

    Returns:
        `(batch,)`, in squared differences of neighbouring pixels.

    Example:
        >>> x = keras.ops.ones((1, 16, 16, 1))
        >>> float(directional_energy(x)[0]) < 1e-5
        True
    """
    ops = keras.ops
    x = image[:, 1:, :-1] - image[:, :-1, 1:]
    y = image[:, 1:, 1:] - image[:, :-1, :-1]
    xx, yy, xy = (
        ops.average_pool(product, window, strides=1, padding="valid")
        for product in (x * x, y * y, x * y)
    )
    # The root has no slope at nothing.
    energy = ops.sqrt(ops.square(xx - yy) + 4.0 * ops.square(xy) + 1e-14)
    return ops.mean(energy, axis=(1, 2, 3))


def held_out_kspace_error(target: Tensor, image: Tensor) -> Tensor:
    """How well an image explains samples of k-space that it was not made from.

    sum |mask F(maps image) - samples|^2 / sum |samples|^2, of each scan: a loss where there is no
    true image.

    Args:
        target: as `data.MRISampler` gives it with `supervision="ssdu"`: `(batch, height, width, 3)`
            of one coil, the samples' two parts and their mask; or `(batch, coils, height, width,
            5)`, and the two parts of the coil maps.
        image: `(batch, height, width, 2)`.

    Returns:
        `(batch,)`; 1 for an image of zeros.

    Raises:
        ValueError: if the shapes are others.

    Example:
        >>> image = keras.random.normal((1, 8, 8, 2))
        >>> mask = np.ones((1, 8, 8, 1), "float32")
        >>> target = keras.ops.concatenate([fft2c(image), mask], axis=-1)
        >>> round(float(held_out_kspace_error(target, image)[0]), 4)
        0.0

    Reference:
        Yaman et al., "Self-supervised learning of physics-guided reconstruction neural networks
        without fully sampled reference data", MRM 2020.
    """
    coils = len(target.shape) == 5
    if (len(target.shape), target.shape[-1]) not in ((4, 3), (5, 5)) or image.shape[-1] != 2:
        raise ValueError(
            "Expected a target (batch, height, width, 3) or (batch, coils, height, width, 5) and "
            f"images (batch, height, width, 2). Received shapes {tuple(target.shape)} and "
            f"{tuple(image.shape)}."
        )
    samples, mask = target[..., :2], target[..., 2:3]
    if coils:
        re, im = (keras.ops.expand_dims(image[..., part], 1) for part in (0, 1))
        map_re, map_im = target[..., 3], target[..., 4]
        image = keras.ops.stack([map_re * re - map_im * im, map_re * im + map_im * re], axis=-1)
    axes = tuple(range(1, len(target.shape)))
    error = keras.ops.sum(keras.ops.square(mask * fft2c(image) - samples), axis=axes)
    size = keras.ops.sum(keras.ops.square(samples), axis=axes)
    return error / keras.ops.maximum(size, keras.config.epsilon() ** 2)


@keras.saving.register_keras_serializable(package="keras_imaging")
class TokenLabelLoss(keras.losses.Loss):
    """Cross-entropy of a picture's label, and of a label for every token.

        class_weight H(t, z_0) + dense_weight mean_n H(t_n, z_n)
        H(t, z) = -sum_c t_c log softmax(z)_c

    Where tokens were exchanged (`layers.MixToken`), t becomes l t + (1 - l) (t of the partner),
    with 1 - l the part of the tokens in the box. Labels of tokens need no mixing: their logits are
    put back to their pictures before.

    Args:
        dense_weight: of the tokens, 0 or more.
        class_weight: of the picture, 0 or more.
        ground_truth: mix the true label into the teacher's: half of each where both name the same
            class, else a tenth of the true one, as the published code has it.
        pairing: of the exchange, see `MixToken`.
        name: name of the loss.

    Input shape:
        `y_true`: labels, or a pair of them and of boxes `(batch, 4)` as `MixToken` takes. Labels
        are `(batch, classes, 2 + tokens)`, in this order: the true label, smoothed or not, the
        teacher's for the picture, and the teacher's for the tokens, row by row; or `(batch,
        classes)`, one for the picture and all its tokens. `y_pred`: a pair of logits,
        `(batch, classes)` and `(batch, tokens, classes)`.
    Raises:
        ValueError: if an argument is out of its range, or labels and logits are of other classes or
            tokens.
    Example:
        >>> labels = np.eye(2, dtype="float32")
        >>> logits = np.zeros((2, 2), "float32"), np.zeros((2, 9, 2), "float32")
        >>> round(float(TokenLabelLoss(dense_weight=0.5)(labels, logits)), 4)
        1.0397
    Reference:
        Jiang et al., "All Tokens Matter: Token Labeling for Training Better Vision Transformers",
        NeurIPS 2021, and its code.
    """

    def __init__(
        self,
        dense_weight: float = 0.5,
        class_weight: float = 1.0,
        ground_truth: bool = False,
        pairing: str = "neighbours",
        name: str = "token_label_loss",
    ):
        super().__init__(name=name)
        for argument, weight in (("dense_weight", dense_weight), ("class_weight", class_weight)):
            if weight < 0:
                raise ValueError(f"`{argument}` must be 0 or more. Received: {argument}={weight}")
        if pairing not in PAIRINGS:
            raise ValueError(f"`pairing` must be one of {PAIRINGS}. Received: pairing={pairing!r}")
        self.dense_weight = dense_weight
        self.class_weight = class_weight
        self.ground_truth = ground_truth
        self.pairing = pairing

    def call(self, y_true: Tensor | tuple[Tensor, Tensor], y_pred: tuple[Tensor, Tensor]) -> Tensor:
        ops = keras.ops
        labels, boxes = y_true if isinstance(y_true, (tuple, list)) else (y_true, None)
        of_picture, of_tokens = y_pred
        tokens = of_tokens.shape[1]
        _check_token_labels(labels.shape, of_picture.shape, of_tokens.shape)
        if len(labels.shape) == 2:
            label, token_labels = labels, labels[:, None]
        else:
            label, token_labels = labels[..., 1], ops.transpose(labels[..., 2:], (0, 2, 1))
            if self.ground_truth:
                truth = labels[..., 0]
                agree = ops.equal(ops.argmax(label, axis=-1), ops.argmax(truth, axis=-1))
                teacher = 0.9 - 0.4 * ops.cast(agree, label.dtype)[:, None]
                label = teacher * label + (1 - teacher) * truth
        if boxes is not None:
            boxes = ops.cast(boxes, label.dtype)
            area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
            mixed = (area / tokens)[:, None]
            label = (1 - mixed) * label + mixed * batch_partners(label, self.pairing)
        loss = self.class_weight * _cross_entropy(label, of_picture)
        if self.dense_weight:
            dense = ops.mean(_cross_entropy(token_labels, of_tokens), axis=1)
            loss = loss + self.dense_weight * dense
        return loss

    def get_config(self):
        return {
            "dense_weight": self.dense_weight,
            "class_weight": self.class_weight,
            "ground_truth": self.ground_truth,
            "pairing": self.pairing,
            "name": self.name,
        }


def _check_token_labels(labels, of_picture, of_tokens):
    classes, tokens = of_picture[-1], of_tokens[1]
    if len(labels) not in (2, 3) or labels[1] != classes or of_tokens[-1] != classes:
        raise ValueError(
            f"Expected labels (batch, {classes}) or (batch, {classes}, 2 + {tokens}) for logits of "
            f"{classes} classes and {tokens} tokens. Received labels of shape {tuple(labels)} and "
            f"logits of shapes {tuple(of_picture)} and {tuple(of_tokens)}."
        )
    if len(labels) == 3 and labels[2] != 2 + tokens:
        raise ValueError(
            f"Expected labels for {tokens} tokens, (batch, {classes}, 2 + {tokens}). Received "
            f"{labels[2] - 2} labels of tokens in shape {tuple(labels)}."
        )


def _cross_entropy(labels, logits):
    return -keras.ops.sum(labels * keras.ops.log_softmax(logits, axis=-1), axis=-1)


def _common_shape(a, b):
    shapes = tuple(a.shape), tuple(b.shape)
    if len(shapes[0]) != 4 or shapes[0][1:] != shapes[1][1:]:
        raise ValueError(
            "Expected two batches (batch, height, width, channels) of one shape. "
            f"Received shapes {shapes[0]} and {shapes[1]}."
        )
    return shapes[0]


def _window_matrix(length):
    """Local means under the SSIM window, where the whole window fits."""
    window = gaussian_window()
    matrix = np.zeros((length - len(window) + 1, length), "float32")
    for i, row in enumerate(matrix):
        row[i : i + len(window)] = window
    return matrix


def _half_matrix(length):
    """Every other sample after the binomial filter (1, 4, 6, 4, 1) / 16, the border reflected."""
    matrix = np.zeros((-(-length // 2), length), "float32")
    for i, row in enumerate(matrix):
        for offset, weight in zip(range(-2, 3), (1, 4, 6, 4, 1), strict=True):
            source = abs(2 * i + offset)
            row[source if source < length else 2 * (length - 1) - source] += weight / 16
    return matrix
