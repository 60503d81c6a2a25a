"""Mixup and CutMix of neighbours in a batch, and the box that MixToken exchanges."""

import numpy as np


class PictureMixing:
    """Mix every picture of a batch with its neighbour, and their targets alike.

    Rows 2i and 2i + 1 are neighbours: any even part of a batch holds whole pairs, so the same
    batch comes out however many devices share it. One number l ~ Beta(alpha, alpha) is drawn for a
    batch.

        Mixup:   x_i <- l x_i + (1 - l) x_j
        CutMix:  a box of x_j, of 1 - l of the area where it lies inside, enters x_i

    Args:
        mixup: alpha of Mixup; 0 for none.
        cutmix: alpha of CutMix; 0 for none. Where both are asked for, each batch takes one of them.

    Raises:
        ValueError: if both are 0, or one is negative.

    Example:
        >>> images, targets = np.zeros((2, 8, 8, 3), "float32"), np.eye(2, dtype="float32")
        >>> _, mixed = PictureMixing(mixup=0.8)(images, targets, np.random.default_rng(0))
        >>> mixed.sum(axis=-1).tolist()
        [1.0, 1.0]

    Reference:
        Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018; Yun et al., "CutMix",
        ICCV 2019.
    """

    def __init__(self, mixup: float = 0.0, cutmix: float = 0.0):
        if min(mixup, cutmix) < 0 or not mixup + cutmix:
            raise ValueError(
                "Expected `mixup` or `cutmix` above 0, neither below. Received: "
                f"mixup={mixup}, cutmix={cutmix}"
            )
        self.mixup = mixup
        self.cutmix = cutmix

    def __call__(
        self, images: np.ndarray, targets: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """A mixed batch.

        Args:
            images: float32 `(rows, height, width, channels)`, whole pairs.
            targets: float32 `(rows, classes)`.
            rng: of the batch; what it draws depends on no picture.
        """
        cut = bool(self.cutmix) and (not self.mixup or rng.random() < 0.5)
        alpha = self.cutmix if cut else self.mixup
        share = np.float32(rng.beta(alpha, alpha))
        if cut:
            rows, columns = images.shape[1:3]
            box = random_box(rows, columns, 1 - share, rng)
            place = np.s_[:, box[0] : box[2], box[1] : box[3]]
            others, images = neighbours(images), images.copy()
            images[place] = others[place]
            share = np.float32(1 - (box[2] - box[0]) * (box[3] - box[1]) / (rows * columns))
        else:
            images = share * images + (1 - share) * neighbours(images)
        return images, share * targets + (1 - share) * neighbours(targets)


def neighbours(batch: np.ndarray) -> np.ndarray:
    """Rows 1, 0, 3, 2, ... of a batch, as `ops.batch_partners` gives them."""
    return batch.reshape(-1, 2, *batch.shape[1:])[:, ::-1].reshape(batch.shape)


def random_box(
    rows: int, columns: int, area: float, rng: np.random.Generator
) -> tuple[int, int, int, int]:
    """A box of a part of an area, around a random place; what is outside is cut off.

    Args:
        rows, columns: of the area.
        area: 0..1, of the box before it is cut off.
        rng: draws the place.

    Returns:
        First row, first column, row and column behind the last.

    Example:
        >>> random_box(4, 4, 0.0, np.random.default_rng(0))[2:]
        (3, 2)
    """
    centre = rng.integers(rows), rng.integers(columns)
    halves = (int(side * np.sqrt(area)) // 2 for side in (rows, columns))
    ends = [
        (max(int(c) - half, 0), min(int(c) + half, side))
        for c, half, side in zip(centre, halves, (rows, columns), strict=True)
    ]
    return ends[0][0], ends[1][0], ends[0][1], ends[1][1]


def mix_token_box(
    rows: int, columns: int, rng: np.random.Generator, beta: float = 1.0
) -> tuple[int, int, int, int]:
    """The box that `layers.MixToken` exchanges in a batch: of 1 - l of the tokens, l ~ Beta.

    Args:
        rows, columns: of tokens.
        rng: of the batch.
        beta: both parameters of the distribution.

    Returns:
        As `random_box`.
    """
    return random_box(rows, columns, 1 - rng.beta(beta, beta), rng)
