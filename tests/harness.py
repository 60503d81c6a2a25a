"""The examination that every public layer and model passes.

`check_layer` and `check_model` take a class, its arguments and a small input, and look at shapes,
configuration, saving, gradients, XLA, mixed precision and, where asked, the edge file. Inputs are
arrays, or lists, pairs or dictionaries of them; outputs are what they are. `check_fitting` is for
models that exist to be fitted. `test_harness.py` names what no test examines.
"""

import inspect
import json
import pathlib
import tempfile
from collections.abc import Callable

import keras
import numpy as np

BACKEND = keras.backend.backend()


def noise(*shape: int, low: float = -1.0, high: float = 1.0) -> np.ndarray:
    """Reproducible float32 input."""
    return np.random.default_rng(0).uniform(low, high, shape).astype("float32")


def check_layer(
    layer_class: type[keras.layers.Layer],
    arguments: dict | Callable[[str], dict],
    inputs,
    dynamic: bool = True,
    edge: bool = False,
    mixed_tolerance: float = 0.03,
    smooth: bool = True,
):
    """Examine a layer; Keras' own layer test is a part.

    Args:
        layer_class: the class.
        arguments: of its constructor; a function of the dtype policy where layers are among them.
            A layer that draws random numbers needs its seed.
        inputs: of its call: arrays, `(batch, height, width, channels)` where `dynamic` or `edge`.
        dynamic: the layer works on any, also unknown, sides of a picture or volume.
        edge: the layer converts to LiteRT with builtin operators; for one input.
        mixed_tolerance: largest error under mixed_bfloat16, as a part of the largest output.
        smooth: the gradient is the slope; False where another is passed on purpose.
    """
    given = arguments if callable(arguments) else lambda dtype: arguments
    layer = layer_class(**given("float32"))
    layer(inputs)
    state = state_of(layer)
    output = answer(layer, inputs, state)
    promised = layer.compute_output_shape(_map(lambda x: tuple(x.shape), inputs))
    assert _flat_shapes(promised) == [x.shape for x in output], "compute_output_shape differs"

    config = layer.get_config()
    _check_config_is_complete(layer_class, config)
    copy = layer_class.from_config(config)
    assert copy.get_config() == config
    copy(inputs)
    copy.set_weights(layer.get_weights())
    _equal(answer(copy, inputs, state), output)
    if not isinstance(inputs, dict):
        # Keras' test would give a dictionary's entries to the call as keyword arguments.
        _check_as_keras_does(layer_class, given("float32"), inputs)

    def build(dtype, like):
        variable = keras.dtype_policies.get(dtype).variable_dtype
        symbolic = _map(lambda x: keras.Input(x.shape[1:], dtype=variable), like)
        return keras.Model(symbolic, layer_class(**{**given(dtype), "dtype": dtype})(symbolic))

    _examine(build, inputs, dynamic, edge, mixed_tolerance, smooth)


def check_model(
    model_class: type[keras.Model],
    arguments: dict,
    inputs,
    dynamic: bool = True,
    edge: bool = False,
    mixed_tolerance: float = 0.03,
    smooth: bool = True,
):
    """Examine a model whose constructor takes `dtype`, and `input_shape` if its size is free (that
    of the picture, where there are other inputs); see `check_layer`.
    """
    sized = "input_shape" in inspect.signature(model_class.__init__).parameters

    def build(dtype, like):
        picture = max(keras.tree.flatten(like), key=lambda x: len(x.shape))
        size = {"input_shape": tuple(picture.shape[1:])} if sized else {}
        return model_class(**{**arguments, "dtype": dtype, **size})

    model = build("float32", inputs)
    config = model.get_config()
    _check_config_is_complete(model_class, config)
    assert model_class.from_config(config).get_config() == config
    assert config["dtype"] == "float32", "a configuration names the dtype policy"
    assert model_class().count_params() > 0, "a model is built without arguments"
    _check_weights_file(model, build("float32", inputs))

    low = _examine(build, inputs, dynamic, edge, mixed_tolerance, smooth)
    assert keras.backend.standardize_dtype(low.outputs[0].dtype) == "float32"


def check_fitting(model_class: type[keras.Model], arguments: dict, batch: tuple, jit_compile: bool):
    """Examine a model that exists to be fitted: configuration, file, and a training step.

    Args:
        model_class: the class.
        arguments: of its constructor.
        batch: inputs and targets.
        jit_compile: compile the training step by XLA.
    """
    inputs, targets = batch
    model = model_class(**arguments)
    config = model.get_config()
    _check_config_is_complete(model_class, config)
    copy = model_class.from_config(config)
    assert copy.get_config() == config
    model(inputs)
    state = state_of(model)
    output = answer(model, inputs, state)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.keras"
        model.save(path)
        loaded = keras.saving.load_model(path)
    # A file has lists for tuples.
    assert json.dumps(loaded.get_config()) == json.dumps(model.get_config())
    _equal(answer(loaded, inputs, state), output)
    before = model.get_weights()
    # Large: a small gradient must move a weight of 1, too.
    model.compile(keras.optimizers.SGD(1.0), jit_compile=jit_compile)
    result = model.train_on_batch(inputs, targets, return_dict=True)
    assert np.isfinite(list(result.values())).all(), result
    trained = {v.path for v in model.trainable_variables}
    for variable, start in zip(model.weights, before, strict=True):
        value = to_numpy(variable)
        assert np.isfinite(value).all(), f"{variable.path} is not finite after a step"
        trained -= {variable.path} if np.any(value != start) else set()
    assert not trained, f"weights that a training step leaves as they are: {sorted(trained)}"


def _check_as_keras_does(layer_class, arguments, inputs):
    """Keras' own layer test; its training step is left to `_check_compiled`, which has numbers."""
    from keras.src.testing import TestCase

    TestCase("run_layer_test").run_layer_test(
        layer_class,
        arguments,
        input_data=_map(keras.ops.convert_to_tensor, inputs),
        run_training_check=False,
    )


def _examine(build, inputs, dynamic, edge, mixed_tolerance, smooth):
    model = build("float32", inputs)
    disturb_weights(model)
    state = state_of(model)
    output = answer(model, inputs, state)
    assert all(np.isfinite(x).all() for x in output)
    assert [x.shape[1:] for x in output] == [tuple(x.shape[1:]) for x in model.outputs]

    if dynamic:
        _check_any_size(model, build, inputs, state)
    _check_file(model, inputs, output, state)
    _check_gradients(model, inputs, state)
    if smooth and BACKEND == "tensorflow":
        # Elsewhere Keras takes means in float32, also of float64.
        _check_against_differences(model, build, inputs, state)
    low = _check_mixed_precision(model, build, inputs, output, state, mixed_tolerance)
    if edge and BACKEND == "tensorflow":
        _check_edge(model, build, inputs)
    # Last: it trains the model.
    _check_compiled(model, inputs, output, state)
    return low


def _check_config_is_complete(cls, config):
    for name, parameter in inspect.signature(cls.__init__).parameters.items():
        named = parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
        # The configuration describes the architecture; weights travel in files.
        if named and name not in ("self", "weights"):
            assert name in config, f"{cls.__name__}.get_config() lacks {name!r}"


def _check_any_size(model, build, inputs, state):
    """A model of unknown size against models built for each size."""
    anywhere = build("float32", _map(_of_any_size, inputs))
    anywhere.set_weights(model.get_weights())
    for output in anywhere.outputs:
        assert set(output.shape[1:-1]) <= {None}
    smaller = _map(lambda x: x[:, 1:, 2:] if len(x.shape) > 3 else x, inputs)
    fixed = build("float32", smaller)
    fixed.set_weights(model.get_weights())
    expected = answer(fixed, smaller, state)
    assert [x.shape[1:] for x in expected] == [tuple(x.shape[1:]) for x in fixed.outputs]
    close(answer(anywhere, smaller, state), expected)
    if BACKEND == "tensorflow":
        import tensorflow as tf

        # Only a graph sees sizes that are unknown while it is traced.
        signature = [_map(_unknown_size, smaller)]
        traced = tf.function(anywhere, input_signature=signature)
        restore(anywhere, state)
        close(_arrays(traced(_map(tf.constant, smaller))), expected)


def _of_any_size(array):
    pixels = len(array.shape) > 3
    shape = (None, *(None for _ in array.shape[1:-1]), array.shape[-1]) if pixels else array.shape
    return keras.KerasTensor(shape, "float32")


def _unknown_size(array):
    import tensorflow as tf

    return tf.TensorSpec((None, *_of_any_size(array).shape[1:]), array.dtype)


def _check_file(model, inputs, output, state):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.keras"
        model.save(path)
        loaded = keras.saving.load_model(path)
    assert type(loaded) is type(model)
    assert loaded.to_json() == model.to_json()
    _equal(answer(loaded, inputs, state), output)


def _check_weights_file(model, other):
    with tempfile.TemporaryDirectory() as folder:
        path = str(pathlib.Path(folder) / "model.weights.h5")
        model.save_weights(path)
        other.load_weights(path)
    _equal(other.get_weights(), model.get_weights())


def _check_gradients(model, inputs, state):
    """Every trainable weight has a finite gradient, and an influence on the output."""
    weights = model.get_weights()
    silent = {variable.path for variable in model.trainable_variables}
    for seed in range(10):
        restore(model, state)
        _, gradients, input_gradients = loss_and_gradients(model, inputs)
        for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
            assert gradient is not None, f"{variable.path} has no gradient"
            assert np.isfinite(gradient).all(), f"{variable.path}: the gradient is not finite"
            if np.any(gradient):
                silent.discard(variable.path)
        for gradient in keras.tree.flatten(input_gradients):
            assert np.isfinite(gradient).all(), "the gradient of an input is not finite"
        if not silent:
            break
        # A ReLU may be off for all of a small input: look again with other weights.
        model.set_weights(weights)
        disturb_weights(model, size=0.2, seed=seed)
    assert not silent, f"weights without influence on the output: {sorted(silent)}"
    model.set_weights(weights)


def _check_against_differences(model, build, inputs, state, step=1e-7):
    """The gradient along a random direction against a central difference in float64."""
    twin = build("float64", inputs)
    twin.set_weights(model.get_weights())
    inputs = _map(lambda x: x.astype("float64"), inputs)
    rng = np.random.default_rng(1)
    values = [to_numpy(v) for v in twin.trainable_variables]
    directions = [rng.standard_normal(v.shape) for v in values]
    input_directions = _map(lambda x: rng.standard_normal(x.shape), inputs)

    def move_to(t):
        for variable, value, direction in zip(
            twin.trainable_variables, values, directions, strict=True
        ):
            variable.assign(value + t * direction)
        moved = _map(lambda x, d: x + t * d, inputs, input_directions)
        return sum(float(np.mean(np.square(x))) for x in answer(twin, moved, state))

    difference = (move_to(step) - move_to(-step)) / (2 * step)
    move_to(0.0)
    restore(twin, state)
    _, gradients, input_gradients = loss_and_gradients(twin, inputs)
    gradients = [*gradients, *keras.tree.flatten(input_gradients)]
    directions = [*directions, *keras.tree.flatten(input_directions)]
    slope = sum(np.sum(g * d) for g, d in zip(gradients, directions, strict=True))
    np.testing.assert_allclose(slope, difference, rtol=1e-6, atol=1e-9)


def _check_mixed_precision(model, build, inputs, output, state, tolerance):
    low = build("mixed_bfloat16", inputs)
    low.set_weights(model.get_weights())
    assert {keras.backend.standardize_dtype(w.dtype) for w in low.weights} <= {"float32"}
    restore(low, state)
    results = keras.tree.flatten(low(inputs))
    for result, promised, expected in zip(results, low.outputs, output, strict=True):
        dtypes = [keras.backend.standardize_dtype(x.dtype) for x in (result, promised)]
        assert dtypes[0] == dtypes[1], f"gives {dtypes[0]} where it promises {dtypes[1]}"
        error = np.abs(to_numpy(keras.ops.cast(result, "float32")) - expected).max()
        scale = np.abs(expected).max()
        message = f"mixed_bfloat16 is off by {error:.3g}, where the largest output is {scale:.3g}"
        assert error <= tolerance * scale, message
    return low


def _check_compiled(model, inputs, output, state):
    """Prediction and one training step under XLA against the eager ones."""
    rate = 100.0  # large, so that weights move by far more than their rounding
    # torch.compile takes minutes and is not what jit_compile means elsewhere; XLA on TensorFlow
    # draws other random numbers.
    draws = any(x.dtype.kind in "iu" for x in state)
    jit_compile = BACKEND == "jax" or (BACKEND == "tensorflow" and not draws)
    model.compile(keras.optimizers.SGD(rate), loss="mse", jit_compile=jit_compile)
    restore(model, state)
    close(keras.tree.flatten(model.predict_on_batch(inputs)), output)
    if not model.trainable_variables:
        return
    # In training: normalization takes the statistics of the batch. What moves then moves back.
    restore(model, state)
    loss, gradients, _ = loss_and_gradients(model, inputs, training=True)
    moved_state = state_of(model)
    restore(model, state)
    trained = model.trainable_variables
    before = [to_numpy(v) for v in trained]
    targets = keras.tree.pack_sequence_as(model.output, [np.zeros_like(x) for x in output])
    compiled_loss = model.train_on_batch(inputs, targets, return_dict=True)["loss"]
    np.testing.assert_allclose(compiled_loss, loss, rtol=1e-4)
    largest = max(np.abs(gradient).max() for gradient in gradients)
    for variable, start, gradient in zip(trained, before, gradients, strict=True):
        # The gradient of a bias that a normalization cancels is rounding alone.
        tolerance = 1e-4 * np.abs(gradient).max() + 1e-6 * largest
        moved = (start - to_numpy(variable)) / rate
        np.testing.assert_allclose(moved, gradient, rtol=0, atol=tolerance)
    if BACKEND != "jax":
        # There the gradient is taken of a function without state.
        for compiled, eager in zip(state_of(model), moved_state, strict=True):
            np.testing.assert_allclose(compiled, eager, rtol=1e-4, atol=1e-6)


def _check_edge(model, build, inputs):
    from keras_imaging import export

    one = inputs[:1]
    fixed = build("float32", one)
    fixed.set_weights(model.get_weights())
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.tflite"
        export.to_litert(fixed, path)
        operators, result = run_litert(path, one)
    foreign = [name for name in operators if name.startswith("Flex") or name == "CUSTOM"]
    assert not foreign, f"operators that phones do not have: {foreign}"
    close(result, to_numpy(fixed(one)))


def run_litert(path: pathlib.Path, inputs: np.ndarray) -> tuple[set[str], np.ndarray]:
    """Operators of a LiteRT file, and its output for one input."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    # A delegate would stand in the list in place of the operators it takes.
    resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(model_path=str(path), experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    operators = {op["op_name"] for op in interpreter._get_ops_details()}
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], inputs)
    interpreter.invoke()
    return operators, interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def loss_and_gradients(model: keras.Model, inputs, training: bool = False):
    """Mean squares of the outputs, summed; its gradients for every trainable weight, and for the
    inputs.
    """

    def loss_of(outputs):
        return sum(keras.ops.mean(keras.ops.square(x)) for x in keras.tree.flatten(outputs))

    weights = [v.value for v in model.trainable_variables]
    if BACKEND == "tensorflow":
        import tensorflow as tf

        inputs = _map(tf.convert_to_tensor, inputs)
        sources = keras.tree.flatten(inputs)
        with tf.GradientTape() as tape:
            tape.watch(sources)
            loss = loss_of(model(inputs, training=training))
        gradients, input_gradients = tape.gradient(loss, [weights, sources])
    elif BACKEND == "jax":
        import jax

        fixed = [v.value for v in model.non_trainable_variables]

        def of_both(weights, inputs):
            return loss_of(model.stateless_call(weights, fixed, inputs, training=training)[0])

        function = jax.jit(jax.value_and_grad(of_both, argnums=(0, 1)))
        loss, (gradients, input_gradients) = function(
            weights, _map(keras.ops.convert_to_tensor, inputs)
        )
        input_gradients = keras.tree.flatten(input_gradients)
    else:
        inputs = _map(lambda x: keras.ops.convert_to_tensor(x).requires_grad_(), inputs)
        model.zero_grad()
        loss = loss_of(model(inputs, training=training))
        loss.backward()
        loss = loss.detach()
        gradients = [v.grad for v in weights]
        input_gradients = [x.grad for x in keras.tree.flatten(inputs)]
    # An input may matter by its shape alone.
    input_gradients = [
        np.zeros(x.shape) if gradient is None else to_numpy(gradient)
        for x, gradient in zip(keras.tree.flatten(inputs), input_gradients, strict=True)
    ]
    gradients = [None if gradient is None else to_numpy(gradient) for gradient in gradients]
    return float(loss), gradients, keras.tree.pack_sequence_as(inputs, input_gradients)


def state_of(model: keras.layers.Layer) -> list[np.ndarray]:
    """What moves without being trained: statistics, seeds, constants."""
    return [to_numpy(v) for v in model.non_trainable_variables]


def restore(model: keras.layers.Layer, state: list[np.ndarray]):
    """Put a state back, also one of a model of other precision or size."""
    for variable, value in zip(model.non_trainable_variables, state, strict=True):
        variable.assign(value)


def answer(model: keras.layers.Layer, inputs, state: list[np.ndarray]) -> list[np.ndarray]:
    """Outputs, one after the other, that follow a state."""
    restore(model, state)
    return _arrays(model(inputs))


def disturb_weights(model: keras.Model, size: float = 0.05, seed: int = 2):
    """Move every weight, so that zero and tiny initial values hide nothing."""
    rng = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        value = to_numpy(variable)
        variable.assign(value + size * rng.standard_normal(value.shape).astype(value.dtype))


def with_statistics(model: keras.Model, seed: int = 0) -> keras.Model:
    """The model, its normalizations as after training."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if weight.name in ("gamma", "moving_variance"):
            weight.assign(rng.uniform(0.5, 2, weight.shape))
        elif weight.name in ("beta", "moving_mean", "bias"):
            weight.assign(rng.normal(0, 0.5, weight.shape))
    return model


def close(actual, expected, tolerance: float = 1e-4):
    """Equal to `tolerance` of the largest expected value; so for each array of a list."""
    if isinstance(expected, list):
        for one, other in zip(actual, expected, strict=True):
            close(one, other, tolerance)
        return
    scale = np.abs(expected).max()
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * scale)


def _equal(actual, expected):
    for one, other in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def to_numpy(tensor) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor)


def _arrays(outputs):
    return [to_numpy(x) for x in keras.tree.flatten(outputs)]


def _map(function, *structures):
    return keras.tree.map_structure(function, *structures)


def _flat_shapes(shapes):
    specs = keras.tree.map_shape_structure(keras.KerasTensor, shapes)
    return [tuple(x.shape) for x in keras.tree.flatten(specs)]
