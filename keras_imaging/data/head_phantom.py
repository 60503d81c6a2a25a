"""A drawn head, for trying reconstructions without a scan."""

import numpy as np

# What a tissue looks like, 0..1, by contrast.
CONTRASTS = {
    "t1": {"fat": 1.0, "bone": 0.06, "csf": 0.2, "grey": 0.52, "white": 0.76, "lesion": 0.34},
    "t2": {"fat": 0.6, "bone": 0.05, "csf": 1.0, "grey": 0.66, "white": 0.44, "lesion": 0.88},
    "pd": {"fat": 0.76, "bone": 0.1, "csf": 1.0, "grey": 0.86, "white": 0.7, "lesion": 0.94},
}

# Tissue, centre (x, y), half axes (x, y), turn in degrees; the head reaches from -1 to 1. Each
# covers those before it.
_ELLIPSES = (
    ("fat", 0.0, 0.0, 0.72, 0.94, 0),
    ("bone", 0.0, -0.005, 0.67, 0.885, 0),
    ("csf", 0.0, -0.01, 0.61, 0.82, 0),
    ("grey", 0.0, -0.01, 0.585, 0.79, 0),
    # From here on inside the brain.
    ("white", -0.27, 0.0, 0.235, 0.62, 4),
    ("white", 0.27, 0.0, 0.235, 0.62, -4),
    ("white", 0.0, 0.05, 0.3, 0.28, 0),
    ("csf", -0.1, -0.1, 0.055, 0.24, 14),
    ("csf", 0.1, -0.1, 0.055, 0.24, -14),
    ("csf", 0.0, 0.18, 0.018, 0.1, 0),
    ("grey", -0.22, 0.0, 0.07, 0.16, 20),
    ("grey", 0.22, 0.0, 0.07, 0.16, -20),
    ("grey", -0.12, 0.2, 0.07, 0.1, -20),
    ("grey", 0.12, 0.2, 0.07, 0.1, 20),
    ("lesion", 0.3, -0.36, 0.05, 0.07, 30),
    ("lesion", -0.31, 0.38, 0.022, 0.022, 0),
    ("lesion", -0.22, 0.46, 0.012, 0.012, 0),
    ("lesion", -0.14, 0.52, 0.007, 0.007, 0),
)

# The head, the skull, what surrounds the brain, and the brain.
_N_LAYERS = 4
_SUBPIXELS = 3


def head_phantom(
    size: tuple[int, int], contrast: str = "t1", seed: int | None = None
) -> np.ndarray:
    """Axial slice of a head, drawn from ellipses in the manner of Shepp and Logan.

    Args:
        size: `(height, width)` in pixels; the head fills it.
        contrast: `"t1"`, `"t2"` or `"pd"`.
        seed: of a head unlike others: every ellipse is shifted, scaled and turned a little; None
            draws the one of the table.

    Returns:
        float32 `(height, width)`, 0..1, averaged over parts of pixels at edges.

    Raises:
        ValueError: on an unknown contrast or an empty size.

    Example:
        >>> head = head_phantom((64, 64), contrast="t2")
    """
    if contrast not in CONTRASTS:
        raise ValueError(
            f"`contrast` must be one of {tuple(CONTRASTS)}. Received: contrast={contrast!r}"
        )
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"`size` must be (height, width) in pixels. Received: size={size}")
    ellipses = np.array([ellipse[1:] for ellipse in _ELLIPSES])
    if seed is not None:
        rng = np.random.default_rng(seed)
        shifts = rng.normal(0, (0.01, 0.01, 6), (len(ellipses), 3))
        scales = rng.uniform(0.88, 1.02, (len(ellipses), 2))
        # The layers of the head keep their places in each other.
        shifts[1:_N_LAYERS], scales[1:_N_LAYERS] = shifts[0], scales[0]
        ellipses[:, [0, 1, 4]] += shifts
        ellipses[:, 2:4] *= scales
    y, x = ((np.arange(side * _SUBPIXELS) + 0.5) / (side * _SUBPIXELS / 2) - 1 for side in size)
    image = np.zeros((len(y), len(x)), "float32")
    for number, (x0, y0, a, b, turn) in enumerate(ellipses):
        c, s = np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))
        across, along = (x - x0)[None, :], (y - y0)[:, None]
        inside = ((c * across + s * along) / a) ** 2 + ((c * along - s * across) / b) ** 2 <= 1
        if number < _N_LAYERS:
            brain = inside
        image[inside & brain] = CONTRASTS[contrast][_ELLIPSES[number][0]]
    return image.reshape(size[0], _SUBPIXELS, size[1], _SUBPIXELS).mean(axis=(1, 3))
