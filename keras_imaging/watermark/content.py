"""What a stamped region looks like, coarsely: so that its mark is known again on another face."""

import numpy as np

from keras_imaging.watermark.region import Box, shrink

_SIDE = 32
_FREQUENCIES = 8
# Largest coefficient, a sum over all pixels, of a region without any content.
_FLAT = 0.1

_LENGTH = _FREQUENCIES**2 - 1

# A nonce that begins so holds codes; its random part comes between, with its length first.
_BOUND = b"content\0"
_MOST_RANDOM = 255

# Cosine of codes from which on they are of one picture; docs/faceguard.md has its rates of error.
SAME = 0.95


def content_code(image: np.ndarray, box: Box) -> bytes:
    """The low frequencies of a region's luma, without its mean, as 63 signed bytes.

    The 8 x 8 lowest coefficients of the DCT of the region shrunk to 32 x 32, relative to the
    largest: brightness and contrast have no part in them, nor has a mark, which is finer.

    Args:
        image: `(height, width, 3)`, uint8, uint16 or float in 0..1.
        box: the region.
    """
    luma = shrink(image, box, (_SIDE, _SIDE)).mean(axis=-1)
    angles = np.outer(np.arange(_FREQUENCIES), 2 * np.arange(_SIDE) + 1) * np.pi / (2 * _SIDE)
    basis = np.cos(angles)
    values = (basis @ luma @ basis.T).ravel()[1:]
    largest = np.abs(values).max()
    # Of a flat region there is rounding noise only, and nothing to say.
    if largest < _FLAT:
        return bytes(len(values))
    return np.round(127 * values / largest).astype("int8").tobytes()


def content_similarity(code: bytes, other: bytes) -> float:
    """Cosine of two codes, -1..1; 0 if one has nothing in it.

    Args:
        code, other: from `content_code`.
    """
    a, b = (np.frombuffer(x, "int8").astype("float64") for x in (code, other))
    norms = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / norms) if norms else 0.0


def looks_alike(code: bytes, known: bytes) -> bool:
    """Whether a code is one of those of some regions, as far as codes can tell.

    Args:
        code: from `content_code`.
        known: such codes one after the other.
    """
    codes = (known[start : start + _LENGTH] for start in range(0, len(known), _LENGTH))
    return any(content_similarity(code, one) >= SAME for one in codes)


def bound_nonce(nonce: bytes, codes: bytes) -> bytes:
    """A nonce that holds what the stamped regions look like, so that a key's bits depend on it.

    Args:
        nonce: at most 255 bytes.
        codes: of the regions, one after the other.

    Raises:
        ValueError: if the nonce is longer.
    """
    if len(nonce) > _MOST_RANDOM:
        raise ValueError(
            f"Expected a nonce of at most {_MOST_RANDOM} bytes. Received: {len(nonce)}"
        )
    return _BOUND + bytes([len(nonce)]) + nonce + codes


def bound_codes(nonce: bytes) -> bytes:
    """The codes in a nonce; empty if it holds none."""
    if not nonce.startswith(_BOUND) or len(nonce) == len(_BOUND):
        return b""
    return nonce[len(_BOUND) + 1 + nonce[len(_BOUND)] :]
