"""Random erasing: noise in place of a random box of a picture."""

import math

import numpy as np

_AREA = (0.02, 1 / 3)
_ASPECT = (0.3, 1 / 0.3)


def randomly_erased(image: np.ndarray, probability: float, rng: np.random.Generator) -> np.ndarray:
    """A standardized picture, or with some probability one with a box of normal noise in it.

    The box has 2 to 33 % of the area and a height of 0.3 to 3.3 of its width; ten are drawn, the
    first that is smaller than the picture is taken.

    Args:
        image: float `(height, width, channels)`, of mean 0 and deviation 1 as noise is.
        probability: 0..1.
        rng: where all is drawn from.

    Example:
        >>> image = np.zeros((32, 32, 3), "float32")
        >>> erased = randomly_erased(image, 1.0, np.random.default_rng(0))
        >>> 0.02 < float((erased != 0).mean()) < 0.4
        True

    Reference:
        Zhong et al., "Random Erasing Data Augmentation", AAAI 2020.
    """
    if rng.random() >= probability:
        return image
    rows, columns, channels = image.shape
    for _ in range(10):
        area = rows * columns * rng.uniform(*_AREA)
        aspect = math.exp(rng.uniform(*np.log(_ASPECT)))
        height, width = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if height < rows and width < columns:
            top, left = rng.integers(rows - height + 1), rng.integers(columns - width + 1)
            image = image.copy()
            noise = rng.standard_normal((height, width, channels), "float32")
            image[top : top + height, left : left + width] = noise
            break
    return image
