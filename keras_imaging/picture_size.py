"""How sizes of pictures are said."""


def size_text(height: int | None, width: int | None) -> str:
    """Width and height in words, in this order everywhere: arrays have the other one.

    Args:
        height: in pixels, the first side of an array; None if it is free.
        width: in pixels, the second.

    Example:
        >>> size_text(*np.zeros((40, 50, 3)).shape[:2])
        '50 x 40 pixels (width x height)'
    """
    width, height = ("any" if side is None else side for side in (width, height))
    return f"{width} x {height} pixels (width x height)"
