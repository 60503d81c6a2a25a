"""The recipe of the networks that reconstruct MR images."""

import dataclasses
from typing import TYPE_CHECKING

from keras_imaging.training.recipes.recipe import Recipe

if TYPE_CHECKING:
    import keras

    from keras_imaging.data.mri import MeasuredKspaceSampler, MRISampler

SUPERVISION = ("supervised", "ssdu")


@dataclasses.dataclass
class MRIRecipe(Recipe):
    """How to train PDHG-CSnet, CP-net or PD-net: scans simulated from images, mean squared error.

    With `supervision="ssdu"` no true image is needed, and k-space as measured will do: a part of
    the samples is held out in every step, and the network is judged by how well its image explains
    those (Yaman et al., 2020).

    Args:
        preset: `"pdhg_csnet"`, `"cp_net"`, `"pd_net"`, each also with `_small`, or
            `"learned_primal_dual"`.
        num_iterations: iterations of the network; None takes the preset's.
        filters: of its convolutions; None takes the preset's.
        block_init: `"classical"` starts as the classical iteration, `"glorot"` at random; None
            takes the preset's.
        init: network to start from, see `models.load`; layers of another name or shape start anew,
            and are told.
        patch_size: side of a crop in pixels; 0 takes the images whole.
        mask: kind of mask, `"cartesian"`, `"equispaced"`, `"equispaced-fraction"`, `"poisson"` or
            `"radial"`; a new one for every scan; of several kinds, one of each at random.
        acceleration: of the masks.
        center_fraction: part of k-space around its centre that is always sampled.
        n_coils: 0 for one coil, else birdcage coils; or as many as measured scans have.
        noise: largest standard deviation of simulated noise, in parts of the image's maximum.
        supervision: `"supervised"` or `"ssdu"`.
        **fields: of `Recipe`.

    Raises:
        ValueError: if a value is out of its range.

    Example:
        >>> recipe = MRIRecipe(preset="pd_net", num_iterations=5, steps=2000)
    """

    preset: str = "pd_net"
    num_iterations: int | None = None
    filters: int | None = None
    block_init: str | None = None
    init: str | None = None
    patch_size: int = 96
    mask: tuple[str, ...] = ("cartesian",)
    acceleration: float = 4.0
    center_fraction: float = 0.08
    n_coils: int = 0
    noise: float = 0.0
    supervision: str = "supervised"
    steps: int = 20_000
    batch_size: int = 4
    final_learning_rate: float = 1e-5

    def __post_init__(self):
        super().__post_init__()
        self.mask = (self.mask,) if isinstance(self.mask, str) else tuple(self.mask)
        self._require("mask", bool(self.mask), "at least one kind")
        known = self.supervision in SUPERVISION
        self._require("supervision", known, f"one of {SUPERVISION}")
        for name in ("patch_size", "n_coils", "noise"):
            self._require(name, getattr(self, name) >= 0, "0 or more")

    def build_model(self) -> "keras.Model":
        """The network to train, with its initial weights."""
        import keras

        from keras_imaging.models import model_of_preset

        keras.utils.set_random_seed(self.seed)
        given = {name: getattr(self, name) for name in ("num_iterations", "filters", "block_init")}
        model = model_of_preset(self.preset).from_preset(
            self.preset,
            weights=None,
            dtype=self.dtype,
            multi_coil=self.n_coils > 0,
            **{name: value for name, value in given.items() if value is not None},
        )
        if self.init is not None:
            from keras_imaging.training.initial_weights import take_initial_weights

            take_initial_weights(model, self.init)
        return model

    def build_sampler(self, scans, model: "keras.Model") -> "MRISampler | MeasuredKspaceSampler":
        """Training data.

        Args:
            scans: images `(height, width)`, magnitudes or complex; or, for `"ssdu"`,
                `data.MRIScan`s with k-space.
            model: the network.
        """
        from keras_imaging.data import MeasuredKspaceSampler, MRISampler

        scans = list(scans)
        if self.supervision == "ssdu" and scans and hasattr(scans[0], "kspace"):
            slices = [(scan, k) for scan in scans for k in range(len(scan.kspace))]
            maps = None
            if self.n_coils:
                maps = [scan.maps[min(k, len(scan.maps) - 1)] for scan, k in slices]
            return MeasuredKspaceSampler(
                [scan.kspace[k] for scan, k in slices],
                [scan.mask[min(k, len(scan.mask) - 1)] for scan, k in slices],
                maps,
                self.batch_size,
                seed=self.seed,
            )
        return MRISampler(
            scans,
            self.patch_size or None,
            self.batch_size,
            self.mask,
            self.acceleration,
            self.center_fraction,
            self.n_coils,
            self.noise,
            self.supervision,
            self.seed,
        )

    def compile_arguments(self) -> dict:
        """Mean squared error of both parts of the complex numbers, or that of held-out samples."""
        return {"loss": "mse" if self.supervision == "supervised" else held_out_error}


def held_out_error(target, image):
    """How badly an image explains samples that it was not made from, of each scan.

    ||r|| / ||f|| + ||r||_1 / ||f||_1, r = A x - f on the samples held out

    Args:
        target: f, its mask, and with coils the maps, side by side as `data.MRISampler` gives them.
        image: x, `(batch, height, width, 2)`.

    Reference:
        Yaman et al., Self-supervised learning of physics-guided reconstruction neural networks
        without fully sampled reference data (2020), equation 9.
    """
    import keras
    from keras import ops

    from keras_imaging.operators import sense_operator

    f, held = target[..., :2], target[..., 2]
    maps = target[..., 3:5] if len(target.shape) == 5 else None
    mask = held if maps is None else held[:, 0]
    dtype = keras.backend.standardize_dtype(image.dtype)
    A = sense_operator(mask, maps, dtype=dtype)
    lengths = []
    for values in (A(image) - f, f):
        energy = ops.sum(ops.square(values), axis=-1)
        # No root at zero: its slope is infinite.
        sizes = ops.sqrt(energy + 1e-24)
        axes = tuple(range(1, len(sizes.shape)))
        lengths.append((ops.sqrt(ops.sum(energy, axes) + 1e-24), ops.sum(sizes, axes)))
    (r2, r1), (f2, f1) = lengths
    return r2 / f2 + r1 / f1
