"""The recipe of FFC-ResNet."""

import dataclasses

from keras_imaging.training.recipes.classification import ClassificationRecipe


@dataclasses.dataclass
class FFCResNetRecipe(ClassificationRecipe):
    """How to train FFC-ResNet.

    The defaults are close to the published protocol for ImageNet: 90 epochs of batches of 256 at
    0.1, five of them warm-up, neither averaging nor clipping. Local Fourier units are on here, off
    in the published script, and the cosine begins after the warm-up, not with it. For another batch
    size scale the rate with it. For CIFAR: stem="small", image_size=32, crop="padded",
    batch_size=128.

    Args:
        ratio: part of the channels that is global, 0..1; 0 gives an ordinary ResNet.
        use_lfu: whether there are local Fourier units.
        use_se: channel attention at the end of each block.
        width: channels of the stem; 64 is the published one.
        stem: `"imagenet"` or `"small"` (for pictures of 32 to 64 pixels).
        zero_init_residual: start with the last normalization of each block at 0.
        **fields: of `ClassificationRecipe` and `Recipe`.

    Raises:
        ValueError: if a value is out of its range.

    Example:
        >>> recipe = FFCResNetRecipe(preset="ffc_resnet18", classes=10, stem="small",
        ...     image_size=32, crop="padded", batch_size=128, steps=20_000)

    Reference:
        Chi, Jiang, Mu, "Fast Fourier Convolution", NeurIPS 2020, and its code.
    """

    preset: str = "ffc_resnet50"
    ratio: float = 0.5
    use_lfu: bool = True
    use_se: bool = False
    width: int = 64
    stem: str = "imagenet"
    zero_init_residual: bool = False

    def __post_init__(self):
        super().__post_init__()
        self._require("ratio", 0 <= self.ratio <= 1, "in 0..1")

    def network_arguments(self) -> dict:
        """Those of `FFCResNet`."""
        return {
            "ratio": self.ratio,
            "use_lfu": self.use_lfu,
            "use_se": self.use_se,
            "width": self.width,
            "stem": self.stem,
            "zero_init_residual": self.zero_init_residual,
        }
