"""Peak signal-to-noise ratio and structural similarity.

`psnr` and `ssim` are NumPy functions in float64, on which published figures rest; `PSNR` and `SSIM`
are Keras metrics of the same quantities.
"""

import keras
import numpy as np

from keras_imaging.ops.color import rgb_to_ycbcr
from keras_imaging.ops.crop import shave
from keras_imaging.ops.separable import gaussian_taps

_WINDOW = 11
_SIGMA = 1.5
_UNIFORM_WINDOW = 7
_K1, _K2 = 0.01, 0.03


def gaussian_window() -> np.ndarray:
    """The 11 normalised weights of SSIM's window along one axis."""
    return gaussian_taps(_SIGMA, _WINDOW // 2)


def _check_images(a, b):
    for image in (a, b):
        dtype = keras.backend.standardize_dtype(image.dtype)
        if dtype.startswith("complex"):
            raise ValueError(f"Expected real images, such as magnitudes. Received dtype {dtype}.")
    if len(a.shape) != len(b.shape) or any(
        m != n for m, n in zip(a.shape, b.shape, strict=True) if None not in (m, n)
    ):
        raise ValueError(
            f"Expected two images of one shape. Received shapes {tuple(a.shape)} and "
            f"{tuple(b.shape)}."
        )


def _check_window(size, border, window=_WINDOW):
    if any(n is not None and n < 2 * border + window for n in size):
        raise ValueError(
            f"SSIM needs at least 2 * border + {window} = {2 * border + window} pixels on each "
            f"side. Received height and width {tuple(size)}."
        )


def psnr(a: np.ndarray, b: np.ndarray, border: int = 0, max_val: float = 255.0) -> float:
    """Peak signal-to-noise ratio in dB, 10 log10(max_val**2 / mean squared error).

    Args:
        a, b: images of one shape, `(height, width)` or `(height, width, channels)`; any real type.
        border: pixels left out on each side.
        max_val: the largest value an image can have.

    Returns:
        Infinity for equal images.

    Raises:
        ValueError: if the shapes differ, an image is complex, or `border` leaves no pixel.
    """
    _check_images(a, b)
    difference = shave(a, border).astype("float64") - shave(b, border)
    mse = np.mean(np.square(difference))
    return float(10 * np.log10(max_val**2 / mse)) if mse else float("inf")


def ssim(
    a: np.ndarray,
    b: np.ndarray,
    border: int = 0,
    max_val: float = 255.0,
    window: str = "gaussian",
) -> float:
    """Structural similarity, -1..1: its mean over the pixels where the whole window fits.

    Args:
        a, b: images of one shape, `(height, width)` or `(height, width, channels)`; any real type.
            Channels are compared one by one and averaged.
        border: pixels left out on each side.
        max_val: the largest value an image can have.
        window: `"gaussian"`, 11x11, as below; or `"uniform"`, 7x7 with sample covariance, which
            figures of MR reconstruction rest on.

    Raises:
        ValueError: if the shapes differ, an image is complex, a side is shorter than
            2 * border + 11 (uniform: 7), or the window is unknown.

    Reference:
        Wang, Bovik, Sheikh, Simoncelli, "Image Quality Assessment: From Error Visibility to
        Structural Similarity", IEEE TIP 2004: 11x11 Gaussian window of standard deviation 1.5,
        K = (0.01, 0.03), population covariance.
    """
    _check_images(a, b)
    if window == "uniform":
        _check_window(a.shape[:2], border, _UNIFORM_WINDOW)
        a, b = (shave(image, border).astype("float64") / max_val for image in (a, b))
        n = _UNIFORM_WINDOW**2
        return float(np.mean(ssim_map(a, b, _uniform_mean, n / (n - 1))))
    if window != "gaussian":
        raise ValueError(f"`window` must be gaussian or uniform. Received: window={window!r}")
    _check_window(a.shape[:2], border)
    return float(np.mean(local_ssim(shave(a, border), shave(b, border), max_val)))


def local_ssim(a: np.ndarray, b: np.ndarray, max_val: float = 255.0) -> np.ndarray:
    """Structural similarity around every pixel where the whole window fits, see `ssim`.

    Args:
        a, b, max_val: as in `ssim`.

    Returns:
        float64, five pixels less than the images on each side.

    Raises:
        ValueError: if the shapes differ, an image is complex, or a side is shorter than 11.
    """
    _check_images(a, b)
    _check_window(a.shape[:2], 0)
    return ssim_map(a.astype("float64") / max_val, b.astype("float64") / max_val, _filter_numpy)


def ssim_map(a, b, local_mean, correction=1.0):
    """Structural similarity at every place of the window.

    Args:
        a, b: images of one shape, 0..1.
        local_mean: averages an image under the window.
        correction: of covariances; n / (n - 1) are those that a sample of n pixels estimates.
    """
    c1, c2 = _K1**2, _K2**2
    mean_a, mean_b = local_mean(a), local_mean(b)
    variances = local_mean(a * a + b * b) - mean_a * mean_a - mean_b * mean_b
    covariance = local_mean(a * b) - mean_a * mean_b
    variances, covariance = variances * correction, covariance * correction
    luminance = (2 * mean_a * mean_b + c1) / (mean_a * mean_a + mean_b * mean_b + c1)
    return luminance * (2 * covariance + c2) / (variances + c2)


def _filter_numpy(x):
    for axis in (0, 1):
        length = x.shape[axis] - _WINDOW + 1
        taps = (np.take(x, range(k, k + length), axis) for k in range(_WINDOW))
        x = sum(weight * tap for weight, tap in zip(gaussian_window(), taps, strict=True))
    return x


def _uniform_mean(x):
    windows = np.lib.stride_tricks.sliding_window_view(x, (_UNIFORM_WINDOW,) * 2, axis=(0, 1))
    return windows.mean(axis=(-2, -1))


def _filter(x):
    channels = x.shape[-1]
    for shape in ((_WINDOW, 1, 1, 1), (1, _WINDOW, 1, 1)):
        kernel = np.tile(gaussian_window().reshape(shape), (1, 1, channels, 1))
        x = keras.ops.depthwise_conv(
            x, keras.ops.convert_to_tensor(kernel, dtype=x.dtype), padding="valid"
        )
    return x


class _ImageMetric(keras.metrics.MeanMetricWrapper):
    """Mean over images of a value computed from two batches."""

    def __init__(self, border, y_channel, max_val, name, dtype):
        if border < 0:
            raise ValueError(f"`border` must be 0 or more. Received: border={border}")
        if not max_val > 0:
            raise ValueError(f"`max_val` must be positive. Received: max_val={max_val}")
        super().__init__(self._per_image, name=name, dtype=dtype)
        self.border = border
        self.y_channel = y_channel
        self.max_val = max_val

    def _per_image(self, y_true, y_pred):
        _check_images(y_true, y_pred)
        images = []
        for image in (y_true, y_pred):
            # Both to 0..1 in full precision, whatever the model computes in.
            dtype = keras.backend.result_type(keras.ops.convert_to_tensor(image).dtype, "float32")
            image = keras.ops.cast(image, dtype) / self.max_val
            if self.y_channel:
                image = rgb_to_ycbcr(image)[..., :1]
            images.append(shave(image, self.border) if self.border else image)
        return self._compare(*images)

    def get_config(self):
        return {
            "border": self.border,
            "y_channel": self.y_channel,
            "max_val": self.max_val,
            "name": self.name,
            "dtype": self.dtype,
        }

    @classmethod
    def from_config(cls, config):
        return cls(**config)


@keras.saving.register_keras_serializable(package="keras_imaging")
class PSNR(_ImageMetric):
    """Mean over images of the peak signal-to-noise ratio, in dB.

    Values are compared as they are, neither clipped nor rounded; for figures to publish see
    `keras_imaging.evaluation`.

    Args:
        border: pixels left out on each side.
        y_channel: compare the BT.601 luma of RGB images.
        max_val: the largest value an image can have.
        name: name of the metric.
        dtype: dtype of the mean.

    Example:
        >>> metric = PSNR()
        >>> metric.update_state(np.zeros((1, 16, 16, 1)), np.full((1, 16, 16, 1), 0.1))
        >>> round(float(metric.result()), 3)
        20.0
    """

    def __init__(self, border=0, y_channel=False, max_val=1.0, name="psnr", dtype=None):
        super().__init__(border, y_channel, max_val, name, dtype)

    def _compare(self, a, b):
        mse = keras.ops.mean(keras.ops.square(a - b), axis=(1, 2, 3))
        return -10 * keras.ops.log10(mse)


@keras.saving.register_keras_serializable(package="keras_imaging")
class SSIM(_ImageMetric):
    """Mean over images of the structural similarity, see `ssim`.

    Args:
        border, y_channel, max_val, name, dtype: as in `PSNR`.

    Raises:
        ValueError: from `update_state`, if a side is shorter than 2 * border + 11.
    """

    def __init__(self, border=0, y_channel=False, max_val=1.0, name="ssim", dtype=None):
        super().__init__(border, y_channel, max_val, name, dtype)

    def _compare(self, a, b):
        _check_window(a.shape[1:3], 0)
        return keras.ops.mean(ssim_map(a, b, _filter), axis=(1, 2, 3))


def nmse_db(estimate: np.ndarray, codes: np.ndarray) -> float:
    """Normalised mean square error in dB: 10 log10(sum |estimate - codes|^2 / sum |codes|^2).

    The sums go over all samples: it is a ratio of sums, not a mean of ratios.

    Args:
        estimate: of any shape, real or complex.
        codes: the truth, of the same shape.

    Raises:
        ValueError: if the shapes differ.
    """
    estimate, codes = np.asarray(estimate), np.asarray(codes)
    if estimate.shape != codes.shape:
        raise ValueError(
            f"Expected two arrays of one shape. Received shapes {estimate.shape} and {codes.shape}."
        )
    wide = "complex128" if "c" in (estimate.dtype.kind, codes.dtype.kind) else "float64"
    estimate, codes = estimate.astype(wide), codes.astype(wide)
    error, size = (np.sum(np.abs(values) ** 2) for values in (estimate - codes, codes))
    return float(10 * np.log10(error / size))
