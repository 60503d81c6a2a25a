import keras
import numpy as np
import pytest
from harness import to_numpy

from keras_imaging.layers.message_layout import LocalMessage, message_places
from keras_imaging.layers.support import support_prior


def layout_of(*args):
    bits, grid, channels, _ = args
    layout = np.zeros((bits, grid, grid, channels))
    for bit, row, column, first, width in message_places(*args):
        layout[bit, row, column, first : first + width] += 1
    return layout


@pytest.mark.parametrize(("bits", "grid"), [(8, 2), (64, 8), (64, 16), (100, 4), (1, 2)])
def test_every_bit_has_places_of_its_own(bits, grid):
    layout = layout_of(bits, grid, 16, "face")
    sizes = layout.sum(axis=(1, 2, 3))
    assert sizes.min() == sizes.max() > 0
    assert layout.sum(axis=0).max() == 1


def test_more_bits_than_channels_share_them():
    layout = layout_of(100, 2, 16, "face")
    assert layout.sum(axis=(1, 2, 3)).min() == 1
    assert layout.sum(axis=0).max() == 2


def test_places_are_in_the_face():
    used = layout_of(64, 16, 16, "face").max(axis=(0, -1)) > 0
    prior = support_prior(256, 256)[0, ..., 0].reshape(16, 16, 16, 16).mean(axis=(1, 3))
    assert prior[used].min() > prior[~used].max()
    assert (layout_of(64, 8, 16, "full").max(axis=(0, -1)) > 0).all()


def test_reading_is_writing_reversed():
    write = to_numpy(LocalMessage(16, seed=1)((8, 64)))
    read = to_numpy(LocalMessage(16, reading=True, seed=2)((64, 8)))
    # What was written for a bit is read as this bit, whatever the others are.
    strength = (write * np.resize([1, -1], 64)) @ read
    np.testing.assert_array_less(np.abs(strength - np.diag(np.diag(strength))).max(), 0.3)
    assert np.diag(strength).min() > 0.9


def test_serialization():
    one = LocalMessage(16, "full", reading=True, seed=3)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(one))
    np.testing.assert_array_equal(to_numpy(one((64, 8))), to_numpy(again((64, 8))))
