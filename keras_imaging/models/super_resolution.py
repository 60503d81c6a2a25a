"""Checks and parts that the super-resolution networks share."""


def check_arguments(scale, scales, channels, input_shape) -> tuple:
    """Validate what every super-resolution model takes; return the full input shape."""
    if scale not in scales:
        raise ValueError(f"`scale` must be one of {scales}. Received: scale={scale}")
    if channels < 1:
        raise ValueError(f"`channels` must be at least 1. Received: channels={channels}")
    shape = (None, None, channels) if input_shape is None else tuple(input_shape)
    if len(shape) != 3 or shape[-1] != channels:
        raise ValueError(
            f"`input_shape` must be (height, width, {channels}) to agree with channels={channels}. "
            f"Received: input_shape={input_shape}"
        )
    return shape
