"""Batches of several samplers in one: labelled pictures beside pseudo-labelled ones."""

from collections.abc import Callable, Sequence

import numpy as np

from keras_imaging.data.classification import ClassificationSampler


class MixedSampler:
    """Batches whose rows come from several samplers, evenly spread, in the ratio of their batches.

    Each sampler goes through its own pictures in epochs of its own; row r of batch k still depends
    on the seeds, k and r alone. Spread evenly, every replica of a strategy gets its share.

    Args:
        samplers: of pictures of one size and of the same classes. Labels of each may be numbers or
            probabilities, see `data.labelled.RelabelledPictures`.

    Raises:
        ValueError: if they differ in size, number of classes or dtype, or mix pictures by
            themselves.

    Example:
        >>> known = ClassificationSampler([(np.zeros((8, 8, 3), "uint8"), 1)], 2, 8, 1, "padded")
        >>> guessed = [(np.zeros((8, 8, 3), "uint8"), np.array([0.25, 0.75]))]
        >>> mixed = MixedSampler([known, ClassificationSampler(guessed, 2, 8, 3, "padded")])
        >>> mixed.batch(0)[1].tolist()
        [[0.25, 0.75], [0.0, 1.0], [0.25, 0.75], [0.25, 0.75]]
    """

    def __init__(self, samplers: Sequence[ClassificationSampler]):
        kinds = {(s.image_size, s.classes, s.image_dtype) for s in samplers}
        if len(kinds) != 1:
            raise ValueError(
                "Expected samplers of one size of picture, one number of classes and one dtype. "
                f"Received {sorted(kinds)}"
            )
        if any(sampler.mixing is not None for sampler in samplers):
            raise ValueError("Mixup and CutMix pair the rows of one sampler. Received one with it.")
        self._samplers = list(samplers)
        self.batch_size = sum(sampler.batch_size for sampler in samplers)
        # Each row goes to the sampler that lags most behind its share.
        shares = np.array([s.batch_size for s in samplers]) / self.batch_size
        given = np.zeros(len(shares))
        self._of_row = np.empty(self.batch_size, int)
        for row in range(self.batch_size):
            self._of_row[row] = np.argmax(shares * (row + 1) - given)
            given[self._of_row[row]] += 1

    @property
    def on_skip(self) -> Callable[[str], None] | None:
        """Of the first sampler that has one."""
        return next((s.on_skip for s in self._samplers if s.on_skip is not None), None)

    def batch(self, step: int, rows: slice = slice(None)) -> tuple[np.ndarray, np.ndarray]:
        """Batch number `step`, or those `rows` of it; see `ClassificationSampler.batch`."""
        numbers = np.arange(self.batch_size)[rows]
        images = targets = None
        for number, sampler in enumerate(self._samplers):
            mine = self._of_row[numbers] == number
            if not mine.any():
                continue
            # Which of its own rows: as many come before as belong to it.
            own = np.cumsum(self._of_row == number)[numbers[mine]] - 1
            parts = sampler.batch(step, slice(own[0], own[-1] + 1))
            if images is None:
                images, targets = (np.empty((len(numbers), *p.shape[1:]), p.dtype) for p in parts)
            images[mine], targets[mine] = parts
        return images, targets
