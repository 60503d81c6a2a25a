import numpy as np
import pytest
import resnet_rs_golden

from keras_imaging.data import RandAugment
from keras_imaging.data.randaugment import OPERATIONS


@pytest.fixture(scope="module")
def arrays():
    return resnet_rs_golden.load("randaugment_ops")


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("magnitude", [10, 15])
def test_golden_operations(arrays, magnitude):
    augment = RandAugment(magnitude=magnitude, translate=10, fill="reflect", solarize_wrap=True)
    goldens = resnet_rs_golden.part(arrays, f"m{magnitude}/")
    assert {name.removesuffix("_pos").removesuffix("_neg") for name in goldens} == {*OPERATIONS} - {
        "cutout"
    }
    for name, expected in goldens.items():
        sign = {"_pos": 1, "_neg": -1}.get(name[-4:])
        operation = name[:-4] if sign else name
        result = augment.apply(operation, arrays["image"], rng(), sign)
        assert result.dtype == np.uint8
        np.testing.assert_array_equal(result, expected, err_msg=name)


def test_grey_enters_where_nothing_was(arrays):
    image = arrays["image"]
    grey = RandAugment(magnitude=10, translate=10)
    mirror = RandAugment(magnitude=10, translate=10, fill="reflect")
    for operation in ("rotate", "shear_x", "shear_y", "translate_x", "translate_y"):
        result, filled = (a.apply(operation, image, rng(), 1) for a in (grey, mirror))
        other = (result != filled).any(axis=-1)
        assert other.any() and (result[other] == 128).all()
    moved = grey.apply("translate_x", image, rng(), 1)
    np.testing.assert_array_equal(moved[:, :-10], image[:, 10:])
    assert (moved[:, -10:] == 128).all()


def test_solarize_inverts_nothing_from_10_on(arrays):
    image = arrays["image"]
    result = RandAugment(magnitude=10).apply("solarize", image, rng())
    np.testing.assert_array_equal(result, image)
    result = RandAugment(magnitude=5).apply("solarize", image, rng())
    np.testing.assert_array_equal(result, np.where(image < 128, image, 255 - image))


def test_cutout(arrays):
    image = np.zeros((40, 50, 3), "uint8")
    augment = RandAugment(magnitude=2)
    sizes = set()
    for seed in range(50):
        hole = augment.apply("cutout", image, rng(seed)) == 128
        rows, columns = hole.any(axis=(1, 2)).sum(), hole.any(axis=(0, 2)).sum()
        assert hole.sum() == 3 * rows * columns
        assert rows <= 16 and columns <= 16
        sizes.add((int(rows), int(columns)))
    assert (16, 16) in sizes and len(sizes) > 5
    assert not image.any(), "the picture itself stays"


def test_no_strength_changes_little(arrays):
    image = arrays["image"]
    augment = RandAugment(magnitude=0)
    for operation in ("rotate", "shear_x", "translate_y", "solarize_add", "cutout"):
        np.testing.assert_array_equal(augment.apply(operation, image, rng()), image)
    # Other than one would expect, the weakest posterization leaves no bit.
    assert not augment.apply("posterize", image, rng()).any()
    strongest = RandAugment(magnitude=30).apply("posterize", image, rng())
    np.testing.assert_array_equal(strongest, image)


def test_plain_pictures_stay():
    plain = np.full((5, 4, 3), 77, "uint8")
    augment = RandAugment()
    for operation in ("autocontrast", "equalize", "color", "contrast", "sharpness"):
        np.testing.assert_array_equal(augment.apply(operation, plain, rng()), plain)
    single = np.full((1, 1, 3), 9, "uint8")
    for operation in OPERATIONS:
        assert augment.apply(operation, single, rng()).shape == (1, 1, 3)


def test_draws_are_a_function_of_the_generator(arrays):
    image = arrays["image"]
    augment = RandAugment(num_ops=2, magnitude=15)
    results = [augment(image, rng((7, 3, row))) for row in range(40)]
    again = [augment(image, rng((7, 3, row))) for row in range(40)]
    np.testing.assert_array_equal(results, again)
    # Some operations do nothing at this strength.
    assert len({r.tobytes() for r in results}) > 20
    np.testing.assert_array_equal(RandAugment(num_ops=0)(image, rng()), image)
    only = RandAugment(num_ops=1, operations=("invert",))
    np.testing.assert_array_equal(only(image, rng()), 255 - image)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"magnitude": -1}, "magnitude=-1"),
        ({"num_ops": -1}, "num_ops=-1"),
        ({"fill": "black"}, "fill='black'"),
        ({"operations": ("blur",)}, "operations="),
        ({"operations": ()}, "operations="),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        RandAugment(**arguments)


@pytest.mark.parametrize("image", [np.zeros((4, 4, 3), "float32"), np.zeros((4, 4, 1), "uint8")])
def test_bad_pictures(image):
    with pytest.raises(ValueError, match="of uint8"):
        RandAugment()(image, rng())
    with pytest.raises(ValueError, match="operation='blur'"):
        RandAugment().apply("blur", np.zeros((4, 4, 3), "uint8"), rng())
