"""Settings of the whole suite. The backend is that of KERAS_BACKEND (default: TensorFlow)."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if os.environ.get("KERAS_BACKEND") == "jax":
    # JAX compiles every operation for every shape; optimised, that takes minutes for tiny tensors.
    os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

import keras
import pytest

pytest.register_assert_rewrite("harness")


def pytest_configure(config):
    config.addinivalue_line("markers", "tensorflow: runs on the TensorFlow backend only")


def pytest_collection_modifyitems(items):
    if keras.backend.backend() != "tensorflow":
        skip = pytest.mark.skip(reason="needs the TensorFlow backend")
        for item in items:
            if "tensorflow" in item.keywords:
                item.add_marker(skip)


@pytest.fixture(autouse=True)
def clean_state():
    """Every test starts from the same seed and leaves no dtype policy behind."""
    keras.utils.set_random_seed(0)
    policy = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(policy)
