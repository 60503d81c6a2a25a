import numpy as np
import pytest

from keras_imaging.data import PatchMeasurementSampler, gaussian_measurement_matrix, sample_image


def test_measurement_matrix():
    phi = gaussian_measurement_matrix(10, 25)
    assert phi.shape == (10, 25) and phi.dtype == np.float32
    np.testing.assert_allclose(phi @ phi.T, np.eye(10), atol=1e-6)
    # Fewer measurements are the first of more.
    np.testing.assert_allclose(gaussian_measurement_matrix(4, 25), phi[:4], atol=1e-6)
    # The same span with independent entries.
    plain = gaussian_measurement_matrix(10, 25, orthonormal=False)
    np.testing.assert_allclose(plain @ phi.T @ phi, plain, atol=1e-5)
    assert plain.std() == pytest.approx(10**-0.5, rel=0.1)
    for m in (0, 26):
        with pytest.raises(ValueError, match=f"m={m}"):
            gaussian_measurement_matrix(m, 25)


def test_sampler():
    phi = gaussian_measurement_matrix(10, 64)
    images = [sample_image()[:40, :30], sample_image()[:20, :25, 0], sample_image()[:7]]
    sampler = PatchMeasurementSampler(images, phi, batch_size=32, seed=1)
    y, f = sampler.batch(2)
    assert (y.shape, f.shape, y.dtype, f.dtype) == ((32, 10), (32, 64), np.float32, np.float32)
    np.testing.assert_allclose(f.mean(axis=1), 0, atol=1e-6)
    np.testing.assert_allclose(y, f @ phi.T, atol=1e-6)
    assert 0.05 < np.ptp(f) <= 2
    part = sampler.batch(2, slice(5, 9))
    np.testing.assert_array_equal(part[1], f[5:9])
    assert (sampler.batch(3)[1] != f).any()
    with pytest.raises(ValueError, match="8 x 8"):
        PatchMeasurementSampler([np.zeros((7, 20), "uint8")], phi)
    with pytest.raises(ValueError, match="Received: 63"):
        PatchMeasurementSampler(images, phi[:, 1:])
