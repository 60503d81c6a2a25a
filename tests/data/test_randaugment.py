import numpy as np
import pytest
import resnet_rs_golden
import volo_golden

from keras_imaging.data import RandAugment, TimmRandAugment
from keras_imaging.data.randaugment import OPERATIONS, TIMM_OPERATIONS


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


_NAMES_OF_TIMM = {
    "AutoContrast": "autocontrast",
    "PosterizeIncreasing": "posterize",
    "SolarizeIncreasing": "solarize",
    "SolarizeAdd": "solarize_add",
    "ColorIncreasing": "color",
    "ContrastIncreasing": "contrast",
    "BrightnessIncreasing": "brightness",
    "SharpnessIncreasing": "sharpness",
    "ShearX": "shear_x",
    "ShearY": "shear_y",
    "TranslateXRel": "translate_x",
    "TranslateYRel": "translate_y",
}


def test_golden_operations_of_timm():
    goldens = volo_golden.load("timm_randaugment")
    image = goldens.pop("image")
    seen = set()
    for key, expected in goldens.items():
        name, strength, sign, interpolation = key.split("/")
        operation = _NAMES_OF_TIMM.get(name, name.lower())
        cubic = interpolation == "bicubic"
        result = TimmRandAugment().apply(operation, image, float(strength), int(sign), cubic)
        assert result.dtype == np.uint8
        np.testing.assert_array_equal(result, expected, err_msg=key)
        seen.add(operation)
    assert seen == set(TIMM_OPERATIONS)


def test_draws_of_timm(arrays):
    image = arrays["image"]
    augment = TimmRandAugment()
    results = [augment(image, rng((7, row))) for row in range(60)]
    np.testing.assert_array_equal(results, [augment(image, rng((7, row))) for row in range(60)])
    # Neither of two operations is done in a quarter of the draws.
    same = np.mean([np.array_equal(result, image) for result in results])
    assert 0.1 < same < 0.45
    assert len({r.tobytes() for r in results}) > 30
    always = TimmRandAugment(num_ops=1, probability=1.0, magnitude_std=5.0)
    strengths = []
    always.apply = lambda name, image, strength, sign, cubic: strengths.append(strength) or image
    for row in range(300):
        always(image, rng(row))
    assert 8 < np.mean(strengths) < 10 and 4 < np.std(strengths) < 6
    # The strongest posterization leaves nothing, where Pillow's refuses.
    assert not TimmRandAugment().apply("posterize", image, 12.0).any()
    np.testing.assert_array_equal(TimmRandAugment().apply("rotate", image, -3.0), image)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"magnitude": 11}, "magnitude=11"),
        ({"num_ops": -1}, "num_ops=-1"),
        ({"magnitude_std": -1}, "magnitude_std=-1"),
        ({"probability": 2}, "probability=2"),
    ],
)
def test_bad_arguments_of_timm(arguments, message):
    with pytest.raises(ValueError, match=message):
        TimmRandAugment(**arguments)
    with pytest.raises(ValueError, match="operation='cutout'"):
        TimmRandAugment().apply("cutout", np.zeros((4, 4, 3), "uint8"), 9)
