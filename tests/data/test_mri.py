import numpy as np
import pytest

from keras_imaging.data.coil_maps import birdcage_maps, root_sum_of_squares
from keras_imaging.data.head_phantom import head_phantom
from keras_imaging.data.kspace import from_pairs, image_to_kspace, kspace_to_image
from keras_imaging.data.mri import (
    MeasuredKspaceSampler,
    MRISampler,
    hold_out,
    simulate_kspace,
    synthetic_phase,
)
from keras_imaging.data.sampling_masks import KINDS, random_cartesian_mask

HEADS = [head_phantom((40, 36), contrast, seed=1) for contrast in ("t1", "t2")]


def test_phase():
    phase = synthetic_phase((5, 9), seed=8)
    c = np.random.default_rng(8).uniform(-np.pi / 2, np.pi / 2, 6)
    for row, y in enumerate(np.linspace(-1, 1, 5)):
        for column, x in enumerate(np.linspace(-1, 1, 9)):
            expected = c @ [1, x, y, x * x, x * y, y * y]
            assert phase[row, column] == pytest.approx(expected)


def test_simulated_scan():
    head = HEADS[0] * np.exp(1j * synthetic_phase((40, 36)))
    maps = birdcage_maps((40, 36), 3)
    mask = random_cartesian_mask((40, 36), seed=1)
    kspace = simulate_kspace(head, mask, maps)
    assert kspace.shape == (3, 40, 36)
    np.testing.assert_allclose(kspace[1], mask * image_to_kspace(maps[1] * head), atol=1e-6)
    # The scan and its adjoint: <A x, y> = <x, A^H y>.
    rng = np.random.default_rng(0)
    y = rng.normal(size=kspace.shape) + 1j * rng.normal(size=kspace.shape)
    adjoint = (maps.conj() * kspace_to_image(mask * y)).sum(axis=0)
    assert np.vdot(y, kspace) == pytest.approx(np.vdot(adjoint, head), rel=1e-6)
    assert simulate_kspace(head, mask).shape == (40, 36)
    noisy = simulate_kspace(2 * head, np.ones((1, 1)), noise=0.1, seed=3)
    noise = noisy - simulate_kspace(2 * head, np.ones((1, 1)))
    assert np.abs(noise).std() and np.sqrt(np.mean(np.abs(noise) ** 2)) == pytest.approx(
        0.2, rel=0.05
    )
    assert not simulate_kspace(head, 1 - mask, noise=0.1)[:, mask[0] == 1].any()
    with pytest.raises(ValueError, match=r"\(3, 40, 36\)"):
        simulate_kspace(head[:-1], mask, maps)
    with pytest.raises(ValueError, match="noise=-1"):
        simulate_kspace(head, mask, noise=-1)


def test_hold_out():
    mask = np.repeat(random_cartesian_mask((40, 36), seed=1), 40, axis=0)
    given, held = hold_out(mask, 0.4, seed=2)
    np.testing.assert_array_equal(given + held, mask)
    assert held.sum() == round(0.4 * (mask.sum() - mask[18:22, 16:20].sum()))
    np.testing.assert_array_equal(given[18:22, 16:20], mask[18:22, 16:20])
    assert (hold_out(mask, 0.4, seed=3)[1] != held).any()
    with pytest.raises(ValueError, match="fraction=1"):
        hold_out(mask, 1)
    with pytest.raises(ValueError, match="too few"):
        hold_out(np.eye(8)[3:4] * np.eye(8)[3:4].T)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_coils", [0, 3])
def test_sampler(kind, n_coils):
    sampler = MRISampler(HEADS, 32, 3, mask=kind, center_fraction=0.1, n_coils=n_coils, seed=5)
    inputs, target = sampler.batch(2)
    coils = (3,) if n_coils else ()
    shapes = {"kspace": (3, *coils, 32, 32, 2), "mask": (3, 32, 32)}
    if n_coils:
        shapes["maps"] = (3, 3, 32, 32, 2)
    assert {name: array.shape for name, array in inputs.items()} == shapes
    assert target.shape == (3, 32, 32, 2)
    assert {array.dtype for array in (*inputs.values(), target)} == {np.dtype("float32")}
    # The k-space is what a scan of the target measures; the largest magnitude is 1.
    for row in range(3):
        image, mask = from_pairs(target[row]), inputs["mask"][row]
        maps = from_pairs(inputs["maps"][row]) if n_coils else None
        expected = simulate_kspace(image, mask, maps)
        np.testing.assert_allclose(from_pairs(inputs["kspace"][row]), expected, atol=1e-5)
        assert np.abs(image).max() == pytest.approx(1, abs=1e-6)
        assert 0.1 < mask.mean() < 0.5
    # Batch and row are all that a row depends on.
    part, part_target = sampler.batch(2, slice(1, 3))
    np.testing.assert_array_equal(part["kspace"], inputs["kspace"][1:])
    np.testing.assert_array_equal(part_target, target[1:])
    other, other_target = sampler.batch(3)
    assert (other_target != target).any()
    assert len({mask.tobytes() for mask in (*inputs["mask"], *other["mask"])}) > 2


def test_sampler_of_several_kinds_of_masks():
    """Some scans of whole columns, some of points; each again a function of seed, step and row."""
    sampler = MRISampler(HEADS, 32, 12, mask=("cartesian", "poisson"), center_fraction=0.1)
    masks = sampler.batch(0)[0]["mask"]
    columns = [(mask == mask[:1]).all() for mask in masks]
    assert any(columns) and not all(columns)
    np.testing.assert_array_equal(sampler.batch(0, slice(5, 7))[0]["mask"], masks[5:7])
    with pytest.raises(ValueError, match="spiral"):
        MRISampler(HEADS, 32, mask=("cartesian", "spiral"))


def test_sampler_of_whole_and_complex_images():
    phase = np.exp(0.5j)
    sampler = MRISampler([HEADS[0] * phase], batch_size=4, mask=np.ones((1, 36)), noise=0.05)
    inputs, target = sampler.batch(0)
    assert inputs["mask"].all()
    images = from_pairs(target)
    heads = [HEADS[0], HEADS[0][:, ::-1]]
    for image in images:
        errors = [np.abs(image - head / head.max() * phase).max() for head in heads]
        assert min(errors) < 1e-6
    noise = from_pairs(inputs["kspace"]) - image_to_kspace(images)
    assert (np.abs(noise).std(axis=(1, 2)) > 0).all() and np.abs(noise).std() < 0.05
    # An empty patch stays empty.
    empty = MRISampler([np.zeros((16, 16), "uint8")], batch_size=1).batch(0)
    assert not empty[1].any() and not empty[0]["kspace"].any()


@pytest.mark.parametrize("n_coils", [0, 2])
def test_sampler_without_truth(n_coils):
    arguments = dict(patch_size=32, batch_size=2, mask="poisson", center_fraction=0.2, seed=1)
    arguments["n_coils"] = n_coils
    inputs, target = MRISampler(HEADS, supervision="ssdu", **arguments).batch(0)
    whole, _ = MRISampler(HEADS, **arguments).batch(0)
    held, held_mask = target[..., :2], target[..., 2]
    assert target.shape[-1] == (5 if n_coils else 3)
    np.testing.assert_allclose(inputs["kspace"] + held, whole["kspace"], atol=1e-6)
    mask = held_mask[:, 0] if n_coils else held_mask
    np.testing.assert_array_equal(mask + inputs["mask"], whole["mask"])
    assert mask.sum() == pytest.approx(0.4 * whole["mask"].sum(), rel=0.1)
    assert not inputs["kspace"][held_mask == 1].any() and not held[held_mask == 0].any()
    if n_coils:
        np.testing.assert_array_equal(target[..., 3:], inputs["maps"])
        np.testing.assert_allclose(root_sum_of_squares(from_pairs(inputs["maps"])), 1, atol=1e-6)


def test_measured_sampler():
    maps = birdcage_maps((40, 36), 2)
    mask = random_cartesian_mask((40, 36), seed=1)
    scans = [simulate_kspace(head, mask, maps) for head in HEADS]
    sampler = MeasuredKspaceSampler(scans, maps=[maps, maps], batch_size=6, fraction=0.3)
    inputs, target = sampler.batch(1)
    kspace = from_pairs(inputs["kspace"] + target[..., :2])
    numbers = {int(np.argmin([np.abs(one - scan).max() for scan in scans])) for one in kspace}
    assert numbers == {0, 1}
    for one in kspace:
        assert min(np.abs(one - scan).max() for scan in scans) < 1e-6
    assert target[:, 0, :, :, 2].mean() == pytest.approx(0.3 * mask.mean(), rel=0.1)
    np.testing.assert_array_equal(sampler.batch(1, slice(4, 5))[1], target[4:5])
    one_coil = MeasuredKspaceSampler([simulate_kspace(HEADS[0], mask)], [mask], batch_size=1)
    assert one_coil.batch(0)[0]["kspace"].shape == (1, 40, 36, 2)
    for arguments, message in (
        (dict(scans=[]), "no scans"),
        (dict(scans=scans), "2 coils needs `maps`"),
        (dict(scans=scans, maps=[maps]), "1 maps do not fit 2"),
        (dict(scans=[scans[0], scans[1][:, 1:]]), "one shape"),
        (dict(scans=scans, maps=[maps, maps[:1]]), "shape of the k-space"),
        (dict(scans=scans, maps=[maps, maps], masks=[mask, np.ones((1, 36))]), "zero at"),
    ):
        with pytest.raises(ValueError, match=message):
            MeasuredKspaceSampler(**arguments)


def test_bad_arguments():
    for arguments, message in (
        (dict(images=[]), "no training images"),
        (dict(images=[HEADS[0] - 1]), "negative magnitudes"),
        (dict(images=[np.full((9, 9), np.nan)]), "NaN"),
        (dict(images=[np.zeros((9, 9, 3), "uint8")]), r"\(9, 9, 3\)"),
        (dict(images=[np.zeros((9, 9), "int32")]), "int32"),
        (dict(patch_size=38), "patch_size=38"),
        (dict(images=[HEADS[0], HEADS[1][1:]]), "several sizes"),
        (dict(supervision="n2n"), "n2n"),
        (dict(mask="spiral"), "spiral"),
        (dict(mask=np.ones((40, 35))), r"\(40, 35\)"),
        (dict(batch_size=0), "batch_size"),
        (dict(acceleration=0.2), "acceleration"),
    ):
        with pytest.raises(ValueError, match=message):
            MRISampler(**{"images": HEADS, **arguments})
