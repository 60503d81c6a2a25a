"""The examination that every public layer and model passes.

`check_layer` and `check_model` take a class, its arguments and a small input, and look at shapes,
configuration, saving, gradients, XLA, mixed precision and, where asked, the edge file.
"""

import inspect
import pathlib
import tempfile

import keras
import numpy as np

BACKEND = keras.backend.backend()


def noise(*shape: int, low: float = -1.0, high: float = 1.0) -> np.ndarray:
    """Reproducible float32 input."""
    return np.random.default_rng(0).uniform(low, high, shape).astype("float32")


def check_layer(
    layer_class: type[keras.layers.Layer],
    arguments: dict,
    inputs: np.ndarray | list[np.ndarray],
    dynamic: bool = True,
    edge: bool = False,
    mixed_tolerance: float = 0.03,
):
    """Examine a layer.

    Args:
        layer_class: the class.
        arguments: of its constructor.
        inputs: one array, or a list of them, `(batch, height, width, channels)`.
        dynamic: the layer works on any, also unknown, height and width.
        edge: the layer converts to LiteRT with builtin operators.
        mixed_tolerance: largest error under mixed_bfloat16, as a part of the largest output.
    """
    layer = layer_class(**arguments)
    output = layer(inputs)
    promised = tuple(layer.compute_output_shape(_shapes(inputs)))
    assert promised == tuple(output.shape), "compute_output_shape differs from the output's shape"

    config = layer.get_config()
    _check_config_is_complete(layer_class, config)
    copy = layer_class.from_config(config)
    assert copy.get_config() == config
    copy(inputs)
    copy.set_weights(layer.get_weights())
    np.testing.assert_array_equal(to_numpy(copy(inputs)), to_numpy(output))

    def build(dtype, shapes):
        symbolic = _map(lambda shape: keras.Input(shape[1:], dtype=_variable(dtype)), shapes)
        return keras.Model(symbolic, layer_class(**{**arguments, "dtype": dtype})(symbolic))

    _examine(build, inputs, dynamic, edge, mixed_tolerance)


def check_model(
    model_class: type[keras.Model],
    arguments: dict,
    inputs: np.ndarray,
    dynamic: bool = True,
    edge: bool = False,
    mixed_tolerance: float = 0.03,
):
    """Examine a model whose constructor takes `dtype`, and `input_shape` if its size is free; see
    `check_layer`.
    """
    sized = "input_shape" in inspect.signature(model_class.__init__).parameters

    def build(dtype, shapes):
        size = {"input_shape": shapes[1:]} if sized else {}
        return model_class(**{**arguments, "dtype": dtype, **size})

    model = build("float32", inputs.shape)
    config = model.get_config()
    _check_config_is_complete(model_class, config)
    assert model_class.from_config(config).get_config() == config
    assert model_class().count_params() > 0, "a model is built without arguments"
    _check_weights_file(model, build("float32", inputs.shape))

    _examine(build, inputs, dynamic, edge, mixed_tolerance)
    low_precision = build("mixed_bfloat16", inputs.shape)
    assert keras.backend.standardize_dtype(low_precision.output.dtype) == "float32"


def _examine(build, inputs, dynamic, edge, mixed_tolerance):
    model = build("float32", _shapes(inputs))
    disturb_weights(model)
    output = to_numpy(model(inputs))
    assert np.isfinite(output).all()
    assert output.shape[1:] == model.output_shape[1:]

    if dynamic:
        _check_any_size(model, build, inputs)
    _check_file(model, inputs, output)
    _check_gradients(model, inputs)
    if BACKEND == "tensorflow":
        # Elsewhere Keras takes means in float32, also of float64.
        _check_against_differences(model, build, inputs)
    _check_mixed_precision(model, build, inputs, output, mixed_tolerance)
    if edge and BACKEND == "tensorflow":
        _check_edge(model, build, inputs)
    # Last: it trains the model.
    _check_compiled(model, inputs, output)


def _check_config_is_complete(cls, config):
    for name, parameter in inspect.signature(cls.__init__).parameters.items():
        named = parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
        # The configuration describes the architecture; weights travel in files.
        if named and name not in ("self", "weights"):
            assert name in config, f"{cls.__name__}.get_config() lacks {name!r}"


def _check_any_size(model, build, inputs):
    """A model of unknown size against models built for each size."""
    anywhere = build("float32", _map(lambda s: (s[0], None, None, *s[3:]), _shapes(inputs)))
    anywhere.set_weights(model.get_weights())
    assert anywhere.output_shape[1:3] == (None, None)
    smaller = _map(lambda x: x[:, 1:, 2:], inputs)
    fixed = build("float32", _shapes(smaller))
    fixed.set_weights(model.get_weights())
    expected = to_numpy(fixed(smaller))
    assert expected.shape[1:] == fixed.output_shape[1:]
    close(to_numpy(anywhere(smaller)), expected)
    if BACKEND == "tensorflow":
        import tensorflow as tf

        # Only a graph sees sizes that are unknown while it is traced.
        traced = tf.function(anywhere, input_signature=[_map(_unknown_size, smaller)])
        close(to_numpy(traced(_map(tf.constant, smaller))), expected)


def _unknown_size(array):
    import tensorflow as tf

    return tf.TensorSpec((None, None, None, *array.shape[3:]), array.dtype)


def _check_file(model, inputs, output):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.keras"
        model.save(path)
        loaded = keras.saving.load_model(path)
    assert type(loaded) is type(model)
    assert loaded.to_json() == model.to_json()
    np.testing.assert_array_equal(to_numpy(loaded(inputs)), output)


def _check_weights_file(model, other):
    with tempfile.TemporaryDirectory() as folder:
        path = str(pathlib.Path(folder) / "model.weights.h5")
        model.save_weights(path)
        other.load_weights(path)
    for weight, loaded in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, loaded)


def _check_gradients(model, inputs):
    """Every trainable weight has a finite gradient, and an influence on the output."""
    weights = model.get_weights()
    silent = {variable.path for variable in model.trainable_variables}
    for seed in range(10):
        _, gradients, _ = loss_and_gradients(model, inputs)
        for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
            assert gradient is not None, f"{variable.path} has no gradient"
            assert np.isfinite(gradient).all(), f"{variable.path}: the gradient is not finite"
            if np.any(gradient):
                silent.discard(variable.path)
        if not silent:
            break
        # A ReLU may be off for all of a small input: look again with other weights.
        model.set_weights(weights)
        disturb_weights(model, size=0.2, seed=seed)
    assert not silent, f"weights without influence on the output: {sorted(silent)}"
    model.set_weights(weights)


def _check_against_differences(model, build, inputs, step=1e-6):
    """The gradient along a random direction against a central difference in float64."""
    twin = build("float64", _shapes(inputs))
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
        moved = keras.tree.map_structure(lambda x, d: x + t * d, inputs, input_directions)
        return float(np.mean(np.square(to_numpy(twin(moved)))))

    difference = (move_to(step) - move_to(-step)) / (2 * step)
    move_to(0.0)
    _, gradients, input_gradients = loss_and_gradients(twin, inputs)
    gradients = [*gradients, *keras.tree.flatten(input_gradients)]
    directions = [*directions, *keras.tree.flatten(input_directions)]
    slope = sum(np.sum(g * d) for g, d in zip(gradients, directions, strict=True))
    np.testing.assert_allclose(slope, difference, rtol=1e-6, atol=1e-9)


def _check_mixed_precision(model, build, inputs, output, tolerance):
    low = build("mixed_bfloat16", _shapes(inputs))
    low.set_weights(model.get_weights())
    assert {keras.backend.standardize_dtype(w.dtype) for w in low.weights} <= {"float32"}
    result = to_numpy(keras.ops.cast(low(inputs), "float32"))
    error = np.abs(result - output).max() / np.abs(output).max()
    assert error <= tolerance, f"mixed_bfloat16 is off by {error:.3f} of the largest output"


def _check_compiled(model, inputs, output):
    """Prediction and one training step under XLA against the eager ones."""
    rate = 100.0  # large, so that weights move by far more than their rounding
    # torch.compile takes minutes and is not what jit_compile means elsewhere.
    model.compile(keras.optimizers.SGD(rate), loss="mse", jit_compile=BACKEND != "torch")
    close(model.predict_on_batch(inputs), output)
    if not model.trainable_variables:
        return
    # In training: normalization takes the statistics of the batch.
    states = [to_numpy(v) for v in model.non_trainable_variables]
    loss, gradients, _ = loss_and_gradients(model, inputs, training=True)
    # A state that training moves must be the same for the compiled step.
    for variable, state in zip(model.non_trainable_variables, states, strict=True):
        variable.assign(state)
    trained = model.trainable_variables
    before = [to_numpy(v) for v in trained]
    compiled_loss = float(model.train_on_batch(inputs, np.zeros_like(output)))
    np.testing.assert_allclose(compiled_loss, loss, rtol=1e-4)
    largest = max(np.abs(gradient).max() for gradient in gradients)
    for variable, start, gradient in zip(trained, before, gradients, strict=True):
        # The gradient of a bias that a normalization cancels is rounding alone.
        tolerance = 1e-4 * np.abs(gradient).max() + 1e-6 * largest
        moved = (start - to_numpy(variable)) / rate
        np.testing.assert_allclose(moved, gradient, rtol=0, atol=tolerance)


def _check_edge(model, build, inputs):
    from keras_imaging import export

    one = _map(lambda x: x[:1], inputs)
    fixed = build("float32", _shapes(one))
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
    """Mean square of the output; its gradients for every trainable weight, and for the inputs."""
    if BACKEND == "tensorflow":
        import tensorflow as tf

        inputs = _map(tf.convert_to_tensor, inputs)
        weights = [v.value for v in model.trainable_variables]
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            loss = keras.ops.mean(keras.ops.square(model(inputs, training=training)))
        gradients, input_gradients = tape.gradient(loss, [weights, inputs])
    elif BACKEND == "jax":
        import jax

        fixed = [v.value for v in model.non_trainable_variables]

        def loss_of(weights, inputs):
            output, _ = model.stateless_call(weights, fixed, inputs, training=training)
            return keras.ops.mean(keras.ops.square(output))

        weights = [v.value for v in model.trainable_variables]
        function = jax.jit(jax.value_and_grad(loss_of, argnums=(0, 1)))
        loss, (gradients, input_gradients) = function(
            weights, _map(keras.ops.convert_to_tensor, inputs)
        )
    else:
        inputs = _map(lambda x: keras.ops.convert_to_tensor(x).requires_grad_(), inputs)
        model.zero_grad()
        loss = keras.ops.mean(keras.ops.square(model(inputs, training=training)))
        loss.backward()
        loss = loss.detach()
        gradients = [v.value.grad for v in model.trainable_variables]
        input_gradients = _map(lambda x: x.grad, inputs)
    return float(loss), _map(to_numpy, gradients), _map(to_numpy, input_gradients)


def disturb_weights(model: keras.Model, size: float = 0.05, seed: int = 2):
    """Move every weight, so that zero and tiny initial values hide nothing."""
    rng = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        value = to_numpy(variable)
        variable.assign(value + size * rng.standard_normal(value.shape).astype(value.dtype))


def close(actual, expected, tolerance: float = 1e-4):
    """Equal to `tolerance` of the largest expected value."""
    scale = np.abs(expected).max()
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * scale)


def to_numpy(tensor) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor)


def _map(function, structure):
    return [function(x) for x in structure] if isinstance(structure, list) else function(structure)


def _shapes(inputs):
    return _map(lambda x: tuple(x.shape), inputs)


def _variable(dtype):
    return keras.dtype_policies.get(dtype).variable_dtype
