"""CG-SENSE, total variation and wavelets against reference arrays, and what any scan may ask."""

import golden
import numpy as np
import pytest
from harness import BACKEND, to_numpy

from keras_imaging.data import head_phantom
from keras_imaging.data.coil_maps import birdcage_maps
from keras_imaging.data.kspace import image_to_kspace, kspace_to_image
from keras_imaging.inference.reconstruction import cg_sense, tv, wavelet, zero_filled
from keras_imaging.ops.proximal import tv_prox
from keras_imaging.solvers import NotConvergedWarning, loop

pytestmark = pytest.mark.filterwarnings("ignore::keras_imaging.solvers.NotConvergedWarning")
# JAX has double precision only where it is asked for.
TOLERANCE = 1e-5 if BACKEND == "jax" else 1e-10


def near(actual, expected):
    difference = np.abs(to_numpy(actual) - expected).max()
    assert difference <= TOLERANCE * np.abs(expected).max()


def test_cg_sense_against_the_reference():
    arrays = golden.load("pdhg_mri/sense")
    kspace, maps = (np.moveaxis(arrays[name], -1, 1) for name in ("kspace", "maps"))
    options = {"l2": float(arrays["lam"]), "tolerance": 0, "history": True}
    for k in (1, 30):
        result = cg_sense(kspace, arrays["mask"][..., 0], maps, n_iterations=k, **options)
        near(result.x, arrays[f"cg_x_{k}"])
    # The residual is in units of the largest |A^H f|.
    unit = np.abs(to_numpy(zero_filled(kspace, arrays["mask"][..., 0], maps))).max()
    near(np.asarray(result.history["residual"]) * unit, arrays["cg_residual_norm"])


def test_cg_sense_against_sigpy():
    app = pytest.importorskip("sigpy.mri.app")
    _, (kspace, mask, maps) = scan(3)
    for f, sampled in zip(kspace, mask, strict=True):
        ours = cg_sense(f[None], sampled, maps, l2=1e-3, n_iterations=12, tolerance=0).x[0]
        weights = np.broadcast_to(sampled, f.shape[1:])
        options = {"lamda": 1e-3, "max_iter": 12, "show_pbar": False}
        theirs = app.SenseRecon(f, maps, weights=weights, **options).run()
        assert np.abs(to_numpy(ours) - theirs).max() < 1e-4 * np.abs(theirs).max()


def test_total_variation_against_the_reference():
    arrays = golden.load("pdhg_mri/tv_pdhg")
    kspace, mask = arrays["kspace"][None], arrays["mask"]
    unit = np.abs(kspace_to_image(kspace * mask)).max()
    lam = float(arrays["lam"]) / unit
    for k in (1, 10, 100):
        result = tv(kspace, mask, lam=lam, n_iterations=k, tolerance=0, history=True)
        near(result.x[0], arrays[f"x_{k}"])
    objective = np.asarray(result.history["objective"]) * unit**2
    noted = arrays["objective_iters"] <= 100
    near(objective[arrays["objective_iters"][noted] - 1], arrays["objective"][noted])


def test_wavelets_against_the_reference():
    arrays = golden.load("pdhg_mri/fista_wavelet")
    kspace, mask = arrays["kspace"][None], arrays["mask"]
    lam = float(arrays["lam"]) / np.abs(kspace_to_image(kspace * mask)).max()
    for k in (1, 2, 100):
        result = wavelet(kspace, mask, lam=lam, wavelet="haar", levels=2, n_iterations=k)
        near(result.x[0], arrays[f"x_{k}"])


def test_variation_is_of_complex_numbers():
    """Fully sampled it is denoising: not that of real and imaginary part apart."""
    rng = np.random.default_rng(0)
    image = head_phantom((16, 16)) * np.exp(1j * np.linspace(0, 3, 16))
    image = (image + 0.2 * (rng.normal(size=(16, 16)) + 1j * rng.normal(size=(16, 16))))[None]
    image = image.astype("complex64")
    unit = np.abs(image).max()
    result = to_numpy(
        tv(image_to_kspace(image), np.ones((1, 16)), lam=0.1, n_iterations=300, tolerance=1e-6).x
    )

    def value(x):
        down, right = np.diff(x, axis=1)[:, :, :-1], np.diff(x, axis=2)[:, :-1]
        lengths = np.sqrt(np.abs(down) ** 2 + np.abs(right) ** 2).sum()
        # The last row and column have one direction each.
        lengths += np.abs(np.diff(x[:, :, -1])).sum() + np.abs(np.diff(x[:, -1])).sum()
        return 0.5 * (np.abs(x - image) ** 2).sum() + 0.1 * unit * lengths

    apart = to_numpy(tv_prox(np.stack([image.real, image.imag], -1), 0.1 * unit, 150))
    apart = apart[..., 0] + 1j * apart[..., 1]
    assert np.abs(apart - result).max() > 0.02 * unit
    assert value(result) < value(apart) * 0.999
    # Turning the phase of the whole image turns the result.
    turned = to_numpy(
        tv(1j**0.5 * image_to_kspace(image), np.ones((1, 16)), lam=0.1, n_iterations=300).x
    )
    np.testing.assert_allclose(turned, 1j**0.5 * result, atol=2e-3 * unit)


def scan(coils):
    """k-space of a phantom of an odd size; a mask for each of two images."""
    size = (18, 21)
    image = head_phantom(size) * np.exp(1j * np.linspace(0, 2, size[1]))
    images = np.stack([image, image[::-1]])
    mask = (np.random.default_rng(0).random((2, 1, 21)) < 0.5).astype("float32")
    mask[..., 8:13] = 1
    maps = birdcage_maps(size, coils) if coils else None
    kspace = image_to_kspace(images if maps is None else images[:, None] * maps)
    kspace = kspace * (mask if maps is None else mask[:, None])
    return images, (kspace.astype("complex64"), mask, maps)


@pytest.mark.parametrize("method", [cg_sense, tv, wavelet])
@pytest.mark.parametrize("coils", [0, 3])
def test_scans_of_any_unit(method, coils):
    """To the last bit for powers of two, in one batch: no image touches another."""
    images, (kspace, mask, maps) = scan(coils)
    factors = np.float32([1, 1, 2.0**-80, 2.0**60, 0]).reshape((-1,) + (1,) * (kspace.ndim - 1))
    batch = np.concatenate([kspace, *[kspace[1:]] * 3]) * factors
    masks = np.concatenate([mask, *[mask[1:]] * 3])
    x = to_numpy(method(batch, masks, maps, n_iterations=20).x)
    if coils or method is not cg_sense:
        naive = to_numpy(zero_filled(kspace, mask, maps))
        assert np.linalg.norm(x[:2] - images) < np.linalg.norm(naive - images)
    np.testing.assert_allclose(x[2] * 2.0**80, x[1], rtol=0, atol=1e-6 * np.abs(x[1]).max())
    np.testing.assert_allclose(x[3] / 2.0**60, x[1], rtol=0, atol=1e-6 * np.abs(x[1]).max())
    assert not x[4].any()


def test_pairs_in_pairs_out():
    _, (kspace, mask, maps) = scan(3)
    for method, options in ((zero_filled, {}), (tv, {"n_iterations": 5})):
        expected, pairs = (
            method(f, mask, maps, **options)
            for f in (kspace, np.stack([kspace.real, kspace.imag], -1))
        )
        expected, pairs = (to_numpy(getattr(r, "x", r)) for r in (expected, pairs))
        assert pairs.dtype == np.float32
        np.testing.assert_array_equal(pairs[..., 0] + 1j * pairs[..., 1], expected)


def test_exact_where_all_is_sampled():
    images, (_, _, maps) = scan(3)
    energy = np.sqrt((np.abs(maps) ** 2).sum(0))
    kspace = image_to_kspace(images[:, None] * maps / energy)
    for method, options in ((cg_sense, {"l2": 0}), (tv, {"lam": 0}), (wavelet, {"lam": 0})):
        x = method(kspace, np.ones((18, 21)), maps / energy, **options).x
        np.testing.assert_allclose(to_numpy(x), images, atol=1e-4)


def test_compiled_once_for_scans_of_one_size():
    """Other data, masks, maps and weights meet the same program, which holds none of them."""
    _, (kspace, mask, maps) = scan(3)
    others = 2 * kspace[::-1], mask[::-1], maps[:, ::-1]
    for method, weight in ((cg_sense, "l2"), (tv, "lam"), (wavelet, "lam")):
        method(kspace, mask, maps, n_iterations=3)
        before = loop._kept_program.cache_info()
        kept = to_numpy(method(*others, **{weight: 0.05}, n_iterations=3).x)
        after = loop._kept_program.cache_info()
        assert (after.hits, after.misses) == (before.hits + 1, before.misses)
        loop._kept_program.cache_clear()
        fresh = to_numpy(method(*others, **{weight: 0.05}, n_iterations=3).x)
        np.testing.assert_array_equal(kept, fresh)


def test_missing_convergence_is_told():
    _, (kspace, mask, _) = scan(0)
    with pytest.warns(NotConvergedWarning, match="PDHG: 2 of 2"):
        tv(kspace, mask, n_iterations=3)


def test_bad_arguments():
    _, (kspace, mask, _) = scan(0)
    _, (many, _, maps) = scan(3)
    for call, message in (
        (lambda: tv(kspace, mask, lam=-1), "lam=-1"),
        (lambda: wavelet(kspace, mask, lam=-1), "lam=-1"),
        (lambda: wavelet(kspace, mask, wavelet="sym2"), "sym2"),
        (lambda: cg_sense(kspace, mask, l2=-1), "l2=-1"),
        (lambda: zero_filled(kspace[0], mask), r"\(batch, height, width\).*\(18, 21\)"),
        (lambda: zero_filled(np.abs(kspace).astype("int32"), mask), "int32"),
        (lambda: zero_filled(kspace * np.nan, mask), "NaN"),
        (lambda: zero_filled(kspace, 0 * mask), "samples nothing"),
        (lambda: zero_filled(kspace, mask / 2), "0 and 1"),
        (lambda: zero_filled(kspace, mask[:, :, 1:]), "mask for k-space of 18 x 21"),
        (lambda: zero_filled(kspace, np.concatenate([mask, mask])), "4 masks do not fit 2"),
        (lambda: zero_filled(many, mask), "3 coils needs `maps`"),
        (lambda: zero_filled(many, mask, maps[:2]), r"`maps` must be.*\(3, 18, 21\)"),
        (lambda: zero_filled(many, mask, 0 * maps), "zero everywhere"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
