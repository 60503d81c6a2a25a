"""Type of tensors."""

from typing import Any, TypeAlias

import keras
import numpy as np

# A backend's own tensor class cannot be named without importing that backend.
Tensor: TypeAlias = np.ndarray | keras.KerasTensor | Any
