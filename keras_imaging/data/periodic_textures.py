"""Synthetic patterns that repeat along two directions, such as weaves, tiles and stripes."""

import numpy as np

_HARMONICS = 2


def periodic_textures(
    count: int, size: tuple[int, int], period: tuple[float, float] = (6.0, 32.0), seed: int = 0
) -> np.ndarray:
    """Pictures whose missing parts follow from the others.

    Args:
        count: number of pictures.
        size: `(height, width)` in pixels.
        period: shortest and longest distance, in pixels, after which a pattern repeats.
        seed: of the random choices; picture number k depends on the seed and k alone.

    Returns:
        float32 RGB in 0..1, `(count, height, width, 3)`.

    Raises:
        ValueError: if an argument is out of its range.

    Example:
        >>> periodic_textures(2, (48, 64)).shape
        (2, 48, 64, 3)
    """
    if count < 1:
        raise ValueError(f"`count` must be at least 1. Received: count={count}")
    return np.stack(
        [
            draw_periodic_texture(np.random.default_rng((seed, k)), size, period)
            for k in range(count)
        ]
    )


def draw_periodic_texture(
    rng: np.random.Generator, size: tuple[int, int], period: tuple[float, float] = (6.0, 32.0)
) -> np.ndarray:
    """One picture of `periodic_textures`, float32 `(height, width, 3)`, from a generator.

    A smooth function on the torus, with random harmonics and sharpness, is laid on a random lattice
    and blends two colours.
    """
    if not 2 < period[0] <= period[1]:
        raise ValueError(f"`period` must rise from more than 2 pixels. Received: period={period}")
    lengths = np.exp(rng.uniform(*np.log(period), size=2))
    turn = rng.uniform(0, np.pi)
    directions = turn + np.array([0, rng.uniform(np.pi / 3, 2 * np.pi / 3)])
    rows, columns = np.indices(size)
    u, v = (
        (rows * np.sin(direction) + columns * np.cos(direction)) / length
        for direction, length in zip(directions, lengths, strict=True)
    )
    pattern = np.zeros(size)
    for m in range(_HARMONICS + 1):
        for n in range(-_HARMONICS, _HARMONICS + 1):
            if (m, n) > (0, 0):
                weight = rng.normal() / (m * m + n * n)
                pattern += weight * np.cos(2 * np.pi * (m * u + n * v + rng.random()))
    sharpness = np.exp(rng.uniform(0, np.log(8)))
    blend = 0.5 + 0.5 * np.tanh(sharpness * pattern / max(pattern.std(), 1e-6))
    dark, light = rng.uniform(0, 0.45, 3), rng.uniform(0.55, 1, 3)
    return (dark + (light - dark) * blend[..., None]).astype("float32")
