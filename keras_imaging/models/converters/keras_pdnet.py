"""Weights of zaccharieramzi's PDNet (fastmri-reproducible-benchmark), in `PDNet`.

There the channels of several complex images are all real parts, then all imaginary parts; here the
parts of each image stand side by side.
"""

from collections.abc import Sequence

import numpy as np

from keras_imaging.models.primal_dual import PDNet


def load_keras_pdnet(model: PDNet, weights: Sequence[np.ndarray]) -> None:
    """Load what `get_weights()` of a PDNet of that repository gives.

    Args:
        model: a `PDNet` of as many iterations, filters and images of memory, with
            `initial="zeros"`; the reference also has `normalize=False`.
        weights: kernel and bias of each convolution in the order of that model: for each iteration
            those of the k-space block, then those of the image block; kernels `(3, 3, in, out)`.

    Raises:
        ValueError: if their number or a shape does not fit.
    """
    config = model.get_config()
    weights = [np.asarray(weight) for weight in weights]
    depth, memory = config["depth"], (config["num_dual"], config["num_primal"])
    expected = 4 * depth * len(model.unfolded)
    if len(weights) != expected:
        raise ValueError(f"The model has {expected} arrays of weights. Received: {len(weights)}")
    rest = iter(weights)
    for layer in model.unfolded:
        blocks = (
            # Groups of images as they are joined: memory, what an operator gives, k-space.
            (layer.kspace_block, (memory[0], 1, 1), memory[0]),
            (layer.image_block, (memory[1], 1), memory[1]),
        )
        for block, groups, out in blocks:
            for i, convolution in enumerate(block.convolutions):
                kernel, bias = next(rest), next(rest)
                if i == 0:
                    kernel = kernel[:, :, _side_by_side(sum(groups), kernel.shape[2])]
                if i == depth - 1:
                    order = _side_by_side(out, kernel.shape[3])
                    kernel, bias = kernel[..., order], bias[order]
                convolution.set_weights([kernel, bias])


def _side_by_side(images, channels):
    """For each of our channels, re 0, im 0, re 1, ..., its index in re 0, re 1, ..., im 0, ..."""
    if channels != 2 * images:
        raise ValueError(
            f"The model joins {images} complex images, 2 channels each. Received a kernel of "
            f"{channels} channels."
        )
    return np.arange(channels).reshape(2, images).T.ravel()
