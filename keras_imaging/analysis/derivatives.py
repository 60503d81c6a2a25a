"""Products with a Jacobian, by the automatic differentiation of the backend.

Keras has no function for it: this is the one file of the core that imports a backend.
"""

from collections.abc import Callable

import keras

from keras_imaging.typing import Tensor


def jacobian_products(
    function: Callable[[Tensor], Tensor],
) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """J d and J^T J d of a function, as a compiled function of the place x and the direction d.

    Args:
        function: of one tensor, to one tensor; it must compile.
    """
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        def products(x, direction):
            _, image = jax.jvp(function, (x,), (direction,))
            _, pull = jax.vjp(function, x)
            return image, pull(image)[0]

        return jax.jit(products)
    if backend == "tensorflow":
        import tensorflow as tf

        @tf.function
        def products(x, direction):
            forward = tf.autodiff.ForwardAccumulator(x, direction)
            with forward, tf.GradientTape() as tape:
                tape.watch(x)
                y = function(x)
            zero = tf.UnconnectedGradients.ZERO
            image = forward.jvp(y, zero)
            return image, tape.gradient(y, x, image, zero)

        return products

    import torch

    def products(x, direction):
        _, image = torch.autograd.functional.jvp(function, x, direction)
        _, back = torch.autograd.functional.vjp(function, x, image)
        return image, back

    return products
