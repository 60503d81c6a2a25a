import numpy as np
import pytest
from harness import check_layer, noise, to_numpy

from keras_imaging.layers import MixToken
from keras_imaging.ops.batch_partners import PAIRINGS, batch_partners

BOXES = np.array([[1, 0, 2, 2]] * 4, "float32")


def test_harness():
    check_layer(MixToken, {"pairing": "neighbours"}, (noise(4, 5, 6, 2), BOXES))


@pytest.mark.parametrize("pairing", PAIRINGS)
def test_the_box_is_exchanged_and_twice_gives_the_batch_back(pairing):
    tokens = noise(4, 6, 5, 2)
    layer = MixToken(scale=2, pairing=pairing)
    mixed = to_numpy(layer((tokens, BOXES.astype("int32"))))
    partner = {"reverse": [3, 2, 1, 0], "neighbours": [1, 0, 3, 2]}[pairing]
    expected = tokens.copy()
    expected[:, 2:4, 0:4] = tokens[partner][:, 2:4, 0:4]
    np.testing.assert_array_equal(mixed, expected)
    np.testing.assert_array_equal(to_numpy(layer((mixed, BOXES))), tokens)
    np.testing.assert_array_equal(to_numpy(layer((tokens, 0 * BOXES))), tokens)
    everything = np.array([[0, 0, 3, 3]] * 4)
    np.testing.assert_array_equal(to_numpy(layer((tokens, everything))), tokens[partner])


def test_neighbours_stay_together_in_even_parts():
    tokens, layer = noise(4, 6, 5, 2), MixToken()
    whole = to_numpy(layer((tokens, BOXES)))
    parts = [to_numpy(layer((tokens[i : i + 2], BOXES[:2]))) for i in (0, 2)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_bad_arguments():
    with pytest.raises(ValueError, match="scale=0"):
        MixToken(scale=0)
    with pytest.raises(ValueError, match="pairing='random'"):
        MixToken(pairing="random")
    with pytest.raises(ValueError, match="pairing='random'"):
        batch_partners(noise(2, 1), "random")
    with pytest.raises(ValueError, match="Received shapes"):
        MixToken()((noise(2, 4, 4, 1), noise(2, 3)))
    for rows, pairing in ((1, "reverse"), (3, "neighbours")):
        with pytest.raises(ValueError, match=f"Received a batch of {rows}"):
            MixToken(pairing=pairing)((noise(rows, 4, 4, 1), BOXES[:rows]))
