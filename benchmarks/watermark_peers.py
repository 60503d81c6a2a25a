"""Other watermarks, as pairs of functions: stamp a picture with bits, read the bits of a picture.

They take and give BGR. Nothing is imported before it is asked for, and what is missing is an
ImportError.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from keras_imaging.watermark import match_test


class Method(NamedTuple):
    """A watermark.

    Attributes:
        message_length: bits.
        stamp: `(picture, bits)`, a uint8 RGB picture and zeros and ones, to a uint8 RGB picture.
        read: a uint8 RGB picture to zeros and ones, or to logits, positive for 1.
        test: `match_test`, or where there are logits `soft_test`.
    """

    message_length: int
    stamp: Callable
    read: Callable
    test: Callable = match_test


def _bgr(picture):
    return np.ascontiguousarray(picture[..., ::-1])


def blind_watermark(message_length):
    """PyPI blind-watermark: singular values of 4x4 blocks of a wavelet transform, all channels."""
    import blind_watermark as package

    package.bw_notes.close()

    def stamp(picture, bits):
        marker = package.WaterMark(password_wm=1, password_img=1)
        marker.read_img(img=_bgr(picture))
        marker.read_wm(bits, mode="bit")
        return np.floor(marker.embed()[..., ::-1] + 0.5).clip(0, 255).astype("uint8")

    def read(picture):
        marker = package.WaterMark(password_wm=1, password_img=1)
        bits = marker.extract(embed_img=_bgr(picture), wm_shape=message_length, mode="bit")
        return np.asarray(bits, "uint8")

    return Method(message_length, stamp, read)


def invisible_watermark(algorithm, message_length):
    """PyPI invisible-watermark."""
    from imwatermark import WatermarkDecoder, WatermarkEncoder

    if algorithm == "rivaGan":
        WatermarkEncoder.loadModel()
    decoder = WatermarkDecoder("bits", message_length)

    def stamp(picture, bits):
        encoder = WatermarkEncoder()
        encoder.set_watermark("bits", bits.tolist())
        return encoder.encode(_bgr(picture), algorithm)[..., ::-1]

    def read(picture):
        bits = decoder.decode(_bgr(picture), algorithm)
        return np.asarray(bits, "uint8")

    return Method(message_length, stamp, read)


# RivaGAN's network has 32 bits.
PEERS = {
    "blind-watermark, 32 bits": lambda: blind_watermark(32),
    "blind-watermark, 64 bits": lambda: blind_watermark(64),
    "invisible-watermark dwtDct, 32 bits": lambda: invisible_watermark("dwtDct", 32),
    "invisible-watermark dwtDct, 64 bits": lambda: invisible_watermark("dwtDct", 64),
    "invisible-watermark dwtDctSvd, 32 bits": lambda: invisible_watermark("dwtDctSvd", 32),
    "invisible-watermark dwtDctSvd, 64 bits": lambda: invisible_watermark("dwtDctSvd", 64),
    "invisible-watermark rivaGan, 32 bits": lambda: invisible_watermark("rivaGan", 32),
}
PACKAGES = (
    "blind-watermark",
    "invisible-watermark",
    "onnxruntime",
    "opencv-python-headless",
    "PyWavelets",
    "torch",
)
