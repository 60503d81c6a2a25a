import golden
import numpy as np
import pytest

from keras_imaging.ops import spectral

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(3, 3, 2, 5), (3, 3, 4, 4), (1, 1, 6, 3), (2, 4, 1, 2)])
def test_fourier_and_the_whole_matrix_agree(shape):
    kernel = RNG.normal(size=shape)
    circular = spectral.circular_convolution_norm(kernel, (4, 5))
    assert circular == pytest.approx(
        spectral.dense_convolution_norm(kernel, (4, 5), "circular"), rel=1e-10
    )
    bound = spectral.convolution_norm_bound(kernel)
    finest = spectral.circular_convolution_norm(kernel, (128, 128))
    assert finest <= bound * (1 + 1e-12) and bound <= 1.003 * finest
    padded = spectral.dense_convolution_norm(kernel, (4, 5))
    below = spectral.zero_padded_norm_lower_bound(kernel, (4, 5))
    assert below == pytest.approx(padded, rel=1e-4) and below <= padded * (1 + 1e-12)
    assert padded <= finest * (1 + 1e-12)
    reshaped = spectral.reshaped_kernel_norm(kernel)
    assert reshaped <= finest * (1 + 1e-12)
    assert finest <= np.sqrt(shape[0] * shape[1]) * reshaped * (1 + 1e-12)


@pytest.mark.parametrize(("name", "grid"), [("c8to8", 64), ("c8to1", 256)])
def test_golden_norms(name, grid):
    arrays = golden.load("pnp/realsn")
    kernel, size = golden.kernel(arrays[f"{name}.weight_orig"]), arrays[f"{name}.x"].shape[2:]

    def expected(norm):
        return pytest.approx(arrays[f"{name}.norm_{norm}"].item(), rel=1e-10)

    assert spectral.dense_convolution_norm(kernel, size) == expected("zero_pad_exact")
    assert spectral.circular_convolution_norm(kernel, size) == expected("circular_exact_hxw")
    finest = spectral.circular_convolution_norm(kernel, (grid, grid))
    assert finest == expected("circular_sup_grid256")
    assert spectral.reshaped_kernel_norm(kernel) == expected("reshaped")


def test_the_bound_holds_where_a_coarse_grid_alone_would_not():
    # A wave between the frequencies of the grid of 4.
    taps = np.array([1.0, 1.0, -0.5])
    kernel = np.outer(taps, taps)[..., None, None]
    finest = spectral.circular_convolution_norm(kernel, (128, 128))
    assert spectral.circular_convolution_norm(kernel, (4, 4)) < finest
    assert spectral.convolution_norm_bound(kernel, grid=4) >= finest
    # Of a product the supremum is that of its factors.
    waves = np.exp(-1j * np.outer(np.linspace(0, np.pi, 20001), np.arange(3)))
    supremum = np.abs(waves @ taps).max() ** 2
    assert supremum <= spectral.convolution_norm_bound(kernel) <= supremum * (1 + 3e-5)


def test_the_bound_of_what_is_equally_large_everywhere_is_that_of_a_coarser_grid():
    kernel = np.zeros((3, 3, 2, 2))
    kernel[1, 1] = np.diag([1.0, 0.5])
    assert 1 <= spectral.convolution_norm_bound(kernel) <= 1.0025


def test_largest_singular_value_of_many():
    matrices = RNG.normal(size=(200, 7, 4)) + 1j * RNG.normal(size=(200, 7, 4))
    matrices[17] *= 1e-9
    expected = np.linalg.svd(matrices, compute_uv=False).max()
    assert spectral.largest_singular_value(matrices) == pytest.approx(expected, rel=1e-12)
    tie = np.repeat(np.eye(4)[None], 100, axis=0)
    assert spectral.largest_singular_value(tie) == pytest.approx(1, rel=1e-12)
    assert spectral.largest_singular_value(np.zeros((3, 2, 2))) == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: spectral.convolution_norm_bound(np.ones((3, 3))), "kernel"),
        (lambda: spectral.convolution_norm_bound(np.full((1, 1, 1, 1), np.nan)), "finite"),
        (lambda: spectral.convolution_norm_bound(np.ones((5, 5, 1, 1)), grid=4), "grid=4"),
        (lambda: spectral.circular_convolution_norm(np.ones((3, 3, 1, 1)), (2, 8)), "larger"),
        (lambda: spectral.dense_convolution_norm(np.ones((1, 1, 1, 1)), (2, 2), "same"), "'same'"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
