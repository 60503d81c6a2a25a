"""Checkpoints say what they hold and what they were trained on; what does not fit is refused."""

import json
import shutil

import keras
import numpy as np
import pytest
import tiny

from keras_imaging.data.images import write_image
from keras_imaging.data.picture_source import PictureFolder
from keras_imaging.training import checkpoint, train
from keras_imaging.training.fingerprint import observed
from keras_imaging.training.run import Run
from keras_imaging.training.runner import compiled

pytestmark = pytest.mark.tensorflow


@pytest.fixture
def stopped(tmp_path, reference):
    """Folder of a run that lost what came after step 8."""
    out = tmp_path / "run"
    shutil.copytree(reference.out, out)
    (out / "checkpoint-00000010.npz").unlink()
    return out


def fingerprint_of(data):
    data, fingerprint = observed(data)
    if not isinstance(data, np.ndarray | dict):
        list(data)
    return fingerprint()


def test_fingerprints(tmp_path):
    images = tiny.images()
    first = fingerprint_of(images)
    assert (first["count"], first["size"]) == (3, 3 * 40 * 48)
    assert fingerprint_of(iter(images)) == first
    changed = [images[0], images[1] ^ 1, images[2]]
    others = [images[:2], images[::-1], changed, [(image, 0) for image in images]]
    prints = [first, *map(fingerprint_of, others)]
    assert len({one["digest"] for one in prints}) == 5
    both = fingerprint_of({"a": images[0], "b": images[1]})
    assert both["count"] == 2 and both != fingerprint_of({"a": images[1], "b": images[0]})
    for k, image in enumerate(images):
        write_image(tmp_path / f"{k}.png", image)
    files = fingerprint_of(PictureFolder(tmp_path))
    # The content of files tells them, not when they were written or what they are called.
    (tmp_path / "0.png").rename(tmp_path / "00.png")
    assert fingerprint_of(PictureFolder(tmp_path)) == files
    write_image(tmp_path / "2.png", images[1])
    assert fingerprint_of(PictureFolder(tmp_path)) != files


def test_other_data_are_refused_or_told(stopped):
    others = tiny.images()[:2]
    with pytest.raises(ValueError, match=r"squares \(3 items.*Received: .*\(2 items.*--accept-new"):
        train(tiny.recipe(), others, stopped, strategy="one", data_name="two")
    result = train(
        tiny.recipe(), others, stopped, strategy="one", data_name="two", accept_new_data=True
    )
    assert result.card["data"] == "squares, then two"
    places = [
        (one["name"], one["count"], one["from_step"]) for one in result.card["data_fingerprints"]
    ]
    assert places == [("squares", 3, 0), ("two", 2, 8)]


def test_a_run_from_before_there_were_names_goes_on(tmp_path, stopped, reference):
    arrays, state = checkpoint.read(stopped)
    tiny.write_old_checkpoint(tmp_path / "old", list(arrays.values()), state)
    result = train(tiny.recipe(), tiny.images(), tmp_path / "old", strategy="one")
    for ours, theirs in zip(result.model.get_weights(), reference.model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-7)
    assert result.card["data_fingerprints"][0]["from_step"] == 8


def test_names_types_and_versions_are_stored(stopped):
    arrays, state = checkpoint.read(stopped)
    assert "head1/kernel" in arrays and any("adam" in name for name in arrays)
    assert {"keras", "keras_imaging", "tensorflow"} <= set(state["versions"])
    assert state["arrays"]["head1/kernel"][:2] == ["float32", list(arrays["head1/kernel"].shape)]


def test_names_that_keras_makes_up_differ_from_process_to_process(tmp_path):
    def compiled_network():
        inputs = keras.Input((3,))
        outputs = keras.layers.Dense(3)(keras.layers.Dense(3)(inputs))
        model = keras.Model(inputs, outputs)
        model.compile("adam", "mse")
        model.optimizer.build(model.trainable_variables)
        return [*model.variables, *model.optimizer.variables]

    first, second = compiled_network(), compiled_network()
    assert [one.path for one in first] != [one.path for one in second]
    assert checkpoint.variable_names(first) == checkpoint.variable_names(second)
    for number, variable in enumerate(first):
        variable.assign(np.full(variable.shape, number))
    checkpoint.write(tmp_path, 1, first, {})
    checkpoint.restore(second, *checkpoint.read(tmp_path), tmp_path)
    for number, variable in enumerate(second):
        assert (keras.ops.convert_to_numpy(variable) == number).all()


def exchange(arrays, state):
    first, second = [n for n, a in arrays.items() if a.shape == (8,)][:2]
    arrays[first], arrays[second] = arrays[second], arrays[first] + 1


def half(arrays, state):
    arrays["head1/kernel"] = arrays["head1/kernel"].astype("float16")


def not_finite(arrays, state):
    arrays["head1/kernel"][:] = np.nan
    state["arrays"]["head1/kernel"] = checkpoint._described(arrays["head1/kernel"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (exchange, "are not those that were written"),
        (half, "head1/kernel is float16 .* expected float32"),
        (not_finite, "is damaged: head1/kernel is not finite"),
        (lambda arrays, state: arrays.pop("head1/kernel"), "it lacks head1/kernel"),
        (lambda arrays, state: arrays.update(more=np.zeros(2)), "it has the unknown more"),
        (lambda arrays, state: state.pop("step"), "is damaged: it lacks step"),
        (lambda arrays, state: state.update(format=9), "in a format that .* does not know"),
        (lambda arrays, state: state["recipe"].update(magic=3), "with magic, which this recipe"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(stopped, change, message):
    arrays, state = checkpoint.read(stopped)
    change(arrays, state)
    text = np.frombuffer(json.dumps(state).encode(), "uint8")
    np.savez(stopped / "checkpoint-00000009.npz", state=text, **arrays)
    recipe = tiny.recipe()
    with pytest.raises(ValueError, match=message) as caught:
        Run(recipe, compiled(recipe), stopped).resume()
    assert "\n" not in str(caught.value)


def test_a_complete_run_goes_on_to_more_steps(tmp_path, reference, capsys):
    out = tmp_path / "run"
    shutil.copytree(reference.out, out)
    result = train(tiny.recipe(steps=14), tiny.images(), out, strategy="one")
    said = capsys.readouterr().err
    assert "complete with 10 steps and goes on to 14" in said
    assert "had come down to 1e-06" in said
    assert tiny.steps(out) == [4, 8, 10, 12, 14]
    assert result.card["recipe"]["steps"] == 14
    assert result.history[-2]["learning_rate"] > result.history[2]["learning_rate"]
    assert result.history[-1]["learning_rate"] == pytest.approx(1e-6)
    with pytest.raises(ValueError, match="holds a run with steps=14"):
        train(tiny.recipe(steps=12), tiny.images(), out, strategy="one")
