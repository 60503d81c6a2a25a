"""PNG and JPEG files inside a TensorFlow graph."""

from collections.abc import Callable

import tensorflow as tf

PICTURE = tf.TensorSpec((), tf.string)

# An EXIF block begins within this many bytes of a file where it is looked for.
_HEAD = 1 << 17
_ENTRIES = 64
_ORIENTATION = 0x0112


def decode(file: tf.Tensor, max_pixels: int) -> tuple[tf.Tensor, tf.Tensor]:
    """A picture file as its eye sees it: 8 and 16 bits, turned as its EXIF orientation says.

    Args:
        file: the bytes of a PNG or JPEG file.
        max_pixels: larger pictures are refused by their header.

    Returns:
        uint16 `(height, width, channels)`, 65535 the brightest; grey, grey with alpha, RGB or
        RGBA; and the largest value of the file's own depth, 255 or 65535.
    """
    is_jpeg = tf.io.is_jpeg(file)
    head = tf.cast(tf.io.decode_raw(tf.strings.substr(file, 0, _HEAD), "uint8"), "int32")
    head = tf.pad(head, [[0, 32]])
    check = tf.debugging.assert_less_equal(
        tf.cond(is_jpeg, lambda: _jpeg_pixels(file), lambda: _png_pixels(head)),
        tf.constant(float(max_pixels)),
        f"expected a picture of at most {max_pixels} pixels",
    )
    with tf.control_dependencies([check]):
        file = tf.identity(file)
    picture = tf.cond(
        is_jpeg,
        lambda: _decode_jpeg(file),
        lambda: _decode_png(file, head),
    )
    levels = tf.where(tf.logical_and(~is_jpeg, head[24] == 16), 65535.0, 255.0)
    return _upright(picture, _orientation(head)), levels


def as_bytes(picture: tf.Tensor, levels: tf.Tensor) -> tf.Tensor:
    """A float picture as the bytes of its levels, one or two for each value.

    In one graph for both depths, so that pictures of 8 bits take no more memory than theirs.

    Args:
        picture: `(height, width, channels)`; what is not in 0..1 is clipped.
        levels: 255 or 65535.
    """
    values = tf.floor(tf.clip_by_value(picture, 0.0, 1.0) * levels + 0.5)

    def two():
        parts = tf.bitcast(tf.cast(values, "uint16"), "uint8")
        height, width, channels, _ = tf.unstack(tf.shape(parts))
        return any_channels(tf.reshape(parts, (height, width, 2 * channels)))

    return tf.cond(levels > 255, two, lambda: any_channels(tf.cast(values, "uint8")))


def encode_png(picture: tf.Tensor, levels: tf.Tensor) -> tf.Tensor:
    """A PNG file of 8 or 16 bits.

    Args:
        picture: see `as_bytes`.
        levels: 255 or 65535.
    """

    def two():
        height, width, channels = tf.unstack(tf.shape(picture))
        parts = tf.reshape(picture, (height, width, channels // 2, 2))
        return tf.io.encode_png(tf.bitcast(parts, "uint16"))

    return tf.cond(levels > 255, two, lambda: tf.io.encode_png(picture))


def unit(picture: tf.Tensor) -> tf.Tensor:
    """A decoded picture as float32 in 0..1."""
    return tf.cast(picture, "float32") / 65535.0


def rgb(picture: tf.Tensor) -> tf.Tensor:
    """A decoded picture as uint8 RGB, without alpha; 16 bits are rounded to 8."""
    picture = tf.cast((tf.cast(picture, "int32") + 128) // 257, "uint8")
    picture = tf.cond(
        tf.shape(picture)[-1] >= 3,
        lambda: any_channels(picture[..., :3]),
        lambda: any_channels(tf.repeat(picture[..., :1], 3, axis=-1)),
    )
    return tf.ensure_shape(picture, (None, None, 3))


def of_files(function: Callable[[tf.Tensor], tf.Tensor]) -> Callable:
    """A function from one file to another as one from a batch of files to a batch of files."""

    def of_batch(image_bytes):
        # One by one: pictures of a batch differ in size.
        files = tf.map_fn(function, image_bytes, parallel_iterations=1, fn_output_signature=PICTURE)
        return {"image_bytes": files}

    return of_batch


def any_channels(image: tf.Tensor) -> tf.Tensor:
    """A picture whose number of channels is known when it is run."""
    return tf.ensure_shape(image, (None, None, None))


def _jpeg_pixels(file):
    return tf.reduce_prod(tf.cast(tf.io.extract_jpeg_shape(file)[:2], "float32"))


def _png_pixels(head):
    sides = tf.cast(tf.reshape(head[16:24], (2, 4)), "float32")
    return tf.reduce_prod(tf.linalg.matvec(sides, [16777216.0, 65536.0, 256.0, 1.0]))


def _decode_jpeg(file):
    # INTEGER_ACCURATE is what libjpeg, and so everybody else, does. CMYK is asked for as RGB.
    def decoded(channels):
        picture = tf.io.decode_jpeg(file, channels=channels, dct_method="INTEGER_ACCURATE")
        return any_channels(tf.cast(picture, "uint16") * 257)

    is_grey = tf.equal(tf.io.extract_jpeg_shape(file)[-1], 1)
    return tf.cond(is_grey, lambda: decoded(1), lambda: decoded(3))


def _decode_png(file, head):
    # Alpha of a transparent colour is made only where it is asked for; of palettes always.
    named, place = _find(head, b"tRNS")
    _, pixels = _find(head, b"IDAT")
    is_plain = (head[25] == 0) | (head[25] == 2)

    def decoded(channels):
        return any_channels(tf.io.decode_png(file, channels=channels, dtype="uint16"))

    return tf.cond(named & (place < pixels) & is_plain, lambda: decoded(4), lambda: decoded(0))


def _orientation(head):
    """EXIF orientation, 1 to 8, of the first bytes of a file; 1 where it says none."""
    found_jpeg, jpeg = _find(head, b"Exif\0\0")
    found_png, png = _find(head, b"eXIf")
    start = tf.where(found_jpeg, jpeg, png)
    tiff = tf.concat([head[start:], tf.zeros(12 * _ENTRIES + 32, "int32")], 0)
    little = tiff[0] == ord("I")

    def number(at, count):
        """Integers of `count` bytes at `at`, in the byte order of the block."""
        at = tf.minimum(at, tf.shape(tiff)[0] - count)
        parts = tf.gather(tiff, at[..., None] + tf.range(count))
        parts = tf.where(little, parts, tf.reverse(parts, [-1]))
        return tf.reduce_sum(parts * 256 ** tf.range(count), -1)

    directory = tf.clip_by_value(number(tf.constant(4), 4), 0, tf.shape(tiff)[0])
    entries = directory + 2 + 12 * tf.range(_ENTRIES)
    is_it = tf.logical_and(
        tf.range(_ENTRIES) < number(directory, 2), number(entries, 2) == _ORIENTATION
    )
    value = tf.reduce_max(tf.where(is_it, number(entries + 8, 2), 0))
    known = tf.logical_and(found_jpeg | found_png, (value >= 1) & (value <= 8))
    return tf.where(known, value, 1)


def _find(head, pattern):
    """Whether the bytes stand in `head`, and where they end."""
    count = tf.shape(head)[0] - len(pattern)
    equal = tf.reduce_all([head[k : count + k] == value for k, value in enumerate(pattern)], axis=0)
    place = tf.argmax(tf.cast(equal, "int32"), output_type="int32")
    return tf.reduce_any(equal), place + len(pattern)


def _upright(picture, orientation):
    picture = tf.cond(orientation >= 5, lambda: tf.transpose(picture, (1, 0, 2)), lambda: picture)
    # After the transposition: which axes are to be turned round.
    rows = tf.reduce_any(orientation == [3, 4, 7, 8])
    columns = tf.reduce_any(orientation == [2, 3, 6, 7])
    picture = tf.cond(rows, lambda: picture[::-1], lambda: picture)
    return tf.cond(columns, lambda: picture[:, ::-1], lambda: picture)
