"""Products with a Jacobian, by the automatic differentiation of the backend.

Keras has no function for it: this is the one file of the core that imports a backend.
"""

from collections.abc import Callable

import keras

from keras_imaging.typing import Tensor


def jacobian_products(
    function: Callable[[Tensor], Tensor], x: Tensor, direction: Tensor
) -> tuple[Tensor, Tensor]:
    """J d and J^T J d of a function at x.

    Args:
        function: of one tensor, to one tensor.
        x: where.
        direction: d, of the shape of x.
    """
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        y, image = jax.jvp(function, (x,), (direction,))
        _, pull = jax.vjp(function, x)
        (back,) = pull(image.astype(y.dtype))
        return image, back
    if backend == "tensorflow":
        import tensorflow as tf

        # Twice backward: every operation has a gradient, few a forward derivative.
        with tf.GradientTape() as outer:
            dummy = None
            with tf.GradientTape(persistent=True) as tape:
                tape.watch(x)
                y = function(x)
            dummy = tf.zeros_like(y)
            outer.watch(dummy)
            with tf.GradientTape() as inner:
                inner.watch(x)
                value = function(x)
            pulled = inner.gradient(value, x, output_gradients=dummy)
        image = outer.gradient(pulled, dummy, output_gradients=direction)
        return image, tape.gradient(y, x, output_gradients=image)
    import torch

    _, image = torch.autograd.functional.jvp(function, x, direction)
    _, back = torch.autograd.functional.vjp(function, x, image)
    return image, back
