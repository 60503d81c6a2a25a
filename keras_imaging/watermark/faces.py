"""Find faces in a picture, with what the extra `faces` installs (scikit-image; no download)."""

import functools

import numpy as np

from keras_imaging.data.levels import from_unit
from keras_imaging.watermark.region import Box, shrink

# The detector sees the picture at this many pixels on its longer side.
_SIDE = 400

# Least width of a face, relative to the shorter side.
_LEAST = 0.1

# The detector finds one face at several neighbouring places: boxes whose overlap is more than this
# share of the smaller one are the same face.
_SAME = 0.4

# The nets are trained on portraits; their detected face is 0.64 of the side, 0.037 below the middle
# (measured on 24 of them). Cut like this, a face lies in its region as it did in training.
_FACE_SHARE = 0.64
_FACE_DROP = 0.037


def find_faces(image: np.ndarray) -> list[Box]:
    """Regions around the upright frontal faces in a picture, the largest first.

    A region is a square with a margin around the face, framed as the portraits that the shipped
    weights were trained on; it may reach beyond the picture.

    Args:
        image: uint8 or uint16 `(height, width, 3)`.

    Raises:
        ImportError: if scikit-image is not installed.
    """
    height, width = image.shape[:2]
    if min(height, width) < 48:
        return []
    scale = min(1.0, _SIDE / max(height, width))
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    small = from_unit(shrink(image, Box(0, 0, width, height), size), "uint8")
    least = max(24, int(_LEAST * min(size)))
    hits = _detector().detect_multi_scale(
        small,
        scale_factor=1.1,
        step_ratio=1.5,
        min_size=(least, least),
        max_size=size,
        min_neighbor_number=4,
    )
    boxes = np.array([(hit["c"], hit["r"], hit["width"]) for hit in hits], "float64").reshape(-1, 3)
    faces = sorted(_merge(boxes), key=lambda face: -face[2])
    factors = (width / size[1], height / size[0])
    return [_region(face, *factors) for face in faces]


@functools.cache
def _detector():
    try:
        from skimage.data import lbp_frontal_face_cascade_filename
        from skimage.feature import Cascade
    except ImportError as error:
        raise ImportError(
            "Finding faces needs scikit-image: pip install 'keras-imaging[faces]'. Without it give "
            "a box, or use the whole picture."
        ) from error
    return Cascade(lbp_frontal_face_cascade_filename())


def _merge(boxes):
    """The mean of each group of overlapping squares (left, top, side)."""
    groups = []
    for box in sorted(boxes.tolist(), key=lambda box: -box[2]):
        for group in groups:
            if _overlap(np.mean(group, axis=0), box) > _SAME:
                group.append(box)
                break
        else:
            groups.append([box])
    return [np.mean(group, axis=0) for group in groups]


def _overlap(one, other):
    """Area in common over the area of the smaller of two squares."""
    sides = [
        min(one[axis] + one[2], other[axis] + other[2]) - max(one[axis], other[axis])
        for axis in (0, 1)
    ]
    return max(sides[0], 0) * max(sides[1], 0) / min(one[2], other[2]) ** 2


def _region(face, x_factor, y_factor):
    left, top, width = face
    side = width * x_factor / _FACE_SHARE
    x = (left + width / 2) * x_factor
    y = (top + width / 2) * y_factor - _FACE_DROP * side
    corner = round(x - side / 2), round(y - side / 2)
    return Box(*corner, corner[0] + round(side), corner[1] + round(side))
