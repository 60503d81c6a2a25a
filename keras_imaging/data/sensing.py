"""Image patches and their measurements."""

from collections.abc import Iterable

import numpy as np

from keras_imaging.data.degradations import luma
from keras_imaging.data.places import Places
from keras_imaging.operators.matrix import checked_matrix


def gaussian_measurement_matrix(
    m: int, n_features: int, orthonormal: bool = True, seed: int = 0
) -> np.ndarray:
    """Phi: m random measurements of a patch.

    Args:
        m: measurements, 1 ... `n_features`.
        n_features: pixels of a patch.
        orthonormal: make the rows orthonormal, which keeps their span: they measure the same.
            False: independent entries of variance 1 / m.
        seed: of the entries.

    Returns:
        `(m, n_features)` float32. With orthonormal rows, those of a smaller m are the first ones
        of a larger.

    Raises:
        ValueError: if m is out of range.

    Example:
        >>> phi = gaussian_measurement_matrix(128, 256)  # a rate of 50 %
    """
    if not 1 <= m <= n_features:
        raise ValueError(f"`m` must be in 1 ... {n_features}. Received: m={m}")
    phi = np.random.default_rng(seed).normal(size=(n_features, n_features))[:m]
    if orthonormal:
        columns, triangle = np.linalg.qr(phi.T)
        phi = (columns * np.sign(np.diagonal(triangle))).T
    else:
        phi /= np.sqrt(m)
    return phi.astype("float32")


class PatchMeasurementSampler:
    """Endless random patches and their measurements; every batch is a function of seed and step.

    A place is drawn uniformly among all places in all images, then one of the eight flips and
    rotations. Patches f are 0..1 without their mean; y = Phi f.

    Args:
        images: uint8 images, grey or colour (their luma is taken); mixed sizes.
        phi: `(m, size * size)`.
        batch_size: patches in a (global) batch.
        seed: of the random choices.

    Raises:
        ValueError: if the columns of Phi are not those of a square patch, or no image is as large
            as one.

    Example:
        >>> images = [np.zeros((40, 60), "uint8")]
        >>> sampler = PatchMeasurementSampler(images, gaussian_measurement_matrix(128, 256))
        >>> measurements, patches = sampler.batch(0)  # (64, 128), (64, 256)
    """

    def __init__(
        self, images: Iterable[np.ndarray], phi: np.ndarray, batch_size: int = 64, seed: int = 0
    ):
        self.phi = checked_matrix(phi, "Phi").astype("float32")
        self.size = patch_side(self.phi.shape[1])
        self.batch_size, self.seed = batch_size, seed
        self._images = [image for image in map(luma, images) if min(image.shape) >= self.size]
        if not self._images:
            raise ValueError(
                f"No image is as large as a patch of {self.size} x {self.size} pixels."
            )
        self._places = Places([image.shape for image in self._images], self.size)

    def batch(self, step: int, rows: slice = slice(None)) -> tuple[np.ndarray, np.ndarray]:
        """Batch number `step`, or those `rows` of it: y and f, float32."""
        rng = np.random.default_rng((self.seed, step))
        places = rng.integers(len(self._places), size=self.batch_size)[rows]
        turns = rng.integers(8, size=self.batch_size)[rows]
        patches = [self._cut(*choice) for choice in zip(places, turns, strict=True)]
        patches = np.reshape(patches, (-1, self.size**2)).astype("float32") / np.float32(255)
        patches -= patches.mean(axis=1, keepdims=True)
        return patches @ self.phi.T, patches

    def _cut(self, place, turn):
        number, top, left = self._places[place]
        patch = self._images[number][top : top + self.size, left : left + self.size]
        return np.rot90(patch[:, ::-1] if turn >= 4 else patch, turn % 4)


def patch_side(n_features: int) -> int:
    """Side of a square patch of so many pixels.

    Raises:
        ValueError: if there is none.
    """
    side = round(n_features**0.5)
    if side**2 != n_features:
        raise ValueError(f"Expected the pixels of a square patch. Received: {n_features}")
    return side
