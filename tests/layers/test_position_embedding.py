import numpy as np
import pytest
import volo_golden
from harness import check_layer, close, disturb_weights, noise, to_numpy

from keras_imaging.layers import PositionEmbedding2D
from keras_imaging.layers.position_embedding import resize_position_embedding
from keras_imaging.ops.resize import axis_taps


def test_harness():
    # The sides must be known, so there is none without.
    check_layer(PositionEmbedding2D, {"grid": (2, 3)}, noise(2, 4, 5, 4), dynamic=False, edge=True)


@pytest.mark.parametrize("sizes", ["4x4_7x7", "14x14_24x24"])
def test_goldens_of_resizing(sizes):
    arrays = volo_golden.load("pos_embed_resize")
    embedding, expected = arrays[f"in_{sizes}"], arrays[f"out_{sizes}"]
    resized = resize_position_embedding(embedding, expected.shape[1:3])
    assert resized.dtype == embedding.dtype
    close(resized, expected, 2e-6)
    layer = PositionEmbedding2D(grid=embedding.shape[1:3])
    x = noise(2, *expected.shape[1:])
    layer.build(x.shape)
    layer.set_weights([embedding])
    close(to_numpy(layer(x)), x + expected, 2e-6)


def test_on_its_own_grid_it_adds_its_weights():
    layer = PositionEmbedding2D()
    x = noise(2, 3, 2, 4)
    layer.build(x.shape)
    disturb_weights(layer)
    np.testing.assert_array_equal(to_numpy(layer(x)), x + layer.get_weights()[0])


def test_rows_and_columns_are_resized_each_by_itself():
    constant = np.ones((1, 3, 4, 2), "float32")
    close(resize_position_embedding(constant, (6, 2)), np.ones((1, 6, 2, 2)), 1e-6)
    rows = np.broadcast_to(np.arange(3.0)[None, :, None, None], (1, 3, 4, 1)).copy()
    resized = resize_position_embedding(rows, (6, 2))
    assert (np.ptp(resized, axis=2) < 1e-12).all()
    assert (np.diff(resized[0, :, 0, 0]) > 0).all()


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"grid=\(0, 2\)"):
        PositionEmbedding2D((0, 2))
    with pytest.raises(ValueError, match="known sides"):
        PositionEmbedding2D().build((None, None, 4, 2))
    with pytest.raises(ValueError, match="edges='wrap'"):
        axis_taps(4, 8, 2.0, "bicubic", False, edges="wrap")
