"""The adversarial stage of LaMa: a generator against a discriminator of patches."""

import keras
import tensorflow as tf
from keras import ops

from keras_imaging.models.inpainting_training import InpaintingLoss, InpaintingModel


class AdversarialInpainting(InpaintingModel):
    """An inpainting model whose training step also trains a discriminator, on TensorFlow.

    The generator minimises its `InpaintingLoss`, adversarial_weight mean(softplus(-D(G))) and
    feature_matching_weight times the mean squared distance of the discriminator's features. The
    discriminator minimises mean(softplus(-D(y))) + mean(softplus(D(G))) + r1 ||dD(y)/dy||^2;
    patches of the proposal that lie outside the holes count as real to it.

    Both losses are of the generator's whole proposal, not of the finished picture. One optimizer
    moves the generator (that of `compile`), another one the discriminator.

    Args:
        generator: such as `LaMaGenerator`.
        discriminator: such as `PatchDiscriminator`: its outputs are the judgements, then features.
        discriminator_optimizer: a Keras optimizer.
        loss: as `InpaintingModel`; None for the published one, which weighs known pixels alone.
        adversarial_weight, feature_matching_weight: 0 or more.
        r1: coefficient of the gradient penalty, 0 or more.
        mask_as_fake_target: known patches of a proposal count as real; False makes all fake.
        name: name of the model.

    Input shape:
        as `InpaintingModel`.
    Output shape:
        as `InpaintingModel`.
    Raises:
        ValueError: if a weight is negative, or on another backend than TensorFlow.
    Example:
        >>> generator, opponent = LaMaGenerator(width=8), PatchDiscriminator(8)
        >>> model = AdversarialInpainting(generator, opponent, keras.optimizers.Adam(1e-4))
        >>> model.compile(keras.optimizers.Adam(1e-3))
    Reference:
        Suvorov et al., "Resolution-robust Large Mask Inpainting with Fourier Convolutions", WACV
        2022, equations 2 to 6.
    """

    def __init__(
        self,
        generator: keras.Model,
        discriminator: keras.Model,
        discriminator_optimizer: keras.optimizers.Optimizer,
        loss: InpaintingLoss | None = None,
        adversarial_weight: float = 10.0,
        feature_matching_weight: float = 100.0,
        r1: float = 0.001,
        mask_as_fake_target: bool = True,
        name: str | None = None,
    ):
        if keras.backend.backend() != "tensorflow":
            raise ValueError(
                "The adversarial stage of inpainting needs the TensorFlow backend. Received: "
                f"{keras.backend.backend()!r}; InpaintingModel trains on every backend."
            )
        for argument, value in (
            ("adversarial_weight", adversarial_weight),
            ("feature_matching_weight", feature_matching_weight),
            ("r1", r1),
        ):
            if value < 0:
                raise ValueError(f"`{argument}` must be 0 or more. Received: {argument}={value}")
        super().__init__(generator, loss or InpaintingLoss(10.0, 0.0), name=name)
        # Behind an object that Keras does not look into: the trainable variables of this model are
        # the generator's alone, those that its optimizer moves.
        self._opponent = _Opponent(discriminator, discriminator_optimizer)
        discriminator_optimizer.build(discriminator.trainable_variables)
        self.adversarial_weight = adversarial_weight
        self.feature_matching_weight = feature_matching_weight
        self.r1 = r1
        self.mask_as_fake_target = mask_as_fake_target
        self._trackers = {
            key: keras.metrics.Mean(name=key)
            for key in ("loss", "reconstruction", "adversarial", "features", "discriminator")
        }

    @property
    def discriminator(self) -> keras.Model:
        """The opponent."""
        return self._opponent.model

    def get_config(self):
        # Opponents and their optimizer's state have no place in Keras' files; checkpoints of a run
        # hold them.
        raise ValueError(
            "AdversarialInpainting cannot be saved as a whole: save its `.generator`, and train "
            "with keras_imaging.training.train, whose checkpoints continue with the discriminator."
        )

    @property
    def variables(self):
        """All that a checkpoint must hold: also the discriminator and its optimizer's state."""
        opponent = self._opponent
        return [*super().variables, *opponent.model.variables, *opponent.optimizer.variables]

    @property
    def metrics(self):
        return list(self._trackers.values())

    def train_step(self, data):
        inputs, pictures = data
        mask = inputs[..., -1:]
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        with tf.GradientTape() as tape:
            proposals = self(inputs, training=True)
            parts = self._generator_losses(inputs, pictures, proposals)
            # Every replica's mean counts for its part of the batch.
            loss = ops.sum(ops.stack(list(parts.values()))) / replicas
        gradients = tape.gradient(loss, self.trainable_variables)
        judge = self.discriminator
        with tf.GradientTape() as tape:
            judgement = self._discriminator_loss(pictures, tf.stop_gradient(proposals), mask)
            share = judgement / replicas
        judge_gradients = tape.gradient(share, judge.trainable_variables)

        if statistics := getattr(self, "statistics_average", None):
            statistics.move()
        self.optimizer.apply(gradients, self.trainable_variables)
        self._opponent.optimizer.apply(judge_gradients, judge.trainable_variables)
        self._trackers["loss"].update_state(loss * replicas)
        self._trackers["discriminator"].update_state(judgement)
        for key, value in parts.items():
            self._trackers[key].update_state(value)
        return self.get_metrics_result()

    def test_step(self, data):
        inputs, pictures = data
        proposals = self(inputs, training=False)
        loss = self.compute_loss(inputs, pictures, proposals, training=False)
        self._trackers["loss"].update_state(loss)
        return {"loss": self._trackers["loss"].result()}

    def _generator_losses(self, inputs, pictures, proposals):
        judgements, *features = self.discriminator(proposals, training=True)
        _, *targets = self.discriminator(pictures, training=True)
        truth = ops.concatenate([pictures, inputs[..., -1:]], axis=-1)
        distances = [
            ops.mean(ops.square(feature - tf.stop_gradient(target)))
            for feature, target in zip(features, targets, strict=True)
        ]
        return {
            "reconstruction": ops.mean(self.inpainting_loss.call(truth, proposals)),
            "adversarial": self.adversarial_weight * ops.mean(ops.softplus(-judgements)),
            "features": self.feature_matching_weight * ops.mean(ops.stack(distances)),
        }

    def _discriminator_loss(self, pictures, proposals, mask):
        with tf.GradientTape() as tape:
            tape.watch(pictures)
            real, *_ = self.discriminator(pictures, training=True)
            total = ops.sum(real)
        slope = tape.gradient(total, pictures)
        penalty = self.r1 * ops.mean(ops.sum(ops.square(slope), axis=(1, 2, 3)))
        fake, *_ = self.discriminator(proposals, training=True)
        against = ops.softplus(fake)
        if self.mask_as_fake_target:
            missing = ops.image.resize(mask, ops.shape(fake)[1:3], interpolation="nearest")
            against = missing * against + (1 - missing) * ops.softplus(-fake)
        return ops.mean(ops.softplus(-real)) + ops.mean(against) + penalty


class _Opponent:
    def __init__(self, model, optimizer):
        self.model = model
        self.optimizer = optimizer
