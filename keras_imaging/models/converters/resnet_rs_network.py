"""Which ResNet-RS a file of other people's weights is of."""

import keras


def check_same_network(model: keras.Model, theirs: dict) -> None:
    """Raise ValueError, naming both, unless weights of `theirs` fit a `ResNetRS`.

    Args:
        model: a `ResNetRS`.
        theirs: `blocks`, `filters` and `classes` (None without a classifier) of what a file holds.
    """
    config = model.get_config()
    if config["variant"] != "rs" or config["stem_downsample"] != "conv":
        raise ValueError(
            "Networks of timm and tf_keras are of variant='rs' with stem_downsample='conv'. "
            f"Received: variant={config['variant']!r}, "
            f"stem_downsample={config['stem_downsample']!r}"
        )
    stages = range(1, len(model.blocks) + 1)
    mine = {
        "blocks": list(model.blocks),
        "filters": [model.get_layer(f"stage{stage}_block1_conv2").filters for stage in stages],
        "classes": config["classes"] if config["include_top"] else None,
    }
    different = [name for name in mine if mine[name] != theirs[name]]
    if different:
        expected, received = (
            ", ".join(f"{name}={of[name]}" for name in different) for of in (mine, theirs)
        )
        raise ValueError(
            f"Expected weights of a network with {expected}. Received those of one with {received}."
        )
